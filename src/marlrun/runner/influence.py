"""Which agents do nothing that they see: discriminators that see no action learn nothing of theirs."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor

from marlrun.nets.masks import forbidden_actions, missing_actions, uniform_action
from marlrun.runner.build import Node, build_env
from marlrun.streams import Stream, derive
from marlrun.system.output import say
from marlrun.types import AnyLearner, Env, Seeds, Spec, Step

View = Literal["own", "all"]

COPIES = 16
"""So many copies of the game are tried, .."""
STATES = 5
""".. from so many states each, .."""
STEPS = 5
""".. and watched for so many steps after an action."""


def check_signal(
    learner: AnyLearner,
    env_node: Node,
    seeds: Seeds,
    device: torch.device,
    plugins: Sequence[str],
) -> None:
    """Name the agents whose discriminators can carry no signal, for they see no action nor its trace.

    ValueError, in one line, if there are only such agents. A learner whose discriminators see no
    actions says so by `judged_view`. Games whose state cannot be saved are not tried.
    """
    view: View | None = getattr(learner, "judged_view", None)
    if view is None:
        return
    fresh = [derive(seeds[0], "influence")]
    env = build_env(env_node, fresh, device, plugins, num_envs=COPIES)
    if not getattr(env, "resumable", True):
        return
    unseen = traceless(env, fresh, view)
    if not unseen:
        return
    whom = "it observes" if view == "own" else "anybody observes"
    problem = (
        f"algo.discriminator.inputs=state: no action of {', '.join(unseen)} changes what {whom}"
    )
    if len(unseen) == env.spec.num_agents:
        raise ValueError(
            f"{problem}, so discriminators learn nothing: expected inputs=state_action"
        )
    say(
        f"marlrun: {problem}, so its discriminator stays at chance: choose inputs=state_action, "
        "or report the rewards of the other agents alone"
    )


@torch.no_grad()
def traceless(env: Env, seeds: Seeds, view: View) -> list[str]:
    """Return the names of the agents whose actions never change the view: their own, or anybody's.

    An agent's actions are tried one after another from the same states of the game; what the others
    do, and what all do afterwards, stays the same.
    """
    step = env.reset()
    stream, num_actions = Stream(seeds, "influence", step.obs.device), env.spec.num_actions
    chance = stream.uniform(0, STATES, STEPS, *step.reward.shape[1:])
    unseen = list(range(env.spec.num_agents))
    for numbers in chance.unbind(1):
        state = deepcopy(env.state_dict())
        for agent in list(unseen):
            futures: list[Tensor] = []
            for choice in range(num_actions[agent]):
                env.load_state_dict(deepcopy(state))
                futures.append(_future(env, step, numbers, agent, choice, view))
            if any(not torch.equal(future, futures[0]) for future in futures):
                unseen.remove(agent)
        env.load_state_dict(state)
        step = env.restart(env.step(_action(env.spec, step, numbers[:, 0])))
    return [env.spec.agent_names[agent] for agent in unseen]


def _future(env: Env, step: Step, chance: Tensor, agent: int, choice: int, view: View) -> Tensor:
    """Return what is seen [STEPS, R, E, ..] after an agent's choice; zeros once the episode is over.

    `chance` [R, STEPS, E, N] decides what else is done.
    """
    chosen = torch.arange(env.spec.num_agents, device=chance.device) == agent
    playing = torch.ones_like(step.first)
    frames: list[Tensor] = []
    for time, numbers in enumerate(chance.unbind(1)):
        action = _action(env.spec, step, numbers)
        if time == 0:
            may = chosen if step.action_mask is None else chosen & step.action_mask[..., choice]
            action = torch.where(may, choice, action)
        after = env.step(action)
        seen = after.obs[..., agent, :] if view == "own" else after.obs.flatten(-2)
        frames.append(torch.cat((seen, torch.ones_like(seen[..., :1])), -1) * playing.unsqueeze(-1))
        playing = playing & ~after.done
        step = env.restart(after)
    return torch.stack(frames)


def _action(spec: Spec, step: Step, chance: Tensor) -> Tensor:
    """Return the actions [R, E, N] that numbers in [0, 1) choose among those allowed."""
    forbidden = forbidden_actions(step, missing_actions(spec, chance.device))
    if forbidden is not None:
        return uniform_action(chance, forbidden)
    return (chance * torch.tensor(spec.num_actions, device=chance.device)).long()
