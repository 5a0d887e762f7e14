"""What all commands share: the parser of arguments, progress, and what is told at the end."""

import argparse
import json
import math
import sys
import time
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum

from specwcs.errors import InputError, SpecwcsWarning

__all__ = ["Console", "Outcome", "Parser", "Status", "naming", "one_line", "parsed"]


class Status(IntEnum):
    """Exit status of the program."""

    GOOD = 0
    FAULT = 1
    WRONG_INPUT = 2
    SOME_FAILED = 3


@dataclass(frozen=True)
class Outcome:
    """What a command has to say.

    Parameters
    ----------
    status : Status
    facts : dict
        What is printed with ``--json``: text, numbers, lists and dicts.
    lines : list of str
        The same for people.
    """

    status: Status
    facts: dict
    lines: list = field(default_factory=list)


class Parser(argparse.ArgumentParser):
    """A parser that complains as all of specwcs does: by `InputError`, in one line."""

    def error(self, message):
        """Raise `InputError`."""
        raise InputError(message, "", f"See '{self.prog} --help'")


def parsed(command, argv):
    """Parse the arguments of one command, for another command that calls it.

    Parameters
    ----------
    command : module
        With `add_arguments`.
    argv : list of str
    """
    parser = Parser()
    command.add_arguments(parser)
    return parser.parse_args([str(word) for word in argv])


class Console:
    """Where a command talks to: progress and complaints to stderr, the outcome to stdout.

    Parameters
    ----------
    as_json : bool
    """

    def __init__(self, as_json=False):
        self._as_json = as_json
        self._start = time.monotonic()
        self._warnings = []

    @property
    def seconds(self):
        """Time since the start."""
        return time.monotonic() - self._start

    def step(self, text):
        """Report the step that begins, where a person is watching."""
        if sys.stderr.isatty():
            print(f"{self.seconds:6.1f} s  {text}", file=sys.stderr, flush=True)

    def complain(self, message):
        """Print an error in one line."""
        print(f"specwcs: {message}", file=sys.stderr)

    def warn(self, message):
        """Print a warning, and keep it for the outcome."""
        self._warnings.append(message)
        print(f"specwcs: warning: {message}", file=sys.stderr)

    @contextmanager
    def hearing_warnings(self):
        """Turn the warnings of specwcs into lines; leave those of others as they are."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", SpecwcsWarning)
            show = warnings.showwarning

            def showwarning(message, category, *place, **more):
                if issubclass(category, SpecwcsWarning):
                    self.warn(one_line(message))
                else:
                    show(message, category, *place, **more)

            warnings.showwarning = showwarning
            yield

    def finish(self, outcome):
        """Print the outcome."""
        if self._as_json:
            facts = {"status": int(outcome.status), **outcome.facts, "warnings": self._warnings}
            print(json.dumps(_plain(facts), indent=1, allow_nan=False))
        elif outcome.lines:
            print("\n".join(outcome.lines))
        sys.stdout.flush()


def one_line(message):
    """Return a message without line breaks."""
    return " ".join(str(message).split())


@contextmanager
def naming(*paths):
    """Have errors name the files that they come from, where they do not yet."""
    try:
        yield
    except InputError as error:
        if error.file is not None:
            raise
        joint = ":" if error.line is None and error.slit is None else ","
        raise InputError(f"{', '.join(map(str, paths))}{joint} {error}") from error


def _plain(value):
    """Return a value in the types of JSON; NaN, which JSON lacks, becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    if hasattr(value, "item"):  # a number of numpy
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
