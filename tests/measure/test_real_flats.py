"""Real flats and edges: figures published with the data, or the data against themselves."""

import warnings

import numpy as np
import pytest
from astropy.io import fits

from specwcs.conventions import Direction
from specwcs.inputs import Instrument, Mask, Slit
from specwcs.measure import find_traces
from specwcs.measure.field import Samples, fit_field

pytestmark = pytest.mark.real


def longslit(data, pixel_scale, length):
    """An instrument of the shape of a frame, and a slit of `length` arcsec on 10 mm."""
    instrument = Instrument(
        "real", pixel_scale, data.shape[1], data.shape[0], Direction.LR, 1.0, 5000.0
    )
    slit = Slit("1", 0.0, 0.0, 0.1, 10.0, 0.0, 1.0, length, False, np.zeros((2, 2)))
    return Mask([slit]), instrument


def kast(folder, *numbers):
    names = [folder / "kast_blue" / f"b{n}.fits.gz" for n in numbers]
    frames = [fits.getdata(name)[:, :2048].astype(float) for name in names]
    return sum(frame - 1000.0 for frame in frames)  # the bias level, about


def test_kast_flat(real_data):
    data = kast(real_data, 11, 12, 13)
    (traces,) = find_traces((data, None, None), *longslit(data, 0.43, 132.0))
    p = np.array([100.0, 2000.0])
    np.testing.assert_allclose(traces.q("1", 1.0, p), [24, 19], atol=1.0)
    np.testing.assert_allclose(traces.q("1", 0.0, p), [330, 326], atol=1.5)
    assert traces.rms < 0.025
    assert traces.status["1"].flag == "ok"


def test_kast_arc_agrees_with_the_flat(real_data):
    flat, arc = kast(real_data, 11, 12, 13), kast(real_data, 1)
    by_flat, by_arc = (
        find_traces((data, None, None), *longslit(data, 0.43, 132.0))[0] for data in (flat, arc)
    )
    p = np.linspace(100, 1950, 20)
    for t in (0.0, 1.0):
        assert np.abs(by_flat.q("1", t, p) - by_arc.q("1", t, p)).max() < 0.25


def test_dbsp_flat(real_data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of cards in the header
        data = fits.getdata(real_data / "dbsp_red" / "red0033.fits").astype(float)
    (traces,) = find_traces((data - 1000.0, None, None), *longslit(data, 0.293, 123.0))
    used = traces.edges[traces.edges["used"] & (traces.edges["p"] > 750)]
    assert len(used) > 50
    residual = used["q"] - [
        traces.q("1", row["t"], row["p"]) for row in used
    ]  # outside of the bright band
    assert np.sqrt(np.mean(residual**2)) < 0.03


def test_deimos_edges_are_one_smooth_field(real_data):
    centre = np.load(real_data / "deimos" / "edges_1200G_M_7750.npz")["center"].astype(float)
    p = np.linspace(20, 4075, 32).astype(int)
    # The mask is not at hand: the edges' rows in the middle stand for v.
    v = centre[2048]
    edge, column = np.indices((len(v), len(p))).reshape(2, -1)
    samples = Samples(
        np.zeros(edge.size), v[edge], p[column] * 1.0, centre[p].T[edge, column],
        np.full(edge.size, 0.05), edge, edge // 2,
    )  # fmt: skip
    fit = fit_field(samples, ((0.0, 0.0), (v.min(), v.max()), (0.0, 4095.0)))
    assert np.ptp(centre - v, axis=0).max() > 10  # they bend
    assert fit.rms < 0.1
    assert fit.used.mean() > 0.8
