"""How much of what an arc shows a solution explains, fainter lines than it was sought with too.

A list that has some of the lamp's lines may be identified by these, and bend to chance
neighbours where it lacks the others: there, lines as bright as its own are nobody's.
"""

import numpy as np

__all__ = ["explained_lines"]

# Peaks count if they are as bright as the lines that the solution rests on, but for this
# percentage of them; a peak is a line's if it is so near, FWHM.
_FAINT, _OWN = 25, 0.5
_FEWEST = 3  # lines that tell how bright a slit's are
_SAME = 0.6  # FWHM: peaks of several slits that are nearer are one line


def explained_lines(verified, table, slits, peaks, known, fwhm):
    """Return the share of the lines on the frame, where it is solved, that the solution uses.

    Parameters
    ----------
    verified : Verified
    table : PeakTable
        The lines that it refers to.
    slits : sequence of SlitLines or None
        All lines that were looked for in each slit. Peaks of those that are not used count
        neither way: they may be blends.
    peaks : sequence of Peaks or None
        What each slit shows. Those that are saturated count neither way: where the line is, is
        not seen.
    known : float
        px; peaks count where the wavelength is better known than this, 1 sigma.
    fwhm : float
        px.

    Returns
    -------
    float
        1 where no peak counts.
    """
    solution = verified.fitted.solution
    wavelength, found, nobodys = [np.zeros(0)], [np.zeros(0, bool)], [np.zeros(0, bool)]
    for i, (lines, seen) in enumerate(zip(slits, peaks, strict=True)):
        mine = verified.used & (table.slit == i)
        if lines is None or seen is None or mine.sum() < _FEWEST:
            continue
        p = seen.p[(seen.flux >= np.percentile(table.flux[mine], _FAINT)) & ~seen.saturated]
        slit = np.full(len(p), i)
        inside = verified.sigma(slit, p) < known
        p, slit = p[inside], slit[inside]
        lit = (lines.line >= 0) & (lines.lamp.height > 0)
        wavelength.append(solution.wavelength(slit, p))
        found.append(_near(p, table.p[mine], _OWN * fwhm))
        nobodys.append(~_near(p, lines.lamp.p[lit], _OWN * fwhm))
    wavelength, found, nobodys = map(np.concatenate, (wavelength, found, nobodys))
    order = np.argsort(wavelength)
    apart = np.diff(wavelength[order], prepend=-np.inf) > _SAME * fwhm * solution.scale
    line = np.empty(len(order), int)
    line[order] = np.cumsum(apart) - 1
    own, other = (np.bincount(line, weights=kind) for kind in (found, nobodys & ~found))
    counted = np.sum(own != other)
    return float(np.sum(own > other) / counted) if counted else 1.0


def _near(p, places, reach):
    """Whether each of p has one of the places within reach."""
    return (np.abs(p[:, np.newaxis] - places) < reach).any(axis=1)
