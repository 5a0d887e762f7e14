"""Units, where numbers may be given with them."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Column

from specwcs import InputError, Markers
from specwcs.conventions import without_units


@pytest.mark.parametrize(
    ("values", "bare"),
    [
        ({"wavelength": 700 * u.nm}, 7000.0),
        ({"wavelength": 0.7 * u.micron}, 7000.0),
        ({"wavelength": Column([700.0, 800.0], unit=u.nm)}, [7000.0, 8000.0]),
        ({"x": [1.0, 2.0] * u.pix}, [1.0, 2.0]),
        ({"t": 50 * u.percent}, 0.5),
    ],
)
def test_quantities_are_converted(values, bare):
    np.testing.assert_allclose(without_units(**values)[0], bare, rtol=1e-14)


def test_numbers_stay_as_they_are():
    numbers = np.arange(3.0)
    assert without_units(wavelength=numbers, t=None, x=5) == [numbers, None, 5]


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"wavelength": 3 * u.s}, r"wavelength is a quantity in 's'\. Must .* convert to Angstrom"),
        ({"wavelength": u.Quantity(5000.0)}, "wavelength is a quantity in ''"),
        ({"x": 3 * u.mm}, "x is a quantity in 'mm'.* convert to pix"),
        ({"t": 3 * u.pix}, "t is a quantity in 'pix'.* convert to one"),
    ],
)
def test_units_of_something_else_are_refused(values, match):
    with pytest.raises(InputError, match=match):
        without_units(**values)


def test_markers_take_units():
    markers = Markers.of("line", "05", 0.5, [3.0] * u.pix, [4.0], wavelength=700 * u.nm)
    assert markers["wavelength"].to_value(u.AA) == pytest.approx([7000.0])
    with pytest.raises(InputError, match="sigma is a quantity in 'nm'"):
        Markers.of("line", "05", 0.5, [3.0], [4.0], sigma=1 * u.nm)
