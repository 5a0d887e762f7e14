"""`rectify`: straighten and wavelength-calibrate the slits of a frame.

Use it for pictures, for extended sources and for spectra that you will measure along the
slit. Each slit is resampled once, see `specwcs.extraction.rectifier`.
"""

import warnings

import numpy as np
from astropy import units as u
from astropy.nddata import VarianceUncertainty
from specutils import Spectrum

from specwcs.errors import InputError, SpecwcsWarning

from .rectifier import Rectifier

__all__ = ["SlitImages", "for_each_slit", "rectify", "slit_rectifier", "warn_skipped"]

_SAMPLES = 1024  # of a slit's dispersion, where its grid is chosen


class SlitImages(dict):
    """Rectified slits by their id, `specutils.Spectrum` each.

    Attributes
    ----------
    skipped : dict of str to str
        Why a slit is not there.
    """

    def __init__(self, images, skipped):
        super().__init__(images)
        self.skipped = skipped


def rectify(cal, frame, slits=None, wavelength=None):
    """Resample slits to a grid of positions and wavelengths.

    Parameters
    ----------
    cal : Calibration
    frame : CCDData
        From `specwcs.read_frame`, of the calibration's instrument.
    slits : list of str, optional
        Ids; by default all slits but the reference ones.
    wavelength : Quantity, shape (n,), optional
        Centres of the wavelength bins, ascending, in the calibration's medium, the same for
        all slits. By default each slit has its own: evenly spaced, a bin being as wide as
        the slit's narrowest raw pixel.

    Returns
    -------
    SlitImages
        A dict of id to `specutils.Spectrum` of shape (position, wavelength): counts per
        bin, their variance (each bin on its own; neighbours are correlated), a mask, the
        spectral axis in Angstrom. ``meta["t"]`` is the position in the slit of each row:
        it descends from near 1 to near 0, so that the left end of the slit is on top
        when row 0 is shown at the bottom; ``meta["slit"]``, ``meta["medium"]``. Bins that
        look beyond the detector are NaN and masked; those that read a bad pixel, or a raw
        row that an end of the slit cuts, are masked.

    Raises
    ------
    InputError
        If an id is unknown, or the wavelengths or the frame cannot be used.

    Warns
    -----
    SpecwcsWarning
        If slits were skipped: those not calibrated, off the detector, or degenerate.
        ``skipped`` of the result holds the reasons.
    """
    edges = None if wavelength is None else _bin_edges(wavelength)

    def image(slit_id):
        rectifier = slit_rectifier(cal, slit_id, edges, keep=False)
        planes = rectifier.apply(frame)
        if planes.mask.all():
            raise InputError("every pixel is masked")
        variance = planes.variance
        return Spectrum(
            flux=planes.data * planes.unit,
            spectral_axis=rectifier.wavelength * u.AA,
            uncertainty=None if variance is None else VarianceUncertainty(variance),
            mask=planes.mask,
            meta={"slit": slit_id, "medium": cal.medium, "t": rectifier.t},
        )

    result = SlitImages(*for_each_slit(cal, frame, slits, image))
    warn_skipped(result.skipped)
    return result


def for_each_slit(cal, frame, slits, work):
    """Call `work(slit_id)` for the slits that are calibrated, and collect what failed.

    Returns
    -------
    results : dict of str to object
    skipped : dict of str to str
        The reasons: the calibration's, or that of an `InputError`.
    """
    cal.check_frame(frame)
    results, skipped = {}, {}
    for slit_id in _chosen(cal, slits):
        status = cal.slits[slit_id]
        if status.flag != "ok":
            skipped[slit_id] = status.reason
            continue
        try:
            results[slit_id] = work(slit_id)
        except InputError as error:
            skipped[slit_id] = str(error)
    return results, skipped


def _chosen(cal, slits):
    if slits is None:
        return [slit_id for slit_id, slit in cal.mask.items() if not slit.reference]
    for slit_id in slits:
        if slit_id not in cal.mask:
            raise InputError(f"unknown slit {slit_id!r}", f"Must be one of {', '.join(cal.mask)}")
    return list(slits)


def warn_skipped(skipped):
    """Warn once, with the reasons."""
    if skipped:
        reasons = "; ".join(f"{slit_id}: {reason}" for slit_id, reason in skipped.items())
        warnings.warn(f"{len(skipped)} slits skipped: {reasons}", SpecwcsWarning, stacklevel=3)


def slit_rectifier(cal, slit_id, wavelength_edges=None, keep=True):
    """Return the `Rectifier` of a slit, on its own wavelength grid unless one is given.

    Parameters
    ----------
    cal : Calibration
    slit_id : str
    wavelength_edges : ndarray, shape (n + 1,), optional
        Angstrom.
    keep : bool
        See `Rectifier`.
    """
    geometry = cal.geometry(slit_id)
    direction, shape = cal.instrument.direction, cal.instrument.shape
    if wavelength_edges is None:
        wavelength_edges = _native_edges(geometry, direction, shape)
    return Rectifier(geometry.pixel, direction, shape, wavelength_edges, keep)


def _native_edges(geometry, direction, shape):
    """Evenly spaced edges over what falls on the detector, a bin at most a raw pixel wide."""
    wavelength = np.linspace(*geometry.dispersion.wavelength_domain, _SAMPLES)
    ends = np.array([[0.0], [0.5], [1.0]])
    p, _ = direction.canonical_pixel(*geometry.pixel(wavelength, ends), shape)
    n_columns = direction.canonical_image(np.empty(shape, bool)).shape[1]
    # The kernel looks one pixel beyond a bin: leave the first and the last one to it.
    inside = np.any((p >= 0.5) & (p <= n_columns - 1.5), axis=0)
    if not inside.any():
        raise InputError("the slit's spectrum falls off the detector, or is not finite")
    first, last = wavelength[inside][[0, -1]]
    slope = np.gradient(p, wavelength, axis=1)[:, inside]
    if not np.all(slope > 0):
        raise InputError("the slit's dispersion is not monotonic")
    step = 1.0 / slope.max()
    return np.linspace(first, last, int(np.ceil((last - first) / step)) + 1)


def _bin_edges(wavelength):
    """Edges half way between the centres of bins, Angstrom."""
    try:
        centres = u.Quantity(wavelength).to_value(u.AA)
    except (TypeError, u.UnitConversionError) as error:
        msg = f"wavelength is {wavelength!r}"
        raise InputError(msg, "Must be a Quantity in units of length") from error
    ascending = centres.ndim == 1 and len(centres) > 1 and np.all(np.isfinite(centres))
    if not (ascending and np.all(np.diff(centres) > 0)):
        raise InputError(
            f"wavelength is {wavelength}", "Must be ascending, in one dimension, two at least"
        )
    middle = 0.5 * (centres[1:] + centres[:-1])
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])
