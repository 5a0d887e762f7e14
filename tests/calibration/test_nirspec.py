"""One slit of NIRSpec: trace and tilt against the maps of its instrument model."""

import numpy as np
import pytest
from astropy.io import fits

from specwcs.calibration import solve
from specwcs.inputs import Instrument, Mask, Slit
from specwcs.markers import Markers

pytestmark = pytest.mark.real


def crossings(values, level):
    """Where rows of values, that rise or fall along them, reach a level; NaN where none do."""
    places = np.full(len(values), np.nan)
    for n, row in enumerate(values):
        good = np.flatnonzero(np.isfinite(row))
        if len(good) > 2:
            order = good[np.argsort(row[good])]
            if row[order[0]] < level < row[order[-1]]:
                places[n] = np.interp(level, row[order], order)
    return places


def test_the_slit_a200(real_data):
    """A strongly tilted trace, whose wavelengths and slit positions are known at each pixel."""
    (path,) = (real_data / "nirspec").glob("Trace_SLIT_A_200_1*.fits")
    with fits.open(path) as file:
        wavelength = file["LAMBDA1"].data.astype(float) * 1e10
        place = file["SLITY1"].data.astype(float)
    on = wavelength > 0
    wavelength, t = (np.where(on, v, np.nan) for v in (wavelength, place + 0.5))
    ny, nx = wavelength.shape
    middle = float(np.nanmedian(wavelength))
    dispersion = float(np.nanmedian(np.diff(wavelength, axis=1)))
    ends = np.array([[0.0, 1.6], [0.0, -1.6]])
    slit = Slit("A200", 0.0, 0.0, 0.2, 3.2, 0.0, 0.2, 3.2, False, control=ends)
    instrument = Instrument(
        name="NIRSpec", pixel_scale=0.1, xpixels=nx, ypixels=ny, direction="LR",
        linear_dispersion=dispersion, reference_lambda=middle,
    )  # fmt: skip
    parts = []
    columns = np.arange(0, nx, 20)
    for end in (0.0, 1.0):
        rows = crossings(t.T[columns], end)
        seen = np.isfinite(rows)
        parts.append(Markers.of("edge", "A200", end, columns[seen], rows[seen], sigma=0.01))
    for line in np.linspace(np.nanmin(wavelength), np.nanmax(wavelength), 32)[1:-1]:
        x = crossings(wavelength, line)
        rows = np.flatnonzero(np.isfinite(x))
        here = t[rows, np.rint(x[rows]).astype(int)]
        seen = np.isfinite(here) & (here > 0.05) & (here < 0.95)
        parts.append(Markers.of("line", "A200", here[seen], x[rows][seen], rows[seen],
                                wavelength=line, sigma=0.01))  # fmt: skip
    mask = Mask([slit])
    # t runs up or down the frame: the mask is mirrored where it runs the other way.
    up = np.nanmean(np.diff(t, axis=0)) > 0
    flips = (False, bool(up))
    cal = solve(instrument, mask, Markers.join(parts), medium="vacuum", flips=flips)
    assert cal.good() == ["A200"], cal.slits
    geometry = cal.geometry("A200")
    rows, columns = np.nonzero(np.isfinite(wavelength) & (t > 0.02) & (t < 0.98))
    found, where = geometry.world(columns.astype(float), rows.astype(float))
    low, high = geometry.dispersion.wavelength_domain
    inside = (found > low) & (found < high)
    along = (found - wavelength[rows, columns])[inside] / dispersion
    length = 3.2 / 0.1
    across = (where - t[rows, columns])[inside] * length
    assert inside.mean() > 0.9
    assert np.sqrt(np.mean(along**2)) < 0.05
    assert np.sqrt(np.mean(across**2)) < 0.05
