"""The ray trace against optics worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from specwcs.conventions import Direction
from specwcs.errors import InputError
from specwcs.inputs import Instrument
from specwcs.simulate import Spectrograph

INSTRUMENT = Instrument("test", 0.3, 2048, 1024, Direction.LR, 2.2, 7000.0)


def grating(**changes):
    """A bare grating in Littrow condition with a pinhole camera."""
    optics = Spectrograph.from_instrument(
        INSTRUMENT, disperser="grating", distortion=0.0, line_curvature=4.0
    )
    return replace(optics, **changes)


def turned(direction):
    shape = (1024, 2048) if direction.along_x else (2048, 1024)
    return replace(INSTRUMENT, xpixels=shape[1], ypixels=shape[0], direction=direction)


def test_grating_equation_on_the_axis():
    # sin(incidence) + sin(diffraction) = grooves * wavelength; the camera projects tangents.
    optics = grating()
    wavelength = np.linspace(5000, 9000, 9)
    x, y = optics.project(0.0, 0.0, wavelength)
    incidence = np.radians(optics.wedge)
    diffraction = np.arcsin(optics.grooves * wavelength * 1e-7 - np.sin(incidence))
    expected = 1023.5 + optics.camera * np.tan(diffraction - incidence)
    assert_allclose(x, expected, rtol=0, atol=1e-9)
    assert_allclose(y, 511.5, rtol=0, atol=1e-9)


def test_grism_refracts_twice_on_the_axis():
    # Normal entry, then Snell's law with the grating's term on the exit face.
    optics = Spectrograph.from_instrument(INSTRUMENT, distortion=0.0)
    wavelength = np.linspace(5000, 9000, 9)
    wedge = np.radians(optics.wedge)
    index = 1.5046 + 0.00420 / (wavelength / 1e4) ** 2
    exit_angle = np.arcsin(index * np.sin(wedge) - optics.grooves * wavelength * 1e-7)
    x, _ = optics.project(0.0, 0.0, wavelength)
    expected = 1023.5 + optics.camera * np.tan(wedge - exit_angle)
    assert_allclose(x, expected, rtol=0, atol=1e-9)
    assert x[4] == pytest.approx(1023.5, abs=1e-9)  # 7000 Angstrom goes straight through


def test_no_grating_is_a_pinhole_camera():
    optics = grating(grooves=0.0, wedge=0.0)
    X, Y = np.array([-80.0, 0.0, 35.0]), np.array([20.0, -90.0, 60.0])
    x, y = optics.project(X, Y, 7000.0)
    scale = 1.7 / 0.3  # px per mm
    assert_allclose(x, 1023.5 + scale * X, rtol=0, atol=1e-9)
    assert_allclose(y, 511.5 + scale * Y, rtol=0, atol=1e-9)


@pytest.mark.parametrize("disperser", ["grism", "grating"])
@pytest.mark.parametrize("direction", Direction)
def test_scale_dispersion_and_curvature_are_those_asked_for(direction, disperser):
    instrument = turned(direction)
    optics = Spectrograph.from_instrument(
        instrument, disperser=disperser, line_curvature=4.0, distortion=0.0, offset=(12.0, -7.0)
    )
    half = 512 * 0.3 / 1.7  # mm, to the border of the frame
    wavelength = np.array([6999.5, 7000.5])
    along, across = direction.split(*optics.project(0.0, 0.0, wavelength))
    centre = direction.split(
        (instrument.xpixels - 1) / 2 + 12.0, (instrument.ypixels - 1) / 2 - 7.0
    )
    assert_allclose((along.mean(), across.mean()), centre, rtol=0, atol=1e-3)
    assert_allclose(np.diff(along), direction.sign / 2.2, rtol=1e-6)
    X, Y = direction.join(np.zeros(3), np.array([-half, 0.0, half]))
    along, across = direction.split(*optics.project(X, Y, 7000.0))
    assert_allclose(np.diff(across), 512, rtol=0.003)
    sagitta = direction.sign * ((along[0] + along[2]) / 2 - along[1])
    assert sagitta == pytest.approx(4.0 if disperser == "grating" else -4.0, rel=0.02)
    U, V = direction.join(np.array([-0.5, 0.5]), np.zeros(2))
    along, _ = direction.split(*optics.project(U, V, 7000.0))
    assert_allclose(np.diff(along), 1.7 / 0.3, rtol=1e-4)


def test_mirror_symmetry_about_the_plane_of_dispersion():
    optics = Spectrograph.from_instrument(INSTRUMENT, distortion=0.0)
    X, Y, wavelength = 13.0, np.array([4.0, 40.0, 88.0]), 6300.0
    above, below = optics.project(X, Y, wavelength), optics.project(X, -Y, wavelength)
    assert_allclose(above[0], below[0], rtol=0, atol=1e-9)
    assert_allclose(above[1] - 511.5, 511.5 - below[1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("direction", Direction)
def test_directions_are_rotations_of_each_other(direction):
    # Turn the mask with the detector: quarter turns, counted from LR counter-clockwise.
    turns = {"LR": 0, "BU": 1, "RL": 2, "UB": 3}[direction]
    reference = Spectrograph.from_instrument(INSTRUMENT, rotation=0.7, distortion=0.01)
    instrument = turned(direction)
    optics = Spectrograph.from_instrument(instrument, rotation=0.7, distortion=0.01)
    mask = np.array([[5.0 + 60.0j], [-31.0 - 80.0j], [22.0 + 3.0j]])
    wavelength = np.array([5200.0, 7000.0, 8800.0])
    x, y = reference.project(mask.real, mask.imag, wavelength)
    expected = ((x - 1023.5) + 1j * (y - 511.5)) * 1j**turns
    mask = mask * 1j**turns
    x, y = optics.project(mask.real, mask.imag, wavelength)
    centre = (instrument.xpixels - 1) / 2 + 1j * (instrument.ypixels - 1) / 2
    assert_allclose(x + 1j * y - centre, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("flipx", "flipy"), [(True, False), (False, True), (True, True)])
def test_flips_mirror_the_mask(flipx, flipy):
    flipped = Spectrograph.from_instrument(INSTRUMENT, flipx=flipx, flipy=flipy)
    plain = Spectrograph.from_instrument(INSTRUMENT)
    X, Y = 17.0, -33.0
    assert_allclose(
        flipped.project(X, Y, 6500.0),
        plain.project(-X if flipx else X, -Y if flipy else Y, 6500.0),
        rtol=0,
        atol=1e-12,
    )


def test_rotation_turns_the_image_counter_clockwise():
    plain, turned_ = grating(), grating(rotation=30.0)
    X, Y, wavelength = 20.0, np.array([10.0, -60.0]), 6600.0
    straight = np.subtract(plain.project(X, Y, wavelength), [[1023.5], [511.5]])
    expected = (straight[0] + 1j * straight[1]) * np.exp(1j * np.radians(30))
    x, y = turned_.project(X, Y, wavelength)
    assert_allclose((x - 1023.5) + 1j * (y - 511.5), expected, rtol=0, atol=1e-9)


def test_distortion_at_the_corner_is_the_fraction_asked_for():
    plain = Spectrograph.from_instrument(INSTRUMENT, distortion=0.0)
    barrel = Spectrograph.from_instrument(INSTRUMENT, distortion=-0.01)
    barrel = replace(barrel, tangential=(0.0, 0.0), decentre=(0.0, 0.0))
    y = 511.5 * 0.3 / 1.7
    wavelength = 7000.0 + 2.2 * 1000
    before = np.subtract(plain.project(0.0, y, wavelength), (1023.5, 511.5))
    after = np.subtract(barrel.project(0.0, y, wavelength), (1023.5, 511.5))
    radius = np.hypot(*before)
    corner = np.hypot(1024, 512)
    assert_allclose(after, before * (1 - 0.01 * (radius / corner) ** 2), rtol=1e-9)


def test_tangential_distortion_in_vectors():
    # A decentred lens moves a point r of the field by |r|^2 b + 2 (r . b) r, b = (P2, P1).
    p1, p2 = 0.003, -0.002
    plain = grating(decentre=(0.0, 0.0))
    bent = replace(plain, tangential=(p1, p2))
    X, Y, wavelength = np.array([[20.0, -15.0], [70.0, -40.0]]), 30.0, 6000.0
    before, after = (
        (np.array(optics.project(X, Y, wavelength)) - [[[1023.5]], [[511.5]]]) / optics.camera
        for optics in (plain, bent)
    )
    bias = np.array([p2, p1])[:, np.newaxis, np.newaxis]
    expected = np.sum(before**2, axis=0) * bias + 2 * np.sum(before * bias, axis=0) * before
    assert_allclose(after - before, expected, rtol=1e-6)


def test_an_order_that_does_not_exist_is_nan():
    x, y = grating().project(0.0, 0.0, np.array([7000.0, 200000.0]))
    assert np.isfinite([x[0], y[0]]).all()
    assert np.isnan([x[1], y[1]]).all()


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({"disperser": "prism"}, "invalid disperser 'prism'. Must be one of grating, grism"),
        ({"line_curvature": 0.0}, "invalid line_curvature 0.0. Must be > 0"),
        ({"arcsec_per_mm": np.nan}, "invalid arcsec_per_mm nan. Must be > 0"),
    ],
)
def test_impossible_optics(parameter, message):
    with pytest.raises(InputError, match=message):
        Spectrograph.from_instrument(INSTRUMENT, **parameter)
