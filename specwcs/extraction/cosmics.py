"""Cosmic rays on a single frame, by the program that is made for it (L.A.Cosmic, astroscrappy).

`specwcs.reduce_frame` rejects them by its models of sky and objects. This finds them before,
and in what has no model: rectified images of extended sources, arcs, flats.
"""

import numpy as np
from astropy.nddata import CCDData

from specwcs.errors import InputError

from .exposure import variance_of
from .pixels import PhotonNoise

__all__ = ["mask_cosmics"]


def mask_cosmics(frame, **options):
    """Mask the cosmic rays of a frame.

    Parameters
    ----------
    frame : CCDData
        From `specwcs.read_frame`; gain and read noise follow from its variance.
    **options
        For `astroscrappy.detect_cosmics`, such as ``sigclip``.

    Returns
    -------
    CCDData
        A new frame with a larger mask.

    Raises
    ------
    InputError
        If astroscrappy is not installed.

    References
    ----------
    van Dokkum 2001, PASP 113, 1420.
    """
    try:
        from astroscrappy import detect_cosmics
    except ImportError as error:
        raise InputError(
            "astroscrappy is not installed", remedy="Run: pip install 'specwcs[cosmics]'"
        ) from error
    mask = np.zeros(frame.shape, bool) if frame.mask is None else np.array(frame.mask, bool)
    known, slope = {}, PhotonNoise.of(frame).slope
    if slope > 0:
        variance = variance_of(frame.uncertainty, np.array)
        floor = np.nanmedian(variance - slope * np.maximum(frame.data, 0.0))
        known = {"gain": 1 / slope, "readnoise": float(np.sqrt(max(floor, 0.0))) / slope}
    data = np.ascontiguousarray(frame.data, np.float32)
    hit, _ = detect_cosmics(data, inmask=mask, **(known | options))
    masked = CCDData(
        frame.data,
        unit=frame.unit,
        uncertainty=frame.uncertainty,
        mask=mask | hit,
        meta=frame.meta,
    )
    masked.flags = frame.flags
    return masked
