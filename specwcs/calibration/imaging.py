"""OPT from an image with the disperser out: through the mask, or of a grid of pinholes."""

from dataclasses import replace

import numpy as np

from specwcs.errors import FitError, check_type
from specwcs.inputs import Instrument, Mask
from specwcs.markers import Markers
from specwcs.measure import find_spots, match_apertures
from specwcs.measure.reduce import canonical_data

from .field_fit import check_degrees
from .fitter import ModelFitter
from .measured import frame_of
from .nominal import nominal_opt

__all__ = ["fit_image", "image_boxes"]

_CUT = "cut off, or bad pixels"


def fit_image(instrument, mask, image, *, degrees="auto", flips=None, bias=None):
    """Fit OPT to an image of the mask with the disperser out.

    Parameters
    ----------
    instrument : Instrument
        Its scale may be off by 7 %, the mask rotated by 4 degrees and anywhere on the frame.
    mask : Mask
        The science mask, or one of pinholes: at least four apertures.
    image : CCDData, path, or list of paths
    degrees : tuple of int or "auto"
        In X and Y, at most 9.
    flips : tuple of bool, optional
        Whether the mask is mirrored in X and Y; by default the image tells, and a mask that is
        its own mirror image is taken as it is drawn.
    bias : path or list of paths, optional

    Returns
    -------
    ModelFit
        Its ``model`` is the OpticalModel, ``residuals`` the apertures.

    Raises
    ------
    FitError
        If no layout of the mask explains the image, or two do.
    InputError
        If a file cannot be used.
    """
    check_type(Instrument, instrument=instrument)
    check_type(Mask, mask=mask)
    check_degrees(opt=degrees)
    frame = frame_of(image, instrument, bias)
    boxes, flips, notes = image_boxes(instrument, mask, frame, flips)
    oriented = mask.oriented(instrument.direction, flipx=flips[0], flipy=flips[1])
    limits = {"opt": degrees, "crv": "auto", "ids": "auto"}
    fitter = ModelFitter(instrument, oriented, limits, by_hand=False)
    fit = fitter.fit_opt(boxes[np.asarray(boxes["used"])], flips)
    return replace(fit, notes=(*notes, *fit.notes))


def image_boxes(instrument, mask, frame, flips=None):
    """Find the apertures of a mask on an image.

    Returns
    -------
    boxes : Markers
        The middle of each aperture that is seen; not used where it is cut off.
    flips : tuple of bool
    notes : list of str
    """
    spots = find_spots(*canonical_data(frame, instrument))
    x, y = instrument.direction.detector_pixel(spots.x, spots.y, instrument.shape)
    spots = replace(spots, x=x, y=y)
    keys = list(mask)
    X, Y = np.transpose([mask[key].curve(0.5) for key in keys])
    nominal = nominal_opt(instrument, mask)
    (x0, y0), (x1, y1) = nominal(0.0, 0.0), nominal(1.0, 1.0)
    scale = float(x1 - x0), float(y1 - y0)
    match = match_apertures(spots, X, Y, scale, frame.shape, flips)
    seen = match.spot >= 0
    index = match.spot[seen]
    slits = np.array(keys)[seen]
    cut = spots.cut[index]
    boxes = Markers.of(
        "box", slits, 0.5, spots.x[index], spots.y[index], sigma=spots.sigma[index], used=~cut,
        reason=np.where(cut, _CUT, ""),
    )  # fmt: skip
    if (~cut).sum() < 3:
        msg = "fewer than 3 apertures are whole on the image: they do not tell where the mask is."
        raise FitError(msg)
    said = f"OPT: {seen.sum()} of {len(keys)} apertures found on the image."
    return boxes, match.flips, [said, *match.notes]
