"""A plan: calibrations, and the science exposures that need them."""

import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from specwcs.errors import InputError
from specwcs.inputs._text import local_path, read_text
from specwcs.io.products import exposure_name

from .sort import KINDS, sorted_frames

__all__ = ["Plan", "Setup"]

_OPTIONS = {
    "calibrate": {"lamps": list, "catalog": list, "medium": str, "opt": list, "crv": list,
                  "ids": list, "image": list},
    "extract": {"flat": bool, "object": list, "method": str, "no-sky": bool, "log": bool,
                "medium": str, "barycentric": bool, "cosmics": bool, "no-pictures": bool},
}  # fmt: skip
_TOP = {"instrument": str, "mask": str, "output": str, "calibrate": dict, "extract": dict,
        "frames": dict, "setup": list}  # fmt: skip
_SETUP = {"name": str, "mask": str, "calibration": str, **dict.fromkeys(KINDS, list)}
_FRAMES = {"folder": str, "pattern": str, "group": list, **dict.fromkeys(KINDS, dict)}
_SEPARATORS = r"[/\\\0]"  # of folders, or what no name of a file has
_NAMES = {str: "a text", list: "a list", dict: "a table", bool: "true or false"}


@dataclass(frozen=True)
class Setup:
    """Frames that belong together: a mask, its flats and arcs, and what was seen through it.

    Parameters
    ----------
    name : str
        Names the calibration: part of the name of a file.
    mask : str
        File, or name of one that ships.
    frames : dict of str to tuple of Path
        By ``"flat"``, ``"arc"``, ``"bias"``, ``"science"``.
    calibration : Path or None
        One that is there already, to be tuned to these flats and arcs; without any, it is used
        as it is.
    """

    name: str
    mask: str
    frames: dict
    calibration: Path | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Parameters
    ----------
    instrument : str
        File, or name of one that ships.
    output : Path
        Folder for everything that is made.
    setups : tuple of Setup
    calibrate, extract : dict
        Options of the commands.
    """

    instrument: str
    output: Path
    setups: tuple
    calibrate: dict = field(default_factory=dict)
    extract: dict = field(default_factory=dict)

    @classmethod
    def read(cls, path):
        """Read a plan.

        Parameters
        ----------
        path : path-like
            TOML. Paths in it are relative to its folder; frames may be given as patterns such as
            ``"raw/arc_*.fits"``.

        Raises
        ------
        InputError
            If it cannot be read, has a key or a value that a plan does not have, names no frames,
            or frames that are not there.
        """
        path = Path(path)
        try:
            content = tomllib.loads(read_text(local_path(path))[0])
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise InputError(f"no plan ({error})", "Must be TOML", file=path) from error
        _check(content, _TOP, "a plan", path)
        for name in ("instrument", "output"):
            if name not in content:
                raise InputError(f"no {name}", "Must be given", f'Add {name} = "…"', file=path)
        for command, options in _OPTIONS.items():
            _check(content.get(command, {}), options, f"[{command}]", path)
        folder = path.absolute().parent
        setups = [_setup(node, content, folder, path) for node in content.get("setup", [])]
        if "frames" in content:
            setups += _by_header(content, folder, path)
        if not setups:
            remedy = "Add [[setup]] with flat, arc and science, or [frames]"
            raise InputError("no frames", "", remedy, file=path)
        _check_different("setups", (setup.name for setup in setups), path)
        exposures = (exposure_name(p) for setup in setups for p in setup.frames["science"])
        _check_different("exposures", exposures, path)
        calibrate = dict(content.get("calibrate", {}))
        if "catalog" in calibrate:
            calibrate["catalog"] = [_local(name, folder) for name in calibrate["catalog"]]
        if "image" in calibrate:
            calibrate["image"] = [str(file) for file in _files(calibrate["image"], folder, path)]
        return cls(
            _local(content["instrument"], folder), folder / content["output"], tuple(setups),
            calibrate, content.get("extract", {}),
        )  # fmt: skip


def _check(node, known, where, path):
    """Refuse keys that are not known, and values of another kind."""
    for key, value in node.items():
        if key not in known:
            raise InputError(
                f"unknown key '{key}' in {where}", f"Must be one of {', '.join(known)}", file=path
            )
        if not isinstance(value, known[key]):
            raise InputError(
                f"{key} = {value!r} in {where}", f"Must be {_NAMES[known[key]]}", file=path
            )


def _check_different(what, names, path):
    """Refuse two things of one name, whose products would replace each other."""
    for name, n in Counter(names).most_common(1):
        if n > 1:
            raise InputError(f"{n} {what} of the name '{name}'", "Must differ", file=path)


def _setup(node, content, folder, path):
    if not isinstance(node, dict):
        raise InputError(f"setup = {node!r}", "Must be a table", "Write [[setup]]", file=path)
    _check(node, _SETUP, "[[setup]]", path)
    frames = {kind: _files(node.get(kind, []), folder, path) for kind in KINDS}
    return _checked(
        Setup(
            node.get("name", "calibration"),
            _local(node.get("mask", content.get("mask", "")), folder),
            frames,
            folder / node["calibration"] if "calibration" in node else None,
        ),
        path,
    )


def _by_header(content, folder, path):
    """Sort the frames of a folder into setups by their headers."""
    node = content["frames"]
    _check(node, _FRAMES, "[frames]", path)
    if "folder" not in node:
        raise InputError("no folder in [frames]", "Must be given", file=path)
    groups = sorted_frames(folder / node["folder"], node, path)
    mask = _local(content.get("mask", ""), folder)
    # A value such as the grism 600/4310 is part of the name of a file.
    setups = [Setup(re.sub(_SEPARATORS, "-", name), mask, made) for name, made in groups.items()]
    return [_checked(setup, path) for setup in setups]


def _checked(setup, path):
    if not setup.name or re.search(_SEPARATORS, setup.name):
        raise InputError(
            f"setup '{setup.name}'",
            "Its name is part of that of a file: without / and \\",
            file=path,
        )
    if setup.calibration is None and not setup.frames["arc"]:
        raise InputError(f"setup '{setup.name}' has no arc", "", "Name one", file=path)
    if setup.calibration is None and not setup.mask:
        raise InputError(f"setup '{setup.name}' has no mask", "", 'Add mask = "…"', file=path)
    return setup


def _files(patterns, folder, path):
    """Return the files of names and patterns, each in the order of its pattern."""
    found = []
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise InputError(f"a frame {pattern!r}", "Must be a text", file=path)
        base = Path(pattern)
        root, rest = (Path(base.anchor), base.relative_to(base.anchor)) if base.anchor else (
            folder, base)  # fmt: skip
        try:
            files = sorted(root.glob(str(rest)))
        except (ValueError, NotImplementedError) as error:
            raise InputError(f"no pattern of files '{pattern}' ({error})", file=path) from None
        if not files:
            raise InputError(f"no frame '{pattern}'", "", f"Looked in {root}", file=path)
        found += files
    return tuple(found)


def _local(name, folder):
    """Return a file beside the plan if there is one, else the name, which may ship."""
    try:
        return str(folder / name) if name and (folder / name).is_file() else name
    except OSError:  # longer than any name of a file
        return name
