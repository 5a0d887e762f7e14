"""The raises of the degrees that are tried."""

import pytest

from specwcs.fitting.degrees import _steps


@pytest.mark.parametrize(
    ("number", "raises"),
    [
        (1, {(1,), (2,)}),
        (2, {(1, 0), (0, 1), (2, 0), (0, 2), (1, 1)}),
        (3, {(1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 0, 0), (0, 2, 0), (0, 0, 2), (1, 1, 0),
             (1, 0, 1), (0, 1, 1), (1, 1, 1)}),
    ],
)  # fmt: skip
def test_one_by_one_or_two_any_two_or_all(number, raises):
    steps = [tuple(int(k) for k in step) for step in _steps(number)]
    assert set(steps) == raises
    assert len(steps) == len(raises)
