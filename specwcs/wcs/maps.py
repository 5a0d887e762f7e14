"""Wavelength, slit position and slit index of every pixel of a frame."""

from typing import NamedTuple

import numpy as np

from specwcs.threads import each

from .strip import SlitStrip

__all__ = ["SlitMaps", "frame_maps"]

_COLUMNS = 1024  # worked on at once, of all slits: what is filled stays in the cache


class SlitMaps(NamedTuple):
    """Maps of a whole frame, each of shape (ny, nx)."""

    wavelength: np.ndarray
    """Angstrom, NaN outside the slits."""
    t: np.ndarray
    """Position in the slit, NaN outside."""
    slit: np.ndarray
    """Index of the slit in the mask, -1 outside."""


def frame_maps(geometries, shape):
    """Compute the maps of a frame.

    Parameters
    ----------
    geometries : mapping of int to SlitGeometry
        By index of the slit in the mask. Where two slits overlap, the first has the pixel.
    shape : tuple of int
        (ny, nx).

    Returns
    -------
    SlitMaps
        Exact to 1e-5 px, see `SlitStrip.world`.
    """
    made = each(lambda g: SlitStrip(g, g.trace.direction, shape), list(geometries.values()))
    strips = [pair for pair in zip(geometries, made, strict=True) if pair[1].on_frame]
    if not strips:
        return SlitMaps(
            np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, -1, np.int32)
        )
    maps = SlitMaps(np.empty(shape), np.empty(shape), np.empty(shape, np.int32))
    strips.sort(key=lambda numbered: numbered[1].low[0])
    one = strips[0][1]
    views = SlitMaps(*map(one.direction.canonical_image, maps))
    width = min(_COLUMNS, *(_straight(strip) for _, strip in strips))

    def fill(start):
        part = SlitMaps(*(view[:, start : start + width] for view in views))
        rows = 0
        for number, strip in strips:
            rows = _fill(strip, number, start, part, rows)
        _clear(part, slice(rows, None))

    for _ in each(fill, range(0, one.frame[1], width)):
        pass
    return maps


def _straight(strip):
    """Return how many columns the slit takes to move across by half its width, at least 16."""
    bend = np.max(np.abs(np.diff(strip.low)), initial=0.0)
    return max(16, int(0.5 * strip.height / max(bend, 1e-3)))


def _clear(maps, rows):
    for values, outside in zip(maps, (np.nan, np.nan, -1), strict=True):
        values[rows] = outside


def _fill(strip, number, start, maps, done):
    """Write a slit into the columns of the frame from `start` on, and clear what lies below.

    Rows below `done` have been written, and those below the row that is returned are.
    """
    first = strip.columns[0]
    columns = slice(max(start - first, 0), max(start - first + maps.slit.shape[1], 0))
    low, high = strip.low[columns], strip.high[columns]
    if not len(low):
        return done
    bottom, top = max(int(low.min()) - 1, 0), min(int(high.max()) + 3, len(maps.slit))
    if bottom >= top:
        return done
    wavelength, t = strip.block(np.arange(bottom, top), columns)
    known = strip.geometry.dispersion.wavelength_domain
    # The rows that the slit fills alone, on all columns.
    inner = slice(max(int(low.max()) + 2, bottom, done), min(int(high.min()) - 1, top))
    whole = len(low) == maps.slit.shape[1]
    whole = whole and known[0] <= wavelength[:, 0].min() and wavelength[:, -1].max() <= known[1]
    if not whole or inner.stop < inner.start:
        inner = slice(top, top)
    _clear(maps, slice(done, inner.start))
    _clear(maps, slice(max(done, inner.stop), top))

    place = first + columns.start - start
    maps = SlitMaps(*(values[:, place : place + len(low)] for values in maps))
    planes = SlitMaps(wavelength, t, np.broadcast_to(np.int32(number), t.shape))
    for rows in (slice(bottom, inner.start), inner, slice(inner.stop, top)):
        wavelength, t, _ = values = [
            plane[rows.start - bottom : rows.stop - bottom] for plane in planes
        ]
        where = True
        if rows != inner:
            where = (maps.slit[rows] < 0) | (maps.slit[rows] > number)
            where &= (t >= 0) & (t <= 1) & (wavelength >= known[0]) & (wavelength <= known[1])
        for plane, image in zip(values, maps, strict=True):
            np.copyto(image[rows], plane, where=where)
    return max(done, top)
