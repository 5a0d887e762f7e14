"""Frames on a page: the image at the zoom that is looked at, and the shapes on it."""

import json
from contextlib import suppress
from importlib.resources import files

import numpy as np
from bokeh.core.properties import Bool, Int, String
from bokeh.core.property.descriptors import UnsetValueError
from bokeh.model import DataModel
from bokeh.models import (
    BoxAnnotation,
    ColumnDataSource,
    CustomJS,
    LinearColorMapper,
    Range1d,
    ResetTool,
    Row,
    Select,
)
from bokeh.palettes import Cividis256, Greys256, Inferno256, Viridis256
from bokeh.plotting import figure

from .events import heed
from .shapes import drawn
from .stretch import CUTS, STRETCHES, limits, shades

__all__ = ["Board", "bare_page"]

_PALETTES = {
    "grey": Greys256,
    "inverse": Greys256[::-1],
    "viridis": Viridis256,
    "inferno": Inferno256,
    "cividis": Cividis256,
}
_COALESCE = 0.04  # s: a zoom changes four ends of ranges, one after the other
_SCREEN = (900, 700)  # px, before the page says what it has
_NAMED = 120  # shapes on the screen: of more, names would only hide each other
_NO_PIXEL = "#26303a"  # where a pixel is bad
_HAND = files(__package__) / "hand.js"


class Post(DataModel):
    """What the hand says, as JSON."""

    text = String(default="")


class Seen(DataModel):
    """What the hand has to know."""

    version = Int(default=0)
    keys = Bool(default=True)


