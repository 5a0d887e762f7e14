"""Hold lines out: fit the wavelengths without a line, and see whether it is where they say.

The residuals of a fit flatter it, above all at the ends of a spectrum, where a wrong line
bends the curve to itself. A line is therefore judged by the fit to all the others, and lines
beyond those that are certain are added one by one, where only one line can be meant.
"""

from dataclasses import dataclass

import numpy as np

from specwcs.measure.solution import DEGREE
from specwcs.measure.wavefit import WavelengthFit, fit

__all__ = ["Verified", "verify"]

# A line with another of the same species within this distance, FWHM, of at least this relative
# weight, is a blend: its peak is explained, its position is not its own. How species compare
# is not known: there, the held-out test decides.
_BLEND, _RELATIVE = 1.2, 0.3
# px; no position from an averaged spectrum is better.
_FLOOR = 0.02
# A held-out line may be off by so many standard deviations, and always by this much, px.
_SIGMAS, _TOLERANCE = 4.5, 0.15
_LEAST = 4
# The degree that is tried first, and what a higher one must gain in the held-out residual.
_START, _GAIN = 3, 0.9
_ADDED = 4
# Lines are added where the prediction is better than this, FWHM.
_KNOWN = 0.5


@dataclass(frozen=True)
class Verified:
    """A solution that its lines confirm.

    Attributes
    ----------
    fitted : WavelengthFit
    line : ndarray of int, shape (n_peaks,)
        Line of each peak, -1 where it has none.
    used : ndarray of bool, shape (n_peaks,)
        Peaks that the solution is fitted to.
    left_out : ndarray, shape (n_peaks,)
        Distance, px, from each peak to where the fit without its line puts it; NaN where
        it was not tested.
    """

    fitted: WavelengthFit
    line: np.ndarray
    used: np.ndarray
    left_out: np.ndarray

    @property
    def rms(self):
        """Robust standard deviation of the held-out lines, px; NaN where there are none."""
        return _spread(self.left_out[self.used]) if self.used.any() else np.nan

    def sigma(self, slit, p):
        """Standard deviation, px, of the solution at the pairs (slit, p)."""
        return self.fitted.sigma(slit, p) * max(self.rms / _FLOOR, 1.0)


def verify(solution, peaks, lines, trusted, fwhm):
    """Fit the matched lines, drop those that the others contradict, choose the degree.

    Parameters
    ----------
    solution : Solution
        With its lines matched.
    peaks : PeakTable
    lines : LineTable
    trusted : ndarray of bool, shape (n_peaks,)
        Peaks whose line is beyond doubt.
    fwhm : float
        px.

    Returns
    -------
    Verified or None
        None where there are too few lines.
    """
    line = solution.line
    used = trusted & _unique(line, peaks) & ~_blended(solution, line, peaks, lines, fwhm)
    best = _best_degree(solution, peaks, lines, line, used)
    for _ in range(_ADDED):
        if best is None:
            break
        line, added = _grow(best, peaks, lines, fwhm)
        if not added.any():
            break
        best = _best_degree(best.fitted.solution, peaks, lines, line, best.used | added)
    return best


def _best_degree(solution, peaks, lines, line, used):
    """Converge at every degree that the lines allow; a higher one must earn its place."""
    n = len(np.unique(line[used]))
    best = None
    for degree in range(min(_START, n - 2), min(DEGREE, n - 3) + 1):
        if degree < 1:
            continue
        trial = _converge(solution, peaks, lines, line, used, degree)
        gains = best is None or trial.rms < _GAIN * best.rms
        if gains or trial.used.sum() > 1.1 * best.used.sum():
            best = trial
    return best


