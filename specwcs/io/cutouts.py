"""The slits of an exposure, cut out of the frame and not resampled, each with its WCS.

One FITS file an exposure, in the manner of the JWST pipeline: ``SCI``, ``ERR``, ``DQ`` and
``WAVELENGTH`` for each slit, and the GWCS of all of them in a table ``ASDF``. They are of
standard models: gwcs and asdf open them without specwcs.
"""

import io
import warnings
from typing import NamedTuple

import asdf
import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.modeling.models import Shift
from astropy.nddata import NDData, StdDevUncertainty
from gwcs import coordinate_frames

from specwcs.errors import InputError, SpecwcsError, SpecwcsWarning
from specwcs.extraction.exposure import variance_of
from specwcs.files import asdf_bytes
from specwcs.wcs.strip import SlitStrip

from .products import exposure_cards, write_hdus

__all__ = ["Cutout", "read_cutouts", "write_cutouts"]

DO_NOT_USE, NOT_IN_SLIT, COSMIC_RAY = 1, 2, 4
"""Bits of ``DQ``."""
_MARGIN = 2  # px around the slit


class Cutout(NamedTuple):
    """A slit as it was cut out.

    Attributes
    ----------
    data : NDData
        Flux with uncertainty, mask, and the GWCS: pixels of the cut-out, counted from 0, to
        wavelength and t.
    wavelength : ndarray
        Angstrom, NaN beside the slit.
    origin : tuple of int
        (x, y) of the cut-out's pixel (0, 0) on the frame.
    """

    data: NDData
    wavelength: np.ndarray
    origin: tuple


def write_cutouts(path, cal, reduction, overwrite=False):
    """Write the slits of a reduced frame, without the sky, not resampled.

    Parameters
    ----------
    path : str or path-like
    cal : Calibration
    reduction : Reduction
        From `specwcs.reduce_frame`.
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the file exists or cannot be written.

    Warns
    -----
    SpecwcsWarning
        If a slit has no WCS of standard models that is good enough; it is left out.
    """
    write_hdus(path, _hdus(cal, reduction), overwrite)


def _hdus(cal, reduction):
    """Yield the HDUs: four a slit, and the GWCS of all."""
    frame, systems = reduction.frame, {}
    primary = fits.PrimaryHDU(header=exposure_cards(frame.meta.get("header")))
    primary.header["FILETYPE"] = "specwcs cutouts"
    yield primary
    for number, slit_id in enumerate(reduction.slits, start=1):
        try:
            system = cal.wcs(slit_id, portable=True)
        except SpecwcsError as error:
            warnings.warn(f"slit {slit_id} is left out: {error}", SpecwcsWarning, stacklevel=4)
            continue
        part, planes = _planes(cal, slit_id, reduction)
        systems[slit_id] = _shifted(system, part)
        for name, plane in planes.items():
            hdu = _hdu(plane, name, number, slit_id, part)
            if name != "DQ":
                unit = u.AA if name == "WAVELENGTH" else u.Unit(frame.unit)
                hdu.header["BUNIT"] = unit.to_string()
            yield hdu
    yield _asdf_table({"wcs": systems})


def _hdu(plane, name, number, slit_id, part):
    dtype = np.uint8 if name == "DQ" else np.float64 if name == "WAVELENGTH" else np.float32
    hdu = fits.ImageHDU(plane.astype(dtype), name=name, ver=number)
    hdu.header["SLIT"] = (slit_id, "id of the slit")
    hdu.header["XSTART"] = (part[1].start, "column of the frame, from 0, of the first pixel")
    hdu.header["YSTART"] = (part[0].start, "row of the frame, from 0, of the first pixel")
    return hdu


