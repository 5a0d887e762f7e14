"""The markers on the screen, and which of them were placed."""

from dataclasses import dataclass, field, replace

import numpy as np
from astropy import units as u

from specwcs.markers import Markers

__all__ = ["KINDS_OF", "Layer", "model_of", "nearest_trace"]

KINDS_OF = {"opt": ("box", "polygon"), "crv": ("edge",), "ids": ("line",)}
"""The kinds of markers that each model is fitted to."""

_MOVED = 1e-3  # px: less is rounding on the way through a viewer
_OFF = "off the detector"
_SAME_POINT = 0.25  # of the steps along a trace: nearer points are the same point
_CLEARLY = 3.0  # times as far must the second nearest trace be


def model_of(markers):
    """Return the name of the model that markers are of; None where they are of several."""
    kinds = set(np.unique(markers["kind"]))
    return next((name for name, own in KINDS_OF.items() if kinds and kinds <= set(own)), None)


@dataclass(frozen=True, eq=False)
class Layer:
    """The markers of one model, as they are on the screen.

    Parameters
    ----------
    model : {"opt", "crv", "ids"}
    markers : Markers
        Where they are drawn.
    placed : ndarray, shape (n, 2)
        Where each was placed, by hand or by a measurement: px; NaN where it stands as the
        model has it. A fit moves what is drawn, and leaves what was placed.
    guessed : ndarray, shape (m, 2), or None
        Places of shapes of a file that told only by these which markers they are, px.
    """

    model: str
    markers: Markers = field(repr=False)
    placed: np.ndarray = field(repr=False)
    guessed: np.ndarray | None = field(default=None, repr=False)

    @classmethod
    def predicted(cls, model, markers):
        """Make a layer of markers as the model has them."""
        return cls(model, markers, np.full((len(markers), 2), np.nan))

    @classmethod
    def measured(cls, model, markers, guessed=None):
        """Make a layer of markers that were placed."""
        return cls(model, markers, _positions(markers), guessed)

    def edited(self, markers):
        """Return the layer with markers moved, unused, or added after the others.

        Parameters
        ----------
        markers : Markers
            The first rows are those of this layer.
        """
        n = len(self.markers)
        before, now = _positions(self.markers), _positions(markers)
        moved = np.ones(len(markers), dtype=bool)
        moved[:n] = np.abs(now[:n] - before).max(axis=1, initial=0) > _MOVED
        placed = np.full((len(markers), 2), np.nan)
        placed[:n] = self.placed
        placed[moved] = now[moved]
        markers = markers.copy()
        kept = np.flatnonzero(~moved)
        markers["x"][kept], markers["y"][kept] = self.markers["x"][kept], self.markers["y"][kept]
        # The error of a measurement no longer holds where a hand has moved the marker.
        same = np.equal(markers["sigma"].value[:n], self.markers["sigma"].value)
        markers["sigma"][np.flatnonzero(moved[:n] & same)] = np.nan * u.pix
        return replace(self, markers=markers, placed=placed)

    def taking(self, markers):
        """Return the layer with the rows of a table that a script made of its markers.

        Rows are known by what they stand for, whatever their order: they are moved; those
        that are missing are no longer used; new ones come behind; exact copies count once.

        Parameters
        ----------
        markers : Markers

        Returns
        -------
        Layer or None
            None where no row is known.
        """
        rows, copies = _rows_of(markers, self.markers)
        if np.array_equal(rows[: len(self)], np.arange(len(self))):
            return self.edited(markers[~copies])
        known = rows >= 0
        if not known.any():
            return None
        table = self.markers.copy()
        for name in ("x", "y", "sigma", "used"):
            table[name][rows[known]] = markers[name][known]
        missing = np.setdiff1d(np.arange(len(self)), rows[known])
        table["used"][missing] = False
        reasons = np.asarray(table["reason"]).astype(object)
        reasons[missing] = "deleted"
        table["reason"] = reasons.astype(str)
        return self.edited(Markers.join([table, markers[~known & ~copies]]))

    def differs_from(self, markers):
        """Whether markers that came back differ from those that were drawn."""
        if len(markers) != len(self.markers):
            return True
        if np.any(np.asarray(markers["used"]) != np.asarray(self.markers["used"])):
            return True
        apart = np.abs(_positions(markers) - _positions(self.markers))
        return bool(len(apart) and np.nanmax(apart) > _MOVED)

    def for_fit(self, shape):
        """Return the markers where they were placed, off the detector (`shape`) unused."""
        markers = self.markers.copy()
        known = np.isfinite(self.placed[:, 0])
        x, y = np.where(known[:, None], self.placed, _positions(markers)).T
        markers["x"], markers["y"] = x * u.pix, y * u.pix
        off = ~((x >= -0.5) & (x <= shape[1] - 0.5) & (y >= -0.5) & (y <= shape[0] - 0.5))
        off &= np.asarray(markers["used"])
        markers["used"] = np.asarray(markers["used"]) & ~off
        reasons = np.asarray(markers["reason"])
        markers["reason"] = np.where(off, _OFF, reasons).astype(str)
        return markers

    def moved_to(self, x, y):
        """Return the layer drawn elsewhere, with what was placed as it is; NaN: as it was."""
        markers = self.markers.copy()
        known = np.isfinite(x) & np.isfinite(y)
        markers["x"] = np.where(known, x, markers["x"].value) * u.pix
        markers["y"] = np.where(known, y, markers["y"].value) * u.pix
        return replace(self, markers=markers)

    def inheriting(self, fitted, direction):
        """Return the layer with the places of the markers that its model was fitted to.

        Parameters
        ----------
        fitted : Layer or None
        direction : Direction
        """
        if fitted is None:
            return self
        old, new = self._partners(fitted, direction)
        placed = self.placed.copy()
        placed[new] = fitted.placed[old]
        return replace(self, placed=placed)

    def _partners(self, fitted, direction):
        """Return rows of another layer and of this one that stand for the same things."""
        if self.model != "crv":
            known = {key: row for row, key in enumerate(_keys(fitted.markers))}
            pairs = [(known[k], row) for row, k in enumerate(_keys(self.markers)) if k in known]
            return tuple(np.array(pairs, dtype=int).reshape(-1, 2).T)
        old, new = [], []
        along = [direction.split(*_positions(one.markers).T)[0] for one in (fitted, self)]
        traces = [_traces(one.markers) for one in (fitted, self)]
        for trace in traces[1].keys() & traces[0].keys():
            there, here = traces[0][trace], traces[1][trace]
            apart = np.abs(along[1][here][:, None] - along[0][there])
            steps = np.diff(np.sort(along[1][here]))
            reach = _SAME_POINT * (steps.min() if len(steps) else np.inf)
            nearest = apart.argmin(axis=1)
            close = apart[np.arange(len(here)), nearest] < reach
            old += there[nearest[close]].tolist()
            new += here[close].tolist()
        return np.array(old, dtype=int), np.array(new, dtype=int)

    @property
    def n_untouched(self):
        """Number of markers in use that stand as the model has them."""
        return int(np.sum(np.asarray(self.markers["used"]) & np.isnan(self.placed[:, 0])))

    @property
    def n_placed(self):
        """Number of markers that were placed, or deleted."""
        used = np.asarray(self.markers["used"])
        return int(np.sum(~used | np.isfinite(self.placed[:, 0])))

    def __len__(self):
        return len(self.markers)


