"""A DS9 that the user has open, reached through XPA."""

from specwcs.errors import ViewerError

from .xpa import Xpa, access_points, xpa_installed

__all__ = ["RunningDs9"]


class RunningDs9:
    """Find the one DS9 that is open; it is not ours and is left open.

    Raises
    ------
    ViewerError
        If there is none, or more than one.
    """

    shared = True

    def __init__(self, _folder):
        if not xpa_installed():
            raise ViewerError(
                "an open DS9 is reached with the XPA tools, and there is no 'xpaget' on the "
                "PATH. Install them (Debian: xpa-tools), or use viewer='ds9'"
            )
        found = access_points()
        if not found:
            raise ViewerError("no open DS9 answers to XPA. Open DS9, or use viewer='ds9'")
        if len(found) > 1:
            titles = ", ".join(title for title, _ in found)
            raise ViewerError(
                f"{len(found)} DS9 are open ({titles}). Close all but one, or use viewer='ds9'"
            )
        self._address = found[0][1]
        self._channel = Xpa(self._address)

    @property
    def alive(self):
        """Whether XPA still knows it."""
        return any(address == self._address for _, address in access_points())

    def set(self, command, timeout):
        """Have DS9 carry out a command."""
        self._channel.set(command, timeout)

    def get(self, command, timeout):
        """Return what DS9 answers to a question."""
        return self._channel.get(command, timeout)

    def complaint(self):
        """Say why there is no answer, and what to do."""
        if not self.alive:
            return "DS9 has gone: XPA does not know it any more. Open DS9 and reopen the viewer"
        return (
            "DS9 does not answer. Close its open dialog, or wait until it is idle, and try "
            "again; if its process is stopped, continue it"
        )

    def close(self):
        """Leave it as it is."""
