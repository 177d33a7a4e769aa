"""Networked actor-critic with action values: private rewards, critics mixed among neighbours.

Zhang, Yang, Liu, Zhang, Basar, "Fully Decentralized Multi-Agent Reinforcement Learning with
Networked Agents", ICML 2018, algorithm 1. All agents see state and joint action; each sees only its
own reward. They raise the long-run average of the team's mean reward, by sending neighbours their
critics and nothing else.

Shapes: R replicas, N agents, A actions; one copy of the environment (E = 1).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from marlrun.graphs.consensus import Aggregate, Consensus, Fault, Graph
from marlrun.nets import critics, policies
from marlrun.nets.captured import Captured
from marlrun.ops.average_reward import advantage, differential_td, score
from marlrun.ops.consensus import ROBUST, disagreement
from marlrun.ops.schedules import StepSizes
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step

LOOK_EVERY = 16
"""Updates between looks at what costs a pass over all parameters and says little each time."""


class Transition(NamedTuple):
    """A transition that waits for the next joint action."""

    seen: Tensor
    """What critics see of its beginning: [R, 1, ..]."""
    own: Tensor
    """What policies see of its beginning: [R, 1, ..]."""
    action: Tensor
    """[R, 1, N]."""
    reward: Tensor
    """[R, 1, N]."""
    next_seen: Tensor
    """What critics see of its end: [R, 1, ..]."""
    terminated: Tensor
    """[R, 1]: the task ended there."""
    ended: Tensor | None
    """[R, 1, 1]: no action will be taken there; None = nowhere."""
    bootstrap: Tensor | None
    """[R, 1, N]: the actions that would be taken there."""


class NetworkedACQ:
    """The learner; its parameters are explained in conf/algo/networked_ac_q.yaml."""

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
        mixed: Literal["critic", "increments"],
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

        self.critic = critics.action_critic(
            "critic",
            spec,
            seeds,
            device,
            critic=critic,
            features=features,
            num_features=num_features,
            hidden=critic_hidden,
        )
        """w."""
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
            increments=mixed == "increments",
            rounds=rounds if communication == "graph" else 0,
            interval=interval,
            aggregate=aggregate,
            robust=ROBUST[aggregate],
            tolerate=tolerate,
            faulty_agents=faulty_agents,
            fault=fault,
        )
        self._moved = self.consensus.moved(self.critic.parameters)
        """w~, or the step to it."""
        self._learn = Captured(self.adapt)
        self._bootstrap = policies.Sampled(self.actor, seeds, "bootstrap")
        self._now: tuple[Step, Tensor, Step] | None = None
        self._waiting: Transition | None = None
        self.clock = 0
        """Environment steps seen, per replica."""
        self.updates = 0

    def policy(self, explore: bool, seeds: Seeds) -> policies.Sampled:
        """Return the live stochastic policy; it is what is learned, so evaluation samples too."""
        return policies.Sampled(self.actor, seeds)

    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Take in one transition."""
        self._now = before, action, after
        self.clock += 1

    @torch.inference_mode()
    def update(self) -> Metrics:
        """Learn from the transition before the last: only now is the action that followed known."""
        assert self._now is not None
        metrics: Metrics = {}
        if self._waiting is not None:
            metrics = self._learn_from(self._waiting, next_action=self._now[1])
        self._waiting = self._transition(*self._now)
        return metrics

    def _transition(self, before: Step, action: Tensor, after: Step) -> Transition:
        """Return what `adapt` needs; actions that nobody will take are drawn with the theta of now."""
        ended = bootstrap = None
        # On a CPU a look costs less than the draw it saves; on a GPU it would wait.
        if not self.spec.continuing and ((done := after.done).is_cuda or done.any()):
            ended = done.unsqueeze(-1)
            self._bootstrap.counter = self.clock
            bootstrap = self._bootstrap(after)
        return Transition(
            seen=self.critic.sight(before),
            own=self.actor.sight(before),
            action=action,
            reward=after.reward.mean(-1, keepdim=True).expand_as(after.reward)
            if self.is_central
            else self.consensus.learned_from(after.reward),
            next_seen=self.critic.sight(after),
            terminated=after.terminated,
            ended=ended,
            bootstrap=bootstrap,
        )

    def _learn_from(self, waiting: Transition, next_action: Tensor) -> Metrics:
        """Adapt, then combine."""
        seen, own, action, reward, next_seen, terminated, ended, bootstrap = waiting
        if ended is not None and bootstrap is not None:
            next_action = torch.where(ended, bootstrap, next_action)
        self.updates += 1
        self.steps.set(self.updates)
        loss, q = self._learn((seen, next_seen), own, (action, next_action), reward, terminated)
        self.consensus(self.updates, (self.critic.parameters, self._moved))
        return self._metrics(loss, q)

    def adapt(
        self,
        seen: Tensor,
        own: Tensor,
        actions: Tensor,
        reward: Tensor,
        terminated: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Take steps 2 and 4 to 7 of algorithm 1.

        `seen` [R, 2, ..] and `actions` [R, 2, N] are of s_t and s_{t+1}. Return delta squared and
        Q(s_t, a_t), both [R, N].
        """
        critic_step, actor_step = self.steps.critic, self.steps.actor
        action, goes_on = actions[:, :1], (~terminated).unsqueeze(-1).float()
        values, tape = self.critic.forward(seen, actions)
        q, next_q = values.chunk(2, 1)
        mu = self.average.unsqueeze(1)
        delta = differential_td(reward, mu, q, next_q, goes_on)
        pi, actor_tape = self.actor.probabilities(own)
        scores = score(action, pi)
        worth = advantage(self.critic.own_values(seen[:, :1], action), scores)

        self.critic.ascend(tape, critic_step * delta, self._moved)
        mu.addcmul_(reward - mu, critic_step)
        self.actor.ascend(actor_tape, (actor_step * worth).unsqueeze(-1) * scores)
        return delta.square_().squeeze(1), q.squeeze(1)

    def _metrics(self, loss: Tensor, q: Tensor) -> Metrics:
        metrics = {
            "loss/td": loss,
            "q/taken": q,
            "value/average_reward": self.average,
        }
        if self.updates % LOOK_EVERY == 0:
            disagrees = disagreement(self.critic.parameters)
            metrics["consensus/disagreement"] = disagrees
            metrics |= self.steps.metrics(self.updates, like=disagrees)
        return metrics

    def state_dict(self) -> StateDict:
        """Return everything learned, the transition that waits, and where the graph stands."""
        return {
            "critic": self.critic.parameters,
            "actor": self.actor.parameters,
            "average": self.average,
            "consensus": self.consensus.state_dict(),
            "waiting": None if self._waiting is None else self._waiting._asdict(),
            "clock": self.clock,
            "updates": self.updates,
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self.critic.parameters.copy_(state["critic"])
        self.actor.parameters.copy_(state["actor"])
        self.average.copy_(state["average"])
        self.consensus.load_state_dict(state["consensus"])
        waiting = state["waiting"]
        self._waiting = None if waiting is None else Transition(**waiting)
        self.clock, self.updates = state["clock"], state["updates"]
