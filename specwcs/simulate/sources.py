"""What shines through the slits: lamps, night sky, stars; and what the optics let pass."""

import numpy as np

from specwcs.inputs import LineCatalog

__all__ = [
    "arc_lines",
    "flat_lamp",
    "night_sky",
    "star",
    "throughput",
    "with_second_order",
]

_COMPRESSION = 0.6  # exponent: tables of intensities stem from other lamps and ranges


def throughput(wavelength, passband):
    """Share of the light that passes the optics.

    Parameters
    ----------
    wavelength : ndarray
        Angstrom.
    passband : tuple of float
        Where a filter cuts, half of the light, (start, stop) in Angstrom.

    Returns
    -------
    ndarray
        0 to 1: a blaze function between the two edges, which are 10 Angstrom wide.
    """
    start, stop = passband
    centre, width = (start + stop) / 2, (stop - start) / 2
    blaze = np.exp(-0.5 * ((wavelength - centre) / (0.8 * width)) ** 2)
    return blaze * _rise(wavelength - start) * _rise(stop - wavelength)


def _rise(distance):
    return 0.5 * (1 + np.tanh(np.clip(distance / 10.0, -30, 30)))


def flat_lamp(wavelength):
    """Photons per Angstrom of a tungsten lamp at 3200 K (Planck), relative to 7000 Angstrom."""

    def photons(angstrom):
        return angstrom**-4.0 / np.expm1(1.43877e8 / (angstrom * 3200.0))

    return photons(wavelength) / photons(7000.0)


def star(wavelength):
    """Spectrum of a star, relative to its continuum at 7000 Angstrom.

    A power law with two broad absorption lines, 30 Angstrom FWHM and more, so that no
    spectrograph changes it noticeably.
    """
    spectrum = (wavelength / 7000.0) ** -1.5
    for centre, depth, fwhm in ((6562.8, 0.5, 30.0), (8200.0, 0.3, 60.0)):
        spectrum = spectrum * (1 - depth * np.exp(-2.7726 * ((wavelength - centre) / fwhm) ** 2))
    return spectrum


def arc_lines(catalog, rng, *, missing=0.0, unknown=0):
    """Choose the lines that an arc lamp shows.

    Parameters
    ----------
    catalog : LineCatalog
        What is known of the lamp.
    rng : numpy.random.Generator
    missing : float
        Share of the catalogue's lines that the lamp does not show.
    unknown : int
        Number of lines that are in no catalogue, of 1 to 30 percent of the brightest.

    Returns
    -------
    wavelength, strength : ndarray, shape (n,)
        Angstrom, in the catalogue's medium; 1 is the strength of the brightest line. The
        strengths follow the catalogue's intensities, compressed, with a scatter of 30 percent.
    """
    strength = _strength(catalog) * np.exp(rng.normal(0, 0.3, len(catalog)))
    strength /= strength.max()
    shown = rng.uniform(size=len(strength)) >= missing
    extra = rng.uniform(catalog.wavelength[0], catalog.wavelength[-1], unknown)
    extra_strength = np.exp(rng.uniform(np.log(0.01), np.log(0.3), unknown))
    return (
        np.concatenate([catalog.wavelength[shown], extra]),
        np.concatenate([strength[shown], extra_strength]),
    )


def with_second_order(lines, catalog, passband, rng, share):
    """Add the lines of half the wavelengths, which a grating's second order puts on the frame.

    Parameters
    ----------
    lines : tuple of ndarray
        Wavelength, Angstrom, and strength.
    catalog : LineCatalog
        All that is known of the lamp.
    passband : tuple of float
        First and last wavelength on the frame, Angstrom.
    rng : numpy.random.Generator
    share : float
        Strength of the second order relative to the first.

    Returns
    -------
    wavelength, strength : ndarray, shape (n,)
        Those of the second order stand at twice their wavelengths.
    """
    first, last = (end / 2 for end in passband)
    if not np.any((catalog.wavelength >= first) & (catalog.wavelength <= last)):
        return lines
    wavelength, strength = arc_lines(catalog.select(first, last), rng)
    return np.append(lines[0], 2 * wavelength), np.append(lines[1], share * strength)


def _strength(catalog):
    """Relative strength of a lamp's lines; lines of unknown intensity count as faint."""
    intensity = np.where(np.isfinite(catalog.intensity), catalog.intensity, 0.0)
    if not intensity.any():
        return np.ones(len(catalog))
    return np.maximum(intensity / intensity.max(), 1e-4) ** _COMPRESSION


def night_sky(medium, passband):
    """Return the lines of the night sky, OH and [O I].

    Parameters
    ----------
    medium : str
        ``"air"`` or ``"vacuum"``.
    passband : tuple of float
        First and last wavelength, Angstrom.

    Returns
    -------
    wavelength, strength : ndarray, shape (n,)
        Angstrom; 1 is the strength of the brightest line. None where the sky has no line.
    """
    catalog = LineCatalog.read("OH").to_medium(medium)
    if not np.any((catalog.wavelength >= passband[0]) & (catalog.wavelength <= passband[1])):
        return np.zeros(0), np.zeros(0)
    catalog = catalog.select(*passband)
    return catalog.wavelength, _strength(catalog)
