import numpy as np
import pytest
from truth_calibration import small_mos

from specwcs.conventions import Direction
from specwcs.errors import InputError
from specwcs.extraction.edges import SampledTrace


def straight(wavelength, t):
    """A slit 30 px long on a frame of 100 × 200, 2 Angstrom a px, LR."""
    return (wavelength - 5000) / 2 + 0 * t, 65 - 30 * t + 0 * wavelength


def sampled(pixel):
    return SampledTrace(pixel, Direction("LR"), (100, 200), (5000.0, 5400.0))


@pytest.mark.parametrize("direction", ["LR", "RL", "BU", "UB"])
@pytest.mark.parametrize("number", [0, 2, 4])
def test_edges_are_those_of_the_ray_trace(direction, number):
    observation = small_mos(direction)
    slit_id = list(observation.mask)[number]
    direction, shape = observation.instrument.direction, observation.instrument.shape

    def pixel(wavelength, t):
        return observation.pixel(slit_id, t, wavelength)

    trace = SampledTrace(pixel, direction, shape, (5200.0, 9000.0))
    wavelength, t = np.linspace(5300, 8900, 7), np.linspace(0, 1, 5)
    _, q = direction.canonical_pixel(*pixel(wavelength, t[:, np.newaxis]), shape)
    np.testing.assert_allclose(trace.rows(wavelength, t), q, atol=1e-6)

    first, n_rows = int(np.ceil(q[-1].max())), int(q[0].min() - q[-1].max())
    columns = trace.columns(wavelength, first, n_rows)
    rows = np.broadcast_to(first + np.arange(n_rows)[:, np.newaxis], columns.shape)
    x, y = direction.detector_pixel(columns, rows, shape)
    found, _ = observation.world(slit_id, x, y)
    np.testing.assert_allclose(found, np.broadcast_to(wavelength, found.shape), atol=1e-4)


def test_straight_slit():
    trace = sampled(straight)
    assert trace.length == pytest.approx(30)
    columns = trace.columns(np.array([5100.0, 5200.0]), 20, 60)  # far beyond the slit, too
    np.testing.assert_allclose(columns, np.tile([50.0, 100.0], (60, 1)), atol=1e-7)


@pytest.mark.parametrize(
    ("pixel", "message"),
    [
        (lambda w, t: (w + np.nan * t, 65 - 30 * t + 0 * w), "not finite"),
        (lambda w, t: (w + 0 * t, np.nan * t + w), "not finite"),
        (lambda w, t: ((w - 5000) / 2 + 0 * t, 65 - t + 0 * w), "1 px long"),
        (lambda w, t: ((w - 5000) / 2 + 0 * t, 65 + 30 * t + 0 * w), "folds"),
        (lambda w, t: ((w - 5200) ** 2 + 0 * t, 65 - 30 * t + 0 * w), "folds"),
        (lambda w, t: ((w - 5000) / 2 + 0 * t, 65 - 30 * t + np.cos(w)), "varies too fast"),
    ],
)
def test_what_cannot_be_resampled_is_told(pixel, message):
    with pytest.raises(InputError, match=message):
        sampled(pixel)
