"""How far a session is, for whoever shows it."""

from dataclasses import dataclass, field

import numpy as np

from specwcs.inputs import LineCatalog
from specwcs.markers import Markers

from .summary import FitSummary

__all__ = ["ModelState", "Progress"]


@dataclass(frozen=True)
class ModelState:
    """One of the three models.

    Parameters
    ----------
    degrees : tuple of int
    origin : str
        As of `ModelFit`.
    summary : FitSummary or None
        Of its last fit.
    residuals : QTable or None
    """

    degrees: tuple
    origin: str
    summary: FitSummary | None
    residuals: object = field(repr=False)


@dataclass(frozen=True)
class Progress:
    """What a session has.

    Parameters
    ----------
    models : dict of str to ModelState
        Those there are.
    model : str or None
        Of the markers on the screen.
    markers : Markers
        On the screen.
    placed : ndarray of bool
        Which of them were placed, by hand or by a measurement.
    catalog : LineCatalog or None
        The lines plotted last.
    medium : str or None
    tour : tuple of str
        The slits visited slit by slit; empty when all are at hand.
    slit : str or None
        The one at hand.
    solved : tuple of str
        Those of the tour that were fitted.
    undoable, redoable : bool
        Whether `undo` and `redo` lead anywhere.
    frame : str
        The title of the frame on the screen; empty without one.
    frames : dict of str to path
        Those that were loaded or offered, for `load_image`, by their titles.
    kinds : dict of str to str
        What those are that were offered.
    """

    models: dict
    model: str | None
    markers: Markers = field(repr=False)
    placed: np.ndarray = field(repr=False)
    catalog: LineCatalog | None
    medium: str | None
    tour: tuple
    slit: str | None
    solved: tuple
    undoable: bool
    redoable: bool
    frame: str
    frames: dict
    kinds: dict

    @classmethod
    def of(cls, state, history, frames, title):
        """Read a session's state."""
        layer, tour = state.layer, state.tour
        return cls(
            models={
                name: ModelState(
                    tuple(fit.model.degrees), fit.origin, state.summaries.get(name), fit.residuals
                )
                for name, fit in state.fits.items()
            },
            model=None if layer is None else layer.model,
            markers=Markers.join([]) if layer is None else layer.markers,
            placed=np.zeros(0, bool) if layer is None else np.isfinite(layer.placed[:, 0]),
            catalog=state.catalog,
            medium=state.medium,
            tour=() if tour is None else tour.order,
            slit=None if tour is None else tour.slit,
            solved=() if tour is None else tuple(tour.solved),
            undoable=history.can(-1),
            redoable=history.can(1),
            frame=title,
            frames=dict(frames.paths),
            kinds=dict(frames.kinds),
        )