def _planes(cal, slit_id, reduction):
    """Return where a slit is on the frame, and its planes there by name."""
    frame, (ny, nx) = reduction.frame, cal.instrument.shape
    geometry, direction = cal.geometry(slit_id), cal.instrument.direction
    strip = SlitStrip(geometry, direction, (ny, nx))
    wavelength, t, _ = strip.world()
    low, high = geometry.dispersion.wavelength_domain
    inside = (t >= 0) & (t <= 1) & (wavelength >= low) & (wavelength <= high)
    inside &= (strip.rows >= 0) & (strip.rows < strip.frame[0])
    row, column = np.nonzero(inside)
    x, y = direction.detector_pixel(strip.columns[column], strip.bottom[column] + row, (ny, nx))
    part = tuple(
        slice(max(at.min() - _MARGIN, 0), min(at.max() + _MARGIN + 1, size))
        for at, size in ((y, ny), (x, nx))
    )
    full = np.full([cut.stop - cut.start for cut in part], np.nan)
    full[y - part[0].start, x - part[1].start] = wavelength[inside]
    planes = {"SCI": frame.data[part] - reduction.sky[part]}
    if frame.uncertainty is not None:
        planes["ERR"] = np.sqrt(variance_of(frame.uncertainty, lambda a: np.array(a[part], float)))
    flags = np.where(np.isfinite(full), 0, NOT_IN_SLIT).astype(np.uint8)
    if frame.mask is not None:
        flags |= np.where(frame.mask[part], DO_NOT_USE, 0).astype(np.uint8)
    flags |= np.where(reduction.cosmics[part], DO_NOT_USE | COSMIC_RAY, 0).astype(np.uint8)
    return part, planes | {"DQ": flags, "WAVELENGTH": full}


def _shifted(system, part):
    """Put the pixels of a cut-out in front of the WCS of the frame."""
    shift = Shift(float(part[1].start)) & Shift(float(part[0].start))
    cutout = coordinate_frames.Frame2D(name="cutout", axes_order=(0, 1), unit=(u.pix, u.pix))
    box = system.bounding_box
    system.bounding_box = None
    system.insert_frame(cutout, shift, system.input_frame)
    limits = [
        (low - cut.start, high - cut.start)
        for (low, high), cut in zip((box[0], box[1]), part[::-1], strict=True)
    ]
    system.bounding_box = tuple(limits)
    return system


def _asdf_table(tree):
    content = np.frombuffer(asdf_bytes(tree), np.uint8)[None, :]
    column = fits.Column("ASDF_METADATA", format=f"{content.size}B", array=content)
    return fits.BinTableHDU.from_columns([column], name="ASDF")


def read_cutouts(path):
    """Read the slits of an exposure.

    Parameters
    ----------
    path : str or path-like
        From `write_cutouts`.

    Returns
    -------
    dict of str to Cutout
        By the id of the slit.

    Raises
    ------
    InputError
        If the file is no such file, or damaged.
    """
    try:
        with fits.open(path, checksum=True) as hdus:
            content = hdus["ASDF"].data["ASDF_METADATA"][0].tobytes()
            with asdf.open(io.BytesIO(content), lazy_load=False) as file:
                systems = dict(file["wcs"])
            numbers = [hdu.ver for hdu in hdus if hdu.name == "SCI"]
            return {hdus["SCI", n].header["SLIT"]: _cutout(hdus, n, systems) for n in numbers}
    except (OSError, KeyError, ValueError) as error:
        found = f"cannot be read as cut-outs ({error})"
        raise InputError(found, "", "Write it with specwcs extract", file=path) from error


def _cutout(hdus, number, systems):
    header = hdus["SCI", number].header
    sigma = None
    if ("ERR", number) in hdus:
        sigma = StdDevUncertainty(np.array(hdus["ERR", number].data, float))
    data = NDData(
        np.array(hdus["SCI", number].data, float),
        unit=header["BUNIT"],
        uncertainty=sigma,
        mask=hdus["DQ", number].data != 0,
        wcs=systems[header["SLIT"]],
        meta={"slit": header["SLIT"]},
    )
    wavelength = np.array(hdus["WAVELENGTH", number].data, float)
    return Cutout(data, wavelength, (header["XSTART"], header["YSTART"]))
