"""Distillation: one student for each agent learns what the teachers of many tasks know.

Omidshafiei, Pazis, Amato, How, Vian, "Deep Decentralized Multi-task Multi-Agent Reinforcement
Learning under Partial Observability", ICML 2017, phase II; Rusu et al., "Policy Distillation",
ICLR 2016. A student is a recurrent Q-network that sees its agent's own observations alone, and is
never told which task it plays.

Shapes: R replicas, K tasks, E copies, N agents, M = R * N members, T trace steps, B batch, A actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from marlrun.data.replay import EpisodeReplay, Traces
from marlrun.nets.adam import Adam
from marlrun.nets.captured import captured
from marlrun.nets.epsilon_greedy import EpsilonGreedy
from marlrun.nets.masks import masked
from marlrun.nets.recurrent_q import RecurrentQ
from marlrun.nets.sight import Sight
from marlrun.nets.stacked import views
from marlrun.nets.teacher import Teacher
from marlrun.ops.distillation import FORBIDDEN, Loss, distillation_loss
from marlrun.streams import Blocks, Stream
from marlrun.system import capacity
from marlrun.types import MakeEnv, Metrics, Policy, Seeds, Spec, StateDict, Step


@dataclass(frozen=True)
class DistillSettings:
    """The keys of conf/algo/distill.yaml, where each is explained."""

    loss: Loss
    temperature: float
    driver: Literal["teacher", "student"]
    epsilon: float
    lr: float
    cell: Literal["lstm", "gru"]
    sizes: Sequence[int]
    forget_bias: float
    episodes: int
    collect: int
    collect_every: int
    batch: int
    trace: int
    eval_epsilon: float


class Distill:
    """The learner. It plays by itself, so it is offline, and one update is one minibatch."""

    handles_action_masks: ClassVar[bool] = True
    handles_leaving: ClassVar[bool] = True

    @captured
    def learn(self, draw: Tensor, task: Tensor) -> tuple[Tensor, Tensor]:
        """Take one Adam step on a minibatch of the task [R, 1] of each replica; see `descend`."""
        return self.descend(self.replay.cut(self._within(task, draw)))

    def descend(self, traces: Traces) -> tuple[Tensor, Tensor]:
        """Take one Adam step on a minibatch, whose observations come with the teachers' values.

        Return the loss, and in which share of the steps the student's best action is the teacher's,
        both [M].
        """
        labelled, mask = traces.obs.flatten(0, 1), traces.mask.flatten(0, 1)
        sight, teacher_q = torch.split(labelled[:, :-1], self._widths, -1)
        obs, _, absent = self.sight.parts(sight)
        mask = mask if absent is None else mask * (1 - absent)
        q, tape = self.net.unroll(self.parameters, obs)
        # What a teacher may not do, its student may not.
        q = masked(q, teacher_q <= FORBIDDEN, FORBIDDEN)

        # L = the mean of KL(softmax(Q_teacher / T) || softmax(Q)), or another loss
        loss, temperature = self.settings.loss, self.settings.temperature
        value, grad_q = distillation_loss(q, teacher_q, mask, loss, temperature)
        # Adam, along the loss's gradient by Q, back through time
        self.net.backward(self.parameters, tape, grad_q, self.grads)
        self.optimizer.step()
        agrees = (q.argmax(-1) == teacher_q.argmax(-1)) * mask
        return value, agrees.sum((-2, -1)) / mask.sum((-2, -1)).clamp_(min=1)

    @torch.inference_mode()
    def update(self) -> Metrics:
        """Learn from one minibatch of a task drawn uniformly; before that, collect if it is time."""
        if self.updates % self.settings.collect_every == 0:
            self.collect()
        value, agreement = self.learn(self.replay.draw(), self._task(self.updates))
        self.updates += 1
        shape = len(self.seeds), self.spec.num_agents
        return {
            f"loss/{self.settings.loss}": value.view(shape),
            "teacher/agreement": agreement.view(shape),
            "data/env_steps": self.env_steps.double(),
        }

    @torch.inference_mode()
    def collect(self) -> None:
        """Play one episode in every copy, and keep it with what the teachers think of each step.

        The game and what is explored belong to this collection, so nothing else need be remembered.
        """
        purpose = f"collect/{self.updates // self.settings.collect_every}"
        env = self._make_env(self._copies, purpose)
        stream = Stream(self.seeds, purpose, self.device)
        student = self._epsilon_greedy(stream, self.settings.epsilon)
        step = env.reset()
        # What a copy plays after its first episode is not kept: that would favour short ones.
        playing = torch.ones_like(step.first)
        for _ in range(self.spec.horizon):
            teacher_q = self._teacher_q(step)
            driver_q = student.q(step) if self.settings.driver == "student" else teacher_q
            after = env.step(student.choose(driver_q, step))
            self._keep(step, teacher_q, playing & after.done)
            self.env_steps += playing.sum(1)
            playing &= ~after.done
            if not playing.any():
                break
            step = env.restart(after)
        self.replay.forget_unfinished(torch.ones_like(playing))

    def _teacher_q(self, step: Step) -> Tensor:
        """Return what each copy's own teacher thinks of a step, [R, E, N, A]."""
        q = step.obs.new_empty(*step.reward.shape, max(self.spec.num_actions))
        for task, teacher in enumerate(self._teachers):
            # Copy e begins with task e mod K.
            copies = slice(task, None, len(self._teachers))
            seen = (part if part is None else part[:, copies] for part in step)
            q[:, copies] = teacher.q(Step(*seen))  # pyright: ignore[reportArgumentType]
        return q

    def _keep(self, step: Step, teacher_q: Tensor, done: Tensor) -> None:
        """Remember a step of every copy, and the episodes of those that are `done`."""
        labelled = torch.cat((self.sight.of(step), teacher_q.clamp(min=FORBIDDEN)), -1)
        nothing = torch.zeros_like(step.reward)
        # What was done and paid is not learned from, nor is what is seen in the end.
        self.replay.add(labelled, nothing.long(), nothing, done, labelled, done)

    def _within(self, task: Tensor, draw: Tensor) -> Tensor:
        """Return numbers that choose as those of a draw do, among the episodes of a task [R, 1]."""
        chosen = self._task_of_slot == task.unsqueeze(-1)
        return draw + torch.nn.functional.pad(chosen, (0, self.settings.batch))

    def policy(self, explore: bool, seeds: Seeds) -> Policy:
        """Return the epsilon-greedy policy of the live students."""
        stream = Stream(seeds, "policy", self.device)
        policy = self._epsilon_greedy(stream, self.settings.eval_epsilon)
        return policy if self.settings.loss == "mse" else OnlyActs(policy)

    def _epsilon_greedy(self, stream: Stream, epsilon: float) -> EpsilonGreedy:
        return EpsilonGreedy(self.net, self.parameters, self.spec, stream, lambda: epsilon)

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        make_env: MakeEnv,
        teachers: Sequence[Teacher],
        settings: DistillSettings,
    ):
        """Take one teacher for each task; `make_env` makes the game in which data are collected.

        ValueError if the settings do not fit each other, or the memory of the machine.
        """
        _check(spec, settings)
        self.net = RecurrentQ(
            max(spec.obs_sizes),
            max(spec.num_actions),
            settings.cell,
            settings.sizes,
            settings.forget_bias,
        )
        self.sight = Sight(spec, device)
        self._widths = [self.sight.size, max(spec.num_actions)]
        _check_room(self.net, spec, len(seeds), len(teachers), sum(self._widths), settings, device)
        self.spec, self.seeds, self.device, self.settings = spec, seeds, device, settings
        self.online = self.net.init(seeds, spec.num_agents, device)
        """[M, P]: the students."""
        self.parameters = views(self.online, self.net.shapes)
        self.optimizer = Adam(self.online, settings.lr)
        self.grads = views(self.optimizer.gradient, self.net.shapes)

        num_tasks, stream = len(teachers), Stream(seeds, "task", device)
        self._make_env, self._copies = make_env, num_tasks * settings.collect
        self._teachers = [
            EpsilonGreedy(teacher.net, teacher.parameters, spec, stream, lambda: 0.0)
            for teacher in teachers
        ]
        self.replay = EpisodeReplay(
            seeds,
            device,
            num_envs=self._copies,
            num_agents=spec.num_agents,
            obs_size=sum(self._widths),
            horizon=spec.horizon,
            episodes=num_tasks * settings.episodes,
            batch=settings.batch,
            trace=settings.trace,
            concurrent=True,
        )
        task_of_copy = torch.arange(self._copies, device=device) % num_tasks
        self._task_of_slot = task_of_copy.repeat_interleave(self.replay.slots)
        self._task = Blocks(stream, 1, prepare=lambda x: ((x * num_tasks).long(),))
        self.env_steps = torch.zeros(len(seeds), dtype=torch.int64, device=device)
        """[R], over copies: the steps of the episodes that were kept."""
        self.updates = 0

    def state_dict(self) -> StateDict:
        """Return everything learned and remembered."""
        return {
            "online": self.online,
            "optimizer": self.optimizer.state_dict(),
            "replay": self.replay.state_dict(),
            "env_steps": self.env_steps,
            "updates": self.updates,
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self.online.copy_(state["online"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.replay.load_state_dict(state["replay"])
        self.env_steps.copy_(state["env_steps"])
        self.updates = state["updates"]


class OnlyActs:
    """A policy that anticipates no return: a softmax is the same whatever is added to all values."""

    def __init__(self, policy: Policy):
        self._policy = policy

    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N]."""
        return self._policy(step)

    def state_dict(self) -> StateDict:
        """Return the policy's state."""
        return self._policy.state_dict()

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self._policy.load_state_dict(state)


def _check(spec: Spec, settings: DistillSettings) -> None:
    """Raise ValueError where the settings do not fit each other, or the game."""
    if settings.collect < settings.batch:
        expected = f"expected at least algo.batch={settings.batch}"
        raise ValueError(f"algo.collect={settings.collect}: {expected}")
    if settings.trace > spec.horizon:
        raise ValueError(
            f"algo.trace={settings.trace}: expected at most {spec.horizon}, the game's horizon"
        )


def _check_room(
    net: RecurrentQ,
    spec: Spec,
    replicas: int,
    num_tasks: int,
    width: int,
    settings: DistillSettings,
    device: torch.device,
) -> None:
    """Raise ValueError if the memory cannot hold the play, the episodes or the students."""
    copies, members = num_tasks * settings.collect, replicas * spec.num_agents
    collections = 1 - (-settings.episodes // settings.collect)
    steps = copies * collections * (spec.horizon + 1)
    for keys, num_bytes in (
        (f"algo.collect={settings.collect}", capacity.of_steps(spec, replicas, copies)),
        (f"algo.episodes={settings.episodes}", 4 * members * steps * (width + 3)),
    ):
        capacity.check(num_bytes, device, f"{keys} replicas={replicas}")
    traces = f"algo.batch={settings.batch} algo.trace={settings.trace}"
    net.check_room(replicas, spec.num_agents, settings.batch, settings.trace, device, traces)
