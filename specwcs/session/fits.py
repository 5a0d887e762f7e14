"""What moves the models: fits to the markers on the screen."""

from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from specwcs.calibration import (
    MODELS,
    ModelFit,
    ModelFitter,
    dispersion_at,
    loose_ends,
    predict_lines,
)
from specwcs.errors import FitError, InputError
from specwcs.markers import Markers
from specwcs.models import SlitGeometry
from specwcs.regions import Shape, check_order, match_shapes

from .core import SessionCore
from .layer import Layer
from .summary import summarise

__all__ = ["SessionFits", "one_thread"]

_SAID = 5  # sentences on the order of markers
_MOST_ODD = 0.1  # of shapes matched by their places: where more do not fit, the match is wrong
_NO_HAND = 5.0  # px, rms: no hand is that bad
_MATCHINGS = 5  # at most
_FAR = 3.0  # px: lines that have passed each other by less may be a close pair
_SWAPPED = "has changed places with another"


class SessionFits(SessionCore):
    """The fits of a session; see `ModelsCalibration`."""

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
        fit, notes = self._fit_opt(state, layer)
        return self._take_fit(state, layer, fit, notes, call="fit_opt_model", args={})

    def _fit_opt(self, state, layer):
        markers, notes = self._ordered(layer, "opt")
        used = markers[np.asarray(markers["used"])]
        flips = self._flips_of(used, self._flips(state))
        if flips != self._flips(state):
            notes.append("The markers stand mirrored: OPT is flipped accordingly.")
        try:
            with one_thread():
                return self._fitter(state, flips).fit_opt(used, flips), notes
        except FitError as error:
            raise FitError(f"{error} {_opt_remedy(used)}".rstrip()) from error

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
        self._model(state, "opt")
        self._need(state, "crv")
        layer = self._layer(state, "crv")
        if (known := self._unchanged(state, layer)) is not None:
            return known
        fit, notes = self._fit_crv(state, layer)
        return self._take_fit(state, layer, fit, notes, call="fit_crv_model", args={})

    def _fit_crv(self, state, layer):
        markers, notes = self._ordered(layer, "crv")
        with one_thread():
            used = markers[np.asarray(markers["used"])]
            return self._fitter(state).fit_crv(self._model(state, "opt"), used), notes

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
        local = state.fits["crv"].local if "crv" in state.fits else None
        with one_thread():
            fit = self._fitter(state).fit_ids(opt, crv, markers[np.asarray(markers["used"])], local)
        return fit, notes

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

    # -- before and beside a fit ---------------------------------------------------------

    def preview(self):
        """Fit the markers as they stand, and change nothing.

        Returns
        -------
        ModelFit or None
            As a fit of their model would give it; None where no marker was placed, deleted or
            added since the model drew them.

        Raises
        ------
        FitError, InputError
            As the fit.
        """
        state = self._pull()
        layer = state.layer
        if layer is None or not layer.n_placed:
            return None
        return self._attempt(state, layer)[0]

    def advise(self):
        """Choose the degrees of the model whose markers are shown by cross-validation.

        Parts of the markers are left out, and predicted from the rest.

        Returns
        -------
        degrees : tuple of int
        reason : str
            A sentence with the errors of the predictions.

        Raises
        ------
        FitError, InputError
            As the fit; also if no marker was placed.
        """
        state = self._untoured()
        layer = state.layer
        if layer is None or not layer.n_placed:
            raise InputError("no marker was placed", "", "Move or measure some first")
        fit, _ = self._attempt(state, layer, "auto")
        reasons = [note for note in fit.notes if "left out" in note]
        return tuple(fit.model.degrees), " ".join(reasons[:1])

    def refit(self, *degrees):
        """Fit the model whose markers are shown with other degrees, from now on.

        Parameters
        ----------
        *degrees : int
            Two of OPT, three of CRV and IDS.

        Returns
        -------
        FitSummary
            It is printed, too.

        Raises
        ------
        FitError, InputError
            As the fit; the model and its degrees are unchanged then.
        """
        state = self._untoured()
        if state.layer is None:
            raise InputError("there are no markers", "", "Plot a model first")
        name = state.layer.model
        self._need(state, name)
        layer = state.layer.inheriting(state.fitted.get(name), self._direction)
        if not layer.n_placed:
            raise InputError("no marker was placed", "", "Move or measure some first")
        fit, notes = self._attempt(state, layer, degrees)
        new = replace(state, degrees={**state.degrees, name: degrees})
        return self._take_fit(new, layer, fit, notes, call="refit", args={"degrees": degrees})

    def _attempt(self, state, layer, degrees=None):
        """Fit a layer's markers; return the fit and sentences about it."""
        name = layer.model
        if state.tour is not None:
            return self._fit_alone(state, layer)
        self._need(state, name)
        if degrees is not None:
            state = replace(state, degrees={**state.degrees, name: degrees})
        fit = {"opt": self._fit_opt, "crv": self._fit_crv, "ids": self._fit_ids}[name]
        return fit(state, layer)

    def _fit_slit(self, state, layer):
        """Fit the lines of the slit at hand alone."""
        fit, notes = self._fit_alone(state, layer)
        where = (self.mask, self._direction, fit.residuals)
        opt, crv = (self._model(state, name) for name in ("opt", "crv"))
        slopes = dispersion_at(opt, crv, fit.model, *where)
        return fit.model, summarise(fit, layer, slope=slopes, also=notes)

    def _fit_alone(self, state, layer):
        markers, notes = self._ordered(layer, "ids")
        opt, crv = (self._model(state, name) for name in ("opt", "crv"))
        mask, local = self.mask, state.degrees.get("ids", (3, 0, 0))[0]
        degrees = {"opt": (0, 0), "crv": (0, 0, 0), "ids": (local, 0, 0)}
        fitter = ModelFitter(self.instrument, mask, degrees, by_hand=False)
        try:
            with one_thread():
                used = markers[np.asarray(markers["used"])]
                return fitter.fit_ids(opt, crv, used), notes
        except FitError as error:
            raise FitError(
                f"slit {state.tour.slit}: {error} Go on without it by next(fit=False)."
            ) from error

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
            fit = fit.untested()
        new = replace(
            state,
            fits={**state.fits, name: fit},
            fitted={**state.fitted, name: layer},
            layer=layer if name != "ids" else self._redrawn(state, layer, fit.model),
            medium=state.medium or ("air" if name == "ids" else None),
        )
        if self._flips(new) != self._flips(state):
            new = replace(new, fitted={})  # t runs the other way now
        notes += self._follow_all(state, new, name)
        if self._flips(new) != self._flips(state) and layer.model != "opt":
            notes += ["Plot the markers again."]
        slope = None
        if name == "ids":
            models = [self._model(new, other) for other in MODELS]
            slope = dispersion_at(
                *models, self._oriented(self._flips(new)), self._direction, fit.residuals
            )
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
        fits[later] = refitted.untested() if old.origin == "untested" else refitted
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
            with one_thread():
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

    def _need(self, state, name):
        if name not in state.fits:
            raise InputError(
                f"there is no {name.upper()} model", "", f"Call new_{name}_model(…) first"
            )


def one_thread():
    """Keep BLAS to one thread: on small matrices, more only wait for each other."""
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
