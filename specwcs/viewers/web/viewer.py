"""What the pages of a viewer show, whichever and however many of them are open."""

import os
import sys
import threading
import traceback
import warnings
import webbrowser
from dataclasses import replace
from html import escape

import numpy as np
from bokeh.core.templates import get_env
from bokeh.models import Div

from specwcs.errors import SpecwcsWarning, ViewerError
from specwcs.viewers.base import Viewer

from .canvas import bare_page
from .pyramid import Pyramid
from .server import PageServer

__all__ = ["WebViewer"]

_HEIGHT = 900  # px, of the page in a notebook
_TEMPLATE = """{% extends base %}
{% block preamble %}<link rel="icon" href="data:,">{% endblock %}
"""


class WebViewer(Viewer):
    """Image and shapes for pages in browsers.

    The page may be closed, reloaded, or opened twice: all that was done is kept here.

    Parameters
    ----------
    port : int, optional
        Of this machine; by default one that is free.
    browse : bool, optional
        Whether to open the page in a browser.

    Attributes
    ----------
    page : callable
        Fills a document: ``page(document, viewer)``.
    version : int
        Grows with every set of shapes that is drawn: what a page says of an older one is void.
    """

    def __init__(self, port=0, browse=True):
        self.lock = threading.RLock()
        self.page, self._pages = bare_page, []
        self._blank()
        self._watcher, self._browse, self._port = None, browse, port
        self._server = PageServer(self._open, port)
        self._announce()

    def _blank(self):
        self.pyramid, self.title = None, ""
        self._shapes, self.version = {1: [], 2: []}, 0
        self.columns, self.rectangles = None, {}
        self._unread = False

    # -- what a session asks of any viewer -----------------------------------------------

    def show(self, image, title):
        """Show an image in frame 1 alone, without shapes; see `Viewer`."""
        self._need()
        with self.lock:
            self.pyramid, self.title = Pyramid(image), title
            self._shapes, self.columns, self.rectangles = {1: [], 2: []}, None, {}
            self.version += 1
        self._tell_pages("image")

    def draw(self, shapes, frame=1):
        """Replace all shapes of a frame; see `Viewer`."""
        self._need()
        with self.lock:
            self._check(frame)
            lost = self._unread and frame == self.work
            self._shapes[frame], self._unread = list(shapes), False
            self.version += 1
        self._tell_pages("shapes")
        if lost:
            warnings.warn(
                "Markers were moved while others were being drawn: these moves are not taken. "
                "Move them again.",
                SpecwcsWarning,
                stacklevel=2,
            )

    def read(self, frame=1):
        """Return the shapes of a frame as they stand now; see `Viewer`."""
        with self.lock:
            self._check(frame)
            self._unread = self._unread and frame != self.work
            return [shape for shape in self._shapes[frame] if shape and not shape.fixed]

    def split(self, columns):
        """Show the image in two frames; see `Viewer`."""
        self._need()
        with self.lock:
            self.columns, self._shapes[2] = bool(columns), []
            self.version += 1
        self._tell_pages("layout")

    def join(self):
        """Go back to frame 1 alone; see `Viewer`."""
        self._need()
        with self.lock:
            self.columns = None
            self.version += 1
        self._tell_pages("layout")

    def look(self, x, y, width, height, frame=1):
        """Pan and zoom so that a rectangle fills a frame; see `Viewer`."""
        self._need()
        with self.lock:
            self._check(frame)
            self.rectangles[frame] = (x, y, width, height)
        self._tell_pages("look")

    @property
    def alive(self):
        """Whether the page is served; it need not be open in a browser."""
        return self._server is not None and self._server.alive

    def reopen(self):
        """Serve the page anew, at a new address."""
        if self.alive:
            return
        self._server = PageServer(self._open, self._port)
        with self.lock:
            self._shapes, self.columns = {1: [], 2: []}, None
        self._announce()

    def watch(self, callback):
        """Tell of what the user changes, at once; see `Viewer`."""
        self._watcher = callback

    def unwatch(self):
        """End `watch`."""
        self._watcher = None

    def close(self):
        """Stop serving."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    # -- for pages ------------------------------------------------------------------------

    @property
    def work(self):
        """The frame on which the user works."""
        return 1 if self.columns is None else 2

    @property
    def url(self):
        """The address of the page."""
        self._need()
        return self._server.url

    def shapes(self, frame):
        """Return all shapes of a frame, in their order; None for one that was deleted."""
        return list(self._shapes[frame])

    def furnish(self, page):
        """Have pages made by a function, given a document and the viewer."""
        self.page = page
        self._tell_pages("layout")

    def listen(self, listener):
        """Have a function called, in the server's thread, with the name of what has changed.

        Returns
        -------
        callable
            Ends it.
        """
        self._pages.append(listener)
        return lambda: self._pages.remove(listener)

    def soon(self, action):
        """Have the server's thread call a function."""
        if self._server is not None:
            self._server.soon(action)

    def edit(self, version, moved, deleted):
        """Take what a hand did to the shapes of the work frame.

        Parameters
        ----------
        version : int
            Of the shapes that it saw.
        moved : mapping of int to sequence of (x, y)
            New points of shapes, by their number.
        deleted : sequence of int

        Returns
        -------
        bool
            Whether it was taken: not if other shapes have been drawn since.
        """
        with self.lock:
            shapes = self._shapes[self.work]
            if version != self.version:
                return False
            for number, points in moved.items():
                points = tuple((float(x), float(y)) for x, y in points)
                if shapes[number] is None or shapes[number].fixed or not np.isfinite(points).all():
                    return False
                shapes[number] = replace(shapes[number], points=points)
            for number in deleted:
                shapes[number] = None
            self._unread = True
            # A page that is idle takes the edit at once.
            if self._watcher is not None and not getattr(self.page, "idle", False):
                self._watcher([s for s in shapes if s and not s.fixed])
        self._tell_pages("edit")
        return True

    def _tell_pages(self, what):
        for listener in list(self._pages):
            self.soon(lambda listener=listener: listener(what))

    def _open(self, document):
        document.template = get_env().from_string(_TEMPLATE)
        try:
            self.page(document, self)
        except Exception as error:  # a page shows a sentence, and the terminal what happened
            traceback.print_exc()
            document.clear()
            document.add_root(Div(text=f"This page cannot be shown: {escape(repr(error))}"))

    def _need(self):
        if not self.alive:
            raise ViewerError("the page is served no longer. Open the viewer anew")

    def _check(self, frame):
        if frame > self.work:
            raise ValueError("frame 2 is there after split only")

    def _announce(self):
        print(f"The page is at  {self.url}", flush=True)
        if self._server.remote:
            print(f"From the machine you sit at, first run\n  {self._server.tunnel}", flush=True)
        elif self._browse and _has_screen():
            # A browser that cannot be opened is no fault: the address is printed.
            threading.Thread(target=webbrowser.open, args=(self.url,), daemon=True).start()

    def _repr_html_(self):
        """Show the page in a notebook."""
        return (
            f'<iframe src="{self.url}" width="100%" height="{_HEIGHT}" '
            'style="border: 0" title="specwcs"></iframe>'
        )


def _has_screen():
    """Whether a browser would open in a window, and not in the terminal."""
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
