"""Networked actor-critic with action values: private rewards, critics mixed among neighbours.

Zhang, Yang, Liu, Zhang, Basar, "Fully Decentralized Multi-Agent Reinforcement Learning with
Networked Agents", ICML 2018, algorithm 1. All agents see state and joint action; each sees only its
own reward. They raise the long-run average of the team's mean reward, by sending neighbours their
critics and nothing else. Steps are numbered as in the paper: 1 and 3 are the environment's and the
policy's.

Shapes: R replicas, N agents, A actions; one copy of the environment (E = 1).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from marlrun.graphs.consensus import Consensus, Graph, MixingSettings
from marlrun.nets.captured import captured
from marlrun.nets.critics import CriticSettings, action_critic
from marlrun.nets.policies import Actor, PolicySettings, Sampled
from marlrun.ops.average_reward import advantage, differential_td, score
from marlrun.ops.consensus import disagreement
from marlrun.ops.schedules import StepSettings, StepSizes
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step

LOOK_EVERY = 16
"""Updates between measurements that cost a pass over all parameters and say little each time."""


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
    adjacency: Tensor | None = None
    """[R, 1, N, N]: who is near whom at its end, where the game says so."""


class NetworkedACQ:
    """The learner; its parameters are explained in conf/algo/networked_ac_q.yaml."""

    @captured
    def adapt(
        self, seen: Tensor, observed: Tensor, actions: Tensor, reward: Tensor, terminated: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Take steps 2 and 4 to 7 of algorithm 1, in all agents i at once.

        `seen` [R, 2, ..] and `actions` [R, 2, N] are of s_t and s_{t+1}. Return delta squared and
        Q(s_t, a_t), both [R, N].
        """
        critic_step, actor_step = self.steps.critic, self.steps.actor
        action, goes_on = actions[:, :1], (~terminated).unsqueeze(-1).float()
        values, tape = self.critic.forward(seen, actions)
        q, next_q = values.chunk(2, 1)
        mu = self.average.unsqueeze(1)
        # 4. delta^i = r^i - mu^i + Q(s', a'; w^i) - Q(s, a; w^i)
        delta = differential_td(reward, mu, q, next_q, goes_on)
        # 6. A^i = Q(s, a; w^i) - sum_b pi^i(b | s) Q(s, b, a^-i; w^i): before w^i is adapted
        pi, actor_tape = self.actor.probabilities(observed)
        scores = score(action, pi)
        advantages = advantage(self.critic.own_values(seen[:, :1], action), scores)
        # 5. w~^i = w^i + b_w delta^i grad Q(s, a; w^i)
        self.critic.ascend(tape, critic_step * delta, self.adapted)
        # 2. mu^i = (1 - b_w) mu^i + b_w r^i, or a step size of its own (algo.steps.average)
        mu.addcmul_(reward - mu, self.steps.average)
        # 7. theta^i = theta^i + b_theta A^i grad log pi^i(a^i | s)
        self.actor.ascend(actor_tape, (actor_step * advantages).unsqueeze(-1) * scores)
        return delta.square_().squeeze(1), q.squeeze(1)

    @torch.inference_mode()
    def update(self) -> Metrics:
        """Learn from the transition before the last: only now is the action that followed known."""
        assert self._now is not None
        metrics: Metrics = {}
        if self._waiting is not None:
            metrics = self._learn_from(self._waiting, next_action=self._now[1])
        self._waiting = self._transition(*self._now)
        return metrics

    def _learn_from(self, waiting: Transition, next_action: Tensor) -> Metrics:
        """Adapt all agents to a transition, then combine their critics with those of neighbours."""
        seen, observed, action, reward, next_seen, terminated, ended, bootstrap, near = waiting
        if ended is not None and bootstrap is not None:
            next_action = torch.where(ended, bootstrap, next_action)
        self.updates += 1
        self.steps.set(self.updates)
        loss, q = self.adapt((seen, next_seen), observed, (action, next_action), reward, terminated)
        # 8 and 9. w^i = sum_j c_t(i, j) w~^j, with the neighbours in G_t: those near at s_{t+1}
        self.consensus.mix(self.updates, self.adapted, adjacency=near)
        return self._metrics(loss, q)

    def _metrics(self, loss: Tensor, q: Tensor) -> Metrics:
        metrics = {"loss/td": loss, "q/taken": q, "value/average_reward": self.average}
        metrics |= self.consensus.metrics()
        if self.updates % LOOK_EVERY == 0:
            apart = metrics["consensus/disagreement"] = disagreement(self.critic.parameters)
            metrics |= self.steps.metrics(self.updates, like=apart)
        return metrics

    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Take in one transition."""
        if self._was_loaded:
            # Only here can a transition begin elsewhere than where the one before has ended.
            self._forget_unless_followed_by(before)
            self._was_loaded = False
        self._now = before, action, after
        self.clock += 1

    def _forget_unless_followed_by(self, step: Step) -> None:
        """Forget the waiting transition if its next action is not that of `step`, in any replica."""
        if self._waiting is None:
            return
        follows = (self._waiting.next_seen == self.critic.sight(step)).flatten(2).all(-1)
        if self._waiting.ended is not None:
            follows |= self._waiting.ended.squeeze(-1)
        if not follows.all():
            self._waiting = None

    def _transition(self, before: Step, action: Tensor, after: Step) -> Transition:
        """Return what `adapt` needs; actions that nobody will take are drawn with the theta of now."""
        ended = bootstrap = None
        # On a CPU it costs less to ask than to draw in vain; on a GPU asking would wait.
        if not self.spec.continuing and ((done := after.done).is_cuda or done.any()):
            ended = done.unsqueeze(-1)
            self._bootstrap.counter = self.clock
            bootstrap = self._bootstrap(after)
        return Transition(
            seen=self.critic.sight(before),
            own=self.actor.sight(before),
            action=action,
            reward=self.consensus.reward(after.reward),
            next_seen=self.critic.sight(after),
            terminated=after.terminated,
            ended=ended,
            bootstrap=bootstrap,
            adjacency=after.adjacency,
        )

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
        """b_w and b_theta."""
        self.critic = action_critic("critic", spec, seeds, device, critic)
        """w."""
        self.actor = Actor(spec, seeds, device, policy)
        """theta."""
        self.average = torch.zeros(len(seeds), spec.num_agents, device=device)
        """mu [R, N]: each agent's own estimate, never sent."""
        self.consensus = Consensus(graph, len(seeds), device, mixing)
        self.adapted = self.consensus.begin(self.critic.parameters)
        """w~."""
        self._bootstrap = Sampled(self.actor, seeds, "bootstrap")
        self._now: tuple[Step, Tensor, Step] | None = None
        self._waiting: Transition | None = None
        self._was_loaded = False
        self.clock = 0
        """Environment steps seen, per replica."""
        self.updates = 0

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
        self._was_loaded = True
