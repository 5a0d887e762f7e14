"""What specwcs raises and warns: one sentence shape for every bad input.

`InputError` is for what the user gave (files, arguments); `FitError` for data that
do not determine a model; `ViewerError` for a viewer that does not answer; all are
`SpecwcsError`. The command line turns
`SpecwcsError` into exit status 2 and one line. `check_type` refuses arguments of other types.
"""

import os

__all__ = [
    "FitError", "InputError", "SpecwcsError", "SpecwcsWarning", "ViewerError", "check_type",
    "shown",
]  # fmt: skip

_GIVEN_BY = {
    "Calibration": "Calibration.read",
    "CCDData": "specwcs.read_frame",
    "FlatField": "specwcs.flat_field",
    "Instrument": "Instrument.read",
    "LineCatalog": "LineCatalog.read",
    "Mask": "Mask.read",
    "Section": "Section.parse",
}
"""The call that gives what an argument must be."""


class SpecwcsError(Exception):
    """Base class of the errors that specwcs raises on purpose."""


class InputError(SpecwcsError, ValueError):
    """A file or an argument that cannot be used.

    The message reads ``file, line n, slit id: what was found. What is allowed. What to do.``

    Parameters
    ----------
    found : str
        What was found, with the value.
    allowed : str, optional
        What is allowed, a sentence such as ``"Must be one of LR, RL, BU, UB."``
    remedy : str, optional
        What the user can do, a sentence.
    file : str or path-like, optional
        The file at fault.
    line : int, optional
        Its line, counted from 1.
    slit : str, optional
        The slit at fault.

    Examples
    --------
    >>> from specwcs.errors import InputError
    >>> print(InputError("invalid dispersion_direction 'XY'", "Must be one of LR, RL, BU, UB.",
    ...                  file="mods.icf", line=9))
    mods.icf, line 9: invalid dispersion_direction 'XY'. Must be one of LR, RL, BU, UB.
    """

    def __init__(self, found, allowed="", remedy="", *, file=None, line=None, slit=None):
        self.file, self.line, self.slit = file, line, slit
        place = [str(file)] if file is not None else []
        place += [f"line {line}"] if line is not None else []
        place += [f"slit {slit}"] if slit is not None else []
        sentences = [part.rstrip(". ") + "." for part in (found, allowed, remedy) if part]
        super().__init__((", ".join(place) + ": " if place else "") + " ".join(sentences))


class FitError(SpecwcsError, ValueError):
    """The data do not determine the model that was asked for."""


class ViewerError(SpecwcsError, RuntimeError):
    """A viewer is missing, has gone, or does not answer."""


class SpecwcsWarning(UserWarning):
    """Something the user should know that does not stop the work."""


def check_type(kind, /, *, optional=False, **arguments):
    """Refuse arguments of another type, such as the name of a file in place of what it holds.

    Parameters
    ----------
    kind : type
        One that a call of specwcs gives.
    optional : bool, optional
        Whether None is allowed, too.
    **arguments
        By their names.

    Raises
    ------
    InputError
        If one is not of this type; says which call gives it.

    Examples
    --------
    >>> from specwcs import Mask
    >>> from specwcs.errors import check_type
    >>> check_type(Mask, mask="slits.mdf")
    Traceback (most recent call last):
        ...
    specwcs.errors.InputError: mask is 'slits.mdf'. Must be a Mask, as Mask.read gives it.
    """
    for name, value in arguments.items():
        if not (isinstance(value, kind) or (optional and value is None)):
            article = "an" if kind.__name__[0] in "AEIOU" else "a"
            raise InputError(
                f"{name} is {shown(value)}",
                f"Must be {article} {kind.__name__}, as {_GIVEN_BY[kind.__name__]} gives it",
            )


def shown(value):
    """Return what was given in the place of something else, in few words."""
    if value is None or isinstance(value, (str, os.PathLike, bool, int, float)):
        return repr(value)
    return f"of type {type(value).__name__}"
