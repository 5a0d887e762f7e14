"""Rectified images and spectra of slits as FITS files.

`write_products` writes what `specwcs.rectify` and `specwcs.extract` give, one file a slit, and
all spectra of the exposure in one; `write_spectrum` one of them. They are plain images with a
linear or logarithmic wavelength axis, so that DS9 shows the wavelengths and
``specutils.Spectrum.read`` opens them without being told the format, with specwcs or without
(it reports wavelengths in metres, as the FITS standard has it).
"""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits

from specwcs.errors import InputError
from specwcs.files import atomic_path

__all__ = [
    "exposure_cards", "exposure_name", "spectrum_path", "write_hdus", "write_products",
    "write_spectra", "write_spectrum",
]  # fmt: skip

_CTYPE = {"air": "AWAV", "vacuum": "WAVE"}
_SUFFIX = re.compile(r"\.(fits?|fts)(\.\w+)?$", re.IGNORECASE)
_UNEVEN = 1e-3  # of a bin: how far wavelengths may be off the linear axis of the header
_CARDS = {
    "slit": ("SLIT", "id of the slit"),
    "medium": ("MEDIUM", "that the wavelengths are measured in"),
    "sky": ("SKYSUB", "whether the sky was subtracted"),
    "method": ("METHOD", "of extraction"),
    "object": ("OBJNUM", "number of the object, the brightest first"),
    "object_t": ("OBJPOS", "position of the object, 0 = left end"),
    "object_fwhm": ("OBJFWHM", "[pix] along the slit"),
    "object_snr": ("OBJSNR", "signal to noise, all wavelengths together"),
    "velocity": ("VELCORR", "[km/s] added to the radial velocity"),
    "frame": ("SPECSYS", "that the wavelengths are at rest in"),
}
_COPIED = (
    *("OBJECT", "TELESCOP", "INSTRUME", "DATE-OBS", "MJD-OBS", "EXPTIME", "AIRMASS"),
    *("RA", "DEC"),
)
"""Cards of the exposure that its products keep."""


