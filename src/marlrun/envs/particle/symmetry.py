"""What leaves a particle world as it is, read off the rows that its agents observe.

A symmetry exchanges rows of the world's state, or turns their signs. What it makes of a feature is
the same sum of rows after the exchange, which must be a feature of that agent too, or minus one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Literal

from marlrun.envs.particle.bodies import Body
from marlrun.envs.particle.physics import Rules, pushes
from marlrun.envs.particle.rows import Number, Rows
from marlrun.types import Change, Choice

Kind = Literal["landmarks", "others", "words", "arena"]
MOST = 10
"""So many bodies at most are exchanged, for making a game of a hundred bodies shall be quick."""

Sources = Mapping[int, tuple[int, int]]
"""Row -> (the row that takes its place, times 1 or -1); a row that is not named stays."""

Elements = list[list[Change]]
"""Of every element but the identity, what it makes of each agent's view."""


def choices(
    kinds: Sequence[Kind],
    rows: Rows,
    agents: Sequence[Body],
    views: Sequence[Sequence[Number]],
    rules: Rules,
) -> tuple[Choice, ...]:
    """Return the choices of these kinds; agent i observes the numbers `views[i]`.

    `landmarks`: all are alike, and the goal's mark goes with its landmark. `others`: the agents are
    alike, so their order in the view of each agent is free. `words`: they mean nothing by
    themselves. `arena`: the rotations and reflections of the square.
    """
    symmetries = _Symmetries(rows, agents, views, rules)
    return tuple(choice for kind in kinds for choice in symmetries.of(kind))


class _Symmetries:
    def __init__(
        self,
        rows: Rows,
        agents: Sequence[Body],
        views: Sequence[Sequence[Number]],
        rules: Rules,
    ):
        self._rows, self._agents, self._rules = rows, agents, rules
        self._views = [_View(view) for view in views]
        self._identity = tuple(self._change(agent, {}) for agent in range(len(agents)))
        self._elements: dict[Kind, Callable[[], Iterator[Elements]]] = {
            "landmarks": self._landmarks,
            "others": self._others,
            "words": self._words,
            "arena": self._arena,
        }

    def of(self, kind: Kind) -> Iterator[Choice]:
        """Yield the choices of one kind."""
        # What a word means is a convention, which only all agents together can change.
        conventional = kind != "arena" and any(agent.words for agent in self._agents)
        for elements in self._elements[kind]():
            yield Choice(
                kind,
                (self._identity, *map(tuple, elements)),
                joint=kind != "others",
                alone=not conventional,
            )

    def _landmarks(self) -> Iterator[Elements]:
        agents = range(len(self._agents))
        for pairs in _exchanges(self._rows.num_placed - len(agents)):
            sources = [_swapped(*map(self._rows.landmark, pair)) for pair in pairs]
            yield [[self._change(agent, source) for agent in agents] for source in sources]

    def _others(self) -> Iterator[Elements]:
        agents = range(len(self._agents))
        others = [[other for other in agents if other != agent] for agent in agents]
        for pairs in _exchanges(len(agents) - 1):
            yield [
                [
                    self._change(agent, _swapped(*(self._rows.mover(names[k]) for k in pair)))
                    for agent, names in enumerate(others)
                ]
                for pair in pairs
            ]

    def _words(self) -> Iterator[Elements]:
        (speaker,) = (number for number, agent in enumerate(self._agents) if agent.words)
        first, words = self._rows.first_word, range(self._agents[speaker].words)
        for pairs in _exchanges(len(words)):
            elements: Elements = []
            for one, other in pairs:
                sources = _swapped([first + one], [first + other])
                renamed = {one: other, other: one}
                actions = tuple(renamed.get(word, word) for word in words)
                elements.append(
                    [
                        self._change(agent, sources, actions if agent == speaker else None)
                        for agent in range(len(self._agents))
                    ]
                )
            yield elements

    def _arena(self) -> Iterator[Elements]:
        motions = list(product((False, True), (1, -1), (1, -1)))[1:]
        yield [
            [
                self._change(agent, self._moved(*motion), self._pushes(agent, *motion))
                for agent in range(len(self._agents))
            ]
            for motion in motions
        ]

    def _moved(self, turned: bool, *signs: int) -> Sources:
        """Return the sources of all vectors where x' = signs[0] x, y' = signs[1] y, or x and y are
        exchanged before (`turned`).
        """
        return {
            vector[axis]: (vector[axis ^ turned], sign)
            for vector in self._rows.vectors()
            for axis, sign in enumerate(signs)
        }

    def _pushes(self, agent: int, turned: bool, *signs: int) -> tuple[int, ...] | None:
        """Return what each action becomes of an agent that moves."""
        if not self._agents[agent].moves:
            return None
        along, becomes = pushes(self._rules), [0] * 5
        for direction, action in enumerate(along):
            backwards, axis = divmod(direction, 2)
            axis ^= turned
            backwards ^= signs[axis] < 0
            becomes[action] = along[2 * backwards + axis]
        return tuple(becomes)

    def _change(
        self, agent: int, sources: Sources, actions: tuple[int, ...] | None = None
    ) -> Change:
        """Return what a symmetry makes of an agent's view, and of its actions unless they stay."""
        features, signs = self._views[agent].after(sources)
        return Change(features, signs, actions or tuple(range(self._agents[agent].num_actions)))


class _View:
    """The numbers that an agent observes, and where each of them stands."""

    def __init__(self, numbers: Sequence[Number]):
        self._numbers = numbers
        self._places = {_key(number, 1): (k, 1) for k, number in enumerate(numbers)}
        opposites = {_key(number, -1): (k, -1) for k, number in enumerate(numbers)}
        self._places = opposites | self._places

    def after(self, sources: Sources) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return features and signs of a `Change`."""
        places = [
            (k, 1) if number.keys().isdisjoint(sources) else self._places[_moved(number, sources)]
            for k, number in enumerate(self._numbers)
        ]
        features, signs = zip(*places, strict=True)
        return features, signs


Key = frozenset[tuple[int, float]]


def _key(number: Number, sign: int) -> Key:
    return frozenset((row, sign * weight) for row, weight in number.items())


def _moved(number: Number, sources: Sources) -> Key:
    """Return a number of the new state as a number of the old one."""
    rows = ((*sources.get(row, (row, 1)), weight) for row, weight in number.items())
    return frozenset((row, sign * weight) for row, sign, weight in rows)


def _exchanges(count: int) -> list[list[tuple[int, int]]]:
    """Return a list for each of `count` things but the first: itself, with each one before it.

    To exchange each thing with one of those before it, or none, drawn uniformly, is to draw a
    uniform permutation (Durstenfeld 1964, "Algorithm 235"), from count^2 / 2 exchanges.
    """
    if count > MOST:
        return []
    return [[(thing, earlier) for earlier in range(thing)] for thing in range(1, count)]


def _swapped(one: Sequence[int], other: Sequence[int]) -> Sources:
    """Return the sources where rows take each other's places."""
    pairs = list(zip(one, other, strict=True))
    return {first: (second, 1) for pair in pairs for first, second in (pair, pair[::-1])}
