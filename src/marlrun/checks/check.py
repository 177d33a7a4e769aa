"""Tries every promise in turn and says, a line each, whether it is kept."""

import json
import os
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from marlrun.checks import algorithm, environment, foreign
from marlrun.checks.compare import Broken, Skipped
from marlrun.checks.foreign_play import ForeignGame
from marlrun.checks.subject import Subject
from marlrun.config.nested import Config
from marlrun.config.plugins import resolve
from marlrun.envs.pettingzoo.game import PettingZooGame
from marlrun.envs.pettingzoo.names import Recipe
from marlrun.runner import inputs
from marlrun.runner.device import choose, set_up
from marlrun.runner.job import Job, read_job, with_files, with_graph
from marlrun.runner.outcome import Outcome
from marlrun.runner.parts import assemble
from marlrun.runner.promises import ContractError
from marlrun.system.errors import one_line, with_type
from marlrun.system.output import say, write

_NO_ALGORITHM = {"_target_": "marlrun.algos.random.Random"}
"""What stands in a job without an algorithm."""

S = TypeVar("S")
Promise = Callable[[S], str | None]
"""Raises Broken or Skipped, or returns what there is to remark, if anything."""
Verdicts = dict[str, str]
"""ok, skipped or FAILED, by the promise's name."""


def check(config: Config, untyped: Sequence[str]) -> Outcome:
    """Try the promises of the classes that a configuration names.

    `untyped` are the keys of its YAML files that no `# TYPE: meaning` declares. Without an algorithm
    only the environment is tried. A foreign game is tried alone first; where it keeps no promise on
    which others rest, these are skipped. ValueError if the classes cannot be built.
    """
    has_algorithm = config.get("algo") is not None
    config = dict(config) if has_algorithm else {**config, "algo": _NO_ALGORITHM}
    plugins = list(config["plugins"])
    job, config = with_graph(read_job(config), config, plugins)
    job = with_files(job, inputs.read_typed(config))
    device = choose(job.device)
    set_up(job.threads)
    verdicts = _try_foreign(job, plugins)
    failed = [name for name, verdict in verdicts.items() if verdict == "FAILED"]
    needs = next((name for name in failed if name not in foreign.HARMLESS), None)
    if needs is None:
        assemble(job, device, plugins)
        seeds = ", ".join(map(str, job.seeds))
        say(f"trying the promises of CONTRIBUTING.md with seeds {seeds} on {device.type}")
    with tempfile.TemporaryDirectory(prefix="marlrun-check-") as directory:
        subject = Subject(job, device, plugins, Path(directory), list(untyped))
        verdicts |= _try_all(subject, "env", environment.PROMISES, needs)
        if has_algorithm:
            needs = needs or ("env/shapes" if verdicts["env/shapes"] == "FAILED" else None)
            verdicts |= _try_all(subject, "algo", algorithm.PROMISES, needs)
    names = {
        verdict: [name for name, result in verdicts.items() if result == verdict]
        for verdict in ("ok", "FAILED", "skipped")
    }
    summary = {"passed": len(names["ok"]), "failed": names["FAILED"], "skipped": names["skipped"]}
    write(json.dumps(summary))
    return Outcome("failed" if names["FAILED"] else "finished")


def _try_foreign(job: Job, plugins: Sequence[str]) -> Verdicts:
    """Try a foreign game itself, before the adapter that plays it; {} if the game is ours."""
    if resolve(job.env["_target_"], "env", plugins) is not PettingZooGame:
        return {}
    recipe = Recipe(job.env["id"], job.env["kwargs"], tuple(plugins))
    game = ForeignGame(recipe, job.env["horizon"])
    say(f"trying the promises of PettingZoo on {recipe.id}: {', '.join(game.agents)}")
    return _try_all(foreign.Trial(game), "game", foreign.PROMISES, rests_on=foreign.RESTS_ON)


def _try_all(
    subject: S,
    group: str,
    promises: Sequence[Promise[S]],
    needs: str | None = None,
    rests_on: Mapping[str, Sequence[str]] = {},
) -> Verdicts:
    """Try promises and print a line for each; return the verdicts by name.

    `needs` names a broken promise without which none of them can be tried; the first of them is
    one as well. `rests_on` names those of this group without which a single one cannot be tried.
    """
    verdicts: Verdicts = {}
    for promise in promises:
        name = f"{group}/{promise.__name__}"
        grounds = [f"{group}/{ground}" for ground in rests_on.get(promise.__name__, ())]
        obstacle = needs or next(
            (ground for ground in grounds if verdicts[ground] == "FAILED"), None
        )
        verdict, remark = (
            ("skipped", f"{obstacle} is broken") if obstacle else _try(promise, subject)
        )
        verdicts[name] = verdict
        needs = needs or (name if verdict == "FAILED" and promise is promises[0] else None)
        sentence = (promise.__doc__ or "").partition("\n")[0]
        write(f"{verdict:<7}  {name:<17}  {sentence}{f' [{remark}]' if remark else ''}")
    return verdicts


def _try(promise: Promise[S], subject: S) -> tuple[str, str]:
    """Return ok, skipped or FAILED, and what there is to say of it in one line."""
    try:
        return "ok", promise(subject) or ""
    except Skipped as reason:
        return "skipped", str(reason)
    except (Broken, ContractError, FloatingPointError) as error:
        return "FAILED", one_line(error)
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            say(traceback.format_exc())
        return (
            "FAILED",
            f"{with_type(error)} (HYDRA_FULL_ERROR=1 shows where)",
        )
