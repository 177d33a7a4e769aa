"""The one online loop: act, step, observe, update. Its caller logs, evaluates, saves and stops."""

from collections.abc import Iterator

from marlrun.types import Env, Learner, Policy, Step, Tick


def online(learner: Learner, env: Env, policy: Policy, step: Step) -> Iterator[Tick]:
    """Yield a tick after every joint action, for ever; every yield is a safe point to save."""
    while True:
        action = policy(step)
        after = env.step(action)
        learner.observe(step, action, after)
        yield Tick(after, learner.update())
        step = env.restart(after)
