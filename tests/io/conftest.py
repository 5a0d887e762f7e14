"""A small calibration, made by hand: numbers with all their digits, and every kind of field."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from specwcs.calibration.bundle import Calibration, SlitStatus
from specwcs.conventions import Direction
from specwcs.inputs import Instrument, Mask, Slit
from specwcs.inputs._text import Source
from specwcs.inputs.instrument import Amplifier, Section
from specwcs.models import CurvatureModel, DispersionModel, OpticalModel

PIXELS = {"x_domain": (0.0, 299.0), "y_domain": (0.0, 199.0)}


@pytest.fixture
def opt():
    return OpticalModel(
        *(1, 2),
        **{"x_domain": (-4.1, 4.1), "y_domain": (-5.3, 5.3), "y_flipped": True, "name": "opt"},
        **{"x0_0": 150.0, "x1_0": 40 / 3, "y0_0": 100.1, "y0_1": -50.0, "x0_2": 1e-17 / 3},
    )


@pytest.fixture
def crv():
    model = CurvatureModel(2, 1, 1, domain=(-140.0, 140.0), **PIXELS)
    model.coefficients = np.random.default_rng(1).normal(0, 0.3, (3, 2, 2))
    return model


@pytest.fixture
def ids():
    model = DispersionModel(2, 1, 1, domain=(5000.0, 7000.0 + 1 / 3), **PIXELS)
    model.coefficients = np.random.default_rng(2).normal(0, 0.1, (3, 2, 2))
    model.c1_0_0 = 100.0
    model.c0_0_1.fixed = True
    model.c0_1_0.bounds = (0.0, None)
    model.c0_1_1.bounds = (None, 0.0)
    return model


@pytest.fixture
def instrument():
    trim = Section(1, 300, 1, 200)
    return Instrument(
        name="spectro",
        pixel_scale=0.1 + 0.2,
        xpixels=300,
        ypixels=200,
        direction=Direction.LR,
        linear_dispersion=10.0,
        reference_lambda=6000.0,
        description={"grism": "G1 # the blue one", "site": "Cerro Pachón"},
        data_hdu="SCI",
        gain="GAIN",
        read_noise=3.7,
        trim=trim,
        amplifiers=(Amplifier(trim, Section(301, 320, 1, 200)),),
        source=Source("spectro.icf", "ab" * 32),
    )


@pytest.fixture
def mask():
    curved = np.array([[1.0, 2.0], [1.1, 1 / 3], [1.0, -1.0]])
    slits = [
        Slit("049", -2.0, 3.0, 0.1, 1.0, -25.5, 1.0, 8.0, False, np.array([[-2, 3.5], [-2, 2.5]])),
        Slit("b_2", 1.0, 0.5, 0.1, 3.0, 0.0, 1.0, 0.0, False, curved),
        Slit("1e3", 0.0, -4.0, 0.5, 0.5, 0.0, 4.0, 4.0, True, np.array([[0, -3.75], [0, -4.25]])),
    ]
    return Mask(slits, faults={"007": "X is nan"}, source=Source("m.mdf", "cd" * 32))


@pytest.fixture
def calibration(instrument, mask, opt, crv, ids):
    n = len(ids.parameters)
    covariance = np.random.default_rng(3).normal(size=(n, n))
    residuals = QTable()
    residuals["kind"] = ["line", "edge", "line"]
    residuals["slit"] = ["049", "b_2", "1e3"]
    residuals["t"] = [0.5, 1 / 3, np.nan]
    residuals["wavelength"] = [5852.4878, np.nan, 6000.0] * u.AA
    residuals["residual"] = [1e-3, -0.0, 5e-324] * u.pix
    residuals["used"] = [True, False, True]
    residuals["reason"] = ["", "saturated", ""]
    return Calibration(
        *(instrument, mask, opt, crv, ids),
        covariance={"ids": covariance @ covariance.T, "crv": np.eye(12)},
        slits={
            "b_2": SlitStatus("ok", rms=0.012345678901234567, n_lines=17, n_edges=30),
            "049": SlitStatus("no lines", "no line above 5 sigma"),
            "1e3": SlitStatus("reference"),
        },
        residuals=residuals,
        medium="vacuum",
        provenance={"files": [{"path": "a b.fits", "sha256": "00"}], "yes": "no", "n": 3},
    )
