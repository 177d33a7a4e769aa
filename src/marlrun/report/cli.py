"""`marlrun-report`, the command that makes a report from run directories.

Exit codes: 0 done, 1 the report could not be written, 2 wrong input, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import track

from marlrun.report.analysis.references import RETURN
from marlrun.report.analysis.study import study
from marlrun.report.render import tables
from marlrun.report.render.write import check, write_report
from marlrun.system.output import refuse_lost_results, say, write
from marlrun.system.paths import expand_home
from marlrun.system.plain import printable

MAX_NOTES, MAX_SUBJECTS = 12, 3
"""How many notes are printed, and how many subjects of each."""
METRIC = "what to show; algorithms are compared by the first (default: %(default)s)"
EXAMPLES = """\
What is compared: a task is an environment with the env.* keys that differ, and env_steps where
runs of one task differ in it; runs of offline learners, which count updates, are tasks of their
own. An algorithm is everything else in which the runs differ; seeds are pooled within. --by names
the keys instead (`algo`, `env` or a dotted key such as algo.beta); the environment always is one
of them, and what runs count is another.

What is written: report.html (needs no other file), report.md, figures as PNG and SVG, results.csv,
seeds.csv, curves.csv, improvement.csv, and marl_eval.json for the package marl-eval.

Examples:
  marlrun-report outputs/2026-11-22                         everything below a directory
  marlrun-report outputs/*/SWEEP --out paper --by algo,env.size
  marlrun-report RUN1 RUN2 --metric eval/return_fraction
  marlrun-report outputs/*/SWEEP --metric eval/return_mean,eval/anticipated_mean
"""


class Parser(argparse.ArgumentParser):
    """A parser that raises one line for a mistake."""

    def error(self, message: str) -> NoReturn:
        """Raise ValueError instead of printing the usage."""
        raise ValueError(f"{message}; see marlrun-report --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End after --help; OSError if stdout could not take the text."""
        refuse_lost_results()
        super().exit(status, message)


def main(argv: Sequence[str] | None = None) -> int:
    """Write a report; return the exit code."""
    try:
        return _main(argv)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except ValueError as error:
        return _complain(str(error), 2)
    except OSError as error:
        return _complain(f"{error.filename or 'output'}: {error.strerror or error}", 1)
    except MemoryError:
        return _complain("the runs are too large for the memory of this machine", 1)


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    metrics, by = _words(arguments.metric), _words(arguments.by) or None
    out: Path = arguments.out
    if not metrics:
        raise ValueError(f"--metric {arguments.metric}: expected TAG,..")
    check(out)
    result = study(arguments.directories, metrics, by, _track)
    write_report(result, out)
    for line in list(result.notes.lines(MAX_SUBJECTS))[:MAX_NOTES]:
        say(f"marlrun-report: {line}")
    if len(result.notes) > MAX_NOTES:
        say(f"marlrun-report: all {len(result.notes)} notes are in the report")
    write(f"{tables.results(result.finals).markdown()}\nreport: {out / 'report.html'}")
    return 0


def _words(text: str) -> list[str]:
    """Return the words between commas, each once."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _parser() -> Parser:
    parser = Parser(
        "marlrun-report",
        description="Tables and figures with intervals, from run and sweep directories.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("directories", type=_path, nargs="+", metavar="DIR", help="run, sweep, or above them")
    add("--out", type=_path, default=Path("report"), metavar="DIR", help="default: %(default)s")
    add(
        "--by",
        default="",
        metavar="KEY,..",
        help="keys that tell groups apart (default: those that differ)",
    )
    add("--metric", default=RETURN, metavar="TAG,..", help=METRIC)
    return parser


def _path(text: str) -> Path:
    """Return a typed path, with the home directory for a leading `~`, which some shells leave."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, not an empty text")
    try:
        return Path(expand_home(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _track(paths: Sequence[Path]) -> Iterable[Path]:
    """Yield the paths and show on stderr, if that is a terminal, how many are done."""
    screen = Console(stderr=True)
    return track(
        paths, "reading runs", console=screen, transient=True, disable=not screen.is_terminal
    )


def _complain(message: str, code: int) -> int:
    say(f"marlrun-report: {printable(' '.join(message.split()))}")
    return code


if __name__ == "__main__":
    sys.exit(main())
