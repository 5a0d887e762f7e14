"""Go on with a session from its journal."""

from pathlib import Path

import numpy as np

from specwcs.errors import InputError, SpecwcsError
from specwcs.markers import Markers

from .journal import (
    Journal,
    catalog_from_json,
    journal_folder,
    markers_from_json,
    model_from_json,
    read_journal,
)
from .layer import Layer
from .screen import Screen

__all__ = ["resume"]


def resume(cls, journal, viewer):
    """Make a session of class `cls` as a journal tells; see `ModelsCalibration.resume`."""
    path = _last_journal() if journal is None else Path(journal)
    head, steps = read_journal(path)
    for name in ("icf", "mask"):
        if head[name] is None:
            raise InputError(
                f"the {name} was no file", "Only sessions on files can be resumed", file=path
            )
    models = {name: model_from_json(node) for name, node in head["models"].items()}
    session = cls(head["icf"], head["mask"], **head["files"], **models, viewer=None)
    session._journal, session._quiet = Journal(None, {}), True
    _replay(session, steps, path)
    session._quiet, session._journal = False, Journal.going_on(path)
    session._screen = Screen(viewer, session._notice)
    session._screen.show_again(session._image(), session._title)
    session._draw()
    return session


def _last_journal():
    found = sorted(journal_folder().glob("*.jsonl"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise InputError("there is no journal", "", "Begin a session", file=journal_folder())
    return found[-1]


def _replay(session, steps, path):
    images = [n for n, step in enumerate(steps) if step.get("call") == "load_image"]
    for number, step in enumerate(steps):
        if "seen" in step and number + 1 < len(steps):
            continue  # what followed has it
        try:
            # Frames are read again, but only the last one is shown.
            if not (step.get("call") == "load_image" and number != images[-1]):
                _do(session, step)
        except SpecwcsError as error:
            session._warn(f"{path}, line {number + 2}: this step could not be repeated ({error})")


def _do(session, step):
    if "call" in step:
        args = dict(step["args"])
        if "catalog" in args:
            args["catalog"] = catalog_from_json(args["catalog"])
        getattr(session, step["call"])(**args)
    elif "models" in step:
        for name, node in step["models"].items():
            session._state.live[name].assign(model_from_json(node))
        session._pull()
    elif "layer" in step:
        node = step["layer"]
        placed = np.array(node["placed"], dtype=float).reshape(-1, 2)
        layer = Layer(node["model"], markers_from_json(node["markers"]), placed)
        catalog = node["catalog"] and catalog_from_json(node["catalog"])
        session._replace_layer(layer, catalog)
    else:
        _edit(session, step.get("edit") or step["seen"])


def _edit(session, change):
    layer = session._state.layer
    markers = layer.markers.copy()
    changed, added = (markers_from_json(change[name]) for name in ("changed", "added"))
    rows = change["rows"]
    for name in ("x", "y", "used", "reason"):
        column = markers[name]
        if name == "reason":
            reasons = np.asarray(column).astype(object)
            reasons[rows] = np.asarray(changed[name])
            markers[name] = reasons.astype(str)
        else:
            column[rows] = changed[name]
    session._take_edit(layer.edited(Markers.join([markers, added])), "edit")
