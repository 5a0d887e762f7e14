"""Lines recognised: of a frame whose wavelengths were known before it moved by some pixels.

As `identify`, but for its vote: the wavelengths of before, shifted along the dispersion, take
its place, and the fits change them by no more than a spectrograph changes between nights.
"""

from dataclasses import replace

import numpy as np
from numpy.polynomial import chebyshev

from specwcs.errors import InputError
from specwcs.measure.explore import Verdict
from specwcs.measure.identification import Fewest, Task
from specwcs.measure.peaks import find_peaks
from specwcs.measure.polish import COARSE, polish
from specwcs.measure.solution import DEGREE, LineTable, Solution, moved

__all__ = ["recognise"]

# Farthest shift looked for, its steps, px, and how many of the best are polished.
_FARTHEST, _STEP, _POLISHED = 30.0, 1.5, 6
# Shifts that differ by more than this are different, px.
_SAME = 1.5
# A solution must be likelier than chance by this much, and so much likelier than other shifts,
# in natural logarithms. So much of the brightest peaks must be lines of the catalogue, or so many
# of its lines be seen.
_CHANCE, _CHANCE_PER_PEAK, _CONTRAST, _EXPLAINED, _SHOWN = 8.0, 0.7, 5.0, 0.5, 0.7
_FEWEST = Fewest(lines=2, in_slit=1)
# Fewer peaks agree by chance.
_FEWEST_PEAKS = 4
# Beyond what is known wavelengths go on straight, and count as much as this.
_BEYOND = 1e-3


def recognise(arcs, traces, instrument, known, catalog, flip_u=False):
    """Identify the lines of a frame by wavelengths that were known before.

    Parameters
    ----------
    arcs : ArcSpectra
    traces : Traces
    instrument : Instrument
    known : mapping of str to ndarray, shape (columns,)
        The wavelength, Å, of each column of slits, in their middle; NaN where it is not known.
    catalog : LineCatalog
        Lines that the frame may show, in the medium of the wavelengths.
    flip_u : bool, optional
        Whether the mask is mirrored along the dispersion.

    Returns
    -------
    Identification

    Raises
    ------
    InputError
        If the catalogue has no line that could be seen.
    """
    spectra = {name: s for name, s in arcs.by_flip[flip_u].items() if name in known}
    names, length = list(spectra), traces.shape[1]
    seen = {name: _where_known(s, known[name]) for name, s in spectra.items()}
    arcs = replace(arcs, by_flip=(seen, seen))
    found = [find_peaks(seen[name], arcs.fwhm) for name in names]
    task = Task(arcs, names, {flip_u: found}, catalog.medium, length, _FEWEST)
    n_peaks = len(task.tables[flip_u].p)
    if n_peaks < _FEWEST_PEAKS:
        return task.nothing("no lines", f"{n_peaks} lines are seen, {_FEWEST_PEAKS} needed")
    before = _before([known[name] for name in names], names, traces, instrument, flip_u)
    low, high = (f(f(known[n][np.isfinite(known[n])]) for n in names) for f in (min, max))
    lines = LineTable.from_catalog(catalog, low, high)
    if not len(lines.wavelength):
        raise InputError(
            f"no catalogue line between {low:.0f} and {high:.0f} Å",
            "These are the wavelengths of the calibrated slits.",
            "Check the lamps, and the unit of the catalogue.",
        )
    verdict = _search(before, task.tables[flip_u], lines, arcs.fwhm)
    return task.settle(verdict, lines, _doubt(verdict, lines))


def _where_known(spectrum, wavelength):
    """Leave out what a night's shift may bring from where the wavelengths are not known."""
    return replace(spectrum, good=spectrum.good & np.isfinite(wavelength))


