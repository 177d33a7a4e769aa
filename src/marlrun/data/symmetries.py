"""Transitions as a symmetry of the game shows them: permuted, rotated and reflected samples.

Shapes: R replicas, B samples, N agents, O observation, A actions, K elements.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from marlrun.data.transitions import Transitions
from marlrun.streams import Stream
from marlrun.types import Choice, Seeds, Spec

Kind = Literal["permutations", "all"]
"""`all` has the motions of the arena too."""
MOST = 4096
"""So many elements at most are composed in advance; further choices are applied one after another."""


class Symmetries:
    """Draws an element of `Spec.symmetries` for every sample, uniformly, and applies it."""

    def __init__(
        self, spec: Spec, kind: Kind, seeds: Seeds, device: torch.device, *, joint: bool = False
    ):
        """Take what is drawn: for each agent's view by itself, or for all views together (`joint`).

        Raises ValueError where the game has no such symmetries.
        """
        choices = [
            choice for choice in spec.symmetries if (choice.joint if joint else choice.alone)
        ]
        chosen = [choice for choice in choices if kind == "all" or choice.name != "arena"]
        if not chosen:
            raise ValueError(f"algo.symmetries={kind}: {_expected(choices, joint)}")
        self._num_draws = 1 if joint else spec.num_agents
        self._tables = [table.to(device) for table in _tables(spec, chosen)]
        self._stream = Stream(seeds, "symmetries", device)

    def __call__(self, counter: int, samples: Transitions) -> Transitions:
        """Return samples [R, B, N, ..] as draw `counter` shows them.

        B is the same in all calls. One element is drawn for all parts of an agent's sample.
        """
        chance = self._stream.uniform(
            counter, samples.obs.shape[1], len(self._tables), self._num_draws
        )
        for index, table in enumerate(self._tables):
            rows, mask = table.rows(chance[:, :, index]), samples.action_mask
            samples = samples._replace(
                obs=table.moved(rows, samples.obs),
                action=table.acted(rows, samples.action),
                next_obs=table.moved(rows, samples.next_obs),
                action_mask=None if mask is None else table.allowed(rows, mask),
            )
        return samples


def symmetries_of(
    spec: Spec,
    kind: Literal["none", "permutations", "all"],
    seeds: Seeds,
    device: torch.device,
    *,
    joint: bool = False,
) -> Symmetries | None:
    """Return `Symmetries` of a kind, or None where none are to be drawn."""
    return None if kind == "none" else Symmetries(spec, kind, seeds, device, joint=joint)


class _Table(NamedTuple):
    """Elements as indices; row [agent * K + element] says what it makes of the agent's view."""

    features: Tensor
    """[N K, O] int64."""
    signs: Tensor | None
    """[N K, O]; None where no sign changes."""
    actions: Tensor
    """[N K, A] int64."""
    num_elements: int

    def to(self, device: torch.device) -> "_Table":
        """Return the table on a device."""
        signs = None if self.signs is None else self.signs.to(device)
        return _Table(self.features.to(device), signs, self.actions.to(device), self.num_elements)

    def rows(self, numbers: Tensor) -> Tensor:
        """Return the rows [R, B, N] that numbers in [0, 1), [R, B, N] or [R, B, 1], choose."""
        starts = torch.arange(0, len(self.features), self.num_elements, device=numbers.device)
        return (numbers * self.num_elements).long() + starts

    def moved(self, rows: Tensor, obs: Tensor) -> Tensor:
        """Return observations [R, B, N, O] after the elements in these rows."""
        chosen = rows.flatten()
        moved = obs.gather(-1, self.features.index_select(0, chosen).view_as(obs))
        if self.signs is not None:
            moved.mul_(self.signs.index_select(0, chosen).view_as(obs))
        return moved

    def acted(self, rows: Tensor, action: Tensor) -> Tensor:
        """Return actions [R, B, N] after the elements in these rows."""
        return self.actions.flatten().take(rows * self.actions.shape[1] + action)

    def allowed(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Return masks [R, B, N, A] after the elements in these rows: an action's goes with it."""
        actions = self.actions.index_select(0, rows.flatten()).view_as(mask)
        return torch.empty_like(mask).scatter_(-1, actions, mask)


Composed = tuple[Tensor, Tensor, Tensor]
"""Features and signs [K, N, O], actions [K, N, A]."""


def _tables(spec: Spec, choices: Sequence[Choice]) -> list[_Table]:
    """Return as few tables as hold all elements of the choices, composed."""
    groups: list[list[Choice]] = [[]]
    count = 1
    for choice in choices:
        count *= len(choice.elements)
        if groups[-1] and count > MOST:
            groups.append([])
            count = len(choice.elements)
        groups[-1].append(choice)
    return [
        _table(*reduce(_composed, [_elements(spec, choice) for choice in group]))
        for group in groups
    ]


def _elements(spec: Spec, choice: Choice) -> Composed:
    """Return the elements of a choice; what is padding stays as it is."""
    features, actions = max(spec.obs_sizes), max(spec.num_actions)

    def stacked(name: str, size: int, padding: Sequence[int]) -> Tensor:
        parts = [getattr(change, name) for element in choice.elements for change in element]
        rows = [[*part, *padding[len(part) :]] for part in parts]
        return torch.tensor(rows).view(len(choice.elements), spec.num_agents, size)

    return (
        stacked("features", features, range(features)),
        stacked("signs", features, [1] * features),
        stacked("actions", actions, range(actions)),
    )


def _composed(first: Composed, then: Composed) -> Composed:
    """Return each element of the first ones, followed by each of the others."""
    pairs = torch.cartesian_prod(torch.arange(len(first[0])), torch.arange(len(then[0])))
    first_index, then_index = pairs.unbind(1)
    features, signs, actions = (part[first_index] for part in first)
    next_features, next_signs, next_actions = (part[then_index] for part in then)
    return (
        features.gather(-1, next_features),
        signs.gather(-1, next_features) * next_signs,
        next_actions.gather(-1, actions),
    )


def _table(features: Tensor, signs: Tensor, actions: Tensor) -> _Table:
    by_agent = [part.transpose(0, 1).flatten(0, 1) for part in (features, signs.float(), actions)]
    has_signs = bool((signs < 0).any())
    return _Table(by_agent[0], by_agent[1] if has_signs else None, by_agent[2], len(features))


def _expected(choices: Sequence[Choice], joint: bool) -> str:
    """Return what is expected instead of symmetries that the game does not have."""
    of_what = "all agents together" if joint else "the view of one agent"
    if not choices:
        return f"expected none, for the game declares no symmetries of {of_what} (Spec.symmetries)"
    return f"expected none or all, for in {of_what} the game has only arena"
