"""The four measurements; each returns rows for a table, and states what its ratio compares."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import cycle
from statistics import median
from typing import Any

import torch

from benchmarks import reference_games
from benchmarks.setting import CPU, GAME, PERIOD, Call, game, ours, plain, update_flops
from benchmarks.timing import Effort, Times, alternate, ratio
from marlrun.types import Env

Row = dict[str, Any]
PLAIN = "plain reference"


def training(effort: Effort) -> list[Row]:
    """Dec-HDRQN in the paper's configuration, one thread; ratio: speed over the reference's."""
    replicas = {PLAIN: 1, "marlrun": 1, "marlrun, replicas=8": 8}
    calls = {PLAIN: plain()[1]} | {
        name: ours(n)[1] for name, n in replicas.items() if name != PLAIN
    }
    times = alternate(calls, effort)
    rows: list[Row] = []
    for name, n in replicas.items():
        updates = n / median(times[name])
        speed = {"env_steps_per_s": updates * PERIOD, "updates_per_s": updates}
        compared = [seconds * n for seconds in times[PLAIN]]
        rows.append({"what": name} | speed | _compared(compared, times[name]))
    return rows


def update(effort: Effort) -> list[Row]:
    """The update alone; ratio: share of the float32 matmul rate (best of 512 to 2048 square)."""
    slow, _ = plain()
    calls: dict[str, Call] = {"plain reference: learn": partial(slow.learn, slow.sample())}
    calls["plain reference: sample + learn"] = lambda: slow.learn(slow.sample())
    flops = dict.fromkeys(calls, 0)
    for replicas in (1, 8):
        learner, _ = ours(replicas)
        suffix = "" if replicas == 1 else f", replicas={replicas}"
        mine = {
            f"learn{suffix}": partial(learner.learn, learner.replay.sample()),
            f"sample + learn{suffix}": partial(_sample_and_learn, learner),
        }
        calls |= mine
        flops |= dict.fromkeys(mine, replicas * update_flops(learner))
    nominal = flops["learn"]
    flops = {name: count or nominal for name, count in flops.items()}
    products = {f"matmul {size}": _matmul(size) for size in (512, 1024, 2048)}
    times = alternate(products | calls, effort)
    flops |= {f"matmul {size}": 2 * size**3 for size in (512, 1024, 2048)}
    return _shares(times, flops, list(products))


def stepping(effort: Effort) -> list[Row]:
    """Environment steps, actions given; ratio: speed over the plain game's one copy."""
    games: Mapping[str, tuple[Callable[[], Any], int, dict[str, Any]]] = {
        "target_capture": (reference_games.TargetCapture, 5, {"size": GAME["size"]}),
        "meeting_grid": (reference_games.MeetingGrid, 5, {}),
        "matrix_game": (reference_games.MatrixGame, 3, {}),
    }
    rows: list[Row] = []
    for name, (make_plain, num_actions, changes) in games.items():
        calls: dict[int, Call] = {0: partial(next, _plain_steps(make_plain(), num_actions))}
        for copies in (1, 32, 1024, 8192):
            calls[copies] = partial(next, _steps(game(name, copies, changes), num_actions))
        times = alternate({str(copies): call for copies, call in calls.items()}, effort)
        for copies in calls:
            n, seconds = max(copies, 1), times[str(copies)]
            what = {"game": name, "copies": f"{n:,}" if copies else f"1, {PLAIN}"}
            speed = {"us_a_call": 1e6 * median(seconds), "env_steps_per_s": n / median(seconds)}
            rows.append(what | speed | _compared([x * n for x in times["0"]], seconds))
    return rows


def replicas(effort: Effort) -> list[Row]:
    """The cost of replicas; ratio: time of a tick (updates shared out) over that of one replica."""
    rows = _cost(CPU, (1, 2, 4, 8, 16), effort)
    if torch.cuda.is_available():
        rows += _cost(torch.device("cuda"), (1, 16, 64), effort)
    return rows


PARTS = {"a": training, "b": update, "c": stepping, "d": replicas}


def _compared(numerator: list[float], denominator: list[float]) -> Row:
    middle, low, high = ratio(numerator, denominator)
    return {"ratio": middle, "quartiles": [low, high]}


def _sample_and_learn(learner: Any) -> object:
    return learner.learn(learner.replay.sample())


def _matmul(size: int) -> Call:
    a, b, out = torch.randn(3, size, size)
    return lambda: torch.mm(a, b, out=out)


def _shares(times: Times, flops: Mapping[str, int], products: list[str]) -> list[Row]:
    """Compare each rate with the best product's of the same round."""
    rates = {name: [flops[name] / x for x in seconds] for name, seconds in times.items()}
    best = [max(round_) for round_ in zip(*(rates[name] for name in products), strict=True)]
    return [
        {"what": name, "ms": 1e3 * median(times[name]), "gflop_per_s": median(rates[name]) / 1e9}
        | _compared(rates[name], best)
        for name in times
    ]


def _steps(env: Env, num_actions: int) -> Iterator[None]:
    step = env.reset()
    shape = (16, *step.reward.shape)
    for action in cycle(torch.randint(num_actions, shape).unbind()):
        step = env.restart(env.step(action))
        yield


def _plain_steps(env: Any, num_actions: int) -> Iterator[None]:
    env.reset()
    for action in cycle(torch.randint(num_actions, (64, 2)).tolist()):
        result = env.step(action)
        if result.terminated or result.truncated:
            env.reset()
        yield


def _cost(device: torch.device, counts: tuple[int, ...], effort: Effort) -> list[Row]:
    times = alternate({str(count): ours(count, device)[1] for count in counts}, effort)
    return [
        {"device": device.type, "replicas": count}
        | {"us_a_tick": 1e6 * median(times[str(count)]) / PERIOD}
        | {"env_steps_per_s": count * PERIOD / median(times[str(count)])}
        | _compared(times[str(count)], times["1"])
        for count in counts
    ]
