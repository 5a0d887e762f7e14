"""Reading the spectra of an exposure with specutils: import this module, and it is known there.

>>> import specwcs.io.loaders
>>> from specutils import SpectrumList
>>> spectra = SpectrumList.read("science_spectra.fits")  # doctest: +SKIP
"""

import numpy as np
from astropy import units as u
from astropy.nddata import VarianceUncertainty
from astropy.wcs import WCS
from specutils import Spectrum, SpectrumList
from specutils.io.parsing_utils import read_fileobj_or_hdulist
from specutils.io.registers import data_loader

__all__ = ["read_spectra", "read_spectrum"]

FORMAT = "specwcs spectra"
_PRIORITY = 20  # above the loader of specutils that knows such files too
_META = {
    "SLIT": "slit",
    "MEDIUM": "medium",
    "SKYSUB": "sky",
    "METHOD": "method",
    "OBJNUM": "object",
    "OBJPOS": "object_t",
    "OBJFWHM": "object_fwhm",
    "OBJSNR": "object_snr",
}


def _is_ours(_origin, *args, **kwargs):
    with read_fileobj_or_hdulist(*args, **kwargs) as hdus:
        return hdus[0].header.get("FILETYPE") == FORMAT


@data_loader(
    FORMAT, identifier=_is_ours, dtype=SpectrumList, extensions=["fits"], priority=_PRIORITY
)
def read_spectra(path, **kwargs):
    """Read all spectra of an exposure.

    Parameters
    ----------
    path : str, path-like, file or HDUList
        From `specwcs.io.products.write_spectra`.

    Returns
    -------
    SpectrumList
    """
    with read_fileobj_or_hdulist(path, **kwargs) as hdus:
        numbers = [hdu.ver for hdu in hdus if hdu.name == "FLUX"]
        return SpectrumList([_spectrum(hdus, number) for number in numbers])


@data_loader(
    FORMAT,
    identifier=_is_ours,
    dtype=Spectrum,
    extensions=["fits"],
    priority=_PRIORITY,
    autogenerate_spectrumlist=False,
)
def read_spectrum(path, number=1, **kwargs):
    """Read one spectrum of an exposure.

    Parameters
    ----------
    path : str, path-like, file or HDUList
        From `specwcs.io.products.write_spectra`.
    number : int
        Which one, counted from 1.

    Returns
    -------
    Spectrum
    """
    with read_fileobj_or_hdulist(path, **kwargs) as hdus:
        return _spectrum(hdus, number)


def _spectrum(hdus, number):
    header, unit = hdus["FLUX", number].header, u.Unit(hdus["FLUX", number].header["BUNIT"])
    flux = np.array(hdus["FLUX", number].data, float)
    wavelength = WCS(header).all_pix2world(np.arange(len(flux)), 0)[0] * u.m
    meta = {key: header[card] for card, key in _META.items() if card in header}
    meta["header"] = hdus[0].header
    if ("SKY", number) in hdus:
        meta["sky_flux"] = np.array(hdus["SKY", number].data, float)
    uncertainty = None
    if ("VAR", number) in hdus:
        uncertainty = VarianceUncertainty(np.array(hdus["VAR", number].data, float))
    return Spectrum(
        flux=flux * unit,
        spectral_axis=wavelength.to(u.AA),
        uncertainty=uncertainty,
        mask=hdus["MASK", number].data.astype(bool),
        meta=meta,
    )