class Canvas:
    """One frame: a figure with the image, its shapes, and a hand on them.

    Parameters
    ----------
    viewer : WebViewer
    number : {1, 2}
    board : Board
    """

    def __init__(self, viewer, number, board):
        self._viewer, self.number, self._board = viewer, number, board
        self._pending = None
        self.post, self.seen = Post(), Seen()
        ny, nx = (10, 10) if viewer.pyramid is None else viewer.pyramid.image.shape
        self.figure = figure(
            x_range=Range1d(-0.5, nx - 0.5), y_range=Range1d(-0.5, ny - 0.5),
            tools="pan,box_zoom,wheel_zoom,reset", active_drag="pan",
            active_scroll="wheel_zoom", sizing_mode="stretch_both", min_height=320, min_width=320,
            x_axis_label="x (px)", y_axis_label="y (px)", lod_threshold=None,
            background_fill_color="#101418", name=f"frame{number}", toolbar_location="right",
            tags=[self.post, self.seen],  # what hangs on no model is not told to the server
        )  # fmt: skip
        self.figure.grid.visible = False
        self.figure.toolbar.logo = None
        self.figure.select_one(ResetTool).description = "whole frame"
        self._image = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        self.figure.image("image", x="x", y="y", dw="dw", dh="dh", source=self._image,
                          color_mapper=board.mapper, level="image")  # fmt: skip
        self.places, self._outlines, self._shafts, self._names = (
            ColumnDataSource(source) for source in drawn([], 0)
        )
        self.figure.patches("xs", "ys", source=self._outlines, fill_alpha=0, line_color="color",
                            line_width=1.5)  # fmt: skip
        self.figure.segment("x0", "y0", "x1", "y1", source=self._shafts, line_color="color",
                            line_width=1.5)  # fmt: skip
        self.figure.scatter(
            "x", "y", source=self.places, marker="marker", size="size", line_color="color",
            fill_color="color", fill_alpha=0.15, line_width=1.5, selection_line_color="yellow",
            selection_fill_color="yellow", selection_fill_alpha=0.6, selection_line_width=2.5,
            nonselection_line_alpha=1, nonselection_fill_alpha=0.15,
            nonselection_line_color="color", nonselection_fill_color="color",
        )  # fmt: skip
        self._labels = ColumnDataSource({"x": [], "y": [], "text": [], "color": []})
        self.figure.text("x", "y", "text", source=self._labels, text_color="color", x_offset=7,
                         y_offset=-5, text_font_size="11px", background_fill_color="#101418",
                         background_fill_alpha=0.6)  # fmt: skip
        box = BoxAnnotation(
            left=0, right=0, bottom=0, top=0, visible=False, fill_alpha=0.15, line_color="yellow"
        )
        self.figure.add_layout(box)
        self._hand = CustomJS(
            args={
                "figure": self.figure, "places": self.places, "outlines": self._outlines,
                "shafts": self._shafts, "box": box, "post": self.post, "state": self.seen,
            },
            code=_HAND.read_text(encoding="utf-8"),
        )  # fmt: skip
        for model in (self.figure.x_range, self.figure.y_range):
            heed(model, ("start", "end"), self._later)
        self._screen = _SCREEN
        heed(self.figure, ("inner_width", "inner_height"), self._resized)
        heed(self.post, "text", self._heard)
        self._own = self._stamp = 0

    def attach(self, document):
        """Let the hand begin once the page is there."""
        document.js_on_event("document_ready", self._hand)

    # -- what is looked at ---------------------------------------------------------------

    def whole(self):
        """Show the whole frame."""
        ny, nx = self._viewer.pyramid.image.shape
        self.look((nx - 1) / 2, (ny - 1) / 2, nx, ny)

    def centre(self, x, y):
        """Show the surroundings of a pixel, no larger than what is shown now."""
        (x0, x1), (y0, y1) = self.view()
        ny, nx = self._viewer.pyramid.image.shape
        self.look(x, y, min(abs(x1 - x0), nx / 8), min(abs(y1 - y0), ny / 8))

    def look(self, x, y, width, height):
        """Show a rectangle of this centre and size."""
        self.figure.x_range.update(start=x - width / 2, end=x + width / 2)
        self.figure.y_range.update(start=y - height / 2, end=y + height / 2)
        self._later()

    def _resized(self, _):
        with suppress(UnsetValueError):  # the other side is told next
            self._screen = self.figure.inner_width, self.figure.inner_height
            self._later()

    def _later(self, _=None):
        """Draw the tile once the view has settled."""
        if self._pending is None:
            self._pending = self._board.document.add_timeout_callback(
                self._paint, int(1000 * _COALESCE)
            )

    def _paint(self):
        self._pending = None
        self.paint()

    def view(self):
        """Return ((x from, to), (y from, to)) of what is on the screen, px."""
        x, y = self.figure.x_range, self.figure.y_range
        return (x.start, x.end), (y.start, y.end)

    def paint(self):
        """Draw what is looked at."""
        if self._viewer.pyramid is None or not self.figure.visible:
            return
        tile = self._viewer.pyramid.tile(*self.view(), self._screen)
        values = shades(tile.values, *self._board.limits(), self._board.stretch.value)
        self._image.data = {
            "image": [values], "x": [tile.x], "y": [tile.y], "dw": [tile.width],
            "dh": [tile.height],
        }  # fmt: skip
        self._name()

    # -- shapes --------------------------------------------------------------------------

    def shapes(self):
        """Draw the shapes of the viewer."""
        # Of shapes that are drawn anew the numbers stand for others: nothing stays selected.
        same = self.seen.version == self._viewer.version and not self._board.fresh
        selected = self._selected_shapes() if same else set()
        self._stamp += 1
        places, outlines, shafts, names = drawn(self._viewer.shapes(self.number), self._stamp)
        self.seen.version = self._viewer.version
        self.places.selected.indices = []
        self.places.data, self._outlines.data, self._shafts.data = places, outlines, shafts
        self._names.data = names
        if selected:
            self.select(selected)
        self._name()

    def select(self, numbers):
        """Select shapes by their numbers."""
        wanted = np.isin(self.places.data["shape"], list(numbers))
        self.places.selected.indices = np.flatnonzero(wanted).tolist()

    def _selected_shapes(self):
        shape = np.asarray(self.places.data["shape"])
        return {int(shape[row]) for row in self.places.selected.indices if row < len(shape)}

    def _name(self):
        """Name the shapes on the screen where they are few."""
        names, (x, y) = self._names.data, (np.sort(v) for v in self.view())
        places = np.array([names["x"], names["y"]])
        seen = (places[0] > x[0]) & (places[0] < x[1]) & (places[1] > y[0]) & (places[1] < y[1])
        rows = np.flatnonzero(seen) if 0 < seen.sum() <= _NAMED else []
        new = {key: [names[key][row] for row in rows] for key in ("x", "y", "text", "color")}
        self._labels.data = new

    # -- the hand --------------------------------------------------------------------------

    def _heard(self, new):
        message = json.loads(new)
        if message["kind"] == "edit":
            self._edit(message)
        else:
            self._board.heard(message)

    def _edit(self, message):
        """Take a move of handles by (dx, dy)."""
        dx, dy = message["by"]
        shapes, moved = self._viewer.shapes(self.number), {}
        corners = {}
        for number, corner in message["rows"]:
            corners.setdefault(number, set()).add(corner)
        if message["version"] == self._viewer.version:
            for number, which in corners.items():
                every = min(which) < 0
                moved[number] = [
                    (x + dx, y + dy) if every or k in which else (x, y)
                    for k, (x, y) in enumerate(shapes[number].points)
                ]
        self._own += 1
        if moved and self._viewer.edit(message["version"], moved, []):
            self._board.on_edit()
        else:
            self._own -= 1
            self.shapes()  # other shapes were drawn meanwhile: show them

    def edited(self):
        """Show what another page has moved; of our own hand, it is there."""
        if self._own:
            self._own -= 1
            return
        self.shapes()


