"""Demonstrations by exact experts, and how much of their rewards a run has recovered.

    python docs/exact_games.py demonstrate GAME FILE [KEY=VALUE ..] [--episodes 500] [--seed 0]
    python docs/exact_games.py measure RUN ..
    python docs/exact_games.py draw RUN PICTURE.png

GAME is reward_grid or matrix_game, and KEY=VALUE changes a key of conf/env/GAME.yaml. The expert draws
joint actions from the game's logistic stochastic best-response equilibrium. RUN is a run on such a
game that keeps a reward.pt. Its table has a row for each seed and agent. On a grid: the distance of
the expert's policy from that of the equilibrium of the recovered rewards, and from the run's policy
(KL in nats, mean over the states that the expert visits); the former without walls, on a torus, where
the expert plays otherwise; and the correlation of the recovered with the true reward, of what can be
identified of them (exact/recovery.py). In a one-shot game: the log-odds of the second action against the first by the
recovered reward, by the run's policy, by the agent's share of the expert's law, and by the actions
that were demonstrated, with their standard error. The last row has means over agents with their
95 % intervals over seeds. The picture shows, on a grid, what of the rewards can be identified: by an
agent's own cell, the mean over the other's cells.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from torch import Tensor

from marlrun.config.nodes import check_node
from marlrun.data import demonstrations
from marlrun.data.demonstrations import Episode
from marlrun.envs.common import payoffs
from marlrun.exact import Unsolvable, reward_grid
from marlrun.exact.lsbre import joint_law
from marlrun.exact.markov_game import divergence, shares, visits
from marlrun.exact.pseudo_likelihood import of_counts, of_law
from marlrun.exact.recovery import identifiable, recovery
from marlrun.nets.recovered import recovered_reward
from marlrun.runner.build import build_env
from marlrun.runner.checkpoint import REWARD, load
from marlrun.runner.intervals import estimate
from marlrun.runner.stored import StoredRun, load_learner, open_run, training_env
from marlrun.streams import Stream
from marlrun.system.plotting import new_figure, save, style
from marlrun.system.writing import write_atomically
from marlrun.types import Env, Spec

CPU = torch.device("cpu")
Node = Mapping[str, Any]


class Expert(NamedTuple):
    """What agents do in every state of a game that all of them see."""

    obs: Tensor
    """[S, N, O]: what they observe there."""
    law: np.ndarray
    """[S, A_0, ..]: the joint law of their actions."""


def expert_of(env: Node) -> Expert:
    """Return the exact expert of reward_grid or matrix_game; ValueError for other games."""
    name = env["_target_"].rpartition(".")[2]
    if name == "RewardGrid":
        return Expert(grid_observations(env["size"] ** 2), reward_grid.expert(**env).law)
    if name == "MatrixGame":
        law = joint_law(payoffs.read(env["game"], env["payoff"]))
        return Expert(torch.ones(1, law.ndim, 1), law[None])
    raise ValueError(f"env={name}: expected reward_grid or matrix_game")


def grid_observations(num_cells: int) -> Tensor:
    """Return what both agents observe in every joint state: [S, 2, 2 * cells]."""
    cells = torch.eye(num_cells)
    own, other = cells.repeat_interleave(num_cells, 0), cells.repeat(num_cells, 1)
    return torch.stack([torch.cat([own, other], -1), torch.cat([other, own], -1)], 1)


def play(env: Env, expert: Expert, seed: int) -> list[Episode]:
    """Return an episode of every copy, in which joint actions are drawn from the expert's law."""
    stream, step = Stream([seed], "exact_games", CPU), env.reset()
    seen, actions, rewards = [step.obs[0]], list[Tensor](), list[Tensor]()
    num_states, *num_actions = expert.law.shape
    # The last bound may be a little below 1.
    bounds = torch.tensor(expert.law).view(num_states, -1).cumsum(-1)[:, :-1]
    for time in range(env.spec.horizon):
        state = (step.obs[0, :, 0] @ expert.obs[:, 0].T).argmax(-1)
        chance = stream.uniform(time, env.num_envs)[0].double()
        choice = (bounds[state] <= chance.unsqueeze(-1)).sum(-1)
        actions.append(torch.stack(torch.unravel_index(choice, num_actions), -1))
        step = env.step(actions[-1].unsqueeze(0))
        seen.append(step.obs[0])
        rewards.append(step.reward[0])
    parts = (torch.stack(part, 1) for part in (seen, actions, rewards))
    ends = (part[0].tolist() for part in (step.terminated, step.truncated))
    return [Episode(*episode) for episode in zip(*parts, *ends, strict=True)]


