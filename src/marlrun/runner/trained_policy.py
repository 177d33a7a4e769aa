"""What a run has learned, as a policy that takes observations and returns actions by agent's name."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from marlrun.config.schema import did_you_mean
from marlrun.envs.pettingzoo.export import ParallelGame, RenderMode, one_thread
from marlrun.runner import documents
from marlrun.runner.build import Node, build_env
from marlrun.runner.stored import StoredRun, load_learner, open_run
from marlrun.streams import derive
from marlrun.types import Env, Policy, Spec, Step


def load_policy(
    directory: Path,
    checkpoint: str,
    replica: int,
    seed: int | None,
    plugins: Sequence[str],
    device: str,
) -> "TrainedPolicy":
    """Return the policy of one replica of a run; `seed` of its actions, None = the replica's.

    ValueError, in one line, for whatever is wrong with the run, the checkpoint or the replica.
    """
    run = open_run(directory, device, plugins)
    seeds = run.job.seeds
    if replica not in range(len(seeds)):
        raise ValueError(f"replica={replica}: expected int [0, {len(seeds) - 1}], as the run has")
    with one_thread():
        env = build_env(run.job.env, seeds, run.device, plugins, num_envs=1)
        learner = load_learner(run, env, checkpoint).learner
    seed = seeds[replica] if seed is None else seed
    # The name under which mode=eval draws the numbers of its first episodes.
    policy = learner.policy(explore=False, seeds=[derive(seed, "mode=eval")] * len(seeds))
    return TrainedPolicy(run, env.spec, policy, replica)


class TrainedPolicy:
    """Acts for all agents of a run's game as one replica has learned to, and remembers the episode.

    The learner holds all replicas of the run; all see the same, and one of them is listened to.
    """

    def __init__(self, run: StoredRun, spec: Spec, policy: Policy, replica: int):
        self.directory = run.directory
        self.config = documents.read_config(run.directory)
        """What config.yaml holds."""
        self.results = _results(run.directory, replica)
        """Tag -> the replica's final result; empty where the run is not finished."""
        self.agents = list(spec.agent_names)
        self._run, self._spec, self._policy, self._replica = run, spec, policy, replica
        self._begins: bool | None = None
        """Whether the next observations begin an episode; None before the first `reset`."""

    def env(self, render_mode: RenderMode | None = None) -> ParallelGame:
        """Return the run's game, new, as a PettingZoo parallel environment."""
        name = self.config.get("choices", {}).get("env", "env")
        make = partial(_build_game, self._run.job.env, self._run.plugins)
        return ParallelGame(make, f"{name}_v0", render_mode)

    def reset(self) -> None:
        """Begin an episode: what the agents remember of the one before is forgotten."""
        self._begins = True

    def act(
        self, observations: Mapping[str, ArrayLike], infos: Mapping[str, Any] | None = None
    ) -> dict[str, int]:
        """Return an action of every agent, and remember what the agents have observed.

        `observations` has an array of numbers of every agent, as long as what the agent observes;
        where agents leave, none of those that have left, who get no action. Where the game masks
        actions, `infos[agent]["action_mask"]` has 1 or 0 for each action of the agent; who may do
        nothing has left. ValueError, in one line, for other observations or masks, or if `reset` was
        not called before.
        """
        if self._begins is None:
            raise ValueError("act() before reset(): expected reset() first")
        self._check_agents(observations)
        rows = self._rows(observations)
        masks = self._masks(observations, infos or {}) if self._spec.has_action_mask else None
        alive = np.array([agent in observations for agent in self.agents])
        if masks is not None:
            alive &= masks.any(-1)
        with one_thread(), torch.no_grad():
            step = self._step(rows, masks, alive, self._begins)
            actions = self._policy(step)[self._replica, 0].cpu()
        self._begins = False
        agents = zip(self.agents, map(int, actions), alive, strict=True)
        return {agent: action for agent, action, lives in agents if lives}

    def _check_agents(self, observations: Mapping[str, Any]) -> None:
        """Raise ValueError unless observations are of the agents that may be there."""
        if not isinstance(observations, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            given = type(observations).__name__
            raise ValueError(f"observations: got {given}, expected a dict by agent's name")
        for agent in observations:
            if agent not in self.agents:
                guess = did_you_mean(str(agent), self.agents)
                raise ValueError(f"no agent {agent!r}: expected {', '.join(self.agents)}{guess}")
        may_be_missing = self._spec.agents_leave and not self._begins
        for agent, size in zip(self.agents, self._spec.obs_sizes, strict=True):
            if agent not in observations and not may_be_missing:
                raise ValueError(
                    f"observation of {agent}: missing, expected an array of {size} numbers"
                )

    def _masks(
        self, observations: Mapping[str, Any], infos: Mapping[str, Any]
    ) -> NDArray[np.bool_]:
        """Return what the agents may do, [N, A]; ValueError if an agent's mask is no good."""
        counts = self._spec.num_actions
        masks = np.zeros((len(counts), max(counts)), np.bool_)
        for row, agent, count in zip(masks, self.agents, counts, strict=True):
            if agent in observations:
                row[:count] = _checked_mask(agent, infos, count)
        if not self._spec.agents_leave and not masks.any(-1).all():
            agent = self.agents[int(masks.any(-1).argmin())]
            raise ValueError(f"infos of {agent}: action_mask allows nothing, expected an action")
        return masks

    def _rows(self, observations: Mapping[str, ArrayLike]) -> NDArray[np.float32]:
        """Return what the agents observe, [N, O], padded; ValueError if it cannot be."""
        sizes = self._spec.obs_sizes
        rows = np.zeros((len(sizes), max(sizes)), np.float32)
        for row, agent, size in zip(rows, self.agents, sizes, strict=True):
            if agent in observations:
                row[:size] = _checked(agent, observations[agent], size)
        if self._spec.num_states is not None:
            self._refuse_other_states(rows)
        return rows

    def _refuse_other_states(self, rows: NDArray[np.float32]) -> None:
        """Raise ValueError unless all agents observe the same one-hot state."""
        is_one_hot = rows[0].max() == 1 and np.count_nonzero(rows[0]) == 1
        for agent, row in zip(self.agents, rows, strict=True):
            if not is_one_hot or (row != rows[0]).any():
                expected = "expected the state, one-hot, the same for all agents of this game"
                raise ValueError(f"observation of {agent}: {expected}")

    def _step(
        self,
        rows: NDArray[np.float32],
        masks: NDArray[np.bool_] | None,
        alive: NDArray[np.bool_],
        first: bool,
    ) -> Step:
        """Return the step that all replicas see."""

        def repeated(array: NDArray[Any]) -> Tensor:
            tensor = torch.from_numpy(array).to(self._run.device)
            return tensor.repeat(len(self._run.job.seeds), 1, *(1,) * array.ndim)

        obs = repeated(rows)
        no = torch.zeros(obs.shape[:2], dtype=torch.bool, device=obs.device)
        return Step(
            no | first,
            obs,
            torch.zeros_like(obs[..., 0]),
            no,
            no,
            alive=repeated(alive) if self._spec.agents_leave else None,
            action_mask=None if masks is None else repeated(masks),
            state=None if self._spec.num_states is None else obs[:, :, 0],
        )


def _checked_mask(agent: str, infos: Mapping[str, Any], count: int) -> NDArray[np.bool_]:
    """Return which of its actions an agent may take; ValueError unless `infos` says so."""
    try:
        mask = np.asarray(infos[agent]["action_mask"], np.float32)
    except (TypeError, ValueError, LookupError):
        mask = np.empty(0)
    if mask.shape != (count,) or not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"infos of {agent}: expected an action_mask of {count} numbers that are 0 or 1"
        )
    return mask.astype(np.bool_)


def _checked(agent: str, observation: ArrayLike, size: int) -> NDArray[np.float32]:
    """Return what an agent observes; ValueError unless it is an array of so many numbers."""
    try:
        array = np.asarray(observation, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"observation of {agent}: expected an array of {size} numbers") from error
    if array.shape != (size,):
        raise ValueError(f"observation of {agent}: shape {array.shape}, expected ({size},)")
    if not np.isfinite(array).all():
        raise ValueError(f"observation of {agent}: holds nan or inf, expected finite numbers")
    return array


def _results(directory: Path, replica: int) -> dict[str, float]:
    """Return the replica's final results that run.json holds; ValueError if it is damaged."""
    record = documents.read_record(directory) or {}
    results: Mapping[str, Any] = record.get("results", {})
    try:
        return {tag: float(values[replica]) for tag, values in results.items()}
    except (TypeError, ValueError, LookupError) as error:
        path = directory / "run.json"
        raise ValueError(f"{path}: results: expected a list of numbers, one a seed") from error


def _build_game(node: Node, plugins: Sequence[str], seed: int) -> Env:
    """Build a game of one copy; a function of the module, because closures cannot be pickled."""
    return build_env(node, [seed], torch.device("cpu"), plugins, num_envs=1)
