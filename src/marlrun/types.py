"""The shared words: what an environment, a policy and a learner say to each other.

Shapes: R replicas, E copies of the environment per replica, N agents, O observation features,
A actions, S state features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

Seeds = Sequence[int]
"""One seed for each replica."""

Metrics = dict[str, Tensor]
"""Tag -> tensor [R] or [R, N], left on the device until it is logged."""

Bound = float | Tensor
"""A number for all observations, or a tensor that broadcasts to [N, O]."""

StateDict = dict[str, Any]
"""Tensors, numbers, strings, lists and dicts of these: what `torch.load(weights_only=True)` takes."""


class Step(NamedTuple):
    """What all agents see after (or, at a beginning, before) one joint action."""

    first: Tensor
    """[R, E] bool: an episode begins here, forget memory."""
    obs: Tensor
    """[R, E, N, O] float32, padded with zeros where agents' sizes differ."""
    reward: Tensor
    """[R, E, N] float32."""
    terminated: Tensor
    """[R, E] bool: the task ended, do not bootstrap."""
    truncated: Tensor
    """[R, E] bool: the clock ran out; in a continuing task, a window of it."""
    alive: Tensor | None = None
    """[R, E, N] bool; None = all live. An agent that leaves has terminated for itself.

    All live where `first`; who has left does not return within the episode, and after the step in
    which it leaves its rewards are 0: that is the environment's promise, so nobody else need cut
    returns. What it observes is finite and means nothing; its actions are ignored.
    """
    action_mask: Tensor | None = None
    """[R, E, N, A] bool, True where an agent may take an action now; None = it may take all it has.

    Each agent that lives may take an action of its own, unless the task ended. What stands beyond
    an agent's own actions means nothing, nor does what an agent that has left may do.
    """
    state: Tensor | None = None
    """[R, E, S]: what a central critic may see; None = the joint observation.

    Where `Spec.num_states` is set it is one-hot, and every agent observes the same.
    """
    adjacency: Tensor | None = None
    """[R, E, N, N] bool, where positions make the communication graph: who is near whom now.

    It is symmetric, and no agent is near itself.
    """
    task: Tensor | None = None
    """[R, E] int64: which task this episode is; logged, never observed."""

    @property
    def done(self) -> Tensor:
        """[R, E] bool: the episode is over, for whatever reason."""
        return self.terminated | self.truncated


class Change(NamedTuple):
    """What a symmetry of a game makes of what one agent observes and does."""

    features: tuple[int, ...]
    """Feature k of the new observation is feature `features[k]` of the old one, .."""
    signs: tuple[int, ...]
    """.. times `signs[k]`, 1 or -1."""
    actions: tuple[int, ...]
    """Action a becomes `actions[a]`."""


class Choice(NamedTuple):
    """Symmetries of a game of which one is chosen; choices of several kinds may follow each other.

    Chosen uniformly, the choices of one name together make a uniform permutation or motion.
    """

    name: str
    """What is exchanged (`landmarks`, `others`, `words`), or moved (`arena`)."""
    elements: tuple[tuple[Change, ...], ...]
    """Of every element, what it makes of each agent's view; the first one changes nothing."""
    joint: bool
    """One element may be applied to the views of all agents at once."""
    alone: bool
    """An element may be applied to the view of one agent while the others' stay.

    Where it is False the game stays what it is, and a convention between agents does not: a word
    would mean another landmark.
    """


@dataclass(frozen=True)
class Spec:
    """What a learner may know about a game before it plays."""

    num_agents: int
    agent_names: tuple[str, ...]
    obs_sizes: tuple[int, ...]
    num_actions: tuple[int, ...]
    horizon: int
    """Steps after which an episode is truncated."""
    discount: float
    """The task's own discount, used by evaluation and exact values; never by an algorithm."""
    continuing: bool = False
    """The task never ends, and the clock only marks windows of `horizon` steps: a truncated copy goes
    on from where it is, and a return is the mean reward per step."""
    has_action_mask: bool = False
    """Every `Step` has an `action_mask`; False: none has."""
    agents_leave: bool = False
    """Agents may leave before the episode ends, so every `Step` has `alive`; False: none has."""
    num_states: int | None = None
    """Size of `Step.state` where that is a one-hot state which all agents see; None elsewhere."""
    state_size: int | None = None
    """Size of `Step.state` where it is another; None where there is none, or `num_states`."""
    has_adjacency: bool = False
    """Every `Step` has an `adjacency`, so `graph=positions` can follow it; False: none has."""
    pays_for: Literal["before", "after"] | None = None
    """What rewards depend on: the state `before` a step and nothing else, or the action and the state
    `after` it; None = on more, or nobody says."""
    symmetries: tuple[Choice, ...] = field(default=(), repr=False)
    """What leaves the game as it is: transitions and rewards, and the law of how episodes begin."""
    tasks: tuple[str, ...] = ()
    """The names of the tasks that `Step.task` numbers; () where the game is one task alone."""

    @property
    def reward_weight(self) -> float:
        """What a reward counts in its episode's return, but for the discount."""
        return 1 / self.horizon if self.continuing else 1.0


