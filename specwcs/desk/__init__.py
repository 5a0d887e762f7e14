"""A session on a page: frames, fits, residuals, slits and keys, for one or more browsers.

`Desk` does what a page asks for, one thing after the other, and tells all pages what became of
it; `page` lays a page out, `panels` are its parts, `facts` what they show, `actions` the calls of
the session behind buttons and keys.
"""

from .desk import Desk

__all__ = ["Desk"]
