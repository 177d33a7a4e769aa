"""Decentralised hysteretic deep recurrent Q-learning (Dec-HDRQN) with concurrent replay.

Omidshafiei, Pazis, Amato, How, Vian, "Deep Decentralized Multi-task Multi-Agent Reinforcement
Learning under Partial Observability", ICML 2017, phase I. Every agent has a recurrent Q-network
of its own that sees only the agent's own observations. Beta = 1 is Dec-DRQN.

Shapes: R replicas, E copies, N agents, M = R * N members, T trace steps, B batch, A actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from marlrun.data.leniency import Leniency
from marlrun.data.replay import EpisodeReplay, Traces
from marlrun.nets.adam import Adam
from marlrun.nets.captured import captured
from marlrun.nets.epsilon_greedy import EpsilonGreedy
from marlrun.nets.masks import masked, missing_actions
from marlrun.nets.recurrent_q import QTape, RecurrentQ
from marlrun.nets.sight import Sight
from marlrun.nets.stacked import views
from marlrun.ops.schedules import linear
from marlrun.ops.td import Form, double_value, hysteretic_loss, q_learning_target
from marlrun.streams import Stream
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step


@dataclass(frozen=True)
class DecHDRQNSettings:
    """The keys of conf/algo/dec_hdrqn.yaml, where each is explained."""

    gamma: float
    lr: float
    beta: float
    beta_final: float | None
    beta_steps: int
    hysteresis: Form
    leniency: float | None
    leniency_decay: float
    leniency_bits: int
    concurrent: bool
    double_q: bool
    target_history: Literal["matched", "faithful"]
    bootstrap_at_time_limit: bool
    cell: Literal["lstm", "gru"]
    sizes: Sequence[int]
    forget_bias: float
    obs_scale: float
    episodes: int
    batch: int
    trace: int
    burn_in: int
    learning_starts: int
    update_every: int
    target_every: int
    epsilon_start: float
    epsilon_final: float
    epsilon_steps: int
    eval_epsilon: float


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
        weight = None
        if self.leniency is not None:
            # Behind what was seen stands what a negative error counts.
            sight, weight = sight[..., :-1], sight[:, :-1, ..., -1]
        obs, forbidden, absent = self.sight.parts(sight)
        if absent is not None:
            # An agent that leaves has terminated for itself, and what follows does not concern it.
            end = torch.maximum(end, absent[:, 1:])
            mask = mask * (1 - absent[:, :-1])
        action = action.unsqueeze(-1)
        forbidden = self.missing_actions if forbidden is None else forbidden[:, 1:]
        q, tape, value = self.values(obs, forbidden)

        # delta = r + gamma max_a Q'(o', a) - Q(o, a); at an end r - Q(o, a)
        taken = q.gather(-1, action).squeeze(-1)
        delta = q_learning_target(reward, end, value, self._gamma) - taken
        # loss = the mean of max(beta delta, delta)^2, over padding too
        count = self.settings.trace * self.settings.batch
        loss, grad = hysteretic_loss(delta, mask, beta, self.settings.hysteresis, count, weight)
        # Adam, along the loss's gradient by Q, back through time
        grad_q = torch.zeros_like(q).scatter_(-1, action, grad.unsqueeze(-1))
        self.net.backward(self.parameters, tape, grad_q, self.grads)
        self.optimizer.step()
        return loss, (taken * mask).sum((-2, -1)) / mask.sum((-2, -1)).clamp_(min=1)

    def values(self, obs: Tensor, forbidden: Tensor | None) -> tuple[Tensor, QTape, Tensor]:
        """Return Q(o, .) [M, T, B, A] with its tape, and the values [M, T, B] of what follows.

        obs is [M, T + 1, B, O]; forbidden [M, T, B, A] is True where an action may not follow.
        """
        # Q'(o', .) of the target network; in the authors' code its history lacks the first o.
        if self.settings.target_history == "matched":
            later = self.net.unroll(self.target_parameters, obs)[0][:, 1:]
        else:
            later = self.net.unroll(self.target_parameters, obs[:, 1:])[0]
        later = masked(later, forbidden, -torch.inf)
        if not self.settings.double_q:
            q, tape = self.net.unroll(self.parameters, obs[:, :-1])
            return q, tape, later.amax(-1)
        q, tape = self.net.unroll(self.parameters, obs)
        choice = masked(q[:, 1:], forbidden, -torch.inf)
        return q[:, :-1], tape.but_last(), double_value(later, choice)

    # Nothing here is differentiated by autograd; without its bookkeeping a step costs a tenth less.
    @torch.inference_mode()
    def update(self) -> Metrics:
        """Learn from as many minibatches as the clock allows; return the last one's metrics."""
        metrics: Metrics = {}
        settings, shape = self.settings, (len(self.seeds), self.spec.num_agents)
        due = (self.clock - self.learning_starts) // settings.update_every + 1
        while self.updates < due:
            loss, taken = self.learn(self.replay.draw(), self._beta.fill_(self.beta))
            self.updates += 1
            metrics = {
                "loss/td": loss.view(shape),
                "q/taken": taken.view(shape),
                "explore/epsilon": loss.new_full(shape[:1], self.epsilon),
            }
            if settings.beta_final is not None:
                metrics["loss/beta"] = loss.new_full(shape[:1], self.beta)
        if self.clock % settings.target_every < self.num_envs:
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
        end = after.terminated if self.settings.bootstrap_at_time_limit else done
        seen, later = self.sight.of(before), self.sight.of(after)
        if self.leniency is not None:
            seen, later = self.leniency.marked(seen, action), pad(later, (0, 1))
        self.replay.add(seen, action, after.reward, end, later, done)
        self.clock += self.num_envs

    def policy(self, explore: bool, seeds: Seeds) -> EpsilonGreedy:
        """Return the epsilon-greedy policy of the live online networks."""

        def epsilon() -> float:
            return self.epsilon if explore else self.settings.eval_epsilon

        stream = Stream(seeds, "policy", self.device)
        return EpsilonGreedy(self.net, self.parameters, self.spec, stream, epsilon)

    @property
    def epsilon(self) -> float:
        """Exploration now: 1 until learning starts, then linear."""
        if self.clock < self.learning_starts:
            return 1.0
        settings = self.settings
        progress = (self.clock - self.learning_starts) / settings.epsilon_steps
        return linear(settings.epsilon_start, settings.epsilon_final, progress)

    @property
    def beta(self) -> float:
        """The scale of negative errors now: from the setting `beta` to `beta_final`, linear."""
        settings = self.settings
        if settings.beta_final is None:
            return settings.beta
        return linear(settings.beta, settings.beta_final, self.clock / settings.beta_steps)

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        settings: DecHDRQNSettings,
    ):
        _check(spec, settings)
        self.spec, self.seeds, self.device, self.num_envs = spec, seeds, device, num_envs
        self.settings = settings
        # Steps after which every copy's ring surely holds its share of more than one batch.
        full = (settings.batch + num_envs) * spec.horizon
        self.learning_starts = max(settings.learning_starts, full)

        self.net = RecurrentQ(
            max(spec.obs_sizes),
            max(spec.num_actions),
            settings.cell,
            settings.sizes,
            settings.forget_bias,
            settings.obs_scale,
        )
        self.net.check_room(
            len(seeds),
            spec.num_agents,
            settings.batch,
            settings.burn_in + settings.trace + 1,
            device,
            f"algo.batch={settings.batch} algo.trace={settings.trace} "
            f"algo.burn_in={settings.burn_in}",
        )
        online = self.net.init(seeds, spec.num_agents, device)
        self.rows = torch.stack((online, online))
        """[2, M, P]: online and target network."""
        self.online, self.target = self.rows
        self.parameters = views(self.online, self.net.shapes)
        self.target_parameters = views(self.target, self.net.shapes)
        self.optimizer = Adam(self.online, settings.lr)
        self.grads = views(self.optimizer.gradient, self.net.shapes)
        missing = missing_actions(spec, device)
        self.missing_actions = (
            None if missing is None else missing.repeat(len(seeds), 1)[:, None, None]
        )
        """[M, 1, 1, A], the actions that an agent lacks; None where all agents have as many."""

        self.sight = Sight(spec, device)
        self.leniency = None
        if settings.leniency is not None:
            self.leniency = Leniency(
                seeds,
                device,
                num_agents=spec.num_agents,
                obs_size=self.sight.size,
                num_actions=max(spec.num_actions),
                factor=settings.leniency,
                decay=settings.leniency_decay,
                bits=settings.leniency_bits,
            )
        self.replay = EpisodeReplay(
            seeds,
            device,
            num_envs=num_envs,
            num_agents=spec.num_agents,
            obs_size=self.sight.size + (self.leniency is not None),
            horizon=spec.horizon,
            episodes=settings.episodes,
            batch=settings.batch,
            trace=settings.trace,
            concurrent=settings.concurrent,
            burn_in=settings.burn_in,
        )
        self._gamma = torch.tensor(settings.gamma, device=device)
        self._beta = torch.zeros((), device=device)
        self.clock = 0
        """Environment steps seen, per replica."""
        self.updates = 0
        self._was_loaded = False

    def state_dict(self) -> StateDict:
        """Return everything learned and remembered."""
        visits = {} if self.leniency is None else {"visits": self.leniency.visits}
        return visits | {
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
        if self.leniency is not None:
            self.leniency.visits.copy_(state["visits"])
        self.clock, self.updates = state["clock"], state["updates"]
        self._was_loaded = True


def _check(spec: Spec, settings: DecHDRQNSettings) -> None:
    """Raise ValueError where the settings do not fit each other, or the game."""
    if settings.episodes < settings.batch:
        raise ValueError(
            f"algo.episodes={settings.episodes}: expected at least algo.batch={settings.batch}"
        )
    for key, steps in (("trace", settings.trace), ("burn_in", settings.burn_in)):
        if steps > spec.horizon:
            expected = f"expected at most {spec.horizon}, the game's horizon"
            raise ValueError(f"algo.{key}={steps}: {expected}")
