"""Read DS9 region files strictly: every shape comes in, or an error names its line.

The parser knows the shapes that stand for markers (box, polygon, point, vector, and text as a
label), the coordinate systems ``image`` and ``physical``, ``global`` defaults, and of the
attributes those that matter: text, tag, color, whether a shape can be touched or is excluded.
"""

import re
from dataclasses import dataclass, field

from specwcs.conventions import array_from_fits_pixel
from specwcs.errors import InputError
from specwcs.inputs._text import did_you_mean, local_path, parse_number, read_text, split_lines

from ._attributes import clipped, parse_attributes
from .shapes import Shape, vector_head

__all__ = ["parse_regions", "read_regions"]

FORMS = {
    "box": "box(x, y, width, height[, angle])",
    "polygon": "polygon(x1, y1, x2, y2, ...)",
    "point": "point(x, y)",
    "vector": "vector(x, y, length, angle)",
    "text": "text(x, y)",
}
"""The shapes that are read, and what they must look like."""

_COUNTS = {"box": (4, 5), "point": (2,), "vector": (4,), "text": (2,)}
_ROLES = {"box": "xywha", "point": "xy", "vector": "xyla", "text": "xy"}
_ROLE_NAMES = {"x": "x", "y": "y", "w": "width", "h": "height", "l": "length", "a": "angle"}

_OTHER_SHAPE = re.compile(
    r"annulus|arrow|boxannulus|[bce]?panda|circle|compass|composite|ellipse(annulus)?"
    r"|line|pie|projection|ruler|segment"
)
_OTHER_SYSTEM = re.compile(
    r"fk4|b1950|fk5|j2000|icrs|galactic|ecliptic|linear|detector|amplifier|wcs[a-z]?"
)

_LONGEST_NUMBER = 60
_FARTHEST = 1e9
"""No pixel is that far away; beyond it, coordinates lose the precision that we promise."""

_NUMBER = r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?"
_PLAIN = re.compile(rf"\s*{_NUMBER}(?:(?:\s*,\s*|\s+){_NUMBER})*\s*", re.ASCII)
_ANGLE = re.compile(rf"{_NUMBER}[dr\"'h]|\d[\d.:dhms]*[:dhms][\d.:dhms]*", re.ASCII)
_SEPARATOR = re.compile(r"\s*,\s*|\s+")
_SHAPE = re.compile(
    r"(?P<sign>[+-]?)\s*(?P<name>[A-Za-z]\w*)\s*(?:\((?P<inside>[^()#]*)\)|(?P<open>[^()#]*))"
    r"\s*(?:\|\|)?\s*(?:(?:#|(?=\w+\s*=))(?P<attributes>.*)|(?P<stray>.+))?",
    re.ASCII | re.DOTALL,
)
_COMMENTED_SHAPE = re.compile(r"#\s*([+-]?\s*([A-Za-z]\w*)\(.*)", re.ASCII | re.DOTALL)
_COMMAND = re.compile(r"(?:[^;{}\"']++|\{[^{}]*\}|\"[^\"]*\"|'[^']*'|[{}\"'])++")
_TOUCHES = ("select", "edit", "move", "delete")

_NOWHERE = "Save in image coordinates: Region > Save, coordinate system image."
_POINT_NOT_COMMA = "Write a decimal point, not a comma."
_CORRECT = "Correct the line, or delete it."


def read_regions(path, *, physical=None):
    """Read a DS9 region file.

    Parameters
    ----------
    path : str or path-like
        A local file.
    physical : tuple of float, optional
        See `parse_regions`.

    Returns
    -------
    list of Shape

    Raises
    ------
    InputError
        If anything in the file is not understood; file and line are named.
    """
    path = local_path(path)
    text, _ = read_text(path)
    return parse_regions(text, source=path, physical=physical)


def parse_regions(text, *, source=None, physical=None):
    """Read shapes from text in DS9's region format.

    Parameters
    ----------
    text : str
    source : str or path-like, optional
        Where the text comes from, for errors.
    physical : tuple of float, optional
        (LTM1_1, LTV1, LTM2_2, LTV2) of the frame: image = LTM * physical + LTV. Without it,
        physical coordinates are image coordinates. A text that names no coordinate system is
        in physical coordinates, as in DS9.

    Returns
    -------
    list of Shape
        In the order of the text, 0-based pixels.

    Raises
    ------
    InputError
        If anything is not understood; the line is named.

    Examples
    --------
    >>> from specwcs.regions import parse_regions
    >>> parse_regions("image; point(11, 21) # point=cross tag={slit=049}")[0].points
    ((10.0, 20.0),)
    """
    reader = _Reader(source, physical)
    for number, line in split_lines(text.removeprefix("\ufeff")):
        reader.line = number
        reader.take_line(line.strip())
    return reader.shapes


