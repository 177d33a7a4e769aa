"""Recovered rewards: what a run found to be the reward, also without the run.

A file `reward.pt` holds one as a `StateDict`: its kind, the game that it belongs to, and what is
learned, for every replica.

Shapes: R replicas, B transitions, N agents, O observation, S demonstrated observations.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Protocol

import torch
from torch import Tensor

from marlrun.nets.discriminator import Inputs, Scores, ScoreSettings
from marlrun.nets.masks import masked, missing_features
from marlrun.types import Seeds, Spec, StateDict, Step

_FORMAT = 1
_GAME = (
    "num_agents",
    "agent_names",
    "obs_sizes",
    "num_actions",
    "horizon",
    "discount",
    "num_states",
)
_TRANSFORMED: dict[str, Callable[[Tensor], Tensor]] = {
    # g of MA-AIRL, and log D - log(1 - D) of MA-GAIL
    "g": lambda score: score,
    "logit": lambda score: score,
    # log D, where the score is the logit of D
    "log_d": torch.nn.functional.logsigmoid,
}


class RewardFunction(Protocol):
    """r_i(o_i, a_i) for all agents."""

    kind: str

    def __call__(self, obs: Tensor, action: Tensor) -> Tensor:
        """Return rewards [R, B, N] of observations [R, B, N, O] and actions [R, B, N]."""
        ...

    def state_dict(self) -> StateDict:
        """Return what it takes to make it again."""
        ...


class RecoveredReward:
    """A reward function with the game that it belongs to, one reward for each replica of a run."""

    def __init__(self, spec: Spec, seeds: Seeds, function: RewardFunction):
        self.spec, self.seeds, self.function = spec, tuple(seeds), function

    @property
    def kind(self) -> str:
        """What it is: g, logit, log_d, constant or nearest."""
        return self.function.kind

    @torch.no_grad()
    def __call__(self, obs: Tensor, action: Tensor) -> Tensor:
        """Return rewards [R, .., N] of observations [R, .., N, O] and actions [R, .., N]."""
        reward = self.function(obs.flatten(1, -3), action.flatten(1, -2))
        return reward.view(action.shape)

    def reward(self, before: Step, action: Tensor, after: Step) -> Tensor:
        """Return each agent's reward [R, E, N] of one transition; 0 for agents that had left."""
        reward = self(before.obs, action)
        return reward if before.alive is None else reward * before.alive

    def state_dict(self) -> StateDict:
        """Return what reward.pt holds: `recovered_reward` makes the same of it."""
        game = {name: getattr(self.spec, name) for name in _GAME}
        head = {"format": _FORMAT, "kind": self.kind, "game": game, "seeds": list(self.seeds)}
        return head | {"function": self.function.state_dict()}


def recovered_reward(state: StateDict, device: torch.device) -> RecoveredReward:
    """Return the reward that `RecoveredReward.state_dict` described.

    ValueError if the state is of another format.
    """
    if state.get("format") != _FORMAT:
        raise ValueError(f"expected a recovered reward of format {_FORMAT}")
    spec, seeds, kind = Spec(**state["game"]), state["seeds"], state["kind"]
    if kind == "constant":
        function = Constant(state["function"]["constant"])
    elif kind == "nearest":
        function = Nearest(spec, state["function"]["observations"].to(device))
    else:
        function = Network.of_state(kind, spec, seeds, device, state["function"])
    return RecoveredReward(spec, seeds, function)


