"""What the processes that are timed in turn have in common; it needs nothing but Python."""

import os
import sys
import time
from collections.abc import Callable

HORIZON = 25
"""Steps of an episode of spread under mpe2's rules."""

ANSWERS = os.fdopen(os.dup(1), "w")
"""The pipe to whoever asks. What packages print when they are imported goes to stderr."""
os.dup2(2, 1)


def begin() -> int:
    """Return the number on the command line (of copies, of replicas), and stay on the core after it.

    To be called before anything starts threads.
    """
    os.sched_setaffinity(0, {int(sys.argv[2])})
    return int(sys.argv[1])


def answer(play: Callable[[], int]) -> None:
    """For every number of seconds on stdin, play for so long; answer CPU seconds an env-step.

    `play` plays whole episodes, draws actions, begins anew, and returns how many env-steps it took,
    summed over copies. It is called at least once.
    """
    for line in sys.stdin:
        steps, start, seconds = 0, time.process_time(), 0.0
        while steps == 0 or seconds < float(line):
            steps += play()
            seconds = time.process_time() - start
        print(seconds / steps, file=ANSWERS, flush=True)
