"""Evaluation: fresh episodes with seeds and a policy memory of their own, none of them left out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from marlrun import exact
from marlrun.output import say, write
from marlrun.runner import console, inputs, rundir
from marlrun.runner.build import Node, build_env, build_learner
from marlrun.runner.checkpoint import Checkpoints, load, restore
from marlrun.runner.device import choose, set_up
from marlrun.runner.job import read_job, with_files
from marlrun.runner.meters import floats
from marlrun.runner.outcome import Outcome
from marlrun.runner.video import record
from marlrun.streams import derive
from marlrun.types import Env, Learner, Policy, Seeds

CHECK_EVERY = 16
"""Steps between looks whether all episodes are over: a look waits for the device."""


def evaluate(
    env_node: Node,
    learner: Learner,
    seeds: Seeds,
    device: torch.device,
    plugins: Sequence[str],
    *,
    purpose: str,
    episodes: int,
    optimum: float | None,
) -> dict[str, Tensor]:
    """Play `episodes` per replica side by side; return tag -> float64 [R, episodes] on the CPU.

    `purpose` names the random numbers: another purpose, other episodes.
    """
    fresh = [derive(seed, purpose) for seed in seeds]
    env = build_env(env_node, fresh, device, plugins, num_envs=episodes)
    return play(env, learner.policy(explore=False, seeds=fresh), optimum)


@torch.no_grad()
def play(env: Env, policy: Policy, optimum: float | None = None) -> dict[str, Tensor]:
    """Play one episode in every copy; return tag -> float64 [R, E] on the CPU.

    Returns are discounted by the environment's own discount, and mean rewards per step where its
    task is continuing; `eval/return_mean` is the mean over agents, `eval/return_fraction` divides it
    by `optimum`.
    """
    spec = env.spec
    step = env.reset()
    value: Any = getattr(policy, "value", None)
    anticipated = None if value is None else value(step)
    returns = torch.zeros_like(step.reward)
    playing = torch.ones_like(step.first)
    length = torch.zeros_like(step.first, dtype=torch.int64)
    for time in range(spec.horizon):
        after = env.step(policy(step))
        weight = spec.reward_weight * spec.discount**time
        returns.add_(after.reward * playing.unsqueeze(-1), alpha=weight)
        length += playing
        playing &= ~after.done
        if (time + 1) % CHECK_EVERY == 0 and not playing.any():
            break
        step = env.restart(after)
    columns = {"eval/return_mean": returns.mean(-1), "eval/length_mean": length}
    if optimum is not None and optimum > 0:
        columns["eval/return_fraction"] = returns.mean(-1) / optimum
    if anticipated is not None:
        columns["eval/anticipated_mean"] = anticipated.mean(-1)
    for index, name in enumerate(spec.agent_names):
        columns[f"agent/{name}/return"] = returns[..., index]
    return {tag: column.double().cpu() for tag, column in columns.items()}


def means(episodes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return each replica's mean over its episodes: tag -> [R]."""
    return {tag: column.mean(1) for tag, column in episodes.items()}


def optimum_of(solution: Mapping[str, float] | None) -> float | None:
    """Return the optimum among a game's exact values, None where it could not be solved."""
    return None if solution is None else solution["optimum"]


def evaluate_run(
    directory: Path,
    *,
    episodes: int,
    checkpoint: str,
    video: bool,
    seed: int | None,
    device: str,
    threads: int,
    plugins: Sequence[str],
) -> Outcome:
    """Measure a stored run on fresh episodes and write the results to stdout.

    ValueError for whatever is wrong with the directory, the checkpoint or the configuration.
    """
    if video:
        rundir.refuse_links_in(directory)
    config = rundir.read_config(directory)
    with rundir.naming_config(directory):
        job = read_job(config)
    job = with_files(job, inputs.read_stored(config, directory))
    place = choose(device)
    set_up(threads)
    seeds = job.seeds if seed is None else range(seed, seed + len(job.seeds))
    filmed = [derive(seed, "video") for seed in seeds]
    single = build_env(job.env, filmed, place, plugins, num_envs=1)
    learner = build_learner(job.algo, single, job.seeds, place, plugins, job.num_envs, job.graph)
    checkpoints = Checkpoints(directory)
    path = checkpoints.named(checkpoint)
    try:
        state = load(path, place)
    except ValueError as error:
        raise ValueError(f"{error}{checkpoints.hint(checkpoint)}") from error
    restore(state, path, learner=learner)

    columns = evaluate(
        job.env,
        learner,
        seeds,
        place,
        plugins,
        purpose="mode=eval",
        episodes=episodes,
        optimum=optimum_of(exact.solve(job.env)),
    )
    say(f"{path}: env step {state['env_steps']}, {episodes} fresh episodes a seed")
    if video:
        policy = learner.policy(explore=False, seeds=filmed)
        gif = record(single, policy, directory, job.seeds[0], state["env_steps"])
        say(f"video of the evaluated policy: {gif}")
    return _tell(columns, directory)


def _tell(columns: Mapping[str, Tensor], directory: Path) -> Outcome:
    """Write results with intervals over seeds, with one seed over episodes; JSON comes last."""
    results = {tag: floats(values) for tag, values in means(columns).items()}
    if len(columns[console.HEADLINE]) > 1:
        console.write_results(results, "seed")
    else:
        episodes = {tag: floats(values[0]) for tag, values in columns.items()}
        console.write_results(episodes, "episode")
    write(json.dumps({tag: fmean(values) for tag, values in results.items()}))
    return Outcome("finished", directory, results)
