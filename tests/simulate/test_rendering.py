"""Images of slits and lines against traced photons and against the ray trace."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from specwcs.conventions import Direction
from specwcs.inputs import LineCatalog
from specwcs.simulate import Detector, example
from specwcs.simulate.render import SlitPixels, add_lines
from specwcs.simulate.truth import SlitTruth

IDEAL = Detector(gain=1.0, read_noise=0.0, saturation=np.inf, response=0.0)
SIGMA = 0.8  # px along the dispersion
SQUARE = (0.3, 0.3)  # arcsec
SLITS_AND_PIXELS = pytest.mark.parametrize(
    ("kind", "sides"),
    [
        ("straight", SQUARE),
        ("tilted", SQUARE),
        ("square", SQUARE),
        ("tilted", (0.3, 0.6)),  # of a detector that is binned along one axis
        ("tilted", (0.6, 0.3)),
    ],
)


def lines(*wavelength):
    number = len(wavelength)
    return LineCatalog(
        np.array(wavelength),
        np.full(number, "X"),
        np.ones(number, int),
        np.full(number, np.nan),
        "air",
    )


def slits_of(observation, kind):
    """Truth of the slits of a kind: straight, tilted or square."""
    wanted = {
        "straight": lambda s: s.rot == 0 and not s.reference,
        "tilted": lambda s: s.rot != 0,
        "square": lambda s: s.reference,
    }[kind]
    return [SlitTruth(observation.spectrograph, s) for s in observation.mask.values() if wanted(s)]


def binned(kind, sides):
    """Truth of a slit of a kind, seen with pixels of these sides, and the blur in both, px."""
    aspect = sides[1] / sides[0]
    observation = example(
        shape=(512, 1024), n_slits=8, pixel_scale=sides, line_curvature=3.0 * aspect**2,
        rotation=1.5, seed=3,
    )  # fmt: skip
    return slits_of(observation, kind)[0], (SIGMA, SIGMA / aspect)


def assert_photons_agree(model, p, q):
    """Chi-square of a histogram of photons against an image, per pixel and outside."""
    ny, nx = model.shape
    photons, _, _ = np.histogram2d(q, p, bins=(np.arange(ny + 1) - 0.5, np.arange(nx + 1) - 0.5))
    model = model * photons.sum() / model.sum()
    bright = model > 20
    chi2 = np.mean((photons - model)[bright] ** 2 / model[bright])
    assert bright.sum() > 100
    assert abs(chi2 - 1) < 5 * np.sqrt(2 / bright.sum())
    rest = model[~bright].sum()
    assert abs(photons[~bright].sum() - rest) < 5 * np.sqrt(rest)


@SLITS_AND_PIXELS
def test_a_line_is_where_its_photons_fall(kind, sides):
    rng = np.random.default_rng(7)
    truth, sigma = binned(kind, sides)
    model = np.zeros((512, 1024))
    add_lines(model, truth, np.array([6900.0]), np.array([1.0]), sigma, np.ones_like)
    number = 600_000
    p, q = truth.pixel(rng.uniform(size=number), 6900.0, rng.uniform(-0.5, 0.5, number))
    p, q = rng.normal(p, sigma[0]), rng.normal(q, sigma[1])
    assert_photons_agree(model, p, q)


@SLITS_AND_PIXELS
def test_a_continuum_is_where_its_photons_fall(kind, sides):
    rng = np.random.default_rng(8)
    truth, sigma = binned(kind, sides)
    model = np.zeros((512, 1024))
    for pixels in SlitPixels.blocks(truth, model.shape, sigma):
        spectrum = np.exp(-(((pixels.wavelength - 6900) / 300) ** 2) / 2)
        model[pixels.rows] = spectrum * pixels.angstroms * pixels.share
    number = 3_000_000
    wavelength, t = rng.normal(6900, 300, number), rng.uniform(size=number)
    p, q = truth.pixel(t, wavelength, rng.uniform(-0.5, 0.5, number))
    p, q = rng.normal(p, sigma[0]), rng.normal(q, sigma[1])
    assert_photons_agree(model, p, q)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("kind", ["mos", "longslit"])
def test_centroids_of_lines_follow_the_ray_trace(direction, kind):
    shape = (512, 1024) if direction.along_x else (1024, 512)
    observation = example(direction, shape, 8, kind, detector=IDEAL, rotation=0.6)
    wavelength = np.arange(5200.0, 9000.0, 400.0)
    image = direction.canonical_image(observation.arc(lines(*wavelength), None).data)
    checked = 0
    for name, slit in observation.mask.items():
        for one in wavelength:
            t = np.linspace(0, 1, 4001)
            p, q = direction_pixel(observation, name, t, one)
            lean = abs(p[0] - p[-1]) / abs(q[0] - q[-1])
            margin = int(10 + 8 * lean)
            rows = np.arange(np.ceil(q.min()) + margin, q.max() - margin, dtype=int)
            centre = np.interp(rows, q[::-1], p[::-1])
            if slit.reference or not rows.size or p.min() < 20 or p.max() > 1000:
                continue
            columns = np.round(centre).astype(int)[:, np.newaxis] + np.arange(-14, 15)
            light = image[rows[:, np.newaxis], columns]
            centroid = np.sum(light * columns, axis=1) / np.sum(light, axis=1)
            assert_allclose(centroid, centre, rtol=0, atol=0.001)
            checked += rows.size
    assert checked > 500


def direction_pixel(observation, name, t, wavelength):
    optics = observation.spectrograph
    return optics.direction.canonical_pixel(*observation.pixel(name, t, wavelength), optics.shape)


@pytest.mark.parametrize("direction", Direction)
def test_half_of_the_light_at_the_edges(direction):
    # With one slit alone lit, the rows' light over the plateau is the distance to the edge.
    shape = (512, 1024) if direction.along_x else (1024, 512)
    full = example(direction, shape, 8, detector=IDEAL, seed=2)
    checked = 0
    for lit, slit in full.mask.items():
        if slit.reference:
            continue  # too short for a plateau
        dark = tuple(name for name in full.mask if name != lit)
        observation = example(direction, shape, 8, detector=IDEAL, seed=2, dark=dark)
        image = direction.canonical_image(observation.flat(None).data)
        for wavelength in (6500.0, 7300.0):
            for t, inward in ((0.0, -1), (1.0, 1)):
                p, q = direction_pixel(observation, lit, t, wavelength)
                column = round(float(p))
                # The edge at the column's centre, by the slope of the trace.
                if not 16 < q < image.shape[0] - 16:
                    continue
                p2, q2 = direction_pixel(observation, lit, t, wavelength + 1.0)
                edge = q + (column - p) * (q2 - q) / (p2 - p)
                profile = image[:, column][::-inward] if inward < 0 else image[:, column][::-1]
                edge = edge if inward < 0 else image.shape[0] - 1 - edge
                assert half_light(profile, edge) == pytest.approx(edge, abs=0.01)
                checked += 1
    assert checked > 20


def half_light(profile, guess):
    """Edge of a plateau that lies at smaller indices, by the area under the profile."""
    start = round(float(guess)) - 14
    inner = np.arange(start - 8, start)
    slope, level = np.polyfit(inner, profile[inner], 1)
    outer = np.arange(start, start + 29)
    return start - 0.5 + np.sum(profile[outer] / (slope * outer + level))
