"""The frames of the tutorial: the same every time, of what the tutorial tells of."""

import numpy as np
import pytest

from specwcs import InputError, Instrument, LineCatalog, Mask, read_frame
from specwcs.simulate import tutorial


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return tutorial(tmp_path_factory.mktemp("frames"))


def test_nothing_is_replaced_unless_asked_for(written):
    folder = written.files["mos/arc"].parent.parent
    with pytest.raises(InputError, match="exists"):
        tutorial(folder)


@pytest.mark.parametrize("case", ["mos", "longslit"])
def test_files_are_read_and_nominal_values_are_off(written, case):
    instrument = Instrument.read(written.files[f"{case}/instrument"])
    truth = getattr(written, case).instrument
    assert truth.pixel_scale / instrument.pixel_scale == pytest.approx(1.03)
    assert instrument.linear_dispersion / truth.linear_dispersion == pytest.approx(0.97)
    mask = Mask.read(written.files[f"{case}/mask"])
    assert not mask.faults
    assert list(mask) == list(getattr(written, case).mask)
    for name in ("flat", "arc", "arc_ne", "arc_ar", "science"):
        if f"{case}/{name}" in written.files:
            frame = read_frame(written.files[f"{case}/{name}"], instrument)
            assert frame.data.max() < instrument.saturation


def test_the_mask_falls_upside_down(written):
    mask, reference = written.mos.mask, written.mos.instrument.reference_lambda
    heights = [float(slit.y) for slit in mask.values()]
    rows = [float(written.mos.pixel(key, 0.5, reference)[1]) for key in mask]
    assert np.corrcoef(heights, rows)[0, 1] < -0.99


def test_lines_to_be_used_are_bright_and_alone(written):
    for name, medium, n in (("mos/lamp", "air", 36), ("longslit/sky", "vacuum", 38)):
        catalog = LineCatalog.read(written.files[name])
        truth = getattr(written, name.partition("/")[0])
        assert catalog.medium == medium
        low, high = (5000.0, 10000.0) if medium == "air" else truth.passband
        shown = catalog.select(low, high)
        used = np.sort(shown.wavelength[shown.flag == 1])
        assert len(used) == n
        assert np.diff(used).min() > 5 * truth.instrument.linear_dispersion
        assert truth.instrument.reference_lambda in used.round(4)


def test_lines_of_a_long_slit_are_curved(written):
    x, _ = written.longslit.pixel("1", np.array([0.0, 0.5, 1.0]), 19114.08)
    assert abs(x[1] - (x[0] + x[2]) / 2) > 1.5
