"""What share of the lines on a frame a solution explains."""

from types import SimpleNamespace

import numpy as np

from specwcs.measure.coverage import explained_lines


def frame(own, other, unused=(), faint=(), saturated=(), slits=2):
    """Slits whose lines, at columns that are wavelengths too, are used, nobody's, or not used."""
    places = np.array([*own, *other, *unused, *saturated, *faint], float)
    flux = np.r_[np.full(len(places) - len(faint), 100.0), np.full(len(faint), 1.0)]
    seen = SimpleNamespace(p=places, flux=flux, saturated=np.isin(places, saturated))
    listed = np.array([*own, *unused], float)
    lines = SimpleNamespace(
        line=np.arange(len(listed)),
        lamp=SimpleNamespace(p=listed, height=np.full(len(listed), 100.0)),
    )
    table = SimpleNamespace(
        slit=np.repeat(np.arange(slits), len(own)), p=np.tile(own, slits),
        flux=np.full(slits * len(own), 100.0),
    )  # fmt: skip
    solution = SimpleNamespace(wavelength=lambda _, p: 2.0 * p, scale=2.0)
    verified = SimpleNamespace(
        used=np.ones(len(table.p), bool), fitted=SimpleNamespace(solution=solution),
        sigma=lambda _, p: np.where(p > 900, 1.0, 0.01),
    )  # fmt: skip
    return explained_lines(verified, table, [lines] * slits, [seen] * slits, 0.2, 3.0)


def test_lines_that_are_nobodys_count_against_it():
    own = [100.0, 200, 300, 400]
    assert frame(own, []) == 1.0
    assert frame(own, [150, 250, 350, 450]) == 0.5


def test_blends_faint_lines_and_those_beyond_the_solution_count_neither_way():
    own = [100.0, 200, 300, 400]
    assert frame(own, [], unused=[150, 250], faint=[500, 520, 540]) == 1.0
    assert frame(own, [950, 960]) == 1.0


def test_where_a_saturated_line_is_says_nothing():
    assert frame([100.0, 200, 300, 400], [], saturated=[150, 250, 350, 450, 550]) == 1.0


def test_a_line_counts_once_in_however_many_slits_it_shows():
    own = [100.0, 200, 300]
    assert frame(own, [150.0, 152.0], slits=1) == frame(own, [150.0, 152.0], slits=5) == 0.6


def test_too_few_lines_tell_nothing():
    assert frame([100.0, 200], [150, 250, 350]) == 1.0