def demonstrate(game: str, file: Path, episodes: int, seed: int, changes: Sequence[str]) -> None:
    """Write episodes of a game's exact expert, with returns of as many of random play."""
    node = yaml.safe_load((files("marlrun.conf") / "env" / f"{game}.yaml").read_text())
    node |= {key: yaml.safe_load(value) for key, _, value in (c.partition("=") for c in changes)}
    check_node(node, "env")
    if episodes < 1:
        raise ValueError(f"--episodes {episodes}: expected at least 1")
    if file.exists():
        raise ValueError(f"{file}: exists, expected a new file")
    expert = expert_of(node)
    random = Expert(expert.obs, np.full_like(expert.law, 1 / expert.law[0].size))
    spec = build_env(node, [seed], CPU, [], num_envs=1).spec
    played = {
        who: play(build_env(node, [seed], CPU, [], num_envs=episodes), law, seed)
        for who, law in (("expert", expert), ("random", random))
    }
    card = {
        "environment": game,
        "env": {key: value for key, value in node.items() if key != "num_envs"},
        "agents": list(spec.agent_names),
        "obs_sizes": list(spec.obs_sizes),
        "num_actions": list(spec.num_actions),
        "horizon": spec.horizon,
        "discount": spec.discount,
        "source": {"exact": "logistic stochastic best-response equilibrium"},
        "seed": seed,
        "returns": {who: returns(part, spec) for who, part in played.items()},
    }
    write_atomically(file, lambda out: demonstrations.write(out, card, played["expert"]))


def returns(episodes: Sequence[Episode], spec: Spec) -> dict[str, dict[str, Any]]:
    """Return the means of discounted returns with their intervals, over agents and by agent."""
    weights = spec.discount ** torch.arange(spec.horizon).double()
    sums = torch.stack([weights @ episode.reward.double() for episode in episodes])
    columns = {"mean": sums.mean(1), **dict(zip(spec.agent_names, sums.T, strict=True))}
    estimates = {name: estimate(column.tolist()) for name, column in columns.items()}
    return {name: {"mean": e.mean, "low": e.low, "high": e.high} for name, e in estimates.items()}


def measure(run: StoredRun) -> dict[str, np.ndarray]:
    """Return the columns of the table of a run, [R, N] each."""
    expert = expert_of(run.job.env)
    reward = recovered_reward(load(run.directory / REWARD, CPU)["reward"], CPU)
    learner: Any = load_learner(run, training_env(run), "latest").learner
    replicas = len(run.job.seeds)
    rewards = by_action(expert, replicas, reward)
    log_pi = by_action(expert, replicas, learner.ppo.networks.log_prob)
    return (on_grid if is_grid(run) else in_one_shot_game)(run, expert, rewards, log_pi)


def is_grid(run: StoredRun) -> bool:
    """Say whether the game of a run is reward_grid."""
    return run.job.env["_target_"].endswith(".RewardGrid")


@torch.no_grad()
def by_action(
    expert: Expert, replicas: int, numbers: Callable[[Tensor, Tensor], Tensor]
) -> np.ndarray:
    """Return numbers [R, N, S, A] of every state and action, by their function.

    The function takes observations [R, S, N, O] and actions [R, S, N].
    """
    obs = expert.obs.expand(replicas, *expert.obs.shape)
    actions = (torch.full(obs.shape[:-1], action) for action in range(expert.law.shape[-1]))
    parts = torch.stack([numbers(obs, action) for action in actions], -1)
    return parts.transpose(1, 2).double().numpy()


def on_grid(
    run: StoredRun, expert: Expert, rewards: np.ndarray, log_pi: np.ndarray
) -> dict[str, np.ndarray]:
    """Return how near rewards and policies are to the expert's."""
    env, law = run.job.env, expert.law
    game, discount, horizon = reward_grid.game(**env), env["discount"], env["horizon"]
    qualities = [recovery(game, law, reward, discount, horizon) for reward in rewards]
    torus = reward_grid.game(**env, walls=False)
    torus_law = reward_grid.expert(**env, walls=False).law
    elsewhere = [recovery(torus, torus_law, reward, discount, horizon) for reward in rewards]
    weights = visits(game, law, horizon)
    distances = [
        [weights @ divergence(*pair) for pair in zip(shares(law), np.exp(logs), strict=True)]
        for logs in log_pi
    ]
    return {
        "KL, recovered reward": np.stack([quality.divergence for quality in qualities]),
        "KL, run's policy": np.array(distances),
        "KL, reward on a torus": np.stack([quality.divergence for quality in elsewhere]),
        "Pearson": np.stack([quality.pearson for quality in qualities]),
    }