def nearest_trace(point, edges, direction):
    """Return slit and t of the trace that a point (x, y) lies on; None if that is in doubt.

    Parameters
    ----------
    point : (float, float)
    edges : Markers
        Points along the traces.
    direction : Direction
    """
    here, across = direction.split(*point)
    along, q = direction.split(edges["x"].value, edges["y"].value)
    slits, t = np.asarray(edges["slit"]), np.asarray(edges["t"])
    apart = []
    for slit, place in sorted(set(zip(slits.tolist(), t.tolist(), strict=True))):
        mine = (slits == slit) & (t == place)
        order = np.argsort(along[mine])
        there = np.interp(here, along[mine][order], q[mine][order])
        apart.append((abs(across - there), slit, place))
    apart.sort()
    if not apart or (len(apart) > 1 and apart[1][0] < _CLEARLY * apart[0][0]):
        return None
    return apart[0][1:]


def _positions(markers):
    return np.column_stack([markers["x"].value, markers["y"].value])


def _keys(markers):
    """Name each marker by what it stands for."""
    columns = [np.asarray(markers[name]).tolist() for name in ("kind", "slit", "side")]
    t = np.asarray(markers["t"]).round(6).tolist()
    wavelength = np.nan_to_num(markers["wavelength"].value).round(4).tolist()
    return list(zip(*columns, t, wavelength, strict=True))


def _traces(markers):
    """Return the rows of each trace, by slit and t."""
    traces = {}
    for row, (_, slit, _, t, _) in enumerate(_keys(markers)):
        traces.setdefault((slit, t), []).append(row)
    return {trace: np.array(rows) for trace, rows in traces.items()}


def _rows_of(markers, known):
    """Find the rows of `known` that markers are: at the same place first, then elsewhere.

    Returns
    -------
    rows : ndarray of int
        -1 for new ones.
    copies : ndarray of bool
        Whether a marker is one of `known`, or of these, once more.
    """
    here = [(*key, *xy) for key, xy in zip(_keys(known), _positions(known).tolist(), strict=True)]
    there = zip(_keys(markers), _positions(markers).tolist(), strict=True)
    at = {}
    for row, key in enumerate(here):
        at.setdefault(key, []).append(row)
    rows, copies = np.full(len(markers), -1), np.zeros(len(markers), dtype=bool)
    seen, left = set(), []
    for n, (key, xy) in enumerate(there):
        full = (*key, *xy)
        if at.get(full):
            rows[n] = at[full].pop(0)
        elif full in seen:
            copies[n] = True
        else:
            left.append((n, key))
        seen.add(full)
    free = {}
    for row in np.setdiff1d(np.arange(len(known)), rows).tolist():
        free.setdefault(here[row][:5], []).append(row)
    for n, key in left:
        if free.get(key):
            rows[n] = free[key].pop(0)
    return rows, copies
