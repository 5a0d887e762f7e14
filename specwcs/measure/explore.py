"""From the vote to one solution, its rivals, and the columns where they all agree.

The likelihood has many peaks: a spectrum's end can be off by one line while all else is
right. Every good solution is therefore bent at its ends and polished again; the best wins,
and where solutions of comparable likelihood differ, the wavelength is not known.

A few slits, spread over the mask, are enough to find the solution; the others then join.
"""

from dataclasses import dataclass, replace

import numpy as np

from specwcs.measure.polish import COARSE, polish, polish_all
from specwcs.measure.solution import Solution, moved
from specwcs.measure.vote import vote

__all__ = ["Verdict", "search"]

_SLITS = 6
_VOTES = 60
_POLISHED = 12
_EXPLORED = 2
_BENDS = (-8.0, -5.0, -2.5, 2.5, 5.0, 8.0)
"""Shifts of a spectrum's end, px on a frame of 1000 columns."""
_ROUNDS = 3
# Solutions whose log-likelihood is lower by less than this are rivals.
_RIVAL = 5.0
# Two solutions agree where they differ by less than this, px.
_SAME = 0.7
# How far slits are off the smooth surface that the constants of others make, px. Its terms are
# likely so large: the scale along the dispersion, which dispersers change by their angles, off its
# nominal value; the tangent of the mask's rotation; half the curvature of lines, over the frame.
_SMOOTH, _SCALE, _ROTATION, _CURVED = 3.0, 0.15, 0.035, 0.25
# Where a slit that joins is looked for, about where others put it: px, and errors of that place.
_NEAR, _SIGMAS = 8.0, 2.0
# Columns are known where rivals agree on the slits with so many matched peaks, in units of the
# median slit's.
_SPEAKS = 0.5
# A slit of which less is matched than this part of what is in the best one does not fit: those that
# fit may be few. Of rich catalogues, much is matched by a spectrum with one end wrong. Slits with
# less than a part of the median slit's peaks are not the best.
_FITTING, _MANY = (0.75, 0.92), 0.5
_JOINS = 8
_GRID = 64


@dataclass(frozen=True)
class Verdict:
    """The most likely solution and what speaks against it.

    Attributes
    ----------
    best : Solution
        For all slits.
    contrast : float
        Log-likelihood above that of the best solution that is different at most of its peaks.
    agreed : ndarray of bool, shape (n_peaks,)
        Whether all rivals give a peak the same wavelength.
    peaks : PeakTable
        The peaks of the winning flip.
    """

    best: Solution
    contrast: float
    agreed: np.ndarray
    peaks: object

    @property
    def explained(self):
        """Share of the brightest peaks that have a line, in the median slit: some are dark."""
        bright = self.peaks.grade < 2
        n = np.bincount(self.peaks.slit[bright])
        known = np.bincount(self.peaks.slit[bright], self.best.line[bright] >= 0)
        return float(np.median(known[n > 0] / n[n > 0]))


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
    some = _spread_out(peaks_by_flip, prior)
    few = {flip: peaks.of_slits(some) for flip, peaks in peaks_by_flip.items()}
    few_prior = prior.of_slits(some)
    found = []
    for flip, peaks in few.items():
        voted = vote(peaks, lines, few_prior, _VOTES, flip)
        found += polish_all(voted, peaks, lines, fwhm, stages=slice(COARSE))
    rough, found = _best(found)[:_POLISHED], []
    for flip, peaks in few.items():
        those = [s for s in rough if s.flip_u == flip]
        found += polish_all(those, peaks, lines, fwhm, stages=slice(COARSE, None))
    found = _best(found)
    for solution in found[:_EXPLORED]:
        found = found + _explore(solution, few[solution.flip_u], lines, fwhm)
    found = _best(found)
    peaks = peaks_by_flip[found[0].flip_u]
    best = _join(found[0], some, prior, peaks, lines, fwhm)
    best = _join_again(best, prior, peaks, lines, fwhm)
    found = _with_joined(best, found, some, few[best.flip_u], few_prior, lines, fwhm)
    contrast, agreed = _rivals(found, few[best.flip_u])
    columns = np.clip(peaks.p / (prior.length - 1) * (_GRID - 1), 0, _GRID - 1)
    return Verdict(best, contrast, agreed[np.rint(columns).astype(int)], peaks)


