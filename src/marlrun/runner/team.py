"""Mixed teams: agents of one game that act by the policies of several runs.

Shapes: R replicas, E copies, N agents.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from marlrun.config.schema import did_you_mean
from marlrun.config.unit import singular
from marlrun.runner.abilities import refuse_unable
from marlrun.runner.shapes import misfit
from marlrun.runner.stored import StoredRun, load_learner, open_run, training_env
from marlrun.streams import derive
from marlrun.system.output import say
from marlrun.types import AnyLearner, Policy, Seeds, Spec, StateDict, Step


@dataclass(frozen=True)
class Guest:
    """A run whose policy acts in an agent's place, and the checkpoint that the policy is taken from."""

    directory: Path
    checkpoint: str = "best"

    def __str__(self) -> str:
        return str(self.directory) if self.checkpoint == "best" else self.checkpoint


class Player(NamedTuple):
    """A learner of a team."""

    learner: AnyLearner
    stream: str | None
    """The name of random numbers of its own; None for those that are given to the team."""
    shift: int = 0
    """Its replica r + shift acts in replica r of the game; after the last comes the first."""


class Team:
    """Learners of several runs; each agent acts by the policy of its player."""

    def __init__(self, players: Sequence[Player], turns: Sequence[int]):
        """Take the players, and of every agent the index of the player who acts in its place."""
        self._players, self._turns = players, turns

    def policy(self, explore: bool, seeds: Seeds) -> "TeamPolicy":
        """Return the policy of the whole team.

        Policies of one algorithm share their random numbers, of which each agent has its own.
        Those of another algorithm would read the same numbers in another order: they get others.
        """
        policies: dict[int, Policy] = {}
        for turn in sorted(set(self._turns)):
            learner, stream, shift = self._players[turn]
            own_seeds = [derive(seed, stream) for seed in seeds] if stream else seeds
            # Random numbers belong to a replica of the game, whoever acts there.
            rolled = [own_seeds[index - shift] for index in range(len(own_seeds))]
            policy = learner.policy(explore, rolled)
            policies[turn] = RolledPolicy(policy, shift) if shift else policy
        return TeamPolicy(policies, self._turns)


class RolledPolicy:
    """The policy's replica r + shift acts in replica r of the game; after the last comes the first."""

    def __init__(self, policy: Policy, shift: int):
        """Take the policy of all replicas, and a shift that is smaller than their number."""
        self._policy, self._shift = policy, shift
        value: Any = getattr(policy, "value", None)
        self.value: Callable[[Step], Tensor] | None = (
            None if value is None else lambda step: self._back(value(self._rolled(step)))
        )
        """The returns that are anticipated, [R, E, N]; None unless the policy anticipates some."""

    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N] and advance the policy's memory."""
        return self._back(self._policy(self._rolled(step)))

    def _rolled(self, step: Step) -> Step:
        fields = (None if x is None else x.roll(self._shift, 0) for x in step)
        return Step(*fields)  # pyright: ignore[reportArgumentType]

    def _back(self, answer: Tensor) -> Tensor:
        return answer.roll(-self._shift, 0)

    def state_dict(self) -> StateDict:
        """Return the policy's state, by its own replicas."""
        return self._policy.state_dict()

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self._policy.load_state_dict(state)


class TeamPolicy:
    """All policies see every step, as in their own runs; of each, some agents' actions are taken."""

    def __init__(self, policies: Mapping[int, Policy], turns: Sequence[int]):
        """Take policies by the index of their player, and of every agent the index it acts by."""
        self._policies, self._turns = policies, turns
        values = [getattr(policy, "value", None) for policy in policies.values()]
        self.value: Callable[[Step], Tensor] | None = None if None in values else self._anticipated
        """The returns that are anticipated, [R, E, N]; None unless all policies anticipate some."""

    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N] and advance every policy's memory."""
        return self._pick({turn: policy(step) for turn, policy in self._policies.items()})

    def _anticipated(self, step: Step) -> Tensor:
        policies: Mapping[int, Any] = self._policies
        return self._pick({turn: policy.value(step) for turn, policy in policies.items()})

    def _pick(self, answers: Mapping[int, Tensor]) -> Tensor:
        """Return [R, E, N]: for each agent its part of the answer [R, E, N] of its own policy."""
        return torch.stack([answers[turn][..., i] for i, turn in enumerate(self._turns)], -1)

    def state_dict(self) -> StateDict:
        """Return the states of all policies."""
        return {str(turn): policy.state_dict() for turn, policy in self._policies.items()}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        for turn, policy in self._policies.items():
            policy.load_state_dict(state[str(turn)])


def check_rotation(rotate: int, replicas: int, has_guests: bool) -> None:
    """Raise ValueError unless replica r can play with replica r + rotate of some guest."""
    if rotate and not has_guests:
        raise ValueError(f"rotate={rotate}: expected agents.NAME=RUN beside it")
    if rotate >= replicas:
        expected = f"expected int [0, {replicas - 1}], for the run has {replicas} replicas"
        raise ValueError(f"rotate={rotate}: {expected}")


def join_guests(
    host: StoredRun, learner: AnyLearner, game: Spec, guests: Mapping[str, Guest], rotate: int = 0
) -> Team:
    """Return the team of a run, in which the policies of `guests` act in the place of some agents.

    Replica r of the run plays with replica r + rotate of every guest, after the last with the first.
    ValueError, in one line that names the agent, if there is no such agent, or if a guest's run is
    no good or does not fit.
    """
    players, turns = [Player(learner, None)], [0] * game.num_agents
    index_of: dict[Guest, int] = {}
    for name, guest in guests.items():
        try:
            if name not in game.agent_names:
                guess = did_you_mean(name, game.agent_names)
                raise ValueError(f"no such agent, expected {' | '.join(game.agent_names)}{guess}")
            if guest not in index_of:
                index_of[guest] = len(players)
                players.append(_load_guest(guest, host, game, rotate))
        except ValueError as error:
            raise ValueError(f"agents.{name}={guest}: {error}") from error
        turns[game.agent_names.index(name)] = index_of[guest]
    return Team(players, turns)


def _load_guest(guest: Guest, host: StoredRun, game: Spec, rotate: int) -> Player:
    run = open_run(guest.directory, host.device.type, host.plugins)
    replicas, expected = len(run.job.seeds), len(host.job.seeds)
    if replicas != expected:
        raise ValueError(
            f"has {replicas} replicas, expected {expected}, as run={host.directory} has"
        )
    env = training_env(run)
    if problem := misfit(env.spec, game):
        raise ValueError(problem)
    refuse_unable(run.job.algo, host.job.env, game, run.plugins)
    learner, path, unit, done = load_learner(run, env, guest.checkpoint)
    say(f"guest {path}: {singular(unit)} {done}")
    target = run.job.algo["_target_"]
    return Player(learner, None if target == host.job.algo["_target_"] else target, rotate)
