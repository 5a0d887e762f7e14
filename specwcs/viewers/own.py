"""A DS9 of our own: started here, reached through SAMP or XPA, and ended with us."""

import locale
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from specwcs.errors import ViewerError

from .samp import SampHub
from .xpa import Xpa, xpa_installed

__all__ = ["OwnDs9"]

START = 60
"""Seconds that a DS9 may take to start; on a slow network display it takes many."""

_TITLE = "specwcs"
_WITHOUT = "or work without a viewer (viewer=None)"


class OwnDs9:
    """Start DS9 and wait until it answers.

    SAMP is preferred: it still answers while a dialog is open. XPA is for a DS9 that does
    not come to our hub.

    Parameters
    ----------
    folder : pathlib.Path
        A private folder, for its sockets and temporary files.

    Raises
    ------
    ViewerError
        If there is no DS9, no display, or no answer.
    """

    shared = False

    def __init__(self, folder):
        program = _find_program()
        self._log = folder / "ds9.log"
        self._hub = SampHub(folder)
        sockets = folder / "xpa"  # XPA opens this folder to all, but not the one above
        sockets.mkdir(exist_ok=True)
        xpa = {"XPA_METHOD": "local", "XPA_TMPDIR": str(sockets)}
        self._xpa = Xpa(_TITLE, xpa)
        # Of a terminal's Ctrl-C, which is meant for Python, DS9 must not hear: it would quit.
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-title", _TITLE],
                env=os.environ | self._hub.environment | xpa | _environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._channel = self._first_answer()
        except BaseException:
            self.close()
            raise

    @property
    def alive(self):
        """Whether the process runs."""
        return self._process.poll() is None

    def set(self, command, timeout):
        """Have DS9 carry out a command."""
        self._channel.set(command, timeout)

    def get(self, command, timeout):
        """Return what DS9 answers to a question."""
        return self._channel.get(command, timeout)

    def complaint(self):
        """Say why there is no answer, and what to do."""
        with suppress(subprocess.TimeoutExpired):
            status = self._process.wait(0.2)  # what hangs up may be just about to end
            how = f"crashed (status {status})" if status else "was closed"
            if status < 0:
                how = f"was killed (signal {-status})"
            return f"DS9 has gone: it {how}. Reopen the viewer"
        number = self._process.pid
        if _is_stopped(number):
            return (
                f"DS9 does not answer: its process {number} is stopped. "
                f"Continue it with 'kill -CONT {number}'"
            )
        return (
            "DS9 does not answer. Close its open dialog, or wait until it is idle, and try "
            f"again; if it hangs, end it with 'kill -9 {number}' and reopen the viewer"
        )

    def close(self):
        """End DS9, however it is."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
                break
        self._hub.close()

    def _first_answer(self):
        """Wait for DS9; return the channel on which it answers."""
        end = time.monotonic() + START
        while time.monotonic() < end:
            if not self.alive:
                raise ViewerError(self._death_at_start())
            # DS9 looks for a hub before it opens XPA.
            channel = self._hub if self._hub.found or not xpa_installed() else self._xpa
            if channel is self._xpa or self._hub.connected:
                with suppress(OSError):
                    channel.get("version", max(1, end - time.monotonic()))
                    return channel
            time.sleep(0.05)
        raise ViewerError(
            f"DS9 was started but cannot be reached after {START} s. Close its open dialog, "
            f"turn SAMP or XPA on in its preferences, {_WITHOUT}"
        )

    def _death_at_start(self):
        said = self._log.read_text(errors="replace").rstrip(".\n").splitlines()
        return (
            f"DS9 ended as it was started: {said[-1] if said else 'it did not say why'}. "
            f"Start 'ds9' in a terminal to see what it lacks, {_WITHOUT}"
        )


def _find_program():
    program = shutil.which("ds9")
    if program is None:
        raise ViewerError(
            f"DS9 is not installed: no 'ds9' on the PATH. Install it (Debian: saods9), {_WITHOUT}"
        )
    if sys.platform != "darwin" and not os.environ.get("DISPLAY"):
        raise ViewerError(
            "there is no display for DS9: DISPLAY is not set. Work at a screen or through "
            f"'ssh -X', {_WITHOUT}"
        )
    return program


def _environment(folder):
    """Temporary files go to our folder (DS9 does not heed TMPDIR), labels come in UTF-8."""
    environment = {"TEMP": str(folder), "TMP": str(folder)}
    if locale.getencoding().lower() not in ("utf-8", "utf8"):
        environment["LC_ALL"] = "C.UTF-8"
    return environment


def _is_stopped(number):
    with suppress(OSError):
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] in "tT"
    return False
