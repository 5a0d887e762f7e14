"""``specwcs info``: tell what a file is, its facts and its faults."""

import re
from importlib.resources import files
from pathlib import Path

from specwcs.cli.console import Outcome, Status
from specwcs.errors import InputError

__all__ = ["add_arguments", "kind_of", "run"]

_FITS = (b"SIMPLE", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_REGIONS = re.compile(
    rb"^# Region file format: DS9|^\s*#?\s*[+-]?(box|polygon|point|vector)\s*\(",
    re.IGNORECASE | re.MULTILINE,
)
_SHELVES = {
    "instrument": ("instruments", ".icf"),
    "mask": ("masks", ".mdf"),
    "line catalogue": ("catalogs", ".dat"),
}


def add_arguments(parser):
    """Add the arguments of the command."""
    parser.add_argument(
        "file",
        metavar="FILE|NAME",
        help="an instrument, a mask, a line catalogue, a calibration, a model, a region file or a "
        "FITS file; or the name of an instrument, mask or catalogue that ships",
    )


def run(args, console):  # noqa: ARG001 - the commands share one signature
    """Run the command.

    Returns
    -------
    Outcome
    """
    from specwcs.cli.describe import TELL

    kind = kind_of(args.file)
    facts, lines = TELL[kind](args.file)
    status = Status.SOME_FAILED if facts.get("failed") else Status.GOOD
    facts = {"file": args.file, "kind": kind, **facts}
    return Outcome(status, facts, [f"{args.file}: {kind}", *lines])


def kind_of(name):
    """Tell what a file is by its first bytes, its suffix or its words.

    Parameters
    ----------
    name : str
        A path, or the name of an instrument, mask or catalogue that ships.

    Returns
    -------
    str
        ``"instrument"``, ``"mask"``, ``"line catalogue"``, ``"region file"``, ``"ASDF file"``
        or ``"FITS file"``.
    """
    path = Path(name)
    if not path.exists():
        return __kind_of_shipped(name)
    from specwcs.inputs._text import local_path

    with local_path(path).open("rb") as stream:
        start = stream.read(65536)
    if start.startswith(b"#ASDF"):
        return "ASDF file"
    if start.startswith(_FITS) or ".fit" in path.name.lower():
        return "FITS file"
    if path.suffix.lower() == ".reg" or _REGIONS.search(start):
        return "region file"
    for kind, (_, suffix) in _SHELVES.items():
        if path.suffix.lower() == suffix:
            return kind
    if re.search(rb"^\s*\[\s*(detector|grism)\s*\]", start, re.IGNORECASE | re.MULTILINE):
        return "instrument"
    if re.search(rb"\bDIMX\b", start, re.IGNORECASE):
        return "mask"
    if re.search(rb"^\s*\d[\d.]*\s+\S", start, re.MULTILINE):
        return "line catalogue"
    raise InputError(
        "neither an instrument, a mask, a line catalogue, a calibration, a model, a region file "
        "nor a FITS file",
        file=path,
    )


def __kind_of_shipped(name):
    conf = files("specwcs.conf")
    if re.fullmatch(r"[A-Za-z0-9_.+-]+", name):
        for kind, (shelf, suffix) in _SHELVES.items():
            if conf.joinpath(shelf, name + suffix).is_file():
                return kind
    known = [
        f"{shelf} " + ", ".join(sorted(f.name.removesuffix(suffix) for f in shelf_files))
        for shelf, suffix in _SHELVES.values()
        if (shelf_files := [f for f in (conf / shelf).iterdir() if f.name.endswith(suffix)])
    ]
    raise InputError(
        f"'{name}' is neither a file nor a name that ships", f"These ship: {'; '.join(known)}"
    )