def _spread_out(peaks_by_flip, prior):
    """Choose slits with many peaks, spread over the mask: indices, shape (<= _SLITS,)."""
    n = len(prior.offset)
    count = sum(np.bincount(peaks.slit, minlength=n) for peaks in peaks_by_flip.values())
    lit = np.flatnonzero(count)
    in_order = lit[np.argsort(prior.offset[lit], kind="stable")]
    parts = np.array_split(in_order, min(_SLITS, len(lit)))
    return np.sort([part[np.argmax(count[part])] for part in parts])


def _best(solutions):
    return sorted(solutions, key=lambda s: -s.score)


def _explore(solution, peaks, lines, fwhm):
    """Bend the ends of a solution and polish again, from the best, until nothing is gained."""
    tried = []
    for _ in range(_ROUNDS):
        bent = polish_all(_bent(solution), peaks, lines, fwhm, stages=slice(COARSE, None))
        tried += bent
        best = max(bent, key=lambda s: s.score)
        if best.score <= solution.score + 0.01:
            break
        solution = best
    return tried


def _bent(solution):
    """Shift one end of a solution, in steps; the shift falls as a cube to the other end."""
    dispersion = solution.coefficients[:, 1].mean() * 2 / solution.length
    # ((1 + x) / 2)^3 in Chebyshev polynomials.
    right = np.array([10.0, 15.0, 6.0, 1.0]) / 32
    bent = []
    for sign in (np.ones(4), np.array([1.0, -1.0, 1.0, -1.0])):
        for shift in _BENDS:
            series = solution.coefficients.copy()
            series[:, :4] += shift * solution.length / 1000 * dispersion * sign * right
            bent.append(replace(solution, coefficients=series))
    return bent


def _rivals(found, peaks):
    """Compare all solutions with the best: contrast, and the columns where rivals agree."""
    best = found[0]
    matched = best.line >= 0
    if not matched.any():
        return 0.0, np.zeros(_GRID, bool)
    its = peaks.slit[matched], peaks.p[matched]
    reach = _SAME * best.dispersion(*its)
    p = np.linspace(0, best.length - 1, _GRID)
    # A slit with few lines may be anywhere: that leaves the others' columns known.
    count = np.bincount(its[0], minlength=len(best.coefficients))
    slit = np.flatnonzero(count >= _SPEAKS * np.median(count[count > 0]))[:, None]
    here, scale = best.wavelength(slit, p), best.dispersion(slit, p)
    contrast, agreed = np.inf, np.ones(_GRID, bool)
    for other in found[1:]:
        lead = best.score - other.score
        same = np.abs(other.wavelength(slit, p) - here) < _SAME * scale
        if lead < _RIVAL and other.flip_u == best.flip_u:
            agreed &= same.all(axis=0)
        if np.mean(np.abs(other.wavelength(*its) - best.wavelength(*its)) < reach) < 0.5:
            contrast = min(contrast, lead)
    return contrast, agreed


