"""``python -m specwcs``: the command line, with the Python that one names."""

import sys

from specwcs.cli import main

if __name__ == "__main__":
    sys.exit(main())
