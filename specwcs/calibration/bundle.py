"""`Calibration`: models, errors, residuals and provenance, in one immutable value."""

import warnings
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from specwcs import files, wcs
from specwcs.conventions import without_units
from specwcs.errors import InputError, SpecwcsWarning, check_type
from specwcs.inputs import Instrument, Mask
from specwcs.markers import Markers
from specwcs.models import CurvatureModel, DispersionModel, OpticalModel, SlitGeometry
from specwcs.threads import product

from .known import trace_rows, wavelength_rows
from .local import no_local_terms
from .predict import dispersion_at
from .provenance import setup_of

__all__ = ["Calibration", "SlitStatus"]

_TOGETHER = 2**15  # points whose errors are made at a time: a rough slit has many parameters


def no_markers():
    """Return a table of no markers."""
    return QTable(Markers.join([]))


@dataclass(frozen=True)
class SlitStatus:
    """How far one slit is calibrated.

    Parameters
    ----------
    flag : str
        ``"ok"``, or what is wrong in a few words.
    reason : str
        Why, and what follows; empty where all is well.
    rms : float
        Root mean square of the residuals of its lines, px; NaN without lines.
    n_lines, n_edges : int
        Number of line points and edge points that the fits used.
    known : tuple of float
        Between which wavelengths the slit is calibrated, Angstrom; NaN where it is not.
    """

    flag: str
    reason: str = ""
    rms: float = np.nan
    n_lines: int = 0
    n_edges: int = 0
    known: tuple = (np.nan, np.nan)

    @property
    def ok(self):
        """Whether the slit is calibrated by its own light."""
        return self.flag == "ok"

    def __str__(self):
        return f"{self.flag}: {self.reason}" if self.reason else self.flag


