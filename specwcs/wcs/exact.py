"""The exact GWCS of a slit: detector, trace, slit and, on request, mask and sky."""

import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS
from astropy.modeling import models
from gwcs import coordinate_frames as cf
from gwcs.wcs import WCS

from specwcs.errors import InputError
from specwcs.models import DetectorToTrace, SlitToMask, TraceToSlit

__all__ = ["assemble", "detector_box", "slit_frames", "slit_wcs"]


def slit_wcs(geometry, slit, shape, *, to="slit", name=None):
    """Make the exact GWCS of one slit.

    Parameters
    ----------
    geometry : SlitGeometry
    slit : Slit
        For its id and its Bézier curve on the mask.
    shape : tuple of int
        (ny, nx) of the detector.
    to : {"slit", "mask", "sky"}
        The last frame: (wavelength, t), (wavelength, X mm, Y mm) or (wavelength, RA, Dec).
    name : str, optional

    Returns
    -------
    gwcs.wcs.WCS
        Frames ``detector``, ``trace``, ``slit`` (and ``mask``, and ``sky``); NaN outside the
        slit, the fitted wavelengths, and the detector.

    Raises
    ------
    InputError
        If the slit does not fall on the detector, or its place on the sky is not known.
    """
    steps = [
        DetectorToTrace.from_shape(geometry.trace, name="detector_to_trace"),
        TraceToSlit.from_dispersion(geometry.dispersion, name="trace_to_slit"),
    ]
    return assemble(steps, geometry, slit, shape, to=to, name=name or f"slit {slit.id}")


def assemble(steps, geometry, slit, shape, *, to, name):
    """Join the steps detector → trace → slit, and on request → mask → sky, to a GWCS."""
    frames = slit_frames()
    names = [frame.name for frame in frames]
    if to not in names[2:]:
        raise InputError(f"invalid frame {to!r}", "Must be 'slit', 'mask' or 'sky'.")
    last = names.index(to)
    transforms = [*steps, SlitToMask(slit.control, name="slit_to_mask")]
    if to == "sky":
        transforms.append(_mask_to_sky(slit))
    pipeline = [*zip(frames[:last], transforms, strict=False), (frames[last], None)]
    wcs = WCS(pipeline, name=name)
    wcs.bounding_box = detector_box(geometry, slit, shape)
    return wcs


def _mask_to_sky(slit):
    """Return the step (wavelength, X, Y) to (wavelength, RA, Dec): the slit's tangent plane."""
    if slit.sky is None:
        raise InputError(
            "its place on the sky is not known",
            "Only masks from designs with coordinates have it",
            "Add RA DEC CD1_1 CD1_2 CD2_1 CD2_2 to the mask file",
            slit=slit.id,
        )
    ra, dec, *cd = slit.sky
    # Without units, as the steps before it are called; the frames have them.
    centre = models.Shift(-slit.x) & models.Shift(-slit.y)
    plane = models.AffineTransformation2D(np.reshape(cd, (2, 2)))
    sphere = models.RotateNative2Celestial(ra, dec, 180.0)
    step = models.Identity(1) & (centre | plane | models.Pix2Sky_TAN() | sphere)
    step.name = "mask_to_sky"
    return step


def slit_frames():
    """Return the frames detector, trace, slit, mask and sky."""
    one = u.dimensionless_unscaled
    detector = cf.Frame2D(name="detector", axes_order=(0, 1), unit=(u.pix, u.pix))
    trace = cf.CoordinateFrame(
        2,
        ("SPATIAL", "SPATIAL"),
        (0, 1),
        unit=(u.pix, one),
        axes_names=("d", "t"),
        axis_physical_types=("custom:pos.trace", "custom:pos.slit"),
        name="trace",
    )
    spectral = cf.SpectralFrame(
        axes_order=(0,),
        unit=u.AA,
        axes_names=("wavelength",),
        axis_physical_types=("em.wl",),
        name="wavelength",
    )
    position = cf.CoordinateFrame(
        1,
        ("SPATIAL",),
        (1,),
        unit=(one,),
        axes_names=("t",),
        axis_physical_types=("custom:pos.slit",),
        name="position",
    )
    plane = cf.CoordinateFrame(
        2,
        ("SPATIAL", "SPATIAL"),
        (1, 2),
        unit=(u.mm, u.mm),
        axes_names=("X", "Y"),
        axis_physical_types=("custom:pos.mask.x", "custom:pos.mask.y"),
        name="plane",
    )
    celestial = cf.CelestialFrame(reference_frame=ICRS(), axes_order=(1, 2), name="icrs")
    return (
        detector,
        trace,
        cf.CompositeFrame([spectral, position], name="slit"),
        cf.CompositeFrame([spectral, plane], name="mask"),
        cf.CompositeFrame([spectral, celestial], name="sky"),
    )


def detector_box(geometry, slit, shape):
    """Return the part of the detector that a slit covers.

    Parameters
    ----------
    geometry : SlitGeometry
    slit : Slit
    shape : tuple of int
        (ny, nx).

    Returns
    -------
    tuple
        ((x low, x high), (y low, y high)) in gwcs's order, to the outer edges of pixels.

    Raises
    ------
    InputError
        If no pixel of the detector is covered.
    """
    low, high = geometry.dispersion.wavelength_domain
    wavelength = np.linspace(low, high, 200)
    x, y = geometry.pixel(wavelength, np.linspace(0, 1, 21)[:, None])
    inside = (x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)
    if not inside.any():
        raise InputError(
            "the slit does not fall on the detector",
            f"The detector has {shape[1]} x {shape[0]} px, the slit lies at "
            f"x {x.min():.0f} to {x.max():.0f}, y {y.min():.0f} to {y.max():.0f}.",
            slit=slit.id,
        )
    return tuple(_interval(v, inside, size) for v, size in ((x, shape[1]), (y, shape[0])))


def _interval(values, inside, size):
    """Return the pixels covered; samples inside may stop short by one sampling step."""
    margin = np.abs(np.diff(values, axis=1)).max()
    low = max(np.floor(values[inside].min() - margin), 0) - 0.5
    high = min(np.ceil(values[inside].max() + margin), size - 1) + 0.5
    return float(low), float(high)
