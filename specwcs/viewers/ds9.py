"""DS9 as a viewer.

What is sent goes through files in a private folder: an image of any size, thousands of
regions. What is read is DS9's own list of regions, in image coordinates.
"""

import atexit
import shutil
from contextlib import suppress

from specwcs.errors import ViewerError
from specwcs.regions import format_regions, parse_regions

from .base import Viewer
from .console import Console
from .frames import Frames
from .handoff import private_folder, write_image
from .watch import Watch

__all__ = ["Ds9"]

GLANCE = 2
"""Seconds that DS9 may take to answer the watching thread, or when it is left."""

_REGIONS = "regions -format ds9 -system image"


class Ds9(Viewer):
    """A DS9 that shows images and regions.

    Parameters
    ----------
    connect : callable
        Takes a private folder, returns the DS9 that answers: `OwnDs9` or `RunningDs9`.
    """

    def __init__(self, connect):
        self._folder = private_folder()
        self._console = Console(connect, self._folder)
        self._frames = None
        self._image, self._images = None, 0  # file that is shown; how many were
        self._watch = None
        atexit.register(self.close)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        self._console.open()
        self._frames = Frames(self._console)
        self._text = None  # the regions of the work frame, as last drawn or read
        self._torn = set()  # frames in which drawing was broken off
        self._was_there = True  # the user, in the work frame

    def show(self, image, title):
        """Show an image in frame 1 alone, fitted to the window, without shapes."""
        with self._console.lock:
            before = self._image
            self._images += 1
            file = self._folder / f"image-{self._images}.fits"
            write_image(file, image, title)
            self._image = file
            self._frames.join()
            self._load(1)
            if before:
                before.unlink(missing_ok=True)

    def draw(self, shapes, frame=1):
        """Replace all shapes of a frame."""
        text = format_regions(shapes)
        with self._console.lock:
            file = self._folder / "shapes.reg"
            file.write_text(text, encoding="utf-8")
            with self._frames.visit(frame, self._image):
                self._torn.add(frame)
                self._remember(frame, None)
                self._console.set("regions delete all")
                self._console.set("regions format ds9")
                self._console.set(f"regions load {file}")
                self._remember(frame, self._console.get(_REGIONS))
                self._torn.discard(frame)
            self._report()

    def read(self, frame=1):
        """Return the shapes of a frame as they stand now."""
        with self._console.lock:
            if frame in self._torn:
                raise ViewerError("DS9 took in only a part of the shapes. Draw them again")
            with self._frames.visit(frame, self._image):
                text = self._console.get(_REGIONS)
            shapes = _shapes(text)
            self._remember(frame, text)
            self._report()
            return shapes

    def split(self, columns):
        """Show the image in two frames."""
        with self._console.lock:
            self._text = None
            self._frames.split(columns)
            self._load(2)

    def join(self):
        """Go back to frame 1 alone."""
        with self._console.lock:
            if self._frames.work == 2:
                self._text = None
            self._frames.join()
            self._console.set("zoom to fit")

    def look(self, x, y, width, height, frame=1):
        """Pan and zoom so that a rectangle fills a frame."""
        with self._console.lock, self._frames.visit(frame, self._image):
            self._frames.look(x, y, width, height)

    @property
    def alive(self):
        """Whether DS9 is still there."""
        return self._console.alive

    def reopen(self):
        """Start DS9 anew where it has gone; show the last image again, without shapes."""
        if not self._folder.exists():
            raise ViewerError("the viewer is closed. Open another one")
        with self._console.lock:
            columns = self._frames.columns
            if self.alive:
                self._frames.restore()
            else:
                self._start()
            if self._image:
                self._frames.join()
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
        with self._console.lock:
            atexit.unregister(self.close)
            if self.alive and self._frames:
                with suppress(ViewerError), self._console.patience(GLANCE):
                    self._frames.leave()
            self._console.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _load(self, frame):
        self._frames.load(self._image, frame)
        self._remember(frame, None)
        self._torn.discard(frame)

    def _remember(self, frame, text):
        if frame == self._frames.work:
            self._text = text

    def _report(self):
        if self._watch:
            self._watch.report()

    def _glance(self, callback):
        """Call back if the work frame differs from what was last drawn or read."""
        if not self._console.lock.acquire(blocking=False):
            return  # it is just being drawn or read
        try:
            if self._text is not None and self.alive:
                # A DS9 that does not answer is told of by whoever calls next.
                with suppress(ViewerError), self._console.patience(GLANCE):
                    self._compare(callback)
        finally:
            self._console.lock.release()

    def _compare(self, callback):
        # To look at a frame makes it the current one: not while the user is in another,
        # but once after the user has left it.
        there = self._frames.current == self._frames.numbers[self._frames.work]
        if there or self._was_there:
            with self._frames.visit(self._frames.work, self._image):
                text = self._console.get(_REGIONS)
            if text != self._text:
                callback(_shapes(text))
                self._text = text
        self._was_there = there


def _shapes(text):
    return [shape for shape in parse_regions(text) if not shape.fixed]
