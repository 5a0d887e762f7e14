"""Slits and slit masks, in millimetres of the focal plane.

Read from mask files (``.mdf``, see `specwcs.inputs.mdf`), and from the designs of other
programs (`specwcs.inputs.designs`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import comb

from specwcs.conventions import Direction
from specwcs.errors import InputError
from specwcs.inputs._text import locate, read_text
from specwcs.inputs.mdf import COLUMNS, mdf_text, rows_from_mdf
from specwcs.inputs.sky import SlitSky

__all__ = ["Mask", "Slit"]

_SMALLEST = 1e-6
"""mm; no mask has a smaller hole."""
UNIT_FACTOR = 3.0
"""A slit whose arcsec per mm differs by more from the median of the mask mixes units."""


@dataclass(frozen=True, eq=False)
class Slit:
    """One slit of a mask: a rectangle, and the curve that runs along it.

    Attributes
    ----------
    id : str
        Unique in its mask.
    x, y : float
        The centre, mm, X to the right and Y up.
    dimx, dimy : float
        The sides of the rectangle before it is rotated, mm.
    rot : float
        Rotation about the centre, degrees clockwise.
    width, length : float
        Size along and across the dispersion, arcsec; 0 where unknown.
    reference : bool
        Whether this is an alignment hole: used for the optical model only.
    control : ndarray, shape (n, 2)
        Control points of the slit's Bézier curve, mm, the end t = 0 first.
    sky : SlitSky or None
        Where the slit is on the sky, if the mask's design tells.
    """

    id: str
    x: float
    y: float
    dimx: float
    dimy: float
    rot: float
    width: float
    length: float
    reference: bool
    control: np.ndarray
    sky: SlitSky | None = None

    def curve(self, t):
        """Return the points of the slit's centre line.

        Parameters
        ----------
        t : array-like
            Position along the slit, 0 at its left edge and 1 at its right.

        Returns
        -------
        X, Y : ndarray, the shape of t
            mm.
        """
        t = np.asarray(t, dtype=float)[..., np.newaxis]
        k = np.arange(len(self.control))
        bernstein = comb(k[-1], k) * t**k * (1 - t) ** (k[-1] - k)
        points = bernstein @ self.control
        return points[..., 0], points[..., 1]

    def corners(self):
        """Return the four corners, mm, shape (4, 2): two at t = 0, then two at t = 1, in a ring."""
        first, last = self.control[0], self.control[-1]
        half = self.half_width
        return np.array([first - half, first + half, last + half, last - half])

    @property
    def half_width(self):
        """Half of the slit's side along the dispersion, mm, as a vector: shape (2,)."""
        sides = _half_sides(self.dimx, self.dimy, self.rot)
        along = self.control[-1] - self.control[0]
        cosines = np.abs(sides @ along) / np.hypot(*sides.T)
        return sides[np.argmin(cosines)]

    def __eq__(self, other):
        if not isinstance(other, Slit):
            return NotImplemented
        mine, theirs = vars(self).copy(), vars(other).copy()
        return np.array_equal(mine.pop("control"), theirs.pop("control")) and mine == theirs

    def __hash__(self):
        return hash((self.id, self.x, self.y))


