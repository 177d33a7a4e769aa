"""Learning from demonstrations with PPO: somebody who teaches pays in the place of the game.

Shapes: R replicas, T steps of a rollout, E copies, N agents.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from marlrun.algos.imitation.cloning import Cloning, CloningSettings
from marlrun.algos.ppo import PPO, PPOPolicy, PPOSettings
from marlrun.data.demonstrations import Source, read
from marlrun.data.reservoir import ReplaySettings
from marlrun.data.symmetries import symmetries_of
from marlrun.data.transitions import Transitions, transitions_of
from marlrun.nets.discriminator import DiscriminatorSettings
from marlrun.nets.recovered import Constant, Nearest, RecoveredReward
from marlrun.nets.sampling import Greedy
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step


@dataclass(frozen=True)
class ImitationSettings:
    """The keys of conf/algo/ma_airl.yaml, where each is explained."""

    demonstrations: Source
    demonstrations_episodes: int | None
    constant: float
    symmetries: Literal["none", "permutations", "all"]
    warmup: int
    discriminator: DiscriminatorSettings
    replay: ReplaySettings
    cloning: CloningSettings
    ppo: PPOSettings


class Teacher(Protocol):
    """Pays policies for what they do, and may learn what to pay for."""

    recovered: RecoveredReward
    """What it takes to be the reward, which lives on without it."""

    def learn(self, play: Transitions, progress: float) -> Metrics:
        """Learn from what policies did [R, B, N, ..], when `progress` (0 to 1) of training is done."""
        ...

    def pay(self, play: Transitions) -> Tensor:
        """Return the rewards [R, B, N] of transitions."""
        ...

    def state_dict(self) -> StateDict:
        """Return everything learned and remembered."""
        ...

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        ...


class Imitation:
    """A PPO whose rewards are a teacher's; it may begin with a clone of the expert."""

    handles_action_masks: ClassVar[bool] = True
    handles_leaving: ClassVar[bool] = True

    def update(self) -> Metrics:
        """Let the teacher learn from a complete rollout, and then the policies from what it pays."""
        if not self.ppo.recorder.is_full:
            return {}
        rollout = self.ppo.recorder.take()
        play = transitions_of(rollout)
        metrics = self.teacher.learn(play, self.ppo.clock / self.settings.ppo.anneal_steps)
        reward = self.teacher.pay(play) * play.counts
        metrics["irl/reward_mean"] = reward.sum(1) / play.counts.sum(1).clamp(min=1)
        # A clone would forget what it can while critics and discriminators know nothing.
        is_warming_up = self.rounds < self.settings.warmup
        self.rounds += 1
        paid = reward.view_as(rollout.reward)
        return metrics | self.ppo.learn(rollout, paid, critics_only=is_warming_up)

    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Keep one transition of every copy; before the first, policies are cloned."""
        if self.ppo.clock == 0:
            self._clone()
        self.ppo.observe(before, action, after)

    def _clone(self) -> None:
        """Move the policies towards the expert, as many updates as `cloning.updates` says."""
        if self._cloning is None:
            return
        self.ppo.networks.take_in(self.expert.obs, self.expert.counts.unsqueeze(-1))
        for _ in range(self.settings.cloning.updates):
            self._cloning.update(self.settings.cloning.lr)

    def policy(self, explore: bool, seeds: Seeds) -> PPOPolicy | Greedy:
        """Return the live policy of PPO."""
        return self.ppo.policy(explore, seeds)

    def reward(self, before: Step, action: Tensor, after: Step) -> Tensor:
        """Return each agent's recovered reward [R, E, N] of one transition."""
        return self.teacher.recovered.reward(before, action, after)

    def recovered_reward(self) -> StateDict:
        """Return what reward.pt keeps of the recovered reward."""
        return self.teacher.recovered.state_dict()

    @property
    def judged_view(self) -> Literal["own", "all"] | None:
        """Whose observations are all that discriminators see; None = they see actions, or learn not."""
        settings = self.settings.discriminator
        blind = settings.inputs == "state" and not isinstance(self.teacher, Control)
        return settings.view if blind else None

    def __init__(
        self, ppo: PPO, expert: Transitions, teacher: Teacher, settings: ImitationSettings
    ):
        """Take transitions of an expert [1, S, N, ..]; ValueError if the memory cannot hold a batch."""
        self.ppo, self.expert, self.teacher, self.settings = ppo, expert, teacher, settings
        self._cloning = None
        if settings.cloning.updates > 0:
            symmetries = symmetries_of(ppo.spec, settings.symmetries, ppo.seeds, ppo.device)
            self._cloning = Cloning(
                ppo.networks,
                expert,
                ppo.seeds,
                ppo.device,
                settings.cloning.batch,
                symmetries,
                key="algo.cloning.batch",
            )
        self.rounds = 0
        """Rollouts that were learned from."""

    def state_dict(self) -> StateDict:
        """Return everything learned and remembered."""
        teacher = self.teacher.state_dict()
        return {"ppo": self.ppo.state_dict(), "teacher": teacher, "rounds": self.rounds}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self.ppo.load_state_dict(state["ppo"])
        self.teacher.load_state_dict(state["teacher"])
        self.rounds = state["rounds"]


