"""Independent tabular Q-learning (Watkins 1989; Tan 1993) on one-hot observations.

Shapes: R replicas, E copies, N agents, S own observations, A actions.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from marlrun.nets.masks import masked, missing_features
from marlrun.streams import Blocks, Stream
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step


class TabularQ:
    """Every agent learns Q(own observation, own action) as if the others were part of the world."""

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        lr: float,
        gamma: float,
        epsilon: float,
    ):
        if len(set(spec.num_actions)) > 1:
            raise ValueError(
                f"algo=tabular_q: expected agents with equal numbers of actions, got {spec.num_actions}"
            )
        self.device, self.num_actions = device, spec.num_actions[0]
        self._lr, self._gamma, self.epsilon = lr / num_envs, gamma, epsilon
        self._missing_features = missing_features(spec, device)
        shape = len(seeds), spec.num_agents, max(spec.obs_sizes), self.num_actions
        self.table = torch.zeros(shape, device=device)
        """[R, N, S, A]."""
        self._transition: tuple[Step, Tensor, Step] | None = None

    def policy(self, explore: bool, seeds: Seeds) -> "EpsilonGreedy":
        """Return the policy that is greedy, and explores by `epsilon` if asked to."""
        return EpsilonGreedy(self, self.epsilon if explore else 0.0, seeds)

    def one_hots(self, step: Step) -> Tensor:
        """Return what agents observe [R, E, N, S], with zeros beyond an agent's own size."""
        return masked(step.obs, self._missing_features, 0.0)

    def values(self, step: Step) -> Tensor:
        """Return Q(o, .) [R, E, N, A]."""
        return (self.one_hots(step).unsqueeze(-1) * self.table.unsqueeze(1)).sum(-2)

    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Keep one transition until `update`."""
        self._transition = before, action, after

    def update(self) -> Metrics:
        """Q(o, a) += lr (r + gamma max Q(o', .) - Q(o, a)); copies of a replica share the step."""
        assert self._transition is not None
        before, action, after = self._transition
        goes_on = ~after.terminated.unsqueeze(-1)
        target = after.reward + self._gamma * goes_on * self.values(after).amax(-1)
        played = one_hot(action, self.num_actions)
        error = target - (self.values(before) * played).sum(-1)
        entry = self.one_hots(before).unsqueeze(-1) * played.unsqueeze(-2)
        self.table += self._lr * (entry * error[..., None, None]).sum(1)
        return {"loss/td": error.square().mean(1), "q/max": self.table.amax((-2, -1))}

    def state_dict(self) -> StateDict:
        """Return the table; a transition is learned from in the tick in which it is observed."""
        return {"table": self.table}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self.table.copy_(state["table"])


class EpsilonGreedy:
    """Any action with probability epsilon, else the best."""

    def __init__(self, learner: TabularQ, epsilon: float, seeds: Seeds):
        self._learner, self._epsilon = learner, epsilon
        self._stream, self._counter = Stream(seeds, "policy", learner.device), 0
        self._numbers: Blocks | None = None

    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N]."""
        if self._numbers is None:
            self._numbers = Blocks(self._stream, 2, *step.reward.shape[1:])
        chance, choice = self._numbers(self._counter).unbind(1)
        self._counter += 1
        greedy = self._learner.values(step).argmax(-1)
        return torch.where(
            chance < self._epsilon, (choice * self._learner.num_actions).long(), greedy
        )

    def value(self, step: Step) -> Tensor:
        """Return the anticipated return [R, E, N]."""
        return self._learner.values(step).amax(-1)

    def state_dict(self) -> StateDict:
        """Return the place in the random numbers."""
        return {"counter": self._counter}

    def load_state_dict(self, state: StateDict) -> None:
        """Go on from `state_dict`."""
        self._counter = state["counter"]
