"""Rectified images and spectra of slits as FITS files.

`write_products` writes what `specwcs.rectify` and `specwcs.extract` give, one file a slit;
`write_spectrum` one of them. They are plain images with a linear wavelength axis, so that
DS9 shows the wavelengths and ``specutils.Spectrum.read`` opens them without being told the
format (it reports wavelengths in metres, as the FITS standard has it).
"""

from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits

from specwcs.errors import InputError
from specwcs.files import atomic_path

__all__ = ["write_products", "write_spectrum"]

_CTYPE = {"air": "AWAV", "vacuum": "WAVE"}
_UNEVEN = 1e-3  # of a bin: how far wavelengths may be off the linear axis of the header
_CARDS = {
    "slit": ("SLIT", "id of the slit"),
    "medium": ("MEDIUM", "that the wavelengths are measured in"),
    "sky": ("SKYSUB", "whether the sky was subtracted"),
    "object_t": ("OBJPOS", "position of the object, 0 = left end"),
    "object_fwhm": ("OBJFWHM", "[pix] along the slit"),
}


def write_products(folder, name, images, spectra, overwrite=False):
    """Write the rectified images and the spectra of an exposure.

    Parameters
    ----------
    folder : str or path-like
        It is made if it does not exist.
    name : str
        Of the exposure; the files are called ``<name>_<slit>_2d.fits`` and
        ``<name>_<slit>_1d.fits``.
    images : mapping of str to Spectrum
        From `specwcs.rectify`.
    spectra : iterable of Spectrum
        From `specwcs.extract`.
    overwrite : bool, optional
        Whether existing files may be replaced.

    Returns
    -------
    list of pathlib.Path
        The files, images first.

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
        slit_id = spectrum.meta["slit"]
        paths.append(folder / f"{name}_{slit_id}_{spectrum.flux.ndim}d.fits")
        write_spectrum(spectrum, paths[-1], overwrite=overwrite)
    return paths


def write_spectrum(spectrum, path, overwrite=False):
    """Write the spectrum or the rectified image of a slit.

    Parameters
    ----------
    spectrum : Spectrum
        From `specwcs.extract` or `specwcs.rectify`, on evenly spaced wavelengths.
    path : str or path-like
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the wavelengths are not evenly spaced, or the file exists or cannot be written.

    Notes
    -----
    HDUs: the flux first, then ``VAR`` (if there is an uncertainty) and ``MASK`` (1 = do not
    use). The wavelength axis is ``AWAV`` in air, ``WAVE`` in vacuum; the second axis of an
    image is the position t in the slit.
    """
    header = _header(spectrum, path)
    hdus = [fits.PrimaryHDU(spectrum.flux.value, header)]
    hdus[0].header["BUNIT"] = spectrum.flux.unit.to_string()
    if spectrum.uncertainty is not None:
        hdus.append(fits.ImageHDU(spectrum.uncertainty.array, header, name="VAR"))
        hdus[-1].header["BUNIT"] = (spectrum.flux.unit**2).to_string()
    hdus.append(fits.ImageHDU(spectrum.mask.astype(np.uint8), header, name="MASK"))
    hdus[-1].header["BFORM"] = ("L", "logical: 1 is True")
    with atomic_path(path, overwrite) as temporary:
        fits.HDUList(hdus).writeto(temporary, checksum=True)


def _header(spectrum, path):
    """Return the linear WCS and the facts about a spectrum."""
    header = fits.Header()
    wavelength = spectrum.spectral_axis.to_value(u.AA)
    medium = spectrum.meta["medium"]
    _add_axis(header, 1, _CTYPE[medium], wavelength, path)
    header["CUNIT1"] = "Angstrom"
    if spectrum.flux.ndim == 2:
        _add_axis(header, 2, "SLITPOS", spectrum.meta["t"], path)
    header["DISPAXIS"] = (1, "wavelength runs along axis 1")
    for key, (card, comment) in _CARDS.items():
        if key in spectrum.meta:
            header[card] = (spectrum.meta[key], comment)
    return header


def _add_axis(header, number, ctype, values, path):
    step = (values[-1] - values[0]) / (len(values) - 1)
    if np.abs(values - values[0] - step * np.arange(len(values))).max() > _UNEVEN * abs(step):
        raise InputError(
            "the wavelengths are not evenly spaced",
            remedy="Rectify on an evenly spaced grid",
            file=path,
        )
    header[f"CTYPE{number}"] = ctype
    header[f"CRPIX{number}"] = 1.0
    header[f"CRVAL{number}"] = values[0]
    header[f"CDELT{number}"] = step
