"""BAD_INPUTS.md, rows 41, 44 and 45: slits that are not on the frame, or not for spectra."""

from dataclasses import replace

import numpy as np
import pytest

from specwcs import Mask
from specwcs.calibration import calibrate
from specwcs.cli import main
from specwcs.errors import FitError
from specwcs.simulate import example, lamp, wrong


@pytest.fixture(scope="module")
def night():
    obs = example(shape=(300, 1024), n_slits=5, line_curvature=1.0)
    return obs, obs.flat(1), obs.arc(lamp(), 2)


def away(slit, name):
    """The slit, half a metre farther."""
    return replace(slit, id=name, y=slit.y + 500, control=slit.control + np.array([0, 500]))


def test_rows_41_and_45_off_the_detector_and_reference_holes(night):
    obs, flat, arc = night
    mask = Mask([*obs.mask.values(), away(obs.mask["01"], "far")])
    cal = calibrate(wrong(obs.instrument), mask, flat=flat, arc=arc, catalog=lamp())
    assert cal.slits["far"].flag == "off detector"
    assert "falls on rows" in cal.slits["far"].reason
    assert set(cal.good()) == set(obs.mask)
    lines = cal.residuals[cal.residuals["kind"] == "line"]
    holes = {key for key, slit in obs.mask.items() if slit.reference}
    assert holes
    assert set(np.unique(lines["slit"])) == set(obs.mask) - holes


def test_row_44_no_slit_on_the_detector(night, tmp_path, capsys):
    obs, flat, arc = night
    mask = Mask([away(slit, key) for key, slit in obs.mask.items()])
    with pytest.raises(FitError, match=r"no slit of the mask falls on the frame.*pixel_scale"):
        calibrate(obs.instrument, mask, flat=flat, arc=arc, catalog=lamp())
    files = obs.write(tmp_path, lamp(), 1)
    mask.write(files["mask"], overwrite=True)
    given = [str(files[name]) for name in ("instrument", "mask")]
    frames = [word for name in ("flat", "arc", "catalog")
              for word in (f"--{name}", str(files[name]))]  # fmt: skip
    assert main(["calibrate", *given, *frames, "-o", str(tmp_path / "c.asdf")]) == 2
    assert "no slit of the mask falls on the frame" in capsys.readouterr().err
    assert not (tmp_path / "c.asdf").exists()
