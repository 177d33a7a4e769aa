"""The adversarial learners from end to end, beside the imitation library's AIRL: processes that take turns."""

import sys
from contextlib import ExitStack
from typing import Any

from benchmarks.ippo import rows
from benchmarks.particle import Peer, Player, in_turn, interpreter
from benchmarks.timing import Effort

REPLICAS = 2
PEER = Peer(
    "airl_imitation", ("imitation==1.0.1", "torch==2.13.0"), constrained=False
)  # gymnasium 0.29
LOOPS = [(algo, env) for env in ("spread", "speaker_listener") for algo in ("ma_airl", "ma_gail")]


def airl(effort: Effort) -> list[dict[str, Any]]:
    """MA-AIRL and MA-GAIL, tuned, two replicas, one core; ratio: over imitation's AIRL on CartPole."""
    with ExitStack() as stack:
        players: dict[str, Player] = {}
        if python := interpreter(PEER):
            players[PEER.requirements[0]] = stack.enter_context(Player(python, PEER.script, 1))
        for loop in LOOPS:
            player = Player(sys.executable, "airl_marlrun", REPLICAS, *loop)
            players[" on ".join(loop)] = stack.enter_context(player)
        return rows(in_turn(players, effort))