def _join(solution, some, prior, peaks, lines, fwhm):
    """Extend a solution from some slits to all, and polish it."""
    others = np.setdiff1d(np.unique(peaks.slit), some)
    moves = prior.moves(solution.flip_u)
    still = solution
    if moves is not None:
        series = moved(solution.coefficients, -moves[some], prior.length)
        still = replace(solution, coefficients=series)
    series = np.repeat(still.coefficients.mean(axis=0)[None], len(prior.offset), axis=0)
    series[:, 0], error = _constants(still, some, prior)
    if moves is not None:
        series = moved(series, moves, prior.length)
    series[some] = solution.coefficients
    for i in others:
        mine = peaks.of_slits([i])
        one = replace(
            solution, coefficients=series[[i]], moves=None if moves is None else moves[[i]]
        )
        series[i, 0] += _best_shift(one, error[i], mine, lines, fwhm)
    whole = replace(solution, coefficients=series, place=prior.place, moves=moves)
    return polish(whole, peaks, lines, fwhm)


def _join_again(best, prior, peaks, lines, fwhm):
    """Let the slits that do not fit join again, from those that do, as long as more come to fit."""
    count = np.bincount(peaks.slit, minlength=len(prior.offset))
    lit = np.flatnonzero(count)
    many = count >= _MANY * np.median(count[lit])
    for part in _FITTING:
        for _ in range(_JOINS):
            matched = np.bincount(peaks.slit, best.line >= 0, len(prior.offset))
            share = matched / np.maximum(count, 1)
            good = lit[share[lit] >= part * share[many].max()]
            if len(good) == len(lit):
                break
            those = replace(best, coefficients=best.coefficients[good])
            again = _join(those, good, prior, peaks, lines, fwhm)
            if not again.score > best.score:
                break
            best = again
    return best


def _with_joined(best, found, some, peaks, prior, lines, fwhm):
    """Add to the solutions for some slits what these are in that for all, if it is better."""
    moves = prior.moves(best.flip_u)
    few = replace(best, coefficients=best.coefficients[some], place=prior.place, moves=moves)
    few = polish(few, peaks, lines, fwhm, stages=slice(COARSE, None))
    if few.score <= found[0].score + _RIVAL:
        return found
    return _best([few, *found, *_explore(few, peaks, lines, fwhm)])


def _constants(solution, some, prior):
    """Return the constant terms of all slits, Å, by those of some, and their errors, px.

    Along the dispersion they follow the mask; across it, its rotation and the curvature of lines.
    """
    dispersion = solution.coefficients[:, 1].mean() * 2 / solution.length
    offset, row = prior.offset, prior.row
    nominal = np.zeros(len(offset))
    if not prior.glass:  # else the spectra were moved there before
        nominal = (1.0 if solution.flip_u else -1.0) * offset
    terms = np.stack([np.ones(len(offset)), offset, row, row * row / prior.length], axis=1)
    likely = np.array([np.inf, _SCALE, _ROTATION, _CURVED])
    precision = terms[some].T @ terms[some] / _SMOOTH**2 + np.diag(likely**-2.0)
    covariance = np.linalg.inv(precision)
    mean = solution.coefficients[:, 0].mean()
    off = (solution.coefficients[:, 0] - mean) / dispersion - nominal[some]
    known = covariance @ (terms[some].T @ off) / _SMOOTH**2
    error = np.sqrt(np.einsum("ij,jk,ik->i", terms, covariance, terms) + _SMOOTH**2)
    return mean + dispersion * (nominal + terms @ known), error


def _best_shift(one, error, peaks, lines, fwhm):
    """Shift, Å, at which the peaks of one slit fit the lines best; `error` is that of its place."""
    reach = _NEAR + _SIGMAS * error
    shifts = np.arange(-reach, reach + 1, 2.0)
    series = np.repeat(one.coefficients[None], len(shifts), axis=0)
    series[:, :, 0] += shifts[:, None] * one.coefficients[0, 1] * 2 / one.length
    there = [replace(one, coefficients=c) for c in series]
    found = polish_all(there, peaks, lines, fwhm, stages=slice(1, 2))
    score = [s.score for s in found] - 0.5 * (shifts / error) ** 2
    best, middle = found[np.argmax(score)], np.median(peaks.p, keepdims=True)
    return (best.wavelength(0, middle) - one.wavelength(0, middle))[0]
