"""What the identification passes from step to step: the peaks, the lines, and a solution."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import chebyshev

__all__ = ["DEGREE", "LineTable", "PeakTable", "Solution", "moved"]

DEGREE = 5
"""Highest degree of the wavelength as a function of the column."""

GRADES = (8, 12)
"""Peaks are graded by brightness: so many in the first grades, the others in the last."""

# The power to which intensities count for each grade: the brightest peaks are bright lines.
_POWER = (0.6, 0.4, 0.2)
_RANGE = 20.0
# No position from an averaged spectrum is better, px. A faint line (this percentile of the
# fluxes) within reach of a bright one pulls it by this part of the width, at equal flux.
_FLOOR = 0.02
_FAINT, _PULL = 10, 0.4
# Points on which columns are looked up, and the longest step from there, px.
_GRID, _LONGEST = 256, 10.0


@dataclass(frozen=True)
class PeakTable:
    """The brightest peaks of all slits in flat arrays of shape (n,).

    Attributes
    ----------
    slit : ndarray of int
        Index of the slit.
    p, sigma : ndarray
        Position and its expected error, px: the noise, and what faint lines that the
        catalogue lacks may pull it.
    flux : ndarray
        Height above the continuum.
    grade : ndarray of int
        0 for the brightest of each slit; see `GRADES`.
    """

    slit: np.ndarray
    p: np.ndarray
    sigma: np.ndarray
    flux: np.ndarray
    grade: np.ndarray

    @classmethod
    def from_peaks(cls, peaks, fwhm, most, fewest=1):
        """Join the `most` brightest peaks of each slit that has at least `fewest`.

        Parameters
        ----------
        peaks : sequence of Peaks or None
            One for each slit.
        fwhm : float
            Width of the lines, px.
        most, fewest : int

        Returns
        -------
        PeakTable
        """
        nothing = np.empty(0)
        parts = [(nothing.astype(int), nothing, nothing, nothing, nothing.astype(int))]
        for slit, found in enumerate(peaks):
            if found is None or len(found) < fewest:
                continue
            order = np.argsort(-found.flux)[:most]
            grade = np.searchsorted(np.cumsum(GRADES), np.arange(len(order)), side="right")
            p, flux = found.p[order], found.flux[order]
            pull = _PULL * fwhm * np.minimum(np.percentile(found.flux, _FAINT) / flux, 1.0)
            sigma = np.sqrt(found.sigma[order] ** 2 + pull**2 + _FLOOR**2)
            parts.append((np.full(len(order), slit), p, sigma, flux, grade))
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def of_slits(self, slits):
        """Return the peaks of some slits, which are counted anew in the order given."""
        number = np.full(max(self.slit.max(initial=0), max(slits)) + 1, -1)
        number[slits] = np.arange(len(slits))
        mine = self.take(number[self.slit] >= 0)
        return replace(mine, slit=number[mine.slit])

    def take(self, index):
        """Return the peaks at `index`, which may be a mask."""
        return PeakTable(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class LineTable:
    """The catalogue lines that may fall on the frame.

    Attributes
    ----------
    wavelength : ndarray, shape (n_lines,)
        Å, ascending.
    weight : ndarray, shape (n_grades, n_lines)
        How probable the line is, relative to others, as the source of a peak of each grade.
    species : ndarray of int, shape (n_lines,)
        Equal for lines of the same ion.
    intensity : ndarray, shape (n_lines,)
        Of the catalogue, relative within a species; NaN where it is not known.
    """

    wavelength: np.ndarray
    weight: np.ndarray
    species: np.ndarray
    intensity: np.ndarray

    @classmethod
    def from_catalog(cls, catalog, first, last):
        """Weigh the lines between two wavelengths by their intensities, softly.

        Intensities are comparable within a species only, and roughly even there: each is
        taken relative to the median of its species, limited to 1/20 … 20, and to a power
        that falls from the grade of the brightest peaks to that of the faintest. A line of
        unknown intensity weighs 1.
        """
        inside = (catalog.wavelength >= first) & (catalog.wavelength <= last)
        wavelength = catalog.wavelength[inside]
        intensity = np.asarray(catalog.intensity, float)[inside]
        names, species = np.unique(np.asarray(catalog.label)[inside], return_inverse=True)
        relative = np.ones(len(wavelength))
        for i in range(len(names)):
            same = (species == i) & (intensity > 0)
            if same.any():
                relative[same] = intensity[same] / np.median(intensity[same])
        weight = np.clip(relative, 1 / _RANGE, _RANGE) ** np.array(_POWER)[:, None]
        return cls(wavelength, weight, species, np.where(intensity > 0, intensity, np.nan))


@dataclass(frozen=True)
class Solution:
    """Wavelengths of all slits, as Chebyshev series of the column over the frame.

    Attributes
    ----------
    coefficients : ndarray, shape (n_slits, DEGREE + 1)
        Å.
    length : int
        Columns of the frame.
    flip_u : bool
        Whether the mask is mirrored along the dispersion.
    place : ndarray, shape (n_slits, 2)
        Where the slits lie, along and across the dispersion: from the middle of the frame,
        in units of half its length along the dispersion.
    score : float
        Log-likelihood of the peaks above chance.
    line : ndarray of int, shape (n_peaks,), or None
        Index of the most probable line of each peak; -1 where it has none.
    before : Solution or None
        What is known from before: fits change it by as little as one night differs from another.
    moves : ndarray, shape (n_slits,), or None
        By how much a prism moves the spectrum of each slit as a whole, px; None where slits differ
        by constants, as gratings make it.
    """

    coefficients: np.ndarray
    length: int
    flip_u: bool
    place: np.ndarray
    score: float = -np.inf
    line: np.ndarray | None = None
    before: "Solution | None" = None
    moves: np.ndarray | None = None

    def x(self, p):
        """Column, px, to the argument of the series: -1 … 1 over the frame."""
        return 2.0 * np.asarray(p, float) / (self.length - 1) - 1.0

    def wavelength(self, slit, p):
        """Return wavelengths, Å, of the pairs (slit, p)."""
        return self._sum(self.coefficients, slit, p)

    def dispersion(self, slit, p):
        """Return dlambda/dp, Å/px, of the pairs (slit, p)."""
        slope = chebyshev.chebder(self.coefficients, axis=1)
        return self._sum(slope, slit, p) * 2.0 / (self.length - 1)

    @property
    def scale(self):
        """Mean dispersion of all slits, Å/px."""
        return float(self.coefficients[:, 1].mean() / (0.5 * self.length))

    def column(self, i, wavelength):
        """Return columns, px, of wavelengths, Å, in slit i: NaN off the frame by 5 % of it."""
        margin = 0.05 * self.length
        grid = np.linspace(-margin, self.length - 1 + margin, _GRID)
        slit = np.full(_GRID, i)
        # Where a series turns round, far from its lines, it is no wavelength any more.
        rising = np.maximum.accumulate(self.wavelength(slit, grid))
        p = np.interp(wavelength, rising, grid, left=np.nan, right=np.nan)
        slit = np.full(np.shape(p), i)
        for _ in range(3):
            step = (wavelength - self.wavelength(slit, p)) / self.dispersion(slit, p)
            p = p + np.clip(step, -_LONGEST, _LONGEST)
        return p

    def _sum(self, series, slit, p):
        basis = chebyshev.chebvander(self.x(p), series.shape[1] - 1)
        return np.sum(basis * series[slit], axis=-1)


def moved(series, shift, length):
    """Move wavelengths along the dispersion.

    Parameters
    ----------
    series : ndarray, shape (..., n_slits, DEGREE + 1)
        As in `Solution`, of one or several.
    shift : float or ndarray, shape (n_slits,)
        px.
    length : int
        Columns of the frame.

    Returns
    -------
    ndarray, shape (..., n_slits, DEGREE + 1)
    """
    x = chebyshev.chebpts1(DEGREE + 1)  # as many as there are terms: the series is exact
    before = x - 2.0 * np.broadcast_to(shift, series.shape[-2])[:, None] / (length - 1)
    values = np.einsum("ijk,...ik->...ij", chebyshev.chebvander(before, DEGREE), series)
    return values @ np.linalg.inv(chebyshev.chebvander(x, DEGREE)).T
