"""Mask designs of other programs, recognised by what they hold, not by their names.

One module a format. Each turns its own coordinates, units, signs and angles into ours (X right,
Y up, mm; rotation in degrees clockwise; arcsec along and across the dispersion), and tells in
notes what it assumed and what the design does not say. Modules of FITS formats have `NAME`,
``recognises(hdus)`` and ``rows(hdus, path)``; they are asked in turn.
"""

from pathlib import Path

from specwcs.errors import InputError
from specwcs.inputs.designs import mms

__all__ = ["is_fits", "is_text_design", "rows_from_fits", "rows_from_text"]

_FITS_BEGINS = (b"SIMPLE  =", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_LARGEST_FITS = 2**29
"""Bytes after decompression: designs travel in the headers of frames, too."""


def is_fits(path):
    """Whether a file begins as FITS does, or as something compressed."""
    with path.open("rb") as stream:
        return stream.read(9).startswith(_FITS_BEGINS)


def is_text_design(text, path):
    """Whether a text holds the keywords of a ``.mms`` or ``.lms``, or is named so."""
    return mms.recognises(text) or Path(str(path)).suffix.lower() in (".mms", ".lms")


def rows_from_text(text, path, source):
    """Read a ``.mms`` or ``.lms``.

    Returns
    -------
    rows : list of dict
    source : Source
    notes : list of str
    doubts : dict of str to str

    Raises
    ------
    InputError
    """
    rows, notes, doubts = mms.rows(text, path)
    return rows, source, [f"read as a {mms.NAME}", *notes], doubts


def rows_from_fits(path):
    """Read the design in a FITS file; as `rows_from_text`.

    Raises
    ------
    InputError
        If the file is damaged, or holds no design that is known, or not all of it.
    """
    from specwcs.inputs._fits import describe, open_fits

    hdus, source, remarks = open_fits(path, _LARGEST_FITS)
    design = design_in(hdus)
    if design is None:
        raise InputError(
            "no mask design that is known",
            f"Must be a {', '.join(d.NAME for d in _fits_designs())}; it has {describe(hdus)}.",
            "Write the slits into a mask file (.mdf)",
            file=path,
        )
    rows, notes, doubts = design.rows(hdus, path)
    return rows, source, [f"read as a {design.NAME}", *remarks, *notes], doubts


def design_in(hdus):
    """Return the module that reads the design in the HDUs of a file, or None."""
    return next((d for d in _fits_designs() if d.recognises(hdus)), None)


def _fits_designs():
    from specwcs.inputs.designs import deimos, fors, gmos, nirspec, vimos

    return gmos, deimos, nirspec, vimos, fors
