"""What a job is made of, and what is tried with it before its run begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from marlrun.config.schema import did_you_mean
from marlrun.config.tasks import tasks_of
from marlrun.runner import demonstrations, frozen, teachers
from marlrun.runner.abilities import refuse_unable
from marlrun.runner.build import build_env, build_learner, settled
from marlrun.runner.checkpoint import NEWEST
from marlrun.runner.console import HEADLINE
from marlrun.runner.evaluate import check_room, evaluate, exact_values
from marlrun.runner.influence import check_signal
from marlrun.runner.job import Job
from marlrun.runner.plays import block_size
from marlrun.runner.promises import check_first_step
from marlrun.system.errors import PlayError
from marlrun.system.output import say
from marlrun.types import AnyLearner, Env, Policy


@dataclass(frozen=True)
class Parts:
    """A job with its environment and learner, before any step."""

    job: Job
    device: torch.device
    plugins: Sequence[str]
    env: Env
    learner: AnyLearner

    @cached_property
    def exact(self) -> dict[str, float] | None:
        """Exact values of the game, None where it cannot be solved; that may take half a minute."""
        return exact_values(self.job.env, self.plugins)

    def training_policy(self) -> Policy:
        """Return the policy of training: it explores, unless the learner is offline."""
        return self.learner.policy(explore=not self.job.is_offline, seeds=self.job.seeds)


def assemble(job: Job, device: torch.device, plugins: Sequence[str]) -> Parts:
    """Build a job's environment and learner; ValueError if the configuration is no good."""
    env = build_env(job.env, job.seeds, device, plugins)
    refuse_unable(job.algo, job.env, env.spec, plugins)
    demonstrations.check(job.algo, job.env, env.spec, plugins)
    size, replicas = block_size(job.env, plugins), len(job.seeds)
    check_room(env.spec, replicas, job.eval_episodes, size, device, "eval.episodes")
    check_room(env.spec, replicas, job.final_episodes, size, device, "eval.final_episodes")
    learner = build_learner(
        job.algo, env, job.seeds, device, plugins, job.num_envs, job.graph, job.env
    )
    frozen.tell_differences(job.algo, settled(job.env, plugins))
    games = tasks_of(job.env).values() or [job.env]
    teachers.tell_differences(job.algo, [settled(game, plugins) for game in games])
    check_signal(learner, job.env, job.seeds, device, plugins)
    if job.is_offline and job.num_envs > 1:
        say(f"marlrun: env.num_envs={job.num_envs} changes nothing: the learner is offline")
    return Parts(job, device, plugins, env, learner)


def try_first_step(parts: Parts) -> None:
    """Raise ValueError if a job's parts break a promise of types.py, or fail, at their first step.

    They play in a copy of the game, so the run begins as if nothing had been tried.
    """
    job = parts.job
    copy = build_env(job.env, job.seeds, parts.device, parts.plugins)
    try:
        check_first_step(copy, parts.training_policy(), len(job.seeds))
    except PlayError as error:
        raise ValueError(str(error)) from error


def check_selection(parts: Parts) -> None:
    """Raise ValueError unless evaluations have the tag that is to select best.pt."""
    job, tag = parts.job, parts.job.checkpoint_best
    if tag in (HEADLINE, NEWEST):
        return
    # An evaluation of no steps has the same tags as any other.
    blocks = evaluate(
        job.env,
        parts.learner,
        job.seeds,
        parts.device,
        parts.plugins,
        purpose="selection",
        episodes=1,
        solution=parts.exact,
        steps=0,
    )
    tags = sorted(next(blocks))
    if tag not in tags:
        expected = f"expected {NEWEST}, or what an evaluation of this run has: {', '.join(tags)}"
        raise ValueError(f"checkpoint.best={tag}: {expected}{did_you_mean(tag, [NEWEST, *tags])}")
