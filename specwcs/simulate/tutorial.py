"""The frames of the tutorial: a slit mask and a long slit, with all that an observer has."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from specwcs.conventions import Direction
from specwcs.inputs import Instrument, LineCatalog, Mask
from specwcs.simulate import files
from specwcs.simulate.detector import Detector
from specwcs.simulate.examples import wrong
from specwcs.simulate.masks import longslit, random_mask
from specwcs.simulate.observation import Observation
from specwcs.simulate.spectrograph import Spectrograph

__all__ = ["Tutorial", "tutorial"]

_SLITS = ("12", "19", "27", "33", "41", "49", "120", "63", "74", "85", "88", "97", "104", "113")
_MASK_SEED = 4  # of a mask with tilted slits, and the reference hole, in its upper half
_OFFSETS = (22.0, -12.0), (-14.0, -5.0)  # px: of the field's centre, from that of the frame
_ROTATION = 0.3  # degrees
_DISTORTION = 0.002  # of the radius, in the corners of the frame
_FLAT, _ARC, _NEON, _ARGON, _SKY = range(1, 6)  # seeds of the noise
_BLEND = 5.0  # px: lines nearer to each other are one to the eye
_MINOR = 0.15  # share of a line's intensity that another in a blend may have
_CROWD = 20.0  # px: of lines nearer to each other the brightest is enough


class Tutorial(NamedTuple):
    """What `tutorial` wrote, and the truth about it."""

    files: dict
    """The paths of the files by their names, such as ``"mos/arc"``."""
    mos: Observation
    """A mask of 14 slits, one of them a reference hole; the spectra run from right to left."""
    longslit: Observation
    """A long slit under the night sky of the near infrared; from left to right."""


def tutorial(folder, *, overwrite=False):
    """Write the frames of the tutorial, with instrument, mask and lines.

    Parameters
    ----------
    folder : path-like
        The files go to its folders ``mos`` and ``longslit``, which are made.
    overwrite : bool, optional
        Whether existing files may be replaced.

    Returns
    -------
    Tutorial

    Notes
    -----
    The same files are written every time. What the instrument files say of scale and
    dispersion is 3 % off, the centre of the mask is not at that of the frame, and the optics
    mirror the mask of the MOS case in Y, which no file tells.
    """
    mos, longslit = _mos(), _longslit()
    paths = {}
    for name, content in _contents(mos, longslit):
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _WRITERS[path.suffix](path, content, overwrite)
        paths[name.partition(".")[0]] = path
    return Tutorial(paths, mos, longslit)


def _contents(mos, longslit):
    """Make the files one by one: names, and what is in them."""
    lamp = LineCatalog.read(["Ne", "Ar", "Hg"])
    neon, argon, sky = (LineCatalog.read(names) for names in ("Ne", ["Ar", "Hg"], "OH"))
    yield "mos/instrument.icf", wrong(mos.instrument)
    yield "mos/mask.mdf", mos.mask
    yield "mos/lamp.dat", _clear(lamp.select(3900, 10600), mos.instrument, 0.01)
    yield "mos/flat.fits", mos.flat(_FLAT)
    yield "mos/arc.fits", mos.arc(lamp, _ARC)
    yield "mos/arc_ne.fits", mos.arc(neon, _NEON)
    yield "mos/arc_ar.fits", mos.arc(argon, _ARGON)
    yield "longslit/instrument.icf", wrong(longslit.instrument)
    yield "longslit/mask.mdf", longslit.mask
    yield "longslit/sky.dat", _clear(sky.select(13000, None), longslit.instrument, 0.05)
    frame = longslit.science(_SKY, lines=40000.0, continuum=200.0)
    yield "longslit/science.fits", frame


_WRITERS = {
    ".icf": files.write_instrument,
    ".mdf": lambda path, mask, overwrite: mask.write(path, overwrite),
    ".dat": files.write_catalog,
    ".fits": files.write_frame,
}


def _mos():
    """Make a multi-object spectrograph in the red, the mask mirrored in Y."""
    instrument = _instrument("simulated MOS", 1024, 0.3, Direction.RL, 2.2, 7173.9381)
    mask = random_mask(len(_SLITS), instrument, _MASK_SEED)
    mask = Mask(replace(slit, id=key) for key, slit in zip(_SLITS, mask.values(), strict=True))
    optics = _optics(instrument, offset=_OFFSETS[0], line_curvature=2.5, flipy=True)
    return Observation(optics, mask, instrument, (5350.0, 9500.0))


def _longslit():
    """Make a long slit in the near infrared, H and K."""
    instrument = _instrument("simulated long slit", 640, 0.25, Direction.LR, 4.0, 19114.08)
    optics = _optics(instrument, offset=_OFFSETS[1], line_curvature=5.0)
    passband = (15000.0, 23300.0)
    return Observation(optics, longslit(instrument), instrument, passband, medium="vacuum")


def _optics(instrument, **args):
    return Spectrograph.from_instrument(
        instrument,
        disperser="grating",
        rotation=_ROTATION,
        distortion=_DISTORTION,
        **args,
    )


def _instrument(name, ypixels, pixel_scale, direction, linear_dispersion, reference_lambda):
    detector = Detector()
    return Instrument(
        name=name,
        pixel_scale=pixel_scale,
        xpixels=2048,
        ypixels=ypixels,
        direction=direction,
        linear_dispersion=linear_dispersion,
        reference_lambda=reference_lambda,
        gain=detector.gain,
        read_noise=detector.read_noise,
        saturation=detector.saturation,
    )


def _clear(catalog, instrument, faint):
    """Return a catalogue in which only bright lines that stand alone are to be used."""
    intensity = np.nan_to_num(catalog.intensity / np.nanmax(catalog.intensity))
    distance = np.abs(catalog.wavelength - catalog.wavelength[:, None])
    distance /= instrument.linear_dispersion
    np.fill_diagonal(distance, np.inf)

    def rival(reach):
        return np.where(distance < reach, intensity, 0.0).max(axis=1)

    use = (intensity > faint) & (rival(_BLEND) < _MINOR * intensity) & (intensity >= rival(_CROWD))
    return replace(catalog, flag=np.where(use, 1, 0))
