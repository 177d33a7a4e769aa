"""The command line: Hydra's, with every key and value checked before anything starts.

Exit codes: 0 done, 1 failed, 2 wrong input, 130 interrupted.
"""

import argparse
import os
import sys
from typing import cast

from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from marlrun.cli.completion import complete
from marlrun.cli.help import help_text
from marlrun.cli.jobs import run_one, run_sweep
from marlrun.cli.mistakes import without_advice
from marlrun.cli.request import Request, parse, read_request, start_hydra
from marlrun.cli.sources import Loader
from marlrun.runner.outcome import Outcome
from marlrun.system.output import refuse_lost_results, say, write
from marlrun.version import __version__

EXIT_CODES = {"finished": 0, "failed": 1, "refused": 2, "interrupted": 130}


def main() -> int:
    """Do what the command line says; return the exit code."""
    outcome = run_command(sys.argv[1:])
    if outcome.error:
        say(f"marlrun: {outcome.error}")
    return EXIT_CODES[outcome.status]


def run_command(argv: list[str]) -> Outcome:
    """Do what the words of a command line say; return how it ended, wrong input included."""
    try:
        return _run_command(argv)
    except (ValueError, HydraException, OmegaConfBaseException, YAMLError) as error:
        return Outcome("refused", error=without_advice(error))
    except OSError as error:
        return Outcome("failed", error=without_advice(error))
    except KeyboardInterrupt:
        return Outcome("interrupted", error="interrupted")
    finally:
        GlobalHydra.instance().clear()


def _run_command(argv: list[str]) -> Outcome:
    if "--version" in argv:
        write(f"marlrun {__version__}")
        return _answered()
    parser, flags = parse(argv)
    hydra = start_hydra(flags.config_dir)
    if flags.hydra_help:
        hydra.hydra_help(None, parser, flags)
        return _answered()
    if flags.shell_completion:
        _complete(hydra, flags)
        return _answered()
    return _act(read_request(argv, flags, hydra))


def _complete(hydra: Hydra, flags: argparse.Namespace) -> None:
    """Answer the tab key, or write the script that binds it."""
    action, _, shell = "".join(flags.overrides[:1]).partition("=")
    if action == "query":
        words = complete(cast(Loader, hydra.config_loader), os.environ.get("COMP_LINE", ""))
        write((" " if shell == "bash" else "\n").join(words))
    else:
        hydra.shell_completion("config", flags.overrides)


def _act(request: Request) -> Outcome:
    """Do what a checked command line says."""
    flags, hydra, root = request.flags, request.hydra, request.root
    if flags.help:
        write("\n".join(help_text(request.repository, request.schema, request.mode)))
    elif flags.cfg:
        hydra.show_cfg(root, flags.overrides, flags.cfg, flags.package, flags.resolve)
    elif flags.info:
        hydra.show_info(flags.info, root, flags.overrides)
    else:
        return run_sweep(request) if flags.multirun else run_one(request)
    return _answered()


def _answered() -> Outcome:
    """Return that all is done; OSError if the answer, which stands on stdout alone, was lost."""
    refuse_lost_results()
    return Outcome("finished")
