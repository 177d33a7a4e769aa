"""The promises of an environment; a function's first line is what `mode=check` prints."""

from itertools import islice, pairwise

import torch
from torch import Tensor

from marlrun.checks.compare import Broken, Skipped, copied, require_same
from marlrun.checks.declarations import check_keys
from marlrun.checks.subject import (
    RandomActions,
    Subject,
    Transition,
    only,
    play,
    replay,
    seed_global_generators,
)
from marlrun.envs.common.bounds import declared_bounds, observation_bounds
from marlrun.runner.promises import check_leaving, check_step
from marlrun.types import Env, Step


def shapes(subject: Subject) -> None:
    """Every step, of reset, step and restart, has the shapes and types of types.Step."""
    env, spec = subject.env(), subject.spec
    for name in ("agent_names", "obs_sizes", "num_actions"):
        if len(getattr(spec, name)) != spec.num_agents:
            raise Broken(f"spec.{name}: expected {spec.num_agents}, got {len(getattr(spec, name))}")
    policy = RandomActions(spec, subject.seeds, subject.device)
    sizes, name = (len(subject.seeds), subject.copies), type(env).__name__
    step = env.reset()
    check_step(step, spec, *sizes, f"{name}.reset")
    for _ in range(subject.num_random_steps):
        step = env.step(policy(step))
        check_step(step, spec, *sizes, f"{name}.step")
        step = env.restart(step)
        check_step(step, spec, *sizes, f"{name}.restart")


def finite(subject: Subject) -> None:
    """Observations, rewards and states are finite numbers."""
    for index, transition in enumerate(subject.random_play):
        for name in ("obs", "reward", "state"):
            for end, step in (("before", transition.before), ("after", transition.after)):
                numbers: Tensor | None = getattr(step, name)
                if numbers is not None and not torch.isfinite(numbers).all():
                    raise Broken(f"{name} {end} action {index + 1} holds NaN or infinity")


def bounds(subject: Subject) -> None:
    """Observations lie within the `obs_bounds` that the class declares."""
    env = subject.env()
    if declared_bounds(env) is None:
        raise Skipped("no obs_bounds")
    low, high = observation_bounds(env)
    for transition in subject.random_play:
        for step in (transition.before, transition.after):
            obs = step.obs.cpu()
            outside = (obs < low) | (obs > high)
            if outside.any():
                _, _, agent, feature = (int(index) for index in outside.nonzero()[0])
                limits = f"{low[agent, feature].item():g} to {high[agent, feature].item():g}"
                number = f"{subject.spec.agent_names[agent]} observes {obs[outside][0].item():g}"
                raise Broken(f"obs_bounds: {number}, expected {limits}")


def padding(subject: Subject) -> None:
    """Observations are zero beyond an agent's own size."""
    sizes = subject.spec.obs_sizes
    if len(set(sizes)) == 1:
        raise Skipped(f"all agents observe {sizes[0]} numbers")
    for transition in subject.random_play:
        for step in (transition.before, transition.after):
            for agent, size in enumerate(sizes):
                beyond = step.obs[..., agent, size:]
                if beyond.any():
                    name, number = subject.spec.agent_names[agent], beyond[beyond != 0][0].item()
                    raise Broken(f"{name} observes {size} numbers: expected 0 beyond, got {number}")


def reset(subject: Subject) -> None:
    """An episode begins in every copy: `first` is True, nothing is done and nobody is paid."""
    step = subject.random_play[0].before
    _require_beginning(step, torch.ones_like(step.first), "reset")


def restart(subject: Subject) -> None:
    """Episodes begin where a copy is done, unpaid and anew; the other copies stay as they are."""
    turns = _turns(subject)
    for after, begun in turns:
        if after.first.any():
            raise Broken("first is True after step, expected that only reset and restart set it")
        _require_beginning(begun, after.done, "restart")
        running = ~after.done
        for name in ("obs", "reward", "state", "alive", "action_mask", "adjacency"):
            before: Tensor | None = getattr(after, name)
            if before is not None:
                now = getattr(begun, name)[running]
                require_same(before[running], now, f"{name} of copies that are not done ")
    episode_ends = [(after, begun) for after, begun in turns if after.done.any()]
    if not episode_ends:
        raise Skipped(f"no episode ended within {len(turns):,} steps")
    if subject.spec.continuing:
        for after, begun in episode_ends:
            require_same(_view(after), _view(begun), "the state of a continuing task ")
    else:
        _require_new_start(subject, episode_ends)


