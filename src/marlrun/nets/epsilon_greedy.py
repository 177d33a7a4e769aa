"""The epsilon-greedy policy of all agents' recurrent Q-networks.

Shapes: R replicas, E copies, N agents, M = R * N members, A actions.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from marlrun.nets.captured import captured
from marlrun.nets.cells import Memory
from marlrun.nets.masks import (
    forbidden_actions,
    masked,
    missing_actions,
    missing_features,
    uniform_action,
)
from marlrun.nets.recurrent_q import RecurrentQ
from marlrun.streams import Blocks, Stream
from marlrun.types import Spec, StateDict, Step


class EpsilonGreedy:
    """Every agent takes the best action of its own network, or with probability epsilon any."""

    def __init__(
        self,
        net: RecurrentQ,
        parameters: dict[str, Tensor],
        spec: Spec,
        stream: Stream,
        epsilon: Callable[[], float],
    ):
        """Take the live parameters of a net's members [M], and what says epsilon at each step."""
        self.net, self.parameters = net, parameters
        self.epsilon = epsilon
        self.memory: Memory | None = None
        self.counter = 0
        self._stream = stream
        self._numbers: Blocks | None = None
        self._num_actions = torch.tensor(spec.num_actions, device=stream.device)
        self._missing_actions = missing_actions(spec, stream.device)
        self._missing_features = missing_features(spec, stream.device)

    @torch.inference_mode()
    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N]; every call is one step of every copy's episode."""
        return self.choose(self.q(step), step)

    def q(self, step: Step) -> Tensor:
        """Return Q [R, E, N, A], -inf where an action is forbidden, and advance the memory."""
        q, self.memory = self._q(step)
        return q

    def choose(self, q: Tensor, step: Step) -> Tensor:
        """Return the best actions [R, E, N] by q [R, E, N, A], or with probability epsilon any."""
        if self._numbers is None:
            shape = step.obs.shape[1:3]
            self._numbers = Blocks(self._stream, *shape, 2, prepare=self._explore)
        chance, choice, random_action = self._numbers.row(self.counter)
        self.counter += 1
        if step.action_mask is not None:
            random_action = uniform_action(choice, q.isneginf())
        return torch.where(chance < self.epsilon(), random_action, q.argmax(-1))

    def _explore(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn numbers [.., N, 2] into three parts, each [.., N].

        They are the chance of exploring, a number that chooses an action to explore, and the action
        that it chooses where all are allowed.
        """
        chance, choice = numbers.unbind(-1)
        return chance, choice, (choice * self._num_actions).long()

    @torch.inference_mode()
    def value(self, step: Step) -> Tensor:
        """Return max_a Q [R, E, N], the anticipated return, without advancing the memory.

        It is 0 where an agent has left.
        """
        absent = None if step.alive is None else ~step.alive
        return masked(self._q(step)[0].amax(-1), absent, 0.0)

    def _q(self, step: Step) -> tuple[Tensor, Memory]:
        """Return Q [R, E, N, A], -inf where an action is forbidden, and the memory after `step`."""
        memory = self.memory
        if memory is None:
            replicas, copies, agents, _ = step.obs.shape
            memory = self.net.initial_memory(replicas * agents, copies, step.obs.device)
        q, *memory = self._advance(step.obs, step.first, *memory)
        forbidden = forbidden_actions(step, self._missing_actions)
        return masked(q, forbidden, -torch.inf), tuple(memory)

    @captured
    def _advance(self, obs: Tensor, first: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Return Q [R, E, N, A] and the new memory; what came before `first` is forgotten."""
        replicas, copies, agents, _ = obs.shape
        keep = (~first).view(replicas, 1, copies, 1)
        memory = tuple(
            (part.view(replicas, agents, copies, -1) * keep).flatten(0, 1) for part in memory
        )
        x = masked(obs, self._missing_features, 0.0).transpose(1, 2).flatten(0, 1)
        q, memory = self.net.step(self.parameters, x, memory)
        q = q.view(replicas, agents, copies, -1).transpose(1, 2)
        return masked(q, self._missing_actions, -torch.inf), *memory

    def state_dict(self) -> StateDict:
        """Return memory and the random stream's position."""
        return {"memory": self.memory, "counter": self.counter}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self.memory, self.counter = state["memory"], state["counter"]
