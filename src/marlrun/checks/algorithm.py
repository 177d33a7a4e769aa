"""The promises of an algorithm; a function's first line is what `mode=check` prints."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from marlrun.checks.compare import (
    Broken,
    Skipped,
    copied,
    difference,
    flat,
    part_of,
    require_same,
)
from marlrun.checks.declarations import check_keys
from marlrun.checks.subject import (
    FEWEST_UPDATES,
    Subject,
    Transition,
    acts,
    learn,
    only,
    play,
    relearn,
    seed_global_generators,
    training_policy,
)
from marlrun.runner import evaluate
from marlrun.runner.health import Health
from marlrun.runner.promises import check_metrics
from marlrun.streams import derive
from marlrun.types import AnyLearner, Policy, Spec, Step

TOLERANCE = 1e-5
"""How far a replica alone may be from itself in company, where the last bits differ."""
SIDE_BY_SIDE = 32
"""Copies in which a policy is tried on steps of different times."""
LENGTH = 40
"""Steps of a history that a policy remembers, and of the future that may depend on it."""


def learning(subject: Subject) -> str | None:
    """Acting, observing and updating run, and every action is one that its agent has and may take."""
    updates, steps = len(subject.lesson.updates), len(subject.lesson.transitions)
    return f"{updates} updates in {steps * subject.job.num_envs:,} steps"


def metrics(subject: Subject) -> None:
    """Metrics are finite tensors [R] or [R, N]."""
    health = Health(subject.seeds, subject.spec.agent_names)
    for index in subject.learned.updates:
        values = subject.learned.transitions[index].metrics
        check_metrics(values, len(subject.seeds), subject.spec.num_agents)
        health.check_metrics(values, f"step {index + 1}")


def finite(subject: Subject) -> None:
    """No number of what is learned is NaN."""
    health = Health(subject.seeds, subject.spec.agent_names)
    steps = len(subject.lesson.transitions)
    health.check_state(subject.final_state, f"step {steps}")


def moves(subject: Subject) -> None:
    """An update changes what is learned: a tensor of floating point in `state_dict`."""
    transitions, updates = subject.learned.transitions, set(subject.learned.updates)
    learner = subject.learner()
    if acts(learner) and not any(transition.after.reward.any() for transition in transitions):
        raise Skipped(f"no reward was paid in {len(transitions):,} steps")
    policy = training_policy(learner, subject.seeds)
    for index, (before, action, after, _) in enumerate(transitions):
        policy(before)
        earlier = _numbers(learner) if index in updates else {}
        learn(learner, before, action, after)
        later = _numbers(learner) if index in updates else {}
        # What comes into being in the first update, as an optimiser's moments may, is no change.
        if any(not torch.equal(earlier[path], later[path]) for path in earlier.keys() & later):
            return
    raise Broken(f"expected other numbers in state_dict after {len(updates)} updates, got the same")


def _numbers(learner: AnyLearner) -> dict[str, Tensor]:
    """Return copies of the tensors of floating point in a learner's state, counters left out."""
    leaves: dict[str, Any] = flat(copied(learner.state_dict()))
    return {
        path: leaf
        for path, leaf in leaves.items()
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.ndim
    }


def memory(subject: Subject) -> None:
    """A policy's memory clears where an episode begins, and only there."""
    learner, transitions = subject.lesson.learner, subject.lesson.transitions
    history, other_history, future = (_side_by_side(transitions, part) for part in range(3))
    nowhere = torch.zeros_like(future[0].first)
    every_second = nowhere.clone()
    every_second[:, ::2] = True
    for explore in {acts(learner), False}:

        def answers(past: list[Step], first: Tensor, explore: bool = explore) -> Tensor:
            policy = learner.policy(explore=explore, seeds=subject.seeds)
            _answers(policy, past)
            return _answers(policy, [future[0]._replace(first=first), *future[1:]])

        cleared, remembering = answers(history, ~nowhere), answers(history, nowhere)
        require_same(cleared, answers(other_history, ~nowhere), "what it does after `first` ")
        mixed = answers(history, every_second)
        require_same(cleared[:, :, ::2], mixed[:, :, ::2], "what it does where an episode begins ")
        require_same(remembering[:, :, 1::2], mixed[:, :, 1::2], "what it does where none begins ")


