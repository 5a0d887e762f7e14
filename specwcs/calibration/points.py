"""Measured points of many slits, as the fits of the field take them."""

from dataclasses import dataclass, fields, replace

import numpy as np

from specwcs.measure.scatter import excess
from specwcs.models.field import design_matrix, scale

__all__ = ["Points"]

_BLOCKS = 8  # a slit is divided so where there are too few slits to leave one out
_FEW_SLITS = 4
_NARROW = 0.01  # of an axis of the field: points that span no more of it do not tell of it
_LEAST, _GRADES = 0.2, 10  # of `of_slit`: single blends err by more than most do
_TELLING = 20  # blends of single slits that tell of it
_OWN = 0.01  # of its error, at least, a point has for itself
_CHOICE_POINTS = 1500  # enough to choose degrees by; the fit takes all


@dataclass(frozen=True)
class Points:
    """Measured points, arrays of shape (n,).

    Parameters
    ----------
    x, y : ndarray
        Field position: mm or px.
    u : ndarray
        The local coordinate: wavelength or distance along the dispersion.
    values, sigma : ndarray
        What was measured there and its 1 sigma error, px.
    slit : ndarray of str
    t : ndarray
        Position in the slit.
    shared : ndarray, optional
        The part of sigma that all points of a line have in common, px; none by default.
    lines : bool
        Whether equal u means the same arc line.
    of_slit : float
        Of what the points of a line share, a slit's line has so much for itself.
    """

    x: np.ndarray
    y: np.ndarray
    u: np.ndarray
    values: np.ndarray
    sigma: np.ndarray
    slit: np.ndarray
    t: np.ndarray
    shared: np.ndarray | None = None
    lines: bool = False
    of_slit: float = 0.5

    def __post_init__(self):
        if self.shared is None:
            object.__setattr__(self, "shared", np.zeros(np.shape(self.sigma)))

    def take(self, index):
        """Return some of the points."""
        single = {name: getattr(self, name) for name in ("lines", "of_slit")}
        arrays = (getattr(self, f.name)[index] for f in fields(self) if f.name not in single)
        return Points(*arrays, **single)

    def scaled(self, domain, x_domain, y_domain):
        """Return the points with u, x and y mapped from their domains to [-1, 1]."""
        return replace(
            self, u=scale(self.u, domain), x=scale(self.x, x_domain), y=scale(self.y, y_domain)
        )

    def design(self, degrees):
        """Return the design matrix of a field polynomial; the points must be scaled."""
        return design_matrix((self.u, self.x, self.y), degrees)

    @property
    def finite(self):
        """The points of which all is known."""
        return np.all(np.isfinite([self.x, self.y, self.u, self.values, self.sigma]), axis=0)

    def spanned(self, degrees):
        """Return degrees without those of an axis of the field that the points do not span."""
        known = self.finite
        reach = (0.5 * np.ptp(v[known]) for v in (self.x, self.y))
        field = (d if r > _NARROW else 0 for d, r in zip(degrees[1:], reach, strict=True))
        return (degrees[0], *field)

    @property
    def lever(self):
        """Where slits stretch: -1 at the one end, 1 at the other."""
        return self.u if self.lines else 2.0 * self.t - 1.0

    def groups(self):
        """Return labels of the points that err alike: of a line, or of an edge of a slit."""
        if self.lines:
            return np.unique(self.u, return_inverse=True)[1]
        return np.unique(2 * self._slits() + (self.t > 0.5), return_inverse=True)[1]

    def apart(self):
        """Return the points with the errors that each has for itself, and what groups share.

        Returns
        -------
        Points
        shared : ndarray, shape (groups,)
            1 sigma, px, of what all points of a group err by, in all slits alike.
        """
        group = self.groups()
        known = self.finite
        total = np.bincount(group[known], self.shared[known] ** 2, group.max() + 1)
        count = np.bincount(group[known], minlength=group.max() + 1)
        own = np.maximum(self.sigma**2 - self.shared**2, (_OWN * self.sigma) ** 2)
        part = self.of_slit if self._slits().any() else 0.0
        # The places of a line in one slit err alike: they count as if they did not.
        places = self._single()
        own = np.sqrt(own + np.bincount(places)[places] * (part * self.shared) ** 2)
        common = np.sqrt((1 - part**2) * total / np.maximum(count, 1))
        return replace(self, sigma=own, shared=np.zeros(len(own))), common

    def told_of_slit(self, fit):
        """Return `of_slit`, or as much less as the residuals of single slits' lines say.

        Parameters
        ----------
        fit : Fit
            To these points as `apart` returns them; what lines share has no part in its residuals.
        """
        used = fit.used
        places = np.unique(self._single()[used], return_inverse=True)[1]
        number = np.bincount(places)
        miss, shared = (np.bincount(places, v[used]) / number for v in (fit.residuals, self.shared))
        own = np.bincount(places, (self.sigma**2 - self.shared**2)[used]) / number**2
        blends = shared**2 > own
        if not self.lines or blends.sum() < _TELLING:
            return self.of_slit
        told = excess(miss[blends] ** 2, own[blends], shared[blends] ** 2, (_LEAST, self.of_slit))
        return min(self.of_slit, np.ceil(_GRADES * told) / _GRADES)

    def _slits(self):
        """Return labels of the slits."""
        return np.unique(self.slit, return_inverse=True)[1]

    def _single(self):
        """Return labels of the places of one line, or edge, in one slit."""
        slit = self._slits()
        return np.unique(self.groups() * (slit.max() + 1) + slit, return_inverse=True)[1]

    def some(self, usable):
        """Return the indices of usable points, no more than are enough to choose degrees by."""
        index = np.flatnonzero(usable)
        return index[:: -(-len(index) // _CHOICE_POINTS)]

    def families(self):
        """Return labels of the points that may err together: of a slit, and of a line."""
        slit = self._slits()
        return [slit, np.unique(self.u, return_inverse=True)[1]] if self.lines else [slit]

    def partitions(self):
        """Return labels of the parts to be left out in turn, for `choose_degrees`.

        Slits, or where there are few of them, stretches along the one coordinate in
        which the points are dense; and lines. The first and the last stretch and line stay:
        a prediction there would be an extrapolation.
        """
        names, slit = np.unique(self.slit, return_inverse=True)
        if len(names) >= _FEW_SLITS:
            parts = [slit]
        else:
            dense_in_t = len(np.unique(self.t)) > 2
            parts = [_inner(_blocks(self.t if dense_in_t else self.u))]
        if self.lines:
            parts.append(_inner(np.unique(self.u, return_inverse=True)[1]))
        return parts


def _blocks(values):
    low, high = values.min(), values.max()
    width = (high - low) / _BLOCKS
    return np.clip((values - low) // (width or 1.0), 0, _BLOCKS - 1).astype(int)


def _inner(labels):
    """Set the first and the last label to -1: never left out."""
    return np.where((labels == labels.min()) | (labels == labels.max()), -1, labels)
