"""Traces laid out by nominal values, against arithmetic by hand."""

import numpy as np
import pytest

from specwcs.conventions import Direction
from specwcs.inputs import Instrument, Mask, Slit
from specwcs.measure import traces_from_mask
from specwcs.measure.traces import MaskEdges, nominal_scale, oriented

SCALE = 40.0 / (0.25 * 20.0)  # 8 px per mm: 40 arcsec on 20 mm, 0.25 arcsec per pixel


def instrument(direction):
    xpixels, ypixels = (600, 400) if Direction(direction).along_x else (400, 600)
    return Instrument("test", 0.25, xpixels, ypixels, Direction(direction), 2.0, 7000.0)


def mask_of(direction, *slits):
    """Slits (id, centre across in mm, length in arcsec) of 20 mm across, at 3 mm along."""
    made = []
    for name, across, length in slits:
        x, y = Direction(direction).join(3.0, across)
        dimx, dimy = Direction(direction).join(0.5, 20.0)
        made.append(Slit(name, x, y, dimx, dimy, 0.0, 1.0, length, False, np.zeros((2, 2))))
    return Mask(made).oriented(direction)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("flip_v", [False, True])
def test_left_edge_is_at_the_larger_row(direction, flip_v):
    mask = mask_of(direction, ("a", 5.0, 40.0), ("b", -18.0, 40.0))
    traces = traces_from_mask(mask, instrument(direction), flip_v)
    side = {"LR": 1, "RL": -1, "BU": -1, "UB": 1}[direction] * (-1 if flip_v else 1)
    middle = 199.5 + SCALE * 5.0 * side
    p = np.array([0.0, 300.0, 599.0])
    np.testing.assert_allclose(traces.q("a", 0.0, p), middle + 80, rtol=0, atol=1e-9)
    np.testing.assert_allclose(traces.q("a", 1.0, p), middle - 80, rtol=0, atol=1e-9)
    np.testing.assert_allclose(traces.t("a", p, middle - 40), 0.75)
    assert traces.flip_v == flip_v
    assert traces.shape == (400, 600)


def test_places_off_the_frame_are_said():
    slits = [("in", 0.0, 40.0), ("end", 20.0, 40.0), ("half", 30.0, 40.0), ("out", -60.0, 40.0)]
    traces = traces_from_mask(mask_of("LR", *slits), instrument("LR"))
    assert traces.status["in"].flag == "edges not measured"
    assert traces.status["end"].flag == "edges not measured"
    assert traces.status["half"] == ("partly off detector", "t=0 off the frame")
    assert traces.status["out"] == ("off detector", "falls on rows -360 to -200")
    assert traces.n_edges == 0


def test_nominal_scale_is_the_median_of_known_lengths():
    slits = [("a", 0.0, 40.0), ("b", 20.0, 40.0), ("c", 40.0, 50.0), ("d", 60.0, 0.0)]
    assert nominal_scale(mask_of("LR", *slits), instrument("LR")) == pytest.approx(SCALE)
    assert nominal_scale(mask_of("LR", ("d", 60.0, 0.0)), instrument("LR")) is None


def test_unknown_lengths_fill_the_frame():
    mask = mask_of("BU", ("a", 30.0, 0.0), ("b", -30.0, 0.0))
    traces = traces_from_mask(mask, instrument("BU"))
    rows = [traces.q(slit, t, 0.0) for slit in "ab" for t in (0.0, 1.0)]
    assert np.ptp(rows) == pytest.approx(400)


def test_ends_of_a_tilted_slit():
    slit = Slit("a", 0.0, 0.0, 2.0, 20.0, 30.0, 1.0, 40.0, False, np.zeros((2, 2)))
    mask = oriented(Mask([slit]), Direction.LR, False)
    edges = MaskEdges.of(mask, Direction.LR, False)
    # Turned clockwise, the upper end moves to the right.
    np.testing.assert_allclose(edges.u, [5.0, -5.0])
    np.testing.assert_allclose(edges.v, [8.660254, -8.660254])
    np.testing.assert_allclose(edges.ramp, 1.0)
    mirrored = MaskEdges.of(oriented(Mask([slit]), Direction.LR, True), Direction.LR, True)
    np.testing.assert_allclose(mirrored.u, [-5.0, 5.0])
    assert edges.sign.tolist() == [-1, 1]
