"""What every call of a session does: take what the user did, go on to a new state, show it."""

import threading
import warnings
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from specwcs.calibration import (
    MODELS,
    ModelFit,
    ModelFitter,
    assemble,
    box_outlines,
    check_slits,
    nominal_crv,
    nominal_ids,
    nominal_opt,
    predict_boxes,
    predict_corners,
    predict_edges,
    predict_lines,
    provenance,
    sources_of,
)
from specwcs.errors import InputError, SpecwcsWarning
from specwcs.inputs import Instrument, LineCatalog, Mask
from specwcs.markers import Markers
from specwcs.regions import (
    Matched,
    markers_from_shapes,
    match_shapes,
    shapes_from_markers,
)

from .frames import Frames
from .journal import Journal, model_to_json
from .layer import Layer, nearest_trace
from .screen import Screen, outline
from .state import History, State
from .stored import note_fit, open_model

__all__ = ["SessionCore", "check_count"]

_HOW = {
    "opt": "plot_opt_model() or measure_opt()",
    "crv": "plot_crv_model(n) or measure_crv()",
    "ids": "plot_ids_model(catalog) or measure_ids()",
}
_NEW = {"opt": "new_opt_model(nx, ny)", "crv": "new_crv_model(n, nx, ny)",
        "ids": "new_ids_model(n, nx, ny)"}  # fmt: skip
_SHAFT = 0.012  # of the frame along the dispersion: length of the arrows
_MAX_SHAFT = 25.0  # px
_SIDE = 4.0  # heights of a slit that are shown about it


