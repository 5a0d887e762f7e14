"""Masks of known truth: what models predict, and what a user would have drawn instead."""

from dataclasses import dataclass

import numpy as np

from specwcs.conventions import Direction
from specwcs.markers import Markers
from specwcs.regions import Shape
from specwcs.regions.draw import RING, SHAPE_OF

LENGTH, WIDTH = 8192, 3088


@dataclass(frozen=True)
class DrawnMask:
    """Predicted markers, shapes drawn for some of them, and which row each shape stands for."""

    expected: Markers
    shapes: list
    truth: list
    direction: Direction


def slit_places(rng, n=28, gap=25.0):
    """Along and across of the middles of slits, and their lengths; not evenly spaced."""
    free = rng.dirichlet(np.ones(n)) * (WIDTH - 200 - n * gap)
    edges = 100 + np.cumsum(free + gap)
    length = np.minimum(0.8 * (free + gap), 150)
    return rng.uniform(0.3, 0.7, n) * LENGTH, edges - length / 2, length


def predicted(kind, rng, direction, n=28, gap=25.0, n_lines=30, n_points=9, ts=(0.0, 1.0)):
    """Markers of one kind, as models predict them for a mask."""
    along, across, length = slit_places(rng, n, gap)
    wavelengths = np.sort(rng.uniform(5000, 9500, n_lines))
    columns = {name: [] for name in ("slit", "t", "side", "wavelength", "along", "across")}

    def add(slit, t, side, wavelength, u, v):
        bend = 2e-6 * (u - along[slit]) ** 2 + 0.002 * (u - along[slit])
        row = (f"{slit:03d}", t, side, wavelength, direction.sign * (u - LENGTH / 2), v + bend)
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)

    for slit in range(n):

        def across_at(t, slit=slit):
            return across[slit] + direction.left_sign * length[slit] * (0.5 - t)

        if kind == "box":
            add(slit, 0.5, 0.0, np.nan, along[slit], across[slit])
        elif kind == "polygon":
            for t, side in RING:
                add(slit, t, side, np.nan, along[slit] + 3.0 * side, across_at(t))
        elif kind == "edge":
            for t in ts:
                for u in along[slit] + np.linspace(-800, 800, n_points):
                    add(slit, t, 0.0, np.nan, u, across_at(t))
        else:
            for wavelength in wavelengths:
                red = wavelength - 7000
                add(slit, 0.5, 0.0, wavelength, along[slit] + red * 0.9 + 5e-6 * red**2,
                    across_at(0.5))  # fmt: skip
    u, v = np.array(columns.pop("along")) + LENGTH / 2, np.array(columns.pop("across"))
    slit = columns.pop("slit")
    return Markers.of(kind, slit, columns.pop("t"), *direction.join(u, v), **columns)


def drawn_mask(kind, seed, direction, *, shift=40.0, stretch=0.02, noise=0.7, deleted=0.15, **mask):
    """Shapes as a user leaves them: all moved and stretched, some deleted, in any order."""
    rng = np.random.default_rng(seed)
    direction = Direction(direction)
    expected = predicted(kind, rng, direction, **mask)
    xy = np.column_stack([expected["x"].value, expected["y"].value])
    middle = np.array(direction.join(LENGTH / 2, WIDTH / 2))
    moved = middle + (xy - middle) * (1 + rng.uniform(-stretch, stretch))
    moved += rng.uniform(-shift, shift, 2) + rng.normal(0, noise, xy.shape)
    rows = np.arange(len(xy)).reshape(-1, 4 if kind == "polygon" else 1)
    rows = rows[rng.random(len(rows)) > rng.uniform(deleted - 0.05, deleted + 0.05)]
    rows = rows[rng.permutation(len(rows))]
    shapes, truth = [], []
    for each in rows:
        if kind == "polygon":  # drawn from any corner, either way round
            each = np.roll(each, rng.integers(4))[:: rng.choice([-1, 1])]
        points = [tuple(moved[row]) for row in each]
        if kind == "line":
            points = [tuple(moved[each[0]] - 20.0), *points]
        size = (12.0, 12.0) if kind == "box" else ()
        shapes.append(Shape(SHAPE_OF[kind], tuple(points), size))
        truth.append(each)
    return DrawnMask(expected, shapes, truth, direction)
