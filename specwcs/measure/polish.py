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
from specwcs.measure.wavefit import fit

__all__ = ["COARSE", "polish"]

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
    unknown = _UNKNOWN[peaks.grade]
    basis = chebyshev.chebvander(solution.x(peaks.p), DEGREE)
    for px, widths, degree in _STAGES[stages]:
        width = max(px, widths * fwhm)
        last = (px, widths, degree) == _STAGES[-1]
        narrow = _NARROW[1]
        mean = _mean_weight(solution, peaks, lines)
        for _ in range(_ROUNDS):
            density = _mixture(peaks, narrow, fwhm) if last else _single(peaks, width)
            known = (1.0 - unknown) / mean
            near, share, distance = _match(solution, peaks, lines, density, known, basis)
            total = unknown + share.sum(axis=1)
            share /= total[:, None]
            narrow = _good_width(share, distance, fwhm)
            hit = share.sum(axis=1)
            unknown = _fractions(peaks.grade, hit)
            target = (share * lines.wavelength[near]).sum(axis=1) / np.maximum(hit, 1e-12)
            weight = hit / (0.3 * width) ** 2
            solution = fit(solution, peaks, target, weight, degree, basis).solution
    best = near[np.arange(len(near)), share.argmax(axis=1)]
    line = np.where(hit > 0.5, best, -1)
    score = float(np.log(total).sum()) if _is_monotonic(solution) else -np.inf
    return replace(solution, score=score, line=line)


def _match(solution, peaks, lines, density, known, basis):
    """Densities of the peaks as each of the lines near them, over that of a chance peak.

    Returns
    -------
    near : ndarray of int, shape (n_peaks, m)
        Lines.
    share : ndarray, shape (n_peaks, m)
        Densities, for the shares `known` of peaks that are lines, over the lines per Å.
    distance : ndarray, shape (n_peaks, m)
        From the peak to the line, px.
    """
    series = solution.coefficients[peaks.slit]
    at = np.sum(basis * series, axis=1)
    slope = chebyshev.chebder(solution.coefficients, axis=1)[peaks.slit]
    dispersion = np.abs(np.sum(basis[:, :-1] * slope, axis=1))[:, None]
    dispersion *= 2.0 / (solution.length - 1)
    m = min(_NEIGHBOURS, len(lines.wavelength))
    start = np.searchsorted(lines.wavelength, at) - m // 2
    near = np.clip(start, 0, len(lines.wavelength) - m)[:, None] + np.arange(m)
    distance = (lines.wavelength[near] - at[:, None]) / dispersion
    share = density(distance) * lines.weight[peaks.grade[:, None], near]
    return near, share * known[:, None] / dispersion, distance


def _mean_weight(solution, peaks, lines):
    """Mean weight of lines per Å over the frame, for the slit and grade of each peak."""
    n_slits = len(solution.coefficients)
    ends = solution.wavelength(np.arange(n_slits)[:, None], np.array([0.0, solution.length - 1.0]))
    low, high = np.sort(ends, axis=1).T
    integral = np.pad(np.cumsum(lines.weight, axis=1), ((0, 0), (1, 0)))
    first, last = np.searchsorted(lines.wavelength, [low, high])
    # One line more than there is: an empty range is no evidence.
    mean = (integral[:, last] - integral[:, first] + 1.0) / (high - low)
    return mean[peaks.grade, peaks.slit]


def _gauss(z, sigma):
    return np.exp(-0.5 * (z / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


def _single(peaks, width):
    """Return the density of distances from the true line, px: one Gaussian."""
    sigma = np.hypot(width, peaks.sigma)[:, None]
    return lambda z: _gauss(z, sigma)


def _good_width(share, distance, fwhm):
    """Width of the kernel of good lines, FWHM: from the median distance of the matched ones."""
    best = share.argmax(axis=1)[:, None]
    matched = np.take_along_axis(share, best, axis=1) > 0.5
    if matched.sum() < 5:
        return _NARROW[1]
    median = np.median(np.abs(np.take_along_axis(distance, best, axis=1)[matched]))
    return np.clip(1.48 * median / fwhm, *_NARROW)


def _mixture(peaks, narrow, fwhm):
    """Return the density of distances at the end: good lines and poor ones."""
    narrow, wide = (np.hypot(w * fwhm, peaks.sigma)[:, None] for w in (narrow, _WIDE))
    return lambda z: _SHARE * _gauss(z, narrow) + (1 - _SHARE) * _gauss(z, wide)


def _fractions(grade, hit):
    """Fraction of unknown peaks for each peak's grade, with a prior of two peaks."""
    n = np.bincount(grade, minlength=len(_UNKNOWN))
    missed = np.bincount(grade, 1.0 - hit, minlength=len(_UNKNOWN))
    return np.clip((2 * _UNKNOWN + missed) / (2.0 + n), _FLOOR, 1 - _FLOOR)[grade]


def _is_monotonic(solution):
    slit = np.arange(len(solution.coefficients))[:, None]
    return bool(np.all(solution.dispersion(slit, np.linspace(0, solution.length - 1, 32)) > 0))
