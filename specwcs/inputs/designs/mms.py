"""MODS and LUCI mask designs: ``.mms`` and ``.lms``.

Lines ``KEYWORD value``; ``#`` starts a comment. A target *n* (101, 102, ...) has
``INS.TARGn.SHAPE`` (STRAIGHT, CIRCLE, CURVED), ``WIDMM``, ``LENMM`` (mm along and across the
dispersion), ``XMM``, ``YMM`` (mm from the field's centre), ``WID``, ``LEN`` (arcsec), ``ROT``
(degrees), ``ALPHA`` (HHMMSS.s) and ``DELTA`` (DDMMSS.s); ``INS.TARGk.REF n`` makes target n a
reference. The dispersion runs along X.

Sources: LBTO, MODS instrument pages (0.6 mm per arcsec) and LUCI mask preparation pages (types of
slits; a tilted slit keeps its width and its extent: it is a parallelogram); the facility masks
and ``mkmms_ls.pro`` of modsIDL (github.com/rwpogge/modsIDL); MMS manual, P. Martini (``.mms`` is
made by a version of the program of ``.lms``). The sign of ROT and the keywords of the points of
a CURVED slit are not published.
"""

import re

import numpy as np

from specwcs.errors import InputError
from specwcs.inputs._text import parse_number, split_lines
from specwcs.inputs.designs._rows import DEGREES_PER_HOUR, slit_row, tilted
from specwcs.inputs.sky import fit_sky

NAME = "MODS or LUCI mask design (.mms, .lms)"

MM_PER_ARCSEC = 0.6
"""Of either focal plane of LBT; what is cut are the mm."""

_SCALE_TOLERANCE = 0.1
_KEYWORD = re.compile(r"INS\.(TARG\d+|R?SLIT|MASK)\.", re.IGNORECASE)
_TARGET = re.compile(r"INS\.TARG(\d+)\.(\w+)", re.IGNORECASE)
_GEOMETRY = ("WIDMM", "LENMM", "XMM", "YMM")
_SHAPES = ("STRAIGHT", "CIRCLE", "CURVED")


def recognises(text):
    """Whether a line begins with a keyword of the format."""
    return any(_KEYWORD.match(line.lstrip()) for _, line in split_lines(text))


def rows(text, path):
    """Read the slits.

    Returns
    -------
    rows : list of dict
    notes : list of str
    doubts : dict of str to str

    Raises
    ------
    InputError
        If a slit lacks a size or a position, a value is no number, or is given twice.
    """
    targets, references, cards = _parse(text, path)
    slits = {n: t for n, t in targets.items() if "SHAPE" in t or any(k in t for k in _GEOMETRY)}
    if not slits:
        raise InputError(
            "no slit in the design",
            "Must have INS.TARGn.SHAPE, WIDMM, LENMM, XMM and YMM for each slit n.",
            file=path,
        )
    notes, doubts, made, places = [], {}, [], {}
    for n, target in slits.items():
        row, doubt = _slit(n, target, n in references, path, notes)
        made.append(row)
        if doubt:
            doubts[row["ID"]] = doubt
        sky = [_angle(target.get(key), key, n, path) for key in ("ALPHA", "DELTA")]
        places[row["ID"]] = (row["X"], row["Y"], DEGREES_PER_HOUR * sky[0], sky[1])
    if len(targets) > len(slits):
        notes.append(f"{len(targets) - len(slits)} targets have no slit and are left out")
    said = cards.get("INS.SLIT.NUMBER", str(len(slits)))
    if said != str(len(slits)):
        notes.append(f"INS.SLIT.NUMBER is {said}, the design has {len(slits)} slits")
    equinox = cards.get("TEL.TARG.EQUINOX", "2000")
    if not re.fullmatch(r"J?2000(\.0*)?", equinox):
        return made, [*notes, f"no sky coordinates: their equinox is {equinox}, not 2000"], doubts
    return made, [*notes, *fit_sky(made, places)], doubts


