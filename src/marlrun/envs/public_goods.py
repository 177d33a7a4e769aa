"""public_goods: a small Markov decision process in which private and team interest conflict."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from marlrun.envs.common.episodes import Episodes
from marlrun.envs.common.finite import FiniteState, cumulated, probabilities, to_integers
from marlrun.streams import Blocks, Stream
from marlrun.system import capacity
from marlrun.types import Seeds, Spec, StateDict, Step

_BYTES_PER_CHANCE = 32
"""How many bytes the probability of a transition takes while the table is made."""


class PublicGoods:
    """Actions: 0 keep, 1 contribute. All agents see the state; the task never ends.

    An agent that contributes pays `cost`, and each other agent gets `benefit` / (N - 1). Besides,
    every state pays agent i a reward of its own, drawn from U[0, 1]. The transitions depend on the
    number n of contributors: P(. | s, n) is drawn from U[0, 1] + 1e-5 and normalised. The game
    belongs to the seed `mdp`. The first state is random.
    """

    obs_bounds = 0.0, 1.0

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
        """Make the game; conf/env/public_goods.yaml says what the parameters mean."""
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
        state_rewards = Stream([mdp], "public_goods/rewards", device).uniform(
            0, num_states, num_agents
        )[0]
        self._sums = cumulated(to_integers(weights))
        """[S * (N + 1), S]: row s * (N + 1) + n."""
        self._state_rewards = state_rewards
        """[S, N]: what a state pays."""
        self._pay = _payments(num_agents, cost, benefit).to(device)
        self._state = FiniteState(len(seeds), num_envs, num_agents, num_states, device)
        self._episodes = Episodes(self._state.observe()[0], horizon)
        self._random = Blocks(
            Stream(seeds, "env", device),
            num_envs,
            1,
            prepare=lambda numbers: [to_integers(numbers)],
        )

    def reset(self) -> Step:
        """Begin in a random state in every copy."""
        return self._state.begin(self._episodes, self._random(self._episodes.tick()))

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N]."""
        chance = self._random(self._episodes.tick())
        sums, reward = self._row(self._state.state, action)
        self._state.move(sums, chance)
        obs, state = self._state.observe()
        return self._episodes.after_window(obs, reward, state)

    def restart(self, step: Step) -> Step:
        """Begin a new window where `step` is done; the game goes on."""
        if self._episodes.nothing_to_begin(step):
            return step
        return self._episodes.go_on(step)

    def state_dict(self) -> StateDict:
        """Return all that decides how the game goes on."""
        return {"episodes": self._episodes.state_dict(), "state": self._state.state.clone()}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self._episodes.load_state_dict(state["episodes"])
        self._state.state.copy_(state["state"])

    def render(
        self, mode: Literal["ansi", "rgb_array"], replica: int = 0, copy: int = 0
    ) -> str | np.ndarray:
        """Return a picture or text of one copy: all states, with the present state marked."""
        return self._state.draw(mode, replica, copy)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return P [S, N + 1, S] by the number of contributors, and rewards of states [N, S]."""
        num_states, num_agents = self._state_rewards.shape
        return probabilities(self._sums).view(
            num_states, num_agents + 1, -1
        ), self._state_rewards.double().T

    def _row(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Return sums of transition weights [R, E, S] and rewards [R, E, N]."""
        contributors = action.sum(-1)
        row = torch.add(contributors, state, alpha=action.shape[-1] + 1)
        payment = torch.take(self._pay, torch.add(action, contributors.unsqueeze(-1), alpha=2))
        return embedding(row, self._sums), payment.add_(embedding(state, self._state_rewards))


def _payments(num_agents: int, cost: float, benefit: float) -> Tensor:
    """Return the payments [2 * (N + 1)] to an agent, at 2 * contributors + action of the agent."""
    contributors = torch.arange(num_agents + 1, dtype=torch.float64).unsqueeze(1)
    action = torch.arange(2, dtype=torch.float64)
    return (
        ((contributors - action) * (benefit / (num_agents - 1)) - action * cost).flatten().float()
    )