def write_products(folder, name, images, spectra, header=None, overwrite=False):
    """Write the rectified images and the spectra of an exposure.

    Parameters
    ----------
    folder : str or path-like
        It is made if it does not exist.
    name : str
        Of the exposure; the files are called ``<name>_<slit>_2d.fits`` and
        ``<name>_<slit>_1d.fits`` (``<name>_<slit>_obj2_1d.fits`` for a second object), and
        ``<name>_spectra.fits``.
    images : mapping of str to Spectrum
        From `specwcs.rectify`.
    spectra : iterable of Spectrum
        From `specwcs.extract`.
    header : astropy.io.fits.Header, optional
        Of the exposure: date, target and the like are taken from it.
    overwrite : bool, optional
        Whether existing files may be replaced.

    Returns
    -------
    list of pathlib.Path
        The files, images first, all spectra together last.

    Raises
    ------
    InputError
        If a file exists already or cannot be written. Each file is whole or not there.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot be made ({error.strerror})"
        raise InputError(msg, remedy="Choose another folder", file=folder) from error
    paths = []
    for spectrum in (*images.values(), *spectra):
        paths.append(spectrum_path(folder, name, spectrum))
        write_spectrum(spectrum, paths[-1], header, overwrite=overwrite)
    if spectra:
        paths.append(folder / f"{name}_spectra.fits")
        write_spectra(spectra, paths[-1], header, overwrite=overwrite)
    return paths


def spectrum_path(folder, name, spectrum):
    """Return the path of the file of a spectrum or a rectified image."""
    number = spectrum.meta.get("object", 1)
    middle = f"_obj{number}" if number > 1 else ""
    slit_id = spectrum.meta["slit"]
    return Path(folder) / f"{name}_{slit_id}{middle}_{spectrum.flux.ndim}d.fits"


def write_spectra(spectra, path, header=None, overwrite=False):
    """Write all spectra of an exposure to one file.

    Parameters
    ----------
    spectra : iterable of Spectrum
        One-dimensional, from `specwcs.extract`.
    path : str or path-like
    header : astropy.io.fits.Header, optional
        Of the exposure.
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If a grid cannot be kept in a header, or the file exists or cannot be written.

    Notes
    -----
    HDUs: ``FLUX``, ``VAR``, ``MASK`` and ``SKY`` with ``EXTVER`` 1, 2, … for each spectrum.
    ``SpectrumList.read`` gives all of them where `specwcs.io.loaders` was imported, and the
    first one otherwise.
    """
    primary = fits.PrimaryHDU(header=exposure_cards(header))
    # By this card specutils knows a file of spectra with axes in the headers.
    primary.header["DISPAXIS"] = (1, "wavelength runs along axis 1")
    primary.header["FILETYPE"] = ("specwcs spectra", "see EXTNAME, EXTVER")
    hdus = [primary]
    for number, spectrum in enumerate(spectra, start=1):
        hdus += _hdus(spectrum, path, "FLUX", number)
    write_hdus(path, hdus, overwrite)


def write_spectrum(spectrum, path, header=None, overwrite=False):
    """Write the spectrum or the rectified image of a slit.

    Parameters
    ----------
    spectrum : Spectrum
        From `specwcs.extract` or `specwcs.rectify`, on wavelengths that are evenly spaced, or
        evenly in the logarithm.
    path : str or path-like
    header : astropy.io.fits.Header, optional
        Of the exposure.
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the wavelengths are not evenly spaced, or the file exists or cannot be written.

    Notes
    -----
    HDUs: the flux first, then ``VAR`` (if there is an uncertainty), ``MASK`` (1 = do not
    use), and ``SKY``, the sky that was subtracted. Images are in single precision. The
    wavelength axis is ``AWAV`` in air, ``WAVE`` in vacuum, with ``-LOG`` where it is logarithmic;
    the second axis of an image is the position t in the slit.
    """
    hdus = _hdus(spectrum, path)
    hdus[0] = fits.PrimaryHDU(hdus[0].data, hdus[0].header)
    hdus[0].header.update(exposure_cards(header))
    write_hdus(path, hdus, overwrite)


def _hdus(spectrum, path, name=None, number=None):
    """Return the HDUs of a spectrum: flux, variance, mask, sky."""
    header, unit = _header(spectrum, path), spectrum.flux.unit
    planes = {name or "FLUX": (spectrum.flux.value, unit)}
    if spectrum.uncertainty is not None:
        planes["VAR"] = (spectrum.uncertainty.array, unit**2)
    planes["MASK"] = (spectrum.mask.astype(np.uint8), None)
    if "sky_flux" in spectrum.meta:
        planes["SKY"] = (spectrum.meta["sky_flux"], unit)
    hdus = []
    for key, (data, own) in planes.items():
        if own is not None and data.ndim == 2:  # large, and noisier than what this rounds off
            data = np.asarray(data, np.float32)
        hdus.append(fits.ImageHDU(data, header, name=key, ver=number))
        if own is None:
            hdus[-1].header["BFORM"] = ("L", "logical: 1 is True")
        else:
            hdus[-1].header["BUNIT"] = own.to_string()
    if name is None:
        del hdus[0].header["EXTNAME"]
    return hdus


def exposure_name(path):
    """Return what the products of a frame are called after: its file, without the ending."""
    return _SUFFIX.sub("", Path(path).name)


def write_hdus(path, hdus, overwrite=False):
    """Write HDUs to a FITS file, one after the other as they come, and let go of their data.

    Parameters
    ----------
    path : str or path-like
    hdus : iterable of HDU
        The primary one first. Each gets checksums whose cards bear no date: equal data, equal
        files.
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the file exists or cannot be written.
    """
    with atomic_path(path, overwrite) as temporary, fits.open(temporary, mode="append") as file:
        for hdu in hdus:
            if not len(file):  # it tells of those to come
                axes = hdu.header["NAXIS"] or ""
                hdu.header.set("EXTEND", True, after=f"NAXIS{axes}")
            hdu.verify("exception")
            hdu.add_checksum(when="of this HDU")
            file.append(hdu)
            file.flush(output_verify="ignore")  # each was verified, once
            del hdu.data


def exposure_cards(header):
    """Return the cards of an exposure that its products keep."""
    kept = fits.Header()
    for key in _COPIED:
        with suppress(KeyError, ValueError, fits.VerifyError):  # a card that nobody can read
            kept[key] = (header or {})[key]
    return kept


def _header(spectrum, path):
    """Return the WCS and the facts about a spectrum."""
    header = fits.Header()
    wavelength = spectrum.spectral_axis.to_value(u.AA)
    ctype = _CTYPE[spectrum.meta["medium"]]
    if _uneven(np.log(wavelength)) < _uneven(wavelength) and _uneven(wavelength) > _UNEVEN:
        _add_axis(header, 1, f"{ctype}-LOG", np.log(wavelength), path)
        # Log-linear (FITS WCS paper III): λ = CRVAL exp(CDELT (p - CRPIX) / CRVAL)
        header["CRVAL1"] = wavelength[0]
        header["CDELT1"] *= wavelength[0]
    else:
        _add_axis(header, 1, ctype, wavelength, path)
    header["CUNIT1"] = "Angstrom"
    if spectrum.flux.ndim == 2:
        _add_axis(header, 2, "SLITPOS", spectrum.meta["t"], path)
    correlation = np.atleast_2d(spectrum.meta.get("correlation", np.nan))
    if np.isfinite(correlation[0, -1]):
        along = correlation[0, 1] if correlation.shape[1] > 1 else correlation[0, 0]
        header["CORRWAVE"] = (along, "mean correlation of bins beside each other")
    if len(correlation) > 1:
        header["CORRPOS"] = (correlation[1, 0], "and of bins above each other")
    header["DISPAXIS"] = (1, "wavelength runs along axis 1")
    for key, (card, comment) in _CARDS.items():
        if key in spectrum.meta:
            value = spectrum.meta[key]
            if not (isinstance(value, float) and np.isnan(value)):  # no card can say it
                header[card] = (value, comment)
    return header


def _uneven(values):
    """By how much values are off a straight line, in units of its step."""
    step = (values[-1] - values[0]) / (len(values) - 1)
    return np.abs(values - values[0] - step * np.arange(len(values))).max() / abs(step)


def _add_axis(header, number, ctype, values, path):
    if _uneven(values) > _UNEVEN:
        raise InputError(
            "the wavelengths are not evenly spaced",
            remedy="Rectify on an evenly spaced grid",
            file=path,
        )
    header[f"CTYPE{number}"] = ctype
    header[f"CRPIX{number}"] = 1.0
    header[f"CRVAL{number}"] = values[0]
    header[f"CDELT{number}"] = (values[-1] - values[0]) / (len(values) - 1)
