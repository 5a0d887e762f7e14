"""`rectify`: straighten and wavelength-calibrate the slits of a frame.

Use it for pictures, for extended sources and for spectra that you will measure along the
slit. Each slit is resampled once, see `specwcs.extraction.rectifier`.
"""

import warnings

import numpy as np
from astropy import units as u
from astropy.nddata import VarianceUncertainty
from specutils import Spectrum

from specwcs.calibration import Calibration
from specwcs.errors import InputError, SpecwcsWarning, check_type
from specwcs.threads import each

from .grids import check_grid, check_row, known_bins, position_edges, slit_grid
from .overlap import WING
from .rectifier import Rectifier, Resampled

__all__ = [
    "SlitImages", "check_inputs", "for_each_slit", "rectify", "slit_rectifier", "warn_skipped",
]  # fmt: skip


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


def rectify(
    cal,
    frame,
    slits=None,
    wavelength=None,
    *,
    row=None,
    kernel="cubic",
    density=False,
    medium=None,
    keep=None,
):
    """Resample slits to a grid of positions and wavelengths.

    Parameters
    ----------
    cal : Calibration or list of Calibration
        A list where each exposure has its own, of the same mask.
    frame : CCDData or list of CCDData
        From `specwcs.read_frame`, of the calibration's instrument. Several exposures are
        resampled to one grid, once each, and averaged over those where a bin is good.
    slits : list of str, optional
        Ids; by default all slits but the reference ones.
    wavelength : Quantity, shape (n,), or ``"log"``, optional
        Centres of the wavelength bins, ascending, the same for all slits. By default each slit
        has its own: evenly spaced, a bin being as wide as the slit's narrowest raw pixel; with
        ``"log"`` even in the logarithm.
    row : Quantity, optional
        Height of a row in px, arcsec, or as a share of the slit; by default at most 1 px.
    kernel : {"cubic", "linear"}
        See `Rectifier`.
    density : bool
        Whether to divide by the width of the bins: flux per Angstrom, not flux per bin.
    medium : {"air", "vacuum"}, optional
        Of the wavelengths of the result; by default that of the calibration.
    keep : callable, optional
        ``keep(image)`` is called for one slit after the other, and what it returns is kept instead
        of the image: so the images of a large frame can be written without all being in memory.

    Returns
    -------
    SlitImages
        A dict of id to `specutils.Spectrum` of shape (position, wavelength): the flux, its
        variance (each bin on its own; neighbours are correlated, ``meta["correlation"]``
        by lag, see `Rectifier.correlation`), a mask, the spectral axis in Angstrom.
        ``meta["t"]`` is the position in the slit of each row: it descends from near 1 to
        near 0, so that the left end of the slit is on top when row 0 is shown at the
        bottom; ``meta["arcsec"]`` the same from the middle of the slit; ``meta["slit"]``,
        ``meta["medium"]``. Bins that look beyond the detector, or beyond the wavelengths
        that are known of the slit, are NaN and masked; those that read a bad pixel, or a raw
        row that an end of the slit cuts, are masked.

    Raises
    ------
    InputError
        If an id is unknown, or the grid or the frames cannot be used.

    Warns
    -----
    SpecwcsWarning
        If slits were skipped: those not calibrated, off the detector, or degenerate.
        ``skipped`` of the result holds the reasons.
    """
    frames = frame if isinstance(frame, list) else [frame]
    cals = cal if isinstance(cal, list) else [cal] * len(frames)
    if len(cals) != len(frames) or not frames:
        raise InputError(
            f"{len(cals)} calibrations for {len(frames)} frames", "Must be as many, or a single one"
        )
    for own, exposure in zip(cals, frames, strict=True):
        check_inputs(own, exposure)
    # What no slit can be resampled with is refused now, not slit by slit.
    if kernel not in WING:
        raise InputError(f"kernel is {kernel!r}", f"Must be one of {', '.join(WING)}")
    check_grid(wavelength, medium)
    if row is not None:
        check_row(row)

    def image(slit_id):
        grid = slit_grid(cals[0], slit_id, wavelength, medium)
        known = [known_bins(grid, own.geometry(slit_id)) for own in _changes(cals)]
        bins = slice(min(own.start for own in known), max(own.stop for own in known))
        several = len(frames) > 1
        first = slit_rectifier(
            cals[0], slit_id, grid.part(bins), row=row, kernel=kernel, keep=several
        )
        planes = _exposures(first, cals, frames, slit_id, known, bins)
        planes = _whole(planes, bins, len(grid.centres))
        return _spectrum(first, planes, cals[0], slit_id, grid, density)

    result = SlitImages(*for_each_slit(cals[0], slits, image, keep))
    warn_skipped(result.skipped)
    return result


def _changes(cals):
    """Return the calibrations, those that follow themselves once."""
    return [cal for n, cal in enumerate(cals) if n == 0 or cal is not cals[n - 1]]


