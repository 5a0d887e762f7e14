"""Every step of a session on disk, as it happens: one line of JSON each.

A step is a call with its arguments, a change of markers, or a change that the user made to
a model. Markers that a model predicts are not written: the call that drew them is, and a
resumed session draws them again. A line that a killed process left unfinished is passed over.
"""

import datetime
import json
import os
import threading
import warnings
from pathlib import Path

import numpy as np

from specwcs import models
from specwcs.errors import InputError, SpecwcsWarning
from specwcs.inputs import LineCatalog
from specwcs.markers import Markers

__all__ = ["Journal", "journal_folder", "read_journal"]

_VERSION = 1
_HEAD = {"name", "icf", "mask", "medium", "models", "files"}


def journal_folder():
    """Return the folder of journals: ``specwcs/sessions`` in the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "specwcs" / "sessions"


class Journal:
    """An append-only file of steps.

    Parameters
    ----------
    path : path-like or None
        None: nothing is written.
    head : dict
        What the session was opened with: the first line.
    """

    def __init__(self, path, head):
        self.path, self._lock = None if path is None else Path(path), threading.Lock()
        self._begin = {"specwcs": _VERSION, **head}
        self._begun = False

    @classmethod
    def new(cls, head):
        """Make a journal in `journal_folder`, named by its start; the file comes with step one."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%f")
        name = "".join(c if c.isalnum() or c in "._-" else "_" for c in head["name"])
        return cls(journal_folder() / f"{now}-{name}-{os.getpid()}.jsonl", head)

    @classmethod
    def going_on(cls, path):
        """Make a journal that begins with a copy of another, which a session may still write."""
        path = Path(path)
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%f")
        name = path.stem.partition("-")[2].rpartition("-")[0] or path.stem
        new = cls(path.with_name(f"{now}-{name}-{os.getpid()}.jsonl"), {})
        whole = path.read_bytes()
        whole = whole[: whole.rindex(b"\n") + 1]  # a line that was cut off stays behind
        try:
            new.path.write_bytes(whole)
        except OSError as error:
            new._give_up(error)
        new._begun = True
        return new

    def write(self, **step):
        """Add a step; a disk that does not take it is a warning, once."""
        with self._lock:
            if self.path is None:
                return
            try:
                self._append(step)
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error):
        warnings.warn(
            f"{self.path}: the journal cannot be written ({error.strerror}): this session could "
            "not be resumed. Save models and regions yourself.",
            SpecwcsWarning,
            stacklevel=4,
        )
        self.path = None

    def _append(self, step):
        lines = [step] if self._begun else [self._begin, step]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line, default=_plain) + "\n" for line in lines)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        self._begun = True


def read_journal(path):
    """Read a journal.

    Returns
    -------
    head : dict
    steps : list of dict

    Raises
    ------
    InputError
        If there is no such file, or it is no journal of this version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such journal", "", "Check the path", file=path)
    entries = []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if isinstance(entry, dict):
            entries.append(entry)
        elif number < len(lines):  # the last one may be cut off
            remedy = "Delete this line to lose only this step"
            raise InputError("no step", "Must be JSON", remedy, file=path, line=number)
    head = entries[0] if entries else {}
    if head.get("specwcs") != _VERSION or not head.keys() >= _HEAD:
        raise InputError("this is no journal of this specwcs", "", "Check the path", file=path)
    return head, entries[1:]


def _plain(value):
    if isinstance(value, (Path, os.PathLike)):
        return str(Path(value).absolute())
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Markers):
        return markers_to_json(value)
    if isinstance(value, LineCatalog):
        return catalog_to_json(value)
    msg = f"a {type(value).__name__} in a journal"
    raise TypeError(msg)


# -- what steps hold --------------------------------------------------------------


def markers_to_json(markers):
    """Write a table of markers as columns of plain values."""
    return {
        name: np.asarray(getattr(markers[name], "value", markers[name])).tolist()
        for name in markers.colnames
    }


def markers_from_json(columns):
    """Read what `markers_to_json` wrote."""
    return Markers.of(**columns)


def catalog_to_json(catalog):
    """Write a catalogue as plain values."""
    columns = {
        name: getattr(catalog, name).tolist()
        for name in ("wavelength", "label", "flag", "intensity")
    }
    return {**columns, "medium": catalog.medium}


def catalog_from_json(node):
    """Read what `catalog_to_json` wrote."""
    columns = {name: np.array(values) for name, values in node.items() if name != "medium"}
    return LineCatalog(**columns, medium=node["medium"])


_SETTINGS = ("degrees", "constant_degrees", "domain", "x_domain", "y_domain",
             "x_flipped", "y_flipped")  # fmt: skip


def model_to_json(model):
    """Write a model as plain values."""
    settings = {name: getattr(model, name) for name in _SETTINGS if hasattr(model, name)}
    settings = {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}
    return {"class": type(model).__name__, **settings, "parameters": model.parameters.tolist()}


def model_from_json(node):
    """Read what `model_to_json` wrote."""
    settings = {name: value for name, value in node.items() if name in _SETTINGS}
    model = getattr(models, node["class"])(*settings.pop("degrees"), **settings)
    model.parameters = node["parameters"]
    return model
