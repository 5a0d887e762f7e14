"""Write an observation as the files that an observer has: frames, instrument, mask, lines."""

import numpy as np
from astropy.io import fits

from specwcs.files import atomic_path

__all__ = ["SIMULATED", "write_catalog", "write_frame", "write_instrument"]

SIMULATED = "simulated by specwcs"
"""What an instrument file says of an instrument that is none."""


def write_frame(path, frame, overwrite=False):
    """Write a frame to FITS as the raw file of a camera: adu, 32-bit floats, no uncertainty.

    Parameters
    ----------
    path : path-like
    frame : CCDData
        From an `Observation`.
    overwrite : bool, optional
        Whether an existing file may be replaced.
    """
    hdu = fits.PrimaryHDU(frame.data.astype(np.float32))
    hdu.header["EXPTIME"] = (frame.meta["exposure"], "s")
    hdu.header["INSTRUME"] = "specwcs.simulate"
    hdu.header["BUNIT"] = "adu"
    hdu.add_datasum("data unit checksum")  # without a date: the same frame, the same bytes
    with atomic_path(path, overwrite) as temporary:
        hdu.writeto(temporary)


def write_instrument(path, instrument, overwrite=False):
    """Write an instrument file (``.icf``).

    Parameters
    ----------
    path : path-like
    instrument : Instrument
        With gain and read noise; simulated frames have no overscan to trim.
    overwrite : bool, optional
        Whether an existing file may be replaced.
    """
    scale = " ".join(repr(side) for side in np.ravel(instrument.pixel_scale).tolist())
    lines = (
        "[Description]",
        f"instrument = {SIMULATED}",
        "[Detector]",
        f"pixel_scale = {scale}  # arcsec/px",
        f"xpixels = {instrument.xpixels}",
        f"ypixels = {instrument.ypixels}",
        "[Grism]",
        f"dispersion_direction = {instrument.direction}",
        f"linear_dispersion = {instrument.linear_dispersion!r}  # Angstrom/px",
        f"reference_lambda = {instrument.reference_lambda!r}  # Angstrom",
        "[Files]",
        "data_hdu = 0",
        f"gain = {instrument.gain!r}  # electrons/adu",
        f"read_noise = {instrument.read_noise!r}  # electrons",
    )
    if instrument.saturation is not None:
        lines += (f"saturation = {instrument.saturation!r}  # adu",)
    _write(path, lines, overwrite)


def write_catalog(path, catalog, overwrite=False):
    """Write a line catalogue (``.dat``).

    Parameters
    ----------
    path : path-like
    catalog : LineCatalog
    overwrite : bool, optional
        Whether an existing file may be replaced.
    """
    columns = (catalog.wavelength, catalog.label, catalog.flag, catalog.intensity)
    rows = (
        f'{wavelength:.4f} "{label}" {flag}' + (f" {intensity:g}" if intensity >= 0 else "")
        for wavelength, label, flag, intensity in zip(*columns, strict=True)
    )
    _write(path, (f"# medium: {catalog.medium}", "# unit: Angstrom", *rows), overwrite)


def _write(path, lines, overwrite):
    with atomic_path(path, overwrite) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
