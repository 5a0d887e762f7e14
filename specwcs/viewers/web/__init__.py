"""A viewer in the browser: a page on this machine that Bokeh serves.

`WebViewer` holds what is shown; `canvas` draws it on a page, `hand.js` moves it.
"""

from .viewer import WebViewer

__all__ = ["WebViewer"]
