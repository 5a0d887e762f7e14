"""Polish a guess at the wavelengths: match lines and peaks, fit, and do so again, tighter.

The matching is soft (expectation and maximisation): every peak belongs in part to each line
near it and in part to none, in the proportion of the densities; the fractions of unknown
peaks are estimated along with the rest. The density at the end is the score by which
hypotheses are compared.
"""

from dataclasses import replace

import numpy as np
from numpy.polynomial import chebyshev

from specwcs.measure.solution import DEGREE
from specwcs.measure.wavefit import WavelengthModel

__all__ = ["COARSE", "polish", "polish_all"]

# Width of the matching kernel in px and in FWHM, whichever is larger, and the degree of F.
_STAGES = ((3.0, 0.0, 3), (2.0, 0.0, 3), (1.2, 0.0, 4), (0.0, 0.4, 4), (0.0, 0.2, DEGREE))
COARSE = 2
"""Stages after which the hopeless hypotheses can be dropped."""
_ROUNDS = 2
_NEIGHBOURS = 8
# The last kernel, in FWHM: most lines are good to a small part of their width (from the data,
# within these limits), some (blends) to a quarter.
_NARROW, _WIDE, _SHARE = (0.015, 0.08), 0.25, 0.7
# Fraction of unknown peaks of each grade at the start, and the least.
_UNKNOWN, _FLOOR = np.array([0.12, 0.25, 0.5]), 0.05


def polish(solution, peaks, lines, fwhm, *, stages=slice(None)):
    """Refine a solution by soft matching with a shrinking tolerance.

    Parameters
    ----------
    solution : Solution
    peaks : PeakTable
    lines : LineTable
    fwhm : float
        Width of the lines, px.
    stages : slice, optional
        Part of the schedule to run.

    Returns
    -------
    Solution
        With its score and the most probable lines; the score is -inf where wavelength does
        not grow everywhere on the frame.
    """
    return polish_all([solution], peaks, lines, fwhm, stages=stages)[0]


