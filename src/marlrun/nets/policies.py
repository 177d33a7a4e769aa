"""Stochastic policies of all agents: a softmax of logits, each agent's from its own parameters.

Shapes: R replicas, E copies, N agents, O observation, S states, A actions, P parameters of a policy.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from marlrun import room
from marlrun.nets.features import first_zero
from marlrun.nets.mlp import MLP, num_parameters
from marlrun.nets.recorded import Recorded
from marlrun.nets.stacked import xavier_rows
from marlrun.streams import Blocks, Stream, derive
from marlrun.types import Seeds, Spec, StateDict, Step

Kind = Literal["boltzmann", "tabular", "neural"]


class Logits(Protocol):
    """Logits and their gradient; what it sees is the state [R, E, S] or observations [R, E, N, O]."""

    parameters: Tensor
    """[R, N, P], changed in place."""
    sees_state: bool

    def forward(self, sight: Tensor) -> tuple[Tensor, Any]:
        """Return logits [R, E, N, A] and what `backward` needs."""
        ...

    def backward(self, tape: Any, grad: Tensor) -> Tensor:
        """Return the gradient by the parameters, given that by the logits: [R, N, P].

        The next call may overwrite it.
        """
        ...

    def ascend(self, tape: Any, grad: Tensor) -> None:
        """Add that gradient to the parameters."""
        ...


class _Ascending:
    """Logits whose gradient is made before it is added."""

    parameters: Tensor

    def backward(self, tape: Any, grad: Tensor) -> Tensor:
        """See `Logits`."""
        raise NotImplementedError

    def ascend(self, tape: Any, grad: Tensor) -> None:
        """See `Logits`."""
        self.parameters.add_(self.backward(tape, grad))


class Boltzmann(_Ascending):
    """theta^i . q(s, a^i), with features U[0, 1) from each replica's seed; starts at theta = 0.

    Zhang et al. (ICML 2018), experiments.
    """

    sees_state = True

    def __init__(self, spec: Spec, num_features: int, seeds: Seeds, device: torch.device):
        num_states, num_actions = spec.num_states or 0, max(spec.num_actions)
        self._shape = spec.num_agents, num_actions, num_features
        stream = Stream(seeds, "policy features", device)
        self.features = stream.uniform(0, num_states, *self._shape)
        """[R, S, N, A, P]."""
        self.parameters = torch.zeros(len(seeds), spec.num_agents, num_features, device=device)

    def forward(self, sight: Tensor) -> tuple[Tensor, Tensor]:
        """See `Logits`."""
        features = (sight @ self.features.flatten(2)).view(*sight.shape[:2], *self._shape)
        return (features * self.parameters[:, None, :, None]).sum(-1), features

    def backward(self, tape: Tensor, grad: Tensor) -> Tensor:
        """See `Logits`."""
        return (grad.unsqueeze(-1) * tape).sum((1, 3))


class Tabular(_Ascending):
    """A logit per state and action but the first, whose logit is 0; starts uniform."""

    sees_state = True

    def __init__(self, spec: Spec, seeds: Seeds, device: torch.device):
        shape = spec.num_states or 0, max(spec.num_actions) - 1
        self._table = torch.zeros(len(seeds), spec.num_agents, *shape, device=device)
        self.parameters = self._table.view(*self._table.shape[:2], -1)

    def forward(self, sight: Tensor) -> tuple[Tensor, Tensor]:
        """See `Logits`."""
        logits = torch.einsum("res,rnsa->rena", sight, self._table)
        return first_zero(logits), sight

    def backward(self, tape: Tensor, grad: Tensor) -> Tensor:
        """See `Logits`."""
        return torch.einsum("res,rena->rnsa", tape, grad[..., 1:]).flatten(2)


class Linear(_Ascending):
    """Logits linear in the own observation, made for many agents: agents are the last axis in memory.

    Operations run along it, where a few actions or observations side by side would be slow.
    """

    sees_state = False

    def __init__(self, spec: Spec, seeds: Seeds, device: torch.device):
        inputs, actions, num_agents = max(spec.obs_sizes), max(spec.num_actions), spec.num_agents
        shapes = {"weight": (inputs, actions), "bias": (1, actions)}
        rows = xavier_rows(shapes, _own_seeds(seeds), num_agents, 0.0, device)
        self._rows = rows.view(len(seeds), num_agents, -1).mT.contiguous()
        self._gradient = torch.zeros_like(self._rows)
        self.parameters = self._rows.mT
        shape = len(seeds), inputs + 1, actions, num_agents
        rows, gradient = self._rows.view(shape), self._gradient.view(shape)
        self._weight, self._bias = rows[:, :inputs], rows[:, inputs:]
        self._grads = gradient[:, :inputs], gradient[:, inputs:]

    def forward(self, sight: Tensor) -> tuple[Tensor, Tensor]:
        """See `Logits`."""
        x = sight.mT.contiguous().unsqueeze(3)
        logits = (x * self._weight.unsqueeze(1)).sum(2) + self._bias
        return logits.mT, x

    def backward(self, tape: Tensor, grad: Tensor) -> Tensor:
        """See `Logits`."""
        (of_weight, of_bias), grad = self._grads, grad.mT.unsqueeze(2)
        if tape.shape[1] == 1:
            torch.mul(tape[:, 0], grad[:, 0], out=of_weight)
        else:
            of_weight.copy_((tape * grad).sum(1))
        of_bias.copy_(grad.sum(1))
        return self._gradient.mT

    def ascend(self, tape: Tensor, grad: Tensor) -> None:
        """See `Logits`; of one sample without a gradient in between."""
        if tape.shape[1] > 1:
            super().ascend(tape, grad)
        else:
            grad = grad.mT
            self._weight.addcmul_(tape[:, 0], grad)
            self._bias.add_(grad)


class Neural(_Ascending):
    """A multilayer perceptron on the own observation."""

    sees_state = False

    def __init__(self, spec: Spec, hidden: Sequence[int], seeds: Seeds, device: torch.device):
        sizes = [max(spec.obs_sizes), *hidden, max(spec.num_actions)]
        self._net = MLP(sizes, _own_seeds(seeds), spec.num_agents, device)
        self._shape = len(seeds), spec.num_agents
        self.parameters = self._net.rows.view(*self._shape, -1)

    def forward(self, sight: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See `Logits`."""
        logits, tape = self._net.forward(sight.transpose(1, 2).flatten(0, 1))
        return logits.view(*self._shape, *logits.shape[1:]).transpose(1, 2), tape

    def backward(self, tape: list[Tensor], grad: Tensor) -> Tensor:
        """See `Logits`."""
        rows = self._net.backward(tape, grad.transpose(1, 2).flatten(0, 1))
        return rows.view_as(self.parameters)


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


