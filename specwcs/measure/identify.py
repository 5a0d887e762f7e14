"""Blind identification: the wavelengths of all slits of an arc from nominal values alone.

Steps: peaks → vote over all slits → polish → verify by held-out lines → take crowded lines
apart, and verify again → a verdict for each slit. What cannot be told from its rivals is "not
identified", with the reason.
"""

from dataclasses import replace

import numpy as np

from specwcs.errors import InputError
from specwcs.measure.explore import search
from specwcs.measure.identification import Fewest, Task
from specwcs.measure.peaks import find_peaks
from specwcs.measure.scale import scale_along
from specwcs.measure.solution import LineTable
from specwcs.measure.vote import BENDS, GLASS, SCALES, Prior

__all__ = ["identify"]

# The whole needs such a lead over the best other solution, in natural logarithms of the
# likelihood, and so much of the brightest peaks explained.
_CONTRAST, _EXPLAINED = 5.0, 0.5
# The log-likelihood above chance must exceed what the best of all wrong solutions reaches: the
# logarithm of their number, and a part for each peak that the fit may bend to. In trials with
# wrong lamps on real and painted arcs it stayed below, with right ones it was 1.5 to 5 times this.
_CHANCE, _CHANCE_PER_PEAK = 15.0, 0.5
_FEWEST = Fewest(lines=6, in_slit=3)
# Of so many slits at most, and one, wavelengths may be lost under the right law of the dispersion.
_LOST = 0.1


def identify(arcs, traces, instrument, catalog):
    """Identify the lines of an arc in all slits at once.

    Parameters
    ----------
    arcs : ArcSpectra
    traces : Traces
    instrument : Instrument
        Its linear dispersion may be off by 6 %, the position of its reference wavelength by
        15 % of the frame (of a prism, 8 %); the dispersion may change by 40 % from the middle to
        an end, or, as that of a prism, by a factor of 5 from the blue end to the red one.
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
    trials = [
        replace(prior, bend=bend, scale=scale) for bend, scale in zip(BENDS, SCALES, strict=True)
    ]
    trials.append(replace(prior, bend=GLASS[1], glass=True))
    tables = [_lines(catalog, trial) for trial in trials]
    found = _peaks(arcs, names, prior)
    task = Task(arcs, names, found, catalog.medium, prior.length, _FEWEST)
    if task.most_peaks < _FEWEST.lines:
        reason = f"no slit shows the {_FEWEST.lines} lines that an identification needs"
        return task.nothing("no lines", reason)
    held, failed = [], []
    for trial, lines in zip(trials, tables, strict=True):
        verdict = search(task.tables, lines, trial, arcs.fwhm)
        reason = _doubt(verdict)
        if not reason:
            told = task.settle(verdict, lines, "")
            lost = sum(slit.status == "not identified" for slit in told.slits.values())
            if told.ok and lost <= max(1.0, _LOST * len(told.slits)):
                return told
            # Under another law of the dispersion it may hold, or hold for more slits.
            held += [told] if told.ok else []
            reason = told.reason
        failed.append((verdict, lines, reason))
    if held:
        return max(held, key=lambda one: sum(slit.ok for slit in one.slits.values()))
    return task.settle(*max(failed, key=lambda one: one[0].best.score))


def _prior(arcs, traces, instrument):
    """Collect the nominal values; the slits are those that have a spectrum in either flip."""
    names = [name for name in traces.mask if any(name in spectra for spectra in arcs.by_flip)]
    scale = scale_along(traces.mask, instrument)
    middle = [traces.mask[name].curve(0.5) for name in names]
    u = np.array([instrument.direction.canonical_mask(*point)[0] for point in middle], float)
    length, height = instrument.direction.split(instrument.xpixels, instrument.ypixels)
    middle = 0.5 * (length - 1)
    row = np.array([float(traces.q(name, 0.5, middle)) for name in names]) - 0.5 * (height - 1)
    row = instrument.aspect * row
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


def _doubt(verdict):
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
    if verdict.explained < _EXPLAINED:
        return f"the catalogue explains only {verdict.explained:.0%} of the brightest peaks"
    return ""
