"""Go on with a session from its journal."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from specwcs.errors import InputError, SpecwcsError, SpecwcsWarning
from specwcs.markers import Markers

from .journal import (
    Journal,
    catalog_from_json,
    journal_folder,
    markers_from_json,
    model_from_json,
    model_to_json,
    read_journal,
)
from .layer import Layer
from .screen import Screen

__all__ = ["resume"]

_CALLS = {
    "load_image", "plot_opt_model", "fit_opt_model", "plot_crv_model", "fit_crv_model",
    "plot_ids_model", "fit_ids_model", "refit", "set_trace_limits", "new_opt_model",
    "new_crv_model", "new_ids_model", "ids_iter", "next", "prev", "stop_iter", "undo", "redo",
}  # fmt: skip
"""What a journal may call: nothing that writes, whoever wrote the journal."""
_BROKEN = KeyError, TypeError, ValueError, AttributeError, IndexError
"""What the words of a journal that somebody changed lead to."""


def resume(cls, journal, viewer):
    """Make a session of class `cls` as a journal tells; see `ModelsCalibration.resume`."""
    path = _last_journal() if journal is None else Path(journal)
    head, steps = read_journal(path)
    for name in ("icf", "mask"):
        if head[name] is None:
            raise InputError(
                f"the {name} was no file", "Only sessions on files can be resumed", file=path
            )
    try:
        given = _given(head, path)
    except _BROKEN as error:
        raise InputError(f"its models cannot be read ({error!r})", file=path, line=1) from error
    session = cls(head["icf"], head["mask"], **given, viewer=None)
    session._journal, session._quiet = Journal(None, {}), True
    _replay(session, steps, path)
    session._quiet, session._journal = False, Journal.going_on(path)
    if steps and "seen" in steps[-1]:
        session._journal.write(edit=steps[-1]["seen"])  # it is taken now, whatever follows
    session._screen = Screen(viewer, session._notice, session)
    session._screen.show_again(session._image(), session._title)
    session._draw()
    return session


def _given(head, path):
    """Return the models that a session was opened with, by their files if they are the same."""
    given = {}
    for name, node in head["models"].items():
        model, file = model_from_json(node), head["files"].get(name)
        if head["medium"] is not None:
            model.meta["medium"] = head["medium"]
        try:
            same = file is not None and model_to_json(type(model).read(file)) == node
        except InputError:
            same = False
        if file is not None and not same:
            warnings.warn(
                f"{file} is no longer the file that the session of {path} was opened with: its "
                "model is taken from the journal, without what was known of its fit.",
                SpecwcsWarning,
                stacklevel=4,
            )
        given[name] = file if same else model
    return given


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
        if step.get("call") == "load_image" and number != images[-1]:
            session._note_sources(step["sources"])  # only the last frame is read again
            continue
        try:
            _do(session, step)
        except (SpecwcsError, *_BROKEN) as error:
            session._warn(f"{path}, line {number + 2}: this step could not be repeated ({error})")


def _do(session, step):
    if "call" in step:
        if step["call"] not in _CALLS:
            raise InputError(f"'{step['call']}' is no step of a session")
        args = dict(step["args"])
        if "catalog" in args:
            args["catalog"] = catalog_from_json(args["catalog"])
        getattr(session, step["call"])(**args)
    elif "models" in step:
        for name, node in step["models"].items():
            session._state.live[name].assign(model_from_json(node))
        session._take_models()
    elif "layer" in step:
        node = step["layer"]
        placed = np.array(node["placed"], dtype=float).reshape(-1, 2)
        markers = markers_from_json(node["markers"])
        guessed = node["guessed"] and np.array(node["guessed"])
        layer = Layer(node["model"], markers, placed, guessed)
        catalog = node["catalog"] and catalog_from_json(node["catalog"])
        session._replace_layer(layer, node["medium"], catalog)
    else:
        _edit(session, step.get("edit") or step["seen"])


def _edit(session, change):
    layer = session._state.layer
    table = layer.markers
    changed, added = (markers_from_json(change[name]) for name in ("changed", "added"))
    markers = Markers.join([table, added])
    for name in table.colnames:
        column = np.asarray(getattr(markers[name], "value", markers[name]))
        column = column.astype(object) if column.dtype.kind == "U" else column.copy()
        column[change["rows"]] = np.asarray(getattr(changed[name], "value", changed[name]))
        unit = getattr(table[name], "unit", None)
        markers[name] = column.astype(str) if column.dtype == object else column
        if unit is not None:
            markers[name] = column * unit
    session._take_edit(replace(layer.edited(markers), markers=markers), "edit")
