"""What a viewer is told; where it does not answer, the session goes on without it."""

import threading
import time
import warnings
from dataclasses import replace

import numpy as np

from specwcs.errors import SpecwcsWarning, ViewerError
from specwcs.regions import Shape

__all__ = ["Screen", "outline"]

_PATIENCE = 1.0  # s after a failure


class Screen:
    """The viewer of a session, if it has one; every fault of it becomes a warning.

    Parameters
    ----------
    viewer : str, Viewer or None
        A name for `specwcs.viewers.open_viewer`, one that is open, or None.
    on_change : callable
        Called with shapes when the user changed them, from another thread.
    session : ModelsCalibration, optional
        The session, for a viewer that offers its calls to the user.
    """

    def __init__(self, viewer, on_change, session=None):
        self._name = viewer if isinstance(viewer, str) else None
        self._viewer = None if self._name else viewer
        self._drawn = self._split = self._zoomed = False
        self._seen, self._lock = None, threading.Lock()
        self._on_change, self._failed, self._session = on_change, -np.inf, session
        self._open()

    def _open(self):
        if self._name is not None and self._viewer is None:
            from specwcs.viewers import open_viewer

            self._try(lambda: setattr(self, "_viewer", open_viewer(self._name)))
        if self._viewer is not None:
            self._try(lambda: self._viewer.watch(self._notice))
            if self._session is not None and hasattr(self._viewer, "furnish"):
                from specwcs.desk import Desk

                self._viewer.furnish(Desk(self._session))

    @property
    def viewer(self):
        """The viewer; None without one."""
        return self._viewer

    @property
    def there(self):
        """Whether the session has a viewer at all."""
        return self._viewer is not None

    @property
    def alive(self):
        """Whether it has one that is open."""
        return self.there and self._viewer.alive

    def show(self, image, title):
        """Show an image, without shapes."""
        self._drawn = self._split = self._zoomed = False
        return self._try(lambda: self._viewer.show(image, title))

    def show_again(self, image, title):
        """Show an image in a viewer that lost it, has gone, or could not be opened before."""
        self._failed = -np.inf  # the user has asked: try at once
        if not self.there:
            self._open()
        elif not self.alive:
            self.reopen(image, title)
            return
        if self.there and image is not None:
            self.show(image, title)

    def draw(self, shapes, reference=()):
        """Draw shapes to work on, and others only to be looked at.

        Where the screen is split, `reference` goes to the frame beside.
        """
        with self._lock:
            self._seen = None
        fixed = [replace(shape, fixed=True) for shape in reference]
        if self._split:
            self._try(lambda: self._viewer.draw(fixed, 1))
            self._drawn = self._try(lambda: self._viewer.draw(shapes, 2))
        else:
            self._drawn = self._try(lambda: self._viewer.draw([*fixed, *shapes], 1))
        return self._drawn

    def show_only(self, shapes):
        """Draw shapes in place of the markers; nothing is read back until these are drawn."""
        self.draw([], shapes)
        self._drawn = False

    def read(self):
        """Return the shapes as the user left them; None where nothing was drawn.

        Where the viewer has gone since, those that were seen last.
        """
        if not self._drawn:
            return None
        shapes = []
        if self._try(lambda: shapes.append(self._viewer.read(2 if self._split else 1))):
            return shapes[0]
        with self._lock:
            seen = self._seen
        if not self._viewer.alive:
            self._drawn = False
        return seen

    def reopen(self, image, title):
        """Start a viewer that has gone anew, with the image; return whether that worked."""
        self._split = False
        if not self._try(lambda: self._viewer.reopen()):
            return False
        return image is None or self.show(image, title)

    def split(self, columns):
        """Show two frames, one to look at and one to work in."""
        if not self._split:
            self._split = self._try(lambda: self._viewer.split(columns))

    def join(self, whole):
        """Go back to one frame, and to the whole image after looking at a part of it."""
        if self._split:
            self._split = not self._try(lambda: self._viewer.join())
        if self._zoomed and not self._split:
            self._zoomed = not self._try(lambda: self._viewer.look(*whole, 1))

    def look(self, reference, work):
        """Show rectangles (x, y, width, height): in the frame beside, and in the work frame."""
        self._zoomed = True
        if self._split:
            self._try(lambda: self._viewer.look(*reference, 1))
        self._try(lambda: self._viewer.look(*work, 2 if self._split else 1))

    def close(self):
        """Close the viewer."""
        if self.there:
            self._try(lambda: self._viewer.close())
        self._viewer, self._drawn, self._split = None, False, False

    def _notice(self, shapes):
        with self._lock:
            self._seen = shapes
        self._on_change(shapes)

    def _try(self, action):
        """Act; warn and return False where the viewer does not answer.

        What follows at once in the same call is not tried: it would wait as long again.
        """
        if time.monotonic() - self._failed < _PATIENCE:
            return False
        try:
            action()
        except ViewerError as error:
            self._failed = time.monotonic()
            warnings.warn(
                f"{str(error).rstrip('. ')}. The session goes on and nothing is lost: show() "
                "draws image and markers again.",
                SpecwcsWarning,
                stacklevel=6,
            )
            return False
        return True


def outline(markers):
    """Return the outlines of slits as polygons: to be looked at, in blue.

    Parameters
    ----------
    markers : Markers
        Corners, four a slit, in a ring.
    """
    x, y = markers["x"].value.reshape(-1, 4), markers["y"].value.reshape(-1, 4)
    slits = markers["slit"][::4]
    return [
        Shape("polygon", tuple(zip(px, py, strict=True)), text=str(slit), color="blue", fixed=True)
        for slit, px, py in zip(slits, x.tolist(), y.tolist(), strict=True)
    ]