def _require_beginning(step: Step, first: Tensor, where: str) -> None:
    """Raise Broken unless episodes begin exactly where `first` says, unpaid."""
    require_same(first, step.first, f"first after {where} ")
    if step.done.any():
        raise Broken(f"a copy is done after {where}, expected none")
    paid = step.reward[first]
    if paid.any():
        raise Broken(f"reward after {where}: expected 0, got {paid[paid != 0][0].item():g}")


def _require_new_start(subject: Subject, episode_ends: list[tuple[Step, Step]]) -> None:
    """Raise Broken if restart shows the end of the last episode wherever that can be told.

    Where all episodes end in a view that reset may give, it cannot.
    """
    ends = torch.cat([_view(after)[after.done] for after, _ in episode_ends])
    starts = torch.cat([_view(begun)[after.done] for after, begun in episode_ends])
    at_reset = _view(subject.random_play[0].before).flatten(0, 1)
    is_start = (ends[:, None] == at_reset).all(-1).any(1)
    if torch.equal(ends, starts) and not is_start.all():
        raise Broken(
            "expected a beginning, got the observations with which the episode ended, every time"
        )


def _view(step: Step) -> Tensor:
    """Return all that is seen of a copy: [R, E, features]."""
    parts = [step.obs.flatten(2)] + ([] if step.state is None else [step.state.float()])
    return torch.cat(parts, -1)


def _views(subject: Subject, env: Env) -> Tensor:
    """Return what is seen before and after each step where all copies choose alike.

    The result is [T, R, E, features].
    """
    policy = RandomActions(subject.spec, subject.seeds, subject.device, together=True)
    turns = islice(play(env, policy), subject.num_random_steps)
    return torch.stack([torch.cat([_view(turn.before), _view(turn.after)], -1) for turn in turns])


def _turns(subject: Subject) -> list[tuple[Step, Step]]:
    """Return what step and then restart gave, of every step but the last."""
    return [(earlier.after, later.before) for earlier, later in pairwise(subject.random_play)]


def horizon(subject: Subject) -> None:
    """An episode is truncated after `horizon` steps, not earlier, unless it has terminated."""
    spec = subject.spec
    may_be_early: bool = getattr(subject.env(), "truncates_early", False)
    age = torch.zeros_like(subject.random_play[0].before.first, dtype=torch.int64)
    for _, _, after, _ in subject.random_play:
        age += 1
        if (after.terminated & after.truncated).any():
            raise Broken("terminated and truncated are both True, expected one of them")
        if spec.continuing and after.terminated.any():
            raise Broken("a continuing task has terminated, expected that it never does")
        early, late = after.truncated & (age < spec.horizon), ~after.done & (age >= spec.horizon)
        early &= not may_be_early
        for wrong, what in ((early, "truncated"), (late, "not done")):
            if wrong.any():
                steps = int(age[wrong][0])
                raise Broken(f"{what} after {steps} steps, expected an end after {spec.horizon}")
        age[after.done] = 0
    if len(subject.random_play) < spec.horizon:
        raise Skipped(f"the horizon is longer than the {len(subject.random_play):,} steps played")


def leaving(subject: Subject) -> str | None:
    """Agents that have left stay away until the episode ends, unpaid, and their actions are ignored."""
    if not subject.spec.agents_leave:
        raise Skipped("no agent leaves")
    name = f"{type(subject.env()).__name__}.step"
    for before, _, after, _ in subject.random_play:
        check_leaving(before, after, subject.spec, name)
    absent = [transition.before.alive for transition in subject.random_play]
    if all(alive is None or alive.all() for alive in absent):
        return f"no agent left before the episode's end within {len(absent):,} steps"
    _require_ignored(subject)
    return None


