"""OPT of an image plus what spectra tell: the sum of two polynomials over one mask."""

import numpy as np
import pytest

from specwcs.errors import InputError
from specwcs.models import OpticalModel


def model(degrees, extent, seed, **flips):
    made = OpticalModel(*degrees, x_domain=(-extent, extent), y_domain=(-extent, extent), **flips)
    made.coefficients = np.random.default_rng(seed).normal(size=made.coefficients.shape)
    return made


def test_the_sum_is_that_of_the_values():
    one, other = model((2, 1), 40.0, 1), model((1, 3), 25.0, 2)
    total = one.plus(other)
    assert tuple(total.degrees) == (2, 3)
    x, y = np.random.default_rng(3).uniform(-25, 25, (2, 50))
    for found, a, b in zip(total(x, y), one(x, y), other(x, y), strict=True):
        np.testing.assert_allclose(found, a + b, atol=1e-10)


@pytest.mark.parametrize("flip", ["x_flipped", "y_flipped"])
def test_mirrored_masks_do_not_add_up(flip):
    with pytest.raises(InputError, match="Must be those of the other model"):
        model((1, 1), 10.0, 1).plus(model((1, 1), 10.0, 2, **{flip: True}))