def _before(known, names, traces, instrument, flip_u):
    """Return what is known as a `Solution`."""
    length = traces.shape[1]
    p = np.arange(length)
    x = 2.0 * p / (length - 1) - 1.0
    series = []
    for wavelength in known:
        there = np.isfinite(wavelength)
        straight = np.poly1d(np.polyfit(p[there], wavelength[there], 1))
        ends = np.flatnonzero(there)[[0, -1]]
        off = np.interp(p, ends, wavelength[ends] - straight(ends))
        target = np.where(there, wavelength, straight(p) + off)
        series.append(chebyshev.chebfit(x, target, DEGREE, w=np.where(there, 1.0, _BEYOND)))
    middle = 0.5 * (length - 1)
    row = [float(traces.q(name, 0.5, middle)) - 0.5 * (traces.shape[0] - 1) for name in names]
    row = instrument.aspect * np.array(row)
    place = np.stack([np.zeros(len(names)), row], axis=1) / (0.5 * length)
    return Solution(np.array(series), length, flip_u, place)


def _shifted(solution, shift):
    """Move a solution along the dispersion by some px."""
    series = moved(solution.coefficients, shift, solution.length)
    there = replace(solution, coefficients=series)
    return replace(there, before=there)


def _search(before, peaks, lines, fwhm):
    """Find the shift at which the peaks are most likely the lines."""
    shifts = np.arange(-_FARTHEST, _FARTHEST + _STEP, _STEP)
    trials = [_shifted(before, shift) for shift in shifts]
    rough = [polish(s, peaks, lines, fwhm, stages=slice(COARSE, COARSE + 1)) for s in trials]
    top = _maxima(np.array([s.score for s in rough]))[:_POLISHED]
    found = [polish(rough[i], peaks, lines, fwhm, stages=slice(COARSE, None)) for i in top]
    found = sorted(found, key=lambda s: -s.score)
    moved = np.array([_moved(s, before) for s in found])
    others = [s.score for s, m in zip(found, moved, strict=True) if abs(m - moved[0]) > _SAME]
    contrast = found[0].score - max(others, default=-np.inf)
    best = polish(_shifted(before, moved[0]), peaks, lines, fwhm, stages=slice(COARSE, None))
    return Verdict(best, contrast, np.ones(len(peaks.p), bool), peaks)


def _maxima(score):
    """Return the indices of local maxima, highest first."""
    padded = np.pad(score, 1, constant_values=-np.inf)
    index = np.flatnonzero((score >= padded[:-2]) & (score >= padded[2:]))
    return index[np.argsort(-score[index], kind="stable")]


def _moved(solution, before):
    """By how much a solution is moved, px, in the median slit."""
    middle = np.full(len(solution.coefficients), 0.5 * (solution.length - 1))
    slit = np.arange(len(solution.coefficients))
    away = before.wavelength(slit, middle) - solution.wavelength(slit, middle)
    return float(np.median(away / before.dispersion(slit, middle)))


def _doubt(verdict, lines):
    """Say why the lines are not recognised; nothing where they are."""
    best, peaks = verdict.best, verdict.peaks
    chance = _CHANCE + _CHANCE_PER_PEAK * np.sum(best.line >= 0)
    if not best.score > chance:
        return (
            f"at no shift within {_FARTHEST:.0f} px its lines fit better than by chance "
            f"(log-likelihood {best.score:.0f}, {chance:.0f} needed)"
        )
    if verdict.contrast < _CONTRAST:
        return (
            f"another shift is nearly as likely (log-likelihood lower by "
            f"{verdict.contrast:.1f}, {_CONTRAST:g} needed)"
        )
    seen = _seen(best, peaks, lines)
    if verdict.explained < _EXPLAINED and seen < _SHOWN:
        return (
            f"the catalogue explains only {verdict.explained:.0%} of the brightest peaks, and "
            f"{seen:.0%} of its lines are seen"
        )
    return ""


def _seen(solution, peaks, lines):
    """Share of the lines that should be on the spectra that have a peak, in the median slit."""
    share = []
    for i in np.unique(peaks.slit):
        p = solution.column(i, lines.wavelength)
        on = (p > peaks.p[peaks.slit == i].min() - 1) & (p < peaks.p[peaks.slit == i].max() + 1)
        found = np.unique(solution.line[(peaks.slit == i) & (solution.line >= 0)])
        share.append(len(found) / max(on.sum(), 1))
    return float(np.median(share))
