"""A thread that looks at a viewer now and then."""

import threading
import warnings

from specwcs.errors import SpecwcsWarning

__all__ = ["Watch"]

PERIOD = 2.0
"""Seconds between two looks: what a killed viewer may cost of the user's work."""


class Watch:
    """Call a function every two seconds, in a thread that dies with the interpreter.

    What the function raises never reaches the terminal: `report` tells of it.

    Parameters
    ----------
    look : callable
    """

    def __init__(self, look):
        self._look = look
        self._fault = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="specwcs-watch", daemon=True)
        self._thread.start()

    def report(self):
        """Warn, once, of what kept changes from being delivered."""
        fault, self._fault = self._fault, None
        if fault is not None:
            warnings.warn(
                f"changes made by hand could not be kept as they were made: {fault}",
                SpecwcsWarning,
                stacklevel=4,
            )

    def stop(self):
        """Stop, and wait until the last look is over."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(PERIOD + 1)

    def _run(self):
        while not self._stop.wait(PERIOD):
            try:
                self._look()
            except Exception as err:  # anything that the user's function may raise
                self._fault = err
