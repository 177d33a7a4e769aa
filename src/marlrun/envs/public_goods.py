"""public_goods: a small Markov decision process in which private and team interest conflict."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from marlrun.envs.common.episodes import Episodes
from marlrun.envs.common.finite import Place, cumulated, probabilities, whole
from marlrun.streams import Blocks, Stream
from marlrun.system import capacity
from marlrun.types import Seeds, Spec, StateDict, Step

_BYTES_PER_CHANCE = 32
"""What a transition's probability takes while it is drawn."""


class PublicGoods:
    """Actions: 0 keep, 1 contribute. All agents see the state; the task never ends.

    Contributing costs its owner `cost` and pays `benefit` / (N - 1) to each other agent; besides,
    agent i is paid its own U[0, 1] of every state it acts in. The number n of contributors drives the
    transitions: P(. | s, n) is drawn from U[0, 1] + 1e-5 and normalised. The game belongs to the seed
    `mdp`. A beginning state is any.
    """

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        num_agents: int,
        num_states: int,
        cost: float,
        benefit: float,
        mdp: int,
        horizon: int,
    ):
        """Take what conf/env/public_goods.yaml allows."""
        self.num_envs = num_envs
        self.spec = Spec(
            num_agents=num_agents,
            agent_names=tuple(f"agent_{i}" for i in range(num_agents)),
            obs_sizes=(num_states,) * num_agents,
            num_actions=(2,) * num_agents,
            horizon=horizon,
            discount=1.0,
            continuing=True,
            num_states=num_states,
        )
        capacity.check_steps(self.spec, len(seeds), num_envs, device)
        table = _BYTES_PER_CHANCE * num_states**2 * (num_agents + 1)
        capacity.check(table, device, f"env.num_states={num_states} env.num_agents={num_agents}")
        rows = num_states * (num_agents + 1)
        weights = Stream([mdp], "public_goods/transitions", device).uniform(0, rows, num_states)[0]
        own = Stream([mdp], "public_goods/rewards", device).uniform(0, num_states, num_agents)[0]
        self._sums = cumulated(whole(weights))
        """[S * (N + 1), S]: row s * (N + 1) + n."""
        self._own = own
        """[S, N]: what a state pays."""
        self._pay = _payments(num_agents, cost, benefit).to(device)
        self._place = Place(len(seeds), num_envs, num_agents, num_states, device)
        self._episodes = Episodes(self._place.look()[0], horizon)
        self._draws = Blocks(
            Stream(seeds, "env", device), num_envs, 1, prepare=lambda numbers: [whole(numbers)]
        )

    def reset(self) -> Step:
        """Begin in a random state in every copy."""
        return self._place.begin(self._episodes, self._draws(self._episodes.tick()))

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N]."""
        chance = self._draws(self._episodes.tick())
        sums, reward = self._row(self._place.state, action)
        self._place.move(sums, chance)
        obs, state = self._place.look()
        return self._episodes.after_window(obs, reward, state)

    def restart(self, step: Step) -> Step:
        """Begin a new window where `step` is done; the game goes on."""
        if self._episodes.nothing_to_begin(step):
            return step
        return self._episodes.go_on(step)

    def state_dict(self) -> StateDict:
        """Return all that decides how the game goes on."""
        return {"episodes": self._episodes.state_dict(), "state": self._place.state.clone()}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self._episodes.load_state_dict(state["episodes"])
        self._place.state.copy_(state["state"])

    def render(
        self, mode: Literal["ansi", "rgb_array"], replica: int = 0, copy: int = 0
    ) -> str | np.ndarray:
        """Show one copy: the states, the present one marked."""
        return self._place.draw(mode, replica, copy)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return P [S, N + 1, S] by the number of contributors, and what states pay, [N, S]."""
        num_states, num_agents = self._own.shape
        return probabilities(self._sums).view(num_states, num_agents + 1, -1), self._own.double().T

    def _row(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Return sums of transition weights [R, E, S] and rewards [R, E, N]."""
        contributors = action.sum(-1)
        row = torch.add(contributors, state, alpha=action.shape[-1] + 1)
        paid = torch.take(self._pay, torch.add(action, contributors.unsqueeze(-1), alpha=2))
        return embedding(row, self._sums), paid.add_(embedding(state, self._own))


def _payments(num_agents: int, cost: float, benefit: float) -> Tensor:
    """Return [2 * (N + 1)]: what contributions pay an agent, at 2 * contributors + own action."""
    contributors = torch.arange(num_agents + 1, dtype=torch.float64).unsqueeze(1)
    own = torch.arange(2, dtype=torch.float64)
    return ((contributors - own) * (benefit / (num_agents - 1)) - own * cost).flatten().float()
