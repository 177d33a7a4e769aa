"""Evaluation: fresh episodes with seeds and a policy memory of their own, none of them left out."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from marlrun import exact
from marlrun.config.nested import Config
from marlrun.config.tasks import tasks_of
from marlrun.config.unit import singular
from marlrun.runner import console, documents
from marlrun.runner.agreement import Agreement
from marlrun.runner.build import Node, build_env
from marlrun.runner.columns import joined, means, over_tasks
from marlrun.runner.device import set_up
from marlrun.runner.elsewhere import differences
from marlrun.runner.health import Health
from marlrun.runner.meters import floats
from marlrun.runner.outcome import Outcome
from marlrun.runner.plays import block_size
from marlrun.runner.stored import (
    StoredRun,
    load_moved,
    move_run,
    open_run,
)
from marlrun.runner.team import Guest, Team, check_rotation, join_guests
from marlrun.runner.video import check_drawable, record
from marlrun.streams import derive
from marlrun.system import capacity
from marlrun.system.output import say, write
from marlrun.types import AnyLearner, Env, Policy, Rewarding, Seeds, Spec, Step

_NUM_TAGS = 5
"""What is measured of an episode besides each agent's return."""

_BYTES_PER_RESULT = 56
"""A float64 in a tensor, and the same as a number of Python's in a list, with what lists reserve."""

_ALONE = ""
"""In the place of a task's name, where the game is one task alone."""

CHECK_EVERY = 16
"""Steps between two checks whether all episodes are over: a check waits for the device."""


Watch = Callable[[Step, Tensor, Step], object]
"""What sees every transition of a play: before, action, after."""


def evaluate(
    env_node: Node,
    learner: AnyLearner | Team,
    seeds: Seeds,
    device: torch.device,
    plugins: Sequence[str],
    *,
    purpose: str,
    episodes: int,
    solution: Mapping[str, float] | None,
    steps: int | None = None,
    watch: Watch | None = None,
) -> Iterator[dict[str, Tensor]]:
    """Play `episodes` per replica; yield tag -> float64 [R, E] on the CPU for each block of them.

    Of several tasks, every one is played as a game of its own, with the same random numbers, for so
    many episodes; see `over_tasks`. `solution` holds the exact values of `env_node`. `watch` is called
    with every transition. `purpose` names the random numbers: another purpose, other episodes. A block
    has an environment, a policy and seeds of its own, so memory does not grow with `episodes`. All
    blocks but the last, which has the rest, are of one size.
    """
    size = block_size(env_node, plugins)
    tasks = tasks_of(env_node)
    games = tasks or {_ALONE: env_node}
    rewarding = learner if isinstance(learner, Rewarding) else None
    for block, start in enumerate(range(0, episodes, size)):
        fresh = [derive(seed, f"{purpose}/{block}" if block else purpose) for seed in seeds]
        copies = min(size, episodes - start)
        columns: dict[str, dict[str, Tensor]] = {}
        for task, game in games.items():
            env = build_env(game, fresh, device, plugins, num_envs=copies)
            policy = learner.policy(explore=False, seeds=fresh)
            columns[task] = play(env, policy, optimum_of(solution, task), rewarding, steps, watch)
        yield over_tasks(columns) if tasks else columns[_ALONE]


@torch.no_grad()
def play(
    env: Env,
    policy: Policy,
    optimum: float | None = None,
    rewarding: Rewarding | None = None,
    steps: int | None = None,
    watch: Watch | None = None,
) -> dict[str, Tensor]:
    """Play one episode in every copy, or its first `steps`; return tag -> float64 [R, E] on the CPU.

    Returns are discounted by the environment's own discount, and mean rewards per step where its
    task is continuing; `eval/return_mean` is the mean over agents, `eval/return_fraction` divides it
    by `optimum`, `irl/return_mean` is the same of the rewards that a `rewarding` learner recovered.
    """
    spec = env.spec
    step = env.reset()
    value: Any = getattr(policy, "value", None)
    anticipated = None if value is None else value(step)
    returns, learned_returns = torch.zeros_like(step.reward), torch.zeros_like(step.reward)
    playing = torch.ones_like(step.first)
    length = torch.zeros_like(step.first, dtype=torch.int64)
    for time in range(spec.horizon if steps is None else steps):
        action = policy(step)
        after = env.step(action)
        if watch is not None:
            watch(step, action, after)
        weight = spec.reward_weight * spec.discount**time
        returns.add_(after.reward * playing.unsqueeze(-1), alpha=weight)
        if rewarding is not None:
            reward = _checked_reward(rewarding, step, action, after)
            learned_returns.add_(reward * playing.unsqueeze(-1), alpha=weight)
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
    if rewarding is not None:
        columns["irl/return_mean"] = learned_returns.mean(-1)
    for index, name in enumerate(spec.agent_names):
        columns[f"agent/{name}/return"] = returns[..., index]
    return {tag: column.double().cpu() for tag, column in columns.items()}


