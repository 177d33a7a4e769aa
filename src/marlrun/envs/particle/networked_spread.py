"""networked_spread: agents with targets and pay of their own, who talk to those nearby.

The neural experiment of Zhang et al. (ICML 2018), cooperative navigation changed in four ways.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from marlrun.envs.particle.bodies import Body, changed, discs, landmarks
from marlrun.envs.particle.game import ParticleGame
from marlrun.envs.particle.rows import Number, Rows
from marlrun.envs.particle.spread import RADIUS
from marlrun.streams import Blocks, Stream
from marlrun.types import Seeds, Step


class NetworkedSpread(ParticleGame):
    """Agent i is paid k_i * (-distance to target i - number of agents that it touches).

    All agents see the same: the velocities and positions of all, and all targets. The factors k_i
    are drawn from U[0, 2] and belong to the seed `mdp`. Agents nearer than `radius` communicate.

    The task never ends. As the paper's episodes began anew, so does this world: in every step, with
    probability `renewal`, agents and targets are placed anew after the step was paid. That is a
    transition of the task like any other, which keeps agents from drifting away; a new window of
    the clock changes nothing.
    """

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        num_agents: int,
        radius: float,
        renewal: float,
        mdp: int,
        horizon: int,
        force: float | None,
        mass: float | None,
        max_speed: float | None,
        discount: float,
    ):
        """Make the game; conf/env/networked_spread.yaml says what the parameters mean."""
        self._agents = range(num_agents)
        agents = discs("agent", num_agents, Body("", RADIUS, collides=True))
        super().__init__(
            seeds,
            device,
            num_envs=num_envs,
            rules="mpe2",
            agents=changed(agents, force, mass, max_speed),
            landmarks=landmarks(num_agents, 0.05),
            pairs=[(agent, num_agents + agent) for agent in self._agents],
            horizon=horizon,
            discount=discount,
            continuing=True,
        )
        # All agents observe the same, so that is the state; what was paid for may be renewed in it.
        self.spec = replace(
            self.spec, state_size=self.spec.obs_sizes[0], has_adjacency=True, pays_for=None
        )
        self._radius, self._renewal = radius, renewal
        self._chance = Blocks(Stream(seeds, "env", device), num_envs)
        scales = Stream([mdp], "networked_spread/scales", device).uniform(0, num_agents)[0]
        self._scales = scales.mul(2).unsqueeze(1)
        """[N, 1]: k_i."""
        self._pairs = _numbers_of_pairs(num_agents, self.world.contacts).to(device)

    def reset(self) -> Step:
        """Place all agents and targets in every copy."""
        self._episodes.tick()
        over = self._episodes.over
        self._begin(over.terminated)
        return self._scores.begin(self._episodes.go_on(self._with_view(over)))

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N]; the reward is that of the positions before a renewal."""
        now = self._episodes.tick()
        (reward,) = self._play(action)
        is_renewed = self._chance(now) < self._renewal
        if not self._episodes.nowhere(is_renewed):
            self._begin(is_renewed)
        after = self._episodes.after_endless(self._episodes.over.obs, reward)
        return self._scores.add(self._with_view(after))

    def restart(self, step: Step) -> Step:
        """Begin a new window where `step` is done; the game goes on."""
        if self._episodes.nothing_to_begin(step):
            return step
        return self._scores.begin(self._episodes.go_on(step))

    def _observed(self, rows: Rows, agent: int) -> list[Number]:
        targets = [len(self._agents) + owner for owner in self._agents]
        return [*rows.velocities(self._agents), *rows.positions([*self._agents, *targets])]

    def _outcome(self) -> tuple[Tensor, Tensor | None]:
        to_target = self.world.distance[-len(self._agents) :]
        return -(to_target + self.world.count_touches()) * self._scales, None

    def _links(self, column: int) -> Tensor:
        return self._adjacency().flatten(0, 1)[column]

    def _with_view(self, step: Step) -> Step:
        """Return `step` with what is seen of the present state, and who communicates."""
        obs = self._observe()
        return step._replace(obs=obs, state=obs[:, :, 0], adjacency=self._adjacency())

    def _adjacency(self) -> Tensor:
        """Return which agents are nearer than `radius` to each other, bool [R, E, N, N]."""
        distance = self.world.distance[: len(self.world.contacts)]
        near = torch.cat((distance < self._radius, distance.new_zeros(1, distance.shape[1]) > 0))
        links = near.index_select(0, self._pairs).T.contiguous()
        return links.view(*self._shape[:3], -1)


def _numbers_of_pairs(num_agents: int, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Return the number of the pair of any two agents, [N * N]; len(pairs) of an agent and itself."""
    numbers = torch.full((num_agents, num_agents), len(pairs))
    for number, (first, second) in enumerate(pairs):
        numbers[first, second] = numbers[second, first] = number
    return numbers.flatten()
