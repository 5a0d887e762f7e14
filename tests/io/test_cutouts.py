import json
import subprocess
import sys

import calibration_cases as cases
import numpy as np
import pytest
from astropy.io import fits

from specwcs.calibration import solve
from specwcs.errors import InputError
from specwcs.extraction import reduce_frame
from specwcs.io.cutouts import COSMIC_RAY, NOT_IN_SLIT, read_cutouts, write_cutouts
from specwcs.simulate import example


@pytest.fixture(scope="module", params=["LR", "UB"])
def reduced(request):
    shape = (240, 500) if request.param == "LR" else (500, 240)
    observation = example(request.param, shape, 6)
    cal = solve(
        observation.instrument,
        observation.mask,
        cases.true_markers(observation, scatter=0.02),
        medium="air",
        opt=(2, 2),
        crv=(2, 1, 1),
        ids=(4, 1, 1),
    )
    return cal, reduce_frame(cal, observation.science(1, cosmic_rays=20))


@pytest.fixture
def path(reduced, tmp_path):
    write_cutouts(tmp_path / "cut.fits", *reduced)
    return tmp_path / "cut.fits"


def test_each_slit_is_the_frame_without_the_sky(reduced, path):
    cal, reduction = reduced
    frame, cutouts = reduction.subtracted, read_cutouts(path)
    assert list(cutouts) == list(reduction.slits)
    maps = cal.maps()
    for slit_id, cutout in cutouts.items():
        x, y = cutout.origin
        part = (slice(y, y + cutout.data.data.shape[0]), slice(x, x + cutout.data.data.shape[1]))
        np.testing.assert_allclose(cutout.data.data, frame.data[part], rtol=1e-6)
        sigma = frame.uncertainty.array[part]
        np.testing.assert_allclose(cutout.data.uncertainty.array, sigma, rtol=1e-6)
        own = maps.slit == list(cal.mask).index(slit_id)
        np.testing.assert_allclose(cutout.wavelength[own[part]], maps.wavelength[own])
        assert np.isfinite(cutout.wavelength).sum() >= own.sum()
        assert not cutout.data.mask[own[part] & ~frame.mask[part]].any()


def test_a_file_is_replaced_only_if_that_is_said(reduced, path):
    before = path.read_bytes()
    with pytest.raises(InputError, match="overwrite"):
        write_cutouts(path, *reduced)
    assert path.read_bytes() == before
    path.write_bytes(b"another")
    write_cutouts(path, *reduced, overwrite=True)
    assert path.read_bytes() == before


def test_wcs_is_that_of_the_cutout(reduced, path):
    for cutout in read_cutouts(path).values():
        seen = np.isfinite(cutout.wavelength)
        y, x = np.nonzero(seen)
        wavelength, t = cutout.data.wcs(x, y)
        step = np.nanmedian(np.abs(np.gradient(cutout.wavelength)).max(axis=0))
        miss = np.abs(wavelength - cutout.wavelength[seen])
        assert np.nanmax(miss) < 2e-3 * step
        assert np.isfinite(miss).mean() > 0.97  # the bounding box ends with the detector
        back = cutout.data.wcs.invert(wavelength[::50], t[::50])
        np.testing.assert_allclose(back[0], x[::50], atol=2e-3)
        np.testing.assert_allclose(back[1], y[::50], atol=2e-3)


def test_flags_tell_why(reduced, path):
    with fits.open(path) as hdus:
        flags = [hdu.data for hdu in hdus if hdu.name == "DQ"]
        names = [hdu.name for hdu in hdus][1:5]
    assert names == ["SCI", "ERR", "DQ", "WAVELENGTH"]
    assert all((f & NOT_IN_SLIT).any() and not (f & NOT_IN_SLIT).all() for f in flags)
    assert any((f & COSMIC_RAY).any() for f in flags)


def test_wcs_opens_without_specwcs(path):
    program = f"""
import io, json, sys
sys.modules["specwcs"] = None
import asdf
from astropy.io import fits
with fits.open({str(path)!r}) as hdus:
    content = hdus["ASDF"].data["ASDF_METADATA"][0].tobytes()
    slit = hdus["SCI", 1].header["SLIT"]
    shape = hdus["SCI", 1].data.shape
with asdf.open(io.BytesIO(content)) as file:
    wcs = file["wcs"][slit]
    print(json.dumps([str(v) for v in wcs.pixel_to_world(shape[1] // 2, shape[0] // 2)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Angstrom" in json.loads(done.stdout)[0]


def test_other_files_are_refused(tmp_path):
    for name, content in (("text.fits", b"nothing"), ("missing.fits", None)):
        if content:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: cannot be read as cut-outs"):
            read_cutouts(tmp_path / name)
    fits.PrimaryHDU().writeto(tmp_path / "empty.fits")
    with pytest.raises(InputError, match="cannot be read as cut-outs"):
        read_cutouts(tmp_path / "empty.fits")
