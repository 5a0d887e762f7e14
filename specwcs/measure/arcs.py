"""One-dimensional spectra of an arc, one for each slit, made for finding its lines."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from specwcs.measure.peaks import continuum, filled, line_width
from specwcs.measure.scale import scale_along
from specwcs.threads import each

__all__ = ["ArcSpectra", "ArcSpectrum", "arc_spectra"]

_T = (0.15, 0.85)
# Rows that one spectrum takes at most, were they as high as columns are wide: on a long slit the
# curved lines would blur. So few it takes, if it can.
_ROWS, _FEWEST = 41, 3
# Largest misalignment of the two halves of a slit that is looked for, px.
_SHEAR = 6


@dataclass(frozen=True)
class ArcSpectrum:
    """The spectrum in the middle of one slit.

    Attributes
    ----------
    flux, variance : ndarray, shape (nx,)
        Mean over the rows, units of the frame, and its variance.
    good : ndarray of bool, shape (nx,)
        False where fewer than a third of the rows are usable.
    """

    flux: np.ndarray
    variance: np.ndarray
    good: np.ndarray


@dataclass(frozen=True)
class ArcSpectra:
    """The spectra of all slits, for both directions of the mask along the dispersion.

    Attributes
    ----------
    by_flip : tuple of two mappings, str to ArcSpectrum
        For ``flip_u`` False and True; the same object where no slit is tilted.
    fwhm : float
        Width of the lines, px.
    """

    by_flip: tuple[Mapping, Mapping]
    fwhm: float


def arc_spectra(image, variance, mask, traces, instrument):
    """Average an arc frame along each slit, following the slit's tilt.

    The average is that of the middle half of the values at each column, over t = .15 … .85
    and at most 41 rows, as high as columns are wide: a cosmic ray or a bad row does not show.

    Parameters
    ----------
    image, variance : ndarray, shape (ny, nx)
        In the canonical frame.
    mask : ndarray of bool, shape (ny, nx)
        True where a pixel cannot be used.
    traces : Traces
    instrument : Instrument

    Returns
    -------
    ArcSpectra
        Without reference slits, and without slits off the frame.
    """
    frame = np.asarray(image, float), np.asarray(variance, float), np.asarray(mask, bool)
    scale = scale_along(traces.mask, instrument)
    most = max(_ROWS / instrument.aspect, _FEWEST)
    names = [name for name, slit in traces.mask.items() if not slit.reference]
    tilts = {name: scale * _tilt(traces.mask[name], instrument) for name in names}
    spectra = []
    for sign in (1, -1):
        if sign < 0 and not any(np.any(np.abs(tilt) > 0.5) for tilt in tilts.values()):
            spectra.append(spectra[0])
            continue

        def one(name, sign=sign):
            return _spectrum(*frame, traces, name, sign * tilts[name], most)

        found = zip(names, each(one, names), strict=True)
        spectra.append({name: s for name, s in found if s is not None})
    guess = _expected_width(traces.mask, instrument)
    # With the tilts turned the wrong way, lines are smeared.
    width = min(line_width(found.values(), guess) for found in spectra)
    return ArcSpectra(tuple(spectra), width)


_STRAIGHT = 8.0  # px
_KNOTS = np.linspace(0.0, 1.0, 21)


def _tilt(slit, instrument):
    """Where the slit lies along the dispersion relative to its middle, mm, at `_KNOTS`."""
    along = instrument.direction.canonical_mask(*slit.curve(_KNOTS))[0]
    return along - along[len(_KNOTS) // 2]


def _expected_width(mask, instrument):
    """Projected slit width with two pixels of blur, px; 4 where the width is unknown."""
    width = [s.width / instrument.scales[0] for s in mask.values() if s.width and not s.reference]
    return float(np.hypot(np.median(width), 2.0)) if width else 4.0


def _spectrum(image, variance, bad, traces, name, tilt, most):
    """Average one slit over `most` rows; None where it has no row on the frame."""
    ny, nx = image.shape
    p = np.arange(nx, dtype=float)
    ends = [np.median(traces.q(name, t, p)) for t in _T]
    height = ends[0] - ends[1]
    if not np.isfinite(height) or height < 2 or ends[1] > ny - 3 or ends[0] < 2:
        return None
    rows = int(np.clip(height, _FEWEST, most))
    half = 0.5 * (_T[1] - _T[0]) * rows / height
    t = np.linspace(0.5 - half, 0.5 + half, rows)
    shift = np.interp(t, _KNOTS, tilt)
    block = _sample(image, variance, bad, traces, name, t, shift)
    # The tilt from the mask is a nominal one: the optics stretch and shear it.
    shear = _misalignment(*block)
    if abs(shear) > 0.5:
        shift = shift + shear * (t - 0.5) / half
        block = _sample(image, variance, bad, traces, name, t, shift)
    return _middle_mean(*block)


def _sample(image, variance, bad, traces, name, t, shift):
    """Flux, variance and usability along lines of constant t, shape (len(t), nx) each."""
    p = np.arange(image.shape[1]) + shift[:, None]
    # Between a few columns a trace is straight to a thousandth of a pixel.
    coarse = np.arange(p.min(), p.max() + _STRAIGHT, _STRAIGHT)
    nodes = traces.q(name, t[:, None], coarse)
    q = [np.interp(pj, coarse, qj) for pj, qj in zip(p, nodes, strict=True)]
    q = np.where(np.isfinite(q), q, -10.0)
    at = np.array([q, p])
    flux = map_coordinates(image, at, order=1, cval=0.0)
    row, column = np.rint(at).astype(int)
    ny, nx = image.shape
    inside = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
    row, column = np.clip(row, 0, ny - 1), np.clip(column, 0, nx - 1)
    return flux, variance[row, column], inside & ~bad[row, column]


def _middle_mean(flux, variance, usable):
    """Mean of the middle half of the usable values in each column."""
    count = usable.sum(axis=0)
    ordered = np.sort(np.where(usable, flux, np.inf), axis=0)
    rank = np.arange(len(flux))[:, None]
    low, high = count // 4, count - count // 4
    middle = (rank >= low) & (rank < high)
    total = np.sum(np.where(middle, ordered, 0.0), axis=0)
    good = count >= max(2, len(flux) // 3)
    noise = np.sum(np.where(usable, variance, 0.0), axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(good, total / (high - low), 0.0)
        # The mean of the middle half has 1.2 times the variance of the mean of all.
        error = np.where(good, 1.2 * noise / count.astype(float) ** 2, np.inf)
    typical = np.median(error[good]) if good.any() else 0.0
    return ArcSpectrum(mean, np.where(good, error, typical), good)


def _misalignment(flux, variance, usable):
    """Shift, px, by which the lines move from the middle of a slit to its end t = 1."""
    n = len(flux) // 2
    if n < 2:
        return 0.0
    halves = [_middle_mean(flux[s], variance[s], usable[s]) for s in (slice(n), slice(-n, None))]
    if not all(h.good.any() for h in halves):
        return 0.0
    nets = []
    for half in halves:
        net = filled(half.flux, half.good)
        net = np.maximum(net - continuum(net, 4.0), 0.0)
        noise = np.sqrt(np.median(half.variance[half.good]))
        nets.append(np.log1p(net / (5 * noise)))
    lags = np.arange(-_SHEAR, _SHEAR + 1)
    inner = slice(_SHEAR, -_SHEAR)
    match = np.array([np.sum(nets[0][inner] * np.roll(nets[1], -lag)[inner]) for lag in lags])
    best = int(match.argmax())
    if match[best] <= 0 or best in (0, len(lags) - 1):
        return 0.0
    left, middle, right = match[best - 1 : best + 2]
    lag = lags[best] + 0.5 * (right - left) / max(2 * middle - left - right, 1e-12)
    # The middles of the halves are half the slit apart: from the middle to the end is as far.
    return float(lag)
