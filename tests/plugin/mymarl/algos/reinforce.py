"""Independent REINFORCE (Williams 1992), every agent with a perceptron of its own.

Shapes: R replicas, E copies, N agents, T steps of a rollout, O observation, A actions.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from marlrun.nets.masks import masked, missing_features
from marlrun.nets.module import MLP
from marlrun.nets.sampling import Sampling
from marlrun.streams import Stream
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step


def returns_to_go(reward: Tensor, ends: Tensor, gamma: float) -> Tensor:
    """Return G_t = r_t + gamma G_{t+1} [R, T, E, N], cut where an episode `ends` [R, T, E]."""
    returns, following = torch.empty_like(reward), torch.zeros_like(reward[:, 0])
    for t in reversed(range(reward.shape[1])):
        following = reward[:, t] + gamma * following.masked_fill(ends[:, t].unsqueeze(-1), 0.0)
        returns[:, t] = following
    return returns


class Reinforce:
    """Ascends E[sum_t log pi(a_t | o_t) (G_t - mean G)], agent by agent."""

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        lr: float,
        gamma: float,
        hidden: Sequence[int],
        rollout: int,
    ):
        if len(set(spec.num_actions)) > 1:
            raise ValueError(
                f"algo=reinforce: expected agents with equal numbers of actions, got {spec.num_actions}"
            )
        sizes = [max(spec.obs_sizes), *hidden, spec.num_actions[0]]
        self._net = MLP(sizes, seeds, spec.num_agents, device, name="policy", last_gain=0.01)
        self._missing_features = missing_features(spec, device)
        self._optimizer = torch.optim.Adam(self._net.parameters(), lr)
        self._device, self._gamma, self._length = device, gamma, rollout
        self._rollout: list[tuple[Tensor, ...]] = []

    def policy(self, explore: bool, seeds: Seeds) -> Sampling:
        """Return the stochastic policy; it is the result too, so evaluation samples from it."""
        return Sampling(lambda step: self.logits(step.obs), Stream(seeds, "policy", self._device))

    def logits(self, obs: Tensor) -> Tensor:
        """Return the logits [R, B, N, A] of observations [R, B, N, O]: members are (R, N)."""
        replicas, _, agents, _ = obs.shape
        obs = masked(obs, self._missing_features, 0.0)
        logits = self._net(obs.transpose(1, 2).flatten(0, 1))
        return logits.unflatten(0, (replicas, agents)).transpose(1, 2)

    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Keep one transition."""
        self._rollout.append((before.obs, action, after.reward, after.done))

    def update(self) -> Metrics:
        """Take one step of Adam when the rollout is full."""
        if len(self._rollout) < self._length:
            return {}
        # Replicas come first in memory as well: then each is summed in the same order, alone or not.
        parts = (torch.stack(part, 1) for part in zip(*self._rollout, strict=True))
        obs, action, reward, done = parts
        self._rollout = []
        returns = returns_to_go(reward, done, self._gamma)
        # Only whole episodes count: those whose end is in the rollout, by the task or by the clock.
        is_whole = done.flip(1).cummax(1).values.flip(1).unsqueeze(-1)
        samples = (part.flatten(1, 2) for part in (obs, action, returns, is_whole))
        obs, action, returns, is_whole = samples
        # Shares of a replica's own mean, never of one over replicas: each learns as if alone.
        share = is_whole / is_whole.sum(1, keepdim=True).clamp(min=1)
        advantage = returns - (share * returns).sum(1, keepdim=True)
        log_pi = self.logits(obs).log_softmax(-1)
        taken = log_pi.gather(-1, action.unsqueeze(-1)).squeeze(-1)
        loss = -(share * taken * advantage).sum(1)
        self._optimizer.zero_grad()
        loss.sum().backward()
        self._optimizer.step()
        entropy = -(share * (log_pi.exp() * log_pi).sum(-1)).sum(1)
        return {"loss/policy": loss.detach(), "explore/entropy": entropy.detach()}

    def state_dict(self) -> StateDict:
        """Return weights, Adam's moments, and the rollout as far as it goes."""
        return {
            "net": self._net.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "rollout": list(self._rollout),
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self._net.load_state_dict(state["net"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._rollout = list(state["rollout"])
