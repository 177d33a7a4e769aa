"""Our games as their YAML declares them, for tests."""

from importlib import import_module
from importlib.resources import files
from typing import Any

import torch
import yaml
from torch import Tensor

from marlrun.types import Env, Step

VARIANTS = [
    ("target_capture", {}),
    ("target_capture", {"targets": "each", "flicker": 0.3, "num_agents": 3, "motion": "random"}),
    ("target_capture", {"size": 2, "horizon": 3, "slip": 0.5, "flicker": 1.0}),
    ("target_capture_tasks", {}),
    ("target_capture_tasks", {"sizes": [2, 3], "horizon": 3, "targets": "one", "motion": "random"}),
    ("meeting_grid", {}),
    ("meeting_grid", {"size": 4, "num_agents": 5, "observation": "walls", "horizon": 7}),
    ("matrix_game", {}),
    ("matrix_game", {"payoff": [[[1, 2, 3], [4, 5, 6]]] * 2, "horizon": 3}),
    ("reward_grid", {}),
    ("reward_grid", {"size": 2, "penalty": 1.0, "horizon": 7}),
    ("networked_mdp", {}),
    ("networked_mdp", {"num_agents": 3, "num_states": 6, "num_actions": 3, "horizon": 7}),
    ("public_goods", {}),
    ("public_goods", {"num_agents": 50, "num_states": 2, "horizon": 3}),
    ("spread", {}),
    ("spread", {"num_agents": 4, "rules": "ma_airl", "horizon": 7}),
    ("speaker_listener", {}),
    ("speaker_listener", {"rules": "ma_airl"}),
    ("push", {}),
    ("push", {"rules": "ma_airl", "max_speed": 0.3}),
    ("tag", {"num_good": 2, "early_end": True}),
    ("adversary", {"mass": 2.0, "force": 3.0}),
    ("networked_spread", {}),
    ("networked_spread", {"num_agents": 3, "renewal": 0.0, "horizon": 7}),
]
PARTICLES = {"spread", "speaker_listener", "push", "tag", "adversary", "networked_spread"}
"""Games without a bound of what is observed, whose agents have names of their own."""
IDS = [f"{name}-{','.join(changes)}" for name, changes in VARIANTS]

GAMES = sorted(
    path.name.removesuffix(".yaml")
    for path in (files("marlrun.conf") / "env").iterdir()
    if path.name.endswith(".yaml") and path.name not in ("pettingzoo.yaml", "tasks.yaml")
)
"""Every game of ours, by its YAML."""
EXPORTS = VARIANTS + [(name, {}) for name in GAMES if (name, {}) not in VARIANTS]
EXPORT_IDS = [f"{name}-{','.join(changes)}" for name, changes in EXPORTS]
"""What is a PettingZoo game too."""


def make(name: str, *seeds: int, device: str = "cpu", **changes: Any) -> Any:
    """Build a game, seed 0 if none is given; returns Any so that tests may look inside."""
    node = yaml.safe_load((files("marlrun.conf") / "env" / f"{name}.yaml").read_text())
    module, _, cls = node.pop("_target_").rpartition(".")
    build = getattr(import_module(module), cls)
    return build(seeds or (0,), torch.device(device), **(node | changes))


def some_actions(env: Env, step: Step, time: int) -> Tensor:
    """Return actions that differ between agents and times but not between replicas."""
    _, copies, agents = step.reward.shape
    numbers = torch.arange(copies * agents).view(1, copies, agents) * 7 + time * time
    return (numbers % torch.tensor(env.spec.num_actions)).repeat(len(step.reward), 1, 1)


def play(env: Env, step: Step, num_steps: int, start: int = 0) -> list[Step]:
    """Play `some_actions`; return every step and restarted step, in order."""
    steps: list[Step] = []
    for time in range(start, start + num_steps):
        after = env.step(some_actions(env, step, time).to(step.obs.device))
        step = env.restart(after)
        steps += [after, step]
    return steps


def assert_equal(one: Step, other: Step, replica: int | None = None) -> None:
    """Two steps are the same, bit for bit; or `other` is replica `replica` of `one`."""
    for name, mine, its in zip(Step._fields, one, other, strict=True):
        if mine is not None:
            mine = mine if replica is None else mine[replica : replica + 1]
            assert torch.equal(mine.cpu(), its.cpu()), name


def assert_frequency(hits: Tensor, chance: float) -> None:
    """The share of `hits` (bool, any shape) is within 4 standard errors of `chance`."""
    error = (chance * (1 - chance) / hits.numel()) ** 0.5
    assert abs(hits.double().mean().item() - chance) <= 4 * error