class SessionCore:
    """State, viewer, journal and models of a session; see `ModelsCalibration`."""

    def __init__(self, icf, mask, given, viewer):
        self.instrument = icf if isinstance(icf, Instrument) else Instrument.read(icf)
        self._mask = mask if isinstance(mask, Mask) else Mask.read(mask)
        self._frame, self._sources, self._title, self._quiet = None, [], "", False
        self._frames, self._listener = Frames(self.instrument), None
        self.turn = threading.RLock()
        fits, live, degrees, known = {}, {}, {}, None
        for name in MODELS:
            if given.get(name) is None:
                continue
            fits[name], medium = open_model(given[name], name, self.instrument)
            live[name], degrees[name] = fits[name].model.copy(), fits[name].model.degrees
            known = medium or known
        self._history = History(State(fits, live, degrees, medium=known))
        self._refresh_models()
        self._journal = Journal.new(_head(self, given))
        self._screen = Screen(viewer, self._notice, self)

    # -- what there is -----------------------------------------------------------

    @property
    def _state(self):
        return self._history.now

    @property
    def _direction(self):
        return self.instrument.direction

    @property
    def mask(self):
        """The mask, oriented as it falls on the detector with the flips of OPT."""
        return self._oriented(self._flips(self._state))

    def _flips(self, state):
        fit = state.fits.get("opt")
        return (fit.model.x_flipped, fit.model.y_flipped) if fit else (False, False)

    def _oriented(self, flips):
        return self._mask.oriented(self._direction, flipx=flips[0], flipy=flips[1])

    def _model(self, state, name):
        """Return a model; a straight, linear one stands in for CRV or IDS that is not there."""
        if name in state.fits:
            return state.fits[name].model
        if name == "opt":
            raise InputError("there is no optical model", "", f"Call {_NEW[name]} first")
        return (nominal_crv if name == "crv" else nominal_ids)(self.instrument)

    def _fitter(self, state, flips=None):
        degrees = {name: state.degrees.get(name, "auto") for name in MODELS}
        mask = self._oriented(self._flips(state) if flips is None else flips)
        return ModelFitter(self.instrument, mask, degrees, by_hand=True)

    def _assembled(self, state):
        """Return the calibration of a state; models that are not there are nominal."""
        fits = dict(state.fits)
        if "opt" not in fits:
            fits["opt"] = ModelFit.unfitted(nominal_opt(self.instrument, self._mask), "nominal")
        for name in MODELS[1:]:
            if name not in fits:
                fits[name] = ModelFit.unfitted(self._model(state, name), "nominal")
        # The calibration is a value: what it holds is nobody else's.
        fits = {name: replace(fit, model=fit.model.copy()) for name, fit in fits.items()}
        inputs = {
            "instrument": sources_of(self.instrument.source),
            "mask": sources_of(self._mask.source),
            "catalog": sources_of(*(state.catalog.sources if state.catalog else ())),
            "frames": list(self._sources),
        }
        notes = [note for name in MODELS for note in fits[name].notes]
        mask = self._oriented(self._flips(state))
        doubtful = {key: ("doubtful", why) for key, why in mask.faults.items() if key in mask}
        return assemble(
            self.instrument, mask, fits, medium=state.medium or "air", faults=doubtful,
            provenance=provenance(inputs, self._frame, edges="from a session", fits=notes),
        )  # fmt: skip

    # -- from state to state --------------------------------------------------------

    def _commit(self, state, *, draw=True, **step):
        """Go on to a new state, write the step to the journal, and show it."""
        if state is not self._state:
            self._history.push(state)
        self._refresh_models()
        if step:
            self._journal.write(**step)
        if draw:
            self._draw()

    def _refresh_models(self):
        """Bring the models that the user holds to those of the state."""
        for name, fit in self._state.fits.items():
            live = self._state.live[name]
            if not _same(live, fit.model):
                live.assign(fit.model)
            medium = self._state.medium if name == "ids" else None
            note_fit(live, fit, self.instrument, medium)

    def _pull(self, strict=True):
        """Take what the user did since: to models by hand, to markers in the viewer.

        Parameters
        ----------
        strict : bool, optional
            Whether shapes that cannot be used are an error; else they are told of, and the
            markers stay as they were.

        Returns
        -------
        State
        """
        self._take_models()
        try:
            self._take_markers(self._screen.read())
        except InputError as error:
            if strict:
                raise
            self._say(f"what was drawn is not taken: {error}")
        return self._state

    def _take_models(self):
        """Take models that the user changed by hand: flips, coefficients."""
        state, changed = self._state, {}
        for name, fit in state.fits.items():
            live = state.live[name]
            if _same(live, fit.model):
                continue
            if not np.all(np.isfinite(live.parameters)):
                live.assign(fit.model)
                raise InputError(
                    f"a coefficient of {name.upper()} is not finite", "Must be finite",
                    "It is as it was before",
                )  # fmt: skip
            origin = "nominal" if fit.origin == "nominal" else "read"
            changed[name] = ModelFit.unfitted(live.copy(), origin)
        if not changed:
            return
        new = replace(state, fits={**state.fits, **changed})
        if self._flips(new) != self._flips(state):
            if new.tour is not None:
                self._say("the way slit by slit ends with the flip; undo() brings it back.")
            new = replace(new, layer=None, tour=None, fitted={})  # t runs the other way now
        first = min(MODELS.index(name) for name in changed)
        notes = self._follow_all(state, new, MODELS[first])
        for note in notes:
            self._say(note)
        values = {name: model_to_json(fit.model) for name, fit in changed.items()}
        self._commit(new, draw=False, models=values)

    def _take_markers(self, shapes):
        """Take shapes that came back from the viewer."""
        layer = self._state.layer
        if shapes is None or layer is None:
            return
        markers = self._edited(shapes, layer)
        if layer.differs_from(markers):
            self._take_edit(layer.edited(markers), "edit")

    def _take_edit(self, layer, step):
        before = self._state.layer
        new = replace(self._state, layer=layer)
        self._commit(new, draw=False, **{step: _difference(before.markers, layer.markers)})

    def _edited(self, shapes, layer):
        """Return the markers of a layer as shapes have them, those drawn by hand matched."""
        edited = markers_from_shapes(shapes, layer.markers)
        for note in edited.notes:
            self._say(note)
        if not edited.untagged:
            return edited.markers
        found = self._drawn_by_hand(edited.untagged, layer)
        for note in found.notes:
            self._say(note)
        new = found.markers[np.asarray(found.markers["used"])]
        return Markers.join([edited.markers, new])

    def _drawn_by_hand(self, shapes, layer):
        """Match shapes that the user added in the viewer.

        A point beside a trace that is drawn there belongs to it, where no other is near.
        """
        expected = self._predicted(layer)
        points = [s for s in shapes if layer.model == "crv" and s.kind == "point" and not s.text]
        others = [shape for shape in shapes if shape not in points]
        found = match_shapes(others, expected, direction=self._direction)
        rows, notes = [found.markers] if others else [], list(found.notes) if others else []
        for shape in points:
            nearest = nearest_trace(shape.points[0], expected, self._direction)
            if nearest is None:
                notes.append("a point is near no trace, or between two: it is not used.")
            else:
                rows.append(Markers.of("edge", *nearest, *([v] for v in shape.points[0])))
        return Matched(Markers.join(rows), tuple(notes))

    def _predicted(self, layer):
        """Return the markers of a layer's kind where the models have them."""
        state, mask = self._state, self.mask
        opt = self._model(state, "opt")
        if layer.model == "opt":
            make = predict_corners if "polygon" in layer.markers["kind"] else predict_boxes
            return make(opt, mask, self.instrument)
        crv = self._model(state, "crv")
        if layer.model == "crv":
            ts = sorted(set(np.round(np.asarray(layer.markers["t"]), 3).tolist())) or [0.0]
            return predict_edges(opt, crv, mask, self.instrument, 33, ts, state.limits)
        catalog = state.tour.catalog if state.tour else state.catalog
        if catalog is None:
            raise InputError("lines without a wavelength", "", "Call plot_ids_model(catalog) first")
        ids = state.tour.solution if state.tour else self._model(state, "ids")
        mask = Mask([mask[state.tour.slit]]) if state.tour else mask
        return predict_lines(opt, crv, ids, mask, self.instrument, catalog, state.nsplit)

    def _untoured(self):
        state = self._pull(strict=False)
        if state.tour is not None:
            raise InputError(f"slit {state.tour.slit} is at hand", "", "End with stop_iter() first")
        return state

    def _layer(self, state, name):
        if state.layer is None or state.layer.model != name:
            shown = "" if state.layer is None else f", but of {state.layer.model.upper()}"
            raise InputError(
                f"there are no markers of {name.upper()}{shown}", "",
                f"Call {_HOW[name]}, or read a region file",
            )  # fmt: skip
        return state.layer

    def _check_markers(self, markers, name):
        """Refuse markers that can be of no use to a fit."""
        check_slits(markers, self.mask)
        if not np.any(markers["used"]):
            raise InputError(
                f"0 of {len(markers)} markers are left: {name.upper()} is unchanged", "",
                f"Call {_HOW[name]}, or undo()",
            )  # fmt: skip

    def _catalog(self, given, wstart, wend):
        """Return the lines to be used, in one medium with the calibration."""
        if not isinstance(given, LineCatalog):
            given = LineCatalog.read(given)
        self._check_medium(given.medium, "the catalogue")
        return given.select(wstart, wend)

    def _check_medium(self, medium, what):
        """Refuse wavelengths in another medium than that of the IDS that is fitted."""
        state = self._state
        fit = state.fits.get("ids")
        if fit is None or fit.origin == "nominal" or state.medium in (None, medium):
            return
        raise InputError(
            f"{what} is in {medium}, IDS in {state.medium}", "Both must be in the same medium",
            f"Use LineCatalog.read(…).to_medium('{state.medium}'), or new_ids_model",
        )  # fmt: skip

    # -- the screen ---------------------------------------------------------------

    def _draw(self):
        """Show the markers of the state."""
        if not self._screen.there:
            return
        if not self._screen.alive:
            self._say("the viewer had gone: it is opened anew.")
            if not self._screen.reopen(self._image(), self._title):
                return
        if self._frame is None:
            return  # nothing to draw on: they are drawn on the first image
        state = self._state
        if state.tour is None:
            self._screen.join(self._whole())
        layer = state.layer
        if layer is None:
            self._screen.draw([])
            return
        if state.tour is not None:
            self._draw_tour(state)
        else:
            self._screen.draw(self._shapes(layer), self._reference(layer))

    def _shapes(self, layer, color="green"):
        along = self._direction.split(self.instrument.xpixels, self.instrument.ypixels)[0]
        outlines = None
        if layer.model == "opt":
            outlines = box_outlines(self._model(self._state, "opt"), self.mask)
        return shapes_from_markers(
            layer.markers, direction=self._direction, outlines=outlines,
            shaft=min(_MAX_SHAFT, max(_SHAFT * along, 6.0)), color=color,
        )  # fmt: skip

    def _reference(self, layer):
        """Return what is only to be looked at: the slits, beside the points of their traces."""
        if layer.model != "crv":
            return []
        corners = predict_corners(self._model(self._state, "opt"), self.mask, self.instrument)
        return outline(corners)

    def _draw_tour(self, state):
        tour, work = state.tour, state.layer
        before = tour.order[tour.index - 1] if tour.index else None
        reference = tour.layers[before] if before else None
        if reference is None:
            self._screen.join(self._whole())
            self._screen.draw(self._shapes(work))
            self._screen.look((), self._rectangle(work))
            return
        self._screen.split(columns=not self._direction.along_x)
        self._screen.draw(self._shapes(work), self._shapes(reference, "cyan"))
        self._screen.look(self._rectangle(reference), self._rectangle(work))

    def _rectangle(self, layer):
        """Return centre and size of what a slit's markers cover, px."""
        x, y = layer.markers["x"].value, layer.markers["y"].value
        along, across = self._direction.split((x.min(), x.max()), (y.min(), y.max()))
        slit = self.mask[str(layer.markers["slit"][0])]
        a, b = np.transpose(self._model(self._state, "opt")(*slit.curve(np.array([0.0, 1.0]))))
        height = _SIDE * max(abs(np.subtract(*self._direction.split(*np.transpose([a, b]))[1])), 20)
        width, middle = max(along[1] - along[0], height), sum(across) / 2
        centre = self._direction.join(sum(along) / 2, middle)
        return (*centre, *self._direction.join(width, height))

    def _whole(self):
        """Return centre and size of the frame, px."""
        nx, ny = self.instrument.xpixels, self.instrument.ypixels
        return (nx - 1) / 2, (ny - 1) / 2, nx, ny

    def _image(self):
        return None if self._frame is None else self._frame.data

    def _notice(self, shapes):
        """Write to the journal what the user did in the viewer, as it happens."""
        layer = self._state.layer
        if layer is None or self._quiet:
            return
        try:
            markers = markers_from_shapes(shapes, layer.markers).markers
        except InputError:
            return  # told when the markers are taken
        if layer.differs_from(markers):
            self._journal.write(seen=_difference(layer.markers, layer.edited(markers).markers))

    @contextmanager
    def hear(self, listener):
        """Have sentences given to a function, for a while, and not printed."""
        before, self._listener = self._listener, listener
        try:
            yield
        finally:
            self._listener = before

    def _say(self, text):
        if self._listener is not None:
            self._listener(text)
        elif not self._quiet:
            print(text)

    def _warn(self, text):
        warnings.warn(text, SpecwcsWarning, stacklevel=3)

    def _replace_layer(self, layer, medium=None, catalog=None):
        """Show other markers, which a measurement or a file brought."""
        state = replace(self._state, layer=layer)
        if state.tour is not None:
            others = set(layer.markers["slit"]) - {state.tour.slit}
            if layer.model != "ids" or others:
                raise InputError(
                    f"markers of {layer.model.upper()}, slits {', '.join(sorted(others)[:5])}",
                    f"Only lines of slit {state.tour.slit} are at hand",
                    "End with stop_iter() first",
                )
            state = replace(state, tour=state.tour.keep(layer))
        if medium is not None:
            state = replace(state, medium=medium)
        if catalog is not None:
            state = replace(state, catalog=catalog)
        content = {"model": layer.model, "markers": layer.markers, "placed": layer.placed,
                   "guessed": layer.guessed}  # fmt: skip
        self._commit(state, layer={**content, "medium": medium, "catalog": catalog})

    def _inherit(self, state, name, markers):
        """Make the layer of predicted markers, with the places that the last fit knows."""
        return Layer.predicted(name, markers).inheriting(state.fitted.get(name), self._direction)


