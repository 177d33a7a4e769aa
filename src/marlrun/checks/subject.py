"""What is checked: an environment, perhaps with an algorithm, built anew for every promise."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from marlrun.checks.compare import Skipped, copied
from marlrun.config.plugins import resolve
from marlrun.config.unit import plural
from marlrun.runner.build import build_env, build_learner
from marlrun.runner.checkpoint import Checkpoints, load
from marlrun.runner.job import Job
from marlrun.runner.promises import check_action, check_allowed
from marlrun.runner.teachers import of_replicas
from marlrun.streams import Stream
from marlrun.types import AnyLearner, Env, Learner, Metrics, Policy, Seeds, Spec, StateDict, Step

FEWEST_STEPS = 300
"""Steps that are played at least, so that episodes end and rewards are paid."""
FEWEST_UPDATES = 10
"""Updates after which an algorithm counts as having learned."""
MOST_STEPS = 2000
"""Steps of the random play at most, where episodes are long."""
MOST_BYTES = 2**29
"""Memory that a recorded play may take: games of pictures are played more shortly."""
COPIES = 3
"""Copies a replica in the random play at least: one ends while another goes on."""


class Transition(NamedTuple):
    """One step of all copies, with the metrics of the update that followed it."""

    before: Step
    action: Tensor
    after: Step
    metrics: Metrics


class Answer(NamedTuple):
    """What a learner makes of a transition that it sees."""

    action: Tensor
    """What its policy would have played."""
    metrics: Metrics


class Run(NamedTuple):
    """What plays and learns."""

    env: Env
    policy: Policy
    learner: AnyLearner


class Lesson(NamedTuple):
    """What an algorithm did and learned in the run that other runs are compared with."""

    transitions: list[Transition]
    updates: list[int]
    """The indices of the transitions after which it learned."""
    learner: AnyLearner


@dataclass(frozen=True)
class Subject:
    """A job whose classes are on trial."""

    job: Job
    device: torch.device
    plugins: list[str]
    directory: Path
    """A temporary directory."""
    untyped: list[str]
    """Keys of the YAML files that no comment of the form `# TYPE: meaning` declares."""

    @property
    def seeds(self) -> Seeds:
        """The seeds of the replicas."""
        return self.job.seeds

    @property
    def copies(self) -> int:
        """The copies a replica in the random play."""
        return max(COPIES, self.job.num_envs)

    @cached_property
    def spec(self) -> Spec:
        """The game's specification."""
        return self.env().spec

    def constructor(self, kind: Literal["algo", "env"]) -> Callable[..., Any]:
        """Return the class that is checked, of the algorithm or of the environment."""
        node = self.job.algo if kind == "algo" else self.job.env
        return resolve(node.get("_target_"), kind, self.plugins)

    def env(self, seeds: Seeds | None = None, copies: int | None = None) -> Env:
        """Build the environment, with the job's seeds and `self.copies` unless others are given."""
        seeds, copies = seeds or self.seeds, copies or self.copies
        return build_env(self.job.env, seeds, self.device, self.plugins, num_envs=copies)

    def learner(self, seeds: Seeds | None = None) -> AnyLearner:
        """Build the algorithm for the job's number of copies."""
        job, seeds = self.job, seeds or self.seeds
        env = self.env(seeds, job.num_envs)
        algo = of_replicas(job.algo, [self.seeds.index(seed) for seed in seeds])
        return build_learner(
            algo, env, seeds, self.device, self.plugins, job.num_envs, job.graph, job.env
        )

    def save_and_load(self, **state: StateDict) -> StateDict:
        """Write a checkpoint as training does and return what it holds when it is read again."""
        checkpoints = Checkpoints(self.directory)
        checkpoints.save(0, state)
        return load(checkpoints.named("latest"), self.device)

    @property
    def num_random_steps(self) -> int:
        """How long the random play is."""
        features = self.copies * self.spec.num_agents * max(self.spec.obs_sizes)
        return fitting_steps(self.spec.horizon, 8 * len(self.seeds) * features)

    @cached_property
    def random_play(self) -> list[Transition]:
        """Legal random actions and what came of them."""
        seed_global_generators(0)
        steps = play(self.env(), RandomActions(self.spec, self.seeds, self.device))
        return list(islice(steps, self.num_random_steps))

    def begin(self, global_seed: int = 0) -> Run:
        """Build what plays and learns, after seeding the global random generators."""
        seed_global_generators(global_seed)
        learner, env = self.learner(), self.env(copies=self.job.num_envs)
        return Run(env, training_policy(learner, self.seeds), learner)

    @cached_property
    def lesson(self) -> Lesson:
        """The algorithm's run: until it has learned a few times, within the job's budget."""
        run = self.begin()
        lesson = Lesson([], [], run.learner)
        for index, transition in enumerate(islice(play(*run), self._most_steps)):
            lesson.transitions.append(transition)
            if transition.metrics:
                lesson.updates.append(index)
            if len(lesson.updates) < FEWEST_UPDATES or index + 1 < FEWEST_STEPS:
                continue
            # Midway between two updates a learner holds what it has observed for the next one.
            earlier, latest = lesson.updates[-2:]
            if index - latest >= (latest - earlier) // 2:
                break
        return lesson

    @cached_property
    def final_state(self) -> StateDict:
        """A copy of the learner's state as the lesson left it, before other promises are tried."""
        return copied(self.lesson.learner.state_dict())

    @property
    def _most_steps(self) -> int:
        """The job's budget, in ticks: steps of all copies, or updates of an offline learner."""
        return -(-self.job.budget // (1 if self.job.is_offline else self.job.num_envs))

    @cached_property
    def learned(self) -> Lesson:
        """The lesson; Skipped if there was no update in it."""
        if not self.lesson.updates:
            raise Skipped(f"no update within {self.job.budget:,} {plural(self.job.unit)}")
        return self.lesson


def fitting_steps(horizon: int, bytes_per_step: int) -> int:
    """Return how long a recorded play is: two episodes and a bit, within limits."""
    steps = min(max(FEWEST_STEPS, 2 * horizon + 3), MOST_STEPS)
    return min(steps, max(1, MOST_BYTES // bytes_per_step))


class RandomActions:
    """Every agent chooses uniformly among its legal actions.

    `together`: all copies of all replicas choose by the same numbers, those of the first seed.
    """

    def __init__(self, spec: Spec, seeds: Seeds, device: torch.device, *, together: bool = False):
        self._together, seeds = together, seeds[:1] if together else seeds
        self._stream, self._counter = Stream(seeds, "checks/actions", device), 0
        sizes = torch.tensor(spec.num_actions, device=device)
        self._exists = torch.arange(max(spec.num_actions), device=device) < sizes[:, None]

    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N]."""
        copies = 1 if self._together else step.first.shape[1]
        numbers = self._stream.uniform(self._counter, copies, *self._exists.shape)
        self._counter += 1
        legal = self._exists if step.action_mask is None else self._exists & step.action_mask
        actions = torch.where(legal, numbers, -1.0).argmax(-1)
        return actions.expand(step.reward.shape).contiguous()


def play(
    env: Env,
    policy: Callable[[Step], Tensor],
    learner: AnyLearner | None = None,
    start: Step | None = None,
) -> Iterator[Transition]:
    """Yield a copy of every transition, as the loop of training makes them, from `start` or reset.

    The learner learns. ContractError for an action that its agent lacks or may not take, before the
    game fails of it.
    """
    step = env.reset() if start is None else start
    while True:
        before, action = copied(step), policy(step)
        check_action(action, env.spec, *step.first.shape)
        check_allowed(action, step, env.spec)
        after = env.step(action)
        metrics: Metrics = {}
        if learner is not None:
            metrics = learn(learner, step, action, after)
        yield Transition(before, copied(action), copied(after), copied(metrics))
        step = env.restart(after)


def replay(env: Env, actions: list[Tensor]) -> Iterator[Transition]:
    """Yield what comes of these actions, from a reset on."""
    remaining = iter(actions)
    return islice(play(env, lambda _: next(remaining)), len(actions))


def only(transition: Transition, replica: int) -> Transition:
    """Return what one of many replicas played, with the axis of replicas, without metrics."""
    before, after = (
        Step(*(None if part is None else part[replica : replica + 1] for part in step))  # pyright: ignore[reportArgumentType]
        for step in (transition.before, transition.after)
    )
    return Transition(before, transition.action[replica : replica + 1], after, {})


def relearn(learner: AnyLearner, seeds: Seeds, transitions: list[Transition]) -> Iterator[Answer]:
    """Let a learner see transitions that another has played."""
    policy = training_policy(learner, seeds)
    for before, action, after, _ in transitions:
        answer = copied(policy(before))
        yield Answer(answer, copied(learn(learner, before, action, after)))


def acts(learner: AnyLearner) -> bool:
    """Say whether a learner learns from what it does itself; an offline learner does not."""
    return hasattr(learner, "observe")


def training_policy(learner: AnyLearner, seeds: Seeds) -> Policy:
    """Return a learner's policy as training asks for it: an offline learner never explores."""
    return learner.policy(explore=acts(learner), seeds=seeds)


def learn(learner: AnyLearner, before: Step, action: Tensor, after: Step) -> Metrics:
    """Let a learner see a transition, unless it learns offline, and update."""
    if acts(learner):
        cast(Learner, learner).observe(before, action, after)
    return learner.update()


def seed_global_generators(seed: int) -> None:
    """Seed the global random generators of torch, numpy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
