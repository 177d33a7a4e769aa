"""Behaviour cloning (BC): policies learn from demonstrations alone what an expert does.

Pomerleau, "Efficient training of artificial neural networks for autonomous navigation", Neural
Computation 3 (1991). The policies are those of PPO, so that evaluations of both are alike.

Shapes: R replicas, N agents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from marlrun.algos.imitation.cloning import Cloning
from marlrun.data.demonstrations import Source, read
from marlrun.data.symmetries import symmetries_of
from marlrun.data.transitions import Transitions
from marlrun.nets.actor_critic import ActorCritic, ActorCriticSettings, logits_of
from marlrun.nets.module import Activation
from marlrun.nets.sampling import Greedy, Sampling
from marlrun.streams import Stream
from marlrun.types import Metrics, Seeds, Spec, StateDict


@dataclass(frozen=True)
class BCSettings:
    """The keys of conf/algo/bc.yaml, where each is explained."""

    demonstrations: Source
    demonstrations_episodes: int | None
    validation: float
    symmetries: Literal["none", "permutations", "all"]
    batch: int
    lr: float
    share: Literal["none", "policy"]
    hidden: Sequence[int]
    activation: Activation
    normalise_observations: bool
    eval_greedy: bool


class BC:
    """The learner; it is offline, so its budget counts updates."""

    handles_action_masks: ClassVar[bool] = True
    handles_leaving: ClassVar[bool] = True

    def update(self) -> Metrics:
        """Learn from a batch; try another one of the episodes that are held out."""
        metrics = {"loss/policy": self._cloning.update(self._settings.lr)}
        if self._held_out is not None:
            metrics["loss/validation"] = self._cloning.tried(self._held_out)
        return metrics

    def policy(self, explore: bool, seeds: Seeds) -> Sampling | Greedy:
        """Return the live policy, which samples unless `eval_greedy`."""
        logits = logits_of(self._networks)
        if self._settings.eval_greedy:
            return Greedy(logits)
        return Sampling(logits, Stream(seeds, "policy", self._device))

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        settings: BCSettings,
    ):
        """Read the demonstrations; ValueError if no episode is left to learn from."""
        self._device, self._settings = device, settings
        self._networks = ActorCritic(spec, seeds, device, _networks(settings))
        shown = read(settings.demonstrations).beginning(settings.demonstrations_episodes)
        num_held_out = round(settings.validation * shown.num_episodes)
        if num_held_out == shown.num_episodes:
            raise ValueError(
                f"algo.validation={settings.validation}: expected less, so that one of "
                f"{shown.num_episodes} episodes is left to learn from"
            )
        learned = shown.beginning(shown.num_episodes - num_held_out).transitions(device)
        self._networks.take_in(learned.obs, learned.counts.unsqueeze(-1))
        symmetries = symmetries_of(spec, settings.symmetries, seeds, device)
        self._cloning = Cloning(
            self._networks, learned, seeds, device, settings.batch, symmetries, key="algo.batch"
        )
        self._held_out = None
        if num_held_out > 0:
            transitions = shown.transitions(device)
            length = learned.obs.shape[1]
            rest = (part if part is None else part[:, length:] for part in transitions)
            self._held_out = self._cloning.rows(Transitions(*rest))  # pyright: ignore

    def state_dict(self) -> StateDict:
        """Return everything learned."""
        return self._networks.state_dict() | {"cloning": self._cloning.state_dict()}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self._networks.load_state_dict(state)
        self._cloning.load_state_dict(state["cloning"])


def _networks(settings: BCSettings) -> ActorCriticSettings:
    """Return the settings of PPO's networks; nobody asks the critics for anything."""
    return ActorCriticSettings(
        critic="own",
        share=settings.share,
        hidden=settings.hidden,
        critic_hidden=(),
        activation=settings.activation,
        normalise_values=False,
        normalise_observations=settings.normalise_observations,
    )
