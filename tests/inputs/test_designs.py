"""Mask designs of other programs: real files, and files made as their formats are published."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table

from specwcs.cli import main
from specwcs.errors import InputError
from specwcs.inputs import Mask


def write(path, header=(), tables=()):
    """Write a FITS file of header cards and tables."""
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for key, value in dict(header).items():
        hdus[0].header[f"HIERARCH {key}" if " " in key else key] = value
    for name, columns in dict(tables).items():
        hdus.append(fits.BinTableHDU(Table(columns), name=name))
    hdus.writeto(path)
    return path


# -- MODS and LUCI ----------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "n_slits", "width"),
    [("sudokuMask", 87, None), ("ls5x60x1.0", 5, 0.6), ("ls60x5", 1, 3.0)],
)
def test_the_masks_of_mods_are_read(real_data, name, n_slits, width):
    """Counted in the files by hand: targets with a shape; WIDMM of the long slits."""
    mask = Mask.read(real_data / "mods" / f"{name}.mms")
    assert len(mask) == n_slits
    assert not {key for key in mask.faults if key not in mask}
    if width:
        assert all(slit.dimx == pytest.approx(width) for slit in mask.values())
    place = np.array([[slit.x, slit.y] for slit in mask.values()])
    assert np.abs(place).max() < 150  # mm: the field of MODS is 6 arcmin wide


MMS = """
INS.TARG101.SHAPE STRAIGHT
INS.TARG101.WIDMM 0.6
INS.TARG101.LENMM 6.0
INS.TARG101.XMM {x}
INS.TARG101.YMM 20.0
INS.TARG101.WID 1.0
INS.TARG101.LEN 10.0
INS.TARG102.SHAPE STRAIGHT
INS.TARG102.WIDMM 0.6
INS.TARG102.LENMM 6.0
INS.TARG102.XMM -5
INS.TARG102.YMM -20.0
INS.TARG102.ROT 10
"""


def test_a_tilted_slit_of_mods_keeps_its_width_along_the_dispersion(tmp_path):
    path = tmp_path / "a.mms"
    path.write_text(MMS.format(x=1.5))
    slit = Mask.read(path)["102"]
    corners = slit.corners()
    rows = np.abs(corners[:, 1] - slit.y)
    # The horizontal cut through the middle of the rectangle is WIDMM wide.
    assert slit.dimx / np.cos(np.radians(10)) == pytest.approx(0.6)
    assert slit.control[:, 1] - slit.y == pytest.approx([3.0, -3.0])
    assert rows.max() > 3.0
    assert "sign" in Mask.read(path).faults["102"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("XMM 1.5", "XMM one"), r"a.mms.*line 5.*slit 101|line 5.*INS.TARG101.XMM"),
        (("INS.TARG101.XMM 1.5\n", ""), "INS.TARG101.XMM is missing"),
        (("INS.TARG102.XMM", "INS.TARG101.XMM"), "given twice"),
        (("STRAIGHT\nINS.TARG101.W", "ROUND\nINS.TARG101.W"), "Must be STRAIGHT, CIRCLE"),
        (("ROT 10", "ROT 85"), "below 80 degrees"),
        (("INS.TARG102.ROT 10", "INS.TARG102.ROT"), "has no value"),
    ],
)  # fmt: skip
def test_faulty_lines_are_named(tmp_path, change, told):
    path = tmp_path / "a.mms"
    text = MMS.format(x=1.5).replace(*change)
    assert text != MMS.format(x=1.5)
    path.write_text(text)
    with pytest.raises(InputError, match=told) as caught:
        Mask.read(path)
    assert "a.mms" in str(caught.value)


# -- FITS -------------------------------------------------------------------------


def vimos(n=3, **cards):
    header = {"INSTRUME": "VIMOS", "ESO INS SLIT NO": n, "ESO TEL FOCU SCALE": 1.7}
    for i in range(1, n + 1):
        box = {"TYPE": "RECTANGLE", "X": 10.0 * i, "Y": 5.0 * i, "DIMX": 6.0, "DIMY": 0.6}
        header |= {f"ESO INS SLIT{i} {key}": value for key, value in box.items()}
    return header | cards


def test_vimos_slits_lie_along_x_and_may_be_curved(tmp_path):
    curve = {"TYPE": "CURVE", "BEZIER XX": 0.0, "BEZIER CX": 8.0, "BEZIER BX": 0.0,
             "BEZIER AX": 0.0, "BEZIER YY": 1.0, "BEZIER CY": 4.0, "BEZIER BY": -4.0,
             "BEZIER AY": 0.0, "BEZIER DY": 0.5}  # fmt: skip
    header = vimos() | {f"ESO INS SLIT2 {key}": value for key, value in curve.items()}
    mask = Mask.read(write(tmp_path / "v.fits", header))
    assert mask["1"].length == pytest.approx(1.7 * 6.0)
    assert mask["1"].width == pytest.approx(1.7 * 0.6)
    t = np.linspace(0, 1, 5)
    X, Y = mask["2"].curve(t)
    if X[0] > X[-1]:
        X, Y = X[::-1], Y[::-1]
    assert pytest.approx(8.0 * t) == X
    assert pytest.approx(1.0 + 4.0 * t - 4.0 * t**2) == Y


def test_a_design_becomes_a_mask_file_that_reads_the_same(tmp_path, capsys):
    curve = {"TYPE": "CURVE", "BEZIER XX": 0.0, "BEZIER CX": 8.0, "BEZIER BX": 0.3,
             "BEZIER AX": 0.1, "BEZIER YY": 1.0, "BEZIER CY": 4.0, "BEZIER BY": -4.0,
             "BEZIER AY": 0.2, "BEZIER DY": 0.5}  # fmt: skip
    header = vimos(4) | {f"ESO INS SLIT2 {key}": value for key, value in curve.items()}
    header |= {"ESO INS SLIT3 Y": -30.0}
    pole = SkyCoord(150.0, 2.0, unit="deg")
    for i, (x, y) in enumerate([(10.0, 5.0), (4.1, 0), (30.0, -30.0), (40.0, 20.0)], 1):
        at = pole.spherical_offsets_by(1.7 * x / 3600 * u.deg, 1.7 * y / 3600 * u.deg)
        header |= {f"ESO INS SLIT{i} OBJ RA": at.ra.deg, f"ESO INS SLIT{i} OBJ DEC": at.dec.deg}
    design = write(tmp_path / "v.fits", header)
    assert main(["mask", "convert", str(design), str(tmp_path / "v.mdf")]) == 0
    assert "4 slits" in capsys.readouterr().out
    first, second = Mask.read(design), Mask.read(tmp_path / "v.mdf")
    assert list(first) == list(second)
    for key, slit in first.items():
        assert np.array_equal(slit.control, second[key].control)
        assert slit.sky == second[key].sky
    assert first["1"].sky is not None
    assert first["1"].sky.ra == pytest.approx(150.0 + 17.0 / 3600, abs=1e-5)
    assert main(["mask", "convert", str(design), str(tmp_path / "v.mdf")]) == 2


def test_fors_masks_and_slitlets(tmp_path):
    masked = {"INSTRUME": "FORS2"}
    for n, x in ((101, 3.0), (102, -8.0)):
        keys = {"XPOS": x, "YPOS": 5.0 * x, "WID": 1.0, "LEN": 20.0}
        masked |= {f"ESO INS MOS{n} {key}": value for key, value in keys.items()}
    mask = Mask.read(write(tmp_path / "mxu.fits", masked))
    assert mask["101"].dimy == pytest.approx(20.0 * 0.53316)
    slitlets = {"INSTRUME": "FORS2"}
    for n, x in ((1, 10.0), (2, -20.0), (10, 0.0), (19, 130.0)):
        slitlets |= {f"ESO INS MOS{n} POS": x, f"ESO INS MOS{n} WID": 1.0}
    mask = Mask.read(write(tmp_path / "mos.fits", slitlets))
    assert list(mask) == ["1", "2", "10"]
    assert mask["10"].y == 0.0
    assert mask["1"].y > mask["2"].y > 0
    assert any("19" in note for note in mask.notes)


def gmos(**columns):
    rows = {
        "ID": [1, 2, 3], "RA": [10.0, 10.001, 10.0], "DEC": [-20.0, -20.0, -19.99],
        "slitpos_mx": [0.0, 30.0, 0.0], "slitpos_my": [0.0, 10.0, 22.0],
        "slitsize_mx": [0.6, 0.6, 1.2], "slitsize_my": [3.0, 3.0, 1.2],
        "priority": ["1", "1", "0"], "slittype": ["R", "R", "R"],
    }  # fmt: skip
    return {"MDF": rows | columns}


def test_gmos_masks_with_a_tilt_and_a_reference(tmp_path):
    table = gmos(slittilt_m=[0.0, 15.0, 0.0])
    mask = Mask.read(write(tmp_path / "g.fits", {"INSTRUME": "GMOS-N"}, table))
    assert mask["3"].reference
    assert not mask["1"].reference
    X, Y = mask["2"].curve(np.array([0.0, 1.0]))
    # Counter-clockwise: the upper end goes to the left.
    top = int(Y[1] > Y[0])
    assert X[top] < X[1 - top]
    assert abs(Y[0] - Y[1]) == pytest.approx(3.0)


def test_gmos_on_flamingos_2_disperses_along_y(tmp_path):
    table = gmos(slittilt_m=[0.0, 15.0, 0.0], slitsize_mx=[3.0, 3.0, 1.2],
                 slitsize_my=[0.6, 0.6, 1.2])  # fmt: skip
    mask = Mask.read(write(tmp_path / "f.fits", {"INSTRUME": "F2"}, table))
    X, _ = mask["2"].curve(np.array([0.0, 1.0]))
    assert abs(X[0] - X[1]) == pytest.approx(3.0)


def test_deimos_corners_are_a_slit(tmp_path):
    rings = np.array([[0, 0, 8, 0, 8, 1, 0, 1], [20, 10, 28, 14, 28, 15, 20, 11]], float)
    blue = {"dSlitId": [7, 9]} | {
        f"slit{axis.upper()}{n}": rings[:, 2 * (n - 1) + k]
        for n in (1, 2, 3, 4) for k, axis in enumerate("xy")
    }  # fmt: skip
    design = {"dSlitId": [7, 9, 11], "slitLen": [11.0, 12.0, 3.0], "slitWid": [1.0, 1.0, 1.0],
              "slitTyp": ["P", "A", "P"]}  # fmt: skip
    mask = Mask.read(write(tmp_path / "d.fits", tables={"DesiSlits": design, "BluSlits": blue}))
    slit = mask["7"]
    assert (slit.x, slit.y, slit.dimx, slit.dimy, slit.rot) == pytest.approx((4, 0.5, 8, 1, 0))
    assert mask["9"].reference
    assert mask["9"].rot == pytest.approx(-np.degrees(np.arctan2(4, 8)))
    assert any("11" in note for note in mask.notes)
    with pytest.raises(InputError, match="DESISLITS is missing"):
        Mask.read(write(tmp_path / "half.fits", tables={"BluSlits": blue}))


def msa(**columns):
    rows = {
        "slitlet_id": [1, 1, 1, 2], "msa_metadata_id": [1, 1, 1, 1],
        "shutter_quadrant": [1, 1, 1, 4], "shutter_row": [100, 100, 100, 3],
        "shutter_column": [10, 11, 12, 80], "shutter_state": ["OPEN"] * 4,
    }  # fmt: skip
    return {"SHUTTER_INFO": rows | columns}


def test_shutters_of_nirspec_are_joined(tmp_path):
    mask = Mask.read(write(tmp_path / "m.fits", tables=msa()))
    assert mask["1"].length == pytest.approx(2 * 0.530 + 0.46)
    assert mask["1"].x > 0 < mask["1"].y
    assert mask["2"].x < 0 > mask["2"].y
    gap = Mask.read(write(tmp_path / "g.fits", tables=msa(shutter_column=[10, 12, 13, 80])))
    assert "neighbours" in gap.faults["1"]
    with pytest.raises(InputError, match="shutter_row is 400"):
        Mask.read(write(tmp_path / "w.fits", tables=msa(shutter_row=[400, 100, 100, 3])))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"SIMPLE  = ", "w.fits"),
        (b"SIMPLE  =                    T" + b" " * 3000, "w.fits"),
        (b"\x1f\x8b\x08garbage", "w.fits"),
    ],
)
def test_damaged_files_are_named(tmp_path, content, told):
    path = tmp_path / "w.fits"
    path.write_bytes(content)
    with pytest.raises(InputError, match=told):
        Mask.read(path)


def test_a_fits_file_that_is_no_design(tmp_path):
    with pytest.raises(InputError, match="no mask design that is known"):
        Mask.read(write(tmp_path / "x.fits", {"INSTRUME": "SOFI"}))
    with pytest.raises(InputError, match="ESO INS SLIT NO"):
        Mask.read(write(tmp_path / "y.fits", {"INSTRUME": "VIMOS"}))
    with pytest.raises(InputError, match=r"ESO INS SLIT2 X is .*wide"):
        Mask.read(write(tmp_path / "z.fits", vimos(**{"ESO INS SLIT2 X": "wide"})))
