"""One DS9, asked by one at a time, whose silence becomes an error that names a remedy."""

import threading
from contextlib import contextmanager

from specwcs.errors import ViewerError

__all__ = ["Console"]

ANSWER = 8
"""Seconds that a DS9 may take to answer."""


class Console:
    """Commands to a DS9 and questions, from any thread.

    Parameters
    ----------
    connect : callable
        Takes a folder, returns the DS9 that answers: `OwnDs9` or `RunningDs9`.
    folder : pathlib.Path
        A private folder.

    Attributes
    ----------
    lock : threading.RLock
        Held for what must not be interrupted.
    """

    def __init__(self, connect, folder):
        self.lock = threading.RLock()
        self.link = None
        self._connect, self._folder = connect, folder
        self._patience = ANSWER

    def open(self):
        """Start DS9, or find it; one that was there before is given up."""
        with self.lock:
            self.close()
            self.link = self._connect(self._folder)

    @property
    def alive(self):
        """Whether DS9 is still there."""
        link = self.link
        return link is not None and link.alive

    def set(self, command, timeout=None):
        """Have DS9 carry out a command."""
        self._ask("set", command, timeout)

    def get(self, question):
        """Return what DS9 answers."""
        return self._ask("get", question, None).strip()

    @contextmanager
    def patience(self, seconds):
        """Wait that long for an answer, for a while."""
        before, self._patience = self._patience, seconds
        try:
            yield
        finally:
            self._patience = before

    def close(self):
        """End DS9 if it is our own."""
        with self.lock:
            if self.link is not None:
                self.link.close()
                self.link = None

    def _ask(self, how, command, timeout):
        with self.lock:
            if self.link is None:
                raise ViewerError("the viewer is not open. Reopen it")
            if not self.link.alive:
                raise ViewerError(self.link.complaint())
            try:
                return getattr(self.link, how)(command, timeout or self._patience)
            except OSError as err:
                raise ViewerError(self.link.complaint()) from err
