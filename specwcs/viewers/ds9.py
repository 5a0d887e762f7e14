"""DS9 as a viewer.

What is sent goes through files in a private folder: an image of any size, thousands of
regions. What is read is DS9's own list of regions, in image coordinates.
"""

import atexit
import re
import shutil
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from astropy.io import fits

from specwcs.conventions import fits_from_array_pixel
from specwcs.errors import ViewerError
from specwcs.regions import format_regions, parse_regions

from .base import Viewer
from .watch import Watch

__all__ = ["Ds9"]

ANSWER, LOAD, GLANCE = 8, 60, 2
"""Seconds for an answer: of a question, after loading an image, to the watching thread."""

_REGIONS = "regions -format ds9 -system image"
_COLORBAR = 50  # px that it takes of the height of a frame
_GAP = 4  # px between frames


class Ds9(Viewer):
    """A DS9 that shows images and regions.

    Parameters
    ----------
    connect : callable
        Takes a private folder, returns the DS9 that answers: `OwnDs9` or `RunningDs9`.
    """

    def __init__(self, connect):
        self._lock = threading.RLock()
        self._connect = connect
        self._link = None
        self._folder = _private_folder()
        self._image = None  # file that is shown
        self._images = 0
        self._columns = None  # how it is split, None if it is not
        self._watch = None
        self._timeout = ANSWER
        atexit.register(self.close)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    # -- the viewer -----------------------------------------------------------------

    def show(self, image, title):
        """Show an image in frame 1 alone, fitted to the window, without shapes."""
        with self._lock:
            before = self._image
            self._images += 1
            file = self._folder / f"image-{self._images}.fits"
            _write_image(file, image, title)
            self._image = file
            self._single()
            self._load(1)
            if before:
                before.unlink(missing_ok=True)

    def draw(self, shapes, frame=1):
        """Replace all shapes of a frame."""
        with self._lock:
            file = self._folder / "shapes.reg"
            # What must not be deleted, DS9 does not even delete to make room for the next
            # shapes. That it cannot be selected keeps the user from deleting it.
            text = format_regions(shapes).replace(" delete=0 ", " delete=1 ")
            file.write_text(text, encoding="utf-8")
            with self._in_frame(frame):
                self._torn.add(frame)
                self._remember(frame, None)
                self._set("regions delete all")
                self._set("regions format ds9")
                self._set(f"regions load {file}")
                self._remember(frame, self._get(_REGIONS))
                self._torn.discard(frame)
            self._report()

    def read(self, frame=1):
        """Return the shapes of a frame as they stand now."""
        with self._lock:
            if frame in self._torn:
                raise ViewerError("DS9 took in only a part of the shapes. Draw them again")
            with self._in_frame(frame):
                text = self._get(_REGIONS)
            shapes = _shapes(text)
            self._remember(frame, text)
            self._report()
            return shapes

    def split(self, columns):
        """Show the image in two frames."""
        with self._lock:
            self._text = None
            self._second_frame()
            self._hide_others()
            self._set(f"tile mode {'column' if columns else 'row'}")
            self._set("tile yes")
            self._columns = columns
            self._set(f"frame {self._numbers[1]}")
            self._set("zoom to fit")
            self._load(2)

    def join(self):
        """Go back to frame 1 alone."""
        with self._lock:
            self._single()
            self._set("zoom to fit")

    def look(self, x, y, width, height, frame=1):
        """Pan and zoom so that a rectangle fills a frame."""
        with self._lock, self._in_frame(frame):
            across, up = self._frame_size()
            self._set(f"zoom to {min(across / width, up / height):.6g}")
            x, y = fits_from_array_pixel((x, y))
            self._set(f"pan to {x:.3f} {y:.3f} image")

    @property
    def alive(self):
        """Whether DS9 is still there."""
        return self._link is not None and self._link.alive

    def reopen(self):
        """Start DS9 anew where it has gone; show the last image again, without shapes."""
        with self._lock:
            columns, self._columns = self._columns, None
            if not self.alive:
                self._hang_up()
                self._start()
            elif self._numbers[1] not in self._get("frame all").split():
                self._numbers = {1: self._new_frame()}
            if self._image:
                self._single()
                self._load(1)
                if columns is not None:
                    self.split(columns)

    def watch(self, callback):
        """Tell of what the user changes in the work frame."""
        self.unwatch()
        self._watch = Watch(lambda: self._glance(callback))

    def unwatch(self):
        """End `watch`."""
        watch, self._watch = self._watch, None
        if watch:
            watch.stop()

    def close(self):
        """Close DS9 if it is our own; take away our frames if it is not."""
        self.unwatch()
        with self._lock:
            atexit.unregister(self.close)
            with suppress(ViewerError):
                self._leave()
            self._hang_up()
            shutil.rmtree(self._folder, ignore_errors=True)

    # -- frames -----------------------------------------------------------------------

    def _start(self):
        self._link = self._connect(self._folder)
        self._found = None
        if self._link.shared:
            questions = ("mode", "tile mode", "tile", "frame")
            self._found = {question: self._get(question) for question in questions}
        self._hidden = []
        self._numbers = {1: self._new_frame() if self._found else self._get("frame")}
        self._text = None  # of the work frame, as it was last drawn or read
        self._torn = set()  # frames in which drawing was broken off
        self._was_there = True
        self._set("mode region")  # the mouse selects and moves regions
        self._set("regions shape cross point")  # what a stray click makes can be read

    def _new_frame(self):
        self._set("frame new")
        return self._get("frame")

    def _hang_up(self):
        if self._link is not None:
            self._link.close()
            self._link = None

    def _leave(self):
        """Put a DS9 that is not ours back as it was."""
        if not self.alive or not self._found:
            return
        self._timeout = GLANCE
        self._show_others()
        for question, answer in self._found.items():
            if answer:
                self._set(f"{question} {answer}")
        current, existing = self._get("frame"), self._get("frame all").split()
        ours = [n for n in self._numbers.values() if n in existing and n != current]
        for how in ("hide", "delete"):  # a frame that is seen must not be deleted: see _single
            for number in ours:
                self._set(f"frame {how} {number}")

    def _load(self, frame):
        """Load the image into a frame, which stays the current one."""
        if not (self._image and self._image.is_file()):
            raise ViewerError("there is no image to show any more. Show it again")
        self._set(f"frame {self._numbers[frame]}")
        self._set(f"fits {self._image}", LOAD)
        self._set("scale mode zscale")
        self._set("zoom to fit", LOAD)
        self._set("regions delete all")
        self._remember(frame, None)
        self._torn.discard(frame)

    def _second_frame(self):
        number = self._numbers.get(2)
        if number in self._get("frame all").split():
            self._set(f"frame show {number}")
        else:
            self._numbers[2] = self._new_frame()

    def _single(self):
        """Have frame 1 alone on the screen.

        Frame 2 is not deleted: when a frame is that can be seen, DS9 may crash.
        """
        self._set(f"frame {self._numbers[1]}")
        self._set("single")
        if self._columns is not None:
            self._columns, self._text = None, None
            self._set(f"frame hide {self._numbers[2]}")
            self._show_others()

    def _hide_others(self):
        """Hide the frames of the user, which would be tiled with ours."""
        for number in self._get("frame active").split():
            if number not in self._numbers.values():
                self._set(f"frame hide {number}")
                self._hidden.append(number)

    def _show_others(self):
        existing = self._get("frame all").split() if self._hidden else []
        for number in self._hidden:
            if number in existing:
                self._set(f"frame show {number}")
        self._hidden = []

    def _frame_size(self):
        """Width and height of a frame on the screen, px."""
        across, up = int(self._get("width")), int(self._get("height"))
        if self._columns is True:
            across = (across - _GAP) // 2
        elif self._columns is False:
            up = (up - _GAP) // 2
        return across, max(up - _COLORBAR, 1)

    @contextmanager
    def _in_frame(self, frame):
        """Make a frame the current one for a while; it must show our image."""
        if frame > self._work:
            raise ValueError("frame 2 is there after split only")
        number, before = self._numbers[frame], self._get("frame")
        if before != number:
            if number not in self._get("frame all").split():
                raise ViewerError(_lost(frame))
            self._set(f"frame {number}")
        try:
            if self._image is None or self._get("file") != str(self._image):
                raise ViewerError(_lost(frame))
            yield
        finally:
            if before != number:
                self._set(f"frame {before}")

    # -- what the user does -------------------------------------------------------------

    @property
    def _work(self):
        return 1 if self._columns is None else 2

    def _remember(self, frame, text):
        if frame == self._work:
            self._text = text

    def _report(self):
        if self._watch:
            self._watch.report()

    def _glance(self, callback):
        """Call back if the work frame differs from what was last drawn or read."""
        if not self._lock.acquire(blocking=False):
            return  # it is just being drawn or read
        try:
            if self._text is not None and self.alive:
                self._timeout = GLANCE
                self._compare(callback)
        except ViewerError:
            pass  # whoever calls next is told
        finally:
            self._timeout = ANSWER
            self._lock.release()

    def _compare(self, callback):
        # To look at a frame makes it the current one: not while the user is in another,
        # but once after the user has left it.
        there = self._get("frame") == self._numbers[self._work]
        if there or self._was_there:
            with self._in_frame(self._work):
                text = self._get(_REGIONS)
            if text != self._text:
                callback(_shapes(text))
                self._text = text
        self._was_there = there

    # -- questions and commands -----------------------------------------------------------

    def _set(self, command, timeout=None):
        self._ask("set", command, timeout)

    def _get(self, question):
        return self._ask("get", question).strip()

    def _ask(self, how, command, timeout=None):
        with self._lock:
            if self._link is None:
                raise ViewerError("the viewer is not open. Open it again")
            if not self._link.alive:
                raise ViewerError(self._link.complaint())
            try:
                return getattr(self._link, how)(command, timeout or self._timeout)
            except OSError as err:
                raise ViewerError(self._link.complaint()) from err


def _shapes(text):
    return [shape for shape in parse_regions(text) if not shape.fixed]


def _lost(frame):
    return (
        f"DS9 no longer shows the image in frame {frame}: the frame was deleted, or another "
        "image was loaded into it. Reopen the viewer"
    )


def _write_image(path, image, title):
    header = fits.Header()
    plain = "".join(c if " " <= c <= "~" else "?" for c in title)
    header["OBJECT"] = plain[:68]
    try:
        fits.PrimaryHDU(np.asarray(image, dtype=">f4"), header).writeto(path)
    except OSError as err:
        raise ViewerError(
            f"the image cannot be handed to DS9: {path.parent} is full or gone ({err}). Make "
            "room there, or set TMPDIR to another folder, and open the viewer again"
        ) from err


def _private_folder():
    """Make a folder that only we can read.

    Its name goes into commands of DS9 and is that of sockets: short, ASCII, without spaces.
    """
    parent = tempfile.gettempdir()
    if not re.fullmatch(r"[\w/.+-]{1,60}", parent, re.ASCII):
        parent = "/tmp"
    return Path(tempfile.mkdtemp(prefix="specwcs-", dir=parent))
