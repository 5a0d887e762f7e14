"""GMOS mask designs: object definition files (ODF) and mask definition files (MDF).

A FITS table with one slit a row. MDF: ``slitpos_mx``, ``slitpos_my`` (centre), ``slitsize_mx``,
``slitsize_my`` (mm), ``slittilt_m`` (degrees). ODF: ``x_ccd``, ``y_ccd`` (the object, px of the
pre-image, from 1), ``slitpos_x``, ``slitpos_y`` (the slit from the object, arcsec),
``slitsize_x``, ``slitsize_y`` (arcsec), ``slittilt``. Either: ``RA`` (hours, or as its unit says)
and ``DEC`` (degrees) of the object, ``priority`` 0 for an acquisition hole, ``slittype`` R for a
rectangle. A tilt is counter-clockwise, and makes a parallelogram that keeps its extents. The
dispersion runs along X (GMOS) or Y (Flamingos-2).

Sources: GMMPS manual, format of object tables (github.com/geminiutil/gmmps); Gemini IRAF, gmos
and gnirs (columns of the MDF; 1.611444 arcsec per mm at the focal plane of the telescope).
"""

import numpy as np

from specwcs.errors import InputError
from specwcs.inputs.designs._rows import (
    DEGREES_PER_HOUR,
    columns,
    is_table,
    names_of,
    number,
    slit_row,
    tilted,
    whole,
)
from specwcs.inputs.sky import fit_sky

NAME = "GMOS mask or object definition file (MDF, ODF)"

ARCSEC_PER_MM = 1.611444

_MDF = ("slitpos_mx", "slitpos_my", "slitsize_mx", "slitsize_my")
_ODF = ("x_ccd", "y_ccd", "slitsize_x", "slitsize_y")


def recognises(hdus):
    """Whether there is a table with the columns of an MDF or ODF."""
    return _table(hdus) is not None


def rows(hdus, path):
    """Read the slits; see `specwcs.inputs.designs.mms.rows`."""
    hdu, is_mdf = _table(hdus)
    along_x, notes = _dispersion(hdus, hdu)
    ids = _ids(hdu, path)
    read = _mm_of_mdf if is_mdf else _mm_of_odf
    geometry, objects, remarks = read(hdus, hdu, path)
    extras = columns(hdu, (), path, optional=("slittype*", "priority*"))
    types = extras.get("slittype", np.full(len(ids), "R"))
    reference = extras.get("priority", np.full(len(ids), "")) == "0"
    made, doubts = [], {}
    for slit_id, values, kind, ref in zip(ids, geometry.T, types, reference, strict=True):
        made.append(_slit(slit_id, *values, along_x, ref, path))
        if kind.upper() not in ("", "R"):
            doubts[slit_id] = f"slittype is {kind}: taken as a rectangle"
    places = _places(hdu, ids, objects, path)
    return made, [*notes, *remarks, *fit_sky(made, places)], doubts


def _table(hdus):
    """Return the table of slits, and whether it is an MDF; None if there is none."""
    for needed in (_MDF, _ODF):
        for hdu in hdus:
            if is_table(hdu) and names_of(hdu).issuperset(needed):
                return hdu, needed is _MDF
    return None


def _dispersion(hdus, hdu):
    """Whether the dispersion runs along X, by the name of the instrument."""
    name = str(hdu.header.get("INSTRUME") or hdus[0].header.get("INSTRUME") or "").upper()
    if name.startswith("F2"):
        return False, []
    if name.startswith("GMOS"):
        return True, []
    return True, ["dispersion along X, as of GMOS: there is no header card INSTRUME of it or of F2"]


def _ids(hdu, path):
    name = next((n for n in ("id", "slitid") if n in names_of(hdu)), "id")
    return [whole(value) for value in columns(hdu, (name,), path)[name]]


def _mm_of_mdf(hdus, hdu, path):  # noqa: ARG001 - the two readers share one signature
    read = columns(hdu, _MDF, path, optional=("slittilt_m",))
    geometry = [read[name] for name in _MDF]
    tilt = read.get("slittilt_m", np.zeros(len(geometry[0])))
    return np.array([*geometry, tilt]), np.array(geometry[:2]), []


def _mm_of_odf(hdus, hdu, path):
    """Take the pixels of the pre-image for the focal plane, by a linear scale."""
    read = columns(hdu, _ODF, path, optional=("slitpos_x", "slitpos_y", "slittilt"))
    header = hdu.header if "PIXSCALE" in hdu.header else hdus[0].header
    scale = number(header, "PIXSCALE", path)
    if not scale > 0:
        msg = f"header card PIXSCALE is {scale:g}"
        raise InputError(msg, "Must be arcsec per px, above 0.", file=path)
    objects, slits = [], []
    for axis in "xy":
        pixel = read[f"{axis}_ccd"]
        middle = (pixel.min() + pixel.max()) / 2
        objects.append((pixel - middle) * scale / ARCSEC_PER_MM)
        slits.append(objects[-1] + read.get(f"slitpos_{axis}", 0.0) / ARCSEC_PER_MM)
    sides = [read[f"slitsize_{axis}"] / ARCSEC_PER_MM for axis in "xy"]
    tilt = read.get("slittilt", np.zeros(len(slits[0])))
    return (
        np.array([*slits, *sides, tilt]),
        np.array(objects),
        [
            f"mm are pixels of the pre-image times {scale / ARCSEC_PER_MM:.6g}, without its "
            "distortion; the origin, which an ODF does not tell, is the middle of its objects"
        ],
    )


def _slit(slit_id, x, y, dimx, dimy, tilt, along_x, reference, path):
    if not abs(tilt) < 80:
        msg = f"slittilt is {tilt:g}"
        raise InputError(msg, "Must be below 80 degrees.", file=path, slit=slit_id)
    along, across = (dimx, dimy) if along_x else (dimy, dimx)
    box = tilted(along, across, tilt, along_x=along_x)
    side, line = (box["dimx"], box["dimy"]) if along_x else (box["dimy"], box["dimx"])
    sizes = {"width": side * ARCSEC_PER_MM, "length": line * ARCSEC_PER_MM}
    return slit_row(slit_id, x, y, **box, **sizes, reference=reference)


def _places(hdu, ids, objects, path):
    if not names_of(hdu).issuperset(("ra", "dec")):
        return {}
    read = columns(hdu, ("ra", "dec"), path)
    unit = next((c.unit or "" for c in hdu.columns if c.name.lower() == "ra"), "").lower()
    factor = 1.0 if unit.startswith("d") else DEGREES_PER_HOUR
    sky = zip(*objects, factor * read["ra"], read["dec"], strict=True)
    return {key: tuple(map(float, place)) for key, place in zip(ids, sky, strict=True)}
