"""What a flat frame tells: how the light varies along each slit, and how pixels respond.

A flat frame is the lamp's spectrum, which is smooth, times the illumination along the slit,
which is the same at all wavelengths but for a slow change, times the response of each
pixel. The first is of no use; the frame of the night is divided by the other two.
"""

from dataclasses import dataclass, field

import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty

from specwcs.errors import InputError

from .bspline import BSplineFit
from .exposure import variance_of
from .pixels import PhotonNoise, SlitPixels
from .rectify import check_inputs, for_each_slit, warn_skipped

__all__ = ["FlatField", "flat_field"]

_LAMP = 4.0  # px: knots of the lamp's spectrum
_SLIT, _SLOW = 1.0, 12.0  # px along the slit: knots of the illumination, and of its change
_CLIP = 5.0
_ROUNDS = 3
_FAINTEST = 10.0  # signal to noise of a pixel of the lamp, below which nothing is divided
_DEAD, _HOT = 0.3, 2.0  # response of a pixel that is not to be used: less, or more, than these
_INNER = 3.0  # px from the ends of a slit, which cut the light: from there illumination is 1
_RANGE = (0.05, 5.0)  # that an illumination may be in


@dataclass(frozen=True)
class FlatField:
    """What frames are divided by.

    Parameters
    ----------
    response : ndarray, shape (ny, nx)
        Illumination times response of the pixel; 1 where nothing is known, NaN for a pixel that
        is not to be used.
    error : ndarray, shape (ny, nx)
        1 sigma, relative: of what the response of the pixels is not known to.
    scatter : dict of str to float
        How much the pixels' response varies in each slit, rms.
    skipped : dict of str to str
        Why there is none for a slit.
    """

    response: np.ndarray
    error: np.ndarray
    scatter: dict = field(default_factory=dict)
    skipped: dict = field(default_factory=dict)

    def apply(self, frame):
        """Divide a frame.

        Parameters
        ----------
        frame : CCDData

        Returns
        -------
        CCDData
            A new one; pixels that are not to be used are masked.
        """
        if frame.shape != self.response.shape:
            msg = f"the frame's shape is {frame.shape}"
            raise InputError(msg, f"Must be that of the flat, {self.response.shape}.")
        dead, data, sigma = np.isnan(self.response), np.array(frame.data, float), None
        known = frame.uncertainty is not None
        variance = variance_of(frame.uncertainty, np.array) if known else np.empty_like(data)
        for k in range(len(data)):  # row by row: temporaries as large as a frame fill the memory
            response = np.where(dead[k], np.float32(1), self.response[k])
            data[k] /= response
            variance[k] /= response
            variance[k] /= response
            variance[k] += (self.error[k] * data[k]) ** 2
        if known:
            sigma = StdDevUncertainty(np.sqrt(variance, out=variance), copy=False)
        divided = CCDData(
            data,
            unit=frame.unit,
            uncertainty=sigma,
            mask=dead if frame.mask is None else frame.mask | dead,
            meta=frame.meta,
        )
        divided.flags = frame.flags
        return divided


def flat_field(cal, flat, slits=None):
    """Make a flat field of a flat frame.

    Parameters
    ----------
    cal : Calibration
    flat : CCDData
        From `specwcs.read_frame`: of a lamp with a smooth spectrum, or of the twilight.
    slits : list of str, optional
        Ids; by default all slits but the reference ones.

    Returns
    -------
    FlatField

    Raises
    ------
    InputError
        If an id is unknown, or the frame is not that of the instrument.

    Warns
    -----
    SpecwcsWarning
        If slits were skipped: not calibrated, or without light.

    Notes
    -----
    The response of a pixel is pulled towards 1 by as much as the photon noise of the flat is
    larger than what responses vary by, so that a faint flat adds no noise.
    """
    check_inputs(cal, flat)
    noise = PhotonNoise.of(flat)
    response, error = np.ones(flat.shape, np.float32), np.zeros(flat.shape, np.float32)

    def one(slit_id):
        pixels = SlitPixels(cal.geometry(slit_id), cal.instrument, flat, noise)
        return pixels.strip, pixels.inside, *_slit_flat(pixels)

    def keep(done):
        strip, inside, own, sigma, scatter = done
        strip.paste(own, response, inside)
        strip.paste(sigma, error, inside)
        return scatter

    scatter, skipped = for_each_slit(cal, slits, one, keep)
    warn_skipped(skipped)
    return FlatField(response, error, scatter, skipped)


def _slit_flat(pixels):
    """Return response and error of the pixels of a slit, and the scatter of the response."""
    good = pixels.inside & ~pixels.bad
    shape, model = np.ones_like(pixels.data), None
    position = np.where(pixels.inside, pixels.t, 0.0) * np.median(pixels.length)
    u = np.where(pixels.inside, pixels.u, pixels.u[pixels.inside].min())
    for _ in range(_ROUNDS):
        lamp = _fitted(u, pixels.data / shape, _LAMP, good)
        lit = good & (lamp**2 > _FAINTEST**2 * pixels.variance_for(lamp))
        if np.count_nonzero(lit) < np.count_nonzero(good) / 10:
            raise InputError("the flat is too faint", remedy="Take a longer one")
        shape = _illumination(pixels, position, np.where(lit, lamp, 1.0), lit)
        model = lamp * shape
        off = (pixels.data - model) ** 2 / pixels.variance_for(model)
        limit = max(1.0, 2.2 * np.median(off[lit]))
        good &= ~(lit & (off > _CLIP**2 * limit))
    known = pixels.inside & ~pixels.bad & (lamp > 0)
    known &= model**2 > _FAINTEST**2 * pixels.variance_for(model)
    ratio = np.divide(pixels.data, model, out=np.ones_like(model), where=known)
    noise = np.divide(pixels.variance_for(model), model**2, out=np.ones_like(model), where=known)
    spread = max((1.4826 * np.median(np.abs(ratio[known] - 1))) ** 2 - np.median(noise[known]), 0)
    share = spread / (spread + noise)
    # What is far off is no matter of noise: a dead pixel, dust.
    share[(ratio - 1) ** 2 > _CLIP**2 * (spread + noise)] = 1.0
    pixel = np.where(known, 1 + (ratio - 1) * share, 1.0)
    own = np.where((pixel < _DEAD) | (pixel > _HOT), np.nan, pixel * np.where(lamp > 0, shape, 1.0))
    return own, np.where(known, np.sqrt(share * noise), 0.0), float(np.sqrt(spread))


def _fitted(x, values, spacing, where, weights=None):
    spline = BSplineFit(x, spacing)
    spline.add(values, weights, where=where)
    return spline.solve()()


def _illumination(pixels, position, lamp, lit):
    """Illumination along the slit: a free function, and a slow change with wavelength."""
    ratio, weight = pixels.data / lamp, lamp / np.max(lamp[lit])
    shape = _fitted(position, ratio, _SLIT, lit, weight)
    u = np.linspace(-1, 1, shape.shape[1])
    for power in (u, u**2 - 1 / 3):
        miss = np.divide(ratio - shape, power, out=np.zeros_like(shape), where=np.abs(power) > 0.02)
        shape = shape + power * _fitted(position, miss, _SLOW, lit, weight * power**2)
    inner = lit & (pixels.from_ends() >= _INNER)
    if inner.any():
        shape /= np.average(shape[inner], weights=weight[inner])
    return np.clip(shape, *_RANGE)
