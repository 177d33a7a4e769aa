"""Demonstrations: whole episodes of experts in one file, with a card that says whose they are.

The file is an archive of arrays (`archive.py`) of E episodes with S joint steps in all:
`obs` float32 [S + E, N, O], in which every episode ends with its final observation; `action` [S, N];
`reward` float32 [S, N], the true rewards, which measure and never teach; `length` int32 [E];
`terminated` and `truncated` bool [E], how an episode ended: the task was over, or the clock ran out.
Where agents leave there is `alive` bool [S + E, N], where actions are masked `action_mask` bool
[S, N, A].

Shapes: E episodes, S joint steps, T steps of an episode, N agents, O observation, A actions.
"""

import io
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marlrun.config.kinds import fits
from marlrun.data import archive
from marlrun.data.archive import Archive, Form
from marlrun.data.transitions import Transitions
from marlrun.system.reading import InputFile

FORMAT = "marlrun demonstrations 1"
Source = InputFile | Path | str | bytes
"""A file, its path, or its content."""


class Episode(NamedTuple):
    """One whole episode, on the CPU."""

    obs: Tensor
    """[T + 1, N, O] float32."""
    action: Tensor
    """[T, N] int64."""
    reward: Tensor
    """[T, N] float32."""
    terminated: bool
    truncated: bool
    alive: Tensor | None = None
    """[T + 1, N] bool; None where agents do not leave."""
    action_mask: Tensor | None = None
    """[T, N, A] bool; None where all actions are allowed."""


@dataclass(frozen=True)
class Demonstrations:
    """The joint steps of all episodes, in order."""

    card: Mapping[str, Any]
    obs: Tensor
    """[S, N, O] float32."""
    action: Tensor
    """[S, N] int64."""
    next_obs: Tensor
    """[S, N, O] float32: the true next observations, also where an episode ends."""
    reward: Tensor
    """[S, N] float32: the true rewards, for measurement alone."""
    terminated: Tensor
    """[S] bool: the task ended."""
    truncated: Tensor
    """[S] bool: the clock ran out."""
    first: Tensor
    """[S] bool: an episode begins here."""
    episode: Tensor
    """[S] int64: the number of the episode, from 0."""
    alive: Tensor | None
    """[S, N] bool: who had not left before the step."""
    next_alive: Tensor | None
    """[S, N] bool: who has not left after it."""
    action_mask: Tensor | None
    """[S, N, A] bool."""

    @property
    def num_episodes(self) -> int:
        """How many episodes there are."""
        return int(self.episode[-1]) + 1

    def beginning(self, episodes: int | None) -> "Demonstrations":
        """Return the first `episodes`; None = all."""
        if episodes is None or episodes >= self.num_episodes:
            return self
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        steps = int((self.episode < episodes).sum())
        cut = {name: part[:steps] for name, part in parts.items() if isinstance(part, Tensor)}
        return replace(self, **cut)

    def transitions(self, device: torch.device) -> Transitions:
        """Return all joint steps as transitions [1, S, N, ..]."""
        acts = torch.ones_like(self.action, dtype=torch.bool) if self.alive is None else self.alive
        ends = self.terminated.unsqueeze(-1).expand_as(acts)
        if self.next_alive is not None:
            ends = ends | ~self.next_alive
        return Transitions(
            *(part.unsqueeze(0).to(device) for part in (self.obs, self.action, self.next_obs)),
            terminated=ends.unsqueeze(0).to(device),
            counts=acts.float().unsqueeze(0).to(device),
            action_mask=None if self.action_mask is None else self.action_mask[None].to(device),
        )