def draw(run: StoredRun, picture: Path) -> None:
    """Draw the true maps of a grid, and those that the first seed has recovered."""
    env, size = run.job.env, run.job.env["size"]
    reward = recovered_reward(load(run.directory / REWARD, CPU)["reward"], CPU)
    found = by_action(expert_of(env), len(run.job.seeds), reward)[0].mean(-1)
    truth = reward_grid.game(**env).rewards[..., 0, 0]
    with style():
        figure = new_figure(figsize=(6.8, 1.9), layout="constrained")
        axes = figure.subplots(1, 4)
        for axis, (agent, name) in zip(
            axes.flat, product((0, 1), ("true", "recovered")), strict=True
        ):
            rewards = (truth if name == "true" else found)[agent]
            shown = identifiable(rewards, agent).reshape(size**2, size**2).mean(1 - agent)
            axis.imshow(shown.reshape(size, size), cmap="RdBu", vmin=-3, vmax=3, origin="lower")
            for cell, number in enumerate(shown):
                axis.text(cell % size, cell // size, f"{number:.2f}", ha="center", va="center")
            axis.set(title=f"agent {agent}, {name}", xticks=[], yticks=[])
        save(figure, picture, "png", dpi=100)


def in_one_shot_game(
    run: StoredRun, expert: Expert, rewards: np.ndarray, log_pi: np.ndarray
) -> dict[str, np.ndarray]:
    """Return log-odds of the second action against the first."""
    shown = demonstrations.read(run.job.algo["demonstrations"]).action.T.numpy()
    counts = [
        np.bincount(column, minlength=size)
        for column, size in zip(shown, expert.law.shape[1:], strict=True)
    ]
    estimates = [of_counts(count, 0) for count in counts]
    columns = {
        "recovered reward": rewards[:, :, 0, 1] - rewards[:, :, 0, 0],
        "run's policy": log_pi[:, :, 0, 1] - log_pi[:, :, 0, 0],
        "expert's law": np.array([of_law(share[0], 0)[1] for share in shares(expert.law)]),
        "demonstrations": np.array([estimate.estimate[1] for estimate in estimates]),
        "their error": np.array([estimate.error[1] for estimate in estimates]),
    }
    return {name: np.broadcast_to(column, log_pi.shape[:2]) for name, column in columns.items()}


def table(run: StoredRun, columns: dict[str, np.ndarray]) -> str:
    """Return a Markdown table: a row for each seed and agent, and one for the means over agents."""
    names = [f"agent_{agent}" for agent in range(next(iter(columns.values())).shape[1])]
    rows = [
        [str(seed), name, *(f"{column[replica, agent]:.4f}" for column in columns.values())]
        for replica, seed in enumerate(run.job.seeds)
        for agent, name in enumerate(names)
    ]
    means = [str(estimate(column.mean(1).tolist())) for column in columns.values()]
    head = ["seed", "agent", *columns]
    lines = [head, ["---"] * len(head), *rows, ["mean", "", *means]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(argv: list[str]) -> None:
    """Write demonstrations, or print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("demonstrate", help="write a file of exact play")
    writing.add_argument("game", choices=("reward_grid", "matrix_game"), metavar="GAME")
    writing.add_argument("file", type=Path, metavar="FILE")
    writing.add_argument("changes", nargs="*", metavar="KEY=VALUE")
    writing.add_argument("--episodes", type=int, default=500)
    writing.add_argument("--seed", type=int, default=0)
    drawing = commands.add_parser("draw", help="draw the maps of a grid")
    drawing.add_argument("run", type=Path, metavar="RUN")
    drawing.add_argument("picture", type=Path, metavar="PICTURE.png")
    commands.add_parser("measure", help="print tables").add_argument(
        "runs", type=Path, nargs="+", metavar="RUN"
    )
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        answer(options)
    except (OSError, ValueError, Unsolvable) as error:
        sys.exit(f"exact_games: {error}")


def answer(options: argparse.Namespace) -> None:
    """Do what a command line asks for; ValueError for a run on another game."""
    if options.command == "demonstrate":
        demonstrate(options.game, options.file, options.episodes, options.seed, options.changes)
    elif options.command == "draw":
        run = open_run(options.run, "cpu", [])
        if not is_grid(run):
            raise ValueError(f"{options.run}: expected a run on env=reward_grid")
        draw(run, options.picture)
    else:
        for directory in options.runs:
            run = open_run(directory, "cpu", [])
            sys.stdout.write(f"{directory.name}\n\n{table(run, measure(run))}\n\n")


if __name__ == "__main__":
    main(sys.argv[1:])
