"""Markers: the one table between model, eye, measurement and fit.

A model predicts markers, a viewer draws them and gives them back edited, the automatic
measurement produces them, and a fit takes them.
"""

import numpy as np
from astropy import units as u
from astropy.table import QTable, vstack

from specwcs.errors import InputError

__all__ = ["KINDS", "Markers"]

KINDS = ("box", "polygon", "edge", "line")
"""What a marker can be: the place of a point of a slit at the reference wavelength (box;
polygon for a corner), a point of a spectrum's edge or trace, a point of an arc line."""

_COLUMNS = {
    "kind": (str, None),
    "slit": (str, None),
    "t": (float, None),
    "side": (float, None),
    "wavelength": (float, u.AA),
    "x": (float, u.pix),
    "y": (float, u.pix),
    "sigma": (float, u.pix),
    "used": (bool, None),
    "reason": (str, None),
}


class Markers(QTable):
    """A table of markers, one row each.

    Columns: ``kind`` (one of `KINDS`), ``slit`` (id), ``t`` (position along the
    slit), ``side`` (position across it: 0 on its centre line, -1 and 1 on its long sides),
    ``wavelength`` (Angstrom, NaN where it has none), ``x``, ``y`` (px, 0-based),
    ``sigma`` (px, 1 sigma of the coordinate that was measured), ``used``, ``reason`` (why
    not used).

    Make it with `Markers.of`, join tables with `Markers.join`.
    """

    @classmethod
    def of(cls, kind, slit, t, x, y, *, side=0.0, wavelength=np.nan, sigma=np.nan, used=True,
           reason=""):  # fmt: skip
        """Make a table from columns; scalars are repeated.

        Parameters
        ----------
        kind, slit : str or sequence of str
        t : float or sequence
        x, y : sequence of float
            Pixels, 0-based.
        side : float or sequence, optional
            In half widths of the slit.
        wavelength : float or sequence, optional
            Angstrom.
        sigma : float or sequence, optional
            Pixels.
        used : bool or sequence, optional
        reason : str or sequence of str, optional

        Returns
        -------
        Markers

        Raises
        ------
        InputError
            If a kind is none of `KINDS`.
        """
        given = {
            "kind": kind,
            "slit": slit,
            "t": t,
            "side": side,
            "wavelength": wavelength,
            "x": x,
            "y": y,
            "sigma": sigma,
            "used": used,
            "reason": reason,
        }
        n = max(np.size(value) for value in (slit, t, x, y, wavelength))
        if min(np.size(value) for value in (slit, t, x, y, wavelength)) == 0:
            n = 0
        table = cls()
        for name, (dtype, unit) in _COLUMNS.items():
            column = np.array(np.broadcast_to(np.asarray(given[name]), (n,)), dtype=dtype)
            table[name] = column.astype(object).astype(str) if dtype is str else column
            if unit is not None:
                table[name] = u.Quantity(column, unit)
        unknown = set(np.unique(table["kind"])) - set(KINDS)
        if unknown:
            raise InputError(
                f"invalid kind {unknown.pop()!r}", f"Must be one of {', '.join(KINDS)}"
            )
        return table

    @classmethod
    def join(cls, tables):
        """Return the rows of several tables of markers in one."""
        tables = [table for table in tables if len(table)]
        if not tables:
            return cls.of("box", [], [], [], [])
        return cls(vstack(tables, join_type="exact", metadata_conflicts="silent"))

    def select(self, kind=None, slit=None, used=None):
        """Return the rows of one kind, one slit, used or unused."""
        keep = np.ones(len(self), dtype=bool)
        for name, wanted in (("kind", kind), ("slit", slit), ("used", used)):
            if wanted is not None:
                keep &= np.asarray(self[name]) == wanted
        return self[keep]
