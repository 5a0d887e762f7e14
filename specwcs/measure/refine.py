"""From a solution to the same, as good as the spectra allow: crowded lines taken apart.

The wavelengths so far say where each line of the catalogue is, and how well that is known;
the spectra of all slits, modelled with them, say where the lines really are. Light that is
left in many slits at one wavelength is a line that the catalogue lacks: it takes part as one
that may be anywhere near, so that it does not pull the others.
"""

from dataclasses import dataclass

import numpy as np

from specwcs.measure.brightness import expected_brightness
from specwcs.measure.lamp import fit_lamp, fit_profile
from specwcs.measure.solution import GRADES, PeakTable
from specwcs.measure.verify import hold_out_lines, line_distance

__all__ = ["SlitLines", "refine"]

_ROUNDS = 3
# Lines are looked for where their columns are known to this, FWHM.
_KNOWN = 0.3
# How far a line may be from its column however well that is known, px; in the first round, and
# a line that the catalogue lacks, FWHM.
_LEAST, _FIRST, _ANYWHERE = 0.04, 0.1, 0.15
# A line that the catalogue lacks shows in this part of the slits; lines so near, FWHM, are one.
_COMMON, _SAME = 0.4, 0.6
# A position whose error is larger than this, FWHM, says nothing; no error is smaller, px.
_USELESS, _FLOOR = 0.15, 0.01
# Faint lines are this percentile; at equal height they pull a line by this part of the width,
# if they are within this distance, FWHM, of it on both sides together.
_FAINT, _PULL, _PULLED = 20, 0.15, 1.6
# A peak is a line's if it is nearer than so many standard deviations and this, FWHM. A slit
# takes part with so many lines, and this part of its brightest.
_SIGMAS, _OFF = 3.0, 0.25
_FEWEST, _AGREE = 3, 0.35


@dataclass(frozen=True)
class SlitLines:
    """Lines of one slit, those that the catalogue lacks among them; arrays of shape (n,).

    Attributes
    ----------
    line : ndarray of int
        Index in the line table; -1 for a line that it lacks.
    wavelength : ndarray
        Å.
    lamp : SlitLamp
    hidden : ndarray
        Error, px, that lines which nobody sees may make: small beside a bright line.
    """

    line: np.ndarray
    wavelength: np.ndarray
    lamp: object
    hidden: np.ndarray


def refine(verified, spectra, peaks, lines, fwhm):
    """Fit the lines of all slits to the spectra, and the wavelengths to the lines.

    Parameters
    ----------
    verified : Verified
    spectra : sequence of ArcSpectrum or None
        One for each slit.
    peaks : sequence of Peaks or None
        Likewise.
    lines : LineTable
    fwhm : float
        px.

    Returns
    -------
    verified : Verified
    peaks : PeakTable
        The lines as measured, which `verified` refers to.
    slits : list of SlitLines or None
        One for each slit.
    """
    profiles = [
        None if spectrum is None else fit_profile(spectrum, found, fwhm)
        for spectrum, found in zip(spectra, peaks, strict=True)
    ]
    unknown, slits = np.zeros(0), [None] * len(spectra)
    for k in range(_ROUNDS):
        # Peaks are not measured as lines are: where these are skew, all may differ at first.
        least, steps = (_LEAST, 2) if k else (_FIRST * fwhm, 6)
        brightness = expected_brightness(slits, lines, fwhm)
        slits = [
            None if spectrum is None else
            _fit_slit(i, verified, spectrum, profiles[i], lines, unknown, brightness, least, fwhm,
                      steps)
            for i, spectrum in enumerate(spectra)
        ]  # fmt: skip
        table, line = _table(slits, fwhm)
        own = _consistent(verified, table, lines, line, least, fwhm)
        better = hold_out_lines(verified.fitted.solution, table, lines, line, own)
        if better is None:
            return None, table, slits
        before, unknown = unknown, _merge(unknown, _unexplained(slits, better, fwhm), better, fwhm)
        profiles = [slit and slit.lamp.profile for slit in slits]
        settled = k and len(unknown) == len(before) and _same_lines(verified, better)
        verified = better
        if settled:
            break
    return verified, table, slits


def _same_lines(one, other):
    """Whether two solutions rest on the same lines."""
    return np.array_equal(*(np.unique(v.line[v.used]) for v in (one, other)))


