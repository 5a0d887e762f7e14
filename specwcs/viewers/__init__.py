"""Viewers: where the user sees a frame and moves the markers on it by hand.

`open_viewer` gives a `Viewer`; what it shows and gives back are `specwcs.regions.Shape`.
"""

from specwcs.errors import InputError, ViewerError

from .base import Viewer

__all__ = ["Viewer", "open_viewer"]

_NAMES = ("ds9", "ds9-running", "web")


def open_viewer(name):
    """Open a viewer.

    Parameters
    ----------
    name : {"ds9", "ds9-running", "web"}
        A DS9 of our own, which ends with the interpreter; the one that the user has open,
        in which new frames are used and the user's own are left alone; or a page in the
        browser.

    Returns
    -------
    Viewer
        Also a context manager, which closes it.

    Raises
    ------
    InputError
        If there is no viewer of that name.
    ViewerError
        If it cannot be opened.
    """
    if name not in _NAMES:
        raise InputError(f"unknown viewer {name!r}", f"Must be one of {', '.join(_NAMES)}")
    if name == "web":
        try:
            from .web import WebViewer
        except ImportError as error:
            raise ViewerError(
                f"the page needs a package that is not installed ({error.name}). Install it: "
                "pip install 'specwcs[web]'"
            ) from error
        return WebViewer()
    from .ds9 import Ds9
    from .own import OwnDs9
    from .running import RunningDs9

    return Ds9(OwnDs9 if name == "ds9" else RunningDs9)