def policy_state(subject: Subject) -> None:
    """A policy that was saved and loaded goes on as the one that was not."""
    learner, transitions = subject.lesson.learner, subject.lesson.transitions
    past, future = (_side_by_side(transitions, part) for part in range(2))
    policy, loaded = (training_policy(learner, subject.seeds) for _ in range(2))
    _answers(policy, past)
    loaded.load_state_dict(subject.save_and_load(policy=policy.state_dict())["policy"])
    require_same(_answers(policy, future), _answers(loaded, future), "what it does ")


def evaluation(subject: Subject) -> None:
    """A learner that was saved and loaded is evaluated as the live one, which that leaves alone."""
    learner = subject.lesson.learner
    before = subject.final_state
    expected = _evaluated(subject, learner)
    require_same(before, learner.state_dict(), "the learner after its evaluation, ")
    loaded = subject.learner()
    loaded.load_state_dict(subject.save_and_load(learner=learner.state_dict())["learner"])
    require_same(expected, _evaluated(subject, loaded), "the loaded learner's evaluation, ")
    require_same(before, loaded.state_dict(), "the loaded learner, ")


def _evaluated(subject: Subject, learner: AnyLearner) -> dict[str, Tensor]:
    """Return an evaluation's results, and what the policy does in the steps of the lesson."""
    seeds = [derive(seed, "check") for seed in subject.seeds]
    seed_global_generators(0)
    env = subject.env(seeds, subject.job.eval_episodes)
    results = evaluate.play(env, learner.policy(explore=False, seeds=seeds))
    steps = _side_by_side(subject.lesson.transitions, 0)
    return {**results, "policy": _answers(learner.policy(explore=False, seeds=seeds), steps)}


def _side_by_side(transitions: list[Transition], part: int) -> list[Step]:
    """Return `LENGTH` steps of `SIDE_BY_SIDE` times as many copies, each at a time of its own.

    Another `part`, other times. No episode begins in them.
    """
    steps: list[Step] = []
    for time in range(part * LENGTH, (part + 1) * LENGTH):
        times = [(time + 7 * copy) % len(transitions) for copy in range(SIDE_BY_SIDE)]
        fields = zip(*(transitions[time].before for time in times), strict=True)
        step = Step(*(None if field[0] is None else torch.cat(field, 1) for field in fields))  # pyright: ignore[reportArgumentType]
        steps.append(step._replace(first=torch.zeros_like(step.first)))
    return steps


def _answers(policy: Policy, steps: Sequence[Step]) -> Tensor:
    """Return what a policy does, and what it anticipates if it does: [T, R, E, N or 2 N]."""
    value: Any = getattr(policy, "value", None)
    answers: list[Tensor] = []
    for step in steps:
        anticipated = [] if value is None else [value(step).float()]
        answers.append(torch.cat([*anticipated, policy(step).float()], -1))
    return torch.stack(answers)


def resume(subject: Subject) -> None:
    """A run that was stopped, saved and loaded goes on, bit for bit, as one that was not."""
    if not getattr(subject.env(), "resumable", True):
        raise Skipped("resumable = False")
    whole = subject.lesson
    # Midway between two updates, for the reason that Subject.lesson gives.
    updates = [-1, *(whole.updates or [len(whole.transitions) - 1])]
    middle = len(updates) // 2
    cut = (updates[middle - 1] + updates[middle]) // 2 + 1
    stopped, resumed = subject.begin(), subject.begin()
    *_, last = islice(play(*stopped), cut)
    states = {name: part.state_dict() for name, part in stopped._asdict().items()}
    loaded = subject.save_and_load(**states)
    for name, part in resumed._asdict().items():
        part.load_state_dict(loaded[name])
    rest = play(*resumed, resumed.env.restart(last.after))
    for index, transition in enumerate(whole.transitions[cut:], start=cut + 1):
        require_same(transition, next(rest), f"step {index} of a run saved at step {cut}, ")
    require_same(subject.final_state, resumed.learner.state_dict(), "learner in the end, ")


