"""Slit edges measured again on a frame of another night, which has moved by some pixels."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from specwcs.errors import FitError
from specwcs.measure.borders import BEYOND
from specwcs.measure.edges import measure_edges
from specwcs.measure.find import NO_LIGHT, WHOLE_EDGE, field_scale, median_by_edge, slit_light
from specwcs.measure.reduce import canonical_data, reduce_frame
from specwcs.measure.traces import MaskEdges, domain, edge_table

__all__ = ["ODD", "EdgesUnseenError", "retrace"]

ODD = "off the others"
"""Why an edge is not used that did not move with the others."""

# Farthest shift looked for, its steps, and the blur of the edges it is looked for with, px.
_FARTHEST, _STEP, _BLUR = 30.0, 0.5, 1.5
_BINS = 32  # along the dispersion
# So many standard errors of an edge in a bin are as good as more, and so is what only so many
# rows reach, as a part of the number of edges: a star, a bright line.
_CLEAR, _STRONG = 8.0, 0.5
# So often edges are measured, and what moved is fitted to them; it has settled below this, px.
_ROUNDS, _SETTLED = 4, 0.2
# What moved is told by so many points. So many of the edges that should be seen are nearer than
# this, px, to where it puts them.
_FEWEST, _SEEN, _AGREE = 3, 0.5, 0.6
# A shift must explain so many slits more than another one, further away than this, px.
_LEAD, _LEAST_LEAD, _APART = 0.6, 0.8, 6.0
# The light between lines: a percentile of the columns around.
_CONTINUUM = 30, (1, 31)
_LEFT = 0.02  # px: by which edges err that are seen in lines between which the light was removed
# Distances from an edge at which objects in the slit are looked for, px.
_INSIDE = np.arange(2.0, 10.0)
_RAMP = 0.3  # px: from such an extent of its ends across the dispersion a slit is tilted
# Stretch and turns are about so small; and edges off by more than this, px, count less.
_STIFF, _ODD = np.array([0.002, 0.004, 0.004]), 0.2
_OUTSHONE, _TILTED = "outshone by an object", "tilted: its lines run out of the bin"
_SIGMAS = 5.0  # by which an edge is off the others that is left out


class EdgesUnseenError(FitError):
    """The frame does not show the edges of the slits, and says nothing of where they are."""


def retrace(image, traces, instrument, slits, *, objects=False):
    """Measure the edges of slits whose places were known before the frame moved.

    Parameters
    ----------
    image : CCDData or tuple of ndarray
        As for `find_traces`: any frame on which light fills the slits somewhere.
    traces : Traces
        Of before.
    instrument : Instrument
    slits : sequence of str
        Those that had light.
    objects : bool, optional
        Whether there may be objects in the slits: then only the light of lines counts, and only
        where it outshines them.

    Returns
    -------
    Traces
        With the edges of the frame, and else as before.

    Raises
    ------
    EdgesUnseenError
        If the frame does not show the edges: they are beyond it, or it has too little light.
    FitError
        If there is light, and no edges where they should be.
    """
    reduced = reduce_frame(*canonical_data(image, instrument))
    edges, continuum = _edges(traces), None
    if objects:
        continuum = _continuum(reduced.data, traces.field, edges)
        reduced = replace(reduced, data=reduced.data - continuum)
    columns = np.linspace(0, reduced.shape[1] - 1, _BINS)
    expected = np.repeat(np.isin(list(traces.mask), slits), 2)
    field = _MovedField(traces.field, domain(edges, reduced.shape), np.zeros(4))
    middle = 0.5 * (reduced.shape[1] - 1)
    stiff = _stiff(field, edges, columns, instrument.aspect)
    field.moved[0] = _shift(reduced, field, edges)
    for _ in range(_ROUNDS):
        q = field(edges.u[:, np.newaxis], edges.v[:, np.newaxis], columns)
        light = slit_light(reduced, q, columns)
        lit = np.repeat(light > NO_LIGHT * np.nanmedian(light), 2) if np.any(light > 0) else None
        if lit is None or not lit.any():
            raise EdgesUnseenError("no slit has light. Give a frame with more light.")
        scale = field_scale(field, edges, middle)
        measured = measure_edges(reduced, field, edges, scale, lit)
        if continuum is not None:
            measured = _outshining(measured, reduced, continuum)
            measured = _without_tilted(measured, edges.ramp * scale)
        edge, column = np.nonzero(measured.used)
        if len(edge) < _FEWEST:
            raise _unseen(measured, "their light is too faint")
        p, q = measured.p[edge, column], measured.q[edge, column]
        terms = field.terms(edges.u[edge], edges.v[edge], p)
        before, away = field.moved, q - traces.field(edges.u[edge], edges.v[edge], p)
        field = replace(field, moved=_robust_fit(terms, away, edge, stiff))
        if np.abs(field.moved - before).sum() < _SETTLED:
            break
    miss = away - terms @ field.moved
    size = np.abs(median_by_edge(miss, edge, len(edges)))
    rows = field(edges.u, edges.v, middle)
    expected &= (rows > 0) & (rows < len(reduced.data) - 1)
    expected &= ~np.any(np.isin(measured.reason, (_OUTSHONE, _TILTED)), axis=1) | (size < _AGREE)
    agree = np.sum(size[expected] < _AGREE)
    if agree < _SEEN * expected.sum():
        raise _unseen(measured, f"{agree} of {expected.sum()} are where they are expected")
    astray = np.zeros(measured.used.shape, bool)
    astray[edge, column] = np.abs(miss) > _AGREE
    measured = _without(_without_odd_edges(measured, size), astray, ODD)
    if objects:
        measured = replace(measured, sigma=np.hypot(measured.sigma, _LEFT))
    on = np.isfinite(measured.q)
    edge, _ = np.nonzero(on)
    table = edge_table(
        slit=np.array(list(traces.mask))[edges.slit[edge]], t=edges.t[edge], p=measured.p[on],
        q=measured.q[on], sigma=measured.sigma[on], used=measured.used[on],
        reason=measured.reason[on],
    )  # fmt: skip
    return replace(traces, edges=table)


def _edges(traces):
    """List the ends of the slits as they were seen: off the field by the offsets of the slits."""
    edges = MaskEdges.of(traces.mask, traces.direction, traces.flip_v)
    middle = 0.5 * (traces.shape[1] - 1)
    offset = np.array(list(traces.offset.values())).ravel()
    return replace(edges, v=edges.v + offset / field_scale(traces.field, edges, middle))


def _unseen(measured, why):
    """Return the error that says why edges are not seen: beyond the frame, or elsewhere."""
    if np.any(measured.reason == BEYOND) and len(measured.q) == 2:
        return EdgesUnseenError("the slit goes on beyond the frame.")
    return FitError(f"the edges of the slits are not seen: {why}.")


def _continuum(data, field, edges):
    """Return the light between lines, of sky and objects, along the traces.

    Along rows, which the edges cross, it would be that of another place in the slit.
    """
    rows, columns = np.indices(data.shape, float)
    q = field(edges.u[:, np.newaxis], edges.v[:, np.newaxis], columns[0])
    start = q[:, q.shape[1] // 2]
    order = np.argsort(start)
    # By how much a row at the middle column is displaced at the others.
    share = np.array([np.interp(rows[:, 0], start[order], unit) for unit in np.eye(len(order))])
    displaced = share.T @ (q - start[:, np.newaxis])[order]
    straight = ndimage.map_coordinates(data, [rows + displaced, columns], order=1, mode="nearest")
    light = ndimage.percentile_filter(straight, *_CONTINUUM, mode="nearest")
    back = [rows - displaced, columns]
    displaced = ndimage.map_coordinates(displaced, back, order=1, mode="nearest")
    return ndimage.map_coordinates(light, [rows - displaced, columns], order=1, mode="nearest")


def _outshining(measured, reduced, continuum):
    """Leave out the edges beside which an object in the slit is brighter than the lines."""
    bins = np.argmin(np.abs(reduced.p[:, np.newaxis] - measured.p[0]), axis=1)
    light, objects = (
        np.stack([data[:, bins == k].mean(axis=1) for k in range(measured.p.shape[1])])
        for data in (reduced.data, continuum)
    )
    # Ends t = 0, at the larger q, and t = 1 alternate.
    inward = np.where(np.arange(len(measured.q)) % 2, 1, -1)[:, np.newaxis]
    other = measured.q[np.arange(len(measured.q)) ^ 1]
    inside = np.minimum(_INSIDE[:, np.newaxis, np.newaxis], np.abs(other - measured.q) - _INSIDE[0])
    row = np.clip(np.rint(measured.q + inward * inside), 0, len(reduced.data) - 1).astype(int)
    column = np.broadcast_to(np.arange(len(light)), row.shape)
    hidden = np.median(light[column, row], axis=0) < np.ptp(objects[column, row], axis=0)
    return _without(measured, hidden, _OUTSHONE)


def _shift(reduced, field, edges):
    """Shift across the dispersion, px, at which the edges of all slits are seen best."""
    light, variance, p = reduced.profiles(max(1, len(reduced.p) // _BINS))
    rise = ndimage.gaussian_filter1d(light, _BLUR, axis=1, order=1, mode="nearest")
    noise = ndimage.gaussian_filter1d(variance, _BLUR, axis=1, mode="nearest")
    noise = np.sqrt(noise / (4 * np.sqrt(np.pi) * _BLUR**3))
    # No edge counts more than another, so that a star does not, and what is fainter counts less.
    clear = rise / np.maximum(noise, 1e-300)
    strong = np.quantile(np.abs(clear), 1 - _STRONG * len(edges) / clear.shape[1])
    clear = np.clip(clear / max(strong, _CLEAR), -1.0, 1.0)
    q = field(edges.u[:, np.newaxis], edges.v[:, np.newaxis], p)
    column = np.broadcast_to(np.arange(len(p)), q.shape)
    shifts = np.arange(-_FARTHEST, _FARTHEST + _STEP, _STEP)
    seen = np.array([
        np.sum(edges.sign @ ndimage.map_coordinates(clear, [column, q + shift], order=1, cval=0.0))
        for shift in shifts
    ])  # fmt: skip
    best = np.argmax(seen)
    # A standard error counts 1 / _CLEAR at most, and each point of an edge has one.
    if not seen[best] > _SIGMAS * np.sqrt(q.size) / _CLEAR:
        raise EdgesUnseenError("no edges of slits stand out in its light.")
    # Of a regular mask all slits but one are seen one slit further on.
    other = seen[np.abs(shifts - shifts[best]) > _APART].max()
    if other > max(1 - _LEAD / (len(edges) // 2), _LEAST_LEAD) * seen[best]:
        raise EdgesUnseenError("several shifts of the slits explain the frame alike.")
    return float(shifts[best])


def _without_tilted(measured, ramp):
    """Leave out the ends of tilted slits where others tell: a line runs out of its bin there."""
    tilted = ramp > _RAMP
    if not measured.used[~tilted].any():
        return measured
    return _without(measured, tilted[:, np.newaxis], _TILTED)


def _without(measured, out, reason):
    """Leave out some of the points."""
    out = out & measured.used
    return replace(
        measured, used=measured.used & ~out, reason=np.where(out, reason, measured.reason)
    )


def _without_odd_edges(measured, size):
    """Leave out the edges that did not move with the others; `size` is how far they are off."""
    odd = np.nan_to_num(size) > max(WHOLE_EDGE, _SIGMAS * 1.4826 * np.nanmedian(size))
    return _without(measured, odd[:, np.newaxis], ODD)


@dataclass(frozen=True)
class _MovedField:
    """A field of traces, shifted, stretched and turned.

    Attributes
    ----------
    field : callable
        Rows, px, by u, v (mm) and p (px).
    domain : ndarray, shape (3, 2)
        Of u, v and p.
    moved : ndarray, shape (4,)
        Shift, stretch, turn, and turn of the mask: px over the domain.
    """

    field: object
    domain: np.ndarray
    moved: np.ndarray

    def terms(self, u, v, p):
        """Return what `moved` is multiplied with, shape (..., 4)."""
        u, v, p = np.broadcast_arrays(u, v, p)
        scaled = [
            (x - low) / max(high - low, 1e-9) - 0.5
            for x, (low, high) in zip((v, p, u), self.domain[[1, 2, 0]], strict=True)
        ]
        return np.stack([np.ones(u.shape), *scaled], axis=-1)

    def __call__(self, u, v, p):
        return self.field(u, v, p) + self.terms(u, v, p) @ self.moved


def _robust_fit(terms, away, edge, stiff):
    """Fit what moved; each edge counts once, and what the edges do not tell stays small."""
    share = 1 / np.sqrt(np.bincount(edge)[edge]) / _ODD
    weight = share
    for _ in range(5):
        value = np.linalg.lstsq(
            np.vstack([terms * weight[:, np.newaxis], np.diag(1 / stiff)]),
            np.append(away * weight, np.zeros(len(stiff))), rcond=None,
        )[0]  # fmt: skip
        weight = share / np.maximum(np.abs(away - terms @ value) / _ODD, 1.0)
    return value


def _stiff(field, edges, columns, aspect):
    """How much shift, stretch and turns may be, px, 1 sigma."""
    scale = field_scale(field, edges, columns.mean())
    size = np.array([scale * np.ptp(edges.v), np.ptp(columns) / aspect, scale * np.ptp(edges.u)])
    return np.append(_FARTHEST, np.maximum(_STIFF * size, 0.1))
