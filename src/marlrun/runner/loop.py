"""The two loops of training; their caller logs, evaluates, saves and stops.

Online: act, step, observe, update. Offline: update, from data that the learner has.
"""

from collections.abc import Iterator

from marlrun.types import Env, Learner, OfflineLearner, Policy, Step, Tick


def online(learner: Learner, env: Env, policy: Policy, step: Step) -> Iterator[Tick]:
    """Yield a tick after every joint action, for ever; every yield is a safe point to save."""
    while True:
        action = policy(step)
        after = env.step(action)
        learner.observe(step, action, after)
        yield Tick(after, learner.update())
        step = env.restart(after)


def offline(learner: OfflineLearner) -> Iterator[Tick]:
    """Yield a tick after every update, for ever; every yield is a safe point to save."""
    while True:
        yield Tick(None, learner.update())
