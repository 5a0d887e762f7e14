"""Models to and from files, pictures, and what is measured for the eye."""

import calibration_cases as cases
import hand
import numpy as np
import pytest

from specwcs import Calibration, FitError, InputError, ModelsCalibration
from specwcs.models import OpticalModel
from specwcs.report import write_figure
from specwcs.simulate import example, wrong

BAND = (5300.0, 8900.0)


@pytest.fixture
def done(fitted, mos):
    fitted.plot_ids_model(hand.bright_lamp())
    hand.place(fitted, mos)
    fitted.fit_ids_model()
    return fitted


@pytest.fixture
def paths(done, tmp_path):
    paths = {name: tmp_path / f"x.{name}" for name in ("opt", "crv", "ids")}
    for name, path in paths.items():
        getattr(done, name).writeto(path)
    return paths


def test_models_come_back_with_their_fits(done, paths, mos):
    again = ModelsCalibration(wrong(mos.instrument), mos.mask, **paths, viewer=None)
    one, other = done.calibration, again.calibration
    for name in ("opt", "crv", "ids"):
        assert np.array_equal(getattr(one, name).parameters, getattr(other, name).parameters)
    assert other.good() == one.good()
    x, y = one.geometry("05").pixel(7200.0, 0.5)
    sigma = one.wavelength_uncertainty("05", x, y)
    assert sigma > 0
    assert other.wavelength_uncertainty("05", x, y) == sigma
    assert {k: v.n_lines for k, v in one.slits.items()} == {
        k: v.n_lines for k, v in other.slits.items()
    }


def test_a_model_changed_by_hand_loses_the_fit_that_it_had(done, tmp_path, mos):
    done.opt.x0_0 = done.opt.x0_0.value + 50.0
    done.opt.writeto(tmp_path / "x.opt")
    again = ModelsCalibration(wrong(mos.instrument), mos.mask, opt=tmp_path / "x.opt", viewer=None)
    assert "OPT: changed by hand" in again.calibration.slits["05"].reason
    assert len(again.calibration.residuals) == 0


def test_models_of_a_calibration_start_a_session(done, mos):
    cal = done.calibration
    again = ModelsCalibration(
        mos.instrument, mos.mask, opt=cal.opt, crv=cal.crv, ids=cal.ids, viewer=None
    )
    again.plot_ids_model(hand.bright_lamp())
    assert len(again.markers) > 400
    assert again.calibration.good() == []  # nobody knows how they were fitted
    again.load_image(mos.arc(hand.lamp(), 1))
    assert again.plot_slice("07").axes


def test_files_are_not_replaced_unless_asked(done, paths):
    with pytest.raises(InputError, match="exists already"):
        done.opt.writeto(paths["opt"])
    done.opt.writeto(paths["opt"], overwrite=True)
    assert isinstance(OpticalModel.read(paths["opt"]), OpticalModel)


def test_a_model_of_another_kind_or_instrument_is_refused(paths, mos):
    with pytest.raises(InputError, match="OpticalModel"):
        ModelsCalibration(mos.instrument, mos.mask, opt=paths["crv"], viewer=None)
    crv = ModelsCalibration(mos.instrument, mos.mask, **paths, viewer=None).crv
    with pytest.raises(InputError, match="Must be a OpticalModel"):
        ModelsCalibration(mos.instrument, mos.mask, opt=crv, viewer=None)
    other = wrong(mos.instrument).__class__(
        **{**vars(mos.instrument), "reference_lambda": 6500.0, "name": "other"}
    )
    with pytest.raises(InputError, match=r"x\.opt: this model has reference_lambda 7000"):
        ModelsCalibration(other, mos.mask, opt=paths["opt"], viewer=None)


def test_the_calibration_of_a_session_is_one_like_any_other(done, mos, tmp_path):
    cal = done.calibration
    cal.write(tmp_path / "cal.asdf")
    read = Calibration.read(tmp_path / "cal.asdf")
    assert cases.rms(cases.wavelength_errors(mos, read, band=BAND)) < 0.1
    x, y = read.wcs("05").invert(7000.0, 0.5)
    assert read.wcs("05")(x, y)[0] == pytest.approx(7000.0, abs=1e-8)


