"""All copies of a particle world, as one matrix that every step changes in place."""

from collections.abc import Sequence

import torch
from torch import Tensor

from marlrun.envs.particle import physics
from marlrun.envs.particle.bodies import Body
from marlrun.envs.particle.rows import Number, Rows


class World:
    """Agents, landmarks and perhaps a goal, in M copies: `state` is [K, M], a column for each copy.

    `distance` [P, M] and `delta` [2, P, M], the first body's position minus the second's, are those
    of the present state: of the pairs that may collide, then of those that are asked for.
    """

    def __init__(
        self,
        agents: Sequence[Body],
        landmarks: Sequence[Body],
        *,
        has_goal: bool,
        pairs: Sequence[tuple[int, int]],
        rules: physics.Rules,
        copies: int,
        device: torch.device,
    ):
        """`pairs` are the bodies whose distance a game asks for; see `Rows` for their numbers."""
        self.agents, self.rules = agents, rules
        self.bodies = [*agents, *landmarks, *[Body("goal", 0, moves=False)] * has_goal]
        self.rows = Rows(agents, landmarks, has_goal)
        self.state = torch.zeros(self.rows.count, copies, device=device)
        velocity, position, self.words, self.marks, one = self.state.split_with_sizes(
            self.rows.sizes
        )
        self.velocity = velocity.view(2, -1, copies)
        self.position = position.view(2, -1, copies)
        movers = self.rows.movers
        self._moving = self.position[:, movers.start : movers.stop]
        one.fill_(1)
        self.contacts, self._blocks = physics.contacts(self.bodies, movers)
        differences = self.rows.differences([*self.contacts, *pairs])
        self._differences = self.rows.matrix(differences, device)
        self.delta = torch.empty(2, len(differences) // 2, copies, device=device)
        self.distance = torch.empty_like(self.delta[0])
        self._chosen = torch.zeros(len(agents), copies, device=device)
        self._pushes = torch.empty(4, len(movers), copies, device=device)
        self._touches = torch.empty(len(self.contacts), copies, device=device)
        self._set_constants(device)
        self.measure()

    def _set_constants(self, device: torch.device) -> None:
        """Make the columns of what the bodies are."""

        def column(values: Sequence[float]) -> Tensor:
            dtype = self.state.dtype
            return torch.tensor(values, dtype=dtype, device=device).unsqueeze(1)

        movers = [self.agents[number] for number in self.rows.movers]
        self.reach = column(
            [self.bodies[one].radius + self.bodies[other].radius for one, other in self.contacts]
        )
        """[contacts, 1]: at which distance bodies touch."""
        self._margins = self.reach / physics.CONTACT_MARGIN
        self._ends_of_contacts = torch.zeros(len(self.agents), len(self.contacts), device=device)
        for index, contact in enumerate(self.contacts):
            for number in contact:
                if number < len(self.agents):
                    self._ends_of_contacts[number, index] = 1
        self._force = column([body.force for body in movers])
        self._inverse_mass = column([1 / body.mass for body in movers])
        is_limited = any(body.max_speed is not None for body in movers)
        speeds = [torch.inf if body.max_speed is None else body.max_speed for body in movers]
        self._max_speed = column(speeds) if is_limited else None
        self._start_reach = column([body.reach for body in self.bodies[: self.rows.num_placed]])
        pushes = torch.tensor(physics.pushes(self.rules), device=device)
        self._push_actions = pushes.to(self.state.dtype).view(4, 1, 1)

    @property
    def num_chances(self) -> int:
        """How many random numbers the start of an episode takes."""
        return 2 * self.rows.num_placed + (len(self.marks) > 0)

    def begin(self, begins: Tensor, chance: Tensor) -> None:
        """Place all bodies, at rest, in the copies where `begins` [M]; `chance` [M, num_chances]."""
        chance = chance.T.to(self.state.dtype)
        num_placed, num_landmarks = self.rows.num_placed, len(self.marks)
        placed = chance[: 2 * num_placed].view(2, num_placed, -1).mul(2).sub_(1)
        position, marks = placed.mul_(self._start_reach), chance[:0]
        if num_landmarks:
            numbers = torch.arange(num_landmarks, device=chance.device).unsqueeze(1)
            number = (chance[-1] * num_landmarks).long()
            goal = position[:, -num_landmarks:].gather(1, number.expand(2, 1, -1))
            position, marks = torch.cat((position, goal), 1), (numbers == number).to(chance.dtype)
        at_rest = chance.new_zeros(self.rows.sizes[0], chance.shape[1])
        silent = chance.new_zeros(self.rows.sizes[2], chance.shape[1])
        start = torch.cat((at_rest, position.flatten(0, 1), silent, marks))
        state = self.state[:-1]
        torch.where(begins, start, state, out=state)
        self.measure()

    def choose(self, action: Tensor) -> None:
        """Let all agents choose what they do when the world moves next, `action` [M, N] int64."""
        self._chosen.copy_(action.T)

    def move(self) -> None:
        """Let all agents do what they chose, and a time step pass."""
        force = self._act()
        if self.contacts:
            stiff = physics.stiffness(self.distance[: len(self.contacts)], self._margins)
            physics.add_contacts(force, self.delta, stiff, self._blocks)
        physics.integrate(
            self._moving, self.velocity, force, self._inverse_mass, self._max_speed, self.rules
        )
        self.measure()

    def _act(self) -> Tensor:
        """Send the words of agents that speak; return the pushes [2, n, M] of those that move."""
        row = 0
        for number, agent in enumerate(self.agents):
            for word in range(agent.words):
                torch.eq(self._chosen[number], word, out=self.words[row])
                row += 1
        movers = self.rows.movers
        chosen = self._chosen[movers.start : movers.stop]
        torch.eq(chosen, self._push_actions, out=self._pushes)
        forth, back = self._pushes.view(2, 2, *chosen.shape)
        return (forth - back).mul_(self._force)

    def measure(self) -> None:
        """Measure the distances of all pairs, of which a step makes use after the state has changed."""
        torch.mm(self._differences, self.state, out=self.delta.view(-1, self.state.shape[1]))
        physics.length(self.delta, out=self.distance)

    def overlap(self) -> Tensor:
        """Return how far the bodies of each pair that may collide reach into each other, [C, M]."""
        return (self.reach - self.distance[: len(self.contacts)]).clamp_(min=0)

    def count_touches(self) -> Tensor:
        """Return how many bodies each agent touches, [N, M]."""
        torch.lt(self.distance[: len(self.contacts)], self.reach, out=self._touches)
        return self._ends_of_contacts @ self._touches

    def matrix(self, numbers: Sequence[Number]) -> Tensor:
        """Return the matrix [K, F] with which these F numbers are `seen`."""
        return self.rows.matrix(numbers, self.state.device).T.contiguous()

    def seen(self, matrix: Tensor) -> Tensor:
        """Return what is seen of every copy, [M, F]; `matrix` is [K, F]."""
        return self.state.T @ matrix
