"""What an instrument file says: detector, grism, and where frames keep their data.

An instrument file (``.icf``) is an INI file with the sections ``[Description]`` (free),
``[Detector]``, ``[Grism]`` and ``[Files]``; see `Instrument.read`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from specwcs.conventions import Direction
from specwcs.errors import InputError, check_type
from specwcs.inputs._text import (
    Entry,
    Source,
    check_number,
    did_you_mean,
    locate,
    parse_number,
    read_ini,
)

__all__ = ["Amplifier", "Instrument", "Section"]


class Section(NamedTuple):
    """A rectangle of pixels, FITS style: 1-based, both ends included.

    Examples
    --------
    >>> from specwcs.inputs.instrument import Section
    >>> Section.parse("[1:2048,1:350]").shape
    (350, 2048)
    """

    x1: int
    x2: int
    y1: int
    y2: int

    @classmethod
    def parse(cls, text, **place):
        """Read ``[x1:x2,y1:y2]``.

        Raises
        ------
        InputError
            If `text` is no section, or its limits are the wrong way round.
        """
        match = re.fullmatch(
            r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]", text.strip(), re.ASCII
        )
        section = cls(*map(int, match.groups())) if match else None
        if section is None or not (1 <= section.x1 <= section.x2 and 1 <= section.y1 <= section.y2):
            msg = f"invalid section '{text}'"
            raise InputError(
                msg,
                "Must be [x1:x2,y1:y2], counted from 1, both ends included.",
                **place,
            )
        return section

    def __str__(self):
        return f"[{self.x1}:{self.x2},{self.y1}:{self.y2}]"

    @property
    def shape(self):
        """Rows and columns."""
        return self.y2 - self.y1 + 1, self.x2 - self.x1 + 1

    @property
    def slices(self):
        """Index of a numpy array: 0-based, rows first."""
        return slice(self.y1 - 1, self.y2), slice(self.x1 - 1, self.x2)


class Amplifier(NamedTuple):
    """The data section that one amplifier reads, and its overscan."""

    data: Section
    overscan: Section

    @property
    def axis(self):
        """Array axis along which the overscan lies beside the data; None if it does not."""
        data, overscan = self
        beside = overscan.y1 <= data.y1 and data.y2 <= overscan.y2
        above = overscan.x1 <= data.x1 and data.x2 <= overscan.x2
        if beside == above:
            return None
        return 1 if beside else 0


@dataclass(frozen=True)
class Instrument:
    """An instrument in one mode, with the nominal values that a calibration starts from.

    Attributes
    ----------
    name : str
        The name of the file without its suffix.
    pixel_scale : float or tuple of float
        arcsec per pixel; two along x and y where they differ, such as of a frame that is binned
        differently along its axes.
    xpixels, ypixels : int
        Columns and rows of a frame, after trimming.
    direction : Direction
        Dispersion direction, blue to red.
    linear_dispersion : float
        Å per pixel.
    reference_lambda : float
        Å.
    description : Mapping of str to str
        The free keys of ``[Description]``.
    data_hdu, variance_hdu, mask_hdu : int, str or None
        Numbers or names of the HDUs.
    gain : float, str or None
        Electrons per adu, or the header keyword that says so.
    read_noise : float, str or None
        Electrons, or the header keyword.
    saturation : float, str or None
        The raw value, adu, from which a pixel is saturated, or the header keyword.
    trim : Section or None
        The part of a raw frame that holds light.
    amplifiers : tuple of Amplifier
        Overscan sections with the data sections that they belong to.
    source : Source or None
        The file; not compared.

    Raises
    ------
    InputError
        If a value is not in the range that `read` allows, or sections do not fit.
    """

    name: str
    pixel_scale: float | tuple[float, float]
    xpixels: int
    ypixels: int
    direction: Direction
    linear_dispersion: float
    reference_lambda: float
    description: Mapping[str, str] = field(default_factory=dict, hash=False)
    data_hdu: int | str | None = None
    variance_hdu: int | str | None = None
    mask_hdu: int | str | None = None
    gain: float | str | None = None
    read_noise: float | str | None = None
    saturation: float | str | None = None
    trim: Section | None = None
    amplifiers: tuple[Amplifier, ...] = ()
    source: Source | None = field(default=None, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "direction", Direction(self.direction))
        _check_numbers(self)
        if isinstance(self.pixel_scale, tuple | list):
            x, y = self.pixel_scale
            # Of square pixels there is one way to say so: instruments compare equal.
            object.__setattr__(self, "pixel_scale", x if x == y else (x, y))
        _check_sections(self.trim, self.amplifiers, self.shape)

    def __getstate__(self):
        # What was read from a calibration is described by a view, which cannot be pickled.
        return vars(self) | {"description": dict(self.description)}

    @property
    def shape(self):
        """Shape of a frame as an array, (ypixels, xpixels)."""
        return self.ypixels, self.xpixels

    @property
    def scales(self):
        """Arcsec per pixel along and across the dispersion."""
        pair = isinstance(self.pixel_scale, tuple)
        return self.direction.split(*(self.pixel_scale if pair else 2 * (self.pixel_scale,)))

    @property
    def aspect(self):
        """Side of a pixel across the dispersion, in units of that along it."""
        along, across = self.scales
        return across / along

    @classmethod
    def read(cls, path):
        """Read an instrument file (``.icf``).

        Section and key names are read without regard to case. Required are ``pixel_scale``,
        ``xpixels``, ``ypixels`` in ``[Detector]`` and ``dispersion_direction``,
        ``linear_dispersion``, ``reference_lambda`` in ``[Grism]``. The others may stand in
        ``[Files]`` or ``[Detector]``.

        Parameters
        ----------
        path : str or path-like
            A file, or the name of an instrument that ships with specwcs.

        Returns
        -------
        Instrument

        Raises
        ------
        InputError
            If a key is missing (all are named at once), unknown, there twice, or has a
            value that is not allowed.
        """
        path = locate(path, "instruments", ".icf")
        sections, source = read_ini(path)
        description = sections.pop("description", {})
        entries = _known_entries(sections, path)
        values = {
            key: _READERS[key](entry.value, what=key, file=path, line=entry.line)
            for key, entry in entries.items()
        }
        values["direction"] = values.pop("dispersion_direction")
        values["amplifiers"] = _amplifiers(values, entries, path)
        shape = values["ypixels"], values["xpixels"]
        # Here, too, where their lines are known.
        _check_sections(values.get("trim"), values["amplifiers"], shape, entries, path)
        return cls(
            name=path.name.rpartition(".")[0] or path.name,
            description={key: entry.value for key, entry in description.items()},
            source=source,
            **values,
        )


# -- values -------------------------------------------------------------------


_RANGES = {
    "pixel_scale": (1e-4, 100.0),  # arcsec per pixel
    "xpixels": (2, 65536),
    "ypixels": (2, 65536),
    "linear_dispersion": (1e-4, 1000.0),
    "reference_lambda": (2000.0, 300000.0),
    **dict.fromkeys(("data_hdu", "variance_hdu", "mask_hdu"), (0, 9999)),
    "gain": (1e-3, 1e4),
    "read_noise": (0.0, 1e4),
    "saturation": (1.0, 1e12),
}
"""From where to where each number may range, in a file and in Python."""

_WHOLE = ("xpixels", "ypixels", "data_hdu", "variance_hdu", "mask_hdu")
_OR_TEXT = ("data_hdu", "variance_hdu", "mask_hdu", "gain", "read_noise", "saturation")


def _limits(what):
    """Return what `parse_number` and `check_number` are to allow."""
    return {"within": _RANGES[what], "integer": what in _WHOLE}


def _check_numbers(instrument):
    """Check the numbers of an instrument that need not come from a file."""
    for what in _RANGES:
        value = getattr(instrument, what)
        if what in _OR_TEXT and (value is None or isinstance(value, str)):
            continue
        sides = what == "pixel_scale" and isinstance(value, tuple | list) and len(value) == 2
        for number in value if sides else (value,):
            check_number(number, what, **_limits(what))


def _number(text, *, what, **place):
    return parse_number(text, what, **_limits(what), **place)


def _pixel_scale(text, *, what, **place):
    parts = text.split()
    if len(parts) > 2 or (len(parts) == 2 and "," in text):
        low, high = _RANGES[what]
        raise InputError(
            f"invalid {what} '{text}'",
            f"Must be one number from {low:g} to {high:g}, or two: along x and y.",
            "Write two as in 0.25 0.5, with a space between.",
            **place,
        )
    x, y = (_number(part, what=what, **place) for part in (parts[0], parts[-1]))
    return x, y


def _direction(text, *, what, **place):
    try:
        return Direction(text.upper())
    except ValueError as err:
        msg = f"invalid {what} '{text}'"
        raise InputError(msg, f"Must be one of {', '.join(Direction)}.", **place) from err


def _hdu(text, *, what, **place):
    if re.match(r"[+-]?[\d.]", text):
        return _number(text, what=what, **place)
    return text


def _number_or_keyword(text, *, what, **place):
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_ -]*", text) and text.lower() not in ("nan", "inf"):
        return text.upper()
    return _number(text, what=what, **place)


def _section(text, *, what, **place):  # noqa: ARG001 - the readers share one signature
    return Section.parse(text, **place)


def _amplifier_list(text, *, what, **place):
    pairs = [re.findall(r"\[[^\]]*\]", pair) for pair in text.split(";")]
    if any(len(pair) != 2 for pair in pairs):
        msg = f"invalid {what} '{text}'"
        raise InputError(
            msg,
            "Must be pairs of a data and an overscan section, separated by ';'.",
            "For example [1:1024,1:350] [2049:2080,1:350]; [1025:2048,1:350] [2081:2112,1:350].",
            **place,
        )
    return tuple(Amplifier(*(Section.parse(part, **place) for part in pair)) for pair in pairs)


_REQUIRED = {
    "detector": ("pixel_scale", "xpixels", "ypixels"),
    "grism": ("dispersion_direction", "linear_dispersion", "reference_lambda"),
}
_FILES = (
    *("data_hdu", "variance_hdu", "mask_hdu", "gain", "read_noise", "saturation"),
    *("trim", "overscan", "amplifiers"),
)
_READERS = {
    "pixel_scale": _pixel_scale,
    "xpixels": _number,
    "ypixels": _number,
    "dispersion_direction": _direction,
    "linear_dispersion": _number,
    "reference_lambda": _number,
    "data_hdu": _hdu,
    "variance_hdu": _hdu,
    "mask_hdu": _hdu,
    "gain": _number_or_keyword,
    "read_noise": _number_or_keyword,
    "saturation": _number_or_keyword,
    "trim": _section,
    "overscan": _section,
    "amplifiers": _amplifier_list,
}
"""How the value of each key is read."""


def _known_entries(sections, path):
    """Return the entries by key; complain of unknown ones, then of all that are missing."""
    allowed = {
        "detector": _REQUIRED["detector"] + _FILES,
        "grism": _REQUIRED["grism"],
        "files": _FILES,
    }
    entries = {}
    for section, keys in sections.items():
        if section not in allowed:
            msg = f"unknown section [{section}]"
            raise InputError(
                msg,
                "Must be [Description], [Detector], [Grism] or [Files].",
                did_you_mean(section, (*allowed, "description")),
                file=path,
            )
        for key, entry in keys.items():
            place = {"file": path, "line": entry.line}
            if key not in allowed[section]:
                msg = f"unknown key '{key}' in [{section.capitalize()}]"
                raise InputError(
                    msg,
                    f"Must be one of {', '.join(allowed[section])}.",
                    did_you_mean(key, allowed[section]),
                    **place,
                )
            if key in entries:
                first = entries[key].line
                msg = f"{key} is there twice, first in line {first}"
                raise InputError(msg, **place)
            # Only [Description] has free text, in which a '#' may be part of a word.
            entries[key] = Entry(entry.value.partition("#")[0].strip(), entry.line)
    missing = [
        f"{key} in [{section.capitalize()}]"
        for section, keys in _REQUIRED.items()
        for key in keys
        if key not in entries
    ]
    if missing:
        msg = f"missing: {', '.join(missing)}"
        raise InputError(msg, "", "Add them.", file=path)
    return entries


def _amplifiers(values, entries, path):
    """Join the keys overscan (one amplifier) and amplifiers (several)."""
    overscan, amplifiers = values.pop("overscan", None), values.pop("amplifiers", ())
    if overscan is None:
        return amplifiers
    place = {"file": path, "line": entries["overscan"].line}
    if amplifiers:
        msg = "both overscan and amplifiers"
        raise InputError(msg, "", "Keep one of them.", **place)
    if "trim" not in values:
        msg = "overscan without trim"
        raise InputError(msg, "", "Add trim, the part with light.", **place)
    return (Amplifier(values["trim"], overscan),)


def _check_sections(trim, amplifiers, shape, entries=None, path=None):
    """Check that the sections fit together and with the size of the detector."""
    lines = {key: entry.line for key, entry in (entries or {}).items()}
    check_type(Section, optional=True, trim=trim)
    if trim and trim.shape != shape:
        msg = f"trim {trim} holds {trim.shape[1]}×{trim.shape[0]}"
        raise InputError(
            msg,
            f"Must hold xpixels × ypixels, {shape[1]}×{shape[0]}.",
            file=path,
            line=lines.get("trim"),
        )
    for amplifier in amplifiers:
        if amplifier.axis is None:
            msg = f"overscan {amplifier.overscan} does not lie beside or above {amplifier.data}"
            raise InputError(
                msg,
                "Must cover the same rows, or the same columns.",
                file=path,
                line=lines.get("overscan", lines.get("amplifiers")),
            )
