"""The raw pixels of one slit, with what the calibration says of each, and their noise.

Sky subtraction and extraction work on these: nothing is resampled.
"""

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy import units as u

from specwcs.errors import InputError
from specwcs.wcs.strip import SlitStrip

from .exposure import variance_of

__all__ = ["NEIGHBOUR", "PhotonNoise", "PixelNoise", "SlitPixels", "beside", "grown"]

_SAMPLE = 400_000  # pixels that the relation of variance and signal is found from
_FEWEST = 3
_TOLD = 0.5  # of the noise of the values must be in their variances
_LINEAR = 0.9  # of the scatter of the variances must follow the signal
NEIGHBOUR = 3.0
"""Standard deviations, of a pixel beside a cosmic ray that belongs to it."""
_MIN_COLUMNS = 16  # of a spectrum that can be worked on


@dataclass(frozen=True)
class PhotonNoise:
    """How the variance of a frame grows with its signal.

    The variance of a pixel is taken from its own noisy value; weighted with it, low values
    count more than high ones, and fluxes come out too low by a few per cent. This gives
    the variance for the signal that a model expects.

    Parameters
    ----------
    slope : float
        Variance per unit of signal, 0 where the variance does not follow it.
    """

    slope: float

    @classmethod
    def of(cls, frame):
        """Find the relation in a frame.

        Parameters
        ----------
        frame : CCDData
            With an uncertainty, or none.
        """
        if frame.uncertainty is None or frame.data.size < _FEWEST:
            return cls(0.0)
        first = np.arange(0, frame.data.size - 1, max(1, frame.data.size // _SAMPLE))
        pairs = np.stack([first, first + 1])
        data = np.asarray(frame.data).reshape(-1)[pairs].astype(float)
        variance = variance_of(frame.uncertainty, lambda a: np.array(a.reshape(-1)[pairs], float))
        used = np.isfinite(data) & np.isfinite(variance) & (data > 0)
        if frame.mask is not None:
            used &= ~np.broadcast_to(frame.mask, frame.shape).reshape(-1)[pairs]
        used = used.all(axis=0)
        if used.sum() < _FEWEST:
            return cls(0.0)
        data, variance = data[:, used], variance[:, used]
        x, y = data[0] - data[0].mean(), variance[0] - variance[0].mean()
        xx, xy, yy = x @ x, x @ y, y @ y
        if not (xx > 0 and xy > 0 and xy**2 > _LINEAR * xx * yy):
            return cls(0.0)
        # Neighbours differ by their noise: a variance that does not, is that of the light expected.
        step, own = np.diff(data, axis=0)[0], np.diff(variance, axis=0)[0]
        own, step = (own * np.sign(step))[step != 0], np.abs(step[step != 0])
        told = len(step) == 0 or np.median(own) > _TOLD * xy / xx * np.median(step)
        return cls(float(xy / xx) if told else 0.0)


@dataclass(frozen=True)
class PixelNoise:
    """The variance of pixels by their signal; an index gives that of some of them.

    Parameters
    ----------
    floor : ndarray
        Variance without any signal.
    slope, error : ndarray or float
        Variance per unit of signal; relative error, of the flat field.
    """

    floor: np.ndarray
    slope: np.ndarray | float
    error: np.ndarray | float

    def __getitem__(self, where):
        return self._part(lambda plane: plane[where])

    def take(self, where):
        """Return that of some pixels by their flat indices."""
        return self._part(lambda plane: plane.take(where))

    def _part(self, cut):
        planes = (self.floor, self.slope, self.error)
        return PixelNoise(*(cut(plane) if np.ndim(plane) else plane for plane in planes))

    def __call__(self, model):
        """Return the variance of the pixels for a model of their signal."""
        signal = np.maximum(model, 0.0)
        variance = self.floor
        if np.ndim(self.error) or self.error:
            variance = variance + (signal * self.error) ** 2
        signal *= self.slope
        signal += variance
        return signal


class SlitPixels:
    """The pixels of a slit in the canonical frame, arrays of shape (rows, columns).

    Parameters
    ----------
    geometry : SlitGeometry
    instrument : Instrument
    frame : CCDData
    noise : PhotonNoise
        Of the frame before it was divided by `flat`.
    flat : FlatField, optional
        What the frame was divided by.

    Attributes
    ----------
    strip : SlitStrip
    wavelength, t, u : ndarray
        Angstrom; position in the slit; the column of the same wavelength in its middle.
    data, variance : ndarray
        Of the frame; the variance is 1 where it has none.
    bad : ndarray of bool
        Masked, or not finite.
    in_slit : ndarray of bool
        In the slit, and on the frame.
    inside : ndarray of bool
        Of these, at known wavelengths.
    length : ndarray, shape (columns,)
        Of the slit, px.

    Raises
    ------
    InputError
        If the slit is off the detector, or has no good pixel.
    """

    def __init__(self, geometry, instrument, frame, noise, flat=None):
        self.strip = SlitStrip(geometry, instrument.direction, instrument.shape)
        if not self.strip.on_frame or len(self.strip.columns) < _MIN_COLUMNS:
            raise InputError("the slit's spectrum falls off the detector, or is not finite")
        self.slope, self.flat_error = noise.slope, 0.0
        if flat is not None:
            response = self.strip.cut(flat.response, beyond=1.0)
            # That of a pixel which is not to be used: a number, as its value and variance are.
            self.slope = noise.slope / np.where(np.isnan(response), 1.0, response)
            self.flat_error = self.strip.cut(flat.error)
        self.known_noise, self.unit = frame.uncertainty is not None, u.Unit(frame.unit)
        self.wavelength, self.t, self.u = self.strip.world()
        low, high = geometry.dispersion.wavelength_domain
        self.in_slit = (self.t >= 0) & (self.t <= 1)
        self.in_slit &= (self.strip.rows >= 0) & (self.strip.rows < self.strip.frame[0])
        self.inside = self.in_slit & (self.wavelength >= low) & (self.wavelength <= high)
        self.length = (self.strip.height - 1) / np.abs(self.t[-1] - self.t[0])
        self.data = self.strip.cut(np.asarray(frame.data, float))
        self.bad = ~np.isfinite(self.data)
        self.variance = np.ones_like(self.data)
        if self.known_noise:
            self.variance = variance_of(frame.uncertainty, self.strip.cut)
            self.bad |= ~(self.variance > 0) | ~np.isfinite(self.variance)
        if frame.mask is not None:
            self.bad |= self.strip.cut(np.broadcast_to(frame.mask, frame.shape), beyond=True)
        self.data[self.bad] = 0.0
        self.variance[self.bad] = 1.0
        if not np.any(self.inside & ~self.bad):
            raise InputError("the slit has no good pixel")

    def variance_for(self, model, where=...):
        """Return the variance of the pixels if their signal is that of a model.

        Parameters
        ----------
        model : ndarray
        where : index, optional
            The pixels that it is for.
        """
        return self.noise[where](model)

    @cached_property
    def noise(self):
        """The `PixelNoise` of all pixels."""
        if not self.known_noise:
            return PixelNoise(self.variance, 0.0, 0.0)
        floor = self.variance - self.slope * np.maximum(self.data, 0.0)
        # No noise at all is a pixel's that a simulation has none for.
        np.maximum(floor, 1e-6 * self.variance, out=floor)
        return PixelNoise(floor, self.slope, self.flat_error)

    def without(self, light):
        """Return the same pixels, of the same noise, without a part of their light.

        Parameters
        ----------
        light : ndarray, shape (rows, columns)
        """
        other = copy(self)
        other.noise = self.noise
        other.data = np.where(self.bad, 0.0, self.data - light)
        return other

    def from_ends(self):
        """Return the distance of the pixels to the nearer end of the slit, px."""
        return np.minimum(self.t, 1.0 - self.t) * self.length

    def row_of(self, t):
        """Return the row of the strip, fractional, where a position is, for each column.

        Parameters
        ----------
        t : float or ndarray, shape (columns,)
        """
        # t descends with the row, nearly linearly: one step of the secant method.
        guess = (self.t[0] - t) / (self.t[0] - self.t[-1]) * (self.strip.height - 1)
        for _ in range(2):
            low = np.clip(guess.astype(int), 0, self.strip.height - 2)
            columns = np.arange(self.t.shape[1])
            first, second = self.t[low, columns], self.t[low + 1, columns]
            guess = low + (first - t) / (first - second)
        return guess

    def along(self, rows):
        """Follow u along a curve across the strip.

        Parameters
        ----------
        rows : ndarray, shape (columns,)
            Of the strip, fractional.

        Returns
        -------
        u : ndarray, shape (columns,)
        width : ndarray, shape (columns,)
            By how much u changes from a pixel to the next one in the same row of the detector.
        """
        low = np.clip(rows.astype(int), 0, self.strip.height - 2)
        columns = np.arange(self.u.shape[1])
        first, slope = self.u[low, columns], self.u[low + 1, columns] - self.u[low, columns]
        u = first + (rows - low) * slope
        return u, np.gradient(u) - slope * np.gradient(self.strip.bottom + rows)


def beside(hit):
    """Whether one of the four pixels next to each is hit; shape (rows, columns)."""
    near = np.zeros_like(hit)
    near[1:] |= hit[:-1]
    near[:-1] |= hit[1:]
    near[:, 1:] |= hit[:, :-1]
    near[:, :-1] |= hit[:, 1:]
    return near


def grown(hit, deviation):
    """Add to cosmic rays the pixels beside them that are bright too.

    Parameters
    ----------
    hit : ndarray of bool, shape (rows, columns)
    deviation : ndarray, likewise
        From what is expected, standard deviations.
    """
    return hit | (beside(hit) & (deviation > NEIGHBOUR))
