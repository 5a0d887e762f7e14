import numpy as np
import pytest
from astropy.nddata import CCDData
from sky_cases import STAR, night, pixels_of, unevenly_lit

from specwcs.errors import InputError, SpecwcsWarning
from specwcs.extraction import flat_field, reduce_frame


def true_response(case):
    """Response of the pixels of the simulated detector, as it draws it."""
    rng = np.random.default_rng(case.observation.detector.seed)
    shape = case.total.shape
    rng.choice(shape[1], 0, replace=False)
    rng.choice(case.total.size, 0, replace=False)
    rng.uniform(2e3, 4e4, 0)
    return 1 + case.observation.detector.response * rng.standard_normal(shape)


@pytest.mark.parametrize("direction", ["LR", "UB"])
def test_illumination_and_response_are_found(direction):
    """From a flat with noise: to what the photons of the flat allow."""
    case = night(direction, response=0.01, slit_function=0.03)
    frame = case.observation.flat(5)
    flat = flat_field(case.cal, frame, case.slits)
    response = true_response(case)
    for slit_id in case.slits:
        inside, _, from_end = pixels_of(case, slit_id)
        inside &= from_end > 4
        light = case.observation._illumination(slit_id, np.nan_to_num(case.t)) * response
        ratio = (flat.response / light)[inside]
        noise = (frame.uncertainty.array / frame.data)[inside]
        bright = noise < 0.02
        assert np.std(ratio[bright] / ratio[bright].mean()) < 0.011
        assert flat.scatter[slit_id] == pytest.approx(0.01, abs=0.004)
        assert np.nanmax(flat.error[inside]) < 0.02


@pytest.mark.parametrize("direction", ["RL", "BU"])
def test_dust_on_a_slit_is_followed(direction):
    """It is 3 px wide and dark by 30 %: what is left of it would look like objects."""
    case = night(direction)
    observation = unevenly_lit(case.observation, slope=0.1, dust=0.3)
    flat = flat_field(case.cal, observation.flat(5), case.slits)
    frame = observation.science(3, **STAR)
    reduction = reduce_frame(case.cal, frame, slits=case.slits, flat=flat)
    for slit_id in case.slits:
        inside, off, _ = pixels_of(case, slit_id)
        ratio = flat.response / observation._illumination(slit_id, np.nan_to_num(case.t))
        length = np.median(off[inside] / (case.t[inside] - STAR["position"]))
        row = np.rint((case.t - 0.7) * length)
        near = [ratio[inside & (row == k)].mean() for k in range(-4, 5)]
        assert np.ptp(near) < 0.003 * np.median(near)
        assert len(reduction.slits[slit_id].objects) == 1


def test_illumination_is_1_where_the_ends_do_not_cut_the_light():
    """Else objects in short slits would be fainter than those in long ones."""
    case = night("LR")
    flat = flat_field(case.cal, case.observation.flat(5), case.slits)
    for slit_id in case.slits:
        inside, _, from_end = pixels_of(case, slit_id)
        assert np.mean(flat.response[inside & (from_end > 4)]) == pytest.approx(1, abs=0.003)


def test_what_is_bright_on_the_flat_alone_is_no_response():
    case = night("LR")
    frame = case.observation.flat(5)
    inside, _, from_end = pixels_of(case, case.slits[0])
    rows, columns = np.nonzero(inside & (from_end > 5))
    frame.data[rows[5000], columns[5000]] *= 4
    divided = flat_field(case.cal, frame, case.slits[:1]).apply(case.observation.science(1))
    assert divided.mask[rows[5000], columns[5000]]


def test_a_faint_flat_adds_no_noise():
    """Where photons are few, the response is pulled to 1 rather than followed."""
    case = night("LR", response=0.01)
    faint = flat_field(case.cal, case.observation.flat(5, level=400.0), case.slits)
    inside, _, from_end = pixels_of(case, case.slits[0])
    inside &= from_end > 4
    assert np.std(faint.response[inside]) < 0.02  # the flat's own noise is 5 %


def test_dividing_keeps_what_is_known():
    case = night("LR", slit_function=0.03)
    flat = flat_field(case.cal, case.observation.flat(5), case.slits)
    frame = case.observation.science(1)
    divided = flat.apply(frame)
    np.testing.assert_allclose(divided.data * flat.response, frame.data, rtol=1e-6)
    ratio = divided.uncertainty.array * flat.response / frame.uncertainty.array
    assert ratio.min() > 0.9999
    outside = case.slit < 0
    np.testing.assert_array_equal(divided.data[outside], frame.data[outside])
    assert divided.unit == frame.unit
    np.testing.assert_array_equal(frame.data, case.observation.science(1).data)


def test_dead_pixels_are_masked():
    case = night("LR")
    frame = case.observation.flat(5)
    inside, _, from_end = pixels_of(case, case.slits[0])
    rows, columns = np.nonzero(inside & (from_end > 5))
    frame.data[rows[5000], columns[5000]] *= 0.05
    flat = flat_field(case.cal, frame, case.slits[:1])
    divided = flat.apply(case.observation.science(1))
    assert divided.mask[rows[5000], columns[5000]]
    assert np.isfinite(divided.data).all()


def test_no_light_is_said():
    case = night("LR")
    dark = CCDData(np.zeros(case.total.shape), unit="adu", meta={"header": {}})
    with pytest.warns(SpecwcsWarning, match="slits skipped"):
        flat = flat_field(case.cal, dark, case.slits[:1])
    np.testing.assert_array_equal(flat.response, 1)
    assert list(flat.skipped) == case.slits[:1]


def test_frame_of_another_size_is_refused():
    case = night("LR")
    flat = flat_field(case.cal, case.observation.flat(5), case.slits[:1])
    with pytest.raises(InputError, match=r"Must be that of the flat"):
        flat.apply(CCDData(np.zeros((10, 10)), unit="adu"))