class Control:
    """A teacher that never learns: what its pay achieves, no discriminator has taught."""

    def __init__(self, recovered: RecoveredReward):
        self.recovered = recovered

    def learn(self, play: Transitions, progress: float) -> Metrics:
        """Return no metrics, for a control does not learn."""
        return {}

    def pay(self, play: Transitions) -> Tensor:
        """See `Teacher`."""
        return self.recovered(play.obs, play.action)

    def state_dict(self) -> StateDict:
        """Return an empty state, for a control remembers nothing."""
        return {}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""


def controlled(
    kind: Literal["constant", "nearest"],
    spec: Spec,
    seeds: Seeds,
    device: torch.device,
    num_envs: int,
    settings: ImitationSettings,
) -> Imitation:
    """Return a learner whose policies are paid by a control of this kind."""
    expert = demonstrated(settings, device)
    ppo = make_ppo(spec, seeds, device, num_envs, settings.ppo)
    return Imitation(ppo, expert, control(kind, spec, seeds, expert, settings), settings)


def control(
    kind: Literal["constant", "nearest"],
    spec: Spec,
    seeds: Seeds,
    expert: Transitions,
    settings: ImitationSettings,
) -> Control:
    """Return the control of a kind; `expert` has transitions [1, S, N, ..]."""
    function = Constant(settings.constant) if kind == "constant" else Nearest(spec, _views(expert))
    return Control(RecoveredReward(spec, seeds, function))


def _views(expert: Transitions) -> Tensor:
    """Return what each agent saw [N, S, O] before it acted, repeated evenly if it left early."""
    obs, counts = expert.obs[0], expert.counts[0]
    order = torch.arange(len(obs), device=obs.device)
    views: list[Tensor] = []
    for agent, acts in enumerate(counts.bool().T):
        seen = obs[acts, agent]
        views.append(seen[order * len(seen) // len(obs)])
    return torch.stack(views)


def demonstrated(settings: ImitationSettings, device: torch.device) -> Transitions:
    """Return the transitions [1, S, N, ..] of an expert."""
    demonstrations = read(settings.demonstrations)
    return demonstrations.beginning(settings.demonstrations_episodes).transitions(device)


def make_ppo(
    spec: Spec, seeds: Seeds, device: torch.device, num_envs: int, settings: PPOSettings
) -> PPO:
    """Return a PPO whose keys are those of the node `algo.ppo`."""
    with _in_node("ppo"):
        return PPO(spec, seeds, device, num_envs=num_envs, settings=settings)


@contextmanager
def _in_node(name: str) -> Generator[None]:
    """Let a ValueError name the keys of algo as those of a node of it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace("algo.", f"algo.{name}.")) from error
