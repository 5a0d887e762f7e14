"""The text of a mask file (``.mdf``): reading its lines, and writing them.

One slit a line, under a header line ``#ID DIMX DIMY X Y ROT WID LEN REF``. Two things more may
follow in columns of their own: ``CURVE``, the control points of a curved slit, and ``RA DEC
CD1_1 CD1_2 CD2_1 CD2_2``, where the slit is on the sky; ``-`` where a slit has none.
"""

import re

import numpy as np

from specwcs.errors import InputError
from specwcs.inputs._text import did_you_mean, parse_number, split_lines
from specwcs.inputs.sky import SlitSky

__all__ = ["COLUMNS", "mdf_text", "rows_from_mdf"]

COLUMNS = ("ID", "DIMX", "DIMY", "X", "Y", "ROT", "WID", "LEN", "REF")
"""The columns of a mask file: mm, degrees clockwise, arcsec, and 0 or 1."""

SKY_COLUMNS = ("RA", "DEC", "CD1_1", "CD1_2", "CD2_1", "CD2_2")
"""The optional columns of the sky, all or none: degrees, and degrees per mm."""

_KNOWN = (*COLUMNS, "CURVE", *SKY_COLUMNS)
_NONE = "-"


def rows_from_mdf(text, path):
    """Read the slits of a mask file.

    Parameters
    ----------
    text : str
    path : path-like
        For errors.

    Returns
    -------
    list of dict
        One for each slit, by the names of the columns; ``CURVE`` and ``SKY`` are None where a
        slit has none.

    Raises
    ------
    InputError
        If the header is missing, a line has too few or too many values, a value is no number,
        or an id is used twice; the line is named.
    """
    return list(_rows(text, path))


def mdf_text(mask):
    """Return the text of a mask file, with where the mask comes from as comments.

    Parameters
    ----------
    mask : Mask

    Returns
    -------
    str
    """
    with_curve = any(len(slit.control) > 2 for slit in mask.values())
    with_sky = any(slit.sky is not None for slit in mask.values())
    columns = COLUMNS + ("CURVE",) * with_curve + SKY_COLUMNS * with_sky
    comments = list(mask.notes)
    if mask.source:
        comments.insert(0, f"Made from {mask.source.path}, SHA-256 {mask.source.sha256}.")
    comments += [f"slit {key}: {reason}" for key, reason in mask.faults.items()]
    lines = ["# " + " ".join(comment.split()) for comment in comments]
    lines += ["#" + " ".join(columns)]
    lines += [" ".join(_values(slit, with_curve, with_sky)) for slit in mask.values()]
    return "\n".join(lines) + "\n"


def _values(slit, with_curve, with_sky):
    """Return the texts of a slit's line; numbers with all their digits."""
    numbers = (slit.dimx, slit.dimy, slit.x, slit.y, slit.rot, slit.width, slit.length)
    values = [slit.id, *(repr(float(number)) for number in numbers), str(int(slit.reference))]
    if with_curve:
        points = ";".join(f"{float(x)!r},{float(y)!r}" for x, y in slit.control)
        values.append(points if len(slit.control) > 2 else _NONE)
    if with_sky:
        sky = slit.sky
        values += [_NONE] * len(SKY_COLUMNS) if sky is None else [repr(float(v)) for v in sky]
    return values


def _rows(text, path):
    """Yield a dict of values for each slit line."""
    columns, lines = None, {}
    for number, line in split_lines(text):
        place = {"file": path, "line": number}
        header = re.fullmatch(r"\s*#?\s*(ID\s.*\bDIMX\b[^#]*)(#.*)?", line, re.IGNORECASE)
        if header:
            columns = _header(header[1].split(), columns, place)
            continue
        values = line.partition("#")[0].split()
        if not values:
            continue
        if columns is None:
            msg = "no header line before the first slit"
            raise InputError(msg, f"Must be #{' '.join(COLUMNS)}.", **place)
        if len(values) != len(columns):
            msg = f"found {len(values)} values"
            raise InputError(msg, f"Expected {len(columns)}: {' '.join(columns)}.", **place)
        row = _typed(dict(zip(columns, values, strict=True)), place)
        if row["ID"] in lines:
            msg = f"id {row['ID']} is used twice, in lines {lines[row['ID']]} and {number}"
            raise InputError(msg, "Ids are unique.", **place)
        lines[row["ID"]] = number
        yield row


def _header(names, previous, place):
    columns = [name.upper() for name in names]
    if previous is not None:
        msg = "a second header line"
        raise InputError(msg, "One header a file.", **place)
    unknown = [name for name in columns if name not in _KNOWN]
    if unknown:
        msg = f"unknown column {unknown[0]}"
        raise InputError(
            msg,
            f"Must be {' '.join(COLUMNS)}, and may be {' '.join(_KNOWN[len(COLUMNS) :])}.",
            did_you_mean(unknown[0], _KNOWN),
            **place,
        )
    needed = COLUMNS + SKY_COLUMNS * any(name in SKY_COLUMNS for name in columns)
    missing = [name for name in needed if name not in columns]
    if missing or len(columns) > len(set(columns)):
        found = f"column {', '.join(missing)} is missing" if missing else "a column is there twice"
        raise InputError(found, f"Must be {' '.join(needed)}.", **place)
    return columns


def _typed(row, place):
    """Turn the text of a slit line into values; NaN and inf are kept, as faults of the slit."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", row["ID"]):
        msg = f"invalid ID '{row['ID']}'"
        raise InputError(msg, "Ids are made of letters, digits, '_', '.', '-'.", **place)
    place = place | {"slit": row["ID"]}
    if row["REF"] not in ("0", "1"):
        msg = f"invalid REF '{row['REF']}'"
        raise InputError(msg, "Must be 1 for a reference slit, else 0.", **place)
    typed = {"ID": row["ID"], "REF": row["REF"] == "1"}
    for column, name in enumerate(row, start=1):
        if name in typed or name not in COLUMNS:
            continue
        if re.fullmatch(r"[+-]?(nan|inf)", row[name], re.IGNORECASE):
            typed[name] = float(row[name])
        else:
            typed[name] = parse_number(row[name], f"{name} (column {column})", **place)
    typed["CURVE"] = _curve(row.get("CURVE", _NONE), place)
    typed["SKY"] = _sky([row.get(name, _NONE) for name in SKY_COLUMNS], place)
    return typed


def _curve(text, place):
    """Read the control points of a curved slit, such as ``0,3;0.2,0;0,-3``."""
    if text == _NONE:
        return None
    points = [point.split(",") for point in text.split(";")]
    if len(points) < 3 or any(len(point) != 2 for point in points):
        msg = f"invalid CURVE '{text}'"
        raise InputError(
            msg,
            "Must be three control points or more, X,Y;X,Y;X,Y in mm, or - for a straight slit.",
            **place,
        )
    return np.array([[parse_number(v, "number in CURVE", **place) for v in p] for p in points])


def _sky(texts, place):
    if all(text == _NONE for text in texts):
        return None
    limits = {"RA": (0.0, 360.0), "DEC": (-90.0, 90.0)}
    return SlitSky(
        *(
            parse_number(text, name, within=limits.get(name), **place)
            for name, text in zip(SKY_COLUMNS, texts, strict=True)
        )
    )
