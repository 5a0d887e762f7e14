"""The nominal scale of the mask along the dispersion."""

import numpy as np

__all__ = ["scale_along"]


def scale_along(mask, instrument):
    """Return the nominal scale along the dispersion, px/mm.

    It is the median over the slits of ``arcsec / (arcsec per px x mm)``, from the width of the
    slits where it is known, else from their length, else from reference slits too.

    Parameters
    ----------
    mask : Mask
    instrument : Instrument

    Returns
    -------
    float
        1 where the mask says nothing about its size in arcsec: only one slit, or all in a
        row, can then be identified.
    """
    for reference in (False, True):
        slits = [slit for slit in mask.values() if slit.reference is reference]
        for ratio in (_width_ratio, _length_ratio):
            known = [r for slit in slits if (r := ratio(slit)) > 0]
            if known:
                return float(np.median(known)) / instrument.scales[0]
    return 1.0


def _width_ratio(slit):
    return slit.width / (2 * np.hypot(*slit.half_width))


def _length_ratio(slit):
    return slit.length / np.hypot(*(slit.control[-1] - slit.control[0]))
