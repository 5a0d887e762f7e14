"""Outputs that are tried before the work, and pictures that may fail without harm."""

from contextlib import suppress

from specwcs.errors import InputError, SpecwcsError
from specwcs.files import atomic_path

__all__ = ["check_output", "draw", "drawing", "write_page"]


class _Tried(Exception):  # noqa: N818 - no error: it ends a trial
    """Ends the trial of an output without writing it."""


def check_output(path, overwrite):
    """Raise `InputError` now, not after the work, if a file cannot be written.

    Parameters
    ----------
    path : path-like
    overwrite : bool
        Whether an existing file may be replaced.
    """
    with suppress(_Tried), atomic_path(path, overwrite):
        raise _Tried


def draw(make, path, overwrite, console):
    """Make and write a picture; complain, and go on, where that is not possible.

    Parameters
    ----------
    make : callable
        ``make(report)`` gives the figure; `report` is the module `specwcs.report`.
    path : path-like
    overwrite : bool
    console : Console

    Returns
    -------
    path-like or None
        The picture, where there is one.
    """
    return _shown(
        lambda report: report.write_figure(make(report), path, overwrite), path, "picture", console
    )


def write_page(cal, path, overwrite, console, **more):
    """Write the report of a calibration; complain, and go on, where that is not possible.

    Parameters
    ----------
    cal : Calibration
    path : path-like
    overwrite : bool
    console : Console
    **more
        As for `specwcs.report.write_report`.

    Returns
    -------
    path-like or None
        The page, where there is one.
    """
    return _shown(
        lambda report: report.write_report(cal, path, overwrite=overwrite, **more),
        path, "report", console,
    )  # fmt: skip


def _shown(write, path, what, console):
    console.step(f"drawing the {what}")
    try:
        write(drawing())
    except SpecwcsError as error:
        console.warn(f"no {what}: {error}")
        return None
    return path


def drawing():
    """Return the module `specwcs.report`; raise `InputError` where matplotlib is missing."""
    try:
        from specwcs import report
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise InputError("matplotlib is missing (pip install 'specwcs[plot]')") from error
    return report
