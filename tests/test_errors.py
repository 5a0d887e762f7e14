"""Arguments of another type: each call says what they must be, and what gives it."""

import numpy as np
import pytest
from calibration_cases import true_markers

import specwcs
from specwcs import InputError
from specwcs.calibration import fit_image, solve
from specwcs.errors import check_type
from specwcs.simulate import example, lamp


@pytest.fixture(scope="module")
def obs():
    return example(shape=(256, 512), n_slits=4)


@pytest.fixture(scope="module")
def cal(obs):
    degrees = {"opt": (1, 1), "crv": (1, 1, 1), "ids": (3, 1, 1)}
    return solve(obs.instrument, obs.mask, true_markers(obs), medium="air", **degrees)


@pytest.fixture(scope="module")
def frame(obs):
    return obs.flat(None)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"instrument": "inst.icf"},
         r"instrument is 'inst\.icf'\. Must be an Instrument, as Instrument\.read gives it\."),
        ({"mask": "m.mdf"}, r"mask is 'm\.mdf'\. Must be a Mask, as Mask\.read gives it\."),
        ({"catalog": "x.dat"}, "Must be a LineCatalog, as LineCatalog.read gives it"),
        ({"catalog": None}, "catalog is None"),
        ({"arc": None}, "path is None. Must be a file, or a list of files"),
    ],
)  # fmt: skip
def test_calibrate(obs, frame, wrong, match):
    given = {"instrument": obs.instrument, "mask": obs.mask, "catalog": lamp(), "arc": frame}
    with pytest.raises(InputError, match=match):
        specwcs.calibrate(**(given | wrong))


@pytest.mark.parametrize("call", [fit_image, solve])
def test_instrument_and_mask(obs, call):
    rest = {"image": None} if call is fit_image else {"markers": None, "medium": "air"}
    with pytest.raises(InputError, match=r"instrument is 'inst\.icf'"):
        call("inst.icf", obs.mask, **rest)
    with pytest.raises(InputError, match="mask is of type dict"):
        call(obs.instrument, {}, **rest)


@pytest.mark.parametrize("call", [specwcs.rectify, specwcs.extract, specwcs.flat_field])
def test_a_calibration_and_a_frame(call, cal, frame):
    with pytest.raises(InputError, match=r"frame is 's\.fits'. .* CCDData, as specwcs\.read_frame"):
        call(cal, "s.fits")
    with pytest.raises(InputError, match="frame is of type ndarray"):
        call(cal, frame.data)
    with pytest.raises(InputError, match=r"cal is 'c\.asdf'. .* Calibration, as Calibration\.read"):
        call("c.asdf", frame)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"flat": "flat.fits"}, "flat is 'flat.fits'. .* FlatField, as specwcs.flat_field gives"),
        ({"objects": {"01": 0.5}}, r"slit 01: objects is 0\.5\. Must be a list, \[0\.5\]"),
        ({"objects": {"01": ["a"]}}, "slit 01: an object at t = 'a'. Must be between 0 and 1"),
        ({"objects": [0.5]}, "objects is of type list. Must be lists of positions t, by slit"),
    ],
)
def test_extract(cal, frame, options, match):
    with pytest.raises(InputError, match=match):
        specwcs.extract(cal, frame, **options)


def test_tune(cal, frame):
    with pytest.raises(InputError, match=r"calibration is 'cal\.asdf'"):
        specwcs.tune("cal.asdf", flat=frame)
    with pytest.raises(InputError, match=r"catalog is 'x\.dat'"):
        specwcs.tune(cal, arc=frame, catalog="x.dat")


@pytest.mark.parametrize("wrong", ["cal", "flat", "arc", "previous"])
def test_write_report(cal, wrong, tmp_path):
    given = {"cal": cal, "path": tmp_path / "r.html", wrong: "of another type"}
    with pytest.raises(InputError, match=f"{wrong} is 'of another type'"):
        specwcs.write_report(**given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [None, [None], 3, np.zeros(2)])
def test_read_frame(obs, path):
    with pytest.raises(InputError, match=r"path is .*Must be a file, or a list of files"):
        specwcs.read_frame(path, obs.instrument)
    with pytest.raises(InputError, match=r"instrument is 'i\.icf'"):
        specwcs.read_frame("a.fits", "i.icf")
    if path is not None:
        with pytest.raises(InputError, match=r"bias is .*Must be a file, or a list of files"):
            specwcs.read_frame("a.fits", obs.instrument, bias=path)


def test_none_may_be_allowed():
    check_type(specwcs.Mask, optional=True, mask=None)
    with pytest.raises(InputError, match="mask is None"):
        check_type(specwcs.Mask, mask=None)
