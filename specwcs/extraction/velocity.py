"""To the rest frame of the solar system's barycentre: a step that is asked for, and recorded."""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from astropy import constants
from astropy import units as u
from astropy.coordinates import Angle, EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers
from specutils import Spectrum

from specwcs.errors import InputError

__all__ = ["Pointing", "to_barycentre"]

_SITES = (
    ("SITELONG", "SITELAT", "SITEALT"),
    ("LONGITUD", "LATITUDE", "HEIGHT"),
    ("LONG-OBS", "LAT-OBS", "ALT-OBS"),
    ("ESO TEL GEOLON", "ESO TEL GEOLAT", "ESO TEL GEOELEV"),
)
"""Cards of longitude, latitude (degrees) and height (m), east and north positive."""


@dataclass(frozen=True)
class Pointing:
    """When, from where, and at what the telescope looked.

    Parameters
    ----------
    time : astropy.time.Time
        The middle of the exposure.
    location : astropy.coordinates.EarthLocation
    target : astropy.coordinates.SkyCoord
    """

    time: Time
    location: EarthLocation
    target: SkyCoord

    @classmethod
    def from_header(cls, header):
        """Find them in the header of an exposure.

        Parameters
        ----------
        header : astropy.io.fits.Header
            ``MJD-OBS`` or ``DATE-OBS`` of the start and ``EXPTIME``; ``RA``, ``DEC``;
            ``OBSGEO-X``, ``-Y``, ``-Z``, or the longitude, latitude and height of the site.

        Raises
        ------
        InputError
            If something is missing or cannot be read; it names all that is.
        """
        parts = {
            "the date (MJD-OBS or DATE-OBS)": _time,
            "the site (OBSGEO-X, -Y, -Z, or SITELONG, SITELAT, SITEALT)": _site,
            "the target (RA, DEC)": _target,
        }
        found, missing = [], []
        for name, part in parts.items():
            value = None
            with suppress(ValueError, TypeError, u.UnitsError):
                value = part(header)
            if value is None:
                missing.append(name)
            found.append(value)
        if missing:
            raise InputError(
                f"the header does not tell {', '.join(missing)}",
                remedy="Make a Pointing of what you know, see specwcs.extraction.velocity",
            )
        return cls(*found)

    @property
    def correction(self):
        """What is to be added to radial velocities, km/s."""
        # The tables at hand are good to a millisecond: none is loaded from elsewhere.
        with iers.conf.set_temp("auto_download", False):
            speed = self.target.radial_velocity_correction(
                "barycentric", obstime=self.time, location=self.location
            )
        return float(speed.to_value(u.km / u.s))


def to_barycentre(spectrum, pointing):
    """Shift the wavelengths of a spectrum to the rest frame of the barycentre.

    Parameters
    ----------
    spectrum : Spectrum
        From `specwcs.extract` or `specwcs.rectify`.
    pointing : Pointing

    Returns
    -------
    Spectrum
        A new one; ``meta["velocity"]`` is the correction, km/s, ``meta["frame"]`` says
        ``"BARYCENT"``.

    Raises
    ------
    InputError
        If it was shifted before.

    Notes
    -----
    Wavelengths are multiplied by 1 + v/c, with v of `astropy.coordinates` (Wright & Eastman
    2014, PASP 126, 838, explain why that is all).
    """
    if spectrum.meta.get("frame") == "BARYCENT":
        raise InputError(f"the spectrum of slit {spectrum.meta['slit']} is barycentric already")
    speed = pointing.correction
    factor = 1 + speed / constants.c.to_value(u.km / u.s)
    return Spectrum(
        flux=spectrum.flux,
        spectral_axis=spectrum.spectral_axis.to(u.AA) * factor,
        uncertainty=spectrum.uncertainty,
        mask=spectrum.mask,
        meta={**spectrum.meta, "velocity": speed, "frame": "BARYCENT"},
    )


def _time(header):
    if "MJD-OBS" in header:
        start = Time(float(header["MJD-OBS"]), format="mjd", scale="utc")
    elif "T" in str(header.get("DATE-OBS", "")):
        start = Time(str(header["DATE-OBS"]), scale="utc")
    else:
        return None
    return start + 0.5 * float(header.get("EXPTIME", 0.0)) * u.s


def _site(header):
    geocentric = [header.get(f"OBSGEO-{axis}") for axis in "XYZ"]
    if None not in geocentric:
        return EarthLocation.from_geocentric(*(float(v) for v in geocentric), unit=u.m)
    for cards in _SITES:
        values = [header.get(card) for card in cards]
        if None not in values[:2]:
            longitude, latitude = (Angle(v, u.deg) for v in values[:2])
            height = float(values[2] or 0.0) * u.m
            return EarthLocation.from_geodetic(longitude, latitude, height)
    return None


def _target(header):
    ra, dec = header.get("RA"), header.get("DEC")
    if ra is None or dec is None:
        return None
    if isinstance(ra, str) and not _is_number(ra):
        return SkyCoord(ra, dec, unit=(u.hourangle, u.deg))
    return SkyCoord(float(ra), float(dec), unit=u.deg)


def _is_number(text):
    with suppress(ValueError):
        return bool(np.isfinite(float(text)))
    return False