class Sampled:
    """Draws every agent's action from its live policy: argmax of logits + Gumbel noise."""

    def __init__(self, actor: Actor, seeds: Seeds, name: str = "policy"):
        self._actor = actor
        self._random = Stream(seeds, name, actor.device)
        self._logits = Recorded(self._logits_of)
        self._noise: Blocks | None = None
        self.counter = 0

    @torch.inference_mode()
    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N]."""
        (logits,) = self._logits(self._actor.sight(step))
        if self._noise is None:
            self._noise = Blocks(self._random, *logits.shape[1:], prepare=_gumbel)
        action = logits.add_(self._noise(self.counter)).argmax(-1)
        self.counter += 1
        return action

    def _logits_of(self, sight: Tensor) -> tuple[Tensor]:
        return (self._actor.logits(sight)[0],)

    def state_dict(self) -> StateDict:
        """Return the random stream's position."""
        return {"counter": self.counter}

    def load_state_dict(self, state: StateDict) -> None:
        """Go on from `state_dict`."""
        self.counter = state["counter"]


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
    room.check(4 * replicas * spec.num_agents * per_agent, device, keys)


def _own_seeds(seeds: Seeds) -> Seeds:
    """Return seeds for initial weights unlike those of critics."""
    return [derive(seed, "actor") for seed in seeds]


def _gumbel(numbers: Tensor) -> tuple[Tensor]:
    return (numbers.log_().neg_().log_().neg_(),)


def _forbidden(spec: Spec, device: torch.device) -> Tensor | None:
    """Return a mask [N, A] of actions an agent does not have; None where all are equal."""
    if len(set(spec.num_actions)) == 1:
        return None
    sizes = torch.tensor(spec.num_actions, device=device)
    return torch.arange(max(spec.num_actions), device=device) >= sizes[:, None]
