"""The frames of a DS9 that are ours; those of the user are left alone."""

from contextlib import contextmanager

from specwcs.conventions import fits_from_array_pixel
from specwcs.errors import ViewerError

__all__ = ["Frames"]

LOAD = 60
"""Seconds that DS9 may take to load an image."""

_COLORBAR = 50  # px that it takes of the height of a frame
_GAP = 4  # px between frames


class Frames:
    """Frame 1 and, when split, frame 2.

    Parameters
    ----------
    console : Console
        Must be open.

    Attributes
    ----------
    numbers : dict
        DS9's number of each frame, as text.
    columns : bool or None
        How the window is split; None if it is not.
    """

    def __init__(self, console):
        self._console = console
        self._found, self._hidden = {}, []
        if console.link.shared:
            questions = ("mode", "tile mode", "tile", "frame")
            self._found = {question: console.get(question) for question in questions}
        self.numbers = {1: self._new() if self._found else console.get("frame")}
        self.columns = None
        console.set("mode region")  # the mouse selects and moves regions
        console.set("regions shape cross point")  # what a stray click makes can be read

    @property
    def work(self):
        """The frame on which the user works."""
        return 1 if self.columns is None else 2

    @property
    def current(self):
        """DS9's number of the frame in which the user is."""
        return self._console.get("frame")

    @property
    def existing(self):
        """DS9's numbers of all frames, ours and others."""
        return self._console.get("frame all").split()

    def load(self, file, frame):
        """Show an image in a frame, fitted, without regions; it becomes the current one."""
        if not (file and file.is_file()):
            raise ViewerError("there is no image to show any more. Show it again")
        self._console.set(f"frame {self.numbers[frame]}")
        self._console.set(f"fits {file}", LOAD)
        self._console.set("scale mode zscale")
        self._console.set("zoom to fit", LOAD)
        self._console.set("regions delete all")

    def split(self, columns):
        """Show both frames, and no others."""
        number = self.numbers.get(2)
        if number in self.existing:
            self._console.set(f"frame show {number}")
        else:
            self.numbers[2] = self._new()
        self._hide_others()
        self._console.set(f"tile mode {'column' if columns else 'row'}")
        self._console.set("tile yes")
        self.columns = columns
        self._console.set(f"frame {self.numbers[1]}")
        self._console.set("zoom to fit")

    def join(self):
        """Have frame 1 alone on the screen.

        Frame 2 is not deleted: when a frame is that can be seen, DS9 may crash.
        """
        self._console.set(f"frame {self.numbers[1]}")
        self._console.set("single")
        if self.columns is not None:
            self.columns = None
            self._console.set(f"frame hide {self.numbers[2]}")
            self._show_others()

    def restore(self):
        """Have a frame 1 again if the user deleted it."""
        if self.numbers[1] not in self.existing:
            self.numbers[1] = self._new()

    def look(self, x, y, width, height):
        """Fit a rectangle (0-based px) into the current frame."""
        across, up = self._size()
        self._console.set(f"zoom to {min(across / width, up / height):.6g}")
        x, y = fits_from_array_pixel((x, y))
        self._console.set(f"pan to {x:.3f} {y:.3f} image")

    @contextmanager
    def visit(self, frame, file):
        """Make a frame the current one for a while; it must show this image."""
        if frame > self.work:
            raise ValueError("frame 2 is there after split only")
        number, before = self.numbers[frame], self.current
        if before != number:
            if number not in self.existing:
                raise ViewerError(_lost(frame))
            self._console.set(f"frame {number}")
        try:
            if file is None or self._console.get("file") != str(file):
                raise ViewerError(_lost(frame))
            yield
        finally:
            if before != number:
                self._console.set(f"frame {before}")

    def leave(self):
        """Put a DS9 that is not ours back as it was."""
        if not self._found:
            return
        self._show_others()
        for question, answer in self._found.items():
            if answer:
                self._console.set(f"{question} {answer}")
        current, existing = self.current, self.existing
        ours = [n for n in self.numbers.values() if n in existing and n != current]
        for how in ("hide", "delete"):  # unseen, it can be deleted
            for number in ours:
                self._console.set(f"frame {how} {number}")

    def _new(self):
        self._console.set("frame new")
        return self.current

    def _hide_others(self):
        """Hide the frames of the user, which would be tiled with ours."""
        for number in self._console.get("frame active").split():
            if number not in self.numbers.values():
                self._console.set(f"frame hide {number}")
                self._hidden.append(number)

    def _show_others(self):
        existing = self.existing if self._hidden else []
        for number in self._hidden:
            if number in existing:
                self._console.set(f"frame show {number}")
        self._hidden = []

    def _size(self):
        """Width and height of a frame on the screen, px."""
        across, up = int(self._console.get("width")), int(self._console.get("height"))
        if self.columns is True:
            across = (across - _GAP) // 2
        elif self.columns is False:
            up = (up - _GAP) // 2
        return across, max(up - _COLORBAR, 1)


def _lost(frame):
    return (
        f"DS9 no longer shows the image in frame {frame}: the frame was deleted, or another "
        "image was loaded into it. Reopen the viewer"
    )