def _fit_slit(i, verified, spectrum, profile, lines, unknown, brightness, least, fwhm, steps):
    """Fit the lines of one slit that may be on its spectrum."""
    solution = verified.fitted.solution
    wavelength = np.concatenate([lines.wavelength, unknown])
    line = np.concatenate([np.arange(len(lines.wavelength)), np.full(len(unknown), -1)])
    p = solution.column(i, wavelength)
    near = np.flatnonzero((p > -fwhm) & (p < len(spectrum.flux) - 1 + fwhm))
    sigma = verified.sigma(np.full(len(near), i), p[near])
    known = sigma < _KNOWN * fwhm
    near, sigma = near[known], sigma[known]
    freedom = np.hypot(sigma, np.where(line[near] < 0, _ANYWHERE * fwhm, least))
    expected = brightness.of(i, line[near])
    lamp = fit_lamp(spectrum, p[near], freedom, profile, fwhm, expected, steps)
    hidden = _hidden(lamp.height, line[near] < 0, len(spectrum.flux), fwhm)
    return SlitLines(line[near], wavelength[near], lamp, hidden)


def _hidden(height, unknown, length, fwhm):
    """Estimate the error of positions by lines that the catalogue lacks and no one sees.

    They are as faint as the faintest lines, and as many as were found where they could be.
    """
    lit = height > 0
    faint = np.percentile(height[lit], _FAINT) if lit.any() else 0.0
    chance = min((1 + np.sum(lit & unknown)) * _PULLED * fwhm / length, 1.0)
    relative = np.minimum(faint / np.where(lit, height, 1.0), 1.0)
    return _PULL * fwhm * chance * relative


def _table(slits, fwhm):
    """Join the measured lines of all slits.

    Returns
    -------
    PeakTable
    line : ndarray of int
        Of each peak.
    """
    parts = [(np.zeros(0, int), *np.zeros((3, 0)), np.zeros(0, int), np.zeros(0, int))]
    for i, slit in enumerate(slits):
        if slit is None:
            continue
        lamp = slit.lamp
        sigma = np.sqrt(lamp.sigma**2 + slit.hidden**2 + _FLOOR**2)
        use = np.flatnonzero((slit.line >= 0) & (sigma < _USELESS * fwhm))
        use = use[np.argsort(-lamp.height[use])]
        grade = np.searchsorted(np.cumsum(GRADES), np.arange(len(use)), side="right")
        parts.append((np.full(len(use), i), lamp.p[use], sigma[use], lamp.height[use], grade,
                      slit.line[use]))  # fmt: skip
    *columns, line = (np.concatenate(column) for column in zip(*parts, strict=True))
    return PeakTable(*columns), line


def _consistent(verified, table, lines, line, least, fwhm):
    """Whether peaks are where the solution has their lines; none of a slit whose peaks are not.

    A slit without light of its own shows the lines of others, at other places.
    """
    away = line_distance(verified.fitted.solution, table, lines.wavelength[line])
    error = np.hypot(verified.sigma(table.slit, table.p), np.hypot(table.sigma, least))
    near = np.abs(away) < np.minimum(_SIGMAS * error, _OFF * fwhm)
    for i in np.unique(table.slit):
        mine = table.slit == i
        bright = mine & (table.grade < 2)
        if near[mine].sum() < _FEWEST or near[bright].sum() < _AGREE * bright.sum():
            near[mine] = False
    return near


def _unexplained(slits, verified, fwhm):
    """Return the wavelengths at which many slits have light that no line explains, Å."""
    solution = verified.fitted.solution
    found, slit = [], []
    for i, lines in enumerate(slits):
        if lines is None:
            continue
        p = lines.lamp.unexplained
        p = p[verified.sigma(np.full(len(p), i), p) < _KNOWN * fwhm]
        found.append(solution.wavelength(np.full(len(p), i), p))
        slit.append(np.full(len(p), i))
    if not found:
        return np.zeros(0)
    found, slit = np.concatenate(found), np.concatenate(slit)
    order = np.argsort(found)
    found, slit = found[order], slit[order]
    step = _SAME * fwhm * solution.scale
    groups = np.split(np.arange(len(found)), np.flatnonzero(np.diff(found) > step) + 1)
    common = []
    for group in groups:
        if not len(group):
            continue
        middle = np.median(found[group])
        column = np.array([solution.column(i, middle) for i in range(len(slits))])
        shown = sum(
            s is not None and 0 <= p <= solution.length - 1
            for s, p in zip(slits, column, strict=True)
        )
        if len(np.unique(slit[group])) >= _COMMON * shown:
            common.append(middle)
    return np.array(common)


def _merge(unknown, new, verified, fwhm):
    """Add new wavelengths to those known so far, unless they are the same."""
    step = 0.5 * _SAME * fwhm * verified.fitted.solution.scale
    fresh = [w for w in new if not np.any(np.abs(unknown - w) < step)]
    return np.sort(np.concatenate([unknown, fresh]))
