"""A thousand random tables of markers through a real DS9, ten at a time."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from viewers.ds9_hand import _lasting_ds9, warm_ds9, x_server

from specwcs.markers import Markers
from specwcs.regions import markers_from_shapes, shapes_from_markers

__all__ = ["_lasting_ds9", "warm_ds9", "x_server"]

TABLES = 100  # on the screen together

place = st.floats(-500.0, 9000.0)
row = st.tuples(
    st.sampled_from(["edge", "line", "box"]),
    st.text("abcXYZ0123456789_.-", min_size=1, max_size=6),
    st.floats(0.0, 1.0),
    place,
    place,
    st.floats(3000.0, 25000.0),
)


def table(rows, number):
    """Markers of random rows; each slit of a table has one box."""
    seen, kept = set(), []
    for kind, slit, *rest in rows:
        slit = f"{number}.{slit}"
        if kind == "box" and slit in seen:
            continue
        seen |= {slit} if kind == "box" else set()
        kept.append((kind, slit, *rest))
    if not kept:
        return Markers.join([])
    kind, slit, t, x, y, wavelength = zip(*kept, strict=True)
    return Markers.of(kind, slit, t, x, y, wavelength=wavelength)


@pytest.mark.slow
@settings(
    max_examples=10, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(tables=st.lists(st.lists(row, max_size=4), min_size=TABLES, max_size=TABLES))
def test_nothing_is_lost_reordered_or_rounded(warm_ds9, tables):
    markers = Markers.join([table(rows, n) for n, rows in enumerate(tables)])
    warm_ds9.show(np.zeros((64, 64)), "tables")
    warm_ds9.draw(shapes_from_markers(markers, direction="LR"))
    back = markers_from_shapes(warm_ds9.read(), markers).markers
    assert len(back) == len(markers)
    for name in ("kind", "slit", "t", "used"):
        assert np.array_equal(back[name], markers[name])
    assert np.array_equal(back["wavelength"].value, markers["wavelength"].value)
    for axis in "xy":
        assert np.abs(back[axis].value - markers[axis].value).max(initial=0) < 1e-4
