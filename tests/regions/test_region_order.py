"""Markers that have changed places are named."""

import numpy as np
import pytest
from drawn_masks import predicted

from specwcs.conventions import Direction
from specwcs.markers import Markers
from specwcs.regions import check_order

DIRECTIONS = ["LR", "RL", "BU", "UB"]


def swapped(markers, first, second):
    """Exchange the places of two rows, or of two sets of rows."""
    result = markers.copy()
    for name in ("x", "y"):
        result[name][first], result[name][second] = markers[name][second], markers[name][first]
    return result


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", ["box", "polygon", "edge", "line"])
def test_in_order(kind, direction):
    rng = np.random.default_rng(0)
    expected = predicted(kind, rng, Direction(direction))
    moved = expected.copy()
    moved["x"] = expected["x"] + 31 * expected["x"].unit
    moved["y"] = expected["y"] - 17 * expected["y"].unit
    assert check_order(moved, expected, direction) == []


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_swapped_lines(direction):
    expected = predicted("line", np.random.default_rng(0), Direction(direction))
    ((rows, sentence),) = check_order(swapped(expected, 35, 36), expected, direction)
    assert sorted(rows) == [35, 36]
    names = [f"{value:.2f}" for value in expected["wavelength"].value[[35, 36]]]
    assert sentence.startswith(f"slit 001: line {names[0]} stands redwards of {names[1]}")
    assert "Put them in order, or delete the wrong one." in sentence
    unused = swapped(expected, 35, 36)
    unused["used"][35] = False
    assert check_order(unused, expected, direction) == []


def test_one_line_beyond_many():
    expected = predicted("line", np.random.default_rng(0), Direction("LR"))
    moved = expected.copy()
    moved["x"][30] = expected["x"][34] + 1 * expected["x"].unit
    ((rows, _),) = check_order(moved, expected, "LR")
    assert rows.tolist() == [30, 31, 32, 33, 34]


def test_backwards():
    expected = predicted("line", np.random.default_rng(0), Direction("LR"), n=2)
    found = check_order(predicted("line", np.random.default_rng(0), Direction("RL"), n=2),
                        expected, "LR")  # fmt: skip
    assert [len(rows) for rows, _ in found] == [30, 30]
    assert "Check that the dispersion direction is LR" in found[0][1]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", ["box", "polygon"])
def test_swapped_slits(kind, direction):
    expected = predicted(kind, np.random.default_rng(0), Direction(direction), gap=40)
    n = 4 if kind == "polygon" else 1
    first, second = slice(5 * n, 6 * n), slice(6 * n, 7 * n)
    ((rows, sentence),) = check_order(swapped(expected, first, second), expected, direction)
    assert sorted(rows) == list(range(5 * n, 7 * n))
    assert {"005", "006"} <= set(sentence.replace(",", "").split())
    assert "Put their markers in place, or delete them." in sentence


def test_a_mirrored_mask_is_in_order():
    expected = predicted("box", np.random.default_rng(0), Direction("LR"))
    mirrored = expected.copy()
    mirrored["y"] = 3000 * expected["y"].unit - expected["y"]
    assert check_order(mirrored, expected, "LR") == []
    ((rows, _),) = check_order(swapped(mirrored, 5, 6), expected, "LR")
    assert sorted(rows) == [5, 6]


def test_slits_beside_each_other_have_no_order():
    across = [100.0, 102.0, 300.0, 400.0, 500.0]
    expected = Markers.of("box", list("abcde"), 0.5, [0, 900, 0, 0, 0], across)
    assert check_order(swapped(expected, 0, 1), expected, "LR") == []
    assert len(check_order(swapped(expected, 0, 2), expected, "LR")) == 1


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_swapped_edges(direction):
    expected = predicted("edge", np.random.default_rng(0), Direction(direction), gap=60)
    at = [i for i, slit in enumerate(expected["slit"]) if slit in ("010", "011")]
    one, other = at[4], at[18 + 4]
    moved = expected.copy()
    axis = "x" if direction in ("BU", "UB") else "y"
    moved[axis][one] = expected[axis][other] + 40 * expected[axis].unit
    found = check_order(moved, expected, direction)
    assert all(one in rows for rows, _ in found)
    sentences = " ".join(sentence for _, sentence in found)
    assert {"010", "011"} <= set(sentences.split())
    assert "not in the expected order across the dispersion" in sentences


def test_left_and_right_edges_changed():
    expected = predicted("edge", np.random.default_rng(0), Direction("LR"), n=1)
    left, right = slice(0, 9), slice(9, 18)
    ((rows, sentence),) = check_order(swapped(expected, left, right), expected, "LR")
    assert len(rows) == 18
    assert "slit 000: its left and right edges have changed places" in sentence


def test_slits_and_kinds_that_are_not_expected():
    expected = predicted("box", np.random.default_rng(0), Direction("LR"))
    stranger = Markers.of("box", "stranger", 0.5, [0.0], [1e6])
    edges = Markers.of("edge", "stranger", 0.5, [0.0, np.nan], [1e6, 1.0])
    assert check_order(Markers.join([expected, stranger, edges]), expected, "LR") == []
    assert check_order(expected[:0], expected, "LR") == []
    assert check_order(expected, expected[:0], "LR") == []


@pytest.mark.parametrize("kind", ["box", "edge", "line"])
def test_thousands_of_markers(kind):
    n = {"box": 5000, "edge": 300, "line": 170}[kind]
    expected = predicted(kind, np.random.default_rng(0), Direction("LR"), n=n, gap=0.5)
    assert check_order(expected, expected, "LR") == []
