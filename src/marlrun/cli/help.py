"""What `marlrun --help` says."""

from collections.abc import Iterator

from hydra._internal.config_repository import IConfigRepository

from marlrun.cli.modes import Mode
from marlrun.cli.sources import text_of
from marlrun.config.comments import title
from marlrun.config.schema import Schema, show

_HEAD = """\
marlrun: train, evaluate and compare decentralised multi-agent reinforcement learning.

  marlrun algo=A env=E [seed=0] [replicas=1] [env_steps=N] [KEY=VALUE ..]   train
  marlrun -m algo=A,B env=E algo.beta=0.2,0.4                               train all combinations
  marlrun -m +experiment=NAME [KEY=VALUE ..]                                a published result
  marlrun mode=eval run=DIR [episodes=1000] [checkpoint=best] [video=true]  measure a run
  marlrun mode=eval run=DIR [env.KEY=VALUE ..] [agents.NAME=DIR ..]         in a changed game, in a mixed team
  marlrun mode=demonstrate run=DIR out=FILE [episodes=200]                  write a policy's episodes, to learn from
  marlrun mode=resume run=DIR [env_steps=N | updates=N]                     go on with a run or a sweep
  marlrun mode=runs [dir=outputs] [json=true]                               list runs, newest first
  marlrun-report DIR ..                                                     figures and tables of runs
  marlrun mode=exact env=E [env.KEY=VALUE ..]                               solve a game
  marlrun mode=graph graph=G num_agents=N                                   measure and draw a communication graph
  marlrun mode=check [algo=A] env=E [plugins=[P]]                           try what classes promise, your own as well

  run=latest is the newest run below outputs/ that the mode can take.

Examples:
  marlrun algo=dec_hdrqn env=meeting_grid
  marlrun algo=dec_hdrqn env=target_capture env.size=4 env.flicker=0.3 replicas=5
  marlrun algo=networked_ac_q env=public_goods graph=ring
  marlrun --help algo=dec_hdrqn env=matrix_game       the keys of this algorithm and environment
  marlrun --cfg job algo=dec_hdrqn env=matrix_game    the configuration, without running it
  eval "$(marlrun -sc install=bash)"                  the tab key completes (also zsh, fish)
"""
_GROUPS = {
    "algo": "Algorithms",
    "env": "Environments",
    "graph": "Graphs",
    "experiment": "Published results, as sweeps",
}


def help_text(repository: IConfigRepository, schema: Schema, mode: Mode) -> Iterator[str]:
    """Yield the lines: all modes; of this mode the choices of each group, and the keys."""
    yield _HEAD
    for group, heading in _GROUPS.items():
        is_taken = mode.makes_directory if group == "experiment" else group in mode.groups
        options = repository.get_group_options(group) if is_taken else []
        width = max(map(len, options), default=0)
        typed = "-m +experiment" if group == "experiment" else group
        yield from [f"{heading} ({typed}=..):"] if options else []
        for option in options:
            yield f"  {option:<{width}}  {_about(repository, f'{group}/{option}')}"
    rules = {f"{key}={show(rule.default)}": rule for key, rule in schema.rules.items()}
    width = min(32, max(map(len, rules), default=0))
    yield "\nKeys (KEY=VALUE):"
    for text, rule in rules.items():
        if rule.meaning:
            yield f"  {text:<{width}}  {rule.kind}: {rule.meaning}"


def _about(repository: IConfigRepository, path: str) -> str:
    """Return what a file says it is; where it cannot be read, why."""
    try:
        return title(text_of(repository, path))
    except (ValueError, OSError) as error:
        return str(error)
