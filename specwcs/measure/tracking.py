"""Follow the lines of one slit from its middle to its ends."""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from specwcs.measure.centroid import Centroids, centroid

__all__ = ["Track", "follow", "positions"]

# Rows between two measurements along a slit, and the fewest of them; what stays clear of the
# slit's ends, rows, and the most of a short slit. Where lines are tilted, that is more by so much
# of their width times the tilt: light that an end cuts is missing on one side of them.
_SPACING, _FEWEST, _MARGIN, _SHORT, _CUT = 9.0, 5, 2.5, 0.3, 0.5
# Degrees of the lines' shift in the column and along the slit.
_DEGREE_P, _DEGREE_T = 2, 3
_CLIP = 4.0
# Measurements at most, and the change of the shift, px, after which the last one does.
_ROUNDS, _STEADY = 3, 0.05
# S/N of the lines that lead the way.
_LEADER = 15.0


@dataclass(frozen=True)
class Track:
    """Positions of the lines of one slit; arrays of shape (n_t, n_lines).

    Attributes
    ----------
    t : ndarray, shape (n_t,)
    q : ndarray
        Row, px.
    centroids : Centroids
    shift : ndarray
        Smooth part of how the line moves along the slit, px: 0 at t = 0.5.
    rows : int
        That a measurement takes.
    """

    t: np.ndarray
    q: np.ndarray
    centroids: Centroids
    shift: np.ndarray
    rows: int


def positions(top, bottom, last, cut=0.0):
    """Choose where along a slit to measure, so that all of its light is used, and once.

    Parameters
    ----------
    top, bottom : float
        Rows of the slit's ends t = 0 and t = 1.
    last : int
        Row of the frame; the part of the slit that is beyond it, or below 0, is left out.
    cut : float, optional
        Rows at the ends in which a tilted slit is cut.

    Returns
    -------
    t : ndarray
        Of the middles; t = 0.5 is among them.
    rows : int
        That each measurement takes.
    """
    height = top - bottom
    margin = min(_MARGIN + cut, _SHORT * height)
    inner = height - 2 * margin
    count = min(max(int(height / _SPACING), _FEWEST) | 1, int(max(inner - 1, 0)) | 1)
    rows = max(int(inner / count), 1)
    t = (margin + inner * (np.arange(count) + 0.5) / count) / height
    half, q = (rows - 1) / 2, top - t * height
    return t[(q > half) & (q < last - half)], rows


def follow(frame, traces, name, p, tilt, fwhm):
    """Measure lines along a slit, from the middle outward.

    Parameters
    ----------
    frame : tuple of ndarray
        Image, variance and usability in the canonical frame.
    traces : Traces
    name : str
        The slit.
    p : ndarray, shape (n_lines,)
        Columns of the lines at t = 0.5, px.
    tilt : callable
        Nominal shift along the dispersion, px, as a function of t.
    fwhm : float
        px.

    Returns
    -------
    Track or None
        None where the slit has no row on the frame.
    """
    ends = [float(np.median(traces.q(name, t, p))) for t in (0.0, 1.0)]
    lean = abs((tilt(0.0) - tilt(1.0)) / (ends[0] - ends[1]))
    t, rows = positions(*ends, frame[0].shape[0] - 1, _CUT * lean * fwhm)
    if not len(t):
        return None
    shift = _lead(frame, traces, name, p, t, tilt, rows, fwhm)
    for _ in range(_ROUNDS):
        at, slope, q = _predict(traces, name, p, t, shift)
        found = _measure(frame, q, at, slope, rows, fwhm)
        before, shift = shift, _smooth_shift(found, p, t, shift)
        if np.max(np.abs(shift - before), initial=0.0) < _STEADY:
            break
    return Track(t, q, found, shift, rows)


def _predict(traces, name, p, t, shift):
    """Columns, slopes dp/dq and rows of the lines at each t."""
    at = p + shift
    q = traces.q(name, t[:, None], at)
    if len(t) < 2:
        return at, np.zeros_like(at), q
    return at, np.gradient(at, axis=0) / np.gradient(q, axis=0), q


