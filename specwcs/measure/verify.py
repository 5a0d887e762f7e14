"""Hold lines out: fit the wavelengths without a line, and see whether it is where they say.

The residuals of a fit flatter it, above all at the ends of a spectrum, where a wrong line
bends the curve to itself. A line is therefore judged by the fit to all the others, and lines
beyond those that are certain are added one by one, where only one line can be meant.
"""

from dataclasses import dataclass, replace

import numpy as np

from specwcs.measure.solution import DEGREE
from specwcs.measure.wavefit import WavelengthFit, WavelengthModel

__all__ = ["Verified", "hold_out_lines", "line_distance", "verify"]

# A line with another of the same species within this distance, FWHM, of at least this relative
# weight, is a blend: its peak is explained, its position is not its own. How species compare
# is not known: there, the held-out test decides.
_BLEND, _RELATIVE = 1.2, 0.3
# So many lines must stand alone; where fewer do, peaks are lines to this error, FWHM.
_CLEAR, _BLENDED = 6, 0.2
# The same where the wavelengths were known before.
_CLEAR_KNOWN = 2
# A held-out line may be off by so many standard deviations, and always by this much, px.
_SIGMAS, _TOLERANCE = 4.0, 0.1
# Expected errors count for no less than this part of themselves, however well the lines agree.
_LEAST_SCATTER = 0.4
# At most this share of the lines is dropped, and never below so many.
_DROPPED, _LEAST = 0.5, 5
# One of so many lines is dropped if the residuals then fall to this part.
_CANDIDATES, _WORTH = 4, 0.7
# The degree that is tried first, and what a higher one must gain in the held-out residual.
_START, _GAIN = 4, 0.9
_ADDED = 4
# An end line is kept if the others alone put its peak within this error (1 sigma), px, or if it
# is so many times likelier to be that line than any other of the catalogue.
_CONFIRMED, _ODDS = 0.1, 10.0
_AROUND = 150
"""px; the stretch of the catalogue that stands for other lines."""
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
    error : ndarray, shape (n_peaks,)
        Expected error of the peaks' positions, px.
    """

    fitted: WavelengthFit
    line: np.ndarray
    used: np.ndarray
    left_out: np.ndarray

    error: np.ndarray

    @property
    def scatter(self):
        """Robust standard deviation of the held-out lines in units of what was expected."""
        return max(_spread(self.left_out[self.used] / self.error[self.used]), _LEAST_SCATTER)

    @property
    def rms(self):
        """Robust standard deviation of the better half of the held-out lines, px."""
        bright = self.used & (self.error <= np.median(self.error[self.used]))
        return _spread(self.left_out[bright])

    def sigma(self, slit, p):
        """Return the standard deviation, px, of the solution at the pairs (slit, p).

        A blend errs alike in all slits: their number makes the solution no better.
        """
        repeated = self.used.sum() / len(np.unique(self.line[self.used]))
        return self.fitted.sigma(slit, p) * self.scatter * np.sqrt(repeated)


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
    own = trusted & _unique(line, peaks)
    used = own & ~_blended(solution, line, peaks, lines, fwhm)
    best = _best_degree(solution, peaks, lines, line, used)
    for _ in range(_ADDED):
        if best is None:
            break
        line, added = _grow(best, peaks, lines, fwhm)
        if not added.any():
            break
        best = _best_degree(best.fitted.solution, peaks, lines, line, best.used | added)
    clear = _CLEAR if solution.before is None else _CLEAR_KNOWN
    if best is None or len(np.unique(best.line[best.used])) < clear:
        return _from_blends(solution, peaks, lines, own, fwhm)
    return best


def _from_blends(solution, peaks, lines, used, fwhm):
    """Fit peaks of which hardly any is one line: good enough to take them apart from there."""
    line = solution.line
    n = len(np.unique(line[used]))
    if n < _CLEAR:
        return None
    peaks = replace(peaks, sigma=np.hypot(peaks.sigma, _BLENDED * fwhm))
    model = WavelengthModel(solution, peaks, min(_START, n - 2))
    return _converge(model, peaks, lines, line, used)


def hold_out_lines(solution, peaks, lines, line, trusted):
    """Choose the degree and drop the lines that the others contradict.

    Parameters
    ----------
    solution : Solution
    peaks : PeakTable
    lines : LineTable
    line : ndarray of int, shape (n_peaks,)
        The line of each peak.
    trusted : ndarray of bool, shape (n_peaks,)
        Peaks to be used at most.

    Returns
    -------
    Verified or None
        None where there are too few lines.
    """
    return _best_degree(solution, peaks, lines, line, trusted)


def _best_degree(solution, peaks, lines, line, used):
    """Converge at every degree that the lines allow; a higher one must earn its place."""
    n = len(np.unique(line[used]))
    best = None
    degrees = range(max(min(_START, n - 2), 1), min(DEGREE, n - 3) + 1)
    if solution.before is not None:  # what is known holds the terms that few lines do not tell
        degrees = (DEGREE,) if n else ()
    for degree in degrees:
        model = WavelengthModel(solution, peaks, degree)
        trial = _trim(_converge(model, peaks, lines, line, used), model, peaks, lines)
        gains = best is None or trial.scatter < _GAIN * best.scatter
        if gains or trial.used.sum() > 1.1 * best.used.sum():
            best = trial
    return best


def _converge(model, peaks, lines, line, used):
    """Drop the worst line until all are within the tolerance.

    A wrong line of high leverage hides behind the others, which it pulls: if they scatter, that
    one of the worst few goes without which they agree much better.
    """
    trial, excess = _hold_out(model, peaks, lines, line, used)
    for _ in range(int(_DROPPED * len(np.unique(line[used])))):
        present = np.unique(line[trial.used])
        if len(present) <= _LEAST:
            break
        by_line = [excess[trial.used & (line == i)][0] for i in present]
        within = max(by_line) <= 1.0
        if within and trial.rms < _TOLERANCE:
            break
        worst = present[np.argsort(by_line)[-_CANDIDATES if within else -1 :]]
        others = [_hold_out(model, peaks, lines, line, trial.used & (line != i)) for i in worst]
        best = min(others, key=lambda other: other[0].rms)
        if within and best[0].rms > _WORTH * trial.rms:
            break
        trial, excess = best
    return trial


def _trim(trial, model, peaks, lines):
    """Drop the lines at the ends that nothing but themselves says are right."""
    for end in (np.min, np.max):
        while len(np.unique(trial.line[trial.used])) > _LEAST:
            last = np.flatnonzero(trial.used & (trial.line == end(trial.line[trial.used])))
            residual, sigma = trial.fitted.held_out(last)
            sigma = np.median(np.hypot(sigma, trial.error[last])) * trial.scatter
            mine, line = peaks.take(last), trial.line[last[0]]
            odds = _odds(model.solution, mine, lines, line, residual, sigma)
            if sigma < _CONFIRMED or odds > _ODDS:
                break
            used = trial.used & (trial.line != line)
            trial, _ = _hold_out(model, peaks, lines, trial.line, used)
    return trial


def _odds(solution, peaks, lines, line, residual, sigma):
    """How much likelier a peak is this line than another of the catalogue, anywhere near it."""
    density = np.exp(-0.5 * (np.median(residual) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
    slit, p = peaks.slit[:1], peaks.p[:1]
    dispersion = solution.dispersion(slit, p)[0]
    weight = lines.weight[peaks.grade.min()]
    near = np.abs(lines.wavelength - solution.wavelength(slit, p)[0]) < _AROUND * dispersion
    others = (weight[near].sum() - weight[line]) / (2 * _AROUND)
    return density * weight[line] / max(others, 1e-12)


def _hold_out(model, peaks, lines, line, used):
    """Fit all lines, and once without each.

    Returns
    -------
    Verified
    excess : ndarray, shape (n_peaks,)
        Median distance of the peak's line, over all slits, in units of what is tolerated.
    """
    error = peaks.sigma
    target = lines.wavelength[np.maximum(line, 0)]
    weight = used / error**2
    for _ in range(3):
        fitted = model.fit(target, weight)
        z = line_distance(fitted.solution, peaks, target) / error
        weight = used / error**2 / (1.0 + (z / (3 * max(_spread(z[used]), _LEAST_SCATTER))) ** 2)
    left_out, sigma = np.full((2, len(used)), np.nan)
    present, group = np.unique(line[used], return_inverse=True)
    for i in present:
        same = np.flatnonzero(used & (line == i))
        left_out[same], sigma[same] = fitted.held_out(same)
    median, expected = np.zeros(len(lines.wavelength)), np.full(len(lines.wavelength), np.inf)
    median[present] = _medians(left_out[used], group)
    # At the ends the others say little: their own uncertainty counts too.
    expected[present] = _medians(np.hypot(sigma, error)[used], group)
    scatter = max(_spread((median / expected)[np.isfinite(expected)]), _LEAST_SCATTER)
    limit = np.maximum(_SIGMAS * scatter * expected, _TOLERANCE)
    return Verified(fitted, line, used, left_out, error), (np.abs(median) / limit)[line]


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
    reach = 3 * np.hypot(sigma, verified.error * verified.scatter)
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


def line_distance(solution, peaks, target):
    """From where the solution puts the target wavelengths to the peaks, px."""
    at = solution.wavelength(peaks.slit, peaks.p)
    return (at - target) / solution.dispersion(peaks.slit, peaks.p)


def _spread(residual):
    """Robust standard deviation about zero."""
    return float(1.4826 * np.median(np.abs(residual))) if len(residual) else np.nan


def _medians(value, group):
    """Median of each group of values; the groups are counted."""
    value, count = value[np.lexsort((value, group))], np.bincount(group)
    first = np.cumsum(count) - count
    return 0.5 * (value[first + (count - 1) // 2] + value[first + count // 2])


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
