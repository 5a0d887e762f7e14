"""Slit by slit: the calls of a session that lead through the mask."""

from dataclasses import replace

import numpy as np

from specwcs.calibration import predict_lines
from specwcs.errors import InputError
from specwcs.inputs import Mask
from specwcs.markers import Markers

from .core import check_count
from .layer import Layer
from .looking import SessionPictures
from .tour import Tour, first_slit, next_slit

__all__ = ["SessionTour"]


class SessionTour(SessionPictures):
    """The way slit by slit of a session; see `ModelsCalibration`."""

    def ids_iter(self, catalog, wstart=None, wend=None, nsplit=1):
        """Begin to calibrate slit by slit, with the one nearest to the centre of the mask.

        Parameters
        ----------
        catalog, wstart, wend, nsplit
            As for `plot_ids_model`.

        Raises
        ------
        InputError
            As `plot_ids_model`; also if there is no IDS, or the way has begun already.
        """
        nsplit = check_count(nsplit, "nsplit")
        state = self._untoured()
        if "ids" not in state.fits:
            raise InputError("there is no IDS model", "", "Call new_ids_model(n, nx, ny) first")
        chosen = self._catalog(catalog, wstart, wend)
        slit = first_slit(self.mask)
        if slit is None:
            raise InputError("the mask has reference slits only")
        solution = state.fits["ids"].model
        begun = replace(state, catalog=chosen, medium=chosen.medium, nsplit=nsplit)
        layer = self._lines_of(begun, slit, solution)
        tour = Tour(chosen, (slit,), 0, {slit: layer}, {}, {slit: solution})
        new = replace(begun, layer=layer, tour=tour)
        self._commit(new, call="ids_iter", args={"catalog": chosen, "nsplit": nsplit})
        self._say(f"slit {slit}: move the arrows, then next().")

    def next(self, fit=True):
        """Go to the nearest slit that is left, with the solution of the one at hand.

        Parameters
        ----------
        fit : bool, optional
            Whether to fit the slit at hand first.

        Raises
        ------
        FitError
            If its lines are too few: the slit stays at hand.
        InputError
            If no way slit by slit has begun.
        """
        state = self._touring()
        tour = self._kept(state, fit)
        if tour.index + 1 < len(tour.order):
            tour = tour.go(tour.index + 1)
        else:
            slit = next_slit(self.mask, tour.order)
            if slit is None:
                self._commit(replace(state, tour=tour), call="next", args={"fit": bool(fit)})
                self._say("that was the last slit: stop_iter() fits the whole.")
                return
            solution = tour.solution
            layer = self._lines_of(state, slit, solution)
            tour = tour.enter(slit, layer, solution)
        self._turn_to(state, tour, "next", fit)

    def prev(self, fit=True):
        """Go back to the slit before.

        Parameters
        ----------
        fit : bool, optional
            Whether to fit the slit at hand first.

        Raises
        ------
        FitError, InputError
            As `next`; also if the slit at hand is the first.
        """
        state = self._touring()
        if state.tour.index == 0:
            raise InputError(f"slit {state.tour.slit} is the first one", "", "Call next()")
        tour = self._kept(state, fit)
        self._turn_to(state, tour.go(tour.index - 1), "prev", fit)

    def stop_iter(self, fit=True):
        """End the way slit by slit, and show the whole frame again.

        Parameters
        ----------
        fit : bool, optional
            Whether to fit IDS to the slits that were fitted and, if an arrow of it was moved,
            the one at hand.

        Returns
        -------
        FitSummary or None

        Raises
        ------
        FitError, InputError
            As `fit_ids_model`: the slit stays at hand.
        """
        state = self._touring()
        tour = state.tour.keep(state.layer)
        args = {"fit": bool(fit)}
        if not fit:
            self._commit(replace(state, tour=None, layer=None), call="stop_iter", args=args)
            return None
        # Arrows that nobody touched yet are no lines: the slit was only entered.
        touched = tour.slit if state.layer.n_placed else None
        wanted = [key for key in tour.order if key in tour.solved or key == touched]
        if not wanted:
            raise InputError("no slit was fitted", "", "Place its arrows, or stop_iter(fit=False)")
        layer = _joined([tour.layers[key] for key in wanted])
        return self._fit_lines(replace(state, tour=None), layer, call="stop_iter", args=args)

    def _kept(self, state, fit):
        """Return the tour with the slit at hand as it stands, fitted if wanted."""
        tour, layer = state.tour, state.layer
        if not fit:
            return tour.keep(layer)
        solution, summary = self._fit_slit(state, layer)
        self._say(f"slit {tour.slit}: {summary}")
        return tour.keep(layer, solution)

    def _turn_to(self, state, tour, call, fit):
        new = replace(state, tour=tour, layer=tour.layers[tour.slit])
        self._commit(new, call=call, args={"fit": bool(fit)})
        left = len([s for s in self.mask.values() if not s.reference]) - len(tour.order)
        self._say(f"slit {tour.slit} ({tour.index + 1} of {len(tour.order)} visited, {left} left)")

    def _lines_of(self, state, slit, solution):
        mask = Mask([self.mask[slit]])
        models = [self._model(state, name) for name in ("opt", "crv")]
        where = (mask, self.instrument, state.catalog, state.nsplit)
        return Layer.predicted("ids", predict_lines(*models, solution, *where))

    def _touring(self):
        state = self._pull()
        if state.tour is None:
            raise InputError("no way slit by slit has begun", "", "Call ids_iter(catalog) first")
        return state


def _joined(layers):
    markers = Markers.join([layer.markers for layer in layers])
    placed = np.concatenate([layer.placed for layer in layers if len(layer)])
    return Layer("ids", markers, placed)
