"""Frames of a folder, sorted by what their headers say, with ccdproc's ImageFileCollection."""

import warnings
from collections import defaultdict
from pathlib import Path

from specwcs.errors import InputError

__all__ = ["KINDS", "sorted_frames"]

KINDS = ("flat", "arc", "bias", "science")
"""What a frame may be."""


def sorted_frames(folder, rules, plan):
    """Sort the frames of a folder.

    Parameters
    ----------
    folder : Path
    rules : dict
        For each of `KINDS` a table of header keywords and values, regardless of case; ``group``
        names keywords whose values tell setups apart, ``pattern`` the files to look at.
    plan : Path
        For messages.

    Returns
    -------
    dict of str to dict
        By the name of the setup: its frames by kind. Frames without the keywords of a group, such
        as biases, belong to all.

    Raises
    ------
    InputError
        If ccdproc is missing, the folder is, or no frame matches.
    """
    try:
        from ccdproc import ImageFileCollection
    except ModuleNotFoundError as error:
        raise InputError(
            "frames are sorted by ccdproc, which is missing", "", "pip install 'specwcs[night]'",
            file=plan,
        ) from error  # fmt: skip
    if not folder.is_dir():
        raise InputError(f"no folder {folder}", file=plan)
    wanted = {kind: rules[kind] for kind in KINDS if kind in rules}
    group = [str(key).lower() for key in rules.get("group", [])]
    keys = sorted({key.lower() for rule in wanted.values() for key in rule} | set(group))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files that are no frames: they match no rule
        frames = ImageFileCollection(
            folder, keywords=keys, glob_include=rules.get("pattern", "*.fit*")
        )
        table = frames.summary
    if table is None or not len(table):
        raise InputError(f"no frames in {folder}", file=plan)
    setups, common = defaultdict(lambda: {kind: [] for kind in KINDS}), defaultdict(list)
    for row in table:
        kind = next((k for k, rule in wanted.items() if _matches(row, rule)), None)
        if kind is None:
            continue
        values = [_plain(row[key]) for key in group]
        path = Path(folder) / row["file"]
        if kind == "bias" or not all(values):
            common[kind].append(path)
        else:
            setups["_".join(values) or "night"][kind].append(path)
    if not setups:
        raise InputError(f"no frame in {folder} matches the rules of [frames]", file=plan)
    for frames in setups.values():
        for kind, paths in common.items():
            frames[kind] += paths
    return {
        name: {kind: tuple(sorted(paths)) for kind, paths in frames.items()}
        for name, frames in sorted(setups.items())
    }


def _matches(row, rule):
    return all(
        _plain(row[key.lower()]).lower() == _plain(value).lower() for key, value in rule.items()
    )


def _plain(value):
    """Return a value of a header as text; nothing for one that is missing."""
    text = str(value).strip()
    return "" if text in ("--", "None") else text
