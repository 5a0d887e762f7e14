"""What a user does with mouse and keys on DS9 comes back."""

import numpy as np
import pytest
from viewers.ds9_hand import Hand

from specwcs.regions import Shape

IMAGE = np.random.default_rng(5).normal(100, 5, (600, 900))
SHAPES = [
    Shape("box", ((300.0, 200.0),), (100.0, 50.0), tags={"slit": "box"}),
    Shape(
        "polygon",
        ((500.0, 100.0), (600.0, 100.0), (600.0, 200.0), (500.0, 200.0)),
        tags={"slit": "polygon"},
    ),
    Shape("vector", ((250.0, 300.0), (250.0, 400.0)), tags={"slit": "vector"}),
    Shape("point", ((450.0, 350.0),), tags={"slit": "point"}),
    Shape("box", ((600.0, 380.0),), (60.0, 40.0), fixed=True),
]
PIXEL = 1.2
"""A screen pixel, in image pixels: no hand is more exact."""


@pytest.fixture
def drawn(warm_ds9):
    warm_ds9.show(IMAGE, "arc")
    warm_ds9.draw(SHAPES)
    warm_ds9.look(450, 250, 500, 320)
    return warm_ds9


@pytest.fixture
def hand(drawn):
    return Hand(drawn)


def place(shapes, slit):
    (shape,) = (shape for shape in shapes if shape.tags.get("slit") == slit)
    return np.array(shape.points)


def unmoved(shapes, *but):
    for shape in SHAPES[:4]:
        if shape.tags["slit"] not in but:
            np.testing.assert_allclose(place(shapes, shape.tags["slit"]), shape.points, atol=1e-4)


def test_a_box_is_dragged(drawn, hand):
    hand.drag(300, 200, 340, 170)
    shapes = drawn.read()
    np.testing.assert_allclose(place(shapes, "box"), [(340, 170)], atol=PIXEL)
    assert len(shapes) == 4
    unmoved(shapes, "box")


def test_the_head_of_a_vector_is_dragged(drawn, hand):
    hand.click(250, 350)
    hand.drag(250, 400, 290, 380)
    shapes = drawn.read()
    np.testing.assert_allclose(place(shapes, "vector"), [(250, 300), (290, 380)], atol=PIXEL)
    unmoved(shapes, "vector")


def test_the_corner_of_a_polygon_is_dragged(drawn, hand):
    hand.click(550, 150)
    hand.drag(600, 200, 630, 220)
    shapes = drawn.read()
    corners = [(500, 100), (600, 100), (630, 220), (500, 200)]
    np.testing.assert_allclose(place(shapes, "polygon"), corners, atol=PIXEL)
    unmoved(shapes, "polygon")


def test_delete(drawn, hand):
    hand.click(450, 350)
    hand.key("Delete")
    shapes = drawn.read()
    assert {shape.tags["slit"] for shape in shapes} == {"box", "polygon", "vector"}
    unmoved(shapes, "point")


def test_copy_and_paste_gives_a_twin(drawn, hand):
    hand.click(450, 350)
    hand.key("ctrl+c")
    hand.key("ctrl+v")
    slits = sorted(shape.tags["slit"] for shape in drawn.read())
    assert slits == ["box", "point", "point", "polygon", "vector"]


def test_a_click_beside_all_adds_a_point_without_tags(drawn, hand):
    hand.click(380, 300)
    (added,) = (shape for shape in drawn.read() if not shape.tags)
    assert added.kind == "point"
    np.testing.assert_allclose(added.points, [(380, 300)], atol=PIXEL)


def test_a_fixed_shape_stays(drawn, hand):
    fixed = [line for line in regions(drawn).splitlines() if line.startswith("box(601,381,")]
    assert len(fixed) == 1
    hand.drag(600, 380, 650, 380)
    hand.click(600, 380)
    hand.key("Delete")
    assert fixed[0] in regions(drawn).splitlines()
    unmoved(drawn.read())


def regions(viewer):
    return viewer._console.get("regions -format ds9 -system image")


@pytest.mark.parametrize("columns", [True, False])
def test_edits_in_frame_2_leave_frame_1_alone(drawn, columns):
    drawn.split(columns)
    drawn.draw(SHAPES, 2)
    drawn.look(450, 250, 500, 320, 2)
    hand = Hand(drawn, 2)
    hand.drag(300, 200, 340, 170)
    hand.click(450, 350)
    hand.key("Delete")
    shapes = drawn.read(2)
    np.testing.assert_allclose(place(shapes, "box"), [(340, 170)], atol=2 * PIXEL)
    assert len(shapes) == 3
    assert len(drawn.read(1)) == 4
    unmoved(drawn.read(1))
    drawn.join()
    unmoved(drawn.read())


def test_the_user_turns_to_the_reference_frame(drawn):
    drawn.split(True)
    drawn.draw(SHAPES[:1], 2)
    Hand(drawn, 1).click(450, 250)
    assert drawn._console.get("frame") == "1"
    assert len(drawn.read(2)) == 1
    assert drawn._console.get("frame") == "1"


@pytest.mark.slow
def test_ds9_outlives_the_end_of_a_frame_under_the_pointer(drawn):
    for _ in range(8):
        drawn.split(False)
        drawn.draw(SHAPES, 2)
        drawn.look(450, 250, 500, 320, 2)
        Hand(drawn, 2).drag(300, 200, 340, 170)
        assert len(drawn.read(2)) == 4
        drawn.join()
        assert len(drawn.read()) == 4
