"""Stochastic policies of all agents: a softmax of logits, each agent's from its own parameters.

Shapes: R replicas, E copies, N agents, O observation, S states, A actions, P parameters of a policy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from marlrun.nets.captured import Captured
from marlrun.nets.logits import Boltzmann, Linear, Logits, Neural, Tabular
from marlrun.nets.masks import masked, missing_actions, missing_features
from marlrun.nets.mlp import num_parameters
from marlrun.nets.sampling import Sampling
from marlrun.streams import Stream
from marlrun.system import capacity
from marlrun.types import Seeds, Spec, Step


@dataclass(frozen=True)
class PolicySettings:
    """The node `policy` of an algorithm's YAML, where each key is explained."""

    kind: Literal["boltzmann", "tabular", "neural"]
    num_features: int
    hidden: Sequence[int]
    radius: float | None


class Actor:
    """The policies pi^i(a | s; theta^i) of all agents."""

    def __init__(self, spec: Spec, seeds: Seeds, device: torch.device, settings: PolicySettings):
        """Make the policies of all agents.

        ValueError if a table is wanted and the environment has no common one-hot state, or if the
        memory cannot hold the policies.
        """
        kind, hidden = settings.kind, settings.hidden
        if kind != "neural" and spec.num_states is None:
            raise ValueError(
                f"algo.policy.kind={kind}: expected neural: "
                "this environment has no common one-hot state"
            )
        _check_room(spec, len(seeds), device, settings)
        makers: dict[str, Callable[[], Logits]] = {
            "boltzmann": lambda: Boltzmann(spec, settings.num_features, seeds, device),
            "tabular": lambda: Tabular(spec, seeds, device),
            "neural": lambda: (
                Neural(spec, hidden, seeds, device) if hidden else Linear(spec, seeds, device)
            ),
        }
        self.spec, self.device = spec, device
        self.net = makers[kind]()
        self.parameters = self.net.parameters
        """[R, N, P], changed in place."""
        self._radius = settings.radius
        self._missing_actions = missing_actions(spec, device)
        self._missing_features = missing_features(spec, device)

    def sight(self, step: Step) -> Tensor:
        """Return what the policies see of a step."""
        if self.net.sees_state:
            assert step.state is not None
            return step.state
        return masked(step.obs, self._missing_features, 0.0)

    def logits(self, sight: Tensor) -> tuple[Tensor, Any]:
        """Return logits [R, E, N, A], -inf where an agent does not have the action, and a tape."""
        logits, tape = self.net.forward(sight)
        return masked(logits, self._missing_actions, -torch.inf), tape

    def probabilities(self, sight: Tensor) -> tuple[Tensor, Any]:
        """Return pi [R, E, N, A] and a tape."""
        logits, tape = self.logits(sight)
        # Not along the last axis: with a few actions there torch takes ten times as long.
        return logits.mT.contiguous().softmax(-2).mT, tape

    def gradient(self, tape: Any, grad: Tensor) -> Tensor:
        """Return the gradient by theta [R, N, P], given that by the logits, sum over copies."""
        return self.net.backward(tape, grad)

    def ascend(self, tape: Any, grad: Tensor) -> None:
        """Move theta along its gradient, given that by the logits; then project it."""
        self.net.ascend(tape, grad)
        if self._radius is not None:
            size = self.parameters.square().sum(-1, keepdim=True).sqrt_()
            self.parameters.mul_((self._radius / size).clamp_(max=1.0))

    def table(self) -> Tensor:
        """Return pi(a | s) of a game with a common one-hot state: [R, N, S, A]."""
        num_states, num_agents = self.spec.num_states, self.spec.num_agents
        assert num_states is not None
        states = torch.eye(num_states, device=self.device).expand(len(self.parameters), -1, -1)
        seen = states if self.net.sees_state else states[:, :, None].expand(-1, -1, num_agents, -1)
        return self.probabilities(seen)[0].transpose(1, 2)


class Sampled(Sampling):
    """Draws every agent's action from its live policy."""

    def __init__(self, actor: Actor, seeds: Seeds, name: str = "policy"):
        def logits_of(sight: Tensor) -> tuple[Tensor]:
            return (actor.logits(sight)[0],)

        logits = Captured(logits_of)
        super().__init__(
            lambda step: logits(actor.sight(step))[0], Stream(seeds, name, actor.device)
        )


def _check_room(spec: Spec, replicas: int, device: torch.device, settings: PolicySettings) -> None:
    """Raise ValueError if the memory cannot hold all agents' parameters and features."""
    num_states, num_actions = spec.num_states or 0, max(spec.num_actions)
    num_features, hidden = settings.num_features, list(settings.hidden)
    layers = [max(spec.obs_sizes), *hidden, num_actions]
    of_kind = {
        "boltzmann": (f"algo.policy.num_features={num_features}", num_actions * num_features),
        "tabular": ("algo.policy.kind=tabular", num_actions),
        "neural": (f"algo.policy.hidden={hidden}", num_parameters(layers)),
    }
    key, numbers = of_kind[settings.kind]
    per_agent = 4 * numbers * (1 if settings.kind == "neural" else num_states)
    keys = f"{key} with {spec.num_agents} agents, replicas={replicas}"
    capacity.check(4 * replicas * spec.num_agents * per_agent, device, keys)
