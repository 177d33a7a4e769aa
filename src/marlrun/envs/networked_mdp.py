"""networked_mdp: a random Markov decision process (Zhang et al., ICML 2018, experiments)."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from marlrun.envs.common.episodes import Episodes
from marlrun.envs.common.finite import BITS, FiniteState, cumulated, probabilities, to_integers
from marlrun.streams import Blocks, Stream, mix
from marlrun.system import capacity
from marlrun.types import Seeds, Spec, StateDict, Step

LARGEST_REWARD = 4
MAX_TABLE = 1 << 24
"""How many numbers `tables` may return."""


class NetworkedMDP:
    """All agents see the state, and each has a reward of its own; the task never ends.

    P(. | s, a) is drawn from U[0, 1] + 1e-5 and normalised, R^i(s, a) from U[0, 4], and a reward is
    uniform on R +- .5. The game belongs to the seed `mdp`. The S + N numbers of a state and joint
    action are computed when they are needed: number k is `mix` of a sum of random words, one for
    the state, one for the action of every agent, one for k (Zobrist hashing). The first state is
    random.
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
        num_actions: int,
        mdp: int,
        horizon: int,
    ):
        """Make the game; conf/env/networked_mdp.yaml says what the parameters mean."""
        self.num_envs = num_envs
        self.spec = Spec(
            num_agents=num_agents,
            agent_names=tuple(f"agent_{i}" for i in range(num_agents)),
            obs_sizes=(num_states,) * num_agents,
            num_actions=(num_actions,) * num_agents,
            horizon=horizon,
            discount=1.0,
            continuing=True,
            num_states=num_states,
        )
        capacity.check_steps(self.spec, len(seeds), num_envs, device)
        self._num_states = num_states

        def words(name: str, count: int) -> Tensor:
            return Stream([mdp], f"networked_mdp/{name}", device).bits(0, count)[0]

        self._state_words = words("states", num_states)
        self._action_words = words("actions", num_agents * num_actions)
        self._first_action = torch.arange(num_agents, device=device) * num_actions
        self._row_words = words("row", (num_states + num_agents + 1) // 2)
        self._state = FiniteState(len(seeds), num_envs, num_agents, num_states, device)
        self._episodes = Episodes(self._state.observe()[0], horizon)
        self._random = Blocks(
            Stream(seeds, "env", device), num_envs, num_agents + 1, prepare=_noise_and_chance
        )

    def reset(self) -> Step:
        """Begin in a random state in every copy."""
        return self._state.begin(self._episodes, self._random.row(self._episodes.tick())[1])

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N]."""
        noise, chance = self._random.row(self._episodes.tick())
        sums, mean = self._row(self._state.state, action)
        self._state.move(sums, chance)
        obs, state = self._state.observe()
        return self._episodes.after_window(obs, mean.add_(noise), state)

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
        """Return P [S, J, S] and the mean rewards R [N, S, J], float64.

        The J joint actions are in the order of numpy.ravel: the first agent's action is slowest.
        """
        counts = self.spec.num_actions
        joint_actions = counts[0] ** len(counts)
        assert joint_actions * self._num_states * (self._num_states + len(counts)) <= MAX_TABLE
        device = self._first_action.device
        actions = torch.cartesian_prod(*(torch.arange(count, device=device) for count in counts))
        states = torch.arange(self._num_states, device=device).unsqueeze(1)
        sums, mean = self._row(states, actions.view(joint_actions, -1))
        return probabilities(sums), mean.double().movedim(-1, 0)

    def _row(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Return sums of transition weights [.., S] and mean rewards [.., N] float32."""
        words = torch.take(self._action_words, action + self._first_action).sum(-1)
        words = words + torch.take(self._state_words, state)
        bits = mix(words.unsqueeze(-1) + self._row_words).view(torch.int32)
        numbers = bits.bitwise_right_shift_(32 - BITS).bitwise_and_((1 << BITS) - 1)
        end = self._num_states + action.shape[-1]
        mean = numbers[..., self._num_states : end] * (LARGEST_REWARD / 2**BITS)
        return cumulated(numbers[..., : self._num_states]), mean


def _noise_and_chance(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Turn numbers [.., N + 1] into noise of the rewards [.., N], and the chance of the state."""
    return numbers[..., :-1] - 0.5, to_integers(numbers[..., -1:])
