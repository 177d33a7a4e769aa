"""Claim 1e from nothing: specialists, the policy distilled from them, its baselines, held-out tasks.

`PYTHONPATH=docs python -m paper1.run`, which is `make paper1`, puts everything into outputs/paper1. Typed
again it goes on where it stood, whatever stopped it: what is finished is not done again. A part whose
directory was removed is done anew; then remove, too, what was made from it. Exit codes are those of marlrun.
"""

import argparse
import shlex
import sys
from pathlib import Path

import kept

from marlrun.cli.main import EXIT_CODES, run_command
from marlrun.report.cli import main as write_curves
from marlrun.runner.documents import holds_run
from marlrun.sweeps.directory import Sweep, holds_sweep
from marlrun.system.errors import one_line
from marlrun.system.output import say
from marlrun.system.plotting import save, style
from paper1 import held_out
from paper1.figures import STYLE, distilled_figure
from paper1.tables import distillation_table

OUTPUTS = Path("outputs")
SMALL = ("replicas=2", "eval.every=1000", "eval.episodes=5", "eval.final_episodes=20")
SMALL_ONLINE = (*SMALL, "env_steps=3000", "algo.learning_starts=2000")
SMALL_EPISODES = 20


def train_specialists(folder: Path, small: bool) -> list[str]:
    """Train a specialist for each size; return their directories, the smallest size first."""
    sweep = folder / "paper1_specialists"
    words = ("env.size=2,3", *SMALL_ONLINE) if small else ()
    begin_or_resume(sweep, "-m", "+experiment=paper1_specialists", *words)
    # A sweep that somebody else began here may have other tasks: the student's door refuses them.
    jobs = sorted(Sweep(sweep).read().jobs, key=lambda job: job.config["env"].get("size", 0))
    return [str(sweep / job.directory) for job in jobs]


def train_baselines(folder: Path, small: bool) -> None:
    """Train Multi-HDRQN and Multi-DRQN, which learn all sizes without a teacher."""
    words = ("env.sizes=[2,3]", *SMALL_ONLINE) if small else ()
    begin_or_resume(
        folder / "paper1_distilled/baselines", "-m", "+experiment=paper1_distilled", *words
    )


def distil(folder: Path, teachers: list[str], small: bool) -> None:
    """Distil one policy from the specialists."""
    words = ("env.sizes=[2,3]", *SMALL, "updates=300") if small else ()
    # Names of jobs have an `=`, which Hydra takes in quotes.
    names = ",".join(f'"{teacher}"' for teacher in teachers)
    taught = ("algo=distill", f"algo.teachers=[{names}]")
    begin_or_resume(
        folder / "paper1_distilled/distill", "+experiment=paper1_distilled", *taught, *words
    )


def begin_or_resume(directory: Path, *words: str) -> None:
    """Begin a run, or with -m a sweep, or go on with it where it is not finished; exit if it fails."""
    is_sweep = "-m" in words
    if is_sweep:
        # A sweep that was killed before its jobs were written down has nothing to go on with.
        is_begun = holds_sweep(directory) and bool(Sweep(directory).read().jobs)
    else:
        is_begun = holds_run(directory)
    if is_begun:
        words = ("mode=resume", f"run={directory}")
    else:
        words = (*words, f"hydra.{'sweep' if is_sweep else 'run'}.dir={directory}")
    words = (*words, "hydra/launcher=joblib") if is_sweep else words
    say(f"paper1: {shlex.join(['marlrun', *words])}")
    outcome = run_command(list(words))
    if outcome.status != "finished":
        advice = "" if outcome.status == "refused" else "; the same command goes on"
        say(f"paper1: {directory}: {outcome.error or outcome.status}{advice}")
        sys.exit(EXIT_CODES[outcome.status])


def report(folder: Path, episodes: int) -> None:
    """Write the tables, the figure and the learning curves; exit if the curves fail."""
    # Tables and figures look for runs where docs/results keeps them; here they are in this folder.
    kept.RESULTS = folder
    table = f"# One policy for all tasks (claim 1e)\n\n{distillation_table()}\n"
    (folder / "distilled.md").write_text(table)
    with style(STYLE):
        save(distilled_figure(), folder / "distilled.png", "png", dpi=110)
    (folder / "held_out.md").write_text(held_out.page(held_out.measure(folder, episodes)))
    runs = [str(folder / name) for name in ("paper1_specialists", "paper1_distilled")]
    if code := write_curves([*runs, "--by", "algo,env.size", "--out", str(folder / "report")]):
        sys.exit(code)
    say(f"paper1: {folder}/distilled.md, distilled.png, held_out.md and report/report.html")


def run(small: bool) -> None:
    """Train, measure and report all that is not finished."""
    folder = OUTPUTS / ("paper1_small" if small else "paper1")
    teachers = train_specialists(folder, small)
    train_baselines(folder, small)
    distil(folder, teachers, small)
    report(folder, SMALL_EPISODES if small else held_out.EPISODES)


def main() -> None:
    """Run what the command line says; any damage or mistake ends it with one line."""
    parser = argparse.ArgumentParser(prog="python -m paper1.run", description=__doc__)
    parser.add_argument("--small", action="store_true", help="sizes 2 and 3, few steps: a minute")
    try:
        run(parser.parse_args().small)
    except KeyboardInterrupt:
        say("paper1: interrupted; the same command goes on")
        sys.exit(EXIT_CODES["interrupted"])
    except ValueError as error:
        say(f"paper1: {one_line(error)}")
        sys.exit(EXIT_CODES["refused"])
    except OSError as error:
        say(f"paper1: {one_line(error)}; the same command goes on")
        sys.exit(EXIT_CODES["failed"])


if __name__ == "__main__":
    main()
