"""What an identification is, and how a solution becomes one.

However the solution was found, its lines are held out to confirm it, crowded lines are taken
apart, and each slit is judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev

from specwcs.measure.coverage import explained_lines
from specwcs.measure.refine import SlitLines, refine
from specwcs.measure.solution import PeakTable
from specwcs.measure.verify import verify

__all__ = ["Fewest", "Identification", "SlitWavelengths", "Task"]

_PEAKS = 40  # of a slit, the brightest
# Bright lines lie so close to where the others put them, px, if they are what they seem.
_HELD_OUT = 0.12
# A slit is trusted about its own lines where its wavelength is better known than this, px.
_KNOWN = 0.2
_GRID = 256
# A list that explains fewer of the lines as bright as its own is that of another lamp.
_EXPLAINED = 0.5


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


class Fewest(NamedTuple):
    """What an identification needs: different lines in all, and peaks and lines of a slit."""

    lines: int
    in_slit: int


class Task:
    """The spectra of an arc, and from a solution to their identification.

    Parameters
    ----------
    arcs : ArcSpectra
    names : list of str
        Slits.
    found : dict of bool to list of Peaks or None
        Peaks of the slits, for the flips of the mask that can be told apart.
    medium : str
    length : int
        Columns of the frame.
    fewest : Fewest
    """

    def __init__(self, arcs, names, found, medium, length, fewest):
        self.arcs, self.names, self.found = arcs, names, found
        self.medium, self.length, self.fewest = medium, length, fewest
        self.tables = {flip: PeakTable.from_peaks(peaks, arcs.fwhm, _PEAKS, fewest.in_slit)
                       for flip, peaks in found.items()}  # fmt: skip
        self.count = {
            flip: np.bincount(table.slit, minlength=len(names))
            for flip, table in self.tables.items()
        }

    @property
    def most_peaks(self):
        """Number of peaks of the slit that has most."""
        return max(n.max(initial=0) for n in self.count.values())

    def settle(self, verdict, lines, reason):
        """Confirm a solution by lines held out, take crowded lines apart, and judge the slits.

        Parameters
        ----------
        verdict : Verdict
        lines : LineTable
        reason : str
            Why the solution is not to be trusted; empty where it is.

        Returns
        -------
        Identification
        """
        best, fwhm = verdict.best, self.arcs.fwhm
        facts = {"score": best.score, "contrast": verdict.contrast, "explained": verdict.explained}
        verified = None
        if not reason:
            trusted = verdict.agreed & (best.line >= 0)
            verified = verify(best, verdict.peaks, lines, trusted, fwhm)
        if verified is not None:
            spectra = [self.arcs.by_flip[best.flip_u].get(name) for name in self.names]
            spectra = [s if s is not None and s.good.any() else None for s in spectra]
            verified, table, fitted = refine(
                verified, spectra, self.found[best.flip_u], lines, fwhm
            )
        reason = reason or _unconfirmed(verified, self.fewest.lines)
        if not reason and best.before is None:  # which lamp it is was not known before
            found = self.found[best.flip_u]
            explained = explained_lines(verified, table, fitted, found, _KNOWN, fwhm)
            if explained < _EXPLAINED:
                reason = (
                    f"the catalogue explains only {explained:.0%} of the lines that are as bright "
                    "as those that the solution rests on"
                )
        if reason:
            return self.nothing("not identified", reason, **facts)
        slits = {
            name: self._slit(i, verified, table, lines, self.count[best.flip_u][i], fitted[i])
            for i, name in enumerate(self.names)
        }
        status, reason = "ok", ""
        if not any(slit.ok for slit in slits.values()):
            status, reason = "not identified", next(iter(slits.values())).reason
        facts["held_out"] = verified.rms
        return Identification(slits, status, reason, best.flip_u, fwhm, self.medium, **facts)

    def _slit(self, i, verified, peaks, lines, n_peaks, fitted):
        """Judge one slit."""
        series, length = verified.fitted.solution.coefficients[i], verified.fitted.solution.length
        mine = verified.used & (peaks.slit == i)
        line = lines.wavelength[verified.line[mine]]
        order = np.argsort(line)
        found = line[order], peaks.p[mine][order], peaks.sigma[mine][order]
        known, status, reason = None, "ok", ""
        if n_peaks < self.fewest.in_slit:
            status, reason = "no lines", f"{n_peaks} peaks, {self.fewest.in_slit} needed"
        elif len(line) < self.fewest.in_slit:
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

    def nothing(self, status, reason, **facts):
        """Return an identification that found nothing, with the reason."""
        none = np.empty(0)
        slit = SlitWavelengths(
            status, reason, np.zeros(2), self.length, (np.nan, np.nan), np.zeros(2),
            none, none, none,
        )  # fmt: skip
        return Identification(
            dict.fromkeys(self.names, slit), status, reason, False, self.arcs.fwhm, self.medium,
            **facts,
        )  # fmt: skip


def _unconfirmed(verified, fewest):
    """Say why the lines do not confirm the solution; nothing where they do."""
    if verified is None or len(np.unique(verified.line[verified.used])) < fewest:
        return f"fewer than {fewest} lines are confirmed by the others"
    if verified.rms > _HELD_OUT:
        return (
            f"the bright lines lie {verified.rms:.2f} px from where the others put them, "
            f"more than {_HELD_OUT} px"
        )
    return ""


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
