"""What a session measures on the frame on the screen, for the eye to check and the hand to mend."""

import numpy as np

from specwcs.calibration import (
    MODELS,
    ModelFitter,
    arc_lines,
    derive_boxes,
    edge_markers,
    frame_traces,
    identified,
    model_traces,
)
from specwcs.errors import FitError, InputError
from specwcs.markers import Markers

from .fits import SessionFits, one_thread
from .layer import Layer

__all__ = ["SessionMeasurements"]


class SessionMeasurements(SessionFits):
    """The measurements of a session; see `ModelsCalibration`."""

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
        with one_thread():
            boxes, *_ = derive_boxes(fitter, lines.select(used=True), _shown(edges, edges))
        # What is known along or across alone cannot be shown.
        whole = np.isfinite(boxes["x"].value) & np.isfinite(boxes["y"].value)
        self._show_measured("opt", _one_a_slit(boxes[whole]), flips, lines_of)

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
