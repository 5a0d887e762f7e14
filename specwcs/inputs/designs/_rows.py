"""What the designs share: rows in our conventions, typed header cards, columns of tables."""

import re

import numpy as np

from specwcs.errors import InputError

DEGREES_PER_HOUR = 15.0
"""Of right ascension."""


def slit_row(slit_id, x, y, dimx, dimy, *, rot=0.0, width=0.0, length=0.0, reference=False):
    """Return a straight slit as a row of a mask file; lengths in mm, sizes in arcsec."""
    numbers = {"X": x, "Y": y, "DIMX": dimx, "DIMY": dimy, "ROT": rot, "WID": width, "LEN": length}
    row = {name: float(value) for name, value in numbers.items()}
    return {"ID": str(slit_id), **row, "REF": bool(reference), "CURVE": None, "SKY": None}


def tilted(along, across, tilt, *, along_x):
    """Return the rectangle that stands for a parallelogram: a slit that is tilted by shearing.

    Mask programs keep the width along the dispersion and the extent across it when a slit is
    tilted. The rectangle has the same centre line, and the same width along the dispersion.

    Parameters
    ----------
    along, across : float
        Extents of the parallelogram, mm.
    tilt : float
        Degrees that its centre line is turned counter-clockwise from the cross-dispersion.
    along_x : bool
        Whether the dispersion runs along X.

    Returns
    -------
    dict
        ``dimx``, ``dimy``, ``rot`` for `slit_row`.
    """
    cosine = np.cos(np.radians(tilt))
    side, line = along * cosine, across / cosine
    dimx, dimy = (side, line) if along_x else (line, side)
    return {"dimx": dimx, "dimy": dimy, "rot": -tilt}


def number(header, key, path, *, default=None):
    """Return the number on a card of a FITS header.

    Raises
    ------
    InputError
        If the card is missing and there is no `default`, or holds no finite number.
    """
    from specwcs.inputs._fits import card

    value = card(header, key, path)
    if value is None and default is not None:
        return default
    if value is None:
        msg = f"header card {key} is missing"
        raise InputError(msg, "", "The design is incomplete: use the original file", file=path)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        msg = f"header card {key} is {value!r}"
        raise InputError(msg, "Must be a number.", file=path)
    return float(value)


def angle(header, key, path):
    """Return an angle in degrees, or NaN if the card is missing or no number.

    Coordinates of objects are extras of a design: they fail alone.
    """
    try:
        return number(header, key, path, default=np.nan)
    except InputError:
        return np.nan


def indices(header, pattern):
    """Return the numbers n for which a keyword matches `pattern`, with one group for n."""
    found = (re.fullmatch(pattern, key) for key in header)
    return sorted({int(match[1]) for match in found if match})


def table(hdus, name):
    """Return the table HDU of that name, in any case, or None."""
    return next((h for h in hdus if h.name.upper() == name and is_table(h)), None)


def is_table(hdu):
    """Whether an HDU is a table, binary or ASCII."""
    return hdu.header.get("XTENSION") in ("BINTABLE", "TABLE")


def names_of(hdu):
    """Return the names of a table's columns in lower case."""
    return {name.lower() for name in hdu.columns.names}


def columns(hdu, needed, path, *, optional=()):
    """Return columns of a table by their names in lower case.

    Parameters
    ----------
    hdu : BinTableHDU
    needed, optional : iterable of str
        Those that end in ``*`` are texts, the others numbers.

    Returns
    -------
    dict of str to ndarray
        float64, or text without blanks at the ends.

    Raises
    ------
    InputError
        If a column is missing, of another type, or the table has no row.
    """
    from specwcs.inputs._fits import pixels

    data, known = pixels(hdu, path), names_of(hdu)
    missing = [name.rstrip("*") for name in needed if name.rstrip("*") not in known]
    if missing:
        raise InputError(
            f"table {hdu.name or 'without a name'} has no column {', '.join(missing)}",
            f"It has {', '.join(hdu.columns.names)}.",
            file=path,
        )
    if data is None or not len(data):
        raise InputError(f"table {hdu.name} has no row", "Must be one row a slit.", file=path)
    wanted = [*needed, *(name for name in optional if name.rstrip("*") in known)]
    return {name.rstrip("*"): _column(data, name, hdu, path) for name in wanted}


def _column(data, name, hdu, path):
    values = np.asarray(data[name.rstrip("*")])
    if name.endswith("*"):
        return np.array([str(value).strip() for value in values])
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        msg = f"column {name} of table {hdu.name} is no column of numbers"
        raise InputError(msg, file=path)
    return values.astype(float)


def whole(value):
    """Return the text of an id that stands in a column of numbers."""
    return str(int(value)) if float(value).is_integer() else str(value)


def shown(names, most=6):
    """Return a list of slits for a note."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" * (len(names) > most))