def company(subject: Subject) -> str:
    """A replica does and learns the same alone and in company, on the same transitions."""
    seeds, transitions, last = subject.seeds, subject.lesson.transitions, len(subject.seeds) - 1
    if last == 0:
        raise Skipped("replicas=1")
    everyone, alone = subject.learner(), subject.learner(seeds[last:])
    single = [only(transition, last) for transition in transitions]
    pairs = zip(
        relearn(everyone, seeds, transitions), relearn(alone, seeds[last:], single), strict=True
    )
    has_differed, updates = False, 0
    for index, (in_company, by_itself) in enumerate(pairs):
        expected, where = part_of(in_company, by_itself, last, last + 1), f"step {index + 1}, "
        has_differed = has_differed or difference(expected, flat(by_itself), where) != ""
        if has_differed:
            # Sums may be rounded otherwise; then what is learned drifts apart after a while.
            require_same(expected, flat(by_itself), where, TOLERANCE)
            updates += bool(by_itself.metrics)
        if updates == FEWEST_UPDATES:
            return f"to {TOLERANCE:g}"
    states = everyone.state_dict(), alone.state_dict()
    expected = part_of(*states, last, last + 1)
    require_same(expected, flat(states[1]), "the learner, ", TOLERANCE if has_differed else 0.0)
    return f"to {TOLERANCE:g}" if has_differed else "bit for bit"


def seed(subject: Subject) -> str | None:
    """The same seed gives the same run, and another seed another."""
    _require_same_lesson(subject, 0)
    learner = subject.learner()
    # One and the same observation again and again: only chance can tell what is done apart.
    first = subject.lesson.transitions[0].before
    step = Step(*(None if part is None else part[:1, :1].expand_as(part) for part in first))  # pyright: ignore[reportArgumentType]
    seed_global_generators(0)
    done = _answers(training_policy(learner, subject.seeds), [step] * 100)
    if torch.equal(done, done[:1].expand_as(done)):
        return "nothing that it does is random"
    other_seeds = [seed + len(subject.seeds) for seed in subject.seeds]
    seed_global_generators(0)
    if torch.equal(done, _answers(training_policy(learner, other_seeds), [step] * 100)):
        raise Broken("expected other actions of a policy with other seeds, got the same")
    return None


def generators(subject: Subject) -> None:
    """The global random generators of torch, numpy and Python change nothing."""
    _require_same_lesson(subject, 1)


def _require_same_lesson(subject: Subject, global_seed: int) -> None:
    """Raise Broken unless the run of the lesson, made again, is the same."""
    repeated = play(*subject.begin(global_seed))
    for index, (expected, seen) in enumerate(
        zip(subject.lesson.transitions, repeated, strict=False)
    ):
        require_same(expected, seen, f"step {index + 1}, ")


def padding(subject: Subject) -> None:
    """Noise in the padding of observations and of action masks changes nothing."""
    spec, transitions = subject.spec, subject.lesson.transitions
    has_masks = transitions[0].before.action_mask is not None
    if len(set(spec.obs_sizes)) == 1 and not (has_masks and len(set(spec.num_actions)) > 1):
        raise Skipped("agents are alike, nothing is padded")
    numbers = torch.Generator(subject.device).manual_seed(0)
    noisy = [
        transition._replace(
            before=_with_noise(transition.before, spec, numbers),
            after=_with_noise(transition.after, spec, numbers),
        )
        for transition in transitions
    ]
    pairs = zip(
        relearn(subject.learner(), subject.seeds, transitions),
        relearn(subject.learner(), subject.seeds, noisy),
        strict=True,
    )
    for index, (expected, seen) in enumerate(pairs):
        require_same(expected, seen, f"step {index + 1} with noise in the padding, ")


def _with_noise(step: Step, spec: Spec, numbers: torch.Generator) -> Step:
    """Return a step with other values where an agent has no feature, or no action."""
    obs, mask = step.obs.clone(), None if step.action_mask is None else step.action_mask.clone()
    for agent, (size, actions) in enumerate(zip(spec.obs_sizes, spec.num_actions, strict=True)):
        obs[..., agent, size:].normal_(generator=numbers)
        if mask is not None:
            mask[..., agent, actions:].logical_not_()
    return step._replace(obs=obs, action_mask=mask)


def declared(subject: Subject) -> None:
    """Every key of the YAML has its `# TYPE: meaning`, and every parameter of the class its key."""
    check_keys(subject, "algo")


PROMISES = (
    *(learning, metrics, finite, moves, memory, policy_state, evaluation),
    *(resume, company, seed, generators, padding, declared),
)
"""All of them; the others cannot be tried where the first is broken."""
