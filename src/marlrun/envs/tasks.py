"""tasks: several games of equal shape as one, which of them is played is hidden (ICML 2017, phase II)."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from marlrun.config.plugins import resolve
from marlrun.config.tasks import SIZES, task_names, tasks_of
from marlrun.envs.common.bounds import observation_bounds
from marlrun.envs.common.render import FRAMES_PER_SECOND
from marlrun.types import Seeds, Spec, StateDict, Step

_EQUAL = {
    "agent_names": "the agents",
    "obs_sizes": "observations of size",
    "num_actions": "numbers of actions",
    "discount": "a discount of",
    "agents_leave": "agents_leave",
    "num_states": "a number of common states of",
    "state_size": "a state of size",
    "has_adjacency": "has_adjacency",
}
"""What the tasks have in common, and how messages call it."""


class Tasks:
    """Every copy plays one task after another: copy e first task e mod K, then the next in each episode.

    Nothing that agents observe says which task is played; `Step.task` does, for the log. The tasks
    have equal shapes; their horizons may differ. A replica's random numbers do not depend on which
    tasks others play: a game in which nobody plays is told to be `idle`, or is played in vain.
    """

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        tasks: Sequence[Mapping[str, Any]],
        plugins: Sequence[str] = (),
    ):
        """Build the games of complete tasks; conf/env/tasks.yaml says what the parameters mean.

        ValueError, in one line that names two tasks and what differs, if their shapes do.
        """
        names = task_names(tasks)
        self._games = [_build(task, seeds, device, num_envs, plugins) for task in tasks]
        specs = [game.spec for game in self._games]
        _check_specs(dict(zip(names, specs, strict=True)))
        self.num_envs = num_envs
        self.spec = replace(
            specs[0],
            horizon=max(spec.horizon for spec in specs),
            pays_for=_common([spec.pays_for for spec in specs], None),
            symmetries=_common([spec.symmetries for spec in specs], ()),
            tasks=tuple(names),
        )
        lows, highs = zip(*map(observation_bounds, self._games), strict=True)
        self.obs_bounds = torch.stack(lows).amin(0), torch.stack(highs).amax(0)
        self.resumable = all(getattr(game, "resumable", True) for game in self._games)
        self.truncates_early = len({spec.horizon for spec in specs}) > 1 or any(
            getattr(game, "truncates_early", False) for game in self._games
        )
        self.frames_per_second: int = getattr(
            self._games[0], "frames_per_second", FRAMES_PER_SECOND
        )
        self._on_cpu = device.type == "cpu"
        first_tasks = torch.arange(num_envs, device=device) % len(tasks)
        self._first_task = first_tasks.expand(len(seeds), -1).contiguous()
        self._no = torch.zeros_like(self._first_task, dtype=torch.bool)
        self._play_tasks(self._first_task)

    def reset(self) -> Step:
        """Begin an episode in every copy, of its first task."""
        self._play_tasks(self._first_task)
        return self._merged({index: game.reset() for index, game in enumerate(self._games)})

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N], each copy in its task."""
        steps: dict[int, Step] = {}
        for index, game in enumerate(self._games):
            if index in self._playing:
                steps[index] = self._played(index, action)
            else:
                game.idle()
        return self._merged(steps)

    def restart(self, step: Step) -> Step:
        """Begin an episode of the next task where `step` is done."""
        begins = step.done
        if self._nowhere(begins):
            return step
        left = self._here
        self._play_tasks(torch.where(begins, (self._task + 1) % len(self._games), self._task))
        for index in self._playing:
            # Where a game was left it begins too, to be played in vain.
            begins_here = begins & (self._here[index] | left[index])
            if not self._nowhere(begins_here):
                begun = self._begun(index, step, begins_here)
                step = _where(begins & self._here[index], begun, step)
        return step._replace(first=begins, terminated=self._no, truncated=self._no, task=self._task)

    def state_dict(self) -> StateDict:
        """Return all that decides how the games go on."""
        return {"task": self._task.clone(), "games": [game.state_dict() for game in self._games]}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self._play_tasks(state["task"].clone())
        for game, state_of_game in zip(self._games, state["games"], strict=True):
            game.load_state_dict(state_of_game)

    def begin_drawing(self) -> None:
        """Tell the games that they will be drawn; ValueError if one cannot be."""
        for name, game in zip(self.spec.tasks, self._games, strict=True):
            if not hasattr(game, "render"):
                raise ValueError(f"task {name} cannot draw itself")
            getattr(game, "begin_drawing", lambda: None)()

    def render(
        self, mode: Literal["ansi", "rgb_array"], replica: int = 0, copy: int = 0
    ) -> str | np.ndarray:
        """Return a picture or text of one copy, in the task that it plays."""
        return self._games[int(self._task[replica, copy])].render(mode, replica, copy)

    def _play_tasks(self, task: Tensor) -> None:
        """Let every copy play a task, [R, E]; on a GPU all games go on: to ask who plays would wait."""
        self._task = task
        self._here = [task == index for index in range(len(self._games))]
        """Of each game, the copies [R, E] that play it."""
        self._playing = [
            index
            for index, game in enumerate(self._games)
            if not (self._on_cpu and hasattr(game, "idle")) or bool(self._here[index].any())
        ]
        """The games that are stepped, by index."""

    def _nowhere(self, copies: Tensor) -> bool:
        """Say whether no copy is meant; on a GPU, where it would cost time to know, say no."""
        return self._on_cpu and not bool(copies.any())

    def _played(self, index: int, action: Tensor) -> Step:
        """Step one game; where other copies play other tasks, it begins anew when it is over."""
        after = self._games[index].step(action)
        if len(self._playing) > 1:
            over_elsewhere = after.done & ~self._here[index]
            if not self._nowhere(over_elsewhere):
                self._begun(index, after, over_elsewhere)
        return after

    def _begun(self, index: int, step: Step, begins: Tensor) -> Step:
        """Begin an episode of one game in the copies `begins` [R, E]."""
        return self._games[index].restart(step._replace(terminated=begins, truncated=self._no))

    def _merged(self, steps: Mapping[int, Step]) -> Step:
        """Return what is seen in every copy, given the steps of games by index."""
        (_, merged), *others = steps.items()
        for index, step in others:
            merged = _where(self._here[index], step, merged)
        return merged._replace(task=self._task)


