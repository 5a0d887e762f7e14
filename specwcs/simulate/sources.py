"""What shines through the slits: lamps, night sky, stars; and what the optics let pass."""

import numpy as np

from specwcs.inputs import LineCatalog

__all__ = ["arc_lines", "flat_lamp", "night_sky", "star", "throughput"]

# Strong lines of the night sky below the OH forest: Angstrom in air, relative intensity.
# Osterbrock et al. (1996, PASP 108, 277) for the positions; intensities are rounded.
_SKY_LINES = (
    (5577.338, 300.0),
    (5889.950, 60.0),
    (5895.924, 30.0),
    (6300.304, 150.0),
    (6363.780, 50.0),
)
_PLAIN_LAMP_POWER = 0.6  # compresses the intensities of tables, which stem from other lamps


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


def arc_lines(catalog, level, seed, *, missing=0.0, unknown=0):
    """Lines that an arc lamp shows.

    Parameters
    ----------
    catalog : LineCatalog
        What is known of the lamp.
    level : float
        Strength of its brightest line.
    seed : int
    missing : float
        Share of the catalogue's lines that the lamp does not show.
    unknown : int
        Number of lines that are in no catalogue, of medium strength.

    Returns
    -------
    wavelength, strength : ndarray, shape (n,)
        Angstrom, in the catalogue's medium, and strength as `level`. The strengths follow
        the catalogue's intensities, compressed, with a scatter of 30 percent.
    """
    rng = np.random.default_rng(seed)
    relative = np.where(np.isfinite(catalog.intensity), catalog.intensity, 0)
    floor = 1e-4 * relative.max() if relative.any() else 1.0
    relative = np.maximum(relative, floor) ** _PLAIN_LAMP_POWER
    strength = level * relative / relative.max()
    strength = np.minimum(strength * np.exp(rng.normal(0, 0.3, len(strength))), level)
    shown = rng.uniform(size=len(strength)) >= missing
    extra = rng.uniform(catalog.wavelength[0], catalog.wavelength[-1], unknown)
    extra_strength = level * np.exp(rng.uniform(np.log(0.01), np.log(0.3), unknown))
    return (
        np.concatenate([catalog.wavelength[shown], extra]),
        np.concatenate([strength[shown], extra_strength]),
    )


def night_sky(medium):
    """Lines of the night sky: OH from the catalogue of specwcs, [O I] and Na.

    Parameters
    ----------
    medium : str
        ``"air"`` or ``"vacuum"``.

    Returns
    -------
    LineCatalog
        With intensities.
    """
    oh = LineCatalog.read("OH").to_medium("air")
    wavelength, intensity = np.transpose(_SKY_LINES)
    wavelength = np.concatenate([oh.wavelength, wavelength])
    order = np.argsort(wavelength)
    lines = LineCatalog(
        wavelength=wavelength[order],
        label=np.concatenate([oh.label, ["sky"] * len(_SKY_LINES)])[order],
        flag=np.concatenate([oh.flag, [1] * len(_SKY_LINES)])[order],
        intensity=np.concatenate([oh.intensity, intensity])[order],
        medium="air",
    )
    return lines.to_medium(medium)