# With few lines a hypothesis may collapse to one wavelength; it is not monotonic, and scored so.
@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def polish_all(solutions, peaks, lines, fwhm, *, stages=slice(None)):
    """Refine several solutions at once: what differs is their wavelengths alone.

    Parameters
    ----------
    solutions : sequence of Solution
    peaks, lines, fwhm, stages
        As in `polish`.

    Returns
    -------
    list of Solution
    """
    if not solutions:
        return []
    series = np.stack([s.coefficients for s in solutions])
    unknown = np.tile(_UNKNOWN[peaks.grade], (len(series), 1))
    bases = _bases(solutions[0], peaks)
    for px, widths, degree in _STAGES[stages]:
        width = max(px, widths * fwhm)
        last = (px, widths, degree) == _STAGES[-1]
        narrow = np.full(len(series), _NARROW[1])
        mean = _mean_weight(series, peaks, lines)
        model = WavelengthModel(solutions[0], peaks, degree)
        for _ in range(_ROUNDS):
            density = _mixture(peaks, narrow, fwhm) if last else _single(peaks, width)
            known = (1.0 - unknown) / mean
            near, share, distance = _match(series, peaks, lines, density, known, bases)
            total = unknown + share.sum(axis=-1)
            share /= total[..., None]
            if last:
                narrow = _good_width(share, distance, fwhm)
            hit = share.sum(axis=-1)
            unknown = _fractions(peaks.grade, hit)
            target = (share * lines.wavelength[near]).sum(axis=-1) / np.maximum(hit, 1e-12)
            series = model.series(series, target, hit / (0.3 * width) ** 2)
    best = np.take_along_axis(near, share.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    line = np.where(hit > 0.5, best, -1)
    score = np.where(_is_monotonic(series), np.log(total).sum(axis=-1), -np.inf)
    return [
        replace(solution, coefficients=c, score=float(s), line=i)
        for solution, c, s, i in zip(solutions, series, score, line, strict=True)
    ]


def _bases(solution, peaks):
    """Return what makes series wavelengths, Å, and dispersions, Å/px, at the peaks."""
    basis = chebyshev.chebvander(solution.x(peaks.p), DEGREE)
    slope = chebyshev.chebder(np.eye(DEGREE + 1), scl=2.0 / (solution.length - 1))
    return np.stack([basis, basis[:, :-1] @ slope])


def _match(series, peaks, lines, density, known, bases):
    """Densities of the peaks as each of the lines near them, over that of a chance peak.

    Returns
    -------
    near : ndarray of int, shape (n_solutions, n_peaks, m)
        Lines.
    share : ndarray, likewise
        Densities, for the shares `known` of peaks that are lines, over the lines per Å.
    distance : ndarray, likewise
        From the peak to the line, px.
    """
    at, dispersion = np.einsum("ijk,mjk->imj", bases, series[:, peaks.slit])
    dispersion = np.abs(dispersion)
    m = min(_NEIGHBOURS, len(lines.wavelength))
    start = np.searchsorted(lines.wavelength, at) - m // 2
    near = np.clip(start, 0, len(lines.wavelength) - m)[..., None] + np.arange(m)
    distance = (lines.wavelength[near] - at[..., None]) / dispersion[..., None]
    share = density(distance) * lines.weight[peaks.grade[:, None], near]
    share *= (known / dispersion)[..., None]
    return near, share, distance


def _mean_weight(series, peaks, lines):
    """Mean weight of lines per Å over the frame, for the slit and grade of each peak."""
    ends = series @ chebyshev.chebvander(np.array([-1.0, 1.0]), DEGREE).T
    low, high = np.moveaxis(np.sort(ends, axis=-1), -1, 0)
    integral = np.pad(np.cumsum(lines.weight, axis=1), ((0, 0), (1, 0)))
    first, last = np.searchsorted(lines.wavelength, [low, high])
    # One line more than there is: an empty range is no evidence.
    mean = (integral[:, last] - integral[:, first] + 1.0) / (high - low)
    return mean[peaks.grade, :, peaks.slit].T


def _gauss(z, sigma):
    return np.exp(-0.5 * (z / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


def _single(peaks, width):
    """Return the density of distances from the true line, px: one Gaussian."""
    sigma = np.hypot(width, peaks.sigma)[:, None]
    return lambda z: _gauss(z, sigma)


def _good_width(share, distance, fwhm):
    """Width of the kernel of good lines, FWHM: from the median distance of the matched ones."""
    best = share.argmax(axis=-1)[..., None]
    matched = np.take_along_axis(share, best, axis=-1)[..., 0] > 0.5
    away = np.abs(np.take_along_axis(distance, best, axis=-1)[..., 0])
    away = np.sort(np.where(matched, away, np.inf), axis=-1)
    n = matched.sum(axis=-1)[:, None]
    middle = np.concatenate([np.maximum(n - 1, 0) // 2, n // 2], axis=-1)
    median = np.take_along_axis(away, middle, axis=-1).mean(axis=-1)
    return np.where(n[:, 0] < 5, _NARROW[1], np.clip(1.48 * median / fwhm, *_NARROW))


def _mixture(peaks, narrow, fwhm):
    """Return the density of distances at the end: good lines and poor ones."""
    narrow = np.hypot(narrow[:, None] * fwhm, peaks.sigma)[..., None]
    wide = np.hypot(_WIDE * fwhm, peaks.sigma)[:, None]
    return lambda z: _SHARE * _gauss(z, narrow) + (1 - _SHARE) * _gauss(z, wide)


def _fractions(grade, hit):
    """Fraction of unknown peaks for each peak's grade, with a prior of two peaks."""
    of_grade = np.eye(len(_UNKNOWN))[grade]
    unknown = 2 * _UNKNOWN + (1.0 - hit) @ of_grade
    unknown /= 2.0 + of_grade.sum(axis=0)
    return np.clip(unknown, _FLOOR, 1 - _FLOOR)[:, grade]


def _is_monotonic(series):
    basis = chebyshev.chebvander(np.linspace(-1.0, 1.0, 32), DEGREE - 1)
    return np.all(chebyshev.chebder(series, axis=-1) @ basis.T > 0, axis=(-2, -1))
