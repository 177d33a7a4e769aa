"""Networked actor-critic with state values and a model of the team's reward, mixed among neighbours.

Zhang, Yang, Liu, Zhang, Basar, "Fully Decentralized Multi-Agent Reinforcement Learning with
Networked Agents", ICML 2018, algorithm 2. All agents see state and joint action; each sees only its
own reward. They raise the long-run average of the team's mean reward, by sending neighbours their
critics and reward models, and nothing else. With its own reward alone an agent would estimate its own
advantage: the model is what makes the actor the team's.

Shapes: R replicas, N agents, A actions; one copy of the environment (E = 1).
"""

import torch
from torch import Tensor

from marlrun.graphs.consensus import Consensus, Graph, MixingSettings
from marlrun.nets.captured import captured
from marlrun.nets.critics import CriticSettings, action_critic, state_critic
from marlrun.nets.policies import Actor, PolicySettings, Sampled
from marlrun.ops.average_reward import differential_td, score
from marlrun.ops.consensus import disagreement
from marlrun.ops.schedules import StepSettings, StepSizes
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step

LOOK_EVERY = 16
"""Updates between measurements that cost a pass over all parameters and say little each time."""


class NetworkedACV:
    """The learner; its parameters are explained in conf/algo/networked_ac_v.yaml."""

    @captured
    def adapt(
        self, seen: Tensor, own: Tensor, action: Tensor, reward: Tensor, terminated: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take the steps of algorithm 2 before the mixing, in all agents i at once.

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
        # delta^i = r^i - mu^i + V(s'; v^i) - V(s; v^i)
        delta = differential_td(reward, mu, value, next_value, goes_on)
        # delta~^i = Rbar(s, a; lambda^i) - mu^i + V(s'; v^i) - V(s; v^i): the actor's
        team_delta = differential_td(modelled, mu, value, next_value, goes_on)
        pi, actor_tape = self.actor.probabilities(own)
        # v~^i = v^i + b_v delta^i grad V(s; v^i)
        self.critic.ascend(tape, critic_step * delta, self.adapted_critic)
        # lambda~^i = lambda^i + b_v (r^i - Rbar(s, a; lambda^i)) grad Rbar(s, a; lambda^i)
        self.model.ascend(model_tape, critic_step * error, self.adapted_model)
        # mu^i = (1 - b_v) mu^i + b_v r^i, or a step size of its own (algo.steps.average)
        mu.addcmul_(reward - mu, self.steps.average)
        # theta^i = theta^i + b_theta delta~^i grad log pi^i(a^i | s)
        self.actor.ascend(actor_tape, (actor_step * team_delta).unsqueeze(-1) * score(action, pi))
        return delta.square_().squeeze(1), error.square_().squeeze(1), value.squeeze(1)

    @torch.inference_mode()
    def update(self) -> Metrics:
        """Adapt, then combine. No next action is needed, so nothing has to wait."""
        assert self._transition is not None
        self.updates += 1
        self.steps.set(self.updates)
        losses = self.adapt(*self._transition)
        # v^i = sum_j c_t(i, j) v~^j, lambda^i = sum_j c_t(i, j) lambda~^j: those near at s_{t+1}
        self.consensus.mix(
            self.updates, self.adapted_critic, self.adapted_model, adjacency=self._adjacency
        )
        return self._metrics(*losses)

    def _metrics(self, loss: Tensor, model_loss: Tensor, value: Tensor) -> Metrics:
        metrics = {
            "loss/td": loss,
            "loss/reward": model_loss,
            "value/state": value,
            "value/average_reward": self.average,
            **self.consensus.metrics(),
        }
        if self.updates % LOOK_EVERY == 0:
            apart = metrics["consensus/disagreement"] = disagreement(self.critic.parameters)
            metrics["consensus/reward_disagreement"] = disagreement(self.model.parameters)
            metrics |= self.steps.metrics(self.updates, like=apart)
        return metrics

    @torch.inference_mode()
    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Take in one transition."""
        self._transition = (
            (self.critic.sight(before), self.critic.sight(after)),
            self.actor.sight(before),
            action,
            self.consensus.reward(after.reward),
            after.terminated,
        )
        self._adjacency = after.adjacency
        self.clock += 1

    def policy(self, explore: bool, seeds: Seeds) -> Sampled:
        """Return the live stochastic policy; it is what is learned, so evaluation samples too."""
        return Sampled(self.actor, seeds)

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        graph: Graph,
        critic: CriticSettings,
        policy: PolicySettings,
        steps: StepSettings,
        mixing: MixingSettings,
    ):
        if num_envs > 1:
            raise ValueError(f"env.num_envs={num_envs}: expected 1 with networked actor-critic")
        self.spec = spec
        self.steps = StepSizes(steps, device)
        """b_v and b_theta."""
        self.critic = state_critic("critic", spec, seeds, device, critic)
        """v."""
        self.model = action_critic("reward", spec, seeds, device, critic, constant=True)
        """lambda."""
        self.actor = Actor(spec, seeds, device, policy)
        """theta."""
        self.average = torch.zeros(len(seeds), spec.num_agents, device=device)
        """mu [R, N]: each agent's own estimate, never sent."""
        self.consensus = Consensus(graph, len(seeds), device, mixing)
        v, model, message = self.critic.parameters, self.model.parameters, mixing.message
        self.adapted_critic = v if message == "reward" else self.consensus.begin(v)
        """v~."""
        self.adapted_model = model if message == "critic" else self.consensus.begin(model)
        """lambda~."""
        self._transition: tuple[Tensor | tuple[Tensor, ...], ...] | None = None
        self._adjacency: Tensor | None = None
        """[R, 1, N, N]: who is near whom at its end, where the game says so."""
        self.clock = 0
        """Environment steps seen, per replica."""
        self.updates = 0

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
