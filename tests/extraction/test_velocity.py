import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.io import fits
from astropy.time import Time
from specutils import Spectrum

from specwcs.errors import InputError
from specwcs.extraction import Pointing, to_barycentre

HEADER = fits.Header(
    {
        "DATE-OBS": "2015-05-20T04:57:33",
        "EXPTIME": 1200.0,
        "RA": "12:17:36.7",
        "DEC": "+39:00:40",
        "SITELONG": -121.636667,
        "SITELAT": 37.343333,
        "SITEALT": 1290.0,
    }
)


def test_against_the_reduction_of_another_program():
    """Shane, 2015 May 20, J1217+3905: PypeIt's factor for the heliocentre is 0.9999251763."""
    speed = Pointing.from_header(HEADER).correction
    # Theirs multiplies wavelengths by it; barycentre and heliocentre differ by 0.013 km/s at most.
    assert 1 + speed / 299792.458 == pytest.approx(0.9999251763, abs=6e-8)


def test_wavelengths_are_multiplied_and_it_is_recorded():
    spectrum = Spectrum(
        flux=np.arange(5.0) * u.adu,
        spectral_axis=np.arange(5000.0, 5005.0) * u.AA,
        meta={"slit": "1", "medium": "vacuum"},
    )
    shifted = to_barycentre(spectrum, Pointing.from_header(HEADER))
    factor = shifted.spectral_axis.value / spectrum.spectral_axis.value
    np.testing.assert_allclose(factor, 1 + shifted.meta["velocity"] / 299792.458, rtol=1e-12)
    assert shifted.meta["frame"] == "BARYCENT"
    assert "frame" not in spectrum.meta
    with pytest.raises(InputError, match="barycentric already"):
        to_barycentre(shifted, Pointing.from_header(HEADER))


def test_headers_of_different_kinds_say_the_same():
    first = Pointing.from_header(HEADER)
    site = EarthLocation.from_geodetic(-121.636667, 37.343333, 1290.0)
    other = fits.Header({"MJD-OBS": Time(HEADER["DATE-OBS"]).mjd, "EXPTIME": 1200.0})
    other.update({"RA": 184.402917, "DEC": 39.011111})
    for axis in "XYZ":
        other[f"OBSGEO-{axis}"] = getattr(site, axis.lower()).to_value(u.m)
    assert Pointing.from_header(other).correction == pytest.approx(first.correction, abs=1e-3)


@pytest.mark.parametrize(
    ("card", "value", "what"),
    [
        ("DATE-OBS", None, "the date"),
        ("DATE-OBS", "yesterday", "the date"),
        ("RA", None, "the target"),
        ("DEC", "north", "the target"),
        ("SITELAT", None, "the site"),
        ("SITELONG", "west", "the site"),
    ],
)
def test_what_is_missing_is_named(card, value, what):
    header = HEADER.copy()
    del header[card]
    if value is not None:
        header[card] = value
    with pytest.raises(InputError, match=rf"the header does not tell {what} \("):
        Pointing.from_header(header)


def test_a_pointing_of_ones_own():
    pointing = Pointing(
        Time("2024-01-01T00:00:00"),
        EarthLocation.from_geodetic(0, 0, 0),
        SkyCoord(10, 20, unit="deg"),
    )
    assert abs(pointing.correction) < 31