class Mask(Mapping):
    """The slits of a mask by their id, in the order of the file.

    Parameters
    ----------
    slits : iterable of Slit
    faults : mapping of str to str, optional
        Id and reason of the slits that cannot be relied upon.
    source : Source, optional
        The file that the mask comes from.
    notes : iterable of str, optional
        What the reader of a design assumed, and what the design does not tell.

    Attributes
    ----------
    faults : dict of str to str
        Why a slit of the file is in doubt. Where its numbers cannot be used at all (a
        position that is not finite, a side that is not positive), it is named only here and
        is no member of the mapping; slits that overlap are in both.
    source : Source or None
    notes : tuple of str

    Raises
    ------
    InputError
        If there is no slit, or two have the same id.
    """

    def __init__(self, slits, *, faults=None, source=None, notes=()):
        slits = list(slits)
        self._slits = {slit.id: slit for slit in slits}
        self.faults = dict(faults or {})
        self.source = source
        self.notes = tuple(notes)
        file = source.path if source else None
        if len(self._slits) < len(slits):
            ids = [slit.id for slit in slits]
            twice = sorted({i for i in ids if ids.count(i) > 1})
            msg = f"slit ids used twice: {', '.join(twice)}"
            raise InputError(msg, "Ids are unique.", file=file)
        if not slits:
            reasons = "; ".join(f"{i}: {reason}" for i, reason in self.faults.items())
            found = f"no usable slit ({reasons})" if reasons else "no slit in mask"
            raise InputError(found, "", "Add at least one line with a slit.", file=file)

    def __getitem__(self, key):
        return self._slits[key]

    def __iter__(self):
        return iter(self._slits)

    def __len__(self):
        return len(self._slits)

    def __repr__(self):
        return (
            f"<Mask of {len(self)} slits: {', '.join(list(self)[:8])}{' …'[: 2 * (len(self) > 8)]}>"
        )

    def oriented(self, direction, *, flipx=False, flipy=False):
        """Return the mask with t = 0 at the end that falls on the left on the frame.

        The slit's curve runs along the side across the dispersion. With X replaced by -X
        (`flipx`), Y by -Y (`flipy`), and (u, v) from `Direction.canonical_mask`, t = 0 is
        the end of larger v.

        Parameters
        ----------
        direction : Direction or str
        flipx, flipy : bool, optional
            Whether the optics mirror the mask.

        Returns
        -------
        Mask
        """
        direction = Direction(direction)
        signs = np.array([-1 if flipx else 1, -1 if flipy else 1])

        def turned(slit):
            control = slit.control
            if len(control) == 2:
                control = _ends(slit.x, slit.y, slit.dimx, slit.dimy, slit.rot, direction)
            _, v = direction.canonical_mask(*(control[[0, -1]] * signs).T)
            return replace(slit, control=control if v[0] >= v[1] else control[::-1].copy())

        return Mask(
            map(turned, self.values()), faults=self.faults, source=self.source, notes=self.notes
        )

    @classmethod
    def read(cls, path):
        """Read a mask file (``.mdf``), or the mask design of another program.

        The columns of a mask file are ``ID DIMX DIMY X Y ROT WID LEN REF``, named by a header
        line with or without ``#`` before it, ID first, in any case; white space separates. ``#``
        starts a comment. The columns ``CURVE`` and ``RA DEC CD1_1 CD1_2 CD2_1 CD2_2`` are
        optional. Designs are recognised by what they hold: MODS ``.mms``, LUCI ``.lms``, and
        FITS files with the slits of VIMOS, FORS, GMOS, DEIMOS or NIRSpec.

        Slits are oriented as for `Direction` LR, or BU where the slits are longer in X than in
        Y; see `oriented`.

        Parameters
        ----------
        path : str or path-like
            A file, or the name of a mask that ships with specwcs.

        Returns
        -------
        Mask

        Raises
        ------
        InputError
            If the header is missing, a line has too few or too many values, a value is no
            number, an id is used twice, or no usable slit is left; if a FITS file holds no
            design that is known, or not all of it.
        """
        from specwcs.inputs import designs

        path = locate(path, "masks", ".mdf")
        if designs.is_fits(path):
            return cls.from_rows(*designs.rows_from_fits(path))
        text, source = read_text(path)
        if designs.is_text_design(text, path):
            return cls.from_rows(*designs.rows_from_text(text, path, source))
        return cls.from_rows(rows_from_mdf(text, path), source)

    @classmethod
    def from_rows(cls, rows, source=None, notes=(), doubts=None):
        """Make a mask from the rows of its file.

        Parameters
        ----------
        rows : list of dict
            As of `specwcs.inputs.mdf.rows_from_mdf`.
        source : Source, optional
        notes : iterable of str, optional
        doubts : dict of str to str, optional
            Faults that the reader found in slits that can be used all the same.

        Returns
        -------
        Mask

        Raises
        ------
        InputError
            If no usable slit is left, or two have the same id.
        """
        faults = {row["ID"]: reason for row in rows if (reason := _fault(row))}
        rows = [row for row in rows if row["ID"] not in faults]
        # Every slit has one voice, so that an absurd size does not turn the others.
        ratios = [np.log(row["DIMX"] / row["DIMY"]) for row in rows]
        wide = np.clip(ratios, -1, 1).sum() > 0
        slits = [_slit(row, Direction.BU if wide else Direction.LR) for row in rows]
        faults |= _mixed_units(slits)
        slits = [slit for slit in slits if slit.id not in faults]
        faults = dict(doubts or {}) | faults | _overlaps(slits)
        return cls(slits, faults=faults, source=source, notes=notes)

    def write(self, path, overwrite=False):
        """Write a mask file (``.mdf``), with source, notes and faults as comments.

        Parameters
        ----------
        path : str or path-like
        overwrite : bool, optional
            Whether an existing file may be replaced.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        from specwcs.files import atomic_path

        with atomic_path(path, overwrite) as temporary:
            temporary.write_text(mdf_text(self), encoding="utf-8")


def _half_sides(dimx, dimy, rot):
    """Half of the two sides of a rectangle turned clockwise by `rot` degrees: rows, mm."""
    sin, cos = np.sin(np.radians(rot)), np.cos(np.radians(rot))
    return np.array([[cos * dimx, -sin * dimx], [sin * dimy, cos * dimy]]) / 2


def _ends(x, y, dimx, dimy, rot, direction):
    """Return the two ends of a straight slit across the dispersion, mm, shape (2, 2)."""
    half = _half_sides(dimx, dimy, rot)[1 if direction.along_x else 0]
    centre = np.array([x, y])
    return np.array([centre + half, centre - half])


def _slit(row, direction):
    box = [row[name] for name in ("X", "Y", "DIMX", "DIMY", "ROT")]
    control = _ends(*box, direction) if row["CURVE"] is None else row["CURVE"]
    _, v = direction.canonical_mask(*control[[0, -1]].T)
    if v[1] > v[0]:
        control = control[::-1].copy()
    return Slit(row["ID"], *box, row["WID"], row["LEN"], row["REF"], control, row["SKY"])


# -- faults of slits ----------------------------------------------------------


def _fault(row):
    """Say why the numbers of a slit cannot be used; nothing where they can."""
    for name in COLUMNS[1:-1]:
        if not np.isfinite(row[name]):
            return f"{name} is {row[name]}"
    for name in ("DIMX", "DIMY"):
        if row[name] < _SMALLEST:
            return f"{name} is {row[name]:g}: must be above {_SMALLEST:g} mm"
    for name in ("WID", "LEN"):
        if row[name] < 0:
            return f"{name} is {row[name]:g}: must be above 0 arcsec, or 0 for unknown"
    if abs(row["ROT"]) > 180:
        return f"ROT is {row['ROT']:g}: must be from -180 to 180 degrees"
    return ""


def _mixed_units(slits):
    """Find the slits whose arcsec per mm cannot be those of the mask."""
    scales = {
        "WID": {s.id: s.width / (2 * np.linalg.norm(s.half_width)) for s in slits if s.width},
        "LEN": {
            s.id: s.length / np.linalg.norm(np.diff(s.control, axis=0)) for s in slits if s.length
        },
    }
    faults = {}
    for name, scale in scales.items():
        if len(scale) < 3:  # two slits cannot tell which of them is odd
            continue
        middle = np.median(list(scale.values()))
        for slit, value in scale.items():
            if not 1 / UNIT_FACTOR <= value / middle <= UNIT_FACTOR:
                faults[slit] = (
                    f"{name} is {value:.3g} arcsec per mm, {middle:.3g} in the mask: mixed units?"
                )
    return faults


def _overlaps(slits):
    """Find the slits whose rectangles overlap; touching is allowed."""
    faults = {}
    corners = [slit.corners() for slit in slits]
    order = np.argsort([c[:, 1].min() for c in corners])
    for n, i in enumerate(order):
        for j in order[n + 1 :]:
            if corners[j][:, 1].min() >= corners[i][:, 1].max():
                break
            if _intersect(corners[i], corners[j]):
                for a, b in ((i, j), (j, i)):
                    faults[slits[a].id] = f"overlaps slit {slits[b].id} on the mask"
    return faults


def _intersect(a, b):
    """Whether two convex polygons share an area: no side separates them."""
    for polygon in (a, b):
        sides = np.roll(polygon, -1, axis=0) - polygon
        for normal in sides[:2] @ np.array([[0, 1], [-1, 0]]):
            normal = normal / np.linalg.norm(normal)
            low, high = a @ normal, b @ normal
            gap = 1e-6  # mm; rounding of the file
            if low.max() <= high.min() + gap or high.max() <= low.min() + gap:
                return False
    return True