class Board:
    """The frames of a viewer on one page, and how their light is shown.

    Parameters
    ----------
    document : bokeh.document.Document
    viewer : WebViewer

    Attributes
    ----------
    layout : bokeh model
        The frames.
    controls : bokeh model
        Cuts, stretch and colours.
    on_hand : callable
        Given what the hand said of keys, the cursor and what it picked; a dictionary.
    on_edit : callable
        Called when it has moved shapes.
    on_change : callable
        Called when other shapes or another image are shown.
    """

    def __init__(self, document, viewer):
        self.document, self._viewer = document, viewer
        self._limits, self._shape, self.fresh = None, None, True
        self.on_hand, self.on_edit, self.on_change = _delete(viewer), _nothing, _nothing
        self.mapper = LinearColorMapper(
            palette=list(Greys256), low=1, high=255, low_color=_NO_PIXEL
        )
        self.cut = Select(title="Cuts", value=CUTS[0], options=list(CUTS), width=95)
        self.stretch = Select(title="Stretch", value="linear", options=list(STRETCHES), width=85)
        self.colors = Select(title="Colours", value="grey", options=list(_PALETTES), width=85)
        heed(self.cut, "value", self._recut)
        heed(self.stretch, "value", self._paint)
        heed(self.colors, "value", self._recolor)
        self.controls = Row(self.cut, self.stretch, self.colors)
        self.frames = {n: Canvas(viewer, n, self) for n in (1, 2)}
        self.layout = Row(
            *(canvas.figure for canvas in self.frames.values()), sizing_mode="stretch_both"
        )
        for canvas in self.frames.values():
            canvas.attach(document)
        end = viewer.listen(self._changed)
        document.on_session_destroyed(lambda _: end())
        self._arrange()
        self._all("image")
        self.fresh = False

    @property
    def work(self):
        """The canvas on which the user works."""
        return self.frames[self._viewer.work]

    def heard(self, message):
        """Pass on what the hand said."""
        self.on_hand(message)

    def limits(self):
        """Return the values that are black and white."""
        if self._limits is None:
            self._limits = limits(self._viewer.pyramid.image, self.cut.value)
        return self._limits

    def _changed(self, what):
        """Hear that something changed; what a page shows may only change in its turn."""
        self.document.add_next_tick_callback(lambda: self._all(what))

    def _all(self, what):
        with self._viewer.lock:
            if what == "image":
                self._limits = None
                shape = None if self._viewer.pyramid is None else self._viewer.pyramid.image.shape
                if shape not in (None, self._shape):  # flat and arc are compared at one zoom
                    for canvas in self.frames.values():
                        canvas.whole()
                self._shape = shape
            if what in ("image", "layout"):
                self._arrange()
            if what != "look" and not self.fresh:
                self.on_change()
            for number, canvas in self.frames.items():
                if what == "edit":
                    if number == self._viewer.work:
                        canvas.edited()
                    continue
                if what != "look":
                    canvas.shapes()
                if (what == "look" or self.fresh) and number in self._viewer.rectangles:
                    canvas.look(*self._viewer.rectangles[number])
                if what in ("image", "layout"):
                    canvas.paint()

    def _arrange(self):
        """Place one frame, or two."""
        columns = self._viewer.columns
        two = columns is not None
        self.layout.styles = {"flex-direction": "row" if columns else "column"}
        self.frames[2].figure.visible = two
        self.frames[1].seen.keys, self.frames[2].seen.keys = not two, two
        title = self._viewer.title
        self.frames[1].figure.title.text = f"{title} - solved" if two else title
        self.frames[2].figure.title.text = f"{title} - at hand"

    def _recut(self, _):
        self._limits = None
        self._paint()

    def _recolor(self, name):
        self.mapper.palette = list(_PALETTES[name])

    def _paint(self, _=None):
        for canvas in self.frames.values():
            canvas.paint()


def _nothing():
    pass


def _delete(viewer):
    """Return what a page without a session makes of keys: d deletes."""

    def hear(message):
        if message["kind"] == "key" and message["key"] == "d":
            chosen = message["chosen"] or [message["near"]]
            numbers = [number for number in chosen if number is not None]
            viewer.edit(message["version"], {}, numbers)

    return hear


def bare_page(document, viewer):
    """Fill a page with the frames alone."""
    board = Board(document, viewer)
    document.title = "specwcs"
    document.add_root(board.controls)
    document.add_root(board.layout)