def _parse(text, path):
    """Return the targets with (value, line) by keyword; the numbers of references; the rest."""
    targets, references, cards = {}, {}, {}
    for line_number, line in split_lines(text):
        words = line.partition("#")[0].split(maxsplit=1)
        if not words:
            continue
        place = {"file": path, "line": line_number}
        match = _TARGET.fullmatch(words[0])
        if match is None:
            cards[words[0].upper()] = words[1].strip() if len(words) > 1 else ""
            continue
        if len(words) == 1:
            msg = f"{words[0]} has no value"
            raise InputError(msg, "", "The file may be cut short: copy it again", **place)
        n, key, value = int(match[1]), match[2].upper(), words[1].strip()
        if key == "REF":
            references[parse_number(value, words[0], integer=True, **place)] = line_number
            continue
        target = targets.setdefault(n, {})
        if key in target:
            msg = f"{words[0]} is given twice, first in line {target[key][1]}"
            raise InputError(msg, "Targets have numbers of their own.", **place)
        target[key] = (value, line_number)
    if lost := sorted(set(references) - set(targets)):
        msg = f"target {lost[0]} is named as a reference and is not in the design"
        raise InputError(msg, file=path, line=references[lost[0]])
    return targets, references, cards


def _slit(n, target, reference, path, notes):
    """Return the row of one slit, and what is in doubt about it; `notes` grow."""
    missing = [key for key in _GEOMETRY if key not in target]
    if missing:
        raise InputError(
            f"INS.TARG{n}.{missing[0]} is missing",
            f"A slit has {', '.join(_GEOMETRY)}, in mm.",
            "The file may be cut short: copy it again",
            file=path,
            line=max(line for _, line in target.values()),
            slit=str(n),
        )

    def value(key, default=None):
        text, line = target.get(key, (default, None))
        return parse_number(text, f"INS.TARG{n}.{key}", file=path, line=line, slit=str(n))

    shape = target.get("SHAPE", ("STRAIGHT", None))[0].upper()
    along, across, x, y = (value(key) for key in _GEOMETRY)
    size = {"reference": reference}
    for name, key, side in (("width", "WID", along), ("length", "LEN", across)):
        size[name], note = _arcsec(n, key, value(key, "0"), side)
        notes += note
    if shape == "CURVED":
        return slit_row(n, x, y, along, across, **size), (
            "SHAPE is CURVED: taken as straight, for the keywords of its points are not published"
        )
    if shape == "CIRCLE":
        size["length"] = size["width"]
        return slit_row(n, x, y, along, along, **size), ""
    if shape != "STRAIGHT":
        msg = f"invalid INS.TARG{n}.SHAPE '{shape}'"
        line = target["SHAPE"][1]
        raise InputError(msg, f"Must be {', '.join(_SHAPES)}.", file=path, line=line, slit=str(n))
    tilt = value("ROT", "0")
    if tilt == 0:
        return slit_row(n, x, y, along, across, **size), ""
    if not abs(tilt) < 80:
        msg, line = f"INS.TARG{n}.ROT is {tilt:g}", target["ROT"][1]
        raise InputError(msg, "Must be below 80 degrees.", file=path, line=line, slit=str(n))
    cosine = np.cos(np.radians(tilt))
    size |= {"width": size["width"] * cosine, "length": size["length"] / cosine}
    row = slit_row(n, x, y, **tilted(along, across, tilt, along_x=True), **size)
    return row, (
        f"ROT is {tilt:g}: taken as counter-clockwise, for its sign is not published; if its "
        "lines tilt the other way, change the sign of ROT in the mask file"
    )


def _arcsec(n, key, arcsec, side):
    """Return a size in arcsec, from the side in mm if the two contradict each other; a note."""
    expected = side / MM_PER_ARCSEC
    if not arcsec > 0 or not side > 0 or abs(arcsec / expected - 1) <= _SCALE_TOLERANCE:
        return arcsec, []
    return expected, [
        f"INS.TARG{n}.{key} is {arcsec:g} arcsec, {key}MM is {side:g} mm: taken as {expected:g} "
        f"arcsec, at {MM_PER_ARCSEC} mm per arcsec"
    ]


def _angle(entry, key, n, path):
    """Return an angle of DDMMSS.s, with or without colons, in its first unit; NaN for none."""
    match = entry and re.fullmatch(r"([+-]?)(\d{1,3}):?(\d\d):?(\d\d(?:\.\d*)?)", entry[0])
    if not match:  # placeholders are 0.0 and -999
        return np.nan
    sign, degrees, minutes, seconds = match.groups()
    if float(minutes) >= 60 or float(seconds) >= 60:
        msg = f"invalid INS.TARG{n}.{key} '{entry[0]}'"
        raise InputError(msg, "Minutes and seconds are below 60.", file=path, line=entry[1])
    value = float(degrees) + float(minutes) / 60 + float(seconds) / 3600
    return -value if sign == "-" else value
