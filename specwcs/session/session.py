"""`ModelsCalibration`: the calls of the session, in the order in which they are used."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.nddata import CCDData

from specwcs.calibration import (
    MODELS,
    ModelFit,
    nominal_crv,
    nominal_ids,
    nominal_opt,
    predict_boxes,
    predict_corners,
    predict_edges,
    predict_lines,
    sources_of,
)
from specwcs.errors import InputError
from specwcs.markers import Markers
from specwcs.regions import (
    check_slits,
    markers_from_shapes,
    match_shapes,
    read_regions,
    write_regions,
)

from .core import check_count
from .frames import title_of
from .layer import Layer, model_of
from .progress import Progress
from .touring import SessionTour
from .turns import in_turn

__all__ = ["ModelsCalibration"]


@in_turn
class ModelsCalibration(SessionTour):
    """A session in which models are calibrated by eye and hand, with what helps them.

    The session draws markers where the models expect slits, traces and lines on a frame;
    the user moves or deletes them in the viewer; a fit takes them as they stand and moves
    the models. Every step can be undone, and is kept in a journal (`resume`).

    Parameters
    ----------
    icf : str, path-like or Instrument
        Instrument file, or the name of an instrument that ships.
    mask : str, path-like or Mask
        Mask file, or the name of a mask that ships.
    opt, crv, ids : str, path-like or Model, optional
        Models to start from.
    viewer : str, Viewer or None
        ``"ds9"`` opens a DS9, ``"ds9-running"`` takes the one that is open, ``"web"`` opens a
        page in the browser, on which the whole session can be worked; None is for scripts:
        `markers` is read and set, and region files go in and out.

    Raises
    ------
    InputError
        If a file cannot be used, or a model is of another instrument.

    Notes
    -----
    Models keep their identity: the object that `new_opt_model` returned is the one that
    `fit_opt_model` changes. A viewer that fails is a warning; the session goes on without.
    Calls may come from several threads, as from a page and a prompt: they take turns.
    """

    def __init__(self, icf, mask, opt=None, crv=None, ids=None, viewer="ds9"):
        super().__init__(icf, mask, {"opt": opt, "crv": crv, "ids": ids}, viewer)

    @classmethod
    def resume(cls, journal=None, viewer="ds9"):
        """Go on with a session that ended, or died.

        Parameters
        ----------
        journal : str or path-like, optional
            Its journal; by default the one written to last.
        viewer : str, Viewer or None
            As for a new session.

        Returns
        -------
        ModelsCalibration
            With models, markers and what can be undone as they were.

        Raises
        ------
        InputError
            If there is no journal, or the files that it names are gone.
        """
        from .resume import resume

        return resume(cls, journal, viewer)

    # -- what there is ----------------------------------------------------------------

    @property
    def opt(self):
        """The optical model; None before there is one."""
        return self._state.live.get("opt")

    @property
    def crv(self):
        """The curvature model; None before there is one."""
        return self._state.live.get("crv")

    @property
    def ids(self):
        """The dispersion model; None before there is one."""
        return self._state.live.get("ids")

    @property
    def calibration(self):
        """The `Calibration` of what is fitted so far; nominal models stand in for the rest.

        A value of its own: what the session does later does not change it. Slits count as
        calibrated only if all three models rest on markers that were placed.
        """
        return self._assembled(self._pull())

    @property
    def journal(self):
        """The path of the session's journal."""
        return self._journal.path

    @property
    def frame(self):
        """The frame on the screen, a CCDData; None before there is one."""
        return self._frame

    @property
    def viewer(self):
        """The `Viewer`; None without. One in the browser shows itself in a notebook."""
        return self._screen.viewer

    @property
    def progress(self):
        """What there is to show of the session, a `Progress`: models, markers, slits, frames."""
        return Progress.of(self._state, self._history, self._frames, self._title)

    @property
    def markers(self):
        """The `Markers` on the screen, a copy, as they are drawn now.

        Set them to a table that was made of it: rows that were moved count as placed, those
        that are missing or unused as deleted, new ones as added; their order does not matter.
        Any other table of markers takes the place of what was there, as placed.

        Raises
        ------
        InputError
            If the table is none of markers of one model, or none of them is used.
        """
        layer = self._pull().layer
        return Markers.join([]) if layer is None else layer.markers.copy()

    @markers.setter
    def markers(self, markers):
        """Take a table made of the markers on the screen: moved, deleted, sorted, added to."""
        state, markers = self._pull(), Markers.checked(markers)
        name = model_of(markers)
        if name is None:
            kinds = ", ".join(sorted(set(markers["kind"].tolist()))) or "none"
            raise InputError(f"markers of kinds {kinds}", "Must be of one model")
        self._check_markers(markers, name)
        layer = state.layer if state.layer and state.layer.model == name else None
        taken = layer and layer.taking(markers)
        if taken is None:
            self._replace_layer(Layer.measured(name, markers, layer and layer.guessed))
        else:
            self._take_edit(taken, "edit")
            self._draw()

    # -- frames -----------------------------------------------------------------------

    def load_image(self, path):
        """Load a frame, or the sum of several, and show it.

        Parameters
        ----------
        path : str, path-like, list of them, or CCDData

        Raises
        ------
        InputError
            If a frame cannot be read, or has another shape than the detector.
        """
        frame = path if isinstance(path, CCDData) else self._frames.read(path)
        if frame.shape != self.instrument.shape:
            raise InputError(
                f"the frame's shape is {frame.shape}", f"Must be {self.instrument.shape}"
            )
        self._pull(strict=False)
        sources = sources_of(frame)
        self._frame, self._title = frame, title_of(frame)
        self._note_sources(sources)
        if isinstance(path, CCDData):
            self._say("the image is no file: a resumed session would begin without it.")
        else:
            paths = path if isinstance(path, (list, tuple)) else [path]
            step = {"path": [Path(p) for p in paths]}
            self._journal.write(call="load_image", args=step, sources=sources)
        if self._screen.alive:
            self._screen.show(frame.data, self._title)
        self._draw()

    def offer_image(self, kind, path):
        """Name a frame that a page offers to show, without reading it.

        Parameters
        ----------
        kind : str
            What it is: ``"flat"``, ``"arc"``, ``"science"``.
        path : str, path-like or list of them
        """
        self._frames.offer(kind, path)

    def _note_sources(self, sources):
        self._sources += [entry for entry in sources if entry not in self._sources]

    # -- OPT --------------------------------------------------------------------------

    def new_opt_model(self, nx, ny):
        """Start an optical model from the nominal values.

        Parameters
        ----------
        nx, ny : int
            Degrees in X and Y.

        Returns
        -------
        OpticalModel
            `fit_opt_model` changes it; its ``flipx()`` and ``flipy()`` mirror the mask.
        """
        state = self._untoured()
        model = nominal_opt(self.instrument, self._mask, (nx, ny))
        return self._start(state, "opt", model, (nx, ny), nx=nx, ny=ny)

    def plot_opt_model(self, edit=False):
        """Draw the slits at the reference wavelength, to be moved onto its line.

        Parameters
        ----------
        edit : bool, optional
            Draw polygons whose corners can be moved, instead of boxes: where there are few
            slits, size and tilt are to be calibrated too.

        Raises
        ------
        InputError
            If there is no optical model.
        """
        state = self._untoured()
        make = predict_corners if edit else predict_boxes
        markers = make(self._model(state, "opt"), self.mask, self.instrument)
        layer = self._inherit(state, "opt", markers)
        self._commit(replace(state, layer=layer), call="plot_opt_model", args={"edit": bool(edit)})

    # -- CRV --------------------------------------------------------------------------

    def new_crv_model(self, n, nx, ny):
        """Start a curvature model: straight.

        Parameters
        ----------
        n : int
            Degree along a trace.
        nx, ny : int
            Degrees over the field.

        Returns
        -------
        CurvatureModel
        """
        state = self._untoured()
        self._model(state, "opt")
        model = nominal_crv(self.instrument, (n, nx, ny))
        return self._start(state, "crv", model, (n, nx, ny), n=n, nx=nx, ny=ny)

    def set_trace_limits(self, blue, red):
        """Say how far traces are followed from the reference wavelength; else, over the frame.

        Parameters
        ----------
        blue, red : float
            px towards the blue and towards the red, not below 0.

        Raises
        ------
        InputError
            If they are no such numbers.
        """
        try:
            limits = tuple(float(u.Quantity(v, u.pix).value) for v in (blue, red))
        except (TypeError, ValueError) as error:
            raise InputError(f"invalid trace limits {blue!r}, {red!r}", "Must be px") from error
        if not (np.all(np.isfinite(limits)) and min(limits) >= 0 and max(limits) > 0):
            allowed = "Must be px, not below 0, and not both 0"
            raise InputError(f"invalid trace limits {blue}, {red}", allowed)
        state = replace(self._pull(), limits=limits)
        self._commit(
            state, draw=False, call="set_trace_limits", args=dict(zip(("blue", "red"), limits,
                                                                     strict=True)),
        )  # fmt: skip

    def plot_crv_model(self, n, pos=0):
        """Draw points of the traces of all slits, to be moved onto the edges of the spectra.

        Parameters
        ----------
        n : int
            Points a trace.
        pos : float or tuple of float, optional
            Where in the slits, from 0, the left edge, to 1, the right; see the conventions.

        Raises
        ------
        InputError
            If `n` or `pos` cannot be, or no trace falls on the detector.
        """
        n = check_count(n, "number of points")
        try:
            ts = np.atleast_1d(np.asarray(pos, dtype=float))
        except (TypeError, ValueError):
            ts = np.array([np.nan])
        if ts.ndim != 1 or not ts.size or not np.all((ts >= 0) & (ts <= 1)):
            raise InputError(f"invalid pos {pos!r}", "Must be a number, or a tuple, in [0, 1]")
        state = self._untoured()
        models = [self._model(state, name) for name in ("opt", "crv")]
        markers = predict_edges(*models, self.mask, self.instrument, n, ts.tolist(), state.limits)
        if not len(markers):
            raise InputError(
                "no trace falls on the detector", "", "Check the flips and the fit of OPT"
            )
        layer = self._inherit(state, "crv", markers)
        self._commit(
            replace(state, layer=layer), call="plot_crv_model",
            args={"n": n, "pos": ts.tolist()},
        )  # fmt: skip

    # -- IDS --------------------------------------------------------------------------

    def new_ids_model(self, n, nx, ny):
        """Start a dispersion model: the nominal linear dispersion.

        Parameters
        ----------
        n : int
            Degree in wavelength, at least 1.
        nx, ny : int
            Degrees over the field.

        Returns
        -------
        DispersionModel
        """
        state = self._untoured()
        self._model(state, "opt")
        if n == 0:
            raise InputError("IDS of degree 0 in wavelength", "Must be at least 1")
        model = nominal_ids(self.instrument, (n, nx, ny))
        return self._start(state, "ids", model, (n, nx, ny), n=n, nx=nx, ny=ny)

    def plot_ids_model(self, catalog, wstart=None, wend=None, nsplit=1):
        """Draw the lines of a catalogue as arrows whose heads are to be moved onto the lines.

        Parameters
        ----------
        catalog : str, path-like, list of them, or LineCatalog
            A file, or the name of a catalogue that ships.
        wstart, wend : float or Quantity, optional
            Only lines between them are drawn; Angstrom.
        nsplit : int, optional
            Into how many pieces a slit is divided, with each line in each.

        Raises
        ------
        InputError
            If the catalogue cannot be read or is in another medium than a fitted IDS, or no
            line falls on the detector.
        """
        nsplit = check_count(nsplit, "nsplit")
        state = self._untoured()
        chosen = self._catalog(catalog, wstart, wend)
        markers = predict_lines(
            *(self._model(state, name) for name in MODELS), self.mask, self.instrument, chosen,
            nsplit,
        )  # fmt: skip
        layer = self._inherit(state, "ids", markers)
        new = replace(state, layer=layer, catalog=chosen, medium=chosen.medium, nsplit=nsplit)
        self._commit(new, call="plot_ids_model", args={"catalog": chosen, "nsplit": nsplit})

    # -- back and forth, region files ---------------------------------------------------

    def undo(self):
        """Go back one step: an edit in the viewer, a fit, whatever came last."""
        self._step(-1, "undo")

    def redo(self):
        """Take back an undo."""
        self._step(1, "redo")

    def _step(self, by, call):
        self._pull(strict=False)
        if not self._history.step(by):
            self._say(f"nothing to {call}.")
            return
        self._commit(self._state, call=call, args={})

    def read_regions(self, path):
        """Replace the markers by those of a region file.

        Shapes that bear no tags of ours are matched by their places to what the models
        expect; what is doubtful is listed and left out.

        Parameters
        ----------
        path : str, path-like, or list of them
            Boxes or polygons (OPT), points (CRV), or vectors (IDS).

        Raises
        ------
        InputError
            If a file cannot be read, names a slit that the mask lacks, has shapes of several
            models or none, or lines in another medium; the markers stay as they are.
        """
        state = self._pull()
        paths = path if isinstance(path, (list, tuple)) else [path]
        shapes = [s for p in paths for s in self._shapes_of(p)]
        drawn = [shape for shape in shapes if not (shape.fixed or shape.kind == "text")]
        name = _model_of_shapes(drawn, paths)
        edited = markers_from_shapes(drawn)
        notes, tables = list(edited.notes), [edited.markers]
        if edited.untagged:
            found = self._matched(state, name, edited.untagged)
            notes += found.notes
            tables.append(found.markers)
        markers = Markers.join(tables)
        medium = _medium_of(drawn)
        if medium is not None:
            self._check_medium(medium, f"{paths[0]}")
        if state.tour is not None:
            other = set(markers["slit"]) - {state.tour.slit}
            if other:
                notes.append(f"only slit {state.tour.slit} is at hand: others are passed over.")
            markers = markers.select(slit=state.tour.slit)
        for note in notes:
            self._say(note)
        self._check_markers(markers, name)
        guessed = (
            np.array([shape.points[-1] for shape in edited.untagged]) if edited.untagged else None
        )
        self._replace_layer(Layer.measured(name, markers, guessed), medium)

    def _shapes_of(self, path):
        shapes = read_regions(path)
        check_slits(shapes, list(self._mask), source=path)
        return shapes

    def _matched(self, state, name, shapes):
        layer = state.layer
        if layer is None or layer.model != name:
            kind = {"opt": "box", "crv": "edge", "ids": "line"}[name]
            if name == "opt" and all(shape.kind == "polygon" for shape in shapes):
                kind = "polygon"
            layer = Layer.predicted(name, Markers.of(kind, "", [0.0], [0.0], [0.0]))
        size = (self.instrument.xpixels, self.instrument.ypixels)
        return match_shapes(shapes, self._predicted(layer), direction=self._direction, size=size)

    def write_regions(self, path, overwrite=False):
        """Write the markers to a region file, where they were placed, for a session or DS9.

        Parameters
        ----------
        path : str or path-like
        overwrite : bool, optional
            Whether an existing file may be replaced.

        Raises
        ------
        InputError
            If there are no markers, or the file exists or cannot be written.
        """
        layer = self._pull().layer
        if layer is None:
            raise InputError("there are no markers", "", "Plot a model first")
        markers = layer.for_fit(self.instrument.shape)
        shapes = self._shapes(Layer.measured(layer.model, markers))
        if layer.model == "ids" and self._state.medium is not None:
            tag = {"medium": self._state.medium}
            shapes = [replace(shape, tags={**shape.tags, **tag}) for shape in shapes]
        write_regions(path, shapes, overwrite=overwrite)

    def show(self):
        """Draw image and markers anew; a viewer that has gone, or was not there, is opened."""
        self._pull(strict=False)
        self._screen.show_again(self._image(), self._title)
        self._draw()

    def close(self):
        """Close the viewer. Nothing is lost: the session goes on without, `resume` anew."""
        self._pull(strict=False)
        self._screen.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        state = self._state
        made = ", ".join(
            f"{name.upper()} {fit.model.degrees} {fit.origin}" for name, fit in state.fits.items()
        )
        layer = state.layer
        shown = f"{len(layer)} markers of {layer.model.upper()}" if layer else "no markers"
        return f"<ModelsCalibration {self.instrument.name}: {made or 'no models'}; {shown}>"

    def _start(self, state, name, model, degrees, **args):
        """Go on with a new model; the markers on the screen stay, to be fitted again."""
        fitted = {other: layer for other, layer in state.fitted.items() if other != name}
        new = replace(
            state,
            fits={**state.fits, name: ModelFit.unfitted(model, "nominal")},
            live={**state.live, name: model.copy()},
            degrees={**state.degrees, name: degrees},
            fitted=fitted,
        )
        self._commit(new, call=f"new_{name}_model", args=args)
        return self._state.live[name]


def _medium_of(shapes):
    """Return what lines of a region file say of their medium; None where they say nothing."""
    media = {shape.tags["medium"] for shape in shapes if "medium" in shape.tags}
    if len(media) > 1:
        raise InputError(f"lines in {' and '.join(sorted(media))}", "Must be in one medium")
    return media.pop() if media else None


def _model_of_shapes(shapes, paths):
    own = {"box": "opt", "polygon": "opt", "point": "crv", "vector": "ids"}
    names = sorted({own[shape.kind] for shape in shapes if not shape.excluded})
    file = ", ".join(map(str, paths))
    if not names:
        raise InputError("0 shapes are left: the models are unchanged", file=file)
    if len(names) > 1:
        raise InputError(
            f"shapes for {' and '.join(n.upper() for n in names)}",
            "Must be of one model: boxes or polygons, points, or vectors",
            "Read them one after the other",
            file=file,
        )
    if {"box", "polygon"} <= {shape.kind for shape in shapes}:
        raise InputError("boxes and polygons", "Must be of one kind", file=file)
    return names[0]
