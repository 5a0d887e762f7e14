"""One instance of each model, and physically sensible inputs for it."""

import numpy as np
from astropy import units as u

from specwcs.models import (
    CurvatureModel,
    DetectorToTrace,
    DispersionModel,
    FieldPolynomial,
    MaskToSlit,
    OpticalModel,
    SlitGeometry,
    SlitToMask,
    SlitToTrace,
    TraceToDetector,
    TraceToSlit,
)
from specwcs.models.steps import bezier

SHAPE = {"LR": (1024, 2048), "RL": (1024, 2048), "BU": (2048, 1024), "UB": (2048, 1024)}
CONTROL = {
    True: np.array([[10.0, 20.0], [12.0, 5.0]]),  # dispersion along x
    False: np.array([[-5.0, 10.0], [-25.0, 22.0]]),
}


class StraightSlit:
    """A slit as the models see it: an id, control points, a curve, its centre, its sky."""

    def __init__(self, control, name="7", sky=None):
        self.id, self.control, self.sky = name, np.asarray(control, float), sky
        self.x, self.y = self.control.mean(axis=0)

    def curve(self, t):
        return bezier(self.control, t)[0]


def field_models(direction, seed=1):
    """OPT, CRV and IDS with terms of every order, and a tilted slit."""
    rng = np.random.default_rng(seed)
    along_x = direction in ("LR", "RL")
    ny, nx = SHAPE[direction]
    plane = {"x_domain": (-100, 100), "y_domain": (-100, 100)}
    opt = OpticalModel(3, 3, **plane, name="opt")
    c = rng.normal(size=(2, 4, 4)) * 2
    c[0, 0, 0] += nx / 2
    c[1, 0, 0] += ny / 2
    c[0, 1, 0] += 500
    c[1, 0, 1] += 500
    opt.coefficients = c
    detector = {"x_domain": (-0.5, nx - 0.5), "y_domain": (-0.5, ny - 0.5)}
    crv = CurvatureModel(3, 2, 2, domain=(-1100, 1100), **detector)
    k = rng.normal(size=(4, 3, 3))
    k[1] *= 5
    crv.coefficients = k
    ids = DispersionModel(5, 2, 2, domain=(5000, 9000), **detector)
    k = rng.normal(size=(6, 3, 3))
    k[1, 0, 0] += 900
    k[2, 0, 0] += 20
    ids.coefficients = k
    return opt, crv, ids, StraightSlit(CONTROL[along_x])


def geometry(direction):
    opt, crv, ids, slit = field_models(direction)
    return SlitGeometry.from_models(opt, crv, ids, slit, direction)


def _points(direction, n=200):
    rng = np.random.default_rng(3)
    t, wavelength = rng.uniform(0, 1, n), rng.uniform(5000, 9000, n)
    g = geometry(direction)
    d = g.dispersion.distance_from_wavelength(wavelength, t)
    inside = np.abs(d) < 1000
    x, y = g.trace.pixel_from_trace(d, t)
    X, Y = bezier(CONTROL[direction in ("LR", "RL")], t)[0]
    return {
        k: v[inside]
        for k, v in {"t": t, "w": wavelength, "d": d, "x": x, "y": y, "X": X, "Y": Y}.items()
    }


def all_cases():
    """Name → (model, inputs, units of the inputs)."""
    opt, crv, ids, slit = field_models("RL")
    generic = FieldPolynomial(1, 2, 1, domain=(0, 5), x_domain=(0, 9), y_domain=(-3, 3))
    generic.coefficients = np.random.default_rng(5).normal(size=(2, 3, 2))
    p = _points("RL")
    none = u.dimensionless_unscaled
    cases = {
        "FieldPolynomial": (generic, (p["t"], p["t"], p["t"]), None),
        "OpticalModel": (opt, (p["X"], p["Y"]), (u.mm, u.mm)),
        "CurvatureModel": (crv, (p["x"], p["y"], p["d"]), (u.pix,) * 3),
        "DispersionModel": (ids, (p["x"], p["y"], p["w"]), (u.pix, u.pix, u.AA)),
        "SlitToMask": (SlitToMask(slit.control), (p["w"], p["t"]), (u.AA, none)),
        "MaskToSlit": (MaskToSlit(slit.control), (p["w"], p["X"], p["Y"]), (u.AA, u.mm, u.mm)),
    }
    for direction in SHAPE:
        g, q = geometry(direction), _points(direction)
        cases[f"DetectorToTrace-{direction}"] = (
            DetectorToTrace.from_shape(g.trace, name="a"), (q["x"], q["y"]), (u.pix, u.pix),
        )  # fmt: skip
        cases[f"TraceToDetector-{direction}"] = (
            TraceToDetector.from_shape(g.trace), (q["d"], q["t"]), (u.pix, none),
        )  # fmt: skip
        cases[f"TraceToSlit-{direction}"] = (
            TraceToSlit.from_dispersion(g.dispersion), (q["d"], q["t"]), (u.pix, none),
        )  # fmt: skip
        cases[f"SlitToTrace-{direction}"] = (
            SlitToTrace.from_dispersion(g.dispersion), (q["w"], q["t"]), (u.AA, none),
        )  # fmt: skip
    return cases
