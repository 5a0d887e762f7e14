"""Where the wavelengths of each slit are known: about its lines, as far as the errors allow."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from specwcs.measure.edges import BINS
from specwcs.models.field import scale
from specwcs.models.slit import TraceShape

__all__ = [
    "KNOWN",
    "SINGLE",
    "doubt",
    "edge_errors",
    "known_ranges",
    "left_alike",
    "longest_known",
    "trace_rows",
    "wavelength_rows",
]

KNOWN = 0.11
"""px: a wavelength, or an edge, is known where its 1 sigma error is no more."""

SINGLE = 0.12
"""px: nor is it where a single line, or edge, decides by more: it may be another, or two."""

_TIMES = 3.0  # or than so many times that at the slit's own lines, where a hand put them
# Times the doubt beyond a slit's own lines, and its edges: there the model's shape is not tested.
_BEYOND = 3.0
# So many neighbouring lines that are off alike by more than so many errors of their median, which
# has that error in units of a mean's, are not off by chance.
_NEIGHBOURS, _SURELY, _MEDIAN = 5, 2.0, 1.25
_GAP = 2.0  # times the doubt at which it ends, between stretches that are known
_GRID = 128
_EDGE_GRID = 33
_UNSEEN = 1.0  # px: the least error of an edge that was not seen
_SURE = 3.0  # sigma from the frame: an edge is off it


def wavelength_rows(opt, ids, local, slit, t, wavelength):
    """Return the rows of the design matrix of IDS in a slit, of its local terms too.

    Parameters
    ----------
    opt : OpticalModel
    ids : DispersionModel
    local : LocalTerms
    slit : Slit
    t, wavelength : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n, p)
        For the covariance ``"ids"`` of a calibration.
    """
    rows = ids.fit_deriv(*opt(*slit.curve(t)), wavelength)
    own = local.columns(np.full(len(rows), slit.id), scale(wavelength, ids.domain), t)
    return np.hstack([rows, *own])


def trace_rows(opt, crv, local, slit, t, d):
    """Return the rows of the design matrix of CRV in a slit, of its local terms too.

    Parameters
    ----------
    opt : OpticalModel
    crv : CurvatureModel
    local : LocalTerms
    slit : Slit
    t, d : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n, p)
        For the covariance ``"crv"`` of a calibration.
    """
    rows = crv.fit_deriv(*opt(*slit.curve(t)), d)
    own = local.columns(np.full(len(rows), slit.id), 2.0 * t - 1.0, t)
    return np.hstack([rows, *own])


def doubt(sigma, decided=None):
    """Return how little is known of wavelengths, or edges, in parts of what may be.

    Parameters
    ----------
    sigma : ndarray, shape (n,)
        1 sigma errors, px.
    decided : ndarray, shape (n, m), optional
        By how much each of single lines, or edges, decides, px; NaN where the others do not tell
        it at all.

    Returns
    -------
    ndarray, shape (n,)
        1 where it is just known.
    """
    if decided is None:
        return sigma / KNOWN
    most = np.max(np.abs(decided), axis=1, initial=0.0)
    return np.maximum(sigma / KNOWN, np.where(np.isnan(most), np.inf, most) / SINGLE)


def known_ranges(mask, opt, ids, lines):
    """Find the wavelengths between which each slit is calibrated.

    Parameters
    ----------
    mask : Mask
    opt : OpticalModel
    ids : ModelFit
    lines : QTable
        The line markers that were used: slit and wavelength.

    Returns
    -------
    dict of str to tuple of float
        (low, high), Å, of each slit that has lines; the whole domain where no covariance is
        known, (nan, nan) where even at the slit's lines nothing is sure.
    """
    slits, covariance = np.asarray(lines["slit"]), ids.covariance["ids"]
    grid = np.linspace(*ids.model.domain, _GRID)
    t = np.array([0.0, 0.5, 1.0])
    ranges = {}
    for key in np.unique(slits):
        if not np.all(np.isfinite(covariance)):
            ranges[str(key)] = tuple(ids.model.domain)
            continue
        own = np.unique(lines["wavelength"].value[slits == key])
        where = np.repeat(t, _GRID), np.tile(grid, len(t))
        rows = wavelength_rows(opt, ids.model, ids.local, mask[str(key)], *where)
        sigma = np.sqrt(np.maximum(np.einsum("np,np->n", rows @ covariance, rows), 0.0))
        decided = None if ids.changes is None else rows @ ids.changes.T
        doubts = doubt(sigma, decided).reshape(len(t), _GRID).max(axis=0)
        if decided is None:  # by hand, as well as a hand can
            doubts /= max(1.0, _TIMES * np.median(np.interp(own, grid, doubts)))
        else:
            doubts[(grid < own[0]) | (grid > own[-1])] *= _BEYOND
        ranges[str(key)] = _around(grid, doubts, own)
    return ranges


def left_alike(lines):
    """Find the neighbouring lines of a slit that are most off the model, all alike.

    Parameters
    ----------
    lines : QTable
        Their markers, with residuals.

    Returns
    -------
    off : float
        px, as far as it is more than their scatter about a straight line tells.
    ends : tuple of float
        Wavelengths of the first and the last of them.
    """
    wavelength, residual = lines["wavelength"].value, lines["residual"].value
    own = np.unique(wavelength)
    if len(own) < _NEIGHBOURS:
        return 0.0, (np.nan, np.nan)
    left = np.array([np.median(residual[wavelength == w]) for w in own])
    runs = sliding_window_view(left, _NEIGHBOURS)
    middle, place = np.median(runs, axis=1), np.arange(_NEIGHBOURS) - (_NEIGHBOURS - 1) / 2
    line = middle[:, np.newaxis] + np.outer(runs @ place / (place @ place), place)
    scatter = 1.4826 * np.median(np.abs(runs - line), axis=1)
    off = np.abs(middle) - _SURELY * _MEDIAN * scatter / np.sqrt(_NEIGHBOURS)
    worst = int(np.argmax(off))
    return float(max(off[worst], 0.0)), (float(own[worst]), float(own[worst + _NEIGHBOURS - 1]))


def edge_errors(mask, opt, crv, ids, statuses, instrument, shown, laid, beyond):
    """Find how well the edges of each slit are known, as far as its wavelengths are.

    Parameters
    ----------
    mask : Mask
    opt : OpticalModel
    crv, ids : ModelFit
    statuses : dict of str to SlitStatus
    instrument : Instrument
    shown, laid, beyond : QTable
        Markers of edges that were seen, that were not, and that were seen to be beyond the frame.

    Returns
    -------
    dict of str to (ndarray, shape (n,), ndarray, shape (2, n))
        Of the slits that are ok: wavelengths, Å, and the 1 sigma errors of both edges at them,
        px; three times that beyond where the edge was seen, for the same reason as beyond lines;
        0 where it is off the detector for sure.
    """
    covariance, direction = crv.covariance["crv"], instrument.direction
    if not np.all(np.isfinite(covariance)):
        return {}
    ny, nx = instrument.shape
    width = np.ceil(direction.split(nx, ny)[0] / BINS)  # bins are of whole columns
    found = {}
    for key, slit in mask.items():
        if not statuses[key].ok:
            continue
        known = statuses[key].known
        wavelength = np.linspace(
            *(known if np.isfinite(known[0]) else ids.model.domain), _EDGE_GRID
        )
        shape = TraceShape.from_models(opt, crv.model, slit, direction)
        errors = []
        for t in (np.zeros(_EDGE_GRID), np.ones(_EDGE_GRID)):
            d = ids.model(*opt(*slit.curve(t)), wavelength)
            x, y = shape.pixel_from_trace(d, t)
            rows = trace_rows(opt, crv.model, crv.local, slit, t, d)
            variance = np.einsum("np,np->n", rows @ covariance, rows)
            sigma = np.sqrt(np.maximum(variance, 0.0))
            off = np.maximum(np.maximum(-x, x - nx + 1), np.maximum(-y, y - ny + 1)) - 0.5
            seen, unseen, seen_off = (
                table[(table["slit"] == key) & (table["t"] == t[0])]
                for table in (shown, laid, beyond)
            )
            off, along = off >= _SURE * sigma, direction.split(x, y)[0]
            if len(seen):
                places = _along(seen, direction)
                past = np.maximum(places.min() - along, along - places.max()) > 0.5 * width
                sigma = np.where(past, _BEYOND * sigma, sigma)
            if len(seen_off):  # the light tells more than nominal values
                near = _near(along, _along(seen_off, direction), width)
                off = near | (off & (len(unseen) == 0))
            sigma = np.where(len(unseen) > 0, np.maximum(sigma, _UNSEEN), sigma)
            errors.append(np.where(off, 0.0, sigma))
        found[key] = wavelength, np.array(errors)
    return found


def _along(markers, direction):
    """Place of markers along the dispersion, px."""
    x, y = (np.asarray(markers[name], float) for name in ("x", "y"))
    return direction.split(x, y)[0]


def _near(along, places, width):
    """Whether points lie in the bins, of a width, about places."""
    return np.any(np.abs(along[:, np.newaxis] - places) <= 0.5 * width, axis=1)


def longest_known(wavelength, doubts):
    """Find the longest stretch of wavelengths in which all is known.

    Parameters
    ----------
    wavelength : ndarray, shape (n,)
    doubts : ndarray, shape (n,)
        How little is known there, see `doubt`. A gap in which it is not much larger than 1 ends
        no stretch.

    Returns
    -------
    tuple of float
        (low, high); equal where it is nowhere.
    """
    best = 0, 0
    good = np.concatenate([[False], doubts <= _GAP, [False]])
    starts, ends = (np.flatnonzero(good[1:] & ~good[:-1]), np.flatnonzero(good[:-1] & ~good[1:]))
    for start, end in zip(starts, ends, strict=True):
        known = start + np.flatnonzero(doubts[start:end] <= 1)
        if len(known) and known[-1] - known[0] > best[1] - best[0]:
            best = known[0], known[-1]
    if best[0] == best[1]:
        return float(wavelength[best[0]]), float(wavelength[best[0]])
    return _where(wavelength, doubts, best[0], -1), _where(wavelength, doubts, best[1], 1)


def _where(grid, doubts, end, step):
    """Return where the doubt rises above 1 beyond the last point of a grid within it."""
    after = end + step
    if not 0 <= after < len(grid):
        return float(grid[end])
    part = (1 - doubts[end]) / (doubts[after] - doubts[end])
    return float(grid[end] + np.clip(part, 0.0, 1.0) * (grid[after] - grid[end]))


def _around(grid, doubts, own):
    """Return the ends of the stretch about the surest of a slit's lines with a doubt below 1.

    It goes on beyond a gap in which the doubt is not much larger. NaN where no line is sure.
    """
    places = np.argmin(np.abs(grid - own[:, None]), axis=1)
    start = places[np.argmin(doubts[places])]
    if not doubts[start] <= 1:
        return np.nan, np.nan
    ends = []
    for step in (-1, 1):
        end = reached = start
        while 0 <= reached + step < len(grid) and doubts[reached + step] <= _GAP:
            reached += step
            if doubts[reached] <= 1:
                end = reached
        ends.append(_where(grid, doubts, end, step))
    return tuple(ends) if ends[0] < ends[1] else (np.nan, np.nan)