def _exposures(first, cals, frames, slit_id, known, bins):
    """Resample each exposure to the grid of the first, where it is known, and average them."""
    planes, operator, known = [], first, iter(known)
    for number, (cal, frame) in enumerate(zip(cals, frames, strict=True)):
        if number == 0 or cal is not cals[number - 1]:
            own = next(known)
            if number:
                operator = first.of(*_pixel_and_roughness(cal.geometry(slit_id)))
        plane = operator.apply(frame)
        inside = slice(own.start - bins.start, own.stop - bins.start)
        part = Resampled(
            plane.data[:, inside],
            None if plane.variance is None else plane.variance[:, inside],
            plane.mask[:, inside],
            plane.unit,
        )
        planes.append(_whole(part, inside, bins.stop - bins.start))
    return planes[0] if len(planes) == 1 else _mean(planes)


def _whole(planes, bins, size):
    """Spread planes over a whole grid: bins of unknown wavelengths are NaN and masked."""
    if planes.mask.shape[1] == size:
        return planes

    def spread(values, fill):
        whole = np.full((len(values), size), fill, values.dtype)
        whole[:, bins] = values
        return whole

    variance = None if planes.variance is None else spread(planes.variance, np.nan)
    return Resampled(spread(planes.data, np.nan), variance, spread(planes.mask, True), planes.unit)


def _mean(planes):
    """Average exposures over those in which a bin is good; over all where it is in none."""
    good = np.array([~plane.mask for plane in planes])
    mask = ~good.any(axis=0)
    good[:, mask] = True
    number = good.sum(axis=0)
    # A bin beyond the detector is NaN: it counts only where all are.
    data = sum(np.where(g, p.data, 0.0) for g, p in zip(good, planes, strict=True)) / number
    variance = None
    if all(plane.variance is not None for plane in planes):
        variance = sum(np.where(g, p.variance, 0.0) for g, p in zip(good, planes, strict=True))
        variance /= number**2
    return Resampled(data, variance, mask, planes[0].unit)


def _spectrum(rectifier, planes, cal, slit_id, grid, density):
    if planes.mask.all():
        raise InputError("every pixel is masked")
    data, variance, unit = planes.data, planes.variance, planes.unit
    if density:
        width = np.diff(grid.edges)
        data, unit = data / width, unit / u.AA
        variance = None if variance is None else variance / width**2
    slit = cal.mask[slit_id]
    return Spectrum(
        flux=data << unit,  # which does not copy it
        spectral_axis=grid.centres * u.AA,
        uncertainty=None if variance is None else VarianceUncertainty(variance, copy=False),
        mask=planes.mask,
        meta={
            "slit": slit_id,
            "medium": grid.medium,
            "t": rectifier.t,
            "arcsec": (0.5 - rectifier.t) * slit_arcsec(slit, rectifier.length, cal.instrument),
            "correlation": rectifier.correlation(),
        },
    )


def check_inputs(cal, frame):
    """Refuse what is no calibration, and what is no frame of it; see `Calibration.check_frame`."""
    check_type(Calibration, cal=cal)
    cal.check_frame(frame)


def for_each_slit(cal, slits, work, keep=None):
    """Call `work(slit_id)` for the slits that are calibrated, and collect what failed.

    Several are worked on at once. Where `keep` is given, ``keep(result)`` is called for one after
    the other, in the order of the slits, and returns what is kept.

    Returns
    -------
    results : dict of str to object
    skipped : dict of str to str
        The reasons: the calibration's, or that of an `InputError`.
    """

    def attempt(slit_id):
        status = cal.slits[slit_id]
        if status.flag != "ok":
            return None, status.reason
        try:
            return work(slit_id), None
        except InputError as error:
            return None, str(error)

    results, skipped, chosen = {}, {}, _chosen(cal, slits)
    for slit_id, (result, reason) in zip(chosen, each(attempt, chosen), strict=True):
        if reason is None:
            results[slit_id] = keep(result) if keep else result
        else:
            skipped[slit_id] = reason
    return results, skipped


def _chosen(cal, slits):
    if isinstance(slits, str):
        slits = [slits]
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


def slit_arcsec(slit, length, instrument):
    """Length of a slit, arcsec: by the mask, or by its length in px where that is not known."""
    return slit.length if slit.length > 0 else length * instrument.scales[1]


def slit_rectifier(cal, slit_id, grid=None, *, row=None, kernel="cubic", keep=True):
    """Return the `Rectifier` of a slit.

    Parameters
    ----------
    cal : Calibration
    slit_id : str
    grid : Grid, optional
        From `specwcs.extraction.grids.slit_grid`; by default the slit's own.
    row : Quantity, optional
        See `rectify`.
    kernel, keep
        See `Rectifier`.
    """
    grid = grid or slit_grid(cal, slit_id)
    instrument = cal.instrument
    pixel, roughness = _pixel_and_roughness(cal.geometry(slit_id))
    arguments = (pixel, instrument.direction, instrument.shape, grid.calibrated)
    edges = None
    if row is not None:
        length = Rectifier(*arguments, keep=False).length
        edges = position_edges(row, length, slit_arcsec(cal.mask[slit_id], length, instrument))
    return Rectifier(*arguments, edges, kernel, keep, roughness)


def _pixel_and_roughness(geometry):
    """Return the function of a geometry that is smooth, and what is not; None of a smooth slit."""
    if not geometry.dispersion.rough:
        return geometry.pixel, None
    return geometry.smooth.pixel, geometry.dispersion.roughness
