"""What the tests of both networked algorithms need: learners from their YAML, graphs, games, steps."""

from typing import Any

import torch
from envs.games import make
from paper2.worlds import CPU, PAPER, TEAM, node
from torch import Tensor

from marlrun.graphs.network import Mixing, Network
from marlrun.runner.build import build
from marlrun.runner.loop import online
from marlrun.types import Spec, Step

SPEC = Spec(2, ("a", "b"), (2, 2), (2, 2), 7, 1.0, continuing=True, num_states=2)
TWO = [[0.75, 0.25], [0.25, 0.75]]
VARIANTS = {
    "paper": PAPER,
    "team": TEAM,
    "local": PAPER | {"critic.features": "local", "policy.kind": "neural", "policy.hidden": []},
    "neural": {"critic.kind": "neural", "policy.kind": "neural"},
    "odd": {
        "critic.kind": "neural",
        "policy.kind": "neural",
        "critic.hidden": [25],
        "policy.hidden": [33, 5],
    },
    "trim": TEAM | {"mixing.aggregate": "trim", "mixing.faulty_agents": [0]},
    "nearest": TEAM
    | {"mixing.aggregate": "nearest", "mixing.faulty_agents": [0], "mixing.fault": "oppose"},
}


def network(matrix: Any, replicas: int = 1, *, push_sum: bool = False) -> Network:
    """The same consensus matrix, or one of a list of them, in every replica, round after round."""
    matrices = torch.as_tensor(matrix, dtype=torch.float32)
    matrices = matrices.view(-1, 1, *matrices.shape[-2:]).expand(-1, replicas, -1, -1)
    rounds = [Mixing(one.contiguous()) for one in matrices]
    return Network(
        matrices.shape[-1],
        replicas,
        lambda counter: rounds[counter % len(rounds)],
        period=len(rounds),
        is_push_sum=push_sum,
    )


def complete(num_agents: int, replicas: int = 1) -> Network:
    """Everyone hears everyone: C = 11'/N."""
    return network(torch.full((num_agents, num_agents), 1 / num_agents), replicas)


def learner(
    name: str, graph: Network, spec: Spec = SPEC, seeds=(0,), num_envs=1, **changes: Any
) -> Any:
    """Build a learner as its YAML says, with changes by dotted key."""
    settings = node("algo", name, **changes)
    return build(settings, "algo", [], spec, seeds, CPU, num_envs=num_envs, graph=graph)


def step(state: int, reward=(0.0, 0.0), *, terminated=False, truncated=False, first=False) -> Step:
    """A step of SPEC, one replica."""
    flag = torch.zeros(1, 1, dtype=torch.bool)
    seen = torch.eye(2)[state].view(1, 1, 2)
    return Step(
        first=flag | first,
        obs=seen.unsqueeze(2).expand(-1, -1, 2, -1),
        reward=torch.tensor(reward).view(1, 1, 2),
        terminated=flag | terminated,
        truncated=flag | truncated,
        state=seen,
    )


def actions(first: int, second: int) -> Tensor:
    """Return the joint action of one replica."""
    return torch.tensor([[[first, second]]])


def ticks(name: str, graph: Network, seeds, num_ticks: int, game="public_goods", **changes: Any):
    """Train on a game of the graph's agents; return (learner, loop), the loop after `num_ticks`."""
    sized = {"num_agents": graph.num_agents} if game != "meeting_grid" else {}
    env = make(game, *seeds, **sized)
    made = learner(name, graph, env.spec, seeds, **changes)
    loop = online(made, env, made.policy(True, seeds), env.reset())
    for _ in range(num_ticks):
        next(loop)
    return made, loop


def weights(made: Any) -> list[Tensor]:
    """Return all that a learner has learned."""
    nets = [made.critic, made.actor, *([made.model] if hasattr(made, "model") else [])]
    return [*(net.parameters for net in nets), made.average]


def check_alone_in_company(name: str, size: int, settings: dict[str, Any]) -> None:
    """Assert that a replica learns and measures the same, bit for bit, with others and without."""
    matrix = (torch.eye(size) + 1 / size) / 2
    alone, loop = ticks(name, network(matrix), (4,), 47, **settings)
    company, loop_of_all = ticks(name, network(matrix, 3), (3, 4, 5), 47, **settings)
    # Of two steps, for some metrics come with every 16th update alone.
    mine, all_metrics = (next(of).metrics | next(of).metrics for of in (loop, loop_of_all))
    assert "consensus/disagreement" in mine
    for tag, values in mine.items():
        assert torch.equal(values[0], all_metrics[tag][1]), tag
    for one, all_of_them in zip(weights(alone), weights(company), strict=True):
        assert torch.equal(one[0], all_of_them[1])
        assert not torch.equal(all_of_them[0], all_of_them[1])
