"""The frames of a session: those looked at last are kept, so that one may go to and fro."""

from pathlib import Path

from specwcs.calibration import sources_of
from specwcs.inputs import read_frame

__all__ = ["Frames"]

_KEPT = 3  # frames in memory


class Frames:
    """Frames by their titles, in the order in which they were loaded or offered first.

    Parameters
    ----------
    instrument : Instrument

    Attributes
    ----------
    paths : dict of str to path or list of paths
    kinds : dict of str to str
        ``"flat"``, ``"arc"``, ``"science"``, where that was said.
    """

    def __init__(self, instrument):
        self._instrument = instrument
        self._read, self.paths, self.kinds = {}, {}, {}

    def offer(self, kind, path):
        """Name a frame that may be looked at, without reading it."""
        paths = path if isinstance(path, (list, tuple)) else [path]
        title = " + ".join(Path(p).name for p in paths)
        self.paths[title], self.kinds[title] = path, kind

    def read(self, path):
        """Read a frame, or the sum of several; as `load_image` takes them."""
        paths = path if isinstance(path, (list, tuple)) else [path]
        key = tuple(_identity(Path(p)) for p in paths)
        frame = self._read.pop(key, None)
        if frame is None:
            frame = read_frame(path, self._instrument)
            while len(self._read) >= _KEPT:
                self._read.pop(next(iter(self._read)))
        self._read[key] = frame
        title = title_of(frame)
        self.paths.setdefault(title, path)
        return frame


def title_of(frame):
    """Return the names of the files of a frame."""
    names = [Path(entry["path"]).name for entry in sources_of(frame)]
    return " + ".join(names) or "frame"


def _identity(path):
    """Return what tells whether a file is the one that was read before."""
    try:
        facts = path.stat()
    except OSError:  # said when it is read
        return str(path)
    return str(path.absolute()), facts.st_size, facts.st_mtime_ns
