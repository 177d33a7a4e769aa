"""The measurements; each returns rows for a table, and states what its ratio compares."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import cycle
from statistics import median
from typing import Any

import torch

from benchmarks import reference_games
from benchmarks.airl import airl
from benchmarks.ippo import ippo
from benchmarks.particle import spread
from benchmarks.reports import report
from benchmarks.scale import scale
from benchmarks.setting import CPU, GAME, PERIOD, Call, game, ours, plain, update_flops
from benchmarks.timing import Effort, Times, alternate, ratio
from marlrun.algos.dec_hdrqn import DecHDRQN
from marlrun.nets.captured import Captured
from marlrun.types import Env

Row = dict[str, Any]
PLAIN = "plain reference"
GAMES: Mapping[str, tuple[Callable[[], Any], int, Mapping[str, Any]]] = {
    "target_capture": (reference_games.TargetCapture, 5, {"size": GAME["size"]}),
    "meeting_grid": (reference_games.MeetingGrid, 5, {}),
    "matrix_game": (reference_games.MatrixGame, 3, {}),
}
"""Name -> the plain version, its number of actions, what differs from conf/env/NAME.yaml."""


def training(effort: Effort) -> list[Row]:
    """Dec-HDRQN in the paper's configuration, on one core; ratio: speed over the reference's."""
    loops = {
        PLAIN: (1, plain()[1]),
        "marlrun": (1, ours()[1]),
        "marlrun, replicas=8": (8, ours(8)[1]),
    }
    times = alternate({name: period for name, (_, period) in loops.items()}, effort)
    rows: list[Row] = []
    for name, (count, _) in loops.items():
        updates = count / median(times[name])
        speed = {"env_steps_per_s": updates * PERIOD, "updates_per_s": updates}
        compared = [seconds * count for seconds in times[PLAIN]]
        rows.append({"what": name} | speed | _compared(compared, times[name]))
    return rows


def update(effort: Effort) -> list[Row]:
    """The update alone; ratio: share of the float32 matmul rate (best of 512 to 2048 square)."""
    slow, learner, many = plain()[0], ours()[0], ours(8)[0]
    nominal = update_flops(learner)
    work: dict[str, tuple[int, Call]] = {
        **{f"matmul {size}": (2 * size**3, _matmul(size)) for size in (512, 1024, 2048)},
        f"{PLAIN}: learn": (nominal, partial(slow.learn, slow.sample())),
        f"{PLAIN}: sample + learn": (nominal, lambda: slow.learn(slow.sample())),
        "learn": (nominal, _learning(learner)),
        "sample + learn": (nominal, _sampling_and_learning(learner)),
        "learn, replicas=8": (8 * nominal, _learning(many)),
        "sample + learn, replicas=8": (8 * nominal, _sampling_and_learning(many)),
    }
    times = alternate({name: call for name, (_, call) in work.items()}, effort)
    return _shares(times, {name: flops for name, (flops, _) in work.items()})


def stepping(effort: Effort) -> list[Row]:
    """Environment steps, actions given; ratio: speed over that of the game in plain Python."""
    rows: list[Row] = []
    for name, (plain_game, num_actions, changes) in GAMES.items():
        calls = {PLAIN: partial(next, _plain_steps(plain_game(), num_actions))}
        for copies in (1, 32, 1024, 8192):
            env = game(name, copies, changes)
            calls[str(copies)] = partial(next, _steps(env, num_actions))
        times = alternate(calls, effort)
        for copies, seconds in times.items():
            count = 1 if copies == PLAIN else int(copies)
            speed = {"us_a_call": 1e6 * median(seconds), "env_steps_per_s": count / median(seconds)}
            compared = _compared([count * x for x in times[PLAIN]], seconds)
            rows.append({"game": name, "copies": copies} | speed | compared)
    return rows


def replicas(effort: Effort) -> list[Row]:
    """The cost of replicas; ratio: time of a tick (updates shared out) over that of one replica."""
    rows = _cost(CPU, (1, 2, 4, 8, 16), effort)
    if torch.cuda.is_available():
        rows += _cost(torch.device("cuda"), (1, 16, 64), effort)
    return rows


PARTS = {
    "a": training,
    "b": update,
    "c": stepping,
    "d": replicas,
    "e": report,
    "f": scale,
    "g": spread,
    "h": ippo,
    "i": airl,
}


def _compared(numerator: list[float], denominator: list[float]) -> Row:
    middle, low, high = ratio(numerator, denominator)
    return {"ratio": middle, "quartiles": [low, high]}


def _learning(learner: DecHDRQN) -> Call:
    """Return a call that learns as `learner.learn` does, but always from the same traces."""
    traces, beta = learner.replay.sample(), torch.tensor(learner.beta)
    return Captured(lambda: learner.descend(traces, beta))


def _sampling_and_learning(learner: DecHDRQN) -> Call:
    beta = torch.tensor(learner.beta)
    return lambda: learner.learn(learner.replay.draw(), beta)


def _matmul(size: int) -> Call:
    a, b, out = torch.randn(3, size, size)
    return lambda: torch.mm(a, b, out=out)


def _shares(times: Times, flops: Mapping[str, int]) -> list[Row]:
    """Compare each rate with that of the best product in the same round."""
    rates = {name: [flops[name] / x for x in seconds] for name, seconds in times.items()}
    products = [rates[name] for name in rates if name.startswith("matmul")]
    best = [max(rates_of_round) for rates_of_round in zip(*products, strict=True)]
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