def _converge(solution, peaks, lines, line, used, degree):
    """Drop the worst line until all are within the tolerance, or a quarter is gone."""
    used = used.copy()
    for _ in range(max(1, len(np.unique(line[used])) // 4) + 1):
        fitted, left_out, excess = _hold_out(solution, peaks, lines, line, used, degree)
        worst = np.argmax(np.where(used, excess, -np.inf))
        if excess[worst] <= 1.0 or len(np.unique(line[used])) <= _LEAST:
            break
        used &= line != line[worst]
    return Verified(fitted, line, used, left_out)


def _hold_out(solution, peaks, lines, line, used, degree):
    """Fit all lines, and once without each.

    Returns
    -------
    WavelengthFit
    left_out : ndarray
        px.
    excess : ndarray
        Median distance of a line over all slits in units of what is tolerated.
    """
    base = used / (peaks.sigma**2 + _FLOOR**2)
    target = lines.wavelength[np.maximum(line, 0)]
    weight = base
    for _ in range(2):
        fitted = fit(solution, peaks, target, weight, degree)
        residual = _distance(fitted.solution, peaks, target)
        spread = max(_spread(residual[used]), _FLOOR)
        weight = base / (1.0 + (residual / (3 * spread)) ** 2)
    left_out = np.full(len(used), np.nan)
    median, expected = np.zeros(len(lines.wavelength)), np.full(len(lines.wavelength), np.inf)
    for i in np.unique(line[used]):
        same = used & (line == i)
        without = fit(solution, peaks, target, np.where(same, 0.0, weight), degree)
        left_out[same] = _distance(without.solution, peaks, target)[same]
        median[i] = np.median(left_out[same])
        expected[i] = np.median(without.sigma(peaks.slit[same], peaks.p[same]))
    # At the ends the others say little: their own uncertainty counts, in units of the scatter.
    tested = np.isfinite(expected)
    scatter = max(_spread(median[tested] / np.hypot(expected[tested], _FLOOR)), 1.0)
    limit = np.maximum(_SIGMAS * scatter * np.hypot(expected, _FLOOR), _TOLERANCE)
    return fitted, left_out, (np.abs(median) / limit)[line]


def _grow(verified, peaks, lines, fwhm):
    """Match the peaks that are not used where only one line can be meant.

    Returns
    -------
    line : ndarray of int
    added : ndarray of bool
    """
    solution = verified.fitted.solution
    at = solution.wavelength(peaks.slit, peaks.p)
    scale = solution.dispersion(peaks.slit, peaks.p)
    sigma = verified.sigma(peaks.slit, peaks.p)
    reach = np.maximum(3 * sigma, 3 * verified.rms) + 3 * peaks.sigma
    distance = np.abs(lines.wavelength - at[:, None]) / scale[:, None]
    nearest = distance.argmin(axis=1)
    own = distance[np.arange(len(at)), nearest]
    weight = lines.weight[0]
    rival = (distance < reach[:, None] + 0.5 * fwhm) & (
        weight > _RELATIVE * weight[nearest][:, None]
    )
    line = np.where(verified.used, verified.line, nearest)
    added = (
        ~verified.used
        & (peaks.grade < 2)
        & (sigma < _KNOWN * fwhm)
        & (own < np.minimum(reach, fwhm))
        & (rival.sum(axis=1) == 1)
    )
    # What was held out and failed stays out; a line has one peak in a slit.
    failed = (verified.line == nearest) & np.isfinite(verified.left_out)
    line = np.where(verified.used | (added & ~failed), line, -1)
    added &= _unique(line, peaks) & ~failed
    return np.where(verified.used | added, line, -1), added


def _distance(solution, peaks, target):
    """From where the solution puts the target wavelengths to the peaks, px."""
    at = solution.wavelength(peaks.slit, peaks.p)
    return (at - target) / solution.dispersion(peaks.slit, peaks.p)


def _spread(residual):
    """Robust standard deviation about zero."""
    return float(1.4826 * np.median(np.abs(residual))) if len(residual) else np.nan


def _unique(line, peaks):
    """Where a slit has two peaks for a line, the brighter one keeps it."""
    keep = line >= 0
    best = {}
    for k in np.flatnonzero(keep)[np.argsort(-peaks.flux[keep])]:
        best.setdefault((peaks.slit[k], line[k]), k)
    chosen = np.zeros(len(keep), bool)
    chosen[list(best.values())] = True
    return chosen


def _blended(solution, line, peaks, lines, fwhm):
    """Whether another line of the species is so near and strong that the peak is of both."""
    line = np.maximum(line, 0)
    reach = _BLEND * fwhm * solution.dispersion(peaks.slit, peaks.p)
    weight = lines.weight[0]
    blended = np.zeros(len(line), bool)
    for side in (-1, 1):
        other = np.clip(line + side, 0, len(weight) - 1)
        near = np.abs(lines.wavelength[other] - lines.wavelength[line]) < reach
        near &= (other != line) & (lines.species[other] == lines.species[line])
        blended |= near & (weight[other] > _RELATIVE * weight[line])
    return blended
