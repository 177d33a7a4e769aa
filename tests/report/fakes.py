"""Run directories as marlrun writes them, small."""

import json
from pathlib import Path

import yaml

from marlrun.version import __version__

TAG = "eval/return_mean"


def write_run(
    folder: Path,
    curves: dict[int, list[float | None]],
    *,
    algo="dec_hdrqn",
    env="target_capture",
    every=100,
    status="finished",
    seconds=True,
    algo_keys=None,
    env_keys=None,
    root=None,
    record=None,
) -> Path:
    """Write a run whose seeds have these values at 0, `every`, ..; the last is its result."""
    folder.mkdir(parents=True)
    config = {
        "algo": {"_target_": "marlrun.algos.dec_hdrqn.DecHDRQN", "beta": 0.3, **(algo_keys or {})},
        "env": {"_target_": f"marlrun.envs.{env}.X", "discount": 1.0, **(env_keys or {})},
        "name": None,
        "seed": min(curves),
        "replicas": len(curves),
        "env_steps": every * (max(map(len, curves.values())) - 1),
        "choices": {"algo": algo, "env": env},
        "paper": [],
        **(root or {}),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    rows = [
        {"env_steps": i * every, "seed": seed, "loss/td": 0.1, TAG: value}
        | ({"perf/seconds": i + 0.5} if seconds else {})
        for i in range(max(map(len, curves.values())))
        for seed, values in curves.items()
        for value in values[i : i + 1]
    ]
    training = {"env_steps": 50, "seed": min(curves), "loss/td": 0.2}
    rows[1:1] = [training] if len(rows) > 1 else []
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = {TAG: [values[-1] for values in curves.values()]} if status == "finished" else {}
    told = {
        "status": status,
        "argv": ["marlrun"],
        "algo": algo,
        "env": env,
        "seeds": list(curves),
        "env_steps": rows[-1]["env_steps"],
        "versions": {"marlrun": __version__},
        "started": "2026-11-22T15:00:00+00:00",
        "results": results,
        "error": None,
        "exact": None,
        **(record or {}),
    }
    (folder / "run.json").write_text(json.dumps(told))
    return folder
