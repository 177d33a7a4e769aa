"""The particle world beside mpe2, VMAS and JaxMARL: processes that take turns on one core."""

import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.timing import Effort, Times

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = Path("outputs/peers")
"""Where peers get virtual environments by their first requirement; delete it to make them anew."""
COPIES = (1, 32, 1024, 8192)


class Peer(NamedTuple):
    """A script of benchmarks/peers, what it needs, and how many copies it can play at once.

    Where a peer's own bounds contradict constraints.txt it is not `constrained` and names its torch itself.
    """

    script: str
    requirements: tuple[str, ...]
    most_copies: int = max(COPIES)
    constrained: bool = True


JAXMARL = ("jaxmarl==0.2.0", "jax==0.10.2", "jaxlib==0.10.2", "optax==0.2.8")
PEERS: Sequence[Peer] = (
    Peer("spread_mpe2", ("mpe2==1.1.1",), most_copies=1),
    Peer("spread_vmas", ("vmas==1.5.2", "torch")),
    Peer("spread_jaxmarl", JAXMARL),
)


def spread(effort: Effort) -> list[dict[str, Any]]:
    """spread, actions drawn, all observations, resets, one core; ratio: marlrun's speed over it."""
    pythons = {peer: python for peer in PEERS if (python := interpreter(peer))}
    rows: list[dict[str, Any]] = []
    for copies in COPIES:
        with ExitStack() as stack:
            players = {
                "marlrun": stack.enter_context(Player(sys.executable, "spread_marlrun", copies))
            }
            for peer, python in pythons.items():
                player = Player(python, peer.script, min(copies, peer.most_copies))
                players[peer.requirements[0]] = stack.enter_context(player)
            rows += _rows(copies, players, in_turn(players, effort))
    return rows


def interpreter(peer: Peer) -> Path | None:
    """Return the Python of an environment with what `peer` needs; None where it cannot be made."""
    place = ENVIRONMENTS.absolute() / peer.requirements[0]
    python, stamp = place / "bin/python", place / "requirements.txt"
    wanted = "\n".join(peer.requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    words = ["-m", "pip", "install", "--quiet", *peer.requirements]
    if peer.constrained:
        words += ["-c", str(ROOT / "constraints.txt")]
    try:
        venv.create(place, clear=True, with_pip=True)
        subprocess.run([python, *words], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{peer.script} is left out: {error}", file=sys.stderr)
        return None
    stamp.write_text(wanted)
    return python


class Player:
    """A process that plays when it is asked, on the last core of ours and with one thread."""

    def __init__(self, python: Path | str, script: str, copies: int, *words: str):
        """Start a script of benchmarks/peers; `words` follow its number of copies and its core."""
        core = max(os.sched_getaffinity(0))
        self.copies = copies
        self._process = subprocess.Popen(
            [python, "-W", "ignore", "-m", f"benchmarks.peers.{script}", str(copies), str(core)]
            + list(words),
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, duration: float) -> float:
        """Return CPU seconds an env-step, measured for `duration`; ChildProcessError if it died."""
        assert self._process.stdin and self._process.stdout
        print(duration, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise ChildProcessError(f"{self._process.args} ended: {self._process.wait()}")
        return float(answer)

    def __enter__(self) -> "Player":
        return self

    def __exit__(self, *_: object) -> None:
        """Let it end."""
        self._process.communicate()


def in_turn(players: Mapping[str, Player], effort: Effort) -> Times:
    """Return each player's seconds an env-step, round by round; the first turn warms up."""
    for player in players.values():
        player.seconds(effort.seconds)
    times: Times = {name: [] for name in players}
    for _ in range(effort.rounds):
        for name, player in players.items():
            times[name].append(player.seconds(effort.seconds))
    return times


def _rows(copies: int, players: Mapping[str, Player], times: Times) -> list[dict[str, Any]]:
    """Compare each player's speed with marlrun's in the same round: median, worst and best."""
    rows: list[dict[str, Any]] = []
    for name, player in players.items():
        speeds = [1 / seconds for seconds in times[name]]
        ratios = [a / b for a, b in zip(times[name], times["marlrun"], strict=True)]
        rows.append(
            {"copies": copies, "of": name, "its_copies": player.copies}
            | {"env_steps_per_s": median(speeds), "from_to": [min(speeds), max(speeds)]}
            | {"ratio": median(ratios), "worst_and_best": [min(ratios), max(ratios)]}
        )
    return rows