def _same(one, other):
    """Whether two models are alike: degrees, domains, flips and coefficients."""
    return repr(model_to_json(one)) == repr(model_to_json(other))  # NaN is NaN


def _difference(before, now):
    """Return the rows of markers that changed, and those that were added."""
    n = len(before)
    changed = np.zeros(n, dtype=bool)
    for name in before.colnames:
        old, new = (np.asarray(getattr(t[name], "value", t[name])) for t in (before, now[:n]))
        differ = old != new
        changed |= differ & ~((old != old) & (new != new))
    rows = np.flatnonzero(changed)
    return {"rows": rows.tolist(), "changed": now[:n][rows], "added": now[n:]}


def _head(session, given):
    """Return what a session needs to be opened again."""
    files = {
        name: Path(path).absolute()
        for name, path in given.items()
        if isinstance(path, str) or hasattr(path, "__fspath__")
    }
    state = session._state
    return {
        "name": session.instrument.name,
        "icf": _path_of(session.instrument),
        "mask": _path_of(session._mask),
        "files": files,
        "models": {name: model_to_json(fit.model) for name, fit in state.fits.items()},
        "medium": state.medium,
    }


def _path_of(what):
    """Return the path that something was read from, or the name under which it ships."""
    if what.source is None:
        return None
    path = Path(what.source.path)
    return path.stem if path.parts[0] == "specwcs.conf" else str(path.absolute())


def check_count(value, what):
    """Return `value` if it is an integer above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"invalid {what} {value!r}", "Must be an integer above 0")
    return int(value)
