"""What a session knows at one moment, and the way back and forth between moments."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from specwcs.inputs import LineCatalog

from .layer import Layer
from .tour import Tour

__all__ = ["History", "State"]

_KEPT = 200  # moments; what lies further back is forgotten


@dataclass(frozen=True, eq=False)
class State:
    """What a session knows.

    Parameters
    ----------
    fits : mapping of str to ModelFit
        The models there are, by ``"opt"``, ``"crv"``, ``"ids"``.
    live : mapping of str to Model
        The same models as the user holds them; each is brought up to date with its fit.
    degrees : mapping of str to tuple
        Those asked for.
    layer : Layer or None
        The markers on the screen.
    fitted : mapping of str to Layer
        The markers to which each model was fitted last.
    summaries : mapping of str to FitSummary
        Of these fits.
    limits : tuple of float or None
        How far traces are followed to the blue and to the red, px; None for the detector.
    catalog : LineCatalog or None
        The lines that were plotted last.
    medium : {"air", "vacuum"} or None
        Of all wavelengths; None before there are any.
    nsplit : int
        Pieces of a slit in which they were.
    tour : Tour or None
        Where the way slit by slit stands.
    """

    fits: Mapping = field(default_factory=dict)
    live: Mapping = field(default_factory=dict)
    degrees: Mapping = field(default_factory=dict)
    layer: Layer | None = None
    fitted: Mapping = field(default_factory=dict)
    summaries: Mapping = field(default_factory=dict)
    limits: tuple | None = None
    catalog: LineCatalog | None = None
    medium: str | None = None
    nsplit: int = 1
    tour: Tour | None = None


class History:
    """States in their order; one of them is now.

    Parameters
    ----------
    state : State
    """

    def __init__(self, state):
        self._states, self._now = [state], 0

    @property
    def now(self):
        """The present state."""
        return self._states[self._now]

    def push(self, state):
        """Go on to a new state; what was undone is forgotten."""
        self._states = [*self._states[: self._now + 1], state][-_KEPT:]
        self._now = len(self._states) - 1

    def can(self, by):
        """Whether there is a state to go back (-1) or forth (+1) to."""
        return 0 <= self._now + by < len(self._states)

    def step(self, by):
        """Go back (-1) or forth (+1); return whether there was a state to go to."""
        there = self.can(by)
        self._now += by if there else 0
        return there
