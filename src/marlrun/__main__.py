"""`python -m marlrun` is `marlrun`."""

import sys

from marlrun.cli import main

if __name__ == "__main__":
    sys.exit(main())
