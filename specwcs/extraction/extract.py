"""`reduce_frame` and `extract`: from a frame to the spectra of the objects in its slits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real

import numpy as np
from astropy import units as u
from astropy.nddata import CCDData, VarianceUncertainty
from specutils import Spectrum, SpectrumList

from specwcs.errors import InputError, check_type, shown

from . import objects as finding
from .flat import FlatField
from .grids import check_grid, known_places, slit_grid
from .optimal import Bins, ObjectPixels, extracted
from .pixels import PhotonNoise, SlitPixels
from .rectify import check_inputs, for_each_slit, warn_skipped
from .sky import fit_sky, rough_sky
from .wings import wings

__all__ = ["Reduction", "SlitReduction", "SlitSpectra", "extract", "reduce_frame"]

METHODS = ("optimal", "boxcar")
_SEEING = 4.0  # px, FWHM of an object that was given and not seen, nor any other


class SlitSpectra(SpectrumList):
    """Extracted spectra, one an object.

    Attributes
    ----------
    skipped : dict of str to str
        Why there is no spectrum of a slit.
    """

    def __init__(self, spectra, skipped):
        super().__init__(spectra)
        self.skipped = skipped


@dataclass
class SlitReduction:
    """What was found and extracted in one slit.

    Attributes
    ----------
    objects : list of SlitObject
        The brightest first, those that the user gave before them.
    spectra : list of Spectrum
        One an object; of the whole slit without sky subtraction.
    profile, sigma : ndarray, shape (bins,)
        The light along the slit, collapsed over all wavelengths, by growing t.
    sky_chi2 : float
        Mean squared residual of the sky's pixels, in units of their variance.
    """

    objects: list = field(default_factory=list)
    spectra: list = field(default_factory=list)
    profile: np.ndarray = None
    sigma: np.ndarray = None
    sky_chi2: float = np.nan
    note: str = ""


@dataclass
class Reduction:
    """A frame that was reduced.

    Attributes
    ----------
    frame : CCDData
        Divided by the flat field, if one was given.
    sky : ndarray, shape (ny, nx)
        The sky in the slits, 0 outside of them.
    cosmics : ndarray of bool, shape (ny, nx)
        Pixels that were rejected.
    slits : dict of str to SlitReduction
    skipped : dict of str to str
        Why there is no spectrum of a slit.
    """

    frame: CCDData
    sky: np.ndarray
    cosmics: np.ndarray
    slits: dict
    skipped: dict

    @property
    def subtracted(self):
        """The frame without the sky, its cosmic rays masked."""
        mask = self.cosmics if self.frame.mask is None else self.frame.mask | self.cosmics
        result = CCDData(
            self.frame.data - self.sky,
            unit=self.frame.unit,
            uncertainty=self.frame.uncertainty,
            mask=mask,
            meta=self.frame.meta,
        )
        result.flags = self.frame.flags
        return result

    @property
    def spectra(self):
        """`SlitSpectra` of all slits."""
        spectra = [spectrum for slit in self.slits.values() for spectrum in slit.spectra]
        return SlitSpectra(spectra, self.skipped)


def extract(cal, frame, sky=True, slits=None, **options):
    """Extract the spectra of the objects in each slit.

    Parameters
    ----------
    cal : Calibration
    frame : CCDData
        From `specwcs.read_frame`, of the calibration's instrument.
    sky : bool
        False: sum the light of each slit from end to end, sky and all.
    slits : list of str, optional
        Ids; by default all slits but the reference ones.
    **options
        As for `reduce_frame`.

    Returns
    -------
    SlitSpectra
        A `specutils.SpectrumList`: counts per bin, their variance, a mask, the spectral axis in
        Angstrom. ``meta`` holds ``"slit"``, ``"medium"``, ``"sky"`` and ``"t_range"``, and
        with `sky` ``"object"`` (its number in the slit, the brightest first), ``"object_t"``,
        ``"object_fwhm"`` (px), ``"object_snr"``, ``"method"`` and ``"sky_flux"``, the sky
        that was subtracted; ``"correlation"`` is that of the noise of neighbouring bins, which
        share pixels. A bin is masked where more than a tenth of the light was not seen;
        it is NaN where nothing was.

    Raises
    ------
    InputError
        As for `reduce_frame`.

    Warns
    -----
    SpecwcsWarning
        If slits were skipped: those not calibrated, off the detector, without an object,
        or without sky beside it. ``skipped`` of the result holds the reasons.
    """
    reduction = reduce_frame(cal, frame, sky=sky, slits=slits, **options)
    warn_skipped(reduction.skipped)
    return reduction.spectra


def reduce_frame(
    cal,
    frame,
    sky=True,
    slits=None,
    *,
    flat=None,
    objects=None,
    method="optimal",
    wavelength=None,
    medium=None,
):
    """Subtract the sky of a frame and extract the objects, all on its raw pixels.

    Parameters
    ----------
    cal : Calibration
    frame : CCDData
        From `specwcs.read_frame`, of the calibration's instrument.
    sky : bool
        Whether to fit and subtract the sky; if not, each slit is summed from end to end.
    slits : list of str, optional
        Ids; by default all slits but the reference ones.
    flat : FlatField, optional
        From `flat_field`.
    objects : dict of str to list of float, optional
        Positions t of objects by slit. In slits that are not named objects are found.
    method : {"optimal", "boxcar"}
        Weigh each pixel by the object's profile and the noise (Horne 1986), or sum over 2 FWHM on
        either side.
    wavelength : Quantity, shape (n,), or ``"log"``, optional
        See `specwcs.rectify`.
    medium : {"air", "vacuum"}, optional
        Of the wavelengths of the spectra; by default that of the calibration.

    Returns
    -------
    Reduction

    Raises
    ------
    InputError
        If an id is unknown, a position is not in the slit, or the frame is not that of the
        instrument.
    """
    check_inputs(cal, frame)
    check_type(FlatField, optional=True, flat=flat)
    _check(cal, objects or {}, method)
    noise = PhotonNoise.of(frame)
    frame = frame if flat is None else flat.apply(frame)
    model, cosmics = np.zeros(frame.shape), np.zeros(frame.shape, bool)
    check_grid(wavelength, medium)  # refused now, not slit by slit

    def one(slit_id):
        pixels = SlitPixels(cal.geometry(slit_id), cal.instrument, frame, noise, flat)
        work = _Slit(slit_id, pixels, slit_grid(cal, slit_id, wavelength, medium))
        if not sky:
            return work.whole(), None
        result = work.run((objects or {}).get(slit_id), method)
        # What is not pasted is let go: a slit waits for those before it with all that it holds.
        return result, (pixels.strip, work.sky.model, pixels.inside, work.rejected)

    def keep(done):
        result, planes = done
        if planes:
            strip, own, inside, rejected = planes
            strip.paste(own, model, inside)
            strip.paste(rejected, cosmics, rejected)
        return result

    reduced, skipped = for_each_slit(cal, slits, one, keep)
    skipped |= {key: slit.note for key, slit in reduced.items() if not slit.spectra}
    return Reduction(frame, model, cosmics, reduced, skipped)


def _check(cal, objects, method):
    if method not in METHODS:
        raise InputError(f"method is {method!r}", f"Must be one of {', '.join(METHODS)}")
    if not isinstance(objects, Mapping):
        raise InputError(f"objects is {shown(objects)}", "Must be lists of positions t, by slit")
    for slit_id, positions in objects.items():
        if slit_id not in cal.mask:
            raise InputError(
                f"objects are given for an unknown slit {slit_id!r}",
                f"Must be one of {', '.join(cal.mask)}",
            )
        if not isinstance(positions, Iterable):
            raise InputError(
                f"objects is {positions!r}", f"Must be a list, [{positions!r}]", slit=slit_id
            )
        for t in positions:
            if not (isinstance(t, Real) and 0 < t < 1):
                raise InputError(
                    f"an object at t = {t!r}", "Must be between 0 and 1, the ends of the slit",
                    slit=slit_id,
                )  # fmt: skip


class _Slit:
    """The work on one slit."""

    def __init__(self, slit_id, pixels, grid):
        self.slit_id, self.pixels, self.grid = slit_id, pixels, grid
        self.places = known_places(grid, pixels.strip.geometry, pixels.strip.middle)

    def whole(self):
        """Sum the slit from end to end, the rows that its ends cut excepted."""
        pixels = self.pixels
        share = pixels.in_slit & (pixels.from_ends() >= 0.5)
        used = share & pixels.inside & ~pixels.bad
        bins = Bins(pixels.u, pixels.along(pixels.row_of(0.5))[1], self.places)
        variance, correlation = bins.variance(pixels.variance * used)
        flux, seen, whole = bins.sum(pixels.data * used, used, share)
        sums = extracted(
            flux,
            variance,
            np.zeros(len(seen)),
            np.divide(seen, whole, out=np.zeros_like(seen), where=whole > 0),
            correlation,
        )
        half = 0.5 / float(np.median(pixels.length))
        meta = {"sky": False, "t_range": (half, 1 - half)}
        return SlitReduction(spectra=[self._spectrum(sums, meta)])

    def run(self, given, method):
        """Find the objects, fit the sky, and extract."""
        pixels = self.pixels
        length = float(np.median(pixels.length))
        residual, variance, t = rough_sky(pixels)
        seen = np.isfinite(residual)
        profile, sigma = finding.collapsed(t, residual, variance, seen, length)
        found = finding.find_objects(finding.levelled(profile, sigma), sigma)
        # Once more with the sky that the first ones leave: it shows the fainter ones.
        for _ in range(2):
            before = found
            near = finding.near_objects(pixels, found)
            found = self._subtract(pixels, near)
            if _same(before, found, length):
                break
        light = wings(pixels, near, self.residual, self.variance, self.used, found)
        if light is not None:
            found = self._subtract(pixels.without(light), near)
        chosen = found if given is None else [_given(t, found, length) for t in given]
        for item in chosen:
            finding.trace(pixels, item, self.residual, self.variance, self.used)
        self.rejected = self.sky.rejected.copy()
        result = SlitReduction(chosen, [], *self.collapsed, self.sky.chi2)
        for number, item in enumerate(chosen, start=1):
            others = self._nearer(item, found)
            light = ObjectPixels(pixels, item, self.sky, others)
            sums = getattr(light, method)(self.places)
            self.rejected[light.place] |= light.cosmics & ~light.beyond
            result.spectra.append(self._spectrum(sums, self._meta(item, number, method, length)))
        if not chosen:
            result.note = "no object stands out on the profile along the slit. Say where it is, " \
                          "extract the slit without sky subtraction, or rectify it."  # fmt: skip
        return result

    def _subtract(self, bare, near):
        """Fit the sky, to pixels without the light of objects, and return the objects found."""
        pixels = self.pixels
        self.sky = fit_sky(bare, near)
        self.residual = pixels.data - self.sky.model
        self.used = pixels.inside & ~pixels.bad & ~self.sky.rejected
        self.variance = pixels.variance_for(self.sky.model)
        self.collapsed = finding.collapsed(
            pixels.t, self.residual, self.variance, self.used, float(np.median(pixels.length))
        )
        return finding.find_objects(*self.collapsed)

    def _nearer(self, item, found):
        """Pixels that are nearer to another object."""
        rows = np.arange(self.pixels.strip.height)[:, None]
        own = np.abs(rows - item.rows(self.pixels))
        nearer = np.zeros(own.shape, bool)
        for other in found:
            if abs(other.t - item.t) * np.median(self.pixels.length) > 0.5 * item.fwhm:
                nearer |= np.abs(rows - other.rows(self.pixels)) < own
        return nearer

    def _meta(self, item, number, method, length):
        reach = (3.0 if method == "optimal" else 2.0) * item.fwhm / length
        return {
            "sky": True,
            "method": method,
            "object": number,
            "object_t": item.t,
            "object_fwhm": item.fwhm,
            "object_snr": item.snr,
            "t_range": (max(item.t - reach, 0.0), min(item.t + reach, 1.0)),
        }

    def _spectrum(self, sums, meta):
        if meta["sky"]:
            meta["sky_flux"] = sums.sky
        known = self.pixels.known_noise
        return Spectrum(
            flux=sums.flux * self.pixels.unit,
            spectral_axis=self.grid.centres * u.AA,
            uncertainty=VarianceUncertainty(sums.variance) if known else None,
            mask=sums.mask,
            meta={
                "slit": self.slit_id,
                "medium": self.grid.medium,
                **meta,
                "correlation": sums.correlation,
            },
        )


def _same(before, found, length):
    """Whether the same objects were found again."""
    return len(before) == len(found) and all(
        abs(a.t - b.t) * length < 0.5 and abs(a.fwhm - b.fwhm) < 0.2 * b.fwhm
        for a, b in zip(before, found, strict=True)
    )


def _given(t, found, length):
    """Make an object at a position: as what was found there, or as wide as the others."""
    near = [item for item in found if abs(item.t - t) * length < max(item.fwhm, 2.0)]
    if near:
        return replace(min(near, key=lambda item: abs(item.t - t)), given=True)
    fwhm = float(np.median([item.fwhm for item in found])) if found else _SEEING
    return finding.SlitObject(t, fwhm, np.nan, given=True)
