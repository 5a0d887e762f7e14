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
    """

    model: str
    markers: Markers = field(repr=False)
    placed: np.ndarray = field(repr=False)

    @classmethod
    def predicted(cls, model, markers):
        """Make a layer of markers as the model has them."""
        return cls(model, markers, np.full((len(markers), 2), np.nan))

    @classmethod
    def measured(cls, model, markers):
        """Make a layer of markers that were placed."""
        return cls(model, markers, _positions(markers))

    def edited(self, markers):
        """Return the layer with markers moved, unused, or added after the others.

        Parameters
        ----------
        markers : Markers
            The first rows are those of this layer.
        """
        before, now = _positions(self.markers), _positions(markers)
        moved = np.ones(len(markers), dtype=bool)
        moved[: len(before)] = np.abs(now[: len(before)] - before).max(axis=1) > _MOVED
        placed = np.full((len(markers), 2), np.nan)
        placed[: len(before)] = self.placed
        placed[moved] = now[moved]
        markers = markers.copy()
        kept = np.flatnonzero(~moved)
        markers["x"][kept], markers["y"][kept] = self.markers["x"][kept], self.markers["y"][kept]
        by_hand = np.flatnonzero(moved[: len(before)])
        markers["sigma"][by_hand] = np.nan * u.pix  # the error of a measurement no longer holds
        return Layer(self.model, markers, placed)

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

    def inheriting(self, fitted):
        """Return the layer with the places of the markers that a model was fitted to.

        Parameters
        ----------
        fitted : QTable or None
            `ModelFit.residuals`.
        """
        if fitted is None or not len(fitted):
            return self
        if self.model == "crv" and len(fitted) != len(self.markers):
            return self  # other points on the same traces
        places = np.unique(np.asarray(self.markers["t"]))
        known = {key: row for row, key in enumerate(_keys(fitted, places))}
        rows = np.array([known.get(key, -1) for key in _keys(self.markers, places)])
        found = np.flatnonzero(rows >= 0)
        placed = self.placed.copy()
        placed[found] = _positions(fitted)[rows[found]]
        return replace(self, placed=placed)

    @property
    def n_untouched(self):
        """Number of markers in use that stand as the model has them."""
        return int(np.sum(np.asarray(self.markers["used"]) & np.isnan(self.placed[:, 0])))

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


def _keys(markers, places):
    """Name each marker by what it stands for; those of one name are counted.

    The t of a line is that of one of `places`, the nearest: a fit refines it.
    """
    reach = 0.5 * np.diff(places).min() if len(places) > 1 else 0.5
    t = np.asarray(markers["t"])
    nearest = np.abs(t[:, None] - places).argmin(axis=1)
    piece = np.where(np.abs(t - places[nearest]) <= reach, nearest, -1)
    names = ("kind", "slit", "side")
    columns = [np.asarray(markers[name]).tolist() for name in names]
    wavelength = np.nan_to_num(markers["wavelength"].value).round(4).tolist()
    count = {}
    for key in zip(*columns, piece.tolist(), wavelength, strict=True):
        count[key] = count.get(key, -1) + 1
        yield (*key, count[key])
