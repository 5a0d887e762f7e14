"""From the vote to one solution, its rivals, and the columns where they all agree.

The likelihood has many peaks: a spectrum's end can be off by one line while all else is
right. Every good solution is therefore bent at its ends and polished again; the best wins,
and where solutions of comparable likelihood differ, the wavelength is not known.
"""

from dataclasses import dataclass, replace

import numpy as np

from specwcs.measure.polish import COARSE, polish
from specwcs.measure.solution import Solution
from specwcs.measure.vote import vote

__all__ = ["Verdict", "search"]

_VOTES = 60
_POLISHED = 16
_EXPLORED = 3
_BENDS = (-8.0, -5.0, -2.5, 2.5, 5.0, 8.0)
"""Shifts of a spectrum's end, px on a frame of 1000 columns."""
_ROUNDS = 3
# Solutions whose log-likelihood is lower by less than this are rivals.
_RIVAL = 5.0
# Two solutions agree where they differ by less than this, px.
_SAME = 0.7


@dataclass(frozen=True)
class Verdict:
    """The most likely solution and what speaks against it.

    Attributes
    ----------
    best : Solution
    contrast : float
        Log-likelihood above that of the best solution that is different at most peaks.
    agreed : ndarray of bool, shape (n_peaks,)
        Whether all rivals give a peak the same wavelength.
    peaks : PeakTable
        The peaks of the winning flip.
    """

    best: Solution
    contrast: float
    agreed: np.ndarray
    peaks: object


def search(peaks_by_flip, lines, prior, fwhm):
    """Find the solution, for one or both flips of the mask.

    Parameters
    ----------
    peaks_by_flip : dict of bool to PeakTable
        The flips to be tried.
    lines : LineTable
    prior : Prior
    fwhm : float
        px.

    Returns
    -------
    Verdict
    """
    found = []
    for flip, peaks in peaks_by_flip.items():
        voted = vote(peaks, lines, prior, _VOTES, flip)
        rough = _best([polish(s, peaks, lines, fwhm, stages=slice(COARSE)) for s in voted])
        found += [
            polish(s, peaks, lines, fwhm, stages=slice(COARSE, None)) for s in rough[:_POLISHED]
        ]
    found = _best(found)
    for solution in found[:_EXPLORED]:
        found += _explore(solution, peaks_by_flip[solution.flip_u], lines, fwhm)
    found = _best(found)
    return _judge(found, peaks_by_flip)


def _best(solutions):
    return sorted(solutions, key=lambda s: -s.score)


def _explore(solution, peaks, lines, fwhm):
    """Bend the ends of a solution and polish again, from the best, until nothing is gained."""
    tried = []
    for _ in range(_ROUNDS):
        bent = [polish(s, peaks, lines, fwhm, stages=slice(COARSE, None)) for s in _bent(solution)]
        tried += bent
        best = max(bent, key=lambda s: s.score)
        if best.score <= solution.score + 0.01:
            break
        solution = best
    return tried


def _bent(solution):
    """Copies of a solution with one end shifted: the shift falls as a cube to the other."""
    dispersion = solution.coefficients[:, 1].mean() * 2 / solution.length
    # ((1 + x) / 2)^3 in Chebyshev polynomials.
    right = np.array([10.0, 15.0, 6.0, 1.0]) / 32
    for sign in (np.ones(4), np.array([1.0, -1.0, 1.0, -1.0])):
        for shift in _BENDS:
            series = solution.coefficients.copy()
            series[:, :4] += shift * solution.length / 1000 * dispersion * sign * right
            yield replace(solution, coefficients=series)


def _judge(found, peaks_by_flip):
    best = found[0]
    peaks = peaks_by_flip[best.flip_u]
    here = best.wavelength(peaks.slit, peaks.p)
    scale = best.dispersion(peaks.slit, peaks.p)
    contrast, agreed = np.inf, np.ones(len(here), bool)
    for other in found[1:]:
        same = np.abs(other.wavelength(peaks.slit, peaks.p) - here) < _SAME * scale
        if best.score - other.score < _RIVAL and (other.flip_u == best.flip_u):
            agreed &= same
        if np.mean(same) < 0.5:
            contrast = min(contrast, best.score - other.score)
    return Verdict(best, contrast, agreed, peaks)
