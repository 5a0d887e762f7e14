"""One page of a session: its layout, its buttons and its keys."""

import warnings
from html import escape

import numpy as np
from bokeh.models import (
    Button,
    Checkbox,
    Column,
    Div,
    InlineStyleSheet,
    RadioButtonGroup,
    Row,
    Select,
    Spinner,
    TextInput,
)

from specwcs.errors import InputError, SpecwcsError, SpecwcsWarning
from specwcs.extraction import rectify
from specwcs.viewers.web.canvas import Board
from specwcs.viewers.web.events import heed

from . import words
from .panels import Rectified, Residuals, Slice, SlitList

__all__ = ["Page"]

_STEPS = ("opt", "crv", "ids")
_STEP_NAMES = ("1 Slits (OPT)", "2 Traces (CRV)", "3 Lines (IDS)")
_DEGREES = {"opt": ("X", "Y"), "crv": ("along", "x", "y"), "ids": ("λ", "x", "y")}
_SIDE = 430  # px, of the column beside the frame
_HIGHEST = 7
_FAREWELL = 300  # ms, in which the last word reaches the browser


class Page:
    """Widgets of one document, and what they ask the desk for.

    Parameters
    ----------
    document : bokeh.document.Document
    viewer : WebViewer
    desk : Desk

    Attributes
    ----------
    facts : Facts or None
        Those that are shown.
    """

    def __init__(self, document, viewer, desk):
        self._document, self._viewer, self._desk = document, viewer, desk
        self._slit, self._row, self._shown, self._filling = None, None, (), False
        self.facts = None
        self.board = Board(document, viewer)
        self.board.on_hand, self.board.on_edit = self._hand, desk.look
        self.board.on_change = desk.look_again
        self._make()
        self._lay_out()

    # -- widgets ------------------------------------------------------------------------------

    def _make(self):
        style = [InlineStyleSheet(css=words.STYLE)]

        def div(name, **more):
            return Div(stylesheets=style, css_classes=[name], name=name, **more)

        self.name = div("name", text=f"specwcs · {escape(self._desk.session.instrument.name)}")
        self.busy = div("busy", text="")
        self.hint, self.readout = div("hint", text=""), div("readout", text=_NOWHERE)
        self.said = div("said", text="", sizing_mode="stretch_width")
        self.card = Div(text=words.FIRST, stylesheets=style, css_classes=["card"], name="hints",
                        sizing_mode="stretch_width")  # fmt: skip
        self.keys = Div(text=words.HELP, stylesheets=style, css_classes=["help"], name="help",
                        visible=False)  # fmt: skip
        self.advice = div("hint", text="")

        self.steps = RadioButtonGroup(labels=list(_STEP_NAMES), active=None, name="steps")
        heed(self.steps, "active", self._stepped)
        self.degrees = [Spinner(low=0, high=_HIGHEST, step=1, value=1, width=84) for _ in range(3)]
        for spinner in self.degrees:
            heed(spinner, "value", self._degrees_changed)
        self.best = _button("Use", self._use_advice, visible=False)
        self.measure = _button("Measure", self._measure)
        self.draw = _button("Draw", self._draw)
        self.fit = _button("Fit (f)", self._fit, kind="primary")
        self.flipx = _button("Flip X", lambda: self._do("flipping", self._act.flip, "x"))
        self.flipy = _button("Flip Y", lambda: self._do("flipping", self._act.flip, "y"))
        self.corners = Checkbox(label="move corners", active=False)
        heed(self.corners, "active", self._corners_changed)
        self.points = Spinner(title="points a trace", low=2, high=200, step=1, value=9, width=90)
        heed(self.points, "value", self._points_changed)
        self.lamp = Select(title="Lines of", value="", options=[("", "choose …")], width=150)
        heed(self.lamp, "value", self._lamp_changed)
        self.nsplit = Spinner(title="places a slit", low=1, high=50, step=1, value=1, width=80)
        heed(self.nsplit, "value", self._nsplit_changed)
        self.tour = _button("Slit by slit", self._tour)
        self.previous = _button("◀ Previous (p)", self._previous)
        self.next = _button("Next (n) ▶", self._next)
        self.stop = _button("Stop", lambda: self._do("fitting", self._act.stop))
        self.line = Select(title="The selected line is", options=[], width=190, visible=False)
        heed(self.line, "value", self._named)

        self.frame = Select(title="Frame", options=[], width=190)
        heed(self.frame, "value", self._frame_changed)
        self.undo = _button("Undo (u)", lambda: self._do("", self._act.undo))
        self.redo = _button("Redo (r)", lambda: self._do("", self._act.redo))
        self.help = _button("Help (?)", self._help)
        self.save_name = TextInput(value="calibration.asdf", title="Save as", width=170)
        self.overwrite = Checkbox(label="replace", active=False)
        self.save = _button("Save", self._save, kind="success")
        self.path = TextInput(title="Frame or region file", width=230, placeholder="/path/to/file")
        self.open = _button("Open", self._open)
        self.leave = _button("Leave", self._leave)

        self.residuals = Residuals(self._residual_chosen)
        self.slits = SlitList(self._slit_chosen)
        self.slice, self.rectified = Slice(), Rectified()
        self.below = RadioButtonGroup(
            labels=["Spectrum along the slit", "Rectified"], active=0, name="below"
        )
        heed(self.below, "active", self._below_changed)
        self.rectified.figure.visible = False

    def _lay_out(self):
        stretch = {"sizing_mode": "stretch_width"}
        end = {"styles": {"align-items": "flex-end", "flex-wrap": "wrap"}}
        top = Row(
            self.name, self.frame, self.board.controls, self.undo, self.redo, self.save_name,
            Column(self.overwrite, self.save), self.path, self.open, self.help, self.leave,
            self.busy, **stretch, **end,
        )  # fmt: skip
        self.controls = Row(children=[], **stretch, **end)
        side = Column(
            self.said, *self.residuals.figures, self.slits.table,
            width=_SIDE, sizing_mode="stretch_height", styles={"overflow-y": "auto"},
        )  # fmt: skip
        left = Column(
            self.board.layout, Row(self.below, self.readout), self.slice.figure,
            self.rectified.note, self.rectified.figure, sizing_mode="stretch_both",
        )  # fmt: skip
        page = Column(
            top, self.card, self.controls, self.hint, self.keys,
            Row(left, side, sizing_mode="stretch_both"),
            sizing_mode="stretch_both", styles={"height": "99vh", "min-height": "900px"},
        )  # fmt: skip
        self._document.title = f"specwcs · {self._desk.session.instrument.name}"
        self._document.add_root(page)
        self._arrange(None)

    def _arrange(self, model, touring=False):
        """Offer what there is to do at a step."""
        key = (model, touring)
        if key == self._shown:
            return
        self._shown = key
        labels = _DEGREES.get(model, ())
        for spinner, label in zip(self.degrees, labels, strict=False):
            spinner.title = f"degree {label}"
        actions = [self.measure, self.draw, self.fit]
        if model is None:
            parts = [self.steps]
        elif touring:
            parts = [self.steps, self.previous, self.next, self.fit, self.stop, self.line]
        else:
            own = {
                "opt": [self.lamp, self.corners, self.flipx, self.flipy],
                "crv": [self.points],
                "ids": [self.lamp, self.nsplit],
            }[model]
            last = [self.tour, self.line] if model == "ids" else []
            spinners = self.degrees[: len(labels)]
            parts = [self.steps, *own, *actions, *spinners, self.advice, self.best, *last]
        self.controls.children = parts
        self.hint.text = "" if model is None else words.STEP_HINTS[model]

    # -- what is shown ----------------------------------------------------------------------

    def later(self, what):
        """Show something in the page's turn."""
        self._document.add_next_tick_callback(lambda: self.show(what))

    def show(self, what="facts"):
        """Show what the desk has: everything, what was said, or what is being done."""
        desk = self._desk
        self.busy.text = f"{desk.doing} …" if desk.doing else ""
        rows = [f'<div class="{kind}">{escape(text)}</div>' for kind, text in desk.said[::-1]]
        self.said.text = "".join(rows) or "What the session says appears here."
        self.card.visible = not desk.said
        if what != "facts" or desk.facts is None:
            return
        self.facts, self._filling = desk.facts, True
        try:
            self._fill(self.facts)
        finally:
            self._filling = False

    def _fill(self, facts):
        progress, desk = facts.progress, self._desk
        model = progress.model
        self._arrange(model, bool(progress.tour))
        self.steps.active = None if model is None else _STEPS.index(model)
        self.undo.disabled, self.redo.disabled = not progress.undoable, not progress.redoable
        if model in progress.models:
            for spinner, value in zip(self.degrees, progress.models[model].degrees, strict=False):
                spinner.value = value
        titles = list(progress.frames)
        if progress.frame and progress.frame not in titles:
            titles.append(progress.frame)
        kinds = {title: f"{kind}: {title}" for title, kind in progress.kinds.items()}
        self.frame.options = [(title, kinds.get(title, title)) for title in titles]
        self.frame.value = progress.frame
        self.lamp.options = [("", "choose …"), *((name, name) for name in desk.lamps)]
        self.lamp.value = desk.lamp
        self.nsplit.value, self.points.value = desk.settings.nsplit, desk.settings.points
        self.corners.active = desk.settings.edit
        self.residuals.show(facts, desk.session.instrument.direction)
        if facts.complaint:
            self.residuals.figures[0].title.text = facts.complaint
        self.slits.show(facts.slits)
        self._show_advice()
        if progress.slit is not None and progress.slit != self._slit:
            self._slit = progress.slit
        self._show_below()

    def _show_advice(self):
        advice = self._desk.advice
        model = self.facts.progress.model
        good = advice is not None and advice[0] == model
        self.advice.text = "" if not good else f"Cross-validated: {advice[1]}" + (
            " as they are" if advice[1] == self._given_degrees() else ""
        )  # fmt: skip
        self.best.visible = good and advice[1] != self._given_degrees()

    def _given_degrees(self):
        model = self.facts.progress.model
        return tuple(spinner.value for spinner in self.degrees[: len(_DEGREES.get(model, ()))])

    def _show_below(self):
        """Show the slit at hand below the frame, once it is computed."""
        slit, session = self._slit, self._desk.session
        if slit is None or not self.facts.progress.frame:
            return
        if self.below.active == 0:
            self._desk.compute(
                lambda: session.slice(slit), lambda r: self._tick(self._sliced, slit, r)
            )
        else:
            self._desk.compute(lambda: _rectified(session, slit),
                               lambda r: self._tick(self._straight, slit, r))  # fmt: skip

    def _tick(self, show, slit, result):
        self._document.add_next_tick_callback(lambda: show(slit, result))

    def _sliced(self, slit, result):
        if slit != self._slit:
            return  # another was chosen meanwhile
        if isinstance(result, SpecwcsError):
            self.slice.figure.title.text = str(result)
            return
        self.slice.show(slit, *result, self._desk.atlas)

    def _straight(self, slit, result):
        if self.below.active != 1:
            return
        if isinstance(result, SpecwcsError):
            self.rectified.say(f"Slit {slit} cannot be rectified yet: {escape(str(result))}")
        elif slit == self._slit:
            self.rectified.show(slit, result)

    # -- what buttons do -------------------------------------------------------------------------

    @property
    def _act(self):
        return self._desk.actions

    @property
    def _model(self):
        facts = self.facts
        return None if facts is None else facts.progress.model

    def _do(self, what, action, *args, **kwargs):
        self._desk.do(what, action, *args, **kwargs)

    def _stepped(self, new):
        if not self._filling and new is not None:
            self._do("drawing", self._act.step, _STEPS[new])

    def _measure(self):
        if self._model:
            self._do(f"measuring {self._model.upper()}", self._act.measure, self._model)
            self._desk.advise()

    def _draw(self):
        if self._model:
            self._do("drawing", self._act.draw, self._model)

    def _fit(self):
        if self._model:
            self._do(f"fitting {self._model.upper()}", self._act.fit, self._model)
            self._desk.advise()

    def _degrees_changed(self, _):
        if not self._filling and self._model and None not in self._given_degrees():
            self._do("fitting", self._act.degrees, self._model, self._given_degrees())

    def _use_advice(self):
        self._do("fitting", self._act.degrees, *self._desk.advice)

    def _corners_changed(self, new):
        if not self._filling:
            self._desk.settings.edit = new
            self._do("drawing", self._act.draw, "opt")

    def _points_changed(self, new):
        if not self._filling and new:
            self._desk.settings.points = int(new)
            self._do("drawing", self._act.draw, "crv")

    def _nsplit_changed(self, new):
        if not self._filling and new:
            self._desk.settings.nsplit = int(new)
            self._do("drawing", self._act.draw, "ids")

    def _lamp_changed(self, new):
        if not self._filling and new:
            self._desk.choose_lamp(new)
            if self._model == "ids":
                self._do("drawing", self._act.draw, "ids")

    def _frame_changed(self, new):
        if not self._filling and new:
            path = self.facts.progress.frames.get(new)
            if path is not None:
                self._do(f"reading {new}", self._act.load, path)

    def _below_changed(self, new):
        self.slice.figure.visible = new == 0
        self.rectified.say("" if new == 0 else "Click a slit in the list to see it rectified.")
        self.rectified.note.visible = new == 1
        self._show_below()

    def _tour(self):
        self._do("drawing", self._act.tour)

    def _next(self):
        if self.facts.progress.tour:
            self._do("fitting the slit", self._act.next)
        else:
            self._go(1)

    def _previous(self):
        if self.facts.progress.tour:
            self._do("fitting the slit", self._act.prev)
        else:
            self._go(-1)

    def _go(self, by):
        """Turn to the next slit of the list."""
        ids = [row.slit for row in self.facts.slits]
        at = ids.index(self._slit) + by if self._slit in ids else 0
        if ids:
            self._slit_chosen(ids[at % len(ids)])

    def _save(self):
        self._do("saving", self._act.save, self.save_name.value, self.overwrite.active)

    def _open(self):
        path = self.path.value.strip()
        if path.endswith(".reg"):
            self._do(f"reading {path}", self._act.regions, path)
        elif path:
            self._do(f"reading {path}", self._act.load, path)

    def _leave(self):
        self._document.clear()
        self._document.add_root(Div(text="The session has ended. You can close this page."))
        self._document.add_timeout_callback(self._desk.leave, _FAREWELL)

    def _help(self):
        self.keys.visible = not self.keys.visible

    def _close_help(self):
        self.keys.visible = False

    # -- slits and markers ---------------------------------------------------------------------

    def _slit_chosen(self, slit):
        facts = self.facts
        self._slit = slit
        if facts.progress.tour and slit != facts.progress.slit:
            self._desk.tell(f"slit {facts.progress.slit} is at hand: stop first to see others.")
            return
        if facts.finder.known(slit):
            self.board.work.look(*facts.finder.rectangle(slit))
        self._select_slit(slit)
        self._show_below()

    def _select_slit(self, slit):
        shapes = self._viewer.shapes(self._viewer.work)
        self.board.work.select(
            n for n, shape in enumerate(shapes)
            if shape is not None and not shape.fixed and shape.tags.get("slit") == slit
        )  # fmt: skip

    def _residual_chosen(self, slit, x, y):
        """Go to the marker of a residual, and select it."""
        numbers, apart = [], []
        for n, shape in enumerate(self._viewer.shapes(self._viewer.work)):
            if shape is not None and not shape.fixed and shape.tags.get("slit") == slit:
                px, py = (
                    np.mean(shape.points, axis=0) if shape.kind == "polygon" else shape.points[-1]
                )
                numbers.append(n)
                apart.append(np.hypot(px - x, py - y))
        if not numbers:
            return
        self.board.work.centre(x, y)
        self.board.work.select([numbers[int(np.argmin(apart))]])
        self._picked(numbers[int(np.argmin(apart))])

    def _picked(self, number):
        """Offer the lines that a marker may be, and show its slit."""
        shape = self._viewer.shapes(self._viewer.work)[number]
        if shape is None:
            return
        self._row = int(shape.tags.get("n", -1))
        slit = shape.tags.get("slit")
        if slit is not None and slit != self._slit:
            self._slit = slit
            self._show_below()
        if shape.kind == "vector" and self._row >= 0:
            row = self._row
            self._desk.compute(
                lambda: self._act.lines_near(row), lambda r: self._tick(self._offer, slit, r)
            )

    def _offer(self, _, lines):
        if isinstance(lines, SpecwcsError) or not lines:
            return
        self._filling = True
        self.line.options = [(repr(w), name) for w, name in lines]
        self.line.value, self.line.visible = repr(lines[0][0]), True
        self._filling = False

    def _named(self, new):
        if not self._filling and new:
            self._do("", self._act.name, self._row, float(new))

    # -- the hand --------------------------------------------------------------------------------

    def _hand(self, message):
        """Take what the hand said: a key, the place of the cursor, a marker that was clicked."""
        if message["kind"] == "cursor":
            self._read_out(*message["at"])
        elif message["kind"] == "picked" and message["version"] == self._viewer.version:
            self._picked(int(self.board.work.places.data["shape"][message["row"]]))
        elif message["kind"] == "key":
            self._key(message)

    def _key(self, message):
        key, at = message["key"], message["at"]
        simple = {
            "f": self._fit,
            "u": lambda: self._do("", self._act.undo),
            "r": lambda: self._do("", self._act.redo),
            "n": self._next,
            "p": self._previous,
            "?": self._help,
            "Escape": self._close_help,
            "w": self.board.work.whole,
        }
        if key in simple:
            simple[key]()
        elif key == "d":
            near = [] if message["near"] is None else [message["near"]]
            self._delete(message["version"], message["chosen"] or near)
        elif key == "m" and at is not None:
            self._do("", self._act.mark, *at, self.facts.finder)
        elif key == "s" and at is not None:
            slit = self.facts.finder.nearest(*at)
            if slit is not None:
                self._slit = slit
                self._select_slit(slit)
                self._show_below()

    def _delete(self, version, numbers):
        if not numbers:
            self._desk.tell("nothing to delete: put the cursor on a marker, or select some.")
        elif self._viewer.edit(version, {}, numbers):
            self._desk.look()

    def _read_out(self, x, y):
        image = self._viewer.pyramid.image if self._viewer.pyramid is not None else None
        if image is None:
            return
        col, row = round(x), round(y)
        inside = 0 <= row < image.shape[0] and 0 <= col < image.shape[1]
        value = f"{image[row, col]:.5g}" if inside else "-"
        text = f"x {x:.1f} &nbsp; y {y:.1f} &nbsp; value {value}"
        if self.facts is not None:
            slit, t, wavelength = self.facts.finder.find(x, y)
            if slit is not None:
                text += f" &nbsp; slit {escape(slit)} &nbsp; t {t:.3f}"
                text += f" &nbsp; {wavelength:.2f} Å" if np.isfinite(wavelength) else ""
        self.readout.text = text


_NOWHERE = "x, y, value, slit, t and wavelength under the cursor"


def _button(label, action, kind="default", visible=True):
    button = Button(label=label, button_type=kind, sizing_mode="fixed", width=8 * len(label) + 26,
                    height=31, visible=visible)  # fmt: skip
    button.on_click(action)
    return button


def _rectified(session, slit):
    """Rectify a slit of the frame on the screen, as the session has the models now."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpecwcsWarning)
        result = rectify(session.calibration, session.frame, slits=[slit])
    if slit not in result:
        raise InputError(result.skipped[slit])
    return result[slit]
