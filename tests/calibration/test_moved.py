from dataclasses import replace
from functools import cache

import calibration_cases as cases
import numpy as np
import pytest

from specwcs.calibration import moved, solve
from specwcs.errors import InputError
from specwcs.inputs import Mask
from specwcs.models import DispersionModel
from specwcs.simulate import example

SHIFT = (1.7, -0.6)  # px along and across
MOVED = (4.0 + SHIFT[0], -2.0 + SHIFT[1])


@cache
def solved(direction="LR", offset=(4.0, -2.0), rotation=0.3):
    shape = (240, 500) if direction in ("LR", "RL") else (500, 240)
    observation = example(direction, shape, 6, offset=offset, rotation=rotation)
    return observation, solve(
        observation.instrument,
        observation.mask,
        cases.true_markers(observation, scatter=0.1, n_t=6),
        medium="air",
        opt=(2, 2),
        crv=(2, 1, 1),
        ids=(4, 1, 1),
    )


@pytest.fixture(scope="module")
def nights():
    return {"before": solved()[1], "after": solved(offset=MOVED)[1]}


@pytest.mark.parametrize("direction", ["LR", "RL", "BU", "UB"])
def test_shift_of_the_field_is_found_in_every_slit(direction):
    pair = [solved(direction)[1], solved(direction, MOVED)[1]]
    table = moved(*pair)
    assert list(table["slit"]) == list(pair[0].mask)
    assert table["good"].all()
    for name, shift in zip(("along", "across"), SHIFT, strict=True):
        np.testing.assert_allclose(table[name].value, shift, atol=0.1)
        np.testing.assert_allclose(table[f"{name}_max"].value, shift, atol=0.15)
    for name in ("shear", "growth"):
        np.testing.assert_allclose(table[name].value, 0, atol=0.1)
    np.testing.assert_allclose(table["stretch"], 0, atol=1e-3)


@pytest.mark.parametrize("direction", ["LR", "BU"])
def test_rotation_is_told_as_the_ray_trace_has_it(direction):
    (one, before), (other, after) = solved(direction), solved(direction, rotation=1.3)
    axis = before.instrument.direction
    domains = np.transpose([before.ids.domain, after.ids.domain])
    wavelength = np.linspace(domains[0].max(), domains[1].min(), 41)
    for row in moved(before, after):
        t = np.linspace(0, 1, 9)[:, None]
        places = [np.array(obs.pixel(row["slit"], t, wavelength)) for obs in (one, other)]
        on = np.logical_and(
            *(cases.on_detector(obs, *p) for obs, p in zip((one, other), places, strict=True))
        )
        along, across = axis.split(*(places[1] - places[0]))
        assert row["along"].value == pytest.approx(along[on].mean(), abs=0.15)
        assert row["across"].value == pytest.approx(across[on].mean(), abs=0.15)
        assert abs(row["across_max"].value) == pytest.approx(np.abs(across[on]).max(), abs=0.3)
        x, y = row["x"].value, row["y"].value
        assert x == pytest.approx(np.mean([places[0][0][on].min(), places[0][0][on].max()]), abs=8)
        assert y == pytest.approx(np.mean([places[0][1][on].min(), places[0][1][on].max()]), abs=8)


@pytest.mark.parametrize("direction", ["LR", "RL", "BU", "UB"])
def test_dispersion_tilt_and_length(direction):
    """Models changed by hand: what is asked of the numbers is known exactly."""
    _, before = solved(direction)
    ids, opt = (getattr(before, name).copy() for name in ("ids", "opt"))
    ids.coefficients = np.array(ids.coefficients) * 1.01
    wider = moved(before, replace(before, ids=ids))
    np.testing.assert_allclose(wider["stretch"], 0.01, rtol=1e-6)

    # OPT magnified by 1 %: every slit is longer by a hundredth.
    opt.coefficients = np.array(opt.coefficients) * 1.01
    grown = moved(before, replace(before, opt=opt))
    for row in grown:
        x, y = before.geometry(row["slit"]).pixel(before.instrument.reference_lambda, [0, 1])
        length = abs(np.diff(before.instrument.direction.split(x, y)[1])[0])
        assert row["growth"].value == pytest.approx(0.01 * length, rel=0.2, abs=0.02)
    assert (grown["growth"] > 0).all()


def test_nothing_moved(nights):
    table = moved(nights["before"], nights["before"])
    for name in ("along", "across", "along_max", "across_max", "stretch", "shear", "growth"):
        assert not np.any(np.asarray(table[name]))


def test_slits_of_one_night_alone_have_no_row(nights):
    slits = list(nights["after"].mask.values())[1:]
    fewer = replace(nights["after"], mask=Mask(slits))
    assert list(moved(nights["before"], fewer)["slit"]) == [slit.id for slit in slits]


def test_flagged_slits_are_told(nights):
    status = nights["after"].slits | {"03": replace(nights["after"].slits["03"], flag="dark")}
    table = moved(nights["before"], replace(nights["after"], slits=status))
    assert list(table["slit"][~table["good"]]) == ["03"]


def test_slit_off_the_detector_has_no_numbers(nights):
    far = nights["after"].opt.copy()
    far.coefficients = np.array(far.coefficients) + 5000.0
    table = moved(nights["before"], replace(nights["after"], opt=far))
    assert np.isnan(table["along"]).all()
    assert np.isnan(table["x"]).all()


def test_what_cannot_be_compared(nights):
    before, after = nights["before"], nights["after"]
    with pytest.raises(InputError, match="wavelengths in air before, vacuum after"):
        moved(before, replace(after, medium="vacuum"))
    other = replace(after.instrument, xpixels=499)
    with pytest.raises(InputError, match=r"shape \(240, 500\) before, \(240, 499\) after"):
        moved(before, replace(after, instrument=other))
    turned = replace(after.instrument, direction="RL")
    with pytest.raises(InputError, match="dispersion direction LR before, RL after"):
        moved(before, replace(after, instrument=turned))
    renamed = Mask([replace(slit, id=f"x{key}") for key, slit in after.mask.items()])
    with pytest.raises(InputError, match=r"no slit in common: 01, 02, .* … before, x01"):
        moved(before, replace(after, mask=renamed))
    ids = list(after.mask)
    swapped = [replace(after.mask[a], id=b) for a, b in zip(ids, ids[::-1], strict=True)]
    with pytest.raises(InputError, match="slits of the same id lie elsewhere"):
        moved(before, replace(after, mask=Mask(swapped)))


def test_other_wavelengths(nights):
    old = nights["after"].ids
    ids = DispersionModel(*old.degrees, domain=(12000.0, 15000.0), x_domain=old.x_domain,
                          y_domain=old.y_domain)  # fmt: skip
    with pytest.raises(InputError, match=r"no wavelength in common: 5.* and 12000 to 15000"):
        moved(nights["before"], replace(nights["after"], ids=ids))
