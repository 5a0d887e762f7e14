"""Pictures of a session: the spectrum along a slit, and the residuals of a fit."""

from contextlib import suppress

import numpy as np

from specwcs.calibration import MODELS, predict_lines
from specwcs.errors import InputError
from specwcs.inputs import Mask
from specwcs.models import SlitGeometry
from specwcs.regions import Shape

from .cut import slit_cut
from .measuring import SessionMeasurements

__all__ = ["SessionPictures"]

_COLORS = ("green", "yellow", "red")
_WORST = 5  # slits that are listed


class SessionPictures(SessionMeasurements):
    """The pictures of a session; see `ModelsCalibration`."""

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

        cut, lines, labels, medium = self.slice(slit_id)
        return slice_figure(cut, str(slit_id), lines, labels, medium, self._title)

    def slice(self, slit_id):
        """Return the spectrum along a slit, as `plot_slice` draws it.

        Returns
        -------
        cut : Cut
            Pixels along the dispersion, flux, and wavelength.
        lines : Markers or None
            Where the models have the lines of the catalogue.
        labels : list of str
            Their names.
        medium : {"air", "vacuum"}

        Raises
        ------
        InputError
            As `plot_slice`.
        """
        state, frame = self._pull(), self._need_frame()
        mask = self.mask
        slit_id = str(slit_id)
        if slit_id not in mask:
            raise InputError(f"unknown slit {slit_id!r}", f"Must be one of {', '.join(mask)}")
        models = self._models_of(state, slit_id)
        geometry = SlitGeometry.from_models(*models, mask[slit_id], self._direction)
        cut = slit_cut(frame, geometry, self._direction)
        lines = None
        if state.catalog is not None and not mask[slit_id].reference:
            with suppress(InputError):  # none falls on the frame
                one = Mask([mask[slit_id]])
                lines = predict_lines(*models, one, self.instrument, state.catalog)
        labels = [] if lines is None else self._labels(state.catalog, lines)
        return cut, lines, labels, state.medium or "air"

    def geometry(self, slit_id):
        """Return the `SlitGeometry` of a slit as the models have it now.

        Parameters
        ----------
        slit_id : str

        Raises
        ------
        InputError
            If there is no optical model, or no such slit.
        """
        state, mask = self._state, self.mask
        if slit_id not in mask:
            raise InputError(f"unknown slit {slit_id!r}", f"Must be one of {', '.join(mask)}")
        models = self._models_of(state, slit_id)
        return SlitGeometry.from_models(*models, mask[slit_id], self._direction)

    def _models_of(self, state, slit_id):
        """Return the models; slit by slit, with the solution of the slit."""
        models = [self._model(state, name) for name in MODELS]
        if state.tour is not None and slit_id in state.tour.order:
            known = state.tour
            models[2] = known.solved.get(slit_id, known.carried[slit_id])
        return models

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
            If the model was not fitted, or there is no such model.
        """
        from specwcs.report import residual_figure

        if model is not None and model not in MODELS:
            raise InputError(f"unknown model {model!r}", f"Must be one of {', '.join(MODELS)}")
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
