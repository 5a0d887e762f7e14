"""Markers: the one table between model, eye, measurement and fit.

A model predicts markers, a viewer draws them and gives them back edited, the automatic
measurement produces them, and a fit takes them.
"""

import numpy as np
from astropy import units as u
from astropy.table import QTable, vstack

from specwcs.conventions import without_units
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
    "shared": (float, u.pix),
    "used": (bool, None),
    "reason": (str, None),
}


class Markers(QTable):
    """A table of markers, one row each.

    Columns: ``kind`` (one of `KINDS`), ``slit`` (id), ``t`` (position along the
    slit), ``side`` (position across it: 0 on its centre line, -1 and 1 on its long sides),
    ``wavelength`` (Angstrom, NaN where it has none), ``x``, ``y`` (px, 0-based),
    ``sigma`` (px, 1 sigma of the coordinate that was measured), ``shared`` (px, the part of it that
    all points of a line have in common: what its neighbours leave open), ``used``, ``reason``
    (why not used).

    Make it with `Markers.of`, join tables with `Markers.join`.
    """

    @classmethod
    def of(cls, kind, slit, t, x, y, *, side=0.0, wavelength=np.nan, sigma=np.nan,
           shared=0.0, used=True, reason=""):  # fmt: skip
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
        sigma, shared : float or sequence, optional
            Pixels.
        used : bool or sequence, optional
        reason : str or sequence of str, optional

        Returns
        -------
        Markers

        Raises
        ------
        InputError
            If a kind is none of `KINDS`, or a unit is not one of the column.
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
            "shared": shared,
            "used": used,
            "reason": reason,
        }
        n = max(np.size(value) for value in (slit, t, x, y, wavelength))
        if min(np.size(value) for value in (slit, t, x, y, wavelength)) == 0:
            n = 0
        table = cls()
        for name, (dtype, unit) in _COLUMNS.items():
            values = given[name] if unit is None else without_units(**{name: given[name]})[0]
            column = np.array(np.broadcast_to(np.asarray(values), (n,)), dtype=dtype)
            table[name] = column.astype(object).astype(str) if dtype is str else column
            if unit is not None:
                table[name] = u.Quantity(column, unit)
        unknown = set(np.unique(table["kind"])) - set(KINDS)
        if unknown:
            raise InputError(
                f"invalid kind '{unknown.pop()}'", f"Must be one of {', '.join(KINDS)}"
            )
        return table

    @classmethod
    def checked(cls, table):
        """Return any table of markers as one that can be relied upon.

        Parameters
        ----------
        table : Table
            With the columns of `Markers`; x and y in px and wavelength in Angstrom where they
            bear no unit. Columns other than kind, slit, t, x and y may be missing.

        Returns
        -------
        Markers
            A copy. Rows without a finite position are not used.

        Raises
        ------
        InputError
            If a column is missing or of another kind, a unit is not one of it, an error is
            not above 0, its shared part is none of it, or a marker has no t.
        """
        names = getattr(table, "colnames", None)
        missing = [n for n in ("kind", "slit", "t", "x", "y") if n not in (names or ())]
        if missing:
            found = f"no column {', '.join(missing)}" if names else f"{type(table).__name__}"
            raise InputError(found, "Must be a table of markers", "Change a copy of the markers")
        columns = {}
        for name, (dtype, unit) in _COLUMNS.items():
            if name not in names:
                continue
            try:
                column = table[name] if unit is None else u.Quantity(table[name], unit).value
                columns[name] = np.array(column).astype(dtype)
            except (u.UnitsError, TypeError, ValueError) as error:
                raise InputError(f"column {name} cannot be used ({error})") from error
        markers = cls.of(**columns)
        sigma, t = markers["sigma"].value, np.asarray(markers["t"])
        if np.any(sigma <= 0) or np.any(np.isinf(sigma)):
            raise InputError("a sigma that is not above 0", "Must be px above 0, or NaN")
        shared = markers["shared"].value
        if not np.all((shared >= 0) & ~(shared > sigma)):
            raise InputError("a shared error beyond sigma", "Must be px, from 0 to sigma")
        if not np.all(np.isfinite(t)):
            raise InputError("a marker without t", "Must be finite")
        nowhere = ~(np.isfinite(markers["x"].value) & np.isfinite(markers["y"].value))
        markers["used"] = np.asarray(markers["used"]) & ~nowhere
        return markers

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
