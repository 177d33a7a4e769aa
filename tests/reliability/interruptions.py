"""Processes that are killed, signalled, or find the disk full: the run goes on to the same numbers."""

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from reliability import accidents
from reliability.desk import BUDGET, JOBS, Desk, Ended, complaint, difference, run


def kills(rng: random.Random, desk: Desk) -> Iterator[str | None]:
    """Kill runs and extensions by SIGKILL at file events and at moments; a verdict a kill."""
    while True:
        name = rng.choice(list(JOBS))
        yield from _killed_run(rng, desk, [*JOBS[name], *BUDGET])


def sweep_kills(rng: random.Random, desk: Desk) -> Iterator[str | None]:
    """Kill sweeps by SIGKILL; a verdict a kill."""
    words = ["-m", "algo=random,networked_ac_q", "env=public_goods", "seed=0,5", *BUDGET]
    whole, events = desk.undisturbed(words)
    while True:
        place = desk.fresh()
        directory = place / "run"
        again = [*words, "hydra.sweep.dir=run"]
        died = 0
        while True:
            accident = _kill(rng, directory, events, died)
            has_jobs = '"number"' in _text(directory / "sweep.json")
            ended = run(["mode=resume", "run=run"] if has_jobs else again, place, accident)
            if ended.code != -signal.SIGKILL:
                break
            died += 1
        verdict = complaint(ended, [0])
        for job in sorted(whole.glob("*/")):
            verdict = verdict or difference(directory / job.name, job)
        yield from _verdicts(died, verdict, words)


def signals(rng: random.Random, desk: Desk) -> Iterator[str | None]:
    """Send SIGINT, SIGTERM or SIGHUP once or twice, at any moment; 130, a hint, the same run."""
    while True:
        words = [*JOBS[rng.choice(list(JOBS))], *BUDGET]
        (whole, _), place = desk.undisturbed(words), desk.fresh()
        number = rng.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        sent = [number] * rng.choice([1, 1, 2])
        accident = accidents.signalled_after(rng.uniform(0.001, 1.5), *sent)
        ended = run([*words, "hydra.run.dir=run"], place, accident)
        verdict = complaint(ended, [0, 130])
        if verdict is None and ended.code == 130:
            ended = _finish(words, place)
            verdict = complaint(ended, [0]) or difference(place / "run", whole)
        yield verdict and f"{' '.join(map(str, sent))}: {verdict} ({' '.join(words)})"


def full_disks(rng: random.Random, desk: Desk) -> Iterator[str | None]:
    """Let the disk be full from some file event on: exit 1 with the reason, then the same run."""
    while True:
        words = [*JOBS[rng.choice(list(JOBS))], *BUDGET]
        (whole, events), place = desk.undisturbed(words), desk.fresh()
        number = rng.randint(1, events)
        ended = run([*words, "hydra.run.dir=run"], place, accidents.full_from(place, number))
        # 0: all was written before, and nothing but an empty directory was to be removed.
        verdict = complaint(ended, [1] if number < events - 2 else [0, 1])
        if verdict is None and ended.code == 1 and "No space left" not in ended.err:
            verdict = f"no reason: {ended.err!r}"
        if verdict is None:
            verdict = complaint(_finish(words, place), [0]) or difference(place / "run", whole)
        yield verdict and f"full from file event {number}: {verdict} ({' '.join(words)})"


def _killed_run(rng: random.Random, desk: Desk, words: list[str]) -> Iterator[str | None]:
    (whole, events), place = desk.undisturbed(words), desk.fresh()
    directory, target = place / "run", "hydra.run.dir=run"
    begin, go_on = [*words, target], ["mode=resume", "run=run"]
    if rng.random() < 0.3:  # a finished run is killed while it is trained for longer
        half = [word.replace("env_steps=240", "env_steps=120") for word in words]
        assert run([*half, target], place).code == 0
        begin = go_on = [*go_on, "env_steps=240"]
    died = 0
    while True:
        has_begun = (directory / "config.yaml").exists()
        is_finished = '"status": "finished"' in _text(directory / "run.json")
        command = go_on if has_begun and (is_finished or rng.random() < 0.7) else begin
        ended = run(command, place, _kill(rng, directory, events, died))
        if ended.code != -signal.SIGKILL:
            break
        died += 1
    verdict = complaint(ended, [0]) or difference(directory, whole)
    yield from _verdicts(died, verdict, words)


def _verdicts(died: int, verdict: str | None, words: list[str]) -> Iterator[str | None]:
    """Yield a verdict a kill: all of them led to this end."""
    for _ in range(died):
        yield verdict and f"after {died} kills: {verdict} ({' '.join(words)})"


def _kill(rng: random.Random, directory: Path, events: int, died: int) -> Callable[[], object]:
    """Return the next accident: after some kills there are no more."""
    if died and rng.random() < 0.2 * died:
        return lambda: None
    if rng.random() < 0.2:
        return accidents.signalled_after(rng.uniform(0.01, 1.5), signal.SIGKILL)
    return accidents.killed_at(directory, rng.randint(1, events))


def _finish(words: list[str], place: Path) -> Ended:
    has_begun = (place / "run" / "config.yaml").exists()
    begin = [*words, "hydra.run.dir=run"]
    return run(["mode=resume", "run=run"] if has_begun else begin, place)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
