"""What one answered call of a foreign PettingZoo game may do wrong: a rule returns it, or "".

Rules about values look only at what has the right shape: the shape is the business of another.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import numpy as np
from gymnasium.spaces import Discrete

from marlrun.checks.compare import difference
from marlrun.checks.foreign_play import Moment, mask_of
from marlrun.envs.pettingzoo.adapter import Agent, PromiseError

Agents = Mapping[str, Agent]
Rule = Callable[[Moment, Agents], str]


def who_begins(moment: Moment, agents: Agents) -> str:
    """Only possible agents are there, and at a reset all of them."""
    for name in moment.agents:
        if name not in agents:
            return f"{name} is an agent, expected one of possible_agents: {', '.join(agents)}"
    absent = [name for name in agents if moment.is_reset and name not in moment.agents]
    return f"{absent[0]} is absent, expected all possible_agents" if absent else ""


def who_leaves(moment: Moment, agents: Agents) -> str:
    """Those leave who have terminated or are truncated, and none of them returns."""
    for name in moment.agents:
        if name in moment.absent:
            return f"{name} has left and is an agent again, expected that it stays away"
    for name in moment.acting:
        has_ended = bool(moment.terminations.get(name)) or bool(moment.truncations.get(name))
        if has_ended and name in moment.agents:
            return f"{name} has ended and is still an agent, expected that it leaves"
        if not has_ended and name not in moment.agents:
            return f"{name} is no agent any more, expected that it has terminated or is truncated"
    return ""


def ends(moment: Moment, agents: Agents) -> str:
    """Everyone who acted has two flags."""
    for kind in ("terminations", "truncations"):
        flags: Mapping[str, Any] = getattr(moment, kind)
        for name in moment.acting:
            if not isinstance(flags.get(name), bool | np.bool_):
                return f"{kind} of {name}: expected a bool, got {_shown(flags, name)}"
    return ""


def rewards(moment: Moment, agents: Agents) -> str:
    """Everyone who acted is paid a number, and nobody else is paid."""
    for name in moment.acting:
        if not _is_number(moment.rewards.get(name)):
            return f"{name} has acted and is paid {_shown(moment.rewards, name)}, expected a number"
    others = [name for name in moment.rewards if name not in moment.acting]
    return f"{others[0]} is paid and has not acted, expected no reward" if others else ""


def _is_number(value: object) -> bool:
    is_array = isinstance(value, np.ndarray) and cast(Any, value).ndim == 0
    return is_array or isinstance(value, int | float | np.number | np.bool_)


def _shown(values: Mapping[str, Any], name: str) -> str:
    return repr(values[name]) if name in values else "nothing"


def observations(moment: Moment, agents: Agents) -> str:
    """Everyone who goes on observes, and all observations have the shapes of their spaces."""
    for name in moment.agents:
        if name not in moment.observations:
            return f"{name} goes on and observes nothing"
    seen = moment.observations
    misfits = (_misfit(agent, seen[name]) for name, agent in agents.items() if name in seen)
    return next((text for text in misfits if text), "")


def _misfit(agent: Agent, observation: Any) -> str:
    """Return what is wrong with the kind or the shape of what an agent observes, or ""."""
    name, space = agent.name, agent.space
    if agent.is_in_dict:
        is_dict = isinstance(observation, Mapping)
        keys = set(cast("Mapping[str, Any]", observation)) if is_dict else None
        if keys != {"observation", "action_mask"}:
            return f"{name} observes {observation!r}, expected observation and action_mask"
        observation = observation["observation"]
    if (shape := np.shape(observation)) != space.shape:
        return f"{name} observes an array of shape {shape}, its space says {space.shape}"
    if isinstance(space, Discrete) and not _lies_in(observation, agent.space.start, agent.obs_size):
        return f"{name} observes {observation}, expected one of {space}"
    return ""


def _lies_in(value: Any, start: int, number: int) -> bool:
    return _is_number(value) and 0 <= value - start < number


def masks(moment: Moment, agents: Agents) -> str:
    """Everyone who goes on may do something."""
    for name, agent in agents.items():
        if name not in moment.agents or _misfit(agent, moment.observations.get(name)):
            continue
        try:
            mask = mask_of(agent, moment)
        except PromiseError as error:
            return str(error)
        if not mask.any():
            return f"the action mask of {name} forbids all, expected an action for who goes on"
    return ""


INTERFACE: tuple[Rule, ...] = (who_begins, who_leaves, ends, rewards, observations, masks)
"""After a call that breaks one of these, play cannot go on."""


def dtypes(moment: Moment, agents: Agents) -> str:
    """Observations are of a dtype that their spaces take."""
    for agent, value in views(moment, agents):
        name, dtype = agent.name, np.asarray(value).dtype
        if isinstance(agent.space, Discrete):
            if dtype.kind not in "iu":
                return f"{name} observes {value!r}, expected an integer"
        elif not isinstance(value, np.ndarray):
            return f"{name} observes a {type(value).__name__}, expected an array"
        elif not np.can_cast(dtype, agent.space.dtype):
            return f"{name} observes {dtype}, its space says {agent.space.dtype}"
    return ""


def bounds(moment: Moment, agents: Agents) -> str:
    """Observations lie within their boxes; NaN lies nowhere, and is the business of another."""
    for agent, value in views(moment, agents):
        if not isinstance(agent.space, Discrete):
            numbers, low, high = np.asarray(value), agent.space.low, agent.space.high
            if (place := _first((numbers < low) | (numbers > high))) is not None:
                limits = f"{low[place]:g} to {high[place]:g}"
                seen = f"{numbers[place]:g}{_at(place)}"
                return f"{agent.name} observes {seen}, its space says {limits}"
    return ""


def finite(moment: Moment, agents: Agents) -> str:
    """No number is NaN or infinite."""
    for agent, value in views(moment, agents):
        numbers = np.asarray(value)
        if (place := _first(~np.isfinite(numbers))) is not None:
            return f"{agent.name} observes {numbers[place]}{_at(place)}"
    for name, reward in moment.rewards.items():
        if _is_number(reward) and not np.isfinite(reward):
            return f"{name} is paid {reward}"
    return ""


def views(moment: Moment, agents: Agents) -> Iterator[tuple[Agent, Any]]:
    """Yield what each agent observes, without its mask, where it has the right shape."""
    for name, agent in agents.items():
        if name in moment.observations and not _misfit(agent, moment.observations[name]):
            observation = moment.observations[name]
            yield agent, observation["observation"] if agent.is_in_dict else observation


def _first(wrong: Any) -> tuple[int, ...] | None:
    """Return the place of the first value that is wrong, if one is."""
    return tuple(map(int, np.argwhere(wrong)[0])) if np.any(wrong) else None


def _at(place: tuple[int, ...]) -> str:
    return f" at {list(place)}" if place else ""


def actions(moment: Moment, agents: Agents) -> str:
    """The dictionary of actions stays as it was given."""
    return difference(moment.actions, moment.actions_afterwards, "actions of ")
