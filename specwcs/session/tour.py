"""Slit by slit through the mask: from the central one always to the nearest that is left."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from specwcs.inputs import LineCatalog

__all__ = ["Tour", "first_slit", "next_slit"]


@dataclass(frozen=True, eq=False)
class Tour:
    """Where the way slit by slit stands.

    Parameters
    ----------
    catalog : LineCatalog
    order : tuple of str
        The slits visited.
    index : int
        Which of them is on the screen.
    layers : mapping of str to Layer
        The markers of the slits visited.
    solved : mapping of str to DispersionModel
        The solutions of single slits that were fitted.
    carried : mapping of str to DispersionModel
        The solution with which each slit's lines were first drawn.
    """

    catalog: LineCatalog
    order: tuple
    index: int = 0
    layers: Mapping = field(default_factory=dict)
    solved: Mapping = field(default_factory=dict)
    carried: Mapping = field(default_factory=dict)

    @property
    def slit(self):
        """The slit at hand."""
        return self.order[self.index]

    @property
    def solution(self):
        """The best solution there is for the slit at hand."""
        return self.solved.get(self.slit, self.carried[self.slit])

    def keep(self, layer, solution=None):
        """Return the tour with the markers of the slit at hand, and its solution if fitted."""
        tour = replace(self, layers={**self.layers, self.slit: layer})
        if solution is None:
            return tour
        return replace(tour, solved={**self.solved, self.slit: solution})

    def go(self, index):
        """Return the tour at another of the slits visited."""
        return replace(self, index=index)

    def enter(self, slit, layer, solution):
        """Return the tour at a new slit, its lines drawn by a solution."""
        return replace(
            self,
            order=(*self.order, slit),
            index=len(self.order),
            layers={**self.layers, slit: layer},
            carried={**self.carried, slit: solution},
        )


def first_slit(mask):
    """Return the slit nearest to the centre of the mask; reference slits do not count."""
    return _nearest(mask, _science(mask), (0.0, 0.0))


def next_slit(mask, order):
    """Return the slit not yet visited that is nearest to the last one; None after all."""
    left = [key for key in _science(mask) if key not in order]
    return _nearest(mask, left, mask[order[-1]].curve(0.5)) if left else None


def _science(mask):
    return [key for key, slit in mask.items() if not slit.reference]


def _nearest(mask, keys, point):
    if not keys:
        return None
    centres = np.array([mask[key].curve(0.5) for key in keys])
    return keys[int(np.argmin(np.hypot(*(centres - point).T)))]
