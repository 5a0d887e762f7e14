"""Traces: where every point of every slit runs on the frame, in canonical pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from astropy.table import QTable

from specwcs.conventions import Direction
from specwcs.inputs import Mask
from specwcs.measure.field import TraceField

__all__ = [
    "OFF_DETECTOR", "MaskEdges", "SlitStatus", "Traces", "nominal_scale", "traces_from_mask",
]  # fmt: skip

OFF_DETECTOR = "off detector"
"""Flag of a slit that falls beside the frame."""

_STEPS = 6  # of Newton's method; t(q) is nearly linear
_EPSILON = 1e-3  # in t, for slopes


class SlitStatus(NamedTuple):
    """What became of a slit: ``"ok"``, or a flag and the reason."""

    flag: str
    reason: str


@dataclass(frozen=True)
class MaskEdges:
    """The two ends of each slit, in canonical mask coordinates; arrays of shape (2 n,).

    Attributes
    ----------
    slit : ndarray of int
        Index into the mask.
    t : ndarray
        0 for the end at the larger q, 1 for the other.
    u, v : ndarray
        mm.
    ramp : ndarray
        Extent in v of the slit's end, which is tilted where the slit is, mm.
    """

    slit: np.ndarray
    t: np.ndarray
    u: np.ndarray
    v: np.ndarray
    ramp: np.ndarray

    @classmethod
    def of(cls, mask, direction, flip_v):
        """List the ends of the slits of a mask that is oriented for the same flip."""
        t = np.tile([0.0, 1.0], len(mask))
        uv = np.array([_curve(slit, direction, flip_v, [0.0, 1.0]) for slit in mask.values()])
        half = [_canonical(direction, flip_v, *slit.half_width)[1] for slit in mask.values()]
        u, v = uv.transpose(1, 0, 2).reshape(2, -1)
        ramp = 2 * np.abs(np.repeat(half, 2))
        return cls(np.repeat(np.arange(len(mask)), 2), t, u, v, ramp)

    @property
    def sign(self):
        """Sign of the slope of the light with q: -1 at t = 0, where it falls, +1 at t = 1."""
        return 2 * self.t - 1

    def __len__(self):
        return len(self.t)


@dataclass(frozen=True)
class Traces:
    """The layout of the slits on a frame, in canonical pixels (p, q); see `conventions`.

    Attributes
    ----------
    mask : Mask
        Oriented so that t = 0 is at the larger q.
    direction : Direction
    shape : tuple of int
        Of the canonical frame, (rows, columns).
    flip_v : bool
        Whether the mask is mirrored across the dispersion.
    field : TraceField
        q as a smooth function of mask position and p.
    edges : QTable
        The edges as measured: slit, t, p, q, sigma (px), used, reason.
    status : mapping of str to SlitStatus
    offset : mapping of str to (float, float)
        How far the slit's ends, t = 0 and t = 1, were seen from the field, px: masks are
        cut and inserted with small errors.
    coverage : mapping of str to (float, float)
        First and last column in which the slit's edges were seen; NaN where they were not.
    rms : float
        Of the edges used about the field, px.
    score, other_score : float
        How well this layout explains the frame, from 0 to 1, and how well the best one
        with the other `flip_v` does.
    """

    mask: Mask
    direction: Direction
    shape: tuple[int, int]
    flip_v: bool
    field: TraceField
    edges: QTable
    status: Mapping[str, SlitStatus]
    offset: Mapping[str, tuple[float, float]]
    coverage: Mapping[str, tuple[float, float]]
    rms: float = np.nan
    score: float = np.nan
    other_score: float = np.nan

    @property
    def n_edges(self):
        """Number of slit ends with at least one measured point."""
        used = self.edges[self.edges["used"]]
        return len(set(zip(used["slit"], used["t"], strict=True)))

    def q(self, slit_id, t, p):
        """Row of a slit's point at columns p.

        Parameters
        ----------
        slit_id : str
        t, p : array-like
            Position along the slit, and column; broadcast.

        Returns
        -------
        ndarray
            Canonical row, px; also outside of the frame.
        """
        t = np.asarray(t, dtype=float)
        first, last = self.offset[slit_id]
        u, v = _curve(self.mask[slit_id], self.direction, self.flip_v, t)
        return self.field(u, v, p) + first + (last - first) * t

    def t(self, slit_id, p, q):
        """Position along the slit whose trace goes through pixels (p, q): the inverse of `q`.

        Parameters
        ----------
        slit_id : str
        p, q : array-like
            Canonical pixels; broadcast.

        Returns
        -------
        ndarray
            Below 0 above the slit, above 1 under it.
        """
        p, q = np.broadcast_arrays(np.asarray(p, dtype=float), np.asarray(q, dtype=float))
        top, bottom = self.q(slit_id, 0.0, p), self.q(slit_id, 1.0, p)
        t = (q - top) / (bottom - top)
        for _ in range(_STEPS):
            miss = q - self.q(slit_id, t, p)
            if np.max(np.abs(miss), initial=0.0) < 1e-9:
                break
            ahead, behind = (self.q(slit_id, t + step, p) for step in (_EPSILON, -_EPSILON))
            t = t + miss * 2 * _EPSILON / (ahead - behind)
        return t


def traces_from_mask(mask, instrument, flip_v=False):
    """Lay the mask on the frame by nominal values alone; nothing is measured.

    For frames without a flat, and for slits longer than the detector.

    Parameters
    ----------
    mask : Mask
    instrument : Instrument
    flip_v : bool, optional
        Whether the optics mirror the mask across the dispersion.

    Returns
    -------
    Traces
        Straight along p; the centre of the mask at the centre of the frame.
    """
    direction = instrument.direction
    mask = oriented(mask, direction, flip_v)
    shape = direction.canonical_image(np.empty(instrument.shape, dtype=bool)).shape
    edges = MaskEdges.of(mask, direction, flip_v)
    scale = nominal_scale(mask, instrument) or frame_scale(edges, shape)
    nominal = TraceField.linear(scale, (shape[0] - 1) / 2, domain(edges, shape))
    q = nominal(edges.u, edges.v, 0.0).reshape(-1, 2)
    status = {
        name: place_status(top, bottom, shape[0])
        or SlitStatus("edges not measured", "laid out by the nominal values of mask and instrument")
        for name, (top, bottom) in zip(mask, q, strict=True)
    }
    return Traces(
        mask, direction, shape, flip_v, nominal, edge_table(), status,
        offset=dict.fromkeys(mask, (0.0, 0.0)), coverage=dict.fromkeys(mask, (np.nan, np.nan)),
    )  # fmt: skip


# -- shared by the steps of the measurement -------------------------------------


def oriented(mask, direction, flip_v):
    """Orient a mask with t = 0 at the larger q, mirrored across the dispersion or not."""
    return mask.oriented(
        direction, flipx=flip_v and not direction.along_x, flipy=flip_v and direction.along_x
    )


def nominal_scale(mask, instrument):
    """Return px per mm across the dispersion from the slits' LEN; None where all are unknown."""
    along_x = instrument.direction.along_x
    scales = [
        slit.length / (instrument.scales[1] * (slit.dimy if along_x else slit.dimx))
        for slit in mask.values()
        if slit.length > 0
    ]
    return float(np.median(scales)) if scales else None


