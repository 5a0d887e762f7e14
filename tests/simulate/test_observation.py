"""Truth and frames of an observation."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from numpy.testing import assert_allclose, assert_array_equal

from specwcs.conventions import Direction
from specwcs.errors import InputError
from specwcs.inputs import Instrument, LineCatalog, Mask, read_frame
from specwcs.simulate import Detector, example, lamp, wrong

IDEAL = Detector(gain=1.0, read_noise=0.0, saturation=np.inf, response=0.0)
SMALL = (256, 512)


def small(**parameters):
    return example(shape=SMALL, n_slits=4, offset=(5.0, -3.0), **parameters)


# -- the truth ------------------------------------------------------------------


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("kind", ["mos", "longslit"])
def test_world_inverts_pixel(direction, kind):
    observation = example(direction, kind=kind, rotation=1.8, distortion=-0.01, flipx=True)
    wavelength, t = np.meshgrid(np.linspace(4900, 9300, 12), np.linspace(-0.1, 1.1, 7))
    for name in observation.mask:
        x, y = observation.pixel(name, t, wavelength)
        again = observation.world(name, x, y)
        assert_allclose(observation.pixel(name, again[1], again[0]), (x, y), rtol=0, atol=1e-9)
        assert_allclose(again[0], wavelength, rtol=0, atol=1e-8)
        assert_allclose(again[1], t, rtol=0, atol=1e-9)


def test_the_truth_takes_units():
    observation = small()
    expected = observation.pixel("01", 0.5, 7000.0)
    assert_allclose(observation.pixel("01", 0.5, 700 * u.nm), expected, rtol=1e-12)
    world = observation.world("01", *(v * u.pix for v in expected))
    assert_allclose(world, (7000.0, 0.5), rtol=1e-9)
    (first, _), again = (observation.edges("01", w) for w in (0.7 * u.micron, 7000.0))
    assert_allclose(first, again[0], rtol=1e-12)
    star = observation.star_electrons("01", 700 * u.nm)
    assert star == pytest.approx(observation.star_electrons("01", 7000.0))
    optics = observation.spectrograph
    assert_allclose(optics.project(0, 0, 700 * u.nm), optics.project(0, 0, 7000.0), rtol=1e-12)
    with pytest.raises(InputError, match="x is a quantity in 'nm'"):
        observation.world("01", 5 * u.nm, 5)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("flips", [{}, {"flipx": True}, {"flipy": True}])
def test_the_left_edge_is_on_the_left_hand(direction, flips):
    observation = example(direction, n_slits=6, **flips)
    for name in observation.mask:
        x, y = observation.pixel(name, 0.5, np.array([6900.0, 7100.0]))
        walk = (x[1] - x[0]) + 1j * (y[1] - y[0])
        left, right = (ex + 1j * ey for ex, ey in observation.edges(name, 7000.0))
        assert ((left - right) / (walk * 1j)).real > 0


@pytest.mark.parametrize("direction", Direction)
def test_maps_agree_with_the_ray_trace(direction):
    shape = SMALL if direction.along_x else SMALL[::-1]
    observation = example(direction, shape, 5, rotation=1.0)
    wavelength, t, slit = observation.maps()
    assert wavelength.shape == t.shape == slit.shape == shape
    assert_array_equal(np.isnan(wavelength), slit < 0)
    assert_array_equal(np.isnan(t), slit < 0)
    for index, name in enumerate(observation.mask):
        y, x = np.nonzero(slit == index)
        assert len(x) > 1000
        assert_allclose(
            observation.pixel(name, t[y, x], wavelength[y, x]), (x, y), rtol=0, atol=1e-8
        )
        assert t[y, x].min() >= 0
        assert t[y, x].max() <= 1


def test_every_pixel_between_the_edges_is_on_the_map():
    observation = small()
    _, _, slit = observation.maps()
    for index, name in enumerate(observation.mask):
        (x, top), (_, bottom) = observation.edges(name, 7000.0)
        column = slit[:, round(float(x))]
        assert np.count_nonzero(column == index) == pytest.approx(top - bottom, abs=1.5)


def test_a_pixel_that_no_ray_meets_is_nan():
    wavelength, t = small().world("01", np.array([1e7, 200.0]), np.array([1e7, 100.0]))
    assert_array_equal(np.isnan(wavelength), [True, False])
    assert_array_equal(np.isnan(t), [True, False])


# -- the frames -----------------------------------------------------------------


def test_noise_is_that_of_gain_and_read_noise():
    observation = small(detector=Detector(gain=2.5, read_noise=6.0))
    expected, frame = observation.flat(None), observation.flat(5)
    assert frame.unit == "adu"
    assert frame.data.dtype == np.float64
    pull = (frame.data - expected.data) / np.sqrt(expected.data / 2.5 + (6.0 / 2.5) ** 2)
    number = pull.size
    assert pull.mean() == pytest.approx(0, abs=5 / np.sqrt(number))
    assert pull.std() == pytest.approx(1, abs=5 / np.sqrt(2 * number))
    bright = expected.data > 1000
    assert_allclose(
        np.median(frame.uncertainty.array[bright] / expected.uncertainty.array[bright]),
        1,
        rtol=0.01,
    )


def test_a_seed_is_a_frame():
    observation = small()
    assert_array_equal(observation.flat(3).data, observation.flat(3).data)
    assert not np.array_equal(observation.flat(3).data, observation.flat(4).data)
    # What belongs to the detector and the lamp is the same in all frames.
    lines = observation.arc(lamp(), 3).meta["lines"]
    assert_array_equal(lines[1], observation.arc(lamp(), None).meta["lines"][1])


@pytest.mark.parametrize(
    ("kind", "given", "other"),
    [
        ("flat", (), {"level": 500.0}),
        ("image", (), {"level": 500.0}),
        ("arc", (lamp(),), {"level": 500.0}),
        ("arc", (lamp(),), {"missing": 0.2}),
        ("science", (), {"star": 0.6}),
        ("science", (), {"seeing": 0.6}),
        ("science", (), {"lines": 500.0}),
    ],
)
def test_an_exposure_is_the_same_whatever_was_exposed_before(kind, given, other):
    first, second = (getattr(small(detector=IDEAL), kind) for _ in range(2))
    before = first(*given, 1), first(*given, None, **other), first(*given, 2), first(*given, 3)
    assert_array_equal(second(*given, 3).data, before[3].data)
    assert_array_equal(second(*given, None, **other).data, before[1].data)
    assert np.any(before[2].data != before[3].data)


def test_levels_are_electrons_per_pixel():
    observation = example(shape=SMALL, kind="longslit", detector=IDEAL)
    wavelength, t, slit = observation.maps()
    inside = (slit == 0) & (abs(t - 0.5) < 0.2) & (abs(wavelength - 7100) < 50)
    flat = observation.flat(None, level=5000.0)
    assert_allclose(flat.data[inside], 5000, rtol=0.05)
    one = LineCatalog(np.array([7100.0]), np.array(["X"]), np.ones(1, int), np.array([1.0]), "air")
    arc = observation.arc(one, None, level=5000.0)
    assert 4000 < arc.data.max() < 5000


def test_saturation_and_its_mask():
    observation = small(detector=Detector(saturation=3000.0))
    frame = observation.flat(1)
    assert frame.data.max() == 3000.0
    assert frame.mask.any()
    assert_array_equal(frame.mask, frame.data >= 3000.0)
    assert_array_equal(frame.flags != 0, frame.mask)


def test_faults_of_the_detector():
    plain, faulty = small(), small(detector=Detector(dead_columns=3, hot_pixels=20))
    ratio = faulty.flat(None).data.sum(axis=0) / plain.flat(None).data.sum(axis=0)
    assert np.count_nonzero(ratio < 0.5) == 3
    dark = small(detector=Detector(hot_pixels=20), dark=("01", "02", "03", "04"))
    assert np.count_nonzero(dark.flat(None).data) == 20


def test_cosmic_rays_add_charge():
    observation = small(dark=("01", "02", "03", "04"))
    hit = observation.flat(1, cosmic_rays=50).data > 100
    assert 50 < np.count_nonzero(hit) < 1000
    assert not (observation.flat(1).data > 100).any()


def test_slits_without_light_and_without_lines():
    observation = small(detector=IDEAL, dark=("01",), arcless=("02",))
    _, _, slit = observation.maps()
    deep = slit == np.pad(slit, 5, mode="edge")[:-10, 5:-5]  # pixels whose row 5 below agrees
    flat, arc = observation.flat(None).data, observation.arc(lamp(), None).data
    middle = {
        name: (slit == i) & deep & (np.roll(slit, -5, axis=0) == i)
        for i, name in enumerate(observation.mask)
    }
    assert flat[middle["01"]].max() < 1e-3
    assert arc[middle["01"]].max() < 1e-3
    assert flat[middle["02"]].max() > 1000
    assert arc[middle["02"]].max() < 1e-3
    assert arc[middle["03"]].max() > 1000


def test_missing_and_unknown_lines():
    observation = small()
    wavelength, _ = observation.arc(lamp(), None, missing=0.3, unknown=5).meta["lines"]
    catalog = lamp().select(*observation.passband)
    known = np.isin(wavelength, catalog.wavelength)
    assert np.count_nonzero(~known) == 5
    assert 0.5 < np.count_nonzero(known) / len(catalog) < 0.9


def test_a_catalogue_in_vacuum_gives_the_same_frame():
    observation = small(detector=IDEAL)
    air = observation.arc(lamp("air"), None).data
    vacuum = observation.arc(lamp("vacuum"), None).data
    assert_allclose(air, vacuum, rtol=0, atol=1e-4 * air.max())


def test_the_illumination_of_a_slit_is_the_same_in_flat_and_sky():
    even, uneven = small(detector=IDEAL), small(detector=IDEAL, slit_function=0.05)
    _, t, slit = even.maps()
    inside = (slit >= 0) & (abs(t - 0.5) < 0.3) & (even.flat(None).data > 100)
    ratio = uneven.flat(None).data[inside] / even.flat(None).data[inside]
    sky = {"star": 0.0, "lines": 0.0}
    ratio_sky = uneven.science(None, **sky).data[inside] / even.science(None, **sky).data[inside]
    assert 0.02 < np.ptp(ratio) < 0.12
    assert_allclose(ratio, ratio_sky, rtol=1e-6)


def test_scattered_light_is_smooth_and_of_the_share_asked_for():
    clean, hazy = small(detector=IDEAL), small(detector=IDEAL, scattered=0.05)
    before = clean.flat(None).data
    haze = hazy.flat(None).data - before
    assert haze.mean() == pytest.approx(0.05 * before.mean(), rel=0.2)
    assert haze.min() > 0
    assert np.abs(np.diff(haze, axis=0)).max() < 0.02 * haze.mean()


def test_the_star_sums_to_its_spectrum():
    observation = example(shape=SMALL, kind="longslit", detector=IDEAL)
    with_star = observation.science(None, star=2000.0, lines=0.0)
    without = observation.science(None, star=0.0, lines=0.0)
    star = with_star.data - without.data
    for wavelength in (5600.0, 6562.8, 8000.0):
        x, y = observation.pixel("1", 0.4, wavelength)
        column = round(float(x))
        at, _ = observation.world("1", column + np.array([-0.5, 0.0, 0.5]), y)
        expected = observation.star_electrons("1", at[1]) * (at[2] - at[0])
        assert star[:, column].sum() == pytest.approx(expected, rel=2e-3)
        rows = np.arange(SMALL[0])
        centroid = (star[:, column] * rows).sum() / star[:, column].sum()
        assert centroid == pytest.approx(y, abs=0.01)


def test_unknown_slits_are_named():
    observation = small()
    for call in (
        lambda: small(dark=("99",)),
        lambda: observation.pixel("99", 0.5, 7000.0),
        lambda: observation.world("99", 5.0, 5.0),
        lambda: observation.edges("99", 7000.0),
        lambda: observation.star_electrons("99", 7000.0),
    ):
        with pytest.raises(InputError, match=r"unknown slit '99'. Must be one of 01, 02"):
            call()


# -- files ----------------------------------------------------------------------


@pytest.mark.parametrize("direction", Direction)
def test_written_files_are_read_back(tmp_path, direction):
    shape = SMALL if direction.along_x else SMALL[::-1]
    observation = example(direction, shape, 4)
    believed = replace(wrong(observation.instrument), pixel_scale=(0.3, 0.6))
    paths = observation.write(tmp_path / "night", lamp(), 5, instrument=believed)
    instrument = Instrument.read(paths["instrument"])
    for name in ("pixel_scale", "shape", "direction", "linear_dispersion", "gain", "saturation"):
        assert getattr(instrument, name) == getattr(believed, name)
    mask = Mask.read(paths["mask"]).oriented(direction)
    assert list(mask) == list(observation.mask)
    assert all(mask[name] == observation.mask[name] for name in mask)
    catalog = LineCatalog.read(paths["catalog"])
    assert catalog.medium == "air"
    assert_allclose(catalog.wavelength, lamp().wavelength, rtol=0, atol=1e-4)
    arc = read_frame(paths["arc"], instrument)
    assert arc.shape == shape
    direct = observation.arc(lamp(), (5, 1))
    assert_allclose(arc.data, direct.data, rtol=1e-6, atol=1e-4)
    assert_allclose(arc.uncertainty.array, direct.uncertainty.array, rtol=1e-5)
    with pytest.raises(InputError, match="exists"):
        observation.write(tmp_path / "night", lamp(), 5)


def test_a_detector_that_does_not_saturate_is_written_and_read(tmp_path):
    paths = small(detector=IDEAL).write(tmp_path, lamp(), None)
    instrument = Instrument.read(paths["instrument"])
    assert instrument.saturation is None
    assert not read_frame(paths["arc"], instrument).mask.any()


# -- the example ----------------------------------------------------------------


def test_nominal_values_are_off_as_asked():
    truth = example().instrument
    believed = wrong(truth, scale=0.03, dispersion=-0.02)
    assert truth.pixel_scale / believed.pixel_scale == pytest.approx(1.03)
    assert believed.linear_dispersion / truth.linear_dispersion == pytest.approx(0.98)


@pytest.mark.parametrize("direction", Direction)
def test_the_example_falls_where_asked(direction):
    observation = example(direction, offset=(30.0, -10.0))
    assert observation.spectrograph.shape == ((1024, 2048) if direction.along_x else (2048, 1024))
    along, across = direction.split(*observation.spectrograph.project(0.0, 0.0, 7000.0))
    assert along == pytest.approx(1023.5 + 30.0, abs=0.1)
    assert across == pytest.approx(511.5 - 10.0, abs=0.1)


def test_the_lines_of_the_longslit_are_curved():
    observation = example(kind="longslit", rotation=0.0, distortion=0.0, line_curvature=7.0)
    t = np.array([0.0, 0.5, 1.0])
    x, y = observation.pixel("1", t, 7000.0)
    share = ((y[0] - y[2]) / 1024) ** 2
    assert abs((x[0] + x[2]) / 2 - x[1]) == pytest.approx(7.0 * share, rel=0.02)


def test_an_unknown_kind():
    with pytest.raises(InputError, match="invalid kind 'ifu'"):
        example(kind="ifu")


def test_a_sky_without_lines_is_a_continuum():
    """In the blue the list of OH and [O I] lines has none."""
    obs = example(shape=(120, 512), n_slits=3, line_curvature=0.5)
    blue = replace(obs, passband=(4950.0, 5500.0))
    bright, none = (blue.science(None, star=0.0, lines=lines).data for lines in (1e5, 0.0))
    assert_array_equal(bright, none)
    assert bright.max() > 0
