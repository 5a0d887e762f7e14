"""The detector: from the light that falls on it to the frame that is read out."""

from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty

from specwcs.inputs.frame import PixelFlag

__all__ = ["Detector"]

_DEAD = 0.02  # response that is left in a dead column
_TRACK = 12  # px, the longest track of a cosmic ray


@dataclass(frozen=True)
class Detector:
    """A CCD, with what is wrong with it; the same in every frame.

    Parameters
    ----------
    gain : float
        Electrons per adu.
    read_noise : float
        Electrons rms.
    saturation : float
        The value, adu, that no pixel exceeds.
    response : float
        Scatter of the response from pixel to pixel, rms, as a fraction.
    dead_columns : int
        Number of columns of the detector (x) that hardly respond.
    hot_pixels : int
        Number of pixels with a dark signal of 2 000 to 40 000 electrons.
    seed : int
        Chooses the pixels.
    """

    gain: float = 1.5
    read_noise: float = 4.0
    saturation: float = 65535.0
    response: float = 0.01
    dead_columns: int = 0
    hot_pixels: int = 0
    seed: int = 1

    def expose(self, light, seed, cosmic_rays=0):
        """Expose and read out a frame.

        Parameters
        ----------
        light : ndarray, shape (ny, nx)
            Electrons that an ideal detector would collect.
        seed : int or None
            Seed of the noise; None gives the expectation, without noise and without cosmic
            rays, but with everything else.
        cosmic_rays : int
            Number of particles that hit the detector.

        Returns
        -------
        CCDData
            As `read_frame` gives it: in adu, bias subtracted, with the uncertainty that
            follows from gain and read noise, and a mask of the saturated pixels.
        """
        electrons = self._collect(np.asarray(light, float))
        if seed is not None:
            rng = np.random.default_rng(seed)
            add_cosmic_rays(electrons, cosmic_rays, rng)
            electrons = rng.poisson(electrons) + rng.normal(0, self.read_noise, electrons.shape)
        data = np.minimum(electrons / self.gain, self.saturation)
        variance = np.maximum(data, 0) / self.gain + (self.read_noise / self.gain) ** 2
        saturated = data >= self.saturation
        frame = CCDData(
            data,
            unit="adu",
            uncertainty=StdDevUncertainty(np.sqrt(variance)),
            mask=saturated,
            meta={
                "files": [],
                "bias": [],
                "exposure": 1.0,
                "header": fits.Header(),
                "history": [f"simulated with seed {seed}"],
                "warnings": [],
            },
        )
        frame.flags = saturated * PixelFlag.SATURATED.value
        return frame

    def _collect(self, light):
        """Return the expected electrons: light times response, and the hot pixels' own."""
        rng = np.random.default_rng(self.seed)
        columns = rng.choice(light.shape[1], self.dead_columns, replace=False)
        hot = rng.choice(light.size, self.hot_pixels, replace=False)
        dark = rng.uniform(2e3, 4e4, self.hot_pixels)
        response = 1 + self.response * rng.standard_normal(light.shape)
        electrons = np.maximum(light * response, 0)  # light is -1e-12 where rounding made it so
        electrons[:, columns] *= _DEAD
        electrons.reshape(-1)[hot] += dark
        return electrons


def add_cosmic_rays(electrons, number, rng):
    """Add tracks of particles: straight, of random length and direction, 1 000–30 000 electrons.

    Parameters
    ----------
    electrons : ndarray, shape (ny, nx)
        Changed in place.
    number : int
    rng : numpy.random.Generator
    """
    ny, nx = electrons.shape
    length = rng.uniform(0, _TRACK, (number, 1)) ** 2 / _TRACK  # most are short
    angle = rng.uniform(0, 2 * np.pi, (number, 1))
    steps = np.linspace(0, 1, 2 * _TRACK)
    x = rng.uniform(0, nx, (number, 1)) + steps * length * np.cos(angle)
    y = rng.uniform(0, ny, (number, 1)) + steps * length * np.sin(angle)
    charge = np.exp(rng.uniform(np.log(1e3), np.log(3e4), (number, 1)))
    rows, columns = y.astype(int), x.astype(int)
    inside = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
    each = np.broadcast_to(charge / len(steps), x.shape)
    np.add.at(electrons, (rows[inside], columns[inside]), each[inside])