def _measure(frame, q, at, slope, rows, fwhm):
    flat = centroid(*frame, q.ravel(), at.ravel(), slope=slope.ravel(), rows=rows, fwhm=fwhm)
    return Centroids(*(getattr(flat, name).reshape(q.shape) for name in flat.__dataclass_fields__))


def _lead(frame, traces, name, p, t, tilt, rows, fwhm):
    """Follow all lines together, step by step: shift, shape (n_t, n_lines).

    Every step starts from the tilt of the mask and the shift of the step before, with its
    trend; the new shift is the median over the lines, so that no line is lost alone.
    """
    nominal = tilt(t) - tilt(0.5)
    extra = np.zeros((len(t), 1))
    middle = int(np.argmin(np.abs(t - 0.5)))
    for side in (1, -1):
        trend, last = 0.0, 0.0
        for k in range(middle if side > 0 else middle - 1, len(t) if side > 0 else -1, side):
            guess = last + (trend if k != middle else 0.0)
            at = p + nominal[k] + guess
            q = traces.q(name, t[k], at)
            slope = _nominal_slope(traces, name, p, t, nominal, k, trend * side)
            found = _measure(frame, q[None], at[None], slope[None], rows, fwhm)
            leaders = (found.snr[0] > _LEADER) & np.isfinite(found.p[0])
            miss = float(np.median((found.p[0] - at)[leaders])) if leaders.any() else 0.0
            if k != middle:
                trend = 0.5 * trend + 0.5 * (guess + miss - last)
            last = guess + miss
            extra[k] = last
    extra -= extra[middle]
    return nominal[:, None] + extra + np.zeros(len(p))


def _nominal_slope(traces, name, p, t, nominal, k, trend):
    """Return the slope dp/dq at step k: that of the mask's tilt and of the trend so far."""
    if len(t) < 2:
        return np.zeros(len(p))
    a, b = max(k - 1, 0), min(k + 1, len(t) - 1)
    drop = traces.q(name, t[b], p) - traces.q(name, t[a], p)
    return (nominal[b] - nominal[a] + trend * (b - a)) / drop


def _smooth_shift(found, p, t, shift):
    """Fit the shift of the clear lines by a polynomial in t and p; robustly."""
    if len(t) < 2:  # the slit is nearly off the frame
        return shift
    weight = ((found.snr > _LEADER) & np.isfinite(found.p) & (found.good > 0.8)).astype(float)
    scale = np.ptp(p) or 1.0
    x = 2 * (p - p.min()) / scale - 1
    s = 2 * t - 1
    degree_t = min(_DEGREE_T, len(t) - 1)
    basis_t = chebyshev.chebvander(s, degree_t) - chebyshev.chebvander(np.zeros(1), degree_t)
    degree_p = min(_DEGREE_P, np.sum(weight.any(axis=0)) // 4)
    basis_p = chebyshev.chebvander(x, degree_p)
    terms = np.einsum("tj,pk->tpjk", basis_t[:, 1:], basis_p).reshape(len(t), len(p), -1)
    # Each line has its own position at t = 0.5.
    own = np.broadcast_to(np.eye(len(p)), (len(t), len(p), len(p)))
    design = np.concatenate([own, terms], axis=2).reshape(len(t) * len(p), -1)
    target = np.where(np.isfinite(found.p), found.p - p, 0.0).ravel()
    base = weight.ravel()
    if base.sum() < design.shape[1]:
        return shift
    w = base
    for _ in range(4):
        normal = (design * w[:, None]).T @ design
        normal[np.diag_indices_from(normal)] += 1e-6
        value = np.linalg.solve(normal, design.T @ (w * target))
        residual = target - design @ value
        spread = 1.4826 * np.median(np.abs(residual[base > 0])) + 1e-3
        w = base / (1.0 + (residual / (_CLIP / 2 * spread)) ** 2)
    return (terms.reshape(-1, terms.shape[2]) @ value[len(p) :]).reshape(shift.shape)
