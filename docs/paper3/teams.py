"""Table 2 of paper 3: keep-away by mixed teams, with both sides' returns.

Replica r of one run plays with replica r of the other, all pairs in the same episodes.
"""

from pathlib import Path
from typing import Any

import torch
from kept import RESULTS, cell, markdown

from marlrun.algos.random import Random
from marlrun.runner.evaluate import evaluate, means
from marlrun.runner.stored import load_learner, open_run, training_env
from marlrun.runner.team import Player, Team
from marlrun.types import AnyLearner

EPISODES, SEED = 4000, 300
SIDES = ("agent_0", "adversary_0")
EXPERT = "expert"
PAPER = {
    # The good agent's return, by who plays it and who its adversary
    ("expert", "expert"): "-6.80",
    ("MA-GAIL", "expert"): "-6.98",
    ("MA-AIRL", "expert"): "-6.79",
    ("expert", "MA-GAIL"): "-6.92",
    ("expert", "MA-AIRL"): "-7.37",
}
RUNS = {
    "MA-AIRL": "experiment-imitators=ma_airl",
    "MA-GAIL": "experiment-imitators=ma_gail",
    "constant -1": "experiment-imitators=constant",
    "nearest": "experiment-imitators=nearest",
    "cloning": "experiment-imitators=bc",
}


def teams(sweep: Path) -> dict[str, Any]:
    """Return both sides' returns, seed by seed, of every imitator of a sweep with the expert on either side.

    `sweep` is a directory of `marlrun -m +experiment=paper3_keep_away`, with its checkpoints.
    """
    torch.set_num_threads(1)
    run = open_run(RESULTS / "experts_push", "cpu", [])
    players: dict[str, AnyLearner] = {EXPERT: _learned(RESULTS / "experts_push")}
    for name, ending in RUNS.items():
        (path,) = sweep.glob(f"*_{ending}")
        players[name] = _learned(path)
    players["random"] = Random(training_env(run).spec, run.job.seeds, run.device, num_envs=1)
    pairs = [(name, EXPERT) for name in players] + [(EXPERT, name) for name in players]
    pairs += [(name, name) for name in players]
    found: dict[str, Any] = {}
    for good, adversary in dict.fromkeys(pairs):
        team = Team(
            [Player(players[adversary], "adversary"), Player(players[good], "good")], [0, 1]
        )
        blocks = evaluate(
            run.job.env,
            team,
            [SEED] * len(run.job.seeds),
            run.device,
            run.plugins,
            purpose="mixed teams",
            episodes=EPISODES,
            solution=None,
        )
        averages = means(blocks)
        returns = {side: averages[f"agent/{side}/return"].tolist() for side in SIDES}
        found[f"{good} / {adversary}"] = returns
    return found


def teams_table(found: dict[str, Any]) -> str:
    """Return the pairs as a Markdown table."""
    rows = [
        ["good agent / adversary", "the good agent's return", "paper", "the adversary's return"]
    ]
    for pair, returns in found.items():
        good, adversary = pair.split(" / ")
        good_return, adversary_return = (cell(returns[side], 2) for side in SIDES)
        rows.append([pair, good_return, PAPER.get((good, adversary), ""), adversary_return])
    return markdown(rows)


def _learned(path: Path) -> AnyLearner:
    """Return what a run has learned in the end."""
    run = open_run(path, "cpu", [])
    return load_learner(run, training_env(run), "latest").learner