def test_the_slice_names_the_lines_where_they_are(done, mos, mos_arc, tmp_path):
    done.load_image(mos_arc)
    figure = done.plot_slice("08")
    axes, above = figure.axes
    assert "slit 08" in figure.get_suptitle()
    assert above.get_xlabel() == "wavelength in air, Å"
    pixel, flux = axes.lines[0].get_data()
    for text in axes.texts:
        wavelength = float(text.get_text().split()[-1])
        along = mos.instrument.direction.split(*mos.pixel("08", 0.5, wavelength))[0]
        assert text.get_position()[0] == pytest.approx(along, abs=0.5)
    assert len(axes.texts) > 20
    brightest = pixel[np.nanargmax(flux)]
    true = [
        mos.instrument.direction.split(*mos.pixel("08", 0.5, w))[0]
        for w in hand.bright_lamp().wavelength
    ]
    assert np.abs(np.array(true) - brightest).min() < 1.0
    ticks = dict(zip((t.get_text() for t in above.get_xticklabels()), above.get_xticks(),
                     strict=True))  # fmt: skip
    along = mos.instrument.direction.split(*mos.pixel("08", 0.5, 7000.0))[0]
    assert ticks["7000"] == pytest.approx(along, abs=0.5)
    write_figure(figure, tmp_path / "slice.png")


def test_a_slice_without_a_fit_and_of_a_slit_off_the_frame(calib, mos, mos_arc):
    calib.load_image(mos_arc)
    assert calib.plot_slice("08").axes
    calib.opt.y0_0 = -3000.0
    figure = calib.plot_slice("08")
    assert "off the frame" in figure.axes[0].texts[0].get_text()
    with pytest.raises(InputError, match=r"unknown slit '99'\. Must be one of 01, 02"):
        calib.plot_slice(99)


def test_residuals_are_drawn_and_the_worst_slits_listed(done, capsys, tmp_path):
    figure = done.plot_residuals()
    assert "worst slits: " in capsys.readouterr().out
    assert "IDS" in figure.get_suptitle()
    assert "CRV" in done.plot_residuals("crv").get_suptitle()
    with pytest.raises(InputError, match=r"unknown model 'IDS'\. Must be one of opt, crv, ids"):
        done.plot_residuals("IDS")
    write_figure(figure, tmp_path / "residuals.png")


def test_a_fit_prints_and_returns_its_table(calib, mos, capsys):
    calib.plot_opt_model()
    hand.place(calib, mos)
    summary = calib.fit_opt_model()
    printed = capsys.readouterr().out
    assert str(summary) in printed
    for word in ("OPT fitted", "2, 2", "14 used, 0 dropped", "18 (the rank)", " px", "worst slit"):
        assert word in printed
    assert 0.05 < summary.rms < 0.3


def test_frames_of_another_shape_are_refused(calib, mos):
    frame = example_frame((10, 20))
    with pytest.raises(InputError, match=r"shape is \(10, 20\)"):
        calib.load_image(frame)


def example_frame(shape):
    from astropy.nddata import CCDData

    return CCDData(np.zeros(shape), unit="adu")


# -- measured for the eye ------------------------------------------------------------


@pytest.mark.slow
def test_a_session_measured_by_itself():
    mos = example("RL", (400, 1024), n_slits=9, seed=3, flipy=True)
    mos_arc = mos.arc(hand.lamp(), 1)
    calib = ModelsCalibration(wrong(mos.instrument), mos.mask, viewer=None)
    calib.new_opt_model(1, 2)
    calib.load_image(mos_arc)
    calib.measure_opt(hand.lamp())
    assert calib.opt.y_flipped  # as the frame shows it
    x, _ = hand.true_places(mos, calib.markers)
    assert np.median(np.abs(calib.markers["x"].value - x)) < 0.1
    calib.fit_opt_model()
    calib.load_image(mos.flat(1))
    calib.new_crv_model(2, 2, 2)
    calib.measure_crv()
    calib.fit_crv_model()
    calib.load_image(mos_arc)
    calib.new_ids_model(5, 2, 2)
    calib.measure_ids(hand.lamp())
    summary = calib.fit_ids_model()
    assert summary.rms < 0.1
    errors = cases.wavelength_errors(mos, calib.calibration, band=(5500.0, 8600.0))
    assert cases.rms(errors) < 0.05

    # Three are moved by hand, and fitted with the others.
    def used():
        fitted = calib.calibration.residuals
        return np.array(fitted["used"][fitted["kind"] == "line"])

    markers, moved = calib.markers, np.flatnonzero(used())[:3]
    markers["x"][moved] += 3 * markers["x"].unit
    calib.markers = markers
    assert calib.fit_ids_model().n_used > 0.9 * len(markers)
    assert not used()[moved].any()


def test_a_flat_that_shows_the_mask_mirrored_says_so(calib, mos):
    calib.opt.flipy()  # wrongly back
    calib.plot_opt_model()
    calib.new_crv_model(2, 2, 2)
    calib.load_image(mos.flat(1))
    with pytest.raises(FitError, match=r"opt\.flipy\(\)"):
        calib.measure_crv()


def test_measuring_lines_needs_a_lamp(calib, mos_arc):
    calib.load_image(mos_arc)
    with pytest.raises(InputError, match=r"the lamp is not known\. Give the catalogue"):
        calib.measure_ids()
