"""What moves the models: fits to the markers on the screen, and measurements for the eye."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from specwcs.calibration import (
    MODELS,
    ModelFit,
    ModelFitter,
    arc_lines,
    derive_boxes,
    edge_markers,
    frame_traces,
    identified,
    loose_ends,
    model_traces,
    predict_lines,
)
from specwcs.errors import FitError, InputError
from specwcs.inputs import Mask
from specwcs.markers import Markers
from specwcs.models import SlitGeometry
from specwcs.regions import Shape, check_order, match_shapes

from .core import SessionCore
from .cut import slit_cut
from .layer import Layer
from .summary import summarise

__all__ = ["SessionFits"]

_SAID = 5  # sentences on the order of markers
_MOST_ODD = 0.1  # of shapes matched by their places: where more do not fit, the match is wrong
_NO_HAND = 5.0  # px, rms: no hand is that bad
_MATCHINGS = 5  # at most
_FAR = 3.0  # px: lines that have passed each other by less may be a close pair
_COLORS = ("green", "yellow", "red")
_WORST = 5  # slits that are listed
_SWAPPED = "has changed places with another"


class SessionFits(SessionCore):
    """The fits and measurements of a session; see `ModelsCalibration`."""

    # -- fits ------------------------------------------------------------------------

    def fit_opt_model(self):
        """Fit OPT to the boxes or polygons as they stand now.

        A slit whose region was deleted drops out. CRV and IDS, where they were fitted, are
        fitted again on the new OPT.

        Returns
        -------
        FitSummary
            It is printed, too.

        Raises
        ------
        FitError
            If the markers do not determine OPT; it says which degrees they allow.
        InputError
            If no marker is left. The model is unchanged then, as it is after any error.
        """
        state = self._pull()
        self._model(state, "opt")
        layer = self._layer(state, "opt")
        if (known := self._unchanged(state, layer)) is not None:
            return known
        markers, notes = self._ordered(layer, "opt")
        used = markers[np.asarray(markers["used"])]
        flips = self._flips_of(used, self._flips(state))
        if flips != self._flips(state):
            notes.append("The markers stand mirrored: OPT is flipped accordingly.")
        try:
            with _one_thread():
                fit = self._fitter(state, flips).fit_opt(used, flips)
        except FitError as error:
            raise FitError(f"{error} {_opt_remedy(used)}".rstrip()) from error
        return self._take_fit(state, layer, fit, notes, call="fit_opt_model", args={})

    def fit_crv_model(self):
        """Fit CRV to the points of traces as they stand now; those left are used.

        IDS, where it was fitted, is fitted again on it.

        Returns
        -------
        FitSummary
            It is printed, too.

        Raises
        ------
        FitError, InputError
            As `fit_opt_model`.
        """
        state = self._pull()
        opt = self._model(state, "opt")
        self._need(state, "crv")
        layer = self._layer(state, "crv")
        if (known := self._unchanged(state, layer)) is not None:
            return known
        markers, notes = self._ordered(layer, "crv")
        with _one_thread():
            fit = self._fitter(state).fit_crv(opt, markers[np.asarray(markers["used"])])
        return self._take_fit(state, layer, fit, notes, call="fit_crv_model", args={})

    def fit_ids_model(self):
        """Fit IDS to the heads of the arrows as they stand now, and draw them anew.

        Slit by slit, only the slit at hand is fitted.

        Returns
        -------
        FitSummary
            It is printed, too.

        Raises
        ------
        FitError, InputError
            As `fit_opt_model`; also if shapes without tags were matched to lines that no model
            holds.
        """
        state = self._pull()
        self._need(state, "ids")
        layer = self._layer(state, "ids")
        if state.tour is None:
            known = self._unchanged(state, layer)
            if known is None:
                known = self._fit_lines(state, layer, call="fit_ids_model", args={})
            return known
        solution, summary = self._fit_slit(state, layer)
        layer = self._redrawn(state, layer, solution)
        tour = state.tour.keep(layer, solution)
        self._commit(replace(state, tour=tour, layer=layer), call="fit_ids_model", args={})
        self._say(str(summary))
        return summary

    def _fit_lines(self, state, layer, **step):
        """Fit IDS to the lines of all slits, and draw them where it has them.

        Shapes without tags are matched again by the model that they gave, until that changes
        no more.
        """
        fit, notes = self._fit_ids(state, layer)
        for _ in range(_MATCHINGS if layer.guessed is not None and state.catalog else 0):
            better = self._matched_again(state, layer, fit.model)
            if len(better) == len(layer) and not layer.differs_from(better.markers):
                break
            layer = better
            fit, notes = self._fit_ids(state, layer)
        return self._take_fit(state, layer, fit, notes, **step)

    def _fit_ids(self, state, layer):
        markers, notes = self._ordered(layer, "ids")
        opt, crv = (self._model(state, name) for name in ("opt", "crv"))
        with _one_thread():
            return self._fitter(state).fit_ids(
                opt, crv, markers[np.asarray(markers["used"])]
            ), notes

    def _matched_again(self, state, layer, ids):
        """Return the layer with shapes that bore no tags matched to where `ids` has the lines."""
        models = [self._model(state, name) for name in ("opt", "crv")]
        expected = predict_lines(
            *models, ids, self.mask, self.instrument, state.catalog, state.nsplit
        )
        blue = self._direction.join(-self._direction.sign, 0.0)
        vectors = [
            Shape("vector", ((x + blue[0], y + blue[1]), (x, y))) for x, y in layer.guessed.tolist()
        ]
        size = (self.instrument.xpixels, self.instrument.ypixels)
        found = match_shapes(vectors, expected, direction=self._direction, size=size)
        places = set(map(tuple, layer.guessed.tolist()))
        here = zip(*(layer.markers[name].value.tolist() for name in "xy"), strict=True)
        tagged = np.array([xy not in places for xy in here], dtype=bool)
        markers = Markers.join([layer.markers[tagged], found.markers])
        return Layer.measured("ids", markers, layer.guessed)

    def _fit_slit(self, state, layer):
        """Fit the lines of the slit at hand alone."""
        markers, notes = self._ordered(layer, "ids")
        opt, crv = (self._model(state, name) for name in ("opt", "crv"))
        mask, local = self.mask, state.degrees.get("ids", (3, 0, 0))[0]
        degrees = {"opt": (0, 0), "crv": (0, 0, 0), "ids": (local, 0, 0)}
        fitter = ModelFitter(self.instrument, mask, degrees, by_hand=False)
        try:
            with _one_thread():
                fit = fitter.fit_ids(opt, crv, markers[np.asarray(markers["used"])])
        except FitError as error:
            raise FitError(
                f"slit {state.tour.slit}: {error} Go on without it by next(fit=False)."
            ) from error
        slopes = self._slopes(opt, crv, fit.model, fit.residuals)
        return fit.model, summarise(fit, layer, slope=slopes, also=notes)

    def _unchanged(self, state, layer):
        """Return the summary of the last fit if no marker was placed since; else None.

        Markers that a fitted model drew are no data: fitting them would find it perfect.
        """
        fit = state.fits.get(layer.model)
        if fit is None or fit.origin == "nominal" or layer.n_placed:
            return None
        summary = state.summaries.get(layer.model)
        if summary is None:
            raise InputError(
                f"no marker of {layer.model.upper()} was placed: the model put them all there",
                "", "Move or delete some first",
            )  # fmt: skip
        self._say("no marker was placed since the model drew them: the fit stays as it is.")
        self._say(str(summary))
        return summary

    def _take_fit(self, state, layer, fit, notes, **step):
        """Go on with a new fit, and with the later models fitted anew on it."""
        name = fit.model_name
        if layer.guessed is not None:
            _check_guess(fit)
        if layer.n_untouched > 0.5 * np.sum(fit.residuals["used"]):
            fit = replace(fit.unfitted(fit.model, "untested"), residuals=fit.residuals,
                          ranks=fit.ranks, notes=fit.notes)  # fmt: skip
        new = replace(
            state,
            fits={**state.fits, name: fit},
            fitted={**state.fitted, name: layer},
            layer=layer if name != "ids" else self._redrawn(state, layer, fit.model),
            medium=state.medium or "air",
        )
        notes += self._follow_all(state, new, name)
        if self._flips(new) != self._flips(state) and layer.model != "opt":
            notes += ["Plot the markers again."]
        slope = None
        if name == "ids":
            models = [self._model(new, other) for other in MODELS]
            slope = self._slopes(*models, fit.residuals)
            notes += self._open_ends(new)
        summary = summarise(fit, layer, slope=slope, also=notes)
        new = replace(new, summaries={**new.summaries, name: summary})
        self._commit(new, draw=name == "ids", **step)
        self._say(str(summary))
        return summary

    def _follow_all(self, state, new, name):
        """Bring the models after one that changed up to date, in place; say what was done."""
        notes = []
        for later in MODELS[MODELS.index(name) + 1 :]:
            notes += self._follow(state, new.fits, later)
        return notes

    def _open_ends(self, state):
        """Say which slits the lines leave open at their ends."""
        loose = loose_ends(self.mask, state.fits, state.fits["ids"].residuals)
        if not loose:
            return []
        worst, names = max(loose.values()), ", ".join(list(loose)[:_SAID])
        more = " …" if len(loose) > _SAID else ""
        return [
            f"Wavelengths at the ends of slits {names}{more} stay open (1 sigma up to "
            f"{worst:.1f} px): mark lines at several places of each slit (nsplit=3), or lower "
            "the degrees."
        ]

    def _follow(self, state, fits, later):
        """Fit a later model to its own markers again, in place; return sentences about it."""
        old, label = fits.get(later), later.upper()
        if old is None or old.origin in ("nominal", "stale"):
            return []
        if not _same_markers(old, state.fits.get(later)):
            return []  # it has changed itself
        refitted = self._refitted(state, fits, later)
        if refitted is None:
            stale = ModelFit.unfitted(old.model, "stale")
            fits[later] = replace(stale, residuals=old.residuals, ranks=old.ranks)
            return [f"{label} was fitted to what came before: fit it again."]
        fits[later] = refitted
        return [f"{label} is fitted again on it."]

    def _refitted(self, state, fits, later):
        """Return the fit of a model to its last markers on new models; None if impossible."""
        old, before = fits[later], [fits[name].model for name in MODELS if name in fits]
        flips = (before[0].x_flipped, before[0].y_flipped)
        if old.residuals is None or flips != self._flips(state):
            return None
        known = Markers(old.residuals)
        known.remove_column("residual")
        fitter = self._fitter(state)
        crv = fits["crv"].model if "crv" in fits else self._model(state, "crv")
        try:
            with _one_thread():
                if later == "crv":
                    return fitter.fit_crv(before[0], known)
                return fitter.fit_ids(before[0], crv, known)
        except FitError:
            return None

    def _ordered(self, layer, name):
        """Return the markers for a fit, without those that changed places, and what to say."""
        markers = layer.for_fit(self.instrument.shape)
        self._check_markers(markers, name)
        notes, bad = [], np.zeros(len(markers), dtype=bool)
        along = self._direction.split(markers["x"].value, markers["y"].value)[0]
        expected = Markers.join([]) if name == "ids" else self._predicted(layer)
        clashes = []
        for rows, sentence in check_order(markers, expected, self._direction):
            if name == "ids":
                if np.abs(along[rows[0]] - along[rows[1:]]).max() < _FAR:
                    continue
            else:
                clashes.append(rows)
            notes.append(sentence)
        bad[_to_drop(clashes)] = True
        if np.any(bad):
            markers["used"] = np.asarray(markers["used"]) & ~bad
            markers["reason"] = np.where(bad, _SWAPPED, markers["reason"]).astype(str)
            if not np.any(markers["used"]):
                raise InputError(" ".join(notes[:_SAID]))
        if len(notes) > _SAID:
            notes = [*notes[:_SAID], f"… and {len(notes) - _SAID} more like these."]
        return markers, notes

    def _flips_of(self, boxes, flips):
        """Tell from where slits stand whether the mask is mirrored; if they do not, as it is."""
        mask = self._oriented(flips)
        centre = {
            key: np.mean([boxes[c].value[np.asarray(boxes["slit"] == key)] for c in "xy"], axis=1)
            for key in np.unique(boxes["slit"])
        }
        if len(centre) < 2:
            return flips
        mm = np.array([np.transpose(mask[str(key)].curve(0.5)) for key in centre])
        px = np.array(list(centre.values()))
        mm, px = mm - mm.mean(axis=0), px - px.mean(axis=0)
        found = []
        for axis in (0, 1):
            spread = np.hypot(*mm.T).max()
            if np.ptp(mm[:, axis]) < 0.02 * spread:  # no lever
                found.append(flips[axis])
                continue
            found.append(bool(np.sum(mm[:, axis] * px[:, axis]) < 0))
        return tuple(found)

    def _redrawn(self, state, layer, ids):
        """Return a layer of lines drawn where a dispersion model has them."""
        opt, crv = (self._model(state, name) for name in ("opt", "crv"))
        slits, x, y = np.asarray(layer.markers["slit"]), *np.full((2, len(layer)), np.nan)
        t, w = np.asarray(layer.markers["t"]), layer.markers["wavelength"].value
        for key in np.unique(slits):
            mine = slits == key
            geometry = SlitGeometry.from_models(opt, crv, ids, self.mask[key], self._direction)
            x[mine], y[mine] = geometry.pixel(w[mine], t[mine])
        return layer.moved_to(x, y)

    def _slopes(self, opt, crv, ids, lines):
        """Return px per Angstrom at lines."""
        slopes = np.full(len(lines), np.nan)
        for key in np.unique(lines["slit"]):
            mine = np.asarray(lines["slit"] == key)
            geometry = SlitGeometry.from_models(opt, crv, ids, self.mask[key], self._direction)
            slopes[mine] = geometry.dispersion.slope(
                lines["wavelength"].value[mine], np.asarray(lines["t"])[mine]
            )
        return slopes

    def _need(self, state, name):
        if name not in state.fits:
            raise InputError(
                f"there is no {name.upper()} model", "", f"Call new_{name}_model(…) first"
            )

    # -- measurements --------------------------------------------------------------------

    def measure_opt(self, catalog=None):
        """Measure where the slits fall at the reference wavelength, and show it as boxes.

        The lines of the arc on the screen are identified with no hand, and moved to the
        reference wavelength; no bright isolated line is needed there.

        Parameters
        ----------
        catalog : str, path-like, list of them, or LineCatalog, optional
            Of the lamps; by default the lines that were plotted last.

        Raises
        ------
        FitError
            If neither slits nor lines can be told on the frame.
        InputError
            If there is no image, or no catalogue.
        """
        state, frame = self._untoured(), self._need_frame("an arc")
        self._model(state, "opt")
        lines_of = self._lamp(state, catalog)
        candidates, _ = frame_traces(None, frame, self._mask, self.instrument)
        traces, found = identified(candidates, frame, self.instrument, lines_of)
        lines = arc_lines(frame, traces, found, lines_of, self.instrument)
        edges = edge_markers(traces, self.instrument)
        flips = (found.flip_u, traces.flip_v)
        flips = flips if self._direction.along_x else flips[::-1]
        degrees = dict.fromkeys(MODELS, "auto")
        fitter = ModelFitter(self.instrument, self._oriented(flips), degrees, by_hand=False)
        with _one_thread():
            boxes, _ = derive_boxes(fitter, lines.select(used=True), _shown(edges, edges))
        self._show_measured("opt", _one_a_slit(boxes), flips, lines_of)

    def measure_crv(self):
        """Measure the edges of all slits on the flat on the screen, and show them as points.

        Raises
        ------
        FitError
            If the slits cannot be found on the frame, or only with the mask mirrored.
        InputError
            If there is no image.
        """
        state, frame = self._untoured(), self._need_frame("a flat")
        self._model(state, "opt")
        candidates, _ = frame_traces(frame, frame, self._mask, self.instrument)
        flips = self._flips(state)
        flip_v = flips[1 if self._direction.along_x else 0]
        traces = next((t for t in candidates if t.flip_v == flip_v), None)
        if traces is None:
            axis = "y" if self._direction.along_x else "x"
            raise FitError(
                "the edges on this frame fit the mask only if it is mirrored: call "
                f"opt.flip{axis}(), fit OPT, and measure again."
            )
        edges = edge_markers(traces, self.instrument)
        self._show_measured("crv", _shown(edges, edges), flips)

    def measure_ids(self, catalog=None):
        """Measure the lines of the arc on the screen along the traces, and show them.

        Parameters
        ----------
        catalog : str, path-like, list of them, or LineCatalog, optional
            Of the lamps; by default the lines that were plotted last.

        Raises
        ------
        FitError
            If the lines cannot be identified along the traces of OPT and CRV.
        InputError
            If there is no image, or no catalogue.
        """
        state, frame = self._untoured(), self._need_frame("an arc")
        opt, crv = (self._model(state, name) for name in ("opt", "crv"))
        lines_of = self._lamp(state, catalog)
        traces = model_traces(opt, crv, self.mask, self.instrument)
        traces, found = identified([traces], frame, self.instrument, lines_of)
        lines = arc_lines(frame, traces, found, lines_of, self.instrument)
        self._show_measured("ids", lines.select(used=True), self._flips(state), lines_of)

    def _show_measured(self, name, markers, flips, catalog=None):
        if not len(markers):
            raise FitError(f"{name.upper()}: nothing was measured on this frame.")
        state = self._state
        if flips != self._flips(state):
            self._state.live["opt"].x_flipped, self._state.live["opt"].y_flipped = flips
            self._take_models()
            self._say("OPT is flipped as the frame shows it.")
        medium = None if catalog is None else catalog.medium
        self._replace_layer(Layer.measured(name, markers), medium, catalog)
        self._say(f"{len(markers)} markers of {name.upper()} measured: look, correct, and fit.")

    def _lamp(self, state, catalog):
        if catalog is None:
            if state.catalog is None:
                raise InputError(
                    "the lamp is not known", "", "Give the catalogue, as to plot_ids_model"
                )
            return state.catalog
        return self._catalog(catalog, None, None)

    def _need_frame(self, what="a frame"):
        if self._frame is None:
            raise InputError("there is no image", "", f"Call load_image with {what} first")
        return self._frame

    # -- looking ------------------------------------------------------------------------

    def plot_slice(self, slit_id):
        """Draw the spectrum along a slit, with the lines of the catalogue named on it.

        Parameters
        ----------
        slit_id : str

        Returns
        -------
        matplotlib.figure.Figure
            With a pixel axis and, where there is an IDS model, one of wavelengths.

        Raises
        ------
        InputError
            If there is no image, or no such slit.
        """
        from specwcs.report import slice_figure

        state, frame = self._pull(), self._need_frame()
        mask = self.mask
        slit_id = str(slit_id)
        if slit_id not in mask:
            raise InputError(f"unknown slit {slit_id!r}", f"Must be one of {', '.join(mask)}")
        models = [self._model(state, name) for name in MODELS]
        if state.tour is not None and slit_id in state.tour.order:
            known = state.tour
            models[2] = known.solved.get(slit_id, known.carried[slit_id])
        geometry = SlitGeometry.from_models(*models, mask[slit_id], self._direction)
        cut = slit_cut(frame, geometry, self._direction)
        lines = None
        if state.catalog is not None and not mask[slit_id].reference:
            with suppress(InputError):  # none falls on the frame
                one = Mask([mask[slit_id]])
                lines = predict_lines(*models, one, self.instrument, state.catalog)
        labels = [] if lines is None else self._labels(state.catalog, lines)
        return slice_figure(cut, slit_id, lines, labels, state.medium or "air", self._title)

    def _labels(self, catalog, lines):
        by_wavelength = dict(zip(catalog.wavelength.tolist(), catalog.label.tolist(), strict=True))
        return [by_wavelength.get(w, "") for w in lines["wavelength"].value.tolist()]

    def plot_residuals(self, model=None):
        """Draw the residuals of a fit: on the frame, coloured by size, and as a figure.

        Parameters
        ----------
        model : {"opt", "crv", "ids"}, optional
            By default the last that was fitted.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        InputError
            If the model was not fitted.
        """
        from specwcs.report import residual_figure

        state = self._pull()
        fitted = [name for name in MODELS if getattr(state.fits.get(name), "residuals", None)]
        name = model or (fitted[-1] if fitted else None)
        if name not in fitted:
            raise InputError("there are no residuals", "", "Fit a model first")
        table = state.fits[name].residuals
        if self._screen.alive and self._frame is not None and state.tour is None:
            self._screen.show_only(_residual_shapes(table))
        worst = _worst_slits(table)
        self._say("worst slits: " + ", ".join(f"{k} {rms:.2f} px" for k, rms in worst))
        return residual_figure(table, name, self.instrument.shape, worst)


def _one_thread():
    # The matrices are small: more than one BLAS thread only waits for the other.
    return threadpool_limits(limits=1, user_api="blas")


def _check_guess(fit):
    """Refuse a fit that shapes contradict: they were taken for other markers than they are."""
    used = np.asarray(fit.residuals["used"])
    rms = np.sqrt(np.mean(fit.residuals["residual"].value[used] ** 2))
    odd = int(np.sum(~used))
    wild = rms > _NO_HAND and fit.model_name != "opt"  # of low degree, OPT says little
    if odd > _MOST_ODD * len(used) or wild:
        msg = (
            f"{fit.model_name.upper()}: the shapes of the file were matched by their places, but "
            f"{odd} of {len(used)} contradict the others, which scatter by {rms:.2f} px. Label "
            "them with the slit's id or the wavelength, or save them from a session."
        )
        raise FitError(msg)


def _to_drop(clashes):
    """Return the rows without which no markers have changed places: the most entangled first.

    Of two that changed places with each other, both go.
    """
    pairs = {(int(rows[0]), int(other)) for rows in clashes for other in rows[1:]}
    drop = set()
    while pairs:
        rows, count = np.unique([row for pair in pairs for row in pair], return_counts=True)
        most = set(rows[count == count.max()].tolist())
        if count.max() > 1:
            most = {min(most)}
        drop |= most
        pairs = {pair for pair in pairs if not drop & set(pair)}
    return sorted(drop)


def _same_markers(one, other):
    return other is not None and one.residuals is other.residuals


def _opt_remedy(used):
    if "polygon" in used["kind"]:
        return ""
    return "With plot_opt_model(edit=True) each slit gives four corners instead of one box."


def _shown(edges, default):
    """Return the edges in use; where a frame shows none, those that were laid out."""
    used = edges.select(used=True)
    return used if len(used) else default


def _one_a_slit(boxes):
    """Return one box a slit, in its middle, of boxes at several places along it."""
    rows = []
    for key in np.unique(boxes["slit"]):
        mine = boxes.select(slit=key)
        t, sigma = np.asarray(mine["t"]), mine["sigma"].value
        degree = 1 if np.ptp(t) > 0.2 else 0
        at = [
            np.polynomial.Polynomial.fit(t, mine[c].value, degree, w=1 / sigma, domain=[0, 1])(0.5)
            for c in "xy"
        ]
        error = 1 / np.sqrt(np.sum(sigma**-2.0))
        wavelength = mine["wavelength"].value[0]
        rows.append(Markers.of("box", key, [0.5], *at, wavelength=wavelength, sigma=error))
    return Markers.join(rows)


def _residual_shapes(table):
    """Return a point for each marker of a fit, green, yellow or red by its residual."""
    used, size = np.asarray(table["used"]), np.abs(table["residual"].value)
    rms = np.sqrt(np.mean(size[used] ** 2)) if used.any() else 1.0
    grade = np.where(used, np.digitize(size, [rms, 2 * rms]), 2)
    return [
        Shape("point", ((x, y),), color=_COLORS[g])
        for x, y, g in zip(table["x"].value.tolist(), table["y"].value.tolist(),
                           grade.tolist(), strict=True)
    ]  # fmt: skip


def _worst_slits(table):
    """Return ids and rms (px) of the slits whose markers scatter most."""
    used = table[np.asarray(table["used"])]
    rms = {
        str(key): float(np.sqrt(np.mean(used["residual"].value[used["slit"] == key] ** 2)))
        for key in np.unique(used["slit"])
    }
    return sorted(rms.items(), key=lambda item: -item[1])[:_WORST]
