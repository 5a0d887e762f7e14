"""Light through the facility masks of MODS, simulated by ray trace, calibrated with no hand."""

import numpy as np
import pytest

from specwcs import calibrate
from specwcs.calibration import fit_image
from specwcs.inputs import Instrument, LineCatalog, Mask
from specwcs.simulate import Detector, Observation, Spectrograph, wrong

pytestmark = pytest.mark.real


@pytest.mark.parametrize(("design", "n_slits"), [("ls5x60x1.0", 5)])
def test_the_long_slits_of_mods(real_data, design, n_slits):
    mask = Mask.read(real_data / "mods" / f"{design}.mms")
    instrument = Instrument(
        name="MODS, coarse", pixel_scale=0.6, xpixels=700, ypixels=660, direction="LR",
        linear_dispersion=2.5, reference_lambda=6500.0, gain=2.0, read_noise=3.0,
        saturation=60000.0,
    )  # fmt: skip
    optics = Spectrograph.from_instrument(
        instrument, offset=(9.0, -6.0), rotation=0.6, distortion=0.006, line_curvature=2.0
    )
    detector = Detector(gain=2.0, read_noise=3.0, saturation=60000.0)
    observation = Observation(optics, mask, instrument, (5700.0, 7300.0), detector=detector)
    catalog = LineCatalog.read(["Ne", "Ar"]).to_medium("air")
    believed = wrong(instrument, scale=0.02, dispersion=-0.03)
    cal = calibrate(
        believed, mask, flat=observation.flat(1), arc=observation.arc(catalog, 2), catalog=catalog
    )
    assert len(cal.good()) == n_slits
    for key in cal.good():
        geometry = cal.geometry(key)
        low, high = geometry.dispersion.wavelength_domain
        wavelength = np.linspace(max(low, 5750.0), min(high, 7250.0), 40)
        for t in (0.1, 0.5, 0.9):
            x, y = observation.pixel(key, np.full(40, t), wavelength)
            on = (x > 0) & (x < 699)
            found, place = geometry.world(x[on], y[on])
            away = (found - wavelength[on]) * geometry.dispersion.slope(wavelength[on], t)
            assert np.sqrt(np.mean(away**2)) < 0.05
            assert np.abs(place - t).max() < 0.005


@pytest.mark.parametrize("direction", ["UB"])
def test_the_holes_of_the_sudoku_mask(real_data, direction):
    """87 holes and slits all over the field of MODS, seen with the disperser out."""
    mask = Mask.read(real_data / "mods" / "sudokuMask.mms")
    instrument = Instrument(
        name="MODS, coarse", pixel_scale=0.36, xpixels=1400, ypixels=1400, direction=direction,
        linear_dispersion=2.5, reference_lambda=6500.0, gain=2.0, read_noise=3.0,
        saturation=60000.0,
    )  # fmt: skip
    optics = Spectrograph.from_instrument(
        instrument, offset=(9.0, -6.0), rotation=0.6, distortion=0.01, flipx=True
    )
    detector = Detector(gain=2.0, read_noise=3.0, saturation=60000.0)
    observation = Observation(optics, mask, instrument, (5700.0, 7300.0), detector=detector)
    frame = observation.image(3, cosmic_rays=30)
    fit = fit_image(wrong(instrument, scale=0.03), mask, frame)
    assert (fit.model.x_flipped, fit.model.y_flipped) == (True, False)
    off = [
        np.hypot(*np.subtract(fit.model(*s.curve(0.5)), observation.pixel(key, 0.5, None)))
        for key, s in observation.mask.items()
    ]
    assert np.sqrt(np.mean(np.square(off))) < 0.02
    assert np.max(off) < 0.06
