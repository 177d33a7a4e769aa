"""Say how much a speaker's words tell of the goal, and what the listener makes of them.

    python docs/language.py RUN [--episodes 1000] [--checkpoint latest]

RUN is a run on env=speaker_listener. The table has a row for each seed: the mutual information of
goal and word in bits (at most log2 3 = 1.585); the same with the goals of other episodes, which is 0
but for the bias of the estimate; the return; the return when the listener is given the words of
another episode; the share of episodes that end within 0.1 of the goal.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from marlrun.ops.information import mutual_information, pair_counts
from marlrun.runner.build import build_env
from marlrun.runner.intervals import estimate
from marlrun.runner.stored import StoredRun, load_learner, open_run, training_env
from marlrun.streams import derive
from marlrun.types import AnyLearner

SPEAKER = 0
NUM_GOALS = NUM_WORDS = 3
NEAR = 0.1
HEAD = ("seed", "bits", "bits, other goals", "return", "return, other words", "near the goal")


class Conversation(NamedTuple):
    """What was said and earned in R x E episodes of at most T steps."""

    goals: Tensor
    """[R, E] int64"""
    words: Tensor
    """[R, E, T] int64"""
    said: Tensor
    """[R, E, T] bool: the episode was not over"""
    returns: Tensor
    """[R, E]"""
    distance: Tensor
    """[R, E]: of the listener to the goal, in the end"""


@torch.no_grad()
def converse(run: StoredRun, learner: AnyLearner, episodes: int, mixed_up: bool) -> Conversation:
    """Play fresh episodes; where `mixed_up`, the listener is given the words of the next copy."""
    seeds = [derive(seed, "language") for seed in run.job.seeds]
    env = build_env(run.job.env, seeds, run.device, run.plugins, num_envs=episodes)
    policy = learner.policy(explore=False, seeds=seeds)
    step = env.reset()
    goals = step.obs[:, :, SPEAKER, :NUM_GOALS].argmax(-1)
    playing = torch.ones_like(step.first)
    words: list[Tensor] = []
    said: list[Tensor] = []
    returns, last = torch.zeros_like(step.reward[..., 0]), torch.zeros_like(step.reward[..., 0])
    for _ in range(env.spec.horizon):
        action = policy(step)
        words.append(action[..., SPEAKER])
        said.append(playing)
        if mixed_up:
            action = action.clone()
            action[..., SPEAKER] = action[..., SPEAKER].roll(1, dims=1)
        after = env.step(action)
        reward = after.reward.mean(-1)
        returns += reward * playing
        last = torch.where(playing, reward, last)
        playing = playing & ~after.done
        step = env.restart(after)
    is_mpe2 = run.job.env["rules"] == "mpe2"
    distance = (-last).sqrt() if is_mpe2 else -last / 2
    return Conversation(goals, torch.stack(words, -1), torch.stack(said, -1), returns, distance)


def bits(talk: Conversation, goals: Tensor) -> Tensor:
    """Return the mutual information [R] of the words and of `goals` [R, E]."""
    repeated = goals.unsqueeze(-1).expand_as(talk.words)
    pairs = (x.flatten(1) for x in (repeated, talk.words))
    counts = pair_counts(*pairs, (NUM_GOALS, NUM_WORDS), talk.said.flatten(1))
    return mutual_information(counts)


def columns(run: StoredRun, episodes: int, checkpoint: str) -> list[list[float]]:
    """Return the columns of the table but for the seeds, each with a number for every replica."""
    learner = load_learner(run, training_env(run), checkpoint).learner
    talk, confused = (converse(run, learner, episodes, mixed_up) for mixed_up in (False, True))
    numbers = [
        bits(talk, talk.goals),
        bits(talk, talk.goals.roll(1, dims=1)),
        talk.returns.mean(1),
        confused.returns.mean(1),
        (talk.distance <= NEAR).double().mean(1),
    ]
    return [column.tolist() for column in numbers]


def table(seeds: list[int], numbers: list[list[float]]) -> str:
    """Return a Markdown table, a row for each seed and one for the mean over seeds."""
    rows = [
        [str(seed), *(f"{x:.3f}" for x in row)] for seed, *row in zip(seeds, *numbers, strict=True)
    ]
    if len(seeds) > 1:
        means = (estimate(column) for column in numbers)
        rows.append(["mean", *(f"{e.mean:.3f} [{e.low:.3f}, {e.high:.3f}]" for e in means)])
    lines = [HEAD, ["---"] * len(HEAD), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(argv: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--episodes", type=int, default=1000, help="of each seed")
    parser.add_argument("--checkpoint", default="latest", help="best, latest or a file")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        if options.episodes < 2:
            raise ValueError(
                f"--episodes {options.episodes}: expected at least 2, so that there is another episode"
            )
        run = open_run(options.run, "cpu", [])
        if not run.job.env["_target_"].endswith(".SpeakerListener"):
            raise ValueError(f"{options.run}: expected a run on env=speaker_listener")
        numbers = columns(run, options.episodes, options.checkpoint)
        sys.stdout.write(f"{table(list(run.job.seeds), numbers)}\n")
    except (OSError, ValueError) as error:
        sys.exit(f"language: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