@dataclass
class _Reader:
    """What holds at the present line: the system of coordinates and the global defaults."""

    source: object
    physical: tuple | None
    line: int = 0
    in_physical: bool = True
    defaults: dict = field(default_factory=dict)
    shapes: list = field(default_factory=list)

    def fail(self, found, allowed="", remedy=""):
        return InputError(found, allowed, remedy, **self.place)

    @property
    def place(self):
        return {"file": self.source, "line": self.line}

    def take_line(self, line):
        """Take the commands of a line; a comment reaches to its end."""
        for command in _COMMAND.findall(line) if ";" in line else (line,):
            command = command.strip()
            if command.startswith("#"):
                if not self.is_commented_shape(command):
                    return
                command = command[1:].lstrip()
            if command:
                self.take(command)

    def is_commented_shape(self, command):
        """Tell ``# vector(...)``, which DS9 hides from older readers, from a comment."""
        match = _COMMENTED_SHAPE.fullmatch(command)
        if match is None:
            return False
        name = match[2].lower()
        if name in FORMS or _OTHER_SHAPE.fullmatch(name):
            return True
        return bool(did_you_mean(name, FORMS) and _PLAIN.match(match[1].partition("(")[2]))

    def take(self, command):
        """Take one command: a coordinate system, defaults, or a shape."""
        match = _SHAPE.fullmatch(command)
        if match is None or match["stray"]:
            raise self.fail(f"'{clipped(command)}' is no region", _allowed(), _CORRECT)
        name = match["name"].lower()
        if name in FORMS:
            self.shapes.append(self.shape(name, match))
        elif name == "global":
            self.defaults |= parse_attributes(command[len("global") :], self.place)[0]
        elif name in ("image", "physical") and not (match["inside"] or match["open"].strip()):
            self.in_physical = name == "physical"
        elif _OTHER_SYSTEM.fullmatch(name):
            raise self.fail(f"coordinate system {name}", "Must be image or physical.", _NOWHERE)
        else:
            raise self.fail(f"'{clipped(match['name'])}' is no marker", _allowed(), _remedy(name))

    def shape(self, kind, match):
        """Make a shape of its line."""
        values = self.values(kind, match["open"] if match["inside"] is None else match["inside"])
        attributes, tags, fixed = parse_attributes(match["attributes"] or "", self.place)
        if self.defaults:
            attributes = self.defaults | attributes
        # A polygon takes all of its numbers for corners; of the others, two lead.
        end = len(values) if kind == "polygon" else 2
        flat = array_from_fits_pixel(values[:end]).tolist()
        points = tuple(zip(flat[::2], flat[1::2], strict=True))
        if kind == "vector":
            points += (vector_head(points[0], *values[2:]),)
        untouchable = all(attributes.get(key) == "0" for key in _TOUCHES)
        return Shape(
            kind,
            points,
            tuple(values[2:4]) if kind == "box" else (),
            values[4] if kind == "box" and len(values) > 4 else 0.0,
            tags,
            attributes.get("text", ""),
            attributes.get("color", "green"),
            fixed or untouchable,
            match["sign"] == "-" or attributes.get("include") == "0",
            self.line,
        )

    def values(self, kind, text):
        """Return the numbers of a shape in image coordinates, 1-based."""
        plain = _PLAIN.fullmatch(text) is not None
        parts = text.replace(",", " ").split() if plain else _SEPARATOR.split(text.strip())
        roles = self.roles(kind, len(parts))
        values = [float(part) for part in parts] if plain else []
        if not plain or not all(-_FARTHEST <= value <= _FARTHEST for value in values):
            values = [
                self.image_value(part, role, kind) for part, role in zip(parts, roles, strict=True)
            ]
        elif self.in_physical and self.physical is not None:
            values = [self.from_physical(*pair) for pair in zip(values, roles, strict=True)]
        if kind == "box" and min(values[2:4]) < 0:
            raise self.fail(f"box of size {values[2]:g} × {values[3]:g}", _must("box"), _CORRECT)
        return values

    def roles(self, kind, n):
        """Return what each of `n` numbers of a shape is: x, y, w(idth), h(eight), ..."""
        if kind == "polygon":
            wrong, many = n < 4 or n % 2, n > 4
        else:
            wrong, many = n not in _COUNTS[kind], n > max(_COUNTS[kind])
        if wrong:
            found = f"{kind} with {n} number{'s' if n > 1 else ''}"
            raise self.fail(found, _must(kind), _POINT_NOT_COMMA if many else _CORRECT)
        return "xy" * (n // 2) if kind == "polygon" else _ROLES[kind][:n]

    def image_value(self, part, role, kind):
        """Return one number that needs a closer look: it may bear a suffix, or be none."""
        what = f"{_ROLE_NAMES[role]} of {kind}"
        if len(part) > _LONGEST_NUMBER:
            raise self.fail(f"invalid {what} '{clipped(part)}'", "Must be a plain number.")
        if _ANGLE.fullmatch(part):
            raise self.fail(f"angle '{part}' as {what}", "Must be in pixels.", _NOWHERE)
        suffix = part[-1:] if part[-1:] in ("i", "p") and part[-2:-1].isdigit() else ""
        number, within = part.removesuffix(suffix), (-_FARTHEST, _FARTHEST)
        value = parse_number(number, what, within=within, **self.place)
        if suffix == "p" or (self.in_physical and not suffix):
            value = self.from_physical(value, role)
        return value

    def from_physical(self, value, role):
        """Convert as DS9 does: vectors scale with y, angles stay as they are."""
        if self.physical is None:
            return value
        ltm1, ltv1, ltm2, ltv2 = self.physical
        scale, offset = {
            "x": (ltm1, ltv1),
            "y": (ltm2, ltv2),
            "w": (ltm1, 0.0),
            "h": (ltm2, 0.0),
            "l": (ltm2, 0.0),
            "a": (1.0, 0.0),
        }[role]
        return value * scale + offset


def _allowed():
    return f"Must be one of {', '.join(FORMS)}."


def _must(kind):
    return f"Must be {FORMS[kind]}{', sizes not negative' if kind == 'box' else ''}."


def _remedy(name):
    """Say what to do with a shape that stands for no marker."""
    if _OTHER_SHAPE.fullmatch(name):
        return "Remove it, or draw one of these in its place."
    return did_you_mean(name, FORMS) or _CORRECT
