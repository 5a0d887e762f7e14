"""The models that nothing but the nominal values of instrument and mask speak for."""

import numpy as np

from specwcs.errors import InputError
from specwcs.models import CurvatureModel, DispersionModel, OpticalModel

from .fitter import mask_domains

__all__ = ["nominal_crv", "nominal_ids", "nominal_opt"]


def nominal_opt(instrument, mask, degrees=(1, 1)):
    """Make OPT: the centre of the mask on that of the detector, at the nominal scale.

    Parameters
    ----------
    instrument : Instrument
    mask : Mask
    degrees : tuple of int
        In X and Y; at least 1 where the mask is to be scaled on that axis.

    Returns
    -------
    OpticalModel

    Notes
    -----
    px per mm = arcsec / (arcsec per px × mm), the median over the slits, from WID and the side
    along the dispersion, from LEN and the side across it. Where one of them is unknown in
    all slits, the other stands for both.

    Raises
    ------
    InputError
        If neither WID nor LEN of any slit is known.
    """
    direction = instrument.direction
    along, across = (
        [
            arcsec / direction.split(slit.dimx, slit.dimy)[axis]
            for slit in mask.values()
            if (arcsec := (slit.width, slit.length)[axis]) > 0
        ]
        for axis in (0, 1)
    )
    if not (along or across):
        raise InputError(
            "neither WID nor LEN of any slit is known",
            "One of them must be, to scale the mask",
            "Add them to the mask file, in arcsec",
            file=mask.source.path if mask.source else None,
        )
    arcsec = np.array([np.median(along or across), np.median(across or along)])
    scales = direction.join(*arcsec / instrument.scales)
    opt = OpticalModel(*degrees, **mask_domains(mask))
    coefficients = opt.coefficients
    coefficients[:, 0, 0] = [(n - 1) / 2 for n in (instrument.xpixels, instrument.ypixels)]
    if degrees[0]:
        coefficients[0, 1, 0] = scales[0] * opt.x_domain[1]
    if degrees[1]:
        coefficients[1, 0, 1] = scales[1] * opt.y_domain[1]
    opt.coefficients = coefficients
    return opt


def nominal_crv(instrument, degrees=(1, 0, 0)):
    """Make CRV: straight along the dispersion, over the whole detector."""
    size = instrument.direction.split(instrument.xpixels, instrument.ypixels)[0]
    return CurvatureModel(*degrees, domain=(-float(size), float(size)), **_detector(instrument))


def nominal_ids(instrument, degrees=(1, 0, 0)):
    """Make IDS: linear, over the wavelengths of twice the detector."""
    size = instrument.direction.split(instrument.xpixels, instrument.ypixels)[0]
    reach, reference = size * instrument.linear_dispersion, instrument.reference_lambda
    ids = DispersionModel(
        *degrees, domain=(reference - reach, reference + reach), **_detector(instrument)
    )
    if degrees[0]:
        coefficients = ids.coefficients
        coefficients[1, 0, 0] = size
        ids.coefficients = coefficients
    return ids


def _detector(instrument):
    ny, nx = instrument.shape
    return {"x_domain": (-0.5, nx - 0.5), "y_domain": (-0.5, ny - 0.5)}
