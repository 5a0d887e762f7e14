import numpy as np
import pytest
from numpy.polynomial import chebyshev, polynomial

from specwcs.fitting import thin_qr

X = np.linspace(-1, 1, 500)


@pytest.mark.parametrize(
    "design",
    [
        chebyshev.chebvander(X, 12) * np.geomspace(1e-6, 1e6, 13),
        polynomial.polyvander(X, 25),  # nearly dependent
        np.repeat(polynomial.polyvander(X, 3), 2, axis=1),  # dependent
        np.eye(500, 4)[:, [0, 1, 2, 2]] * 0,
    ],
    ids=["scaled", "powers", "dependent", "zero"],
)
def test_factors_are_orthogonal_and_triangular(design):
    q, r = thin_qr(design)
    np.testing.assert_allclose(q @ r, design, atol=1e-9 * np.abs(design).max())
    np.testing.assert_allclose(q.T @ q, np.eye(design.shape[1]), atol=1e-9)
    assert np.all(np.tril(r, -1) == 0)
