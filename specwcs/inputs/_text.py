"""Strict reading of small text files: every fault is named with its file, line and remedy.

The readers of instruments, masks and catalogues share what they must agree on: how a file
is found and decoded, what a number is, and what an INI line is.
"""

import difflib
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from importlib.resources import files
from math import isfinite
from numbers import Integral, Real
from pathlib import Path

from specwcs.errors import InputError, shown

MAX_TEXT_BYTES = 16 * 1024**2
"""No instrument, mask or catalogue is larger; a larger file is something else."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)


@dataclass(frozen=True)
class Source:
    """Where something was read from.

    Attributes
    ----------
    path : str
        The path as it was given, or the name of a file that ships with specwcs.
    sha256 : str
        Checksum of the bytes that were read.
    """

    path: str
    sha256: str


@dataclass(frozen=True)
class Entry:
    """A value of an INI file and the line that it stands on."""

    value: str
    line: int


def local_path(path):
    """Return `path` as a file that exists; refuse URLs and folders.

    Raises
    ------
    InputError
        If `path` is a URL, a folder, or does not exist.
    """
    if _URL.match(str(path)):
        msg = f"'{path}' is a URL"
        raise InputError(msg, "Only local files are read.", "Download it first.")
    path = Path(path)
    if path.is_dir():
        msg = "this is a folder"
        raise InputError(msg, "Must be a file.", file=path)
    if not path.is_file():
        msg = "no such file"
        raise InputError(msg, "", "Check the path.", file=path)
    return path


def locate(name, folder, suffix):
    """Find a file by its path, or by its name among the files that ship with specwcs.

    Parameters
    ----------
    name : str or path-like
        A path, or a name such as ``"kast_blue_600_4310"``.
    folder : {"instruments", "masks", "catalogs"}
        The folder in ``conf`` where a name is looked up.
    suffix : str
        The suffix of the files there, such as ``".icf"``.
    """
    is_name = re.fullmatch(r"[A-Za-z0-9_.+-]+", str(name)) and not str(name).endswith(suffix)
    if not is_name or Path(name).exists():
        return local_path(name)
    shelf = files("specwcs.conf") / folder
    shipped = shelf / f"{name}{suffix}"
    if shipped.is_file():
        return shipped
    names = sorted(f.name.removesuffix(suffix) for f in shelf.iterdir() if f.name.endswith(suffix))
    msg = f"'{name}' is neither a file nor one of the {folder} that ship with specwcs"
    raise InputError(
        msg,
        f"Must be a path or one of {', '.join(names)}.",
        did_you_mean(str(name), names),
    )


def did_you_mean(word, known):
    """Return a sentence that names the nearest of the known words, or nothing."""
    near = difflib.get_close_matches(word.lower(), [k.lower() for k in known], n=1, cutoff=0.6)
    return f"Did you mean {near[0]}?" if near else ""


def read_text(path):
    """Read a text file as UTF-8, with or without a byte-order mark.

    Returns
    -------
    text : str
    source : Source

    Raises
    ------
    InputError
        If the file is too large, holds NUL bytes, or is not UTF-8; the line is named.
    """
    with path.open("rb") as stream:
        raw = stream.read(MAX_TEXT_BYTES + 1)
    if len(raw) > MAX_TEXT_BYTES:
        msg = "too large for a text file"
        raise InputError(msg, f"At most {MAX_TEXT_BYTES} bytes.", file=path)
    if b"\0" in raw:
        line = raw[: raw.index(b"\0")].count(b"\n") + 1
        msg = "a NUL byte: this is not a text file"
        raise InputError(msg, file=path, line=line)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = err.object[: err.start].count(b"\n") + 1
        msg = f"byte 0x{err.object[err.start]:02x} is not UTF-8"
        raise InputError(
            msg,
            "Text files are UTF-8.",
            "Save the file as UTF-8 or remove the character.",
            file=path,
            line=line,
        ) from err
    return text, Source(_shown(path), hashlib.sha256(raw).hexdigest())


def _shown(path):
    """Name a file: one that ships with specwcs by its place there, not by where it is installed."""
    shelf = Path(str(files("specwcs.conf")))
    inside = path.is_relative_to(shelf)
    return f"specwcs.conf/{path.relative_to(shelf).as_posix()}" if inside else str(path)


def split_lines(text):
    """Yield (line number, line) with the line ends of Unix, DOS and old Macs."""
    return enumerate(re.split(r"\r\n|\n|\r", text), start=1)


def parse_number(text, what, *, integer=False, above=None, within=None, **place):
    """Read a finite, plain ASCII number.

    Parameters
    ----------
    text : str
        What stands in the file.
    what : str
        What it is, for the error, such as ``"pixel_scale"``.
    integer : bool, optional
        Whether only whole numbers are allowed.
    above : float, optional
        The number must be larger.
    within : tuple of float, optional
        The smallest and the largest number allowed.
    **place
        ``file``, ``line`` and ``slit``, for the error.

    Returns
    -------
    float or int

    Raises
    ------
    InputError
        If `text` is no such number.
    """
    pattern = _INTEGER if integer else _NUMBER
    value = float(text) if pattern.fullmatch(text) else None
    limits = {"integer": integer, "above": above, "within": within}
    if value is None or not isfinite(value):
        msg = f"invalid {what} '{text}'"
        raise InputError(msg, _allowed(**limits), _number_hint(text), **place)
    value = int(text) if integer else value
    check_number(value, what, **limits, given=text, **place)
    return value


def check_number(value, what, *, integer=False, above=None, within=None, given=None, **place):
    """Check a number that was not read from a file, or has been.

    Parameters
    ----------
    value : object
        Anything but a number is refused, too.
    what, integer, above, within, **place
        As for `parse_number`.
    given : str, optional
        How the error shows the value.

    Raises
    ------
    InputError
        If `value` is no such number.
    """
    valid = isinstance(value, Integral if integer else Real) and isfinite(value)
    if valid and within is not None:
        valid = within[0] <= value <= within[1]
    if valid and above is not None:
        valid = value > above
    if not valid:
        limits = {"integer": integer, "above": above, "within": within}
        raise InputError(f"invalid {what} {given or shown(value)}", _allowed(**limits), **place)


def _allowed(*, integer, above, within):
    """Say which numbers are allowed."""
    allowed = f"Must be a {'whole' if integer else 'plain'} number"
    if within is not None:
        return f"{allowed} from {within[0]:g} to {within[1]:g}."
    return f"{allowed} above {above:g}." if above is not None else f"{allowed}."


def _number_hint(text):
    """Say what is wrong with something that is not a number."""
    strange = next((c for c in text if not c.isascii()), None)
    if strange is not None:
        return f"It contains '{strange}' ({unicodedata.name(strange, 'unnamed')})."
    if re.fullmatch(r"[+-]?\d*,\d+", text):
        return "Write a decimal point, not a comma."
    if _NUMBER.match(text) and re.fullmatch(r"[A-Za-z\"']+", _NUMBER.sub("", text, count=1)):
        return "Write it without a unit."
    return ""


def read_ini(path):
    """Read an INI file without interpolation, continuation lines or defaults.

    The standard ``configparser`` forgets the line of a value, joins an indented line to the
    value above it, and keeps ``# comments`` in values unless told otherwise; here each of
    these is settled, so that every later complaint can name its line.

    Returns
    -------
    sections : dict of str to dict of str to Entry
        Names of sections and keys in lower case.
    source : Source
    """
    text, source = read_text(path)
    sections, current, indent = {}, None, None
    for number, line in split_lines(text):
        bare = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if not bare.strip() or bare.lstrip().startswith(";"):
            continue
        place = {"file": path, "line": number}
        depth = len(bare) - len(bare.lstrip())
        bare = bare.strip()
        if bare.startswith("["):
            current, indent = _open_section(bare, sections, place), None
        elif current is None:
            msg = f"'{bare}' stands before any section"
            raise InputError(msg, "", "Add [Detector].", **place)
        elif indent is not None and depth > indent:
            msg = f"'{bare}' is indented"
            raise InputError(
                msg,
                "A value ends with its line.",
                "Write one key = value a line, without indentation.",
                **place,
            )
        else:
            _add_entry(bare, current, number, place)
            indent = depth
    return sections, source


def _open_section(bare, sections, place):
    match = re.fullmatch(r"\[\s*([^\[\]]+?)\s*\]", bare)
    if match is None:
        msg = f"'{bare}' is no section header"
        raise InputError(msg, "Must be [Name].", **place)
    name = match[1].lower()
    if name in sections:
        msg = f"section [{match[1]}] is there twice"
        raise InputError(msg, "", "Join the two.", **place)
    return sections.setdefault(name, {})


def _add_entry(bare, current, number, place):
    key, delimiter, value = (part.strip() for part in re.split(r"([=:])", bare + "=", maxsplit=1))
    value = value.removesuffix("=").strip()
    if not delimiter or not key or not value:
        msg = f"'{bare}' is no setting"
        raise InputError(msg, "Must be key = value.", **place)
    key = key.lower()
    if key in current:
        msg = f"{key} is there twice, first in line {current[key].line}"
        raise InputError(
            msg,
            "",
            "Delete one.",
            **place,
        )
    current[key] = Entry(value, number)
