"""Networked actor-critic with state values and a model of the team's reward, mixed among neighbours.

Zhang, Yang, Liu, Zhang, Basar, "Fully Decentralized Multi-Agent Reinforcement Learning with
Networked Agents", ICML 2018, algorithm 2. All agents see state and joint action; each sees only its
own reward. They raise the long-run average of the team's mean reward, by sending neighbours their
critics and reward models, and nothing else. With its own reward alone an agent would estimate its own
advantage: the model is what makes the actor the team's.

Shapes: R replicas, N agents, A actions; one copy of the environment (E = 1).
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from marlrun.graphs.consensus import Aggregate, Consensus, Fault, Graph
from marlrun.nets import critics, policies
from marlrun.nets.captured import Captured
from marlrun.ops.average_reward import differential_td, score
from marlrun.ops.consensus import ROBUST, disagreement
from marlrun.ops.schedules import StepSizes
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step

LOOK_EVERY = 16
"""Updates between looks at what costs a pass over all parameters and says little each time."""


class NetworkedACV:
    """The learner; its parameters are explained in conf/algo/networked_ac_v.yaml."""

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        graph: Graph,
        critic: critics.Kind,
        features: critics.Features,
        num_features: int,
        critic_hidden: Sequence[int],
        policy: policies.Kind,
        policy_features: int,
        policy_hidden: Sequence[int],
        critic_step: float,
        critic_power: float,
        actor_step: float,
        actor_power: float,
        step_offset: int,
        radius: float | None,
        communication: Literal["graph", "central", "none"],
        mixed: Literal["both", "critic", "reward"],
        rounds: int,
        interval: int,
        aggregate: Aggregate,
        tolerate: int,
        faulty_agents: Sequence[int],
        fault: Fault,
    ):
        if num_envs > 1:
            raise ValueError(
                f"env.num_envs={num_envs}: expected 1 with networked actor-critic, "
                "which learns from one trajectory"
            )
        self.spec, self.is_central = spec, communication == "central"
        self.steps = StepSizes(
            device, step_offset, (critic_step, critic_power), (actor_step, actor_power)
        )

        shape: dict[str, Any] = {
            "critic": critic,
            "features": features,
            "num_features": num_features,
            "hidden": critic_hidden,
        }
        self.critic = critics.state_critic("critic", spec, seeds, device, **shape)
        """v."""
        self.model = critics.action_critic("reward", spec, seeds, device, constant=True, **shape)
        """lambda."""
        self.actor = policies.Actor(
            spec,
            seeds,
            device,
            policy=policy,
            num_features=policy_features,
            hidden=policy_hidden,
            radius=radius,
        )
        """theta."""
        self.average = torch.zeros(len(seeds), spec.num_agents, device=device)
        """mu [R, N]: each agent's own estimate, never sent."""
        self.consensus = Consensus(
            graph,
            len(seeds),
            device,
            increments=False,
            rounds=rounds if communication == "graph" else 0,
            interval=interval,
            aggregate=aggregate,
            robust=ROBUST[aggregate],
            tolerate=tolerate,
            faulty_agents=faulty_agents,
            fault=fault,
        )
        v, model = self.critic.parameters, self.model.parameters
        self._moved = [
            v if mixed == "reward" else self.consensus.moved(v),
            model if mixed == "critic" else self.consensus.moved(model),
        ]
        """v~ and lambda~, or the steps to them."""
        pairs = list(zip((v, model), self._moved, strict=True))
        self._sent = {"both": pairs, "critic": pairs[:1], "reward": pairs[1:]}[mixed]
        self._learn = Captured(self.adapt)
        self._transition: tuple[Tensor | tuple[Tensor, ...], ...] | None = None
        self.clock = 0
        """Environment steps seen, per replica."""
        self.updates = 0

    def policy(self, explore: bool, seeds: Seeds) -> policies.Sampled:
        """Return the live stochastic policy; it is what is learned, so evaluation samples too."""
        return policies.Sampled(self.actor, seeds)

    @torch.inference_mode()
    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Take in one transition."""
        reward = self.consensus.learned_from(after.reward)
        self._transition = (
            (self.critic.sight(before), self.critic.sight(after)),
            self.actor.sight(before),
            action,
            reward.mean(-1, keepdim=True).expand_as(reward) if self.is_central else reward,
            after.terminated,
        )
        self.clock += 1

    @torch.inference_mode()
    def update(self) -> Metrics:
        """Adapt, then combine. No next action is needed, so nothing has to wait."""
        assert self._transition is not None
        self.updates += 1
        self.steps.set(self.updates)
        losses = self._learn(*self._transition)
        self.consensus(self.updates, *self._sent)
        return self._metrics(*losses)

    def adapt(
        self,
        seen: Tensor,
        own: Tensor,
        action: Tensor,
        reward: Tensor,
        terminated: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take the steps of algorithm 2 before the mixing.

        `seen` [R, 2, ..] is what critics see of s_t and s_{t+1}; all else is [R, 1, ..]. Return
        delta squared, the model's error squared and V(s_t), each [R, N].
        """
        critic_step, actor_step = self.steps.critic, self.steps.actor
        goes_on = (~terminated).unsqueeze(-1).float()
        values, tape = self.critic.forward(seen)
        value, next_value = values.chunk(2, 1)
        modelled, model_tape = self.model.forward(seen[:, :1], action)
        mu = self.average.unsqueeze(1)
        error = reward - modelled
        delta = differential_td(reward, mu, value, next_value, goes_on)
        team_delta = differential_td(modelled, mu, value, next_value, goes_on)
        pi, actor_tape = self.actor.probabilities(own)

        moved_critic, moved_model = self._moved
        self.critic.ascend(tape, critic_step * delta, moved_critic)
        self.model.ascend(model_tape, critic_step * error, moved_model)
        mu.addcmul_(reward - mu, critic_step)
        self.actor.ascend(actor_tape, (actor_step * team_delta).unsqueeze(-1) * score(action, pi))
        return delta.square_().squeeze(1), error.square_().squeeze(1), value.squeeze(1)

    def _metrics(self, loss: Tensor, model_loss: Tensor, value: Tensor) -> Metrics:
        metrics = {
            "loss/td": loss,
            "loss/reward": model_loss,
            "value/state": value,
            "value/average_reward": self.average,
        }
        if self.updates % LOOK_EVERY == 0:
            disagrees = disagreement(self.critic.parameters)
            metrics["consensus/disagreement"] = disagrees
            metrics["consensus/reward_disagreement"] = disagreement(self.model.parameters)
            metrics |= self.steps.metrics(self.updates, like=disagrees)
        return metrics

    def state_dict(self) -> StateDict:
        """Return everything learned, and where the graph stands."""
        return {
            "critic": self.critic.parameters,
            "model": self.model.parameters,
            "actor": self.actor.parameters,
            "average": self.average,
            "consensus": self.consensus.state_dict(),
            "clock": self.clock,
            "updates": self.updates,
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self.critic.parameters.copy_(state["critic"])
        self.model.parameters.copy_(state["model"])
        self.actor.parameters.copy_(state["actor"])
        self.average.copy_(state["average"])
        self.consensus.load_state_dict(state["consensus"])
        self.clock, self.updates = state["clock"], state["updates"]