@dataclass(frozen=True, eq=False)
class Calibration:
    """The calibration of an instrument with a mask.

    Parameters
    ----------
    instrument : Instrument
    mask : Mask
        Oriented as it falls on the detector.
    opt : OpticalModel
    crv : CurvatureModel
    ids : DispersionModel
    local : dict of str to LocalTerms
        What single slits deviate by: across the dispersion from ``"crv"``, along it from
        ``"ids"``.
    covariance : dict of str to ndarray
        Of the parameters of ``"opt_x"``, ``"opt_y"``, ``"crv"`` and ``"ids"``; the last two
        with the local terms.
    slits : dict of str to SlitStatus
    residuals : QTable
        One row a marker: kind, slit, t, wavelength, x, y, sigma, residual (px, measured
        minus fitted), used, reason.
    dropped : QTable
        The same of markers that were measured and not offered to the fits, without residual.
    medium : {"air", "vacuum"}
        Of all its wavelengths.
    provenance : dict
        Files with checksums, versions, the choice of degrees, the sentences of the fits.
    """

    instrument: Instrument
    mask: Mask
    opt: OpticalModel
    crv: CurvatureModel
    ids: DispersionModel
    covariance: dict = field(repr=False)
    slits: dict = field(repr=False)
    residuals: QTable = field(repr=False)
    medium: str = "air"
    provenance: dict = field(default_factory=dict, repr=False)
    local: dict = field(default_factory=no_local_terms, repr=False)
    dropped: QTable = field(default_factory=no_markers, repr=False)

    @classmethod
    def read(cls, path):
        """Read a calibration from an ASDF file.

        Raises
        ------
        InputError
            If the file is no calibration, is damaged, or needs a newer specwcs.
        """
        return files.read_asdf(path, cls)

    def write(self, path, overwrite=False):
        """Write the calibration to an ASDF file, whole or not at all.

        Parameters
        ----------
        path : str or path-like
            Its name ends in ``.asdf``.
        overwrite : bool, optional
            Whether an existing file may be replaced.

        Raises
        ------
        InputError
            If it has another name, or the file exists or cannot be written.
        """
        files.check_suffix(path, ".asdf")
        files.write_asdf(path, {"calibration": self}, overwrite=overwrite)

    def geometry(self, slit_id, *, extrapolate=False):
        """Return the `~specwcs.models.SlitGeometry` of a slit.

        Its wavelengths are those that its lines determine, see `SlitStatus.known`, or all
        of the fit with `extrapolate`.
        """
        return _geometry(self, self._known(slit_id), extrapolate)

    def wcs(self, slit_id, *, to="slit", portable=False, extrapolate=False):
        """Return the GWCS of a slit.

        Parameters
        ----------
        slit_id : str
        to : {"slit", "mask", "sky"}
            Last frame: (wavelength in Angstrom, t), (wavelength, X mm, Y mm), or (wavelength,
            RA, Dec) where the design of the mask tells.
        portable : bool
            Use standard astropy models only, so that the WCS opens without specwcs; its
            attribute ``error_bound`` states the largest difference in px. Its last frame is
            the slit.
        extrapolate : bool
            Go on where the slit's lines leave the wavelength open, as far as lines of any
            slit reach; NaN there by default.

        Returns
        -------
        gwcs.wcs.WCS

        Raises
        ------
        InputError
            If the slit is unknown or does not fall on the detector, or the last frame cannot be
            had.
        FitError
            If no portable WCS is as exact as it must be.

        Warns
        -----
        SpecwcsWarning
            If the slit is flagged: its WCS is what the other slits predict.
        """
        slit = self.mask[self._known(slit_id)]
        status = self.slits.get(slit_id)
        if status and not status.ok:
            text = f"slit {slit_id} is flagged, its WCS is what other slits predict: {status}"
            warnings.warn(text, SpecwcsWarning, stacklevel=2)
        make = wcs.portable_slit_wcs if portable else wcs.slit_wcs
        geometry = self.geometry(slit_id, extrapolate=extrapolate)
        return make(geometry, slit, self.instrument.shape, to=to)

    def maps(self, *, extrapolate=False):
        """Return wavelength (Angstrom), t and slit index of every pixel.

        Parameters
        ----------
        extrapolate : bool
            As for `wcs`.

        Returns
        -------
        SlitMaps
            Three arrays of shape (ny, nx); NaN, NaN and -1 outside the slits that are
            calibrated. The index counts the slits of `mask` in their order.
        """
        good = set(self.good())
        numbers = {number: key for number, key in enumerate(self.mask) if key in good}
        geometries = {
            number: self.geometry(key, extrapolate=extrapolate) for number, key in numbers.items()
        }
        return wcs.frame_maps(geometries, self.instrument.shape)

    def wavelength_uncertainty(self, slit_id, x, y):
        """Return the 1 sigma error of the wavelength at pixels, from the fit's covariance.

        Parameters
        ----------
        slit_id : str
        x, y : array-like or Quantity
            Pixels; they broadcast.

        Returns
        -------
        ndarray
            Angstrom, NaN outside the slit, and beyond the lines of all slits.

        Notes
        -----
        The covariance of IDS alone: positions of lines are measured relative to the same
        OPT and CRV that a wavelength is read with, so that their errors cancel.
        """
        geometry = self.geometry(slit_id, extrapolate=True)
        wavelength, t = geometry.world(x, y)
        outside = ~((t >= 0) & (t <= 1))
        low, high = self.ids.domain
        outside |= ~((wavelength >= low) & (wavelength <= high))
        shape = wavelength.shape
        wavelength, t = (np.where(outside, np.nan, v).ravel() for v in (wavelength, t))
        rows_of = partial(
            wavelength_rows, self.opt, self.ids, self.local["ids"], self.mask[slit_id]
        )
        sigma = _sigma(rows_of, self.covariance["ids"], t, wavelength)
        return (sigma / geometry.dispersion.slope(wavelength, t)).reshape(shape)

    def trace_uncertainty(self, slit_id, d, t):
        """Return the 1 sigma error of traces across the dispersion, from the fit's covariance.

        Parameters
        ----------
        slit_id : str
        d : array-like or Quantity
            px along the dispersion from the reference wavelength.
        t : array-like
            Position in the slit, 0 and 1 at its edges; they broadcast.

        Returns
        -------
        ndarray
            px.

        Notes
        -----
        The covariance of CRV alone: edges are measured as they are on the frame, and what OPT
        errs by is part of CRV.
        """
        slit = self.mask[self._known(slit_id)]
        d, t = np.broadcast_arrays(*(np.asarray(v, float) for v in without_units(d=d, t=t)))
        rows_of = partial(trace_rows, self.opt, self.crv, self.local["crv"], slit)
        return _sigma(rows_of, self.covariance["crv"], t.ravel(), d.ravel()).reshape(d.shape)

    def dispersion_at(self, markers):
        """Return the local dispersion at markers that have a wavelength, px per Angstrom.

        Parameters
        ----------
        markers : QTable
            With slit, t and wavelength.

        Returns
        -------
        ndarray, shape (n,)
        """
        direction = self.instrument.direction
        return dispersion_at(self.opt, self.crv, self.ids, self.mask, direction, markers)

    def check_frame(self, frame):
        """Check that a frame can be of this calibration: its shape and its set-up.

        Parameters
        ----------
        frame : CCDData

        Raises
        ------
        InputError
            If it is no frame, its shape differs, or a keyword of the header that names the
            instrument, the disperser or the mask differs from that of the arc.
        """
        check_type(CCDData, frame=frame)
        if frame.shape != self.instrument.shape:
            raise InputError(
                f"the frame's shape is {frame.shape}",
                f"Must be that of the calibration, {self.instrument.shape}",
            )
        for key, value in setup_of(frame).items():
            expected = self.provenance.get("setup", {}).get(key, value)
            if value != expected:
                raise InputError(
                    f"the frame has {key} = {value!r}, the calibration {expected!r}",
                    "Must be of the same instrument, disperser and mask",
                    "Use the calibration of that set-up",
                )

    def good(self):
        """Return the ids of the slits that are calibrated."""
        return [key for key, status in self.slits.items() if status.ok]

    def _known(self, slit_id):
        if slit_id not in self.mask:
            length = len(str(slit_id))
            near = sorted(self.mask, key=lambda k: (abs(len(k) - length), k))
            allowed = f"The mask has {', '.join(near[:8])}{' …'[: 2 * (len(near) > 8)]}"
            remedy = "" if isinstance(slit_id, str) else "Ids are text"
            raise InputError(f"unknown slit {slit_id!r}", allowed, remedy)
        return slit_id

    def __repr__(self):
        return (
            f"<Calibration {self.instrument.name}: {len(self.good())} of {len(self.slits)} "
            f"slits ok, {self.medium} wavelengths, OPT {self.opt.degrees}, "
            f"CRV {self.crv.degrees}, IDS {self.ids.degrees}>"
        )


def _sigma(rows_of, covariance, *places):
    """Return the errors of a model's values, a part of the places at a time."""
    sigma = np.empty(len(places[0]))
    for first in range(0, len(sigma), _TOGETHER):
        part = np.s_[first : first + _TOGETHER]
        rows = rows_of(*(place[part] for place in places))
        sigma[part] = np.sqrt(np.sum(product(rows, covariance) * rows, axis=1))
    return sigma


@lru_cache(maxsize=512)
def _geometry(calibration, slit_id, extrapolate):
    geometry = SlitGeometry.from_models(
        calibration.opt,
        calibration.crv,
        calibration.ids,
        calibration.mask[slit_id],
        calibration.instrument.direction,
    )
    local = calibration.local
    trace = local["crv"].trace(geometry.trace, slit_id)
    dispersion = local["ids"].dispersion(geometry.dispersion, slit_id)
    known = calibration.slits[slit_id].known if slit_id in calibration.slits else (np.nan, np.nan)
    # A slit without lines of its own has the wavelengths of the others.
    if not extrapolate and np.all(np.isfinite(known)):
        dispersion = dispersion.within(*known)
    return SlitGeometry(trace, dispersion)
