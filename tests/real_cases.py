"""Independent solutions of the real frames: readers, and differences from a calibration."""

import json
import re

import numpy as np


def iraf_identifications(path):
    """Read IRAF's identify database: column (0-based), pixel (0-based), wavelength of each line."""
    rows, column = [], None
    for line in path.read_text().splitlines():
        begin = re.match(r"begin\s+identify\s+\S+\[(\d+),\*\]", line)
        if begin:
            column = int(begin.group(1)) - 1
            continue
        words = line.split()
        if len(words) >= 6 and column is not None and re.fullmatch(r"[\d.]+", words[0]):
            rows.append((column, float(words[0]) - 1, float(words[2])))
    return np.array(rows).T


def own_wavelength(catalog, wavelength, within=1.6):
    """Replace the wavelengths of another list by those of the catalogue's nearest bright line."""
    own = []
    for w in wavelength:
        near = np.flatnonzero(np.abs(catalog.wavelength - w) < within)
        if not len(near):
            own.append(np.nan)
            continue
        bright = np.nan_to_num(catalog.intensity[near], nan=1.0)
        bright = bright >= 0.1 * bright.max()
        near = near[bright]
        own.append(catalog.wavelength[near[np.argmin(np.abs(catalog.wavelength[near] - w))]])
    return np.array(own)


def pypeit_lines(path):
    """Read a PypeIt arc solution: pixel (0-based) and vacuum wavelength of its lines."""
    solution = json.loads(path.read_text())
    # The fit counts in units of the last pixel, as the centroids "tcent" in the file show.
    return np.array(solution["xfit"]) * (solution["xnorm"] - 1), np.array(solution["yfit"])


def pixel_differences(cal, column, pixel, wavelength):
    """Model minus measured pixel along the dispersion, of lines in columns across the slit.

    The slit id is the mask's first; `column` is the coordinate across the dispersion.
    """
    key = next(iter(cal.mask))
    geometry, direction = cal.geometry(key), cal.instrument.direction
    # The place of a wavelength in a given column: t by a few secant steps on the exact model.
    t0, t1 = np.zeros(len(column)), np.ones(len(column))
    a0 = direction.split(*geometry.pixel(wavelength, t0))[1]
    a1 = direction.split(*geometry.pixel(wavelength, t1))[1]
    for _ in range(6):
        t = t0 + (column - a0) * (t1 - t0) / (a1 - a0)
        along, across = direction.split(*geometry.pixel(wavelength, t))
        if np.all(np.abs(across - column) < 1e-6):
            break
        t0, a0, t1, a1 = t1, a1, t, across
        if np.any(a0 == a1):
            break
    return along - pixel
