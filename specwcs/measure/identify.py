"""Blind identification: the wavelengths of all slits of an arc from nominal values alone.

Steps: peaks → vote over all slits → polish → verify by held-out lines → take crowded lines
apart, and verify again → a verdict for each slit. What cannot be told from its rivals is "not
identified", with the reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import chebyshev

from specwcs.errors import InputError
from specwcs.measure.explore import search
from specwcs.measure.peaks import find_peaks
from specwcs.measure.refine import SlitLines, refine
from specwcs.measure.scale import scale_along
from specwcs.measure.solution import LineTable, PeakTable
from specwcs.measure.verify import verify
from specwcs.measure.vote import BENDS, Prior

__all__ = ["Identification", "SlitWavelengths", "identify"]

_PEAKS = 40
# A slit needs so many peaks to take part, and so many lines to be identified.
_FEWEST_PEAKS, _FEWEST_LINES = 3, 3
# The whole needs so many different lines, such a lead over the best other solution (in
# natural logarithms of the likelihood), and so much of the brightest peaks explained.
_LINES, _CONTRAST, _EXPLAINED = 6, 5.0, 0.5
# The log-likelihood above chance must exceed what the best of all wrong solutions reaches: the
# logarithm of their number, and a part for each peak that the fit may bend to. In trials with
# wrong lamps on real and painted arcs it stayed below, with right ones it was 1.5 to 5 times this.
_CHANCE, _CHANCE_PER_PEAK = 15.0, 0.5
# Bright lines lie so close to where the others put them, px, if they are what they seem.
_HELD_OUT = 0.12
# A slit is trusted about its own lines where its wavelength is better known than this, px.
_KNOWN = 0.2
_GRID = 256


@dataclass(frozen=True)
class SlitWavelengths:
    """Wavelength against column in the middle (t = 0.5) of one slit.

    Attributes
    ----------
    status : str
        ``"ok"``, ``"no lines"`` or ``"not identified"``.
    reason : str
        Why it is not ok.
    coefficients : ndarray
        Chebyshev series of the column over the frame, Å.
    length : int
        Columns of the frame.
    domain : tuple of float
        First and last column, px, where the wavelength is known to about 0.2 px.
    place : ndarray, shape (2,)
        Where the slit lies, along and across the dispersion, in half lengths of the frame.
    line, p, sigma : ndarray, shape (n,)
        Wavelengths of the lines found, Å, their columns and errors, px.
    lines : SlitLines or None
        All lines that were looked for, and what was found of them.
    """

    status: str
    reason: str
    coefficients: np.ndarray
    length: int
    domain: tuple[float, float]
    place: np.ndarray
    line: np.ndarray
    p: np.ndarray
    sigma: np.ndarray
    lines: SlitLines | None = None

    @property
    def ok(self):
        """Whether the slit is identified."""
        return self.status == "ok"

    def wavelength(self, p):
        """Return the wavelength, Å, at columns p, px; NaN more than 5 % of the frame outside."""
        p = np.asarray(p, float)
        value = chebyshev.chebval(2.0 * p / (self.length - 1) - 1.0, self.coefficients)
        first, last = self._reach
        return np.where((p >= first) & (p <= last), value, np.nan)

    def column(self, wavelength):
        """Return the column, px, of wavelengths, Å: the inverse of `wavelength`."""
        wavelength = np.asarray(wavelength, float)
        if not np.isfinite(self._reach[0]):
            return np.full(wavelength.shape, np.nan)
        grid = np.linspace(*self._reach, _GRID)
        p = np.interp(wavelength, self.wavelength(grid), grid, left=np.nan, right=np.nan)
        slope = chebyshev.chebder(self.coefficients) * 2.0 / (self.length - 1)
        for _ in range(3):
            x = 2.0 * p / (self.length - 1) - 1.0
            miss = wavelength - chebyshev.chebval(x, self.coefficients)
            p = p + miss / chebyshev.chebval(x, slope)
        return p

    @property
    def _reach(self):
        margin = 0.05 * self.length
        return self.domain[0] - margin, self.domain[1] + margin


@dataclass(frozen=True)
class Identification:
    """What `identify` found.

    Attributes
    ----------
    slits : mapping of str to SlitWavelengths
        Every slit that has a spectrum.
    status, reason : str
        ``"ok"``, ``"not identified"`` or ``"no lines"`` for the whole, and why.
    flip_u : bool
        Whether the mask is mirrored along the dispersion; False where it cannot be told.
    fwhm : float
        Width of the lines, px.
    medium : str
        ``"air"`` or ``"vacuum"``: that of the catalogue.
    score, contrast : float
        Log-likelihood above chance, and its lead over the best different solution.
    explained : float
        Share of the brightest peaks (20 a slit at most) that are lines of the catalogue, in
        the median slit.
    held_out : float
        Robust rms of lines about the fit to all the others, px.
    """

    slits: Mapping[str, SlitWavelengths]
    status: str
    reason: str
    flip_u: bool
    fwhm: float
    medium: str
    score: float = np.nan
    contrast: float = np.nan
    explained: float = np.nan
    held_out: float = np.nan

    @property
    def ok(self):
        """Whether any slit is identified."""
        return self.status == "ok"


def identify(arcs, traces, instrument, catalog):
    """Identify the lines of an arc in all slits at once.

    Parameters
    ----------
    arcs : ArcSpectra
    traces : Traces
    instrument : Instrument
        Its linear dispersion may be off by 6 %, the position of its reference wavelength by
        15 % of the frame; the dispersion may change by 40 % from the middle to an end.
    catalog : LineCatalog
        Lines that the arc may show. Some may be absent, and others there that it lacks.

    Returns
    -------
    Identification

    Raises
    ------
    InputError
        If the catalogue has no line that could fall on the frame.
    """
    prior, names = _prior(arcs, traces, instrument)
    trials = [replace(prior, bend=bend) for bend in BENDS]
    tables = [_lines(catalog, trial) for trial in trials]
    found = _peaks(arcs, names, prior)
    peaks = {flip: PeakTable.from_peaks(f, arcs.fwhm, _PEAKS, _FEWEST_PEAKS)
             for flip, f in found.items()}  # fmt: skip
    count = {flip: np.bincount(table.slit, minlength=len(names)) for flip, table in peaks.items()}
    if max(n.max(initial=0) for n in count.values()) < _LINES:
        reason = f"no slit shows the {_LINES} lines that an identification needs"
        return _nothing(names, "no lines", reason, prior, arcs, catalog)
    for trial, lines in zip(trials, tables, strict=True):
        verdict = search(peaks, lines, trial, arcs.fwhm)
        explained = _explained(verdict.best.line, verdict.peaks)
        reason = _doubt(verdict, explained)
        if not reason:
            break
    flip = verdict.best.flip_u
    trusted = verdict.agreed & (verdict.best.line >= 0)
    table, fitted = verdict.peaks, [None] * len(names)
    verified = None if reason else verify(verdict.best, verdict.peaks, lines, trusted, arcs.fwhm)
    if verified is not None:
        spectra = [arcs.by_flip[flip].get(name) for name in names]
        spectra = [s if s is not None and s.good.any() else None for s in spectra]
        verified, table, fitted = refine(verified, spectra, found[flip], lines, arcs.fwhm)
    reason = reason or _unconfirmed(verified)
    if reason:
        return _nothing(
            names, "not identified", reason, prior, arcs, catalog,
            score=verdict.best.score, contrast=verdict.contrast, explained=explained,
        )  # fmt: skip
    slits = {
        name: _slit(i, verified, table, lines, count[flip][i], fitted[i])
        for i, name in enumerate(names)
    }
    ok = any(slit.ok for slit in slits.values())
    return Identification(
        slits, "ok" if ok else "not identified", "" if ok else next(iter(slits.values())).reason,
        flip, arcs.fwhm, catalog.medium, verdict.best.score, verdict.contrast,
        explained, verified.rms,
    )  # fmt: skip


def _prior(arcs, traces, instrument):
    """Collect the nominal values; the slits are those that have a spectrum in either flip."""
    names = [name for name in traces.mask if any(name in spectra for spectra in arcs.by_flip)]
    scale = scale_along(traces.mask, instrument)
    middle = [traces.mask[name].curve(0.5) for name in names]
    u = np.array([instrument.direction.canonical_mask(*point)[0] for point in middle], float)
    length, height = instrument.direction.split(instrument.xpixels, instrument.ypixels)
    middle = 0.5 * (length - 1)
    row = np.array([float(traces.q(name, 0.5, middle)) for name in names]) - 0.5 * (height - 1)
    prior = Prior(instrument.linear_dispersion, instrument.reference_lambda, scale * u, row, length)
    return prior, names


def _lines(catalog, prior):
    """Return the lines of the catalogue that the nominal values allow on the frame."""
    first, last = prior.span()
    lines = LineTable.from_catalog(catalog, first, last)
    if not len(lines.wavelength):
        raise InputError(
            f"no catalogue line between {first:.0f} and {last:.0f} Å",
            "The instrument's nominal values put these wavelengths on the frame.",
            "Check linear_dispersion and reference_lambda, and the unit of the catalogue.",
        )
    return lines


def _peaks(arcs, names, prior):
    """Find the peaks of each slit, for the flips that can be told apart."""
    flips = {}
    for flip, spectra in enumerate(arcs.by_flip):
        tilted = arcs.by_flip[0] is not arcs.by_flip[1]
        if flip and not tilted and np.ptp(prior.offset) < prior.blur:
            continue
        flips[bool(flip)] = [
            find_peaks(spectra[name], arcs.fwhm) if name in spectra else None for name in names
        ]
    return flips


def _explained(line, peaks):
    """Share of the brightest peaks that have a line, in the median slit: some are dark."""
    bright = peaks.grade < 2
    n = np.bincount(peaks.slit[bright])
    known = np.bincount(peaks.slit[bright], line[bright] >= 0)
    return float(np.median(known[n > 0] / n[n > 0]))


def _doubt(verdict, explained):
    """Say why the solution of the vote is not to be trusted; nothing where it is."""
    if not np.isfinite(verdict.best.score):
        return "no solution has wavelength growing along the whole frame"
    chance = _CHANCE + _CHANCE_PER_PEAK * len(verdict.peaks.p)
    if verdict.best.score < chance:
        return (
            f"the lines fit no better than a wrong lamp may by chance (log-likelihood "
            f"{verdict.best.score:.0f}, {chance:.0f} needed)"
        )
    if verdict.contrast < _CONTRAST:
        return (
            f"another solution is nearly as likely (log-likelihood lower by "
            f"{verdict.contrast:.1f}, {_CONTRAST:g} needed)"
        )
    if explained < _EXPLAINED:
        return f"the catalogue explains only {explained:.0%} of the brightest peaks"
    return ""


def _unconfirmed(verified):
    """Say why the lines do not confirm the solution; nothing where they do."""
    if verified is None or len(np.unique(verified.line[verified.used])) < _LINES:
        return f"fewer than {_LINES} lines are confirmed by the others"
    if verified.rms > _HELD_OUT:
        return (
            f"the bright lines lie {verified.rms:.2f} px from where the others put them, "
            f"more than {_HELD_OUT} px"
        )
    return ""


def _slit(i, verified, peaks, lines, n_peaks, fitted):
    """Judge one slit."""
    series, length = verified.fitted.solution.coefficients[i], verified.fitted.solution.length
    mine = verified.used & (peaks.slit == i)
    line = lines.wavelength[verified.line[mine]]
    order = np.argsort(line)
    found = line[order], peaks.p[mine][order], peaks.sigma[mine][order]
    known, status, reason = None, "ok", ""
    if n_peaks < _FEWEST_PEAKS:
        status, reason = "no lines", f"{n_peaks} peaks, {_FEWEST_PEAKS} needed"
    elif len(line) < _FEWEST_LINES:
        status = "not identified"
        reason = f"{len(line)} of its {n_peaks} peaks are lines of the solution"
    else:
        grid = np.linspace(0, length - 1, _GRID)
        trusted = verified.sigma(np.full(_GRID, i), grid) < _KNOWN
        known = _around(trusted, grid, np.median(found[1]))
        if known is None:
            status, reason = "not identified", _VAGUE
    place = verified.fitted.solution.place[i]
    return SlitWavelengths(
        status, reason, series, length, known or (np.nan, np.nan), place, *found, fitted
    )


_VAGUE = f"its lines do not determine its wavelengths to {_KNOWN} px"


def _around(known, grid, p):
    """Return the ends of the stretch of True around p; None where p itself is not in one."""
    middle = int(np.argmin(np.abs(grid - p)))
    if not known[middle]:
        return None
    unknown = np.flatnonzero(~known)
    before, after = unknown[unknown < middle], unknown[unknown > middle]
    first = before[-1] + 1 if len(before) else 0
    last = after[0] - 1 if len(after) else len(grid) - 1
    return float(grid[first]), float(grid[last])


def _nothing(names, status, reason, prior, arcs, catalog, **facts):
    """Return an identification that found nothing, with the reason."""
    none = np.empty(0)
    slit = SlitWavelengths(
        status, reason, np.zeros(2), prior.length, (np.nan, np.nan), np.zeros(2), none, none, none
    )
    return Identification(
        dict.fromkeys(names, slit), status, reason, False, arcs.fwhm, catalog.medium, **facts
    )
