"""Ready-made observations for the demo, the documentation and the tests."""

from dataclasses import replace
from math import isfinite

from specwcs.conventions import Direction
from specwcs.errors import InputError
from specwcs.inputs import Instrument, LineCatalog
from specwcs.simulate.detector import Detector
from specwcs.simulate.masks import longslit, random_mask
from specwcs.simulate.observation import Observation
from specwcs.simulate.spectrograph import Spectrograph

__all__ = ["example", "lamp", "wrong"]


def lamp(medium="air"):
    """Return the catalogue of the lamp of `example`: neon, argon and mercury."""
    return LineCatalog.read(["Ne", "Ar", "Hg"]).to_medium(medium)


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
    believed = (side / (1 + scale) for side in instrument.scales)
    return replace(
        instrument,
        pixel_scale=instrument.direction.join(*believed),
        linear_dispersion=instrument.linear_dispersion * (1 + dispersion),
    )


def example(
    direction="LR",
    shape=None,
    n_slits=14,
    kind="mos",
    seed=1,
    *,
    pixel_scale=0.3,
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
        Chooses the mask, and what `Observation` leaves to chance.
    pixel_scale : float or tuple of float
        See `Instrument`.
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
        pixel_scale=pixel_scale,
        xpixels=shape[1],
        ypixels=shape[0],
        direction=direction,
        linear_dispersion=4500.0 / along,
        reference_lambda=7000.0,
        gain=detector.gain,
        read_noise=detector.read_noise,
        saturation=detector.saturation if isfinite(detector.saturation) else None,
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
    return Observation(
        optics, mask, instrument, (4900.0, 9300.0), detector=detector, seed=seed, **observation
    )
