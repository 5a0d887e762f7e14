"""Shapes without tags find their markers, or are listed: never wrong in silence."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_masks import drawn_mask
from hypothesis import example, given, settings
from hypothesis import strategies as st

from specwcs.conventions import Direction
from specwcs.errors import InputError
from specwcs.markers import Markers
from specwcs.regions import Shape, match_shapes
from specwcs.regions.draw import RING

DIRECTIONS = ["LR", "RL", "BU", "UB"]
KINDS = ["box", "polygon", "edge", "line"]


def places(markers):
    return np.column_stack([markers["x"].value, markers["y"].value])


def used(markers):
    return np.asarray(markers["used"])


def check(case, share, **options):
    """Check every match against the truth; at least a share of the shapes must be used."""
    matched = match_shapes(case.shapes, case.expected, direction=case.direction, **options)
    markers = matched.markers
    if case.expected["kind"][0] == "edge":
        truth = {
            shape.points[0]: rows[0] for shape, rows in zip(case.shapes, case.truth, strict=True)
        }
        rows = np.array([truth[tuple(place)] for place in places(markers).tolist()])
        for name in ("slit", "t"):
            assert (markers[name] == case.expected[name][rows])[used(markers)].all()
        n = len(case.shapes)
    else:
        assert len(markers) == len(case.expected)
        truth = np.full((len(markers), 2), np.nan)
        for shape, rows in zip(case.shapes, case.truth, strict=True):
            truth[rows] = shape.points[-len(rows) :]
        assert np.allclose(places(markers)[used(markers)], truth[used(markers)])
        n = np.count_nonzero(np.isfinite(truth[:, 0]))
    assert np.count_nonzero(used(markers)) >= share * n
    assert all(reason for reason in markers["reason"][~used(markers)])
    if not used(markers).all() or len(markers) < len(case.shapes):
        assert matched.notes
    return matched


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(KINDS), st.sampled_from(DIRECTIONS), st.integers(0, 10**6))
def test_all_moved_stretched_and_some_deleted(kind, direction, seed):
    check(drawn_mask(kind, seed, direction), share=0.75)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(st.sampled_from(KINDS), st.sampled_from(DIRECTIONS), st.integers(0, 10**6))
def test_many_masks(kind, direction, seed):
    check(drawn_mask(kind, seed, direction), share=0.7)


@example("line", "UB", 799821, 3)  # moved by 63 px to where another line was expected
@settings(deadline=None, max_examples=20)
@given(
    st.sampled_from(KINDS), st.sampled_from(DIRECTIONS), st.integers(0, 10**6), st.integers(1, 4)
)
def test_a_few_shapes_of_many(kind, direction, seed, n):
    case = drawn_mask(kind, seed, direction)
    check(replace(case, shapes=case.shapes[:n], truth=case.truth[:n]), share=0.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_crowded_masks(kind, direction):
    """Slits a few pixels apart: what cannot be told apart is listed."""
    check(drawn_mask(kind, 5, direction, gap=6.0, n=60, n_lines=10), share=0.3)


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_was_moved(kind):
    case = drawn_mask(kind, 1, "LR", shift=0, stretch=0, noise=0, deleted=-0.1, gap=40.0)
    matched = check(case, share=0.75)
    if kind in ("box", "polygon"):
        assert matched.notes == ()


def test_one_slit():
    """A longslit: one box, two traces, one spectrum of lines."""
    for kind in KINDS:
        check(drawn_mask(kind, 3, "BU", n=1, deleted=-0.1), share=0.6)


# -- boxes and polygons ---------------------------------------------------------------


def boxes(across, along=1000.0):
    slits = [f"{i}" for i in range(len(across))]
    return Markers.of("box", slits, 0.5, np.full(len(across), along), across)


def as_boxes(xy):
    return [Shape("box", (tuple(place),), (12, 12)) for place in xy]


def match(shapes, expected, **options):
    return match_shapes(shapes, expected, direction="LR", **options)


SPREAD = [100.0, 260.0, 330.0, 520.0, 700.0, 790.0, 1000.0]


def test_polygons_stand_for_boxes():
    expected = boxes(SPREAD)
    shapes = [
        Shape("polygon", ((x - 3, y - 30), (x + 3, y - 30), (x + 3, y + 30), (x - 3, y + 30)))
        for x, y in places(expected) + np.array([4, 7])
    ]
    matched = match([*shapes, replace(shapes[0], points=((0, 0), (9, 9)))], expected)
    assert np.allclose(places(matched.markers), places(expected) + np.array([4, 7]))
    assert used(matched.markers).all()
    assert "no slit is near" in matched.notes[0]


def test_boxes_do_not_stand_for_polygons():
    ring = {"t": [t for t, _ in RING], "side": [side for _, side in RING]}
    expected = Markers.of("polygon", "a", x=[1, 2, 2, 1], y=[1, 1, 9, 9], **ring)
    matched = match(as_boxes([(1.5, 5)]), expected)
    assert matched.markers["reason"].tolist() == ["no region"] * 4
    assert matched.notes[0].startswith("1 shape not used, at (2.5, 6.0): only polygon can stand")


@pytest.mark.parametrize("n", [2, 5])
def test_polygons_with_other_corners(n):
    case = drawn_mask("polygon", 2, "RL", shift=0, stretch=0)
    points = case.shapes[0].points
    points = points[:2] if n == 2 else (*points[:2], tuple(np.mean(points[1:3], 0)), *points[2:])
    case = replace(case, shapes=[replace(case.shapes[0], points=points), *case.shapes[1:]])
    matched = match_shapes(case.shapes, case.expected, direction="RL")
    rows = case.truth[0]
    assert not used(matched.markers)[rows].any()
    assert f"polygon with {n} corners" in matched.markers["reason"][rows[0]]
    slit = case.expected["slit"][rows[0]]
    assert any(note.startswith(f"slit {slit}: polygon with {n} corners") for note in matched.notes)


def test_a_crossed_polygon():
    case = drawn_mask("polygon", 2, "RL", shift=0, stretch=0)
    a, b, c, d = case.shapes[0].points
    crossed = replace(case.shapes[0], points=(a, c, b, d))
    matched = match_shapes([crossed, *case.shapes[1:]], case.expected, direction="RL")
    assert not used(matched.markers)[case.truth[0]].any()
    assert any("corners of the polygon have changed places" in note for note in matched.notes)


def test_a_regular_mask_with_a_slit_missing_at_the_end_is_doubtful():
    """Moved by 18 or by -12 px: nothing but a label tells."""
    expected = boxes(np.arange(100.0, 400.0, 30.0))
    shapes = as_boxes(places(expected)[:-1] + np.array([0, 18]))
    matched = match(shapes, expected)
    assert not used(matched.markers).any()
    assert "label it with the slit's id" in matched.notes[0]
    labelled = match([replace(shapes[0], text="0"), *shapes[1:]], expected)
    assert used(labelled.markers).tolist() == [True] * 9 + [False]
    assert np.allclose(places(labelled.markers)[:9], places(expected)[:9] + np.array([0, 18]))


def test_labels_decide():
    expected = boxes(SPREAD)
    shapes = as_boxes(places(expected))
    shapes[1], shapes[2] = replace(shapes[1], text=" 2 "), replace(shapes[2], tags={"slit": "1"})
    matched = match(shapes, expected)
    assert np.array_equal(places(matched.markers)[[1, 2]], places(expected)[[2, 1]])
    with pytest.raises(InputError, match="slit 2: two shapes are labelled 2"):
        match([*shapes, replace(shapes[0], text="2")], expected)


def test_a_stray_box():
    expected = boxes(SPREAD)
    shapes = [*as_boxes(places(expected)), Shape("box", ((4000, 60),), (3, 3), line=12)]
    matched = match(shapes, expected)
    assert used(matched.markers).all()
    (note,) = matched.notes
    assert note.startswith("1 shape at (4001.0, 61.0) (line 12) not used: no slit is near")


def test_what_is_no_candidate():
    expected = boxes(SPREAD)
    first, second, *others = as_boxes(places(expected))
    point, text = Shape("point", ((1, 2),)), Shape("text", ((1, 2),), text="here")
    shapes = [replace(first, excluded=True), replace(second, fixed=True), *others, point, text]
    matched = match(shapes, expected)
    assert matched.markers["reason"].tolist() == ["no region"] * 2 + [""] * 5
    assert matched.notes == (
        "1 shape with a minus sign: taken for deleted.",
        "1 shape not used, at (2.0, 3.0): only box or polygon can stand for box markers.",
        "2 of 7 slits without a region: 0, 1.",
    )


def test_beyond_the_frame():
    expected = boxes(SPREAD)
    matched = match(as_boxes(places(expected)), expected, size=(2000, 1000))
    assert matched.markers["reason"].tolist() == [""] * 6 + ["off the frame"]
    assert matched.notes == ("1 marker beyond the frame not used.",)


def test_nothing_to_match():
    expected = boxes(SPREAD)
    matched = match([], expected)
    assert not used(matched.markers).any()
    assert matched.notes == ("7 of 7 slits without a region: 0, 1, 2, 3, 4, 5, 6.",)
    none = match(as_boxes([(1, 1)]), expected[:0])
    assert none.notes == ("1 shape not used: no marker is expected.",)
    for kind in ("edge", "line"):
        expected = Markers.of(kind, "a", 0.5, [1, 2], [3, 4], wavelength=[5000.0, 6000.0])
        assert not used(match([], expected).markers).any()
    both = Markers.join([boxes(SPREAD), expected])
    with pytest.raises(InputError, match="markers of kinds box and line"):
        match([], both)


# -- points and vectors -----------------------------------------------------------------


def test_points_are_kept_where_they_are():
    case = drawn_mask("edge", 4, "UB", gap=60.0)
    markers = check(case, share=0.9).markers
    drawn = [shape.points[0] for shape in case.shapes]
    assert [tuple(place) for place in places(markers).tolist()] == drawn


def test_labels_of_points():
    along = np.linspace(0, 100, 5)
    traces = [Markers.of("edge", f"{i}", 0.5, along, np.full(5, 10.0 * i)) for i in range(8)]
    shapes = [Shape("point", ((50.0, 34.0),)), Shape("point", ((50.0, 36.0),), text="3")]
    matched = match(shapes, Markers.join(traces))
    assert matched.markers["slit"][1] == "3"
    assert used(matched.markers)[1]
    assert not used(matched.markers)[0]
    assert "slit 3: 1 point could be more than one trace, at (51.0, 35.0)" in matched.notes[0]


WAVELENGTHS = np.array([5000, 5100, 5130, 5300, 5320, 5480, 5600, 5690.0])


def spectrum(direction="LR"):
    direction = Direction(direction)
    along, across = direction.sign * (WAVELENGTHS - 5000) + 1000, np.full(8, 50.0)
    return Markers.of("line", "a", 0.5, *direction.join(along, across), wavelength=WAVELENGTHS)


def as_vectors(markers, dx=0.0, **common):
    return [Shape("vector", ((x - 20, y), (x + dx, y)), **common) for x, y in places(markers)]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_heads_count(direction):
    expected = spectrum(direction)
    matched = match_shapes(as_vectors(expected, 3.0)[::-1], expected, direction=direction)
    assert used(matched.markers).all()
    assert np.allclose(places(matched.markers), places(expected) + np.array([3, 0]))


def test_a_line_that_is_gone_leaves_its_neighbour_in_doubt():
    expected = spectrum()
    close = expected.copy()
    close["x"][4] = close["x"][3] + 2 * close["x"].unit
    shapes = as_vectors(close)
    matched = match(shapes[:4] + shapes[5:], close)
    assert used(matched.markers).tolist() == [True] * 3 + [False] * 2 + [True] * 3
    assert "slit a: 1 vector could be more than one line (5300.00)" in matched.notes[0]
    labelled = [replace(shapes[4], text="5320.00"), *shapes[:3], *shapes[5:]]
    matched = match(labelled, close)
    assert used(matched.markers).tolist() == [True] * 3 + [False] + [True] * 4


@pytest.mark.parametrize("labels", [["6000.00"], ["5100.00", "5100.0"]])
def test_labels_that_cannot_be(labels):
    expected = spectrum()
    shapes = as_vectors(expected)
    for i, label in enumerate(labels):
        shapes[i] = replace(shapes[i], text=label)
    matched = match(shapes, expected)
    assert not used(matched.markers)[: len(labels)].any()
    assert used(matched.markers)[len(labels) :].all()
    assert "the wavelength on the label is not expected there, or is twice" in matched.notes[0]


def test_more_vectors_than_lines():
    expected = spectrum()
    shapes = [*as_vectors(expected), Shape("vector", ((1, 50), (1380.0, 50.0)), line=7)]
    matched = match(shapes, expected)
    assert used(matched.markers).all()
    assert (
        "slit a: 1 vector at (1381.0, 51.0) (line 7) not used: no line is near"
        in (matched.notes[0])
    )


def test_a_dispersion_that_is_not_linear():
    """Heads of a curve that the prediction knows nothing of, by up to 45 px."""
    case = drawn_mask("line", 11, "RL")

    def bend(point):
        z = (point[0] - 4096) / 4096
        return (point[0] + 25 * z**2 - 20 * z**3, point[1])

    shapes = [replace(shape, points=tuple(map(bend, shape.points))) for shape in case.shapes]
    check(replace(case, shapes=shapes), share=0.75)
