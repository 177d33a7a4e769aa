"""Networked actor-critic with many agents, beside the bare product and parameter update."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, pairwise
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks import plain_networked
from benchmarks.setting import CPU, Call, node
from benchmarks.timing import Effort, Times, alternate, ratio
from marlrun.graphs.network import Mixing, Network, SparseMixing
from marlrun.runner.build import build, build_graph
from marlrun.types import Spec, Step

ALGORITHMS = ("networked_ac_q", "networked_ac_v")
SIZES = ((20, 1), (20, 10), (1_000, 1), (1_000, 10), (10_000, 1), (100_000, 1))
"""Agents and replicas."""
Product = Callable[[Tensor, Tensor], Tensor]
"""What agents hear of x [R, N, K]; may be written into the second tensor."""
LINKS, OBS_SIZE, NUM_ACTIONS = 4, 10, 2
LOCAL = {
    "critic.kind": "linear",
    "critic.features": "local",
    "policy.kind": "neural",
    "policy.hidden": [],
}


def scale(effort: Effort) -> list[dict[str, Any]]:
    """A step of networked actor-critic, N agents; ratio: time over that of C (W + G) and theta + H.

    An agent hears itself and four others, sees ten numbers (its neighbourhood's) and has two
    actions; critics and policies are linear in these. A step is `observe` and `update`: TD errors,
    actor, consensus; all that is mixed is W. Bare: G and H are given, and added in place; the product
    is the faster of dense (`bmm`) and sparse (`mm` of CSR), into memory at hand. A second ratio is
    over a script for this setting alone (benchmarks.plain_networked) with the faster of these
    products. Edges are those of all replicas.
    """
    rows: list[dict[str, Any]] = []
    for num_agents, replicas in SIZES:
        calls: dict[str, Call] = {}
        for name in ALGORITHMS:
            graph = _graph(num_agents, replicas)
            learner = _learner(name, graph)
            calls[name] = _warm(partial(next, _steps(learner, num_agents, replicas)))
            for kind, product in products(graph.draw(), num_agents, replicas).items():
                calls[f"{name} {kind}"] = _bare(product, num_agents, replicas, *_sizes(learner))
                calls[f"{name} plain {kind}"] = _plain(name, learner, product)
        times = alternate(calls, effort)
        rows += [_row(name, num_agents, replicas, times) for name in ALGORITHMS]
    return rows


def _row(name: str, num_agents: int, replicas: int, times: Times) -> dict[str, Any]:
    edges = replicas * num_agents * LINKS // 2
    bare, plain = (_fastest(f"{name}{kind}", times) for kind in ("", " plain"))
    middle, low, high = ratio(times[name], times[bare])
    return {
        "algorithm": name.removeprefix("networked_"),
        "replicas": replicas,
        "agents": num_agents,
        "edges": edges,
        "ms": 1e3 * median(times[name]),
        "bare_ms": 1e3 * median(times[bare]),
        "bare": bare.split()[1],
        "ratio": middle,
        "quartiles": [low, high],
        "plain_ms": 1e3 * median(times[plain]),
        "ratio_to_plain": ratio(times[name], times[plain]).median,
        "us_an_edge": 1e6 * median(times[name]) / edges,
    }


def _fastest(name: str, times: Times) -> str:
    """Return the call of that name with the faster product."""
    found = [f"{name} {kind}" for kind in ("dense", "sparse") if f"{name} {kind}" in times]
    return min(found, key=lambda call: median(times[call]))


def _graph(num_agents: int, replicas: int) -> Network:
    rules = node("graph", "none") | node("graph", "k_regular", k=LINKS)
    del rules["defaults"]
    return build_graph(rules, num_agents, range(replicas), CPU, [])


def _learner(name: str, graph: Network) -> Any:
    num_agents = graph.num_agents
    spec = Spec(
        num_agents=num_agents,
        agent_names=tuple(map(str, range(num_agents))),
        obs_sizes=(OBS_SIZE,) * num_agents,
        num_actions=(NUM_ACTIONS,) * num_agents,
        horizon=1000,
        discount=1.0,
        continuing=True,
    )
    settings, seeds = node("algo", name, **LOCAL), range(graph.num_replicas)
    return build(settings, "algo", [], spec, seeds, CPU, num_envs=1, graph=graph)


def _steps(learner: Any, num_agents: int, replicas: int) -> Iterator[None]:
    """Learn from a few steps over and over; what an environment and a policy cost is left out."""
    ends = [_end(num_agents, replicas) for _ in range(4)]
    action = torch.randint(NUM_ACTIONS, (replicas, 1, num_agents))
    for before, after in cycle(pairwise([*ends, ends[0]])):
        learner.observe(before, action, after)
        learner.update()
        yield


def _warm(call: Call) -> Call:
    """Have it recorded (marlrun.nets.captured) before it is known how often it fits a round."""
    for _ in range(5):
        call()
    return call


def _end(num_agents: int, replicas: int) -> Step:
    no = torch.zeros(replicas, 1, dtype=torch.bool)
    obs = torch.rand(replicas, 1, num_agents, OBS_SIZE)
    return Step(no, obs, torch.rand(replicas, 1, num_agents), no, no)


def _plain(name: str, learner: Any, product: Product) -> Call:
    """Return a call that takes a step of a script that knows what `learner` knows."""
    agents = plain_agents(learner, product)
    take = getattr(plain_networked, name)
    replicas, num_agents = agents.average.shape
    ends = [_end(num_agents, replicas) for _ in range(4)]
    action = torch.randint(NUM_ACTIONS, (replicas, num_agents))
    seen = cycle(
        plain_networked.Transition(
            before.obs[:, 0], action, after.reward[:, 0], after.obs[:, 0], action
        )
        for before, after in pairwise([*ends, ends[0]])
    )
    return lambda: take(agents, next(seen))


def plain_agents(learner: Any, product: Product) -> plain_networked.Agents:
    """Return agents of a script who know what `learner`'s know."""
    critic = learner.critic.parameters.clone()
    model = learner.model.parameters.clone() if hasattr(learner, "model") else critic[..., :0]
    rooms = {x.shape: torch.empty_like(x) for x in (critic, model)}
    theta = learner.actor.parameters.clone().unflatten(-1, (OBS_SIZE + 1, NUM_ACTIONS))
    steps = learner.steps.at(1)
    return plain_networked.Agents(
        mixed=lambda x: product(x, rooms[x.shape]),
        critic=critic,
        model=model,
        weight=theta[..., :OBS_SIZE, :].contiguous(),
        bias=theta[..., OBS_SIZE, :].contiguous(),
        average=learner.average.clone(),
        critic_step=steps["critic"],
        actor_step=steps["actor"],
    )


def _sizes(learner: Any) -> tuple[int, int]:
    """Return how many numbers an agent mixes, and how many its policy has."""
    critics = [learner.critic, *([learner.model] if hasattr(learner, "model") else [])]
    mixed = sum(critic.parameters.shape[-1] for critic in critics)
    return mixed, learner.actor.parameters.shape[-1]


def _bare(product: Product, num_agents: int, replicas: int, mixed: int, own: int) -> Call:
    """Return a call that takes a step with so many numbers an agent, mixed and the policy's own."""
    w, heard, gradient = torch.rand(3, replicas, num_agents, mixed)
    theta, own_gradient = torch.rand(2, replicas, num_agents, own)

    def call() -> None:
        nonlocal w, heard
        w, heard = product(w.add_(gradient, alpha=1e-9), heard), w
        theta.add_(own_gradient, alpha=1e-9)

    return call


def products(mixing: Mixing, num_agents: int, replicas: int) -> dict[str, Product]:
    """Return ways to mix [R, N, K]: dense (where it fits) and sparse."""
    if isinstance(mixing, SparseMixing):
        csr = mixing.csr
        dense = _dense(csr, num_agents, replicas) if num_agents <= 1000 else None
    else:
        dense = mixing.matrix
        csr = _csr(torch.block_diag(*dense))

    def sparse(x: Tensor, out: Tensor) -> Tensor:
        flat = out.view(len(csr), -1)
        return torch.mm(csr, x.view(len(csr), -1), out=flat).view(x.shape)

    found: dict[str, Product] = {"sparse": sparse}
    if dense is not None:
        found["dense"] = lambda x, out: torch.bmm(dense, x, out=out)
    return found


def _dense(csr: Tensor, num_agents: int, replicas: int) -> Tensor:
    """Return the blocks on the diagonal."""
    rows = torch.arange(len(csr)).repeat_interleave(csr.crow_indices().diff())
    blocks = torch.zeros(len(csr), num_agents)
    blocks[rows, csr.col_indices() % num_agents] = csr.values()
    return blocks.view(replicas, num_agents, -1)


def _csr(matrix: Tensor) -> Tensor:
    """Return it with the indices MKL wants."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")
        csr = matrix.to_sparse_csr()
        starts, columns = csr.crow_indices().int(), csr.col_indices().int()
        return torch.sparse_csr_tensor(
            starts, columns, csr.values(), csr.shape, check_invariants=False
        )