def write(file: BinaryIO, card: Mapping[str, Any], episodes: Sequence[Episode]) -> None:
    """Write demonstrations to a file that is open for writing.

    `card` has `agents` (names), `obs_sizes` and `num_actions` for each of them, and `env`, the node of
    the game; whatever else it says is kept. The same demonstrations make the same bytes. ValueError,
    before anything is written, if `read` would refuse them.
    """
    types = _action_type(card["num_actions"])
    arrays = {
        "obs": _joined([episode.obs for episode in episodes]),
        "action": _joined([episode.action for episode in episodes]).astype(types),
        "reward": _joined([episode.reward for episode in episodes]),
        "length": np.array([len(episode.action) for episode in episodes], np.int32),
        "terminated": np.array([episode.terminated for episode in episodes]),
        "truncated": np.array([episode.truncated for episode in episodes]),
    }
    for name in ("alive", "action_mask"):
        parts = [getattr(episode, name) for episode in episodes]
        if parts[0] is not None:
            arrays[name] = _joined(parts)
    counts = {"episodes": len(episodes), "steps": len(arrays["action"])}
    content = io.BytesIO()
    archive.write(content, {"format": FORMAT, **counts, **card}, arrays)
    read(content.getvalue())
    file.write(content.getbuffer())


def read(source: Source) -> Demonstrations:
    """Return the demonstrations in a file, which are checked array by array.

    ValueError, in one line that names the file, if it is damaged, if a hash is not the card's, or if
    the arrays do not fit the card or each other; OSError if there is no such file.
    """
    with _opened(source) as arrays:
        return _demonstrations(arrays, _sizes(arrays.card))


def read_card(source: Source) -> dict[str, Any]:
    """Return the card of demonstrations, and read nothing else; ValueError as in `read`."""
    with _opened(source) as arrays:
        _sizes(arrays.card)
        return arrays.card


@contextmanager
def _opened(source: Source) -> Generator[Archive]:
    """Open demonstrations; a ValueError within names the file."""
    source = Path(source) if isinstance(source, str) else source
    name = getattr(source, "path", "demonstrations" if isinstance(source, bytes) else source)
    try:
        content = source.content if isinstance(source, InputFile) else source
        with archive.open_archive(content) as arrays:
            yield arrays
    except ValueError as error:
        text = str(error).removeprefix(f"{name}: ")
        raise ValueError(f"{name}: expected demonstrations: {text}") from error


class _Sizes(NamedTuple):
    """The numbers that a card tells, by which the arrays are checked."""

    episodes: int
    steps: int
    agents: list[str]
    obs_sizes: list[int]
    num_actions: list[int]


def _sizes(card: Mapping[str, Any]) -> _Sizes:
    """Return what a card tells of the arrays; ValueError unless it is a card of demonstrations."""
    if card.get("format") != FORMAT:
        raise ValueError(f"its card has the format {card.get('format')!r:.80}, not {FORMAT!r}")
    for key, kind in _KINDS.items():
        if key not in card or not fits(kind, card[key]):
            raise ValueError(f"its card has {key} {card.get(key)!r:.80}, not {kind}")
    sizes = _Sizes(*(card[name] for name in _Sizes._fields))
    if not len(sizes.agents) == len(sizes.obs_sizes) == len(sizes.num_actions) > 0:
        raise ValueError("its card has other numbers of agents, obs_sizes and num_actions")
    return sizes


_KINDS = {
    "episodes": "int [1, inf)",
    "steps": "int [1, inf)",
    "agents": "list of text",
    "obs_sizes": "list of int [0, inf)",
    "num_actions": "list of int [1, inf)",
    "env": "dict",
}
"""What a card must have; the kinds are those of configuration files."""


def _forms(sizes: _Sizes) -> dict[str, Form]:
    """Return what the arrays must be."""
    episodes, steps, agents = sizes.episodes, sizes.steps, len(sizes.agents)
    rows = steps + episodes
    shapes = {
        "obs": (np.float32, (rows, agents, max(sizes.obs_sizes))),
        "action": (_action_type(sizes.num_actions), (steps, agents)),
        "reward": (np.float32, (steps, agents)),
        "length": (np.int32, (episodes,)),
        "terminated": (np.bool_, (episodes,)),
        "truncated": (np.bool_, (episodes,)),
        "alive": (np.bool_, (rows, agents)),
        "action_mask": (np.bool_, (steps, agents, max(sizes.num_actions))),
    }
    return {name: Form(np.dtype(dtype), shape) for name, (dtype, shape) in shapes.items()}