def _checked_reward(rewarding: Rewarding, before: Step, action: Tensor, after: Step) -> Tensor:
    """Return a learner's own rewards [R, E, N], 0 for agents that have left before.

    ValueError if their shape is another.
    """
    reward = rewarding.reward(before, action, after)
    if reward.shape != after.reward.shape:
        name, shape = type(rewarding).__name__, list(reward.shape)
        raise ValueError(
            f"{name}.reward returned a tensor of shape {shape}, "
            f"expected [R, E, N] = {list(after.reward.shape)}"
        )
    return reward if before.alive is None else reward * before.alive


def check_room(
    spec: Spec, replicas: int, episodes: int, size: int, device: torch.device, key: str
) -> None:
    """Raise ValueError unless a block of the evaluation fits into the memory.

    `size` is that of a block; `key` is what the user sets `episodes` by.
    """
    copies = min(episodes, size)
    columns = 8 * replicas * copies * (_NUM_TAGS + spec.num_agents)
    num_bytes = capacity.of_steps(spec, replicas, copies) + columns
    capacity.check(num_bytes, device, f"{key}={episodes} replicas={replicas}")


def exact_values(env_node: Node, plugins: Sequence[str]) -> dict[str, float] | None:
    """Return the exact values of a game, None where it cannot be solved; say so if it takes long."""
    with console.announcing(console.SOLVING):
        return exact.solve(env_node, plugins)


def optimum_of(solution: Mapping[str, float] | None, task: str) -> float | None:
    """Return the optimum of a game, or of one of its tasks; None where it could not be solved."""
    return (solution or {}).get("optimum" if task == _ALONE else f"task/{task}/optimum")


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
    changes: Config | None = None,
    guests: Mapping[str, Guest] | None = None,
    rotate: int = 0,
) -> Outcome:
    """Measure a stored run on fresh episodes and write the results to stdout.

    `changes` make another game of its own (see `elsewhere.changed`); `guests` act in the place of
    agents, by their names, and replica r plays with their replica r + rotate. ValueError for whatever
    is wrong with the directory, the checkpoint, the configuration, a change or a guest.
    """
    if video:
        documents.refuse_links_in(directory)
    run = open_run(directory, device, plugins)
    check_rotation(rotate, len(run.job.seeds), bool(guests))
    moved = move_run(run, changes or {})
    set_up(threads)
    seeds = run.job.seeds if seed is None else range(seed, seed + len(run.job.seeds))
    video_seeds = [derive(seed, "video") for seed in seeds]
    game = build_env(moved.job.env, video_seeds, run.device, plugins, num_envs=1)
    if video:
        check_drawable(game)
    _check_run(game.spec, len(seeds), episodes, block_size(moved.job.env, plugins), run.device)
    learner, path, unit, done = load_moved(run, moved, game.spec, checkpoint)
    team = join_guests(run, learner, game.spec, guests, rotate) if guests else learner

    blocks = evaluate(
        moved.job.env,
        team,
        seeds,
        run.device,
        plugins,
        purpose="mode=eval",
        episodes=episodes,
        solution=exact_values(moved.job.env, plugins),
    )
    # With one seed there is an interval over episodes, which takes all of them.
    all_blocks = list(blocks) if len(seeds) == 1 else []
    averages = means(all_blocks or blocks)
    agreement = Agreement(moved.job, game.spec, seeds, run.device, plugins)
    agreements = agreement.measure(team, "mode=eval", thorough=True)
    when = f"{singular(unit)} {done}"
    Health(seeds, game.spec.agent_names).check_metrics(averages | agreements, when)

    say(f"{path}: {when}, {episodes} fresh episodes a seed")
    elsewhere = _changes_in_words(run, moved, guests or {}, rotate)
    if elsewhere:
        say(f"elsewhere: {', '.join(elsewhere)}")
    if video:
        policy = team.policy(explore=False, seeds=video_seeds)
        tag = "elsewhere" if elsewhere else "episode"
        gif = record(game, policy, directory, run.job.seeds[0], done, unit, tag)
        say(f"video of the evaluated policy: {gif}")
    results = {tag: floats(values) for tag, values in averages.items()}
    console.write_results(*((joined(all_blocks), "episode") if all_blocks else (results, "seed")))
    agreed = {tag: floats(values) for tag, values in agreements.items()}
    if agreed:
        console.write_results(agreed, "seed")
    results |= agreed
    write(json.dumps({tag: fmean(values) for tag, values in results.items()}))
    return Outcome("finished", directory, results)


def _changes_in_words(
    run: StoredRun, moved: StoredRun, guests: Mapping[str, Guest], rotate: int
) -> list[str]:
    """Return what differs from the game that a run was trained in, and from its team."""
    return [
        *differences(run.config, moved.config, "env").values(),
        *differences(run.config, moved.config, "graph").values(),
        *(f"agents.{name}={guest}" for name, guest in guests.items()),
        *([f"rotate={rotate}"] if rotate else []),
    ]


def _check_run(spec: Spec, replicas: int, episodes: int, size: int, device: torch.device) -> None:
    """Raise ValueError unless the memory holds a block and, with one seed, all results."""
    check_room(spec, replicas, episodes, size, device, "episodes")
    if replicas == 1:
        num_bytes = _BYTES_PER_RESULT * episodes * (_NUM_TAGS + spec.num_agents)
        capacity.check(num_bytes, torch.device("cpu"), f"episodes={episodes}")
