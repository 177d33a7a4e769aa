"""The rows of the matrix that holds a particle world, by what they mean.

Whatever agents observe, and the difference of any two positions, is a row or the sum of two rows
with weights. So all of it is the product of the state with a matrix of few entries. A sum of two
numbers is the same in every order: such a product is exact, whatever its size.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from marlrun.envs.particle.bodies import Body

Number = dict[int, float]
"""A number that is seen: the weights of at most two rows, of which it is the sum."""

AXES = (0, 1)
"""x and y."""


class Rows:
    """Velocities of those that move, positions of all bodies, words, the goal's mark, a one.

    Vectors are laid out as all x, then all y. Bodies are numbered: agents, landmarks, the goal.
    The goal lies on one landmark during an episode, which the mark tells: one-hot [landmarks].
    """

    def __init__(self, agents: Sequence[Body], landmarks: Sequence[Body], has_goal: bool):
        self.movers = _movers(agents)
        self.num_placed = len(agents) + len(landmarks)
        """How many bodies the start of an episode places; the goal lies where a landmark is."""
        self.goal = self.num_placed
        """The number of the goal among the bodies."""
        self.num_bodies = self.num_placed + has_goal
        num_words = sum(agent.words for agent in agents)
        num_marks = len(landmarks) * has_goal
        self.sizes = (2 * len(self.movers), 2 * self.num_bodies, num_words, num_marks, 1)
        self.count = sum(self.sizes)
        self.first_word = sum(self.sizes[:2])
        self._num_landmarks, self._first_mark = len(landmarks), sum(self.sizes[:3])

    def velocities(self, agents: Iterable[int]) -> list[Number]:
        """Return the velocities of agents, x and y of each in turn."""
        num_movers, first = len(self.movers), self.movers.start
        return [{axis * num_movers + agent - first: 1} for agent in agents for axis in AXES]

    def positions(self, bodies: Iterable[int]) -> list[Number]:
        """Return the positions of bodies, x and y of each in turn."""
        return [{self._position(body, axis): 1} for body in bodies for axis in AXES]

    def relative(self, bodies: Iterable[int], origin: int) -> list[Number]:
        """Return the positions of bodies as seen from the body `origin`, x and y of each in turn."""
        return [
            {self._position(body, axis): 1, self._position(origin, axis): -1}
            for body in bodies
            for axis in AXES
        ]

    def words(self) -> list[Number]:
        """Return the messages that were sent in the last step, one-hot."""
        return [{row: 1} for row in range(self.first_word, self.first_word + self.sizes[2])]

    def by_goal(self, landmark: int, otherwise: float, gain: float) -> Number:
        """Return a number that is `otherwise`, and larger by `gain` while that landmark is the goal."""
        return {self.count - 1: otherwise, self._first_mark + landmark: gain}

    def constants(self, *values: float) -> list[Number]:
        """Return numbers that never change."""
        return [{self.count - 1: value} if value else {} for value in values]

    def mover(self, agent: int) -> list[int]:
        """Return all rows of an agent that moves: its velocity and its position."""
        place, number = self._place(agent), agent - self.movers.start
        return [number, len(self.movers) + number, *place]

    def landmark(self, index: int) -> list[int]:
        """Return all rows of a landmark: its position, and its mark where one is the goal."""
        place = self._place(self.num_placed - self._num_landmarks + index)
        return [*place, self._first_mark + index] if self.sizes[3] else [*place]

    def vectors(self) -> list[tuple[int, int]]:
        """Return the rows of all velocities and positions, x and y of each."""
        count = len(self.movers)
        velocities = [(row, count + row) for row in range(count)]
        return velocities + [self._place(body) for body in range(self.num_bodies)]

    def matrix(self, numbers: Sequence[Number], device: torch.device) -> Tensor:
        """Return the matrix [F, K] whose product with the rows is these F numbers."""
        matrix = torch.zeros(len(numbers), self.count)
        for index, number in enumerate(numbers):
            assert len(number) <= 2
            for row, weight in number.items():
                matrix[index, row] = weight
        return matrix.to(device)

    def differences(self, pairs: Sequence[tuple[int, int]]) -> list[Number]:
        """Return the first body's position minus the second's: x of all pairs, then y."""
        relative = [self.relative([first], second) for first, second in pairs]
        return [numbers[axis] for axis in AXES for numbers in relative]

    def _place(self, body: int) -> tuple[int, int]:
        return self._position(body, 0), self._position(body, 1)

    def _position(self, body: int, axis: int) -> int:
        return self.sizes[0] + axis * self.num_bodies + body


def _movers(agents: Sequence[Body]) -> range:
    """Return the numbers of the agents that move, which are neighbours."""
    numbers = [number for number, agent in enumerate(agents) if agent.moves]
    movers = range(numbers[0], numbers[-1] + 1)
    assert numbers == list(movers)
    return movers
