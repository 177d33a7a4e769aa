"""The worlds in which the authors of MA-AIRL measured, one agent and one number at a time, for tests.

From the formulas of the authors' code (ermongroup/MA-AIRL at e2a5867), in NumPy and float64; nothing
of our own worlds is used.
"""

import numpy as np

DIRECTIONS = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
HORIZON = 50


def distance(one, other):
    return np.sqrt(np.sum((one - other) ** 2))


class Oracle:
    """A world of agents and landmarks; a scenario says what is seen, paid, and when it ends."""

    radius: float
    num_agents: int
    collides = True
    mass = (1.0, 1.0, 1.0)
    max_speed = np.inf

    def __init__(self, agents, landmarks, velocities, goal):
        """Take positions [N, 2] and [L, 2], velocities [N, 2] and the number of the goal's landmark."""
        self.agents, self.landmarks = np.array(agents), np.array(landmarks)
        self.velocities, self.goal, self.steps = np.array(velocities), goal, 0
        self.message = np.zeros(3)

    def step(self, actions):
        """Play an action of each agent; return observations, rewards, and whether it ended."""
        forces = [self.force(agent, action) for agent, action in enumerate(actions)]
        for agent, force in enumerate(forces):
            velocity = 0.75 * self.velocities[agent] + 0.1 * force / self.mass[agent]
            speed = distance(velocity, 0)
            if speed > self.max_speed:
                velocity = velocity / speed * self.max_speed
            self.velocities[agent] = velocity
            self.agents[agent] += 0.1 * velocity
        self.steps += 1
        agents = range(self.num_agents)
        return [self.seen(a) for a in agents], [self.paid(a) for a in agents], self.ended()

    def force(self, agent, action):
        """Return five times the direction of a push, and what the other agents push back."""
        force = 5.0 * DIRECTIONS[action]
        for other in self.others(agent) if self.collides else []:
            away = self.agents[agent] - self.agents[other]
            depth = np.logaddexp(0, (2 * self.radius - distance(away, 0)) / 1e-3) * 1e-3
            force = force + 100 * depth * away / distance(away, 0)
        return force

    def others(self, agent):
        return [other for other in range(self.num_agents) if other != agent]

    def from_agent(self, agent, places):
        return [number for place in places for number in place - self.agents[agent]]


class Spread(Oracle):
    radius, num_agents = 0.15, 3

    def seen(self, agent):
        others = [self.agents[other] for other in self.others(agent)]
        ways = self.from_agent(agent, [*self.landmarks, *others])
        return [*self.velocities[agent], *ways, 0, 0, 0, 0]

    def nearest(self):
        return [
            min(distance(agent, landmark) for agent in self.agents) for landmark in self.landmarks
        ]

    def paid(self, _):
        """Every agent gets what all agents deserve; each overlaps with itself, too."""
        way, total = sum(self.nearest()), 0.0
        for agent in self.agents:
            total -= way
            for other in self.agents:
                total += min(distance(agent, other) - 0.3, 0)
        return total

    def ended(self):
        return max(self.nearest()) <= 0.1


class SpeakerListener(Oracle):
    """The listener alone is in the world: where the speaker is matters to nobody."""

    radius, num_agents, collides = 0.075, 2, False

    def step(self, actions):
        word, push = actions
        self.message = np.eye(3)[word]
        return super().step([0, push])

    def seen(self, agent):
        if agent == 0:
            return 0.15 + 0.5 * np.eye(3)[self.goal]
        return [*self.velocities[1], *self.from_agent(1, self.landmarks), *self.message]

    def way(self):
        return distance(self.agents[1], self.landmarks[self.goal])

    def paid(self, _):
        return -2 * self.way()

    def ended(self):
        return self.way() <= 0.035


class Push(Oracle):
    radius, num_agents, mass, max_speed = 0.05, 2, (5.0, 1.0), 2.0

    def seen(self, agent):
        goal = self.landmarks[self.goal]
        other = self.agents[1 - agent]
        if agent == 0:
            return [*self.velocities[0], *self.from_agent(0, [goal, *self.landmarks, other])]
        colour = [0.25, *(0.25 + 0.5 * np.eye(2)[self.goal])]
        colours = [0.1, 0.9, 0.1, 0.1, 0.1, 0.9]
        ways = self.from_agent(1, [goal]), self.from_agent(1, self.landmarks)
        others = self.from_agent(1, [other])
        return [*self.velocities[1], *ways[0], *colour, *ways[1], *colours, *others]

    def paid(self, agent):
        adversary, good = (distance(one, self.landmarks[self.goal]) for one in self.agents)
        return good - adversary if agent == 0 else -good

    def ended(self):
        return False


SCENARIOS = {"spread": Spread, "speaker_listener": SpeakerListener, "push": Push}
