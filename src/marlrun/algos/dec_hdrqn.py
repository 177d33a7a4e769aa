"""Decentralised hysteretic deep recurrent Q-learning (Dec-HDRQN) with concurrent replay.

Omidshafiei, Pazis, Amato, How, Vian, "Deep Decentralized Multi-task Multi-Agent Reinforcement
Learning under Partial Observability", ICML 2017, phase I. Every agent has a recurrent Q-network
of its own that sees only the agent's own observations. Beta = 1 is Dec-DRQN.

Shapes: R replicas, E copies, N agents, M = R * N members, T trace steps, B batch, A actions.
"""

from collections.abc import Sequence
from math import prod
from typing import ClassVar, Literal

import torch
from torch import Tensor

from marlrun.data.replay import EpisodeReplay, Traces
from marlrun.nets.adam import Adam
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
from marlrun.nets.sight import Sight
from marlrun.nets.stacked import views
from marlrun.ops.td import Form, double_value, hysteretic_loss, q_learning_target
from marlrun.streams import Blocks, Stream
from marlrun.system import capacity
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step


class DecHDRQN:
    """The learner; its parameters are explained in conf/algo/dec_hdrqn.yaml."""

    handles_action_masks: ClassVar[bool] = True
    handles_leaving: ClassVar[bool] = True

    @captured
    def learn(self, draw: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        """Take one Adam step on the minibatch of `EpisodeReplay.draw`; see `descend`."""
        return self.descend(self.replay.cut(draw), beta)

    def descend(self, traces: Traces, beta: Tensor) -> tuple[Tensor, Tensor]:
        """Take one Adam step on the hysteretic loss of a minibatch.

        Return the loss and the mean Q of the actions taken, both [M].
        """
        sight, action, reward, end, mask = (x.flatten(0, 1) for x in traces)
        obs, forbidden, absent = self.sight.parts(sight)
        action = action.unsqueeze(-1)
        if absent is not None:
            # An agent that leaves has terminated for itself, and what follows does not concern it.
            end = torch.maximum(end, absent[:, 1:])
            mask = mask * (1 - absent[:, :-1])
        # Q'(o', .) of the target network; in the authors' code its history lacks the first o.
        if self.matched:
            later = self.net.unroll(self.target_parameters, obs)[0][:, 1:]
        else:
            later = self.net.unroll(self.target_parameters, obs[:, 1:])[0]
        forbidden = self.missing_actions if forbidden is None else forbidden[:, 1:]
        later = masked(later, forbidden, -torch.inf)
        q, tape = self.net.unroll(self.parameters, obs if self.double_q else obs[:, :-1])
        if self.double_q:
            choice = masked(q[:, 1:], forbidden, -torch.inf)
            value = double_value(later, choice)
            q, tape = q[:, :-1], tape.but_last()
        else:
            value = later.amax(-1)

        # delta = r + gamma max_a Q'(o', a) - Q(o, a); at an end r - Q(o, a)
        taken = q.gather(-1, action).squeeze(-1)
        delta = q_learning_target(reward, end, value, self.gamma) - taken
        # loss = the mean of max(beta delta, delta)^2
        loss, grad = hysteretic_loss(delta, mask, beta, self.hysteresis)
        # Adam, along the loss's gradient by Q, back through time
        grad_q = torch.zeros_like(q).scatter_(-1, action, grad.unsqueeze(-1))
        self.net.backward(self.parameters, tape, grad_q, self.grads)
        self.optimizer.step()
        return loss, (taken * mask).sum((-2, -1)) / mask.sum((-2, -1)).clamp_(min=1)

    # Nothing here is differentiated by autograd; without its bookkeeping a step costs a tenth less.
    @torch.inference_mode()
    def update(self) -> Metrics:
        """Learn from as many minibatches as the clock allows; return the last one's metrics."""
        metrics: Metrics = {}
        shape = len(self.seeds), self.spec.num_agents
        due = (self.clock - self.learning_starts) // self.update_every + 1
        while self.updates < due:
            loss, taken = self.learn(self.replay.draw(), self._beta.fill_(self.beta_now))
            self.updates += 1
            metrics = {
                "loss/td": loss.view(shape),
                "q/taken": taken.view(shape),
                "explore/epsilon": loss.new_full(shape[:1], self.epsilon),
            }
            if self.beta_final is not None:
                metrics["loss/beta"] = loss.new_full(shape[:1], self.beta_now)
        if self.clock % self.target_every < self.num_envs:
            self.target.copy_(self.online)
        return metrics

    @torch.inference_mode()
    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Remember one joint step."""
        if self._was_loaded:
            # Only here can an episode begin without the end of the one before.
            self.replay.forget_unfinished(before.first)
            self._was_loaded = False
        done = after.done
        end = after.terminated if self.bootstrap_at_time_limit else done
        self.replay.add(
            self.sight.of(before), action, after.reward, end, self.sight.of(after), done
        )
        self.clock += self.num_envs

    def policy(self, explore: bool, seeds: Seeds) -> "QPolicy":
        """Return the epsilon-greedy policy of the live online networks."""
        return QPolicy(self, explore, seeds)

    @property
    def epsilon(self) -> float:
        """Exploration now: 1 until learning starts, then linear."""
        if self.clock < self.learning_starts:
            return 1.0
        progress = min(1.0, (self.clock - self.learning_starts) / self.epsilon_steps)
        return self.epsilon_start + (self.epsilon_final - self.epsilon_start) * progress

    @property
    def beta_now(self) -> float:
        """The scale of negative errors now: from `beta` to `beta_final`, linear."""
        if self.beta_final is None:
            return self.beta
        progress = min(1.0, self.clock / self.beta_steps)
        return self.beta + (self.beta_final - self.beta) * progress

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        gamma: float,
        lr: float,
        beta: float,
        beta_final: float | None,
        beta_steps: int,
        hysteresis: Form,
        concurrent: bool,
        double_q: bool,
        target_history: Literal["matched", "faithful"],
        bootstrap_at_time_limit: bool,
        cell: Literal["lstm", "gru"],
        sizes: Sequence[int],
        forget_bias: float,
        episodes: int,
        batch: int,
        trace: int,
        learning_starts: int,
        update_every: int,
        target_every: int,
        epsilon_start: float,
        epsilon_final: float,
        epsilon_steps: int,
        eval_epsilon: float,
    ):
        if episodes < batch:
            raise ValueError(f"algo.episodes={episodes}: expected at least algo.batch={batch}")
        if trace > spec.horizon:
            raise ValueError(f"algo.trace={trace}: expected at most env.horizon={spec.horizon}")
        self.spec, self.seeds, self.device, self.num_envs = spec, seeds, device, num_envs
        self.gamma, self.double_q = torch.tensor(gamma, device=device), double_q
        self.hysteresis: Form = hysteresis
        self.beta, self.beta_final, self.beta_steps = beta, beta_final, beta_steps
        self.matched = target_history == "matched"
        self.bootstrap_at_time_limit = bootstrap_at_time_limit
        # Steps after which every copy's ring surely holds its share of more than one batch.
        full = (batch + num_envs) * spec.horizon
        self.learning_starts = max(learning_starts, full)
        self.update_every, self.target_every = update_every, target_every
        self.epsilon_start, self.epsilon_final = epsilon_start, epsilon_final
        self.epsilon_steps, self.eval_epsilon = epsilon_steps, eval_epsilon

        self.net = RecurrentQ(max(spec.obs_sizes), max(spec.num_actions), cell, sizes, forget_bias)
        _check_room(self.net, len(seeds), spec.num_agents, batch, trace, sizes, device)
        online = self.net.init(seeds, spec.num_agents, device)
        self.rows = torch.stack((online, online))
        """[2, M, P]: online and target network."""
        self.online, self.target = self.rows
        self.parameters = views(self.online, self.net.shapes)
        self.target_parameters = views(self.target, self.net.shapes)
        self.optimizer = Adam(self.online, lr)
        self.grads = views(self.optimizer.gradient, self.net.shapes)
        self.agents_lack = missing = missing_actions(spec, device)
        """[N, A], the actions that an agent lacks; None where all agents have as many."""
        self.missing_actions = (
            missing if missing is None else missing.repeat(len(seeds), 1)[:, None, None]
        )
        """The same, [M, 1, 1, A]."""
        self.missing_features = missing_features(spec, device)
        """[N, O]; None where all agents observe as many."""

        self.sight = Sight(spec, device)
        self.replay = EpisodeReplay(
            seeds,
            device,
            num_envs=num_envs,
            num_agents=spec.num_agents,
            obs_size=self.sight.size,
            horizon=spec.horizon,
            episodes=episodes,
            batch=batch,
            trace=trace,
            concurrent=concurrent,
        )
        self._beta = torch.zeros((), device=device)
        self.clock = 0
        """Environment steps seen, per replica."""
        self.updates = 0
        self._was_loaded = False

    def state_dict(self) -> StateDict:
        """Return everything learned and remembered."""
        return {
            "online": self.online,
            "target": self.target,
            "optimizer": self.optimizer.state_dict(),
            "replay": self.replay.state_dict(),
            "clock": self.clock,
            "updates": self.updates,
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self.online.copy_(state["online"])
        self.target.copy_(state["target"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.replay.load_state_dict(state["replay"])
        self.clock, self.updates = state["clock"], state["updates"]
        self._was_loaded = True


class QPolicy:
    """Epsilon-greedy on every agent's own recurrent Q-network."""

    def __init__(self, learner: DecHDRQN, explore: bool, seeds: Seeds):
        self.learner, self.explore = learner, explore
        self.random = Stream(seeds, "policy", learner.device)
        self.numbers: Blocks | None = None
        self.counter = 0
        self.memory: Memory | None = None

    @torch.inference_mode()
    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N]; every call is one step of every copy's episode."""
        epsilon = self.learner.epsilon if self.explore else self.learner.eval_epsilon
        q, self.memory = self._q(step)
        if self.numbers is None:
            shape = step.obs.shape[1:3]
            self.numbers = Blocks(self.random, *shape, 2, prepare=self._explore)
        chance, choice, random_action = self.numbers.row(self.counter)
        self.counter += 1
        if step.action_mask is not None:
            random_action = uniform_action(choice, q.isneginf())
        return torch.where(chance < epsilon, random_action, q.argmax(-1))

    def _explore(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn numbers [.., N, 2] into three parts, each [.., N].

        They are the chance of exploring, a number that chooses an action to explore, and the action
        that it chooses where all are allowed.
        """
        num_actions = torch.tensor(self.learner.spec.num_actions, device=numbers.device)
        chance, choice = numbers.unbind(-1)
        return chance, choice, (choice * num_actions).long()

    @torch.inference_mode()
    def value(self, step: Step) -> Tensor:
        """Return max_a Q [R, E, N], the anticipated return, without advancing the memory.

        It is 0 where an agent has left.
        """
        absent = None if step.alive is None else ~step.alive
        return masked(self._q(step)[0].amax(-1), absent, 0.0)

    def _q(self, step: Step) -> tuple[Tensor, Memory]:
        """Return Q [R, E, N, A], -inf where an action is forbidden, and the memory after `step`."""
        learner, memory = self.learner, self.memory
        if memory is None:
            replicas, copies, agents, _ = step.obs.shape
            memory = learner.net.initial_memory(replicas * agents, copies, learner.device)
        q, *memory = self._advance(step.obs, step.first, *memory)
        forbidden = forbidden_actions(step, self.learner.agents_lack)
        return masked(q, forbidden, -torch.inf), tuple(memory)

    @captured
    def _advance(self, obs: Tensor, first: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Return Q [R, E, N, A] and the new memory; what came before `first` is forgotten."""
        learner, (replicas, copies, agents, _) = self.learner, obs.shape
        keep = (~first).view(replicas, 1, copies, 1)
        memory = tuple(
            (part.view(replicas, agents, copies, -1) * keep).flatten(0, 1) for part in memory
        )
        x = masked(obs, learner.missing_features, 0.0).transpose(1, 2).flatten(0, 1)
        q, memory = learner.net.step(learner.parameters, x, memory)
        q = masked(q.unsqueeze(1), learner.missing_actions, -torch.inf)
        return q.view(replicas, agents, copies, -1).transpose(1, 2), *memory

    def state_dict(self) -> StateDict:
        """Return memory and the random stream's position."""
        return {"memory": self.memory, "counter": self.counter}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self.memory, self.counter = state["memory"], state["counter"]


def _check_room(
    net: RecurrentQ,
    replicas: int,
    num_agents: int,
    batch: int,
    trace: int,
    sizes: Sequence[int],
    device: torch.device,
) -> None:
    """Raise ValueError if the memory cannot hold the networks, or a minibatch's activations."""
    members = replicas * num_agents
    # Two networks, Adam's gradient and two moments, and what is drawn at the beginning.
    networks = 6 * sum(map(prod, net.shapes.values()))
    keys = f"algo.sizes={list(sizes)} replicas={replicas}"
    capacity.check(4 * members * networks, device, keys)
    # Each layer's output and its gradient; the cell's gates besides.
    activations = 2 * (sum(sizes) + 8 * sizes[2]) * batch * (trace + 1)
    capacity.check(
        4 * members * activations, device, f"algo.batch={batch} algo.trace={trace} {keys}"
    )
