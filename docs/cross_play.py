"""Let the two sides of env=push play with those of other seeds, with a script and with chance.

    python docs/cross_play.py RUN [--episodes 1000] [--checkpoint latest]

First a table for each side: a row for each seed's adversary, a column for each seed's good agent; the
diagonal are pairs that learned together. Then the returns of both sides, means over seeds. Scripts go
straight: the good agent to its goal; the adversary to the goal, or, under mpe2's rules, where it is
not told the goal, to the landmark that is nearest to the good agent.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from kept import cell, markdown
from numpy.typing import NDArray
from torch import Tensor

from marlrun.algos.random import Random
from marlrun.envs.particle.physics import RuleSet
from marlrun.envs.particle.push import ADVERSARY, GOOD
from marlrun.runner.evaluate import evaluate, means
from marlrun.runner.stored import StoredRun, load_learner, open_run, training_env
from marlrun.runner.team import Player, Team
from marlrun.types import AnyLearner, Seeds, Step

NAMES = ("adversary_0", "agent_0")
SIGNS = {"mpe2": (-1.0, 1.0), "ma_airl": (1.0, -1.0)}
"""Where actions 1 and 2 push along x, and 3 and 4 along y."""
KEPT, GAIN, COASTING = 0.75, 0.5, 0.25
"""Of a velocity in a step; what a push adds to it; seconds for which scripts foresee their way."""

Returns = NDArray[np.float64]
"""[2, R]: the adversary's and the good agent's, by the replica of the good agent."""


class Straight:
    """Both agents drive straight to their targets."""

    def __init__(self, rules: RuleSet):
        """`rules` are those of the game."""
        first, second = SIGNS[rules]
        self._knows_goal = rules == "ma_airl"
        self._pushes = torch.tensor([[0, 0], [first, 0], [second, 0], [0, first], [0, second]])

    def policy(self, explore: bool, seeds: Seeds) -> Callable[[Step], Tensor]:
        """Return the policy of both, without memory."""
        return lambda step: torch.stack([self._adversary(step), self._good(step)], -1)

    def _good(self, step: Step) -> Tensor:
        obs = step.obs[:, :, GOOD]
        return self._drive(obs[..., :2], obs[..., 2:4])

    def _adversary(self, step: Step) -> Tensor:
        obs = step.obs[:, :, ADVERSARY]
        target = obs[..., 2:4]
        if not self._knows_goal:
            landmarks, good = obs[..., 2:6].unflatten(-1, (2, 2)), obs[..., None, 6:8]
            nearest = (landmarks - good).norm(dim=-1).argmin(-1)
            target = landmarks.take_along_dim(nearest[..., None, None], -2).squeeze(-2)
        return self._drive(obs[..., :2], target)

    def _drive(self, velocity: Tensor, target: Tensor) -> Tensor:
        """Return the action [R, E] after which the agent coasts nearest to its target."""
        after = KEPT * velocity.unsqueeze(-2) + GAIN * self._pushes
        return (target.unsqueeze(-2) - COASTING * after).norm(dim=-1).argmin(-1)


class Match:
    """A run, whose sides play with others."""

    def __init__(self, run: StoredRun, checkpoint: str, episodes: int):
        """Load what the run has learned."""
        env = training_env(run)
        self.seeds = list(run.job.seeds)
        self._run, self._episodes = run, episodes
        self._learners: dict[str, AnyLearner | Straight] = {
            "learned": load_learner(run, env, checkpoint).learner,
            "script": Straight(run.job.env["rules"]),
            "random": Random(env.spec, self.seeds, run.device, num_envs=1),
        }

    def play(self, adversary: str, good: str, shift: int = 0) -> Returns:
        """Return what both earn; the adversary's replica r + shift plays with the good agent's r.

        All pairs play the same episodes, so that they differ in who plays alone.
        """
        team = Team(
            [
                Player(self._learners[adversary], "adversary", shift),  # pyright: ignore
                Player(self._learners[good], "good"),  # pyright: ignore
            ],
            [0, 1],
        )
        run = self._run
        blocks = evaluate(
            run.job.env,
            team,
            self.seeds[:1] * len(self.seeds),
            run.device,
            run.plugins,
            purpose="cross play",
            episodes=self._episodes,
            solution=None,
        )
        averages = means(blocks)
        return np.stack([averages[f"agent/{name}/return"].numpy() for name in NAMES])

    def every_pair(self) -> NDArray[np.float64]:
        """Return [2, R, R]: both sides' returns by the adversary's and the good agent's replica."""
        count = len(self.seeds)
        returns = np.empty((2, count, count))
        good = np.arange(count)
        for shift in range(count):
            returns[:, (good + shift) % count, good] = self.play("learned", "learned", shift)
        return returns


def square(seeds: Sequence[int], returns: NDArray[np.float64], name: str) -> str:
    """Return a side's returns [R, R] as a Markdown table."""
    head = [f"{name}'s return", *(f"agent_0 of {seed}" for seed in seeds)]
    rows = [
        [f"adversary_0 of {seed}", *(f"{x:.2f}" for x in row)]
        for seed, row in zip(seeds, returns, strict=True)
    ]
    return markdown([head, *rows])


def summary(match: Match, pairs: NDArray[np.float64]) -> str:
    """Return the means over seeds as a Markdown table; `pairs` is what `every_pair` returned."""
    together = pairs.diagonal(axis1=1, axis2=2)
    # A good agent's mean over the adversaries of other seeds.
    apart = (pairs.sum(1) - together) / (pairs.shape[1] - 1)
    cells = {
        ("learned, same seed", "learned"): together,
        ("learned, other seeds", "learned"): apart,
    }
    for sides in (
        ("script", "learned"),
        ("random", "learned"),
        ("learned", "script"),
        ("learned", "random"),
        ("script", "script"),
        ("random", "random"),
    ):
        cells[sides] = match.play(*sides)
    head = ["adversary_0", "agent_0", *(f"{name}'s return" for name in NAMES)]
    rows = [
        [*sides, *(cell(side.tolist(), 2) for side in returns)] for sides, returns in cells.items()
    ]
    return markdown([head, *rows])


def main(argv: list[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--episodes", type=int, default=1000, help="of each pair")
    parser.add_argument("--checkpoint", default="latest", help="best, latest or a file")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        if options.episodes < 1:
            raise ValueError(f"--episodes {options.episodes}: expected a number of at least 1")
        run = open_run(options.run, "cpu", [])
        if not run.job.env["_target_"].endswith(".Push") or len(run.job.seeds) < 2:
            raise ValueError(f"{options.run}: expected a run on env=push with two seeds or more")
        match = Match(run, options.checkpoint, options.episodes)
    except (OSError, ValueError) as error:
        sys.exit(f"cross_play: {error}")
    pairs = match.every_pair()
    tables = [square(match.seeds, side, name) for side, name in zip(pairs, NAMES, strict=True)]
    sys.stdout.write("\n\n".join([*tables, summary(match, pairs)]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
