"""A field of slits and a curvature model over it, for the tests of fits."""

import numpy as np

from specwcs.models import CurvatureModel

DOMAINS = {"domain": (-100, 100), "x_domain": (0, 2000), "y_domain": (0, 1000)}


def field(n=400, seed=0, degrees=(2, 1, 2), slits=15):
    """Return a model, the slit of each point, and the points (x, y, d)."""
    rng = np.random.default_rng(seed)
    model = CurvatureModel(*degrees, **DOMAINS)
    model.coefficients = rng.normal(size=model.coefficients.shape)
    slit = rng.integers(0, slits, n)
    y = rng.uniform(0, 1000, slits)[slit]
    x = rng.uniform(0, 2000, slits)[slit]
    d = rng.uniform(-100, 100, n)
    return model, slit, (x, y, d)
