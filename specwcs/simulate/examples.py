"""Ready-made observations for the demo, the documentation and the tests."""

from dataclasses import replace

import numpy as np

from specwcs.conventions import Direction
from specwcs.errors import InputError
from specwcs.inputs import Instrument, LineCatalog
from specwcs.simulate.detector import Detector
from specwcs.simulate.masks import longslit, random_mask
from specwcs.simulate.observation import Observation
from specwcs.simulate.spectrograph import Spectrograph

__all__ = ["example", "lamp", "wrong"]


# Angstrom in air, of Hg I, Ne I and Ar I, and rough relative intensities.
_LAMP = """
4916.068 80 5330.778 60 5341.094 100 5400.562 200 5460.735 1100
5764.419 70 5769.598 240 5790.663 280 5852.488 200 5881.895 100
5944.834 50 5975.534 60 6029.997 100 6074.338 100 6096.163 30
6143.063 100 6163.594 100 6217.281 100 6266.495 100 6304.789 100
6334.428 100 6382.991 100 6402.248 200 6506.528 150 6532.882 100
6598.953 100 6678.276 50 6717.043 7 6929.467 100 6965.431 100
7032.413 800 7067.218 100 7147.042 10 7173.938 77 7245.167 220
7272.936 20 7383.980 100 7438.899 25 7503.869 200 7514.652 150
7635.106 250 7723.761 150 7948.176 200 8006.157 200 8014.786 250
8103.693 200 8115.311 350 8264.522 100 8377.608 80 8408.210 150
8424.648 200 8495.360 50 8521.442 150 8667.944 45 8780.621 60
9122.967 350 9224.499 150
"""


def lamp(medium="air"):
    """Catalogue of the lamp of `example`: neon, argon and mercury."""
    wavelength, intensity = np.reshape([float(word) for word in _LAMP.split()], (-1, 2)).T
    label = np.full(len(wavelength), "Ne/Ar/Hg")
    flag = np.ones(len(wavelength), int)
    return LineCatalog(wavelength, label, flag, intensity, "air").to_medium(medium)


def wrong(instrument, *, scale=0.03, dispersion=-0.03):
    """Return what a user believes of an instrument: scale and dispersion a little off.

    Parameters
    ----------
    instrument : Instrument
        The truth.
    scale, dispersion : float
        Relative error of the image scale (px per arcsec) and of the linear dispersion.

    Returns
    -------
    Instrument
    """
    return replace(
        instrument,
        pixel_scale=instrument.pixel_scale / (1 + scale),
        linear_dispersion=instrument.linear_dispersion * (1 + dispersion),
    )


def example(
    direction="LR",
    shape=None,
    n_slits=14,
    kind="mos",
    seed=1,
    *,
    line_curvature=None,
    offset=(30.0, -10.0),
    rotation=0.3,
    distortion=0.005,
    flipx=False,
    flipy=False,
    half_off=False,
    detector=None,
    **observation,
):
    """Make the built-in simulated instrument look through a mask.

    Parameters
    ----------
    direction : Direction or str
    shape : tuple of int, optional
        The frame, (ny, nx). By default 2048 pixels along the dispersion, 1024 across.
    n_slits : int
        Slits of the mask; two of them are tilted, one is a square reference hole.
    kind : str
        ``"mos"`` or ``"longslit"``.
    seed : int
        Chooses the mask.
    line_curvature : float, optional
        Sagitta of a line over the whole frame, px; by default 3, and 4 for a longslit.
    offset : tuple of float
        Where the field's centre falls at the reference wavelength, pixels along and across
        the dispersion from the centre of the frame.
    rotation, distortion, flipx, flipy
        See `Spectrograph.from_instrument`.
    half_off : bool
        Whether the first slit is half off the frame.
    detector : Detector, optional
    **observation
        Further parameters of `Observation`: `dark`, `arcless`, `psf`, …

    Returns
    -------
    Observation
    """
    direction = Direction(direction)
    if kind not in ("mos", "longslit"):
        raise InputError(f"invalid kind {kind!r}", "Must be 'mos' or 'longslit'.")
    if shape is None:
        shape = (1024, 2048) if direction.along_x else (2048, 1024)
    detector = detector or Detector()
    along = direction.split(shape[1], shape[0])[0]
    instrument = Instrument(
        name="simulated",
        pixel_scale=0.3,
        xpixels=shape[1],
        ypixels=shape[0],
        direction=direction,
        linear_dispersion=4500.0 / along,
        reference_lambda=7000.0,
        gain=detector.gain,
        read_noise=detector.read_noise,
        saturation=detector.saturation,
    )
    if kind == "mos":
        mask = random_mask(n_slits, instrument, seed, half_off=half_off)
    else:
        mask = longslit(instrument)
    optics = Spectrograph.from_instrument(
        instrument,
        disperser="grism" if kind == "mos" else "grating",
        line_curvature=line_curvature or (3.0 if kind == "mos" else 4.0),
        offset=direction.join(*offset),
        rotation=rotation,
        distortion=distortion,
        flipx=flipx,
        flipy=flipy,
    )
    return Observation(optics, mask, instrument, (4900.0, 9300.0), detector=detector, **observation)