def frame_scale(edges, shape):
    """Return the px per mm with which the mask fills the frame."""
    return shape[0] / np.ptp(edges.v)


def domain(edges, shape):
    """Limits of u, v (mm) and p (px) for fields over a mask and a frame."""
    return np.array(
        [
            [edges.u.min(), edges.u.max()],
            [edges.v.min(), edges.v.max()],
            [0.0, shape[1] - 1.0],
        ]
    )


def place_status(top, bottom, rows):
    """Flag a slit whose middle is not on the frame; None where it is."""
    if top < -0.5 or bottom > rows - 0.5:
        return SlitStatus(OFF_DETECTOR, f"falls on rows {bottom:.0f} to {top:.0f}")
    if not -0.5 <= 0.5 * (bottom + top) <= rows - 0.5:
        ends = [name for name, out in (("t=0", top > rows - 0.5), ("t=1", bottom < -0.5)) if out]
        return SlitStatus("partly off detector", f"{' and '.join(ends)} off the frame")
    return None


def edge_table(**columns):
    """Make the table of measured edges; empty without columns."""
    empty = {
        "slit": np.array([], dtype="U1"), "t": [], "p": [], "q": [], "sigma": [],
        "used": np.array([], dtype=bool), "reason": np.array([], dtype="U1"),
    }  # fmt: skip
    return QTable(columns or empty)


def _canonical(direction, flip_v, X, Y):
    flip = -1 if flip_v else 1
    return direction.canonical_mask(*((X, flip * Y) if direction.along_x else (flip * X, Y)))


def _curve(slit, direction, flip_v, t):
    """Points of a slit, (u, v) mm."""
    return np.array(_canonical(direction, flip_v, *slit.curve(np.asarray(t, dtype=float))))
