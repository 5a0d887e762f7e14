"""What a calibration says of its making: files with checksums, versions, the set-up."""

import datetime
import os
import platform
from importlib import metadata

__all__ = ["provenance", "setup_of", "sources_of"]

_PACKAGES = ("specwcs", "astropy", "gwcs", "asdf", "numpy", "scipy")
_SETUP = (
    *("INSTRUME", "GRATING", "GRISM", "GRISM_N", "GRATNG_N", "DISPERSR", "MASKNAME"),
    "ESO INS GRIS1 NAME",
)


def provenance(inputs, arc, **more):
    """Return the record of a calibration.

    Parameters
    ----------
    inputs : mapping of str to list of dict
        Path and checksum of the files, by what they are.
    arc : CCDData or None
        The frame whose set-up the calibration is of.
    **more
        Further entries.
    """
    return {
        "created": _now().isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in _PACKAGES},
        "inputs": inputs,
        "setup": {} if arc is None else setup_of(arc),
        **more,
    }


def _now():
    """Return the time; SOURCE_DATE_EPOCH, if it is set, for results that are to be repeated."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    if fixed.isdecimal():
        return datetime.datetime.fromtimestamp(int(fixed), datetime.UTC)
    return datetime.datetime.now(datetime.UTC)


def setup_of(frame):
    """Return the keywords of a frame's header that name instrument, disperser and mask."""
    header = frame.meta.get("header", {})
    return {key: str(header[key]).strip() for key in _SETUP if key in header}


def sources_of(*given, kind="files"):
    """Return path and checksum of what was read: `Source` values, and frames."""
    found = []
    for one in given:
        if hasattr(one, "meta"):
            found += [dict(entry) for entry in one.meta.get(kind, [])]
        elif one is not None:
            found.append({"path": str(one.path), "sha256": one.sha256})
    return found