class Network:
    """A network of each agent that scores what it sees, and may score what it does."""

    def __init__(self, kind: str, inputs: Inputs, scores: Scores):
        self.kind, self._inputs, self._scores = kind, inputs, scores
        self._transformed = _TRANSFORMED[kind]

    @classmethod
    def of_state(
        cls, kind: str, spec: Spec, seeds: Seeds, device: torch.device, state: StateDict
    ) -> "Network":
        """Return the network that `state_dict` described."""
        settings = ScoreSettings(**state["settings"])
        inputs = Inputs(spec, len(seeds), device, normalise=settings.normalise)
        inputs.load_state_dict(state["inputs"])
        scores = Scores(spec, seeds, device, settings, name="recovered")
        with torch.no_grad():
            scores.rows.copy_(state["rows"])
        return cls(kind, inputs, scores)

    def __call__(self, obs: Tensor, action: Tensor) -> Tensor:
        """See `RewardFunction`."""
        return self._transformed(self._scores(self._inputs(obs), action))

    def state_dict(self) -> StateDict:
        """See `RewardFunction`."""
        settings = self._scores.settings
        settings = {field.name: getattr(settings, field.name) for field in fields(ScoreSettings)}
        settings["hidden"] = list(settings["hidden"])
        return {
            "settings": settings,
            "inputs": self._inputs.state_dict(),
            "rows": self._scores.rows.detach(),
        }


class Constant:
    """The same reward for every step: a control that no demonstration can change."""

    kind = "constant"

    def __init__(self, constant: float):
        self._constant = constant

    def __call__(self, obs: Tensor, action: Tensor) -> Tensor:
        """See `RewardFunction`."""
        # 1 is typed for 1.0, and would fill a tensor of integers.
        return torch.full(action.shape, float(self._constant), device=action.device)

    def state_dict(self) -> StateDict:
        """See `RewardFunction`."""
        return {"constant": self._constant}


class Nearest:
    """Minus the distance to the nearest demonstrated observation (arXiv 2506.06793).

    An agent's own observation counts alone. Each feature is divided by its standard deviation in the
    demonstrations, if it varies there.
    """

    kind = "nearest"
    _MOST = 10_000
    """Of more demonstrated observations, so many are taken at even distances."""
    _PIECE = 128
    """So many observations at once are compared with all, so that the table stays in the cache."""

    def __init__(self, spec: Spec, observations: Tensor):
        """Take demonstrated observations [N, S, O]."""
        self._missing = missing_features(spec, observations.device)
        stride = -(-observations.shape[1] // self._MOST)
        observations = observations[:, ::stride]
        # Agents come before samples here.
        missing = None if self._missing is None else self._missing.unsqueeze(1)
        self._observations = masked(observations, missing, 0.0).contiguous()
        deviation = self._observations.std(1, correction=0, keepdim=True)
        self._scale = torch.where(deviation > 1e-6, 1 / deviation, 1.0)
        self._points = self._observations * self._scale
        # |x - y|^2 = |x|^2 + [x, 1] . [-2 y, |y|^2]
        squares = self._points.square().sum(-1, keepdim=True)
        self._factors = torch.cat((-2 * self._points, squares), -1).mT.contiguous()

    def __call__(self, obs: Tensor, action: Tensor) -> Tensor:
        """See `RewardFunction`."""
        obs = masked(obs, self._missing, 0.0).transpose(1, 2)
        # Memory that is fresh for every piece would cost more than the products.
        table = obs.new_empty(len(self._factors), self._PIECE, self._factors.shape[-1])
        rewards = [self._of_replica(points * self._scale, table) for points in obs]
        return torch.stack(rewards).transpose(1, 2)

    def _of_replica(self, points: Tensor, table: Tensor) -> Tensor:
        """Return minus the distances [N, B] from points [N, B, O], divided by the deviations."""
        starts = range(0, points.shape[1], self._PIECE)
        pieces = [points[:, start : start + self._PIECE] for start in starts]
        index = torch.cat([self._nearest(piece, table) for piece in pieces], 1)
        nearest = self._points.gather(1, index.unsqueeze(-1).expand_as(points))
        return -(points - nearest).square().sum(-1).sqrt()

    def _nearest(self, points: Tensor, table: Tensor) -> Tensor:
        """Return the index [N, B] of the demonstrated point that is nearest."""
        products = table[:, : points.shape[1]]
        torch.bmm(torch.nn.functional.pad(points, (0, 1), value=1.0), self._factors, out=products)
        # `argmin` would take five times as long.
        return products.min(-1).indices

    def state_dict(self) -> StateDict:
        """See `RewardFunction`."""
        return {"observations": self._observations}
