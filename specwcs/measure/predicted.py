"""Lines whose places are known but for a shift: of a night's arc, or of the sky.

Nothing is identified anew. One shift of all slits together is found by laying the expected
lines on the spectra; then each line is followed along its slit.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from specwcs.measure.peaks import continuum, filled
from specwcs.measure.tracking import follow

__all__ = ["Expected", "Found", "edge_miss", "find_shift", "measure_expected", "stands_out"]

# Farthest shift looked for, px, and its steps.
_FARTHEST, _STEP = 30.0, 0.25
# The light at the best shift against that at others, beyond this many FWHM.
_CONTRAST, _AWAY = 1.2, 2.0
# Rows on either side of an edge that are looked at, and their steps, px; how much of them is
# taken for inside and for outside; and by how much the inside must be brighter, in noise.
_ROWS, _ROW_STEP, _END, _CLEAR = 7.0, 0.25, 0.35, 8.0
# What a measurement needs; see `specwcs.measure.lines`.
_SNR, _GOOD, _SKEW, _WIDTH = 5.0, 0.7, 0.35, (0.6, 1.5)
# A point is off its line, or a line off the others, beyond this many standard deviations and px.
_SIGMAS, _LEAST = 4.0, 0.15


@dataclass(frozen=True)
class Expected:
    """The lines of one slit that are looked for; arrays of shape (n,).

    Attributes
    ----------
    wavelength : ndarray
        Å.
    p : ndarray
        Columns at t = 0.5 by the calibration, px.
    weight : ndarray
        How bright they should be, relative to others.
    """

    wavelength: np.ndarray
    p: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Found:
    """Points of lines in one slit; arrays of shape (n,), in the canonical frame.

    Attributes
    ----------
    wavelength : ndarray
        Å.
    t, p, q, sigma : ndarray
        Place in the slit; column, row and error of the column, px.
    """

    wavelength: np.ndarray
    t: np.ndarray
    p: np.ndarray
    q: np.ndarray
    sigma: np.ndarray


def find_shift(spectra, expected, fwhm):
    """Find by how much the lines of all slits moved along the dispersion.

    Parameters
    ----------
    spectra : mapping of str to ArcSpectrum
    expected : mapping of str to Expected
    fwhm : float
        px.

    Returns
    -------
    shift : float
        px.
    contrast : float
        The light found at this shift over that at the best different one; a shift stands out
        above `_CONTRAST`.
    """
    shifts = np.arange(-_FARTHEST, _FARTHEST + _STEP, _STEP)
    light = np.zeros(len(shifts))
    for name, lines in expected.items():
        if name not in spectra or not spectra[name].good.any():
            continue
        spectrum = spectra[name]
        flux = filled(spectrum.flux, spectrum.good)
        net = flux - continuum(flux, fwhm)
        noise = np.sqrt(np.median(spectrum.variance[spectrum.good]))
        # Logarithms: one bright line that is not expected must not decide.
        seen = np.log1p(np.maximum(net, 0.0) / (3 * noise))
        column = np.arange(len(seen))
        at = lines.p[:, None] + shifts
        light += lines.weight @ np.interp(at, column, seen, left=0.0, right=0.0)
    if not light.any():
        return 0.0, 0.0
    best = int(np.argmax(light))
    other = np.abs(shifts - shifts[best]) > _AWAY * fwhm
    rest = light - np.median(light)
    return float(shifts[best]), float(rest[best] / max(rest[other].max(), 1e-9 * rest[best]))


def edge_miss(frame, p, q, slope, inward, fwhm):
    """Measure where an edge of a slit is, in the light of its lines.

    Parameters
    ----------
    frame : tuple of ndarray
        Image, variance, and usability, in the canonical frame.
    p, q : ndarray, shape (n,)
        Where the lines meet the edge, as far as is known, px.
    slope : ndarray, shape (n,)
        dp/dq of the lines.
    inward : int
        Sign of the rows that are inside the slit.
    fwhm : float
        px.

    Returns
    -------
    miss, sigma : float
        How many rows the edge is off, and the error, px; NaN where it is not seen.
    """
    image, variance, good = frame
    rows = np.arange(-_ROWS, _ROWS + _ROW_STEP, _ROW_STEP)
    columns = np.arange(-0.4, 0.5, 0.4) * fwhm
    at_q = q[:, None, None] + inward * rows[:, None] + np.zeros(len(columns))
    at_p = p[:, None, None] + slope[:, None, None] * inward * rows[:, None] + columns
    at = np.array([at_q, at_p])
    inside = (at_q > 0) & (at_q < image.shape[0] - 1) & (at_p > 0) & (at_p < image.shape[1] - 1)
    usable = map_coordinates(good.astype(float), at, order=1, cval=0.0) > 0.99
    line = (inside & usable).all(axis=(1, 2))
    if not line.any():
        return np.nan, np.nan
    light = map_coordinates(image, at[:, line], order=1).mean(axis=2)
    noise = np.sqrt(map_coordinates(variance, at[:, line], order=0).mean() / len(columns))
    # Lines are scaled alike, and a cosmic ray on one of them does not count.
    profile = np.median(light, axis=0) if line.sum() > 2 else light.mean(axis=0)
    noise /= np.sqrt(line.sum())
    outer = rows < -_END * _ROWS
    inner = rows > _END * _ROWS
    low, high = np.median(profile[outer]), np.median(profile[inner])
    if not high - low > _CLEAR * noise:
        return np.nan, np.nan
    half = 0.5 * (low + high)
    middle = np.flatnonzero((profile[:-1] < half) & (profile[1:] >= half))
    if len(middle) != 1:
        return np.nan, np.nan
    k = middle[0]
    rise = (profile[k + 1] - profile[k]) / _ROW_STEP
    return float(inward * (rows[k] + (half - profile[k]) / rise)), float(noise / rise + 0.01)


def stands_out(contrast):
    """Whether a shift is told from others."""
    return contrast > _CONTRAST


def measure_expected(frame, traces, name, expected, tilt, fwhm):
    """Measure the lines of one slit, from the middle outward.

    Parameters
    ----------
    frame : tuple of ndarray
        Image, variance, and usability, in the canonical frame.
    traces : Traces
    name : str
        The slit.
    expected : Expected
        With its columns as far as they are known.
    tilt : callable
        Shift along the dispersion, px, as a function of t.
    fwhm : float
        px.

    Returns
    -------
    Found or None
        None where the slit has no row on the frame.
    """
    track = follow(frame, traces, name, expected.p, tilt, fwhm)
    if track is None:
        return None
    found = track.centroids
    with np.errstate(invalid="ignore"):
        good = np.isfinite(found.p) & (found.snr > _SNR) & (found.good > _GOOD)
        good &= np.abs(found.skew) < _SKEW
        good &= (found.width > _WIDTH[0]) & (found.width < _WIDTH[1])
        straight = np.where(good, found.p - track.shift, np.nan)
        for i in range(straight.shape[1]):
            own = straight[:, i]
            if not good[:, i].any():
                continue
            away = np.abs(own - np.nanmedian(own))
            limit = np.hypot(_SIGMAS * found.sigma[:, i], _LEAST)
            good[:, i] &= ~(away > limit)
            # Seen at a few places only, it is a cosmic ray or a part of an object.
            if good[:, i].mean() < 0.5:
                good[:, i] = False
    wavelength = np.broadcast_to(expected.wavelength, found.p.shape)
    t = np.broadcast_to(track.t[:, None], found.p.shape)
    return Found(*(a[good] for a in (wavelength, t, found.p, track.q, found.sigma)))
