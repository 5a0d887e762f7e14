"""The command line: ``specwcs demo``, ``calibrate``, ``view``, ``extract``, ``info``.

Each command has a module with `add_arguments` and `run`, which gives an `Outcome`: facts,
the same as text, and an exit status. What is heavy is imported when a command runs.
"""

from specwcs.cli.app import main

__all__ = ["main"]