class TargetCaptureTasks(Tasks):
    """Tasks of target_capture that differ in the size of the torus."""

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        sizes: Sequence[int],
        num_agents: int,
        targets: Literal["one", "each"],
        flicker: float,
        slip: float,
        motion: Literal["static", "random"] | Sequence[int],
        horizon: int,
        discount: float,
    ):
        """Build the games; conf/env/target_capture_tasks.yaml says what the parameters mean."""
        keys = {
            "num_agents": num_agents,
            "targets": targets,
            "flicker": flicker,
            "slip": slip,
            "motion": motion,
            "horizon": horizon,
            "discount": discount,
        }
        games = tasks_of({"_target_": SIZES, "sizes": sizes, **keys})
        tasks = [{"name": "target_capture", **game} for game in games.values()]
        super().__init__(seeds, device, num_envs=num_envs, tasks=tasks)
        self.spec = replace(self.spec, tasks=tuple(games))


def _build(
    task: Mapping[str, Any],
    seeds: Seeds,
    device: torch.device,
    num_envs: int,
    plugins: Sequence[str],
) -> Any:
    """Build the game of a complete task."""
    make = resolve(task["_target_"], "env", plugins)
    keys = {key: value for key, value in task.items() if key not in ("name", "_target_")}
    if "plugins" in inspect.signature(make).parameters:
        keys["plugins"] = plugins
    return make(seeds, device, **{**keys, "num_envs": num_envs})


def _check_specs(specs: Mapping[str, Spec]) -> None:
    """Raise ValueError unless games, by the tasks' names, can be played one after another."""
    (first_name, first), *others = specs.items()
    for name, spec in specs.items():
        for what, is_so in (
            ("never ends", spec.continuing),
            ("masks actions", spec.has_action_mask),
        ):
            if is_so:
                raise ValueError(
                    f"env.tasks: the game of task {name} {what}, expected one that does not"
                )
    for name, spec in others:
        for field, words in _EQUAL.items():
            expected, given = getattr(first, field), getattr(spec, field)
            if expected != given:
                raise ValueError(
                    f"env.tasks: task {name} has {words} {_text(given)}, task {first_name} has "
                    f"{_text(expected)}; expected tasks of equal shape"
                )


def _text(value: Any) -> str:
    """Write what one game has; where it is the same for all agents, once."""
    parts = (
        [str(part) for part in cast("tuple[Any, ...]", value)]
        if isinstance(value, tuple)
        else [str(value)]
    )
    return parts[0] if len(set(parts)) == 1 else ", ".join(parts)


def _common(values: Sequence[Any], otherwise: Any) -> Any:
    return values[0] if all(value == values[0] for value in values) else otherwise


def _where(here: Tensor, step: Step, other: Step) -> Step:
    """Return `step` in the copies `here` [R, E], and `other` elsewhere, field by field."""
    parts = zip(step, other, strict=True)
    fields = (None if one is None else _where_copies(here, one, two) for one, two in parts)
    return Step(*fields)  # pyright: ignore[reportArgumentType]


def _where_copies(here: Tensor, one: Tensor, two: Any) -> Tensor:
    return torch.where(here.view(*here.shape, *(1,) * (one.ndim - 2)), one, two)