_OPTIONAL = ("alive", "action_mask")


def _action_type(num_actions: Sequence[int]) -> np.dtype[Any]:
    """Return the smallest type of whole numbers that holds every action."""
    return np.min_scalar_type(max(num_actions) - 1)


def _demonstrations(arrays: Archive, sizes: _Sizes) -> Demonstrations:
    """Read the arrays, and cut them into what comes before and what comes after a step."""
    forms = _forms(sizes)
    parts = {
        name: torch.tensor(arrays.array(name, form))
        for name, form in forms.items()
        if name not in _OPTIONAL or arrays.has(name)
    }
    length, action = parts["length"].long(), parts["action"].long()
    _check_ends(length, parts, sizes.steps)
    _check_numbers(parts, action, sizes)
    episode = torch.arange(sizes.episodes).repeat_interleave(length)
    last = length.cumsum(0) - 1
    first = torch.zeros(sizes.steps, dtype=torch.bool)
    first[last - length + 1] = True
    # An episode has a row more than it has steps.
    row = torch.arange(sizes.steps) + episode
    alive, ends = parts.get("alive"), torch.zeros(2, sizes.steps, dtype=torch.bool)
    acts = torch.ones_like(action, dtype=torch.bool) if alive is None else alive[row]
    _check_allowed(action, acts, parts.get("action_mask"), sizes)
    ends[:, last] = torch.stack((parts["terminated"], parts["truncated"]))
    return Demonstrations(
        card=arrays.card,
        obs=parts["obs"][row],
        action=action,
        next_obs=parts["obs"][row + 1],
        reward=parts["reward"],
        terminated=ends[0],
        truncated=ends[1],
        first=first,
        episode=episode,
        alive=None if alive is None else alive[row],
        next_alive=None if alive is None else alive[row + 1],
        action_mask=parts.get("action_mask"),
    )


def _check_ends(length: Tensor, parts: Mapping[str, Tensor], steps: int) -> None:
    """Raise ValueError unless whole episodes make all the steps."""
    if int(length.min()) < 1 or int(length.sum()) != steps:
        raise ValueError(f"length.npy: expected lengths from 1 on whose sum is {steps}")
    if not (parts["terminated"] | parts["truncated"]).all():
        raise ValueError("an episode is neither terminated nor truncated, expected whole ones")


def _check_numbers(parts: Mapping[str, Tensor], action: Tensor, sizes: _Sizes) -> None:
    """Raise ValueError unless all numbers are finite, and all actions those of their agents."""
    for name in ("obs", "reward"):
        if not parts[name].isfinite().all():
            raise ValueError(f"{name}.npy holds nan or inf, expected finite numbers")
    for agent, column, count in zip(sizes.agents, action.T, sizes.num_actions, strict=True):
        if int(column.max()) >= count:
            raise ValueError(f"action.npy: {agent} takes action {int(column.max())} of {count}")


def _check_allowed(action: Tensor, acts: Tensor, mask: Tensor | None, sizes: _Sizes) -> None:
    """Raise ValueError where an agent that acts does what its mask forbids."""
    if mask is None:
        return
    forbidden = acts & ~mask.gather(-1, action.unsqueeze(-1)).squeeze(-1)
    for agent, column in zip(sizes.agents, forbidden.T, strict=True):
        if column.any():
            raise ValueError(f"action.npy: {agent} takes an action that action_mask.npy forbids")


def _joined(parts: Sequence[Tensor]) -> NDArray[Any]:
    return torch.cat(list(parts)).numpy()