class Env(Protocol):
    """A batched game. Built as `Cls(seeds, device, *, num_envs, ...)`, the rest from its YAML.

    A class may declare three attributes more. `max_evaluation_copies: ClassVar[int] = 16`: an
    evaluation plays at most so many copies a replica side by side, 1,024 where nothing is declared.
    `resumable: ClassVar[bool] = False`: `state_dict` does not hold all that decides what happens
    next, so a run resumes at the start of an episode: `load_state_dict`, then `reset`.
    `truncates_early: ClassVar[bool] = True`: a game from outside has a clock of its own, which may
    run out before `spec.horizon`.
    `obs_bounds: tuple[Bound, Bound]`: the lowest and the highest observations, inclusive, infinite
    where nothing is declared; they are the bounds of the PettingZoo game's spaces.
    A static method `settled(keys)` returns the keys of its YAML with what null stands for, such as the
    horizon of a set of rules; so one can tell whether two configurations are the same game.
    A method `idle()` counts a step in which nobody plays, in place of `step`, so that random numbers
    of later episodes are what they would have been; a game that has it is cheaper as one of many tasks,
    and a copy in which nobody plays may then be stepped beyond the end of its episode.
    """

    spec: Spec
    num_envs: int

    def reset(self) -> Step:
        """Begin an episode in every copy; `first` is all True."""
        ...

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N] int64. The returned step is the true next state, never a reset."""
        ...

    def restart(self, step: Step) -> Step:
        """Begin a new episode in the copies where `step` is done; elsewhere `first` is False.

        In a continuing task a window begins there, and the state stays what it was.
        """
        ...

    def state_dict(self) -> StateDict:
        """Return all that decides what happens next; of a game that is not `resumable`, what can be."""
        ...

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned, bit for bit."""
        ...


MakeEnv = Callable[[int, str], Env]
"""Makes so many copies a replica of a game; the text is the purpose to which its random numbers belong."""


class Drawable(Protocol):
    """An environment that can show itself.

    It may have `begin_drawing()`, which is called before the reset of a game that will be drawn, and
    raises ValueError where that is not possible.

    A class may declare how fast its videos are, `frames_per_second: ClassVar[int] = 10`; 5 where
    nothing is declared.
    """

    def render(
        self, mode: Literal["ansi", "rgb_array"], replica: int = 0, copy: int = 0
    ) -> str | np.ndarray:
        """Return one copy's present state as text, or as uint8 [height, width, 3]."""
        ...


class Policy(Protocol):
    """Acts for all agents; its memory clears where `step.first`.

    It may have `value(step) -> [R, E, N]`, the return it anticipates, which leaves the memory alone.
    """

    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N] int64 and advance the memory.

        Each is an action that its agent has; of an agent that lives, one that `step.action_mask`
        allows.
        """
        ...

    def state_dict(self) -> StateDict:
        """Return all that decides what happens next."""
        ...

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned, bit for bit."""
        ...


class OfflineLearner(Protocol):
    """A learner without acting data of its own, such as behaviour cloning or distillation.

    Built as `Cls(spec, seeds, device, *, num_envs, ...)`, the rest from its YAML. The runner knows
    it by its class, which has no `observe`; its budget and its periods count calls of `update`, and
    its policy is never asked to explore. If it plays by itself, its constructor has a parameter
    `make_env: MakeEnv`, which makes the run's game, anew for each purpose.
    """

    def policy(self, explore: bool, seeds: Seeds) -> Policy:
        """Return a policy that reads the live parameters; `seeds` decide its own random numbers."""
        ...

    def update(self) -> Metrics:
        """Learn if it is time; {} when it is not."""
        ...

    def state_dict(self) -> StateDict:
        """Return all that decides what happens next."""
        ...

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned, bit for bit."""
        ...


class Learner(OfflineLearner, Protocol):
    """A learner that takes in what its policy meets in the environment.

    Its class says what it handles by two attributes. `handles_action_masks: ClassVar[bool] = True`:
    its policy chooses, and its values are of, allowed actions alone. `handles_leaving:
    ClassVar[bool] = True`: for an agent that leaves, the transition in which it leaves is terminal,
    and it learns nothing from what follows, while the others go on. Where nothing is declared it
    does not, and is refused in such games. The same holds for an offline learner.
    """

    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Take in one transition.

        Where `before.first`, an episode begins, even if the one before was never seen to end: a run
        whose environment is not `resumable` was resumed.
        """
        ...


AnyLearner = Learner | OfflineLearner


@runtime_checkable
class Rewarding(Protocol):
    """A learner that has recovered a reward; evaluations report its return beside the true one."""

    def reward(self, before: Step, action: Tensor, after: Step) -> Tensor:
        """Return each agent's recovered reward [R, E, N] of one transition."""
        ...


@runtime_checkable
class Recovering(Rewarding, Protocol):
    """A learner whose recovered reward is kept without it, in the file reward.pt of its run."""

    def recovered_reward(self) -> StateDict:
        """Return what `nets.recovered.recovered_reward` makes the reward of."""
        ...


class Tick(NamedTuple):
    """What a loop yields: a safe point to log, evaluate, save or stop."""

    after: Step | None
    """What the agents see after their joint action; None where the learner is offline."""
    metrics: Metrics
