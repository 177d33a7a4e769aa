"""`python -m marlrun` is `marlrun`."""

import sys

from marlrun.entry import marlrun

if __name__ == "__main__":
    sys.exit(marlrun())
