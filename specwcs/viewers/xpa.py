"""Talk to a DS9 through XPA: the command-line tools of the Debian package xpa-tools."""

import os
import shutil
import subprocess

from specwcs.errors import ViewerError

__all__ = ["Xpa", "access_points", "xpa_installed"]


def xpa_installed():
    """Whether the XPA tools are on the PATH."""
    return all(map(shutil.which, ("xpaget", "xpaset")))


def access_points(timeout=5):
    """List the DS9 that the user's XPA environment reaches.

    Returns
    -------
    list of (str, str)
        Title and address of each; only the address is sure to belong to one of them.
    """
    command = ["xpaget", "xpans"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return []
    lines = [line.split() for line in done.stdout.decode(errors="replace").splitlines()]
    return [(words[1], words[3]) for words in lines if len(words) >= 4 and words[0] == "DS9"]


class Xpa:
    """One XPA access point.

    Parameters
    ----------
    target : str
        Its name or address.
    environment : dict, optional
        What differs from the user's environment, such as XPA_TMPDIR.
    """

    def __init__(self, target, environment=None):
        self._target = target
        self._environment = environment or {}

    def set(self, command, timeout):
        """Have DS9 carry out a command; `TimeoutError` if it does not within `timeout` s."""
        self._run(["xpaset", "-p", self._target, command], timeout)

    def get(self, command, timeout):
        """Return what DS9 answers to a question, as text."""
        return self._run(["xpaget", self._target, command], timeout)

    def _run(self, words, timeout):
        try:
            done = subprocess.run(
                words,
                env=os.environ | self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TimeoutError(words[-1]) from None
        complaint = done.stderr.strip()
        reason, told_by_ds9, _ = complaint.removeprefix("XPA$ERROR ").partition(" (DS9:")
        if told_by_ds9 and "XPA$ERROR" not in reason:  # else it is the tool that complains
            raise ViewerError(f"DS9 refused {words[-1]!r}: {reason}")
        if done.returncode or complaint.startswith("XPA$ERROR"):
            raise ConnectionError(complaint)
        return done.stdout
