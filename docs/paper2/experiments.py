"""The jobs of conf/experiment, composed as the command line composes them."""

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode

from marlrun.cli.modes import MODES
from marlrun.cli.overrides import Checker
from marlrun.cli.sources import Loader, search_path
from marlrun.config.composition import plain
from paper2.summaries import Node

ROOT, NEEDS = MODES["train"].root, MODES["train"].needs


def asked(experiment: str, *typed: str) -> list[list[str]]:
    """Return the overrides of each job of `marlrun -m +experiment=EXPERIMENT TYPED`.

    ValueError, in one line, for what the command line refuses.
    """
    loader = Loader(search_path(None))
    parser = OverridesParser.create(config_loader=loader)
    overrides = parser.parse_overrides([f"+experiment={experiment}", *typed])
    files = loader.repository_of(ROOT, overrides)
    checker = Checker(ROOT, NEEDS, runs=True, is_sweep=True, parser=parser, repository=files)
    overrides = [*checker.sweeper_params(overrides), *overrides]
    checker.check(overrides)
    (batch,) = BasicSweeper.split_arguments(overrides, None)
    return [list(job) for job in batch]


def composed(overrides: list[str]) -> Node:
    """Return the configuration of a job."""
    loader = Loader(search_path(None))
    return plain(loader.load_configuration(ROOT, overrides, RunMode.RUN))


def jobs(experiment: str, *typed: str) -> list[Node]:
    """Return the configurations of all jobs of an experiment, in their order."""
    return [composed(job) for job in asked(experiment, *typed)]