def _require_ignored(subject: Subject) -> None:
    """Raise Broken if the game depends on the actions of agents that have left."""
    last = torch.tensor(subject.spec.num_actions, device=subject.device) - 1
    actions: list[Tensor] = []
    for before, action, _, _ in subject.random_play:
        assert before.alive is not None
        actions.append(torch.where(before.alive, action, last))
    seed_global_generators(0)
    pairs = zip(subject.random_play, replay(subject.env(), actions), strict=True)
    for index, (expected, seen) in enumerate(pairs):
        where = f"after action {index + 1}, in which those that have left play others, "
        require_same(expected.after, seen.after, where)


def steps(subject: Subject) -> None:
    """A step that was returned stays as it was while the game goes on."""
    env, policy = subject.env(), RandomActions(subject.spec, subject.seeds, subject.device)
    step, steps_and_copies = env.reset(), list[tuple[Step, Step]]()
    for _ in range(20):
        after = env.step(policy(step))
        steps_and_copies += [(step, copied(step)), (after, copied(after))]
        step = env.restart(after)
    for returned, copy in steps_and_copies:
        require_same(copy, returned, "a step, 20 steps later ")


def state(subject: Subject) -> None:
    """An environment that was saved and loaded goes on as the one that was not."""
    if not getattr(subject.env(), "resumable", True):
        raise Skipped("resumable = False")
    expected = subject.random_play
    cut = len(expected) // 2
    env = subject.env()
    *_, last = replay(env, [transition.action for transition in expected[: cut + 1]])
    # Training resumes in the same way: without a reset, by a restart of the last step.
    loaded_env = subject.env()
    loaded_env.load_state_dict(subject.save_and_load(env=env.state_dict())["env"])
    step = loaded_env.restart(last.after)
    for index, transition in enumerate(expected[cut + 1 :], start=cut + 1):
        require_same(transition.before, step, f"before action {index + 1}, ")
        after = loaded_env.step(transition.action)
        require_same(transition.after, after, f"after action {index + 1}, ")
        step = loaded_env.restart(after)


def company(subject: Subject) -> None:
    """A replica plays the same game alone and in company."""
    index = len(subject.seeds) - 1
    if index == 0:
        raise Skipped("replicas=1")
    expected = [only(transition, index) for transition in subject.random_play]
    _require_same_play(expected, subject.env(subject.seeds[index:]))


def seed(subject: Subject) -> str | None:
    """The same seed gives the same game, another seed another."""
    _require_same_play(subject.random_play, subject.env())
    # Where all copies choose alike, only chance can tell them apart.
    views = _views(subject, subject.env())
    if torch.equal(views, views[:, :1, :1].expand_as(views)):
        return "nothing in it is random"
    other_seeds = range(subject.seeds[-1] + 1, subject.seeds[-1] + 1 + len(subject.seeds))
    if torch.equal(views, _views(subject, subject.env(other_seeds))):
        raise Broken(
            "expected another game of other seeds, got the same, though chance plays in it"
        )
    return None


def generators(subject: Subject) -> None:
    """The global random generators of torch, numpy and Python change nothing."""
    _require_same_play(subject.random_play, subject.env(), global_seed=1)


def declared(subject: Subject) -> None:
    """Every key of the YAML has its `# TYPE: meaning`, and every parameter of the class its key."""
    check_keys(subject, "env")


def _require_same_play(expected: list[Transition], env: Env, global_seed: int = 0) -> None:
    """Raise Broken unless the actions of `expected` lead to the same steps in `env`."""
    seed_global_generators(global_seed)
    actions = [transition.action for transition in expected]
    for index, (transition, seen) in enumerate(zip(expected, replay(env, actions), strict=True)):
        require_same(transition.before, seen.before, f"before action {index + 1}, ")
        require_same(transition.after, seen.after, f"after action {index + 1}, ")


PROMISES = (
    *(shapes, finite, bounds, padding, reset, restart, horizon, leaving, steps),
    *(state, company, seed, generators, declared),
)
"""All of them; the others cannot be tried where the first is broken."""
