"""Stochastic policies of all agents: a softmax of logits, each agent's from its own parameters.

Shapes: R replicas, E copies, N agents, O observation, S states, A actions, P parameters of a policy.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from marlrun.nets.captured import Captured
from marlrun.nets.logits import Boltzmann, Linear, Logits, Neural, Tabular
from marlrun.nets.mlp import num_parameters
from marlrun.nets.sampling import Sampling
from marlrun.streams import Stream
from marlrun.system import capacity
from marlrun.types import Seeds, Spec, Step

Kind = Literal["boltzmann", "tabular", "neural"]


class Actor:
    """The policies pi^i(a | s; theta^i) of all agents."""

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        policy: Kind,
        num_features: int,
        hidden: Sequence[int],
        radius: float | None,
    ):
        """Take the radius of the ball onto which parameters are projected, None = no projection.

        ValueError if a table is wanted and the environment has no common one-hot state, or if the
        memory cannot hold the policies.
        """
        if policy != "neural" and spec.num_states is None:
            raise ValueError(
                f"algo.policy={policy}: expected neural: this environment has no common one-hot state"
            )
        _check_room(spec, len(seeds), device, policy, num_features, hidden)
        makers: dict[str, Callable[[], Logits]] = {
            "boltzmann": lambda: Boltzmann(spec, num_features, seeds, device),
            "tabular": lambda: Tabular(spec, seeds, device),
            "neural": lambda: (
                Neural(spec, hidden, seeds, device) if hidden else Linear(spec, seeds, device)
            ),
        }
        self.spec, self.device = spec, device
        self.net = makers[policy]()
        self.parameters = self.net.parameters
        """[R, N, P], changed in place."""
        self._radius = radius
        self._forbidden = _forbidden(spec, device)

    def sight(self, step: Step) -> Tensor:
        """Return what the policies see of a step."""
        if self.net.sees_state:
            assert step.state is not None
            return step.state
        return step.obs

    def logits(self, sight: Tensor) -> tuple[Tensor, Any]:
        """Return logits [R, E, N, A], -inf where an agent does not have the action, and a tape."""
        logits, tape = self.net.forward(sight)
        if self._forbidden is not None:
            logits = logits.masked_fill(self._forbidden, -torch.inf)
        return logits, tape

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

        captured = Captured(logits_of)
        super().__init__(
            lambda step: captured(actor.sight(step))[0], Stream(seeds, name, actor.device)
        )


def _check_room(
    spec: Spec,
    replicas: int,
    device: torch.device,
    policy: Kind,
    num_features: int,
    hidden: Sequence[int],
) -> None:
    """Raise ValueError if the memory cannot hold all agents' parameters and features."""
    num_states, num_actions = spec.num_states or 0, max(spec.num_actions)
    layers = [max(spec.obs_sizes), *hidden, num_actions]
    of_kind = {
        "boltzmann": (f"algo.policy_features={num_features}", num_actions * num_features),
        "tabular": ("algo.policy=tabular", num_actions),
        "neural": (f"algo.policy_hidden={list(hidden)}", num_parameters(layers)),
    }
    key, numbers = of_kind[policy]
    per_agent = 4 * numbers * (1 if policy == "neural" else num_states)
    keys = f"{key} with {spec.num_agents} agents, replicas={replicas}"
    capacity.check(4 * replicas * spec.num_agents * per_agent, device, keys)


def _forbidden(spec: Spec, device: torch.device) -> Tensor | None:
    """Return a mask [N, A] of actions an agent does not have; None where all are equal."""
    if len(set(spec.num_actions)) == 1:
        return None
    sizes = torch.tensor(spec.num_actions, device=device)
    return torch.arange(max(spec.num_actions), device=device) >= sizes[:, None]
