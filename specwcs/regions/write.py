"""Write shapes as DS9 region files: image coordinates, one shape a line."""

import re
from math import atan2, degrees, hypot, isfinite

from specwcs.conventions import fits_from_array_pixel
from specwcs.errors import InputError
from specwcs.files import atomic_path

from ._attributes import BACKGROUND, COLOR

__all__ = ["format_regions", "write_regions"]

_HEAD = (
    "# Region file format: DS9 version 4.1\n"
    "global color=green select=1 edit=1 move=1 rotate=1 delete=1 highlite=1 include=1 fixed=0\n"
    "image\n"
)
# Not delete=0: DS9 would not even delete it to make room for the next shapes.
_UNTOUCHABLE = f" select=0 edit=0 move=0 rotate=0 highlite=0 tag={{{BACKGROUND}}}"
_STYLES = {"vector": " vector=1", "point": " point=cross"}
_UNSAFE_TEXT = re.compile(r"[{}\r\n\0]")
_TAG_KEY = re.compile(r"[a-z]+")
_TAG_VALUE = re.compile(r"[A-Za-z0-9_.+-]+")


def write_regions(path, shapes, overwrite=False):
    """Write shapes to a region file.

    Parameters
    ----------
    path : str or path-like
    shapes : iterable of Shape
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If a shape cannot be written (see `format_regions`), or the file cannot.
    """
    text = format_regions(shapes)
    with atomic_path(path, overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def format_regions(shapes):
    """Return shapes as text in DS9's region format.

    Coordinates have seven decimals: what is read back differs by less than 1e-6 px.

    Parameters
    ----------
    shapes : iterable of Shape

    Returns
    -------
    str

    Raises
    ------
    InputError
        If a coordinate is not finite, or a label, tag or color would not survive DS9.
    """
    return _HEAD + "".join([_line(shape) for shape in shapes])


def _line(shape):
    flat = [value for point in shape.points for value in point]
    if not all(map(isfinite, flat)):
        raise _unwritable(shape, "has a coordinate that is not finite", "Must be finite.")
    numbers = _numbers(shape, fits_from_array_pixel(flat).tolist())
    attributes = _attributes(shape)
    sign = "-" if shape.excluded else ""
    if shape.kind in ("vector", "text"):
        return f"# {sign}{shape.kind}({numbers}){attributes}\n"
    return f"{sign}{shape.kind}({numbers}){attributes and ' #' + attributes}\n"


def _numbers(shape, flat):
    if shape.kind == "box":
        flat = [*flat, *shape.size, shape.angle]
    elif shape.kind == "vector":
        (x0, y0), (x1, y1) = shape.points
        length, angle = hypot(x1 - x0, y1 - y0), degrees(atan2(y1 - y0, x1 - x0)) % 360
        return f"{_number(flat[0])},{_number(flat[1])},{_number(length)},{_number(angle, 10)}"
    return ",".join([_number(value) for value in flat])


def _number(value, decimals=7):
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")


def _attributes(shape):
    parts = [_STYLES.get(shape.kind, "")]
    if shape.color != "green":
        if not COLOR.fullmatch(shape.color):
            raise _unwritable(shape, f"has color '{shape.color}'", "Must be a name or #rgb.")
        parts.append(f" color={shape.color}")
    if shape.text:
        if _UNSAFE_TEXT.search(shape.text):
            found = f"has the label {shape.text!r}"
            raise _unwritable(shape, found, "Must be one line without braces.")
        parts.append(f" text={{{shape.text}}}")
    for key, value in shape.tags.items():
        if not (_TAG_KEY.fullmatch(key) and _TAG_VALUE.fullmatch(value)):
            allowed = "Must be of letters, digits and _ . + - only."
            raise _unwritable(shape, f"has the tag {key}={value!r}", allowed)
        parts.append(f" tag={{{key}={value}}}")
    if shape.fixed:
        parts.append(_UNTOUCHABLE)
    return "".join(parts)


def _unwritable(shape, found, allowed):
    slit = shape.tags.get("slit")
    remedy = "Give the slit another id in the mask." if "tag" in found and slit else ""
    return InputError(f"a {shape.kind} {found}", allowed, remedy, slit=slit)
