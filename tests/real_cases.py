"""Independent solutions of the real frames: readers, and differences from a calibration."""

import json
import re

import numpy as np
from astropy.io import fits
from scipy.signal import find_peaks


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
    """Read a PypeIt arc solution: pixel (0-based), vacuum wavelength of its lines, spectrum."""
    solution = json.loads(path.read_text())
    # The fit counts in units of the last pixel, as the centroids "tcent" in the file show.
    pixel = np.array(solution["xfit"]) * (solution["xnorm"] - 1)
    return pixel, np.array(solution["yfit"]), np.array(solution["spec"])


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


# -- independent lines of each frame: across (px), along (px, 0-based), wavelength ---------


def iraf_lines(folder, name, physical):
    """Lines of an IRAF database, with the catalogue's own wavelengths.

    `physical` is what the positions of the database count more than those of the frame.
    """

    def lines(data, _, catalog):
        column, pixel, wavelength = iraf_identifications(data / folder / "database" / f"id{name}")
        own = own_wavelength(catalog, wavelength)
        return column, pixel - physical, np.where(np.isfinite(own), own, wavelength)

    return lines


def kast_lines(data, image, _):
    """Lines of the PypeIt solution, followed along the slit from row 175.

    The row of the solution is not told: all are shifted alike, by as much as its spectrum is to
    that of row 175. Where skew lines are is thus left to them. The bluest is a blend, and left out.
    """
    pixel, wavelength, theirs = pypeit_lines(data / "kast_blue" / "kastb_600_PYPIT.json")
    pixel, wavelength = pixel[1:], wavelength[1:]
    rows, found = followed(image, pixel, np.arange(40, 315, 15), start=175)
    shift = shifted(theirs, np.median(image[172:179], axis=0))
    return _flat_table(rows, found - found[len(rows) // 2] + pixel + shift, wavelength)


def dbsp_lines(data, image, _):
    """Peaks of the arc template, found at row 220 by matching short stretches of the two."""
    with fits.open(data / "dbsp_red" / "p200_dbsp_red_316_7500_d55.fits") as hdus:
        wave, flux = (np.array(hdus[1].data[name], float) for name in ("wave", "flux"))
    spectrum = np.median(image[210:231], axis=0)
    index, pixel = matched_peaks(flux, spectrum, first=720)
    wavelength = np.interp(index, np.arange(len(wave)), wave)
    rows, found = followed(image, pixel, np.arange(40, 401, 20), start=220)
    return _flat_table(rows, found - found[np.flatnonzero(rows == 220)[0]] + pixel, wavelength)


def _flat_table(rows, pixel, wavelength):
    across, wavelength = (np.broadcast_to(a, pixel.shape) for a in (rows[:, None], wavelength))
    known = np.isfinite(pixel)
    return across[known].astype(float), pixel[known], wavelength[known]


def followed(image, pixel, rows, *, start, half=6):
    """Follow lines from row to row by the centroid of what rises above the window's ends.

    Returns
    -------
    rows : ndarray, shape (n,)
        With `start`.
    found : ndarray, shape (n, n_lines)
        NaN where a line is lost.
    """
    rows = np.unique(np.append(rows, start))
    middle = int(np.flatnonzero(rows == start)[0])
    found = np.full((len(rows), len(pixel)), np.nan)
    for order in (range(middle, len(rows)), range(middle, -1, -1)):
        at = np.array(pixel, float)
        for k in order:
            profile = np.median(image[rows[k] - 3 : rows[k] + 4], axis=0)
            at = np.array([_centroid(profile, p, half) for p in at])
            found[k] = at
    return rows, found


def _centroid(profile, p, half):
    """Return the centroid of the line nearest to p; NaN where it wanders or is faint."""
    if not np.isfinite(p):
        return np.nan
    centre = p
    for _ in range(6):
        first = round(centre) - half
        if first < 0 or first + 2 * half + 1 > len(profile):
            return np.nan
        x = np.arange(first, first + 2 * half + 1)
        light = profile[x] - min(profile[x[0]], profile[x[-1]])
        light = np.clip(light, 0, None) * np.exp(-0.5 * ((x - centre) / (0.35 * half)) ** 2)
        if light.sum() <= 0:
            return np.nan
        # The window's own weight halves a step: it is undone.
        centre += 2 * np.clip(np.sum(light * (x - centre)) / light.sum(), -1, 1)
        if abs(centre - p) > 3:
            return np.nan
    return centre


def matched_peaks(template, spectrum, *, first, window=60, least=30):
    """Match the bright peaks of two arcs of the same grating, without their wavelengths.

    Windows of the template about each bright peak are correlated with the spectrum near where
    a straight line, then a cubic through what was matched, puts them.

    Returns
    -------
    index, pixel : ndarray
        Of each matched peak, in the template and in the spectrum.
    """
    t, s = (_compressed(a) for a in (template, spectrum))
    # Offset of the whole.
    lags = np.arange(-400, 401)
    x = np.arange(len(s))
    score = [np.nansum(s[first:] * np.interp(x[first:] - lag, np.arange(len(t)), t, 0, 0))
             for lag in lags]  # fmt: skip
    guess = np.poly1d([1.0, float(lags[int(np.argmax(score))])])
    peaks = find_peaks(t, prominence=0.25 * np.percentile(t, 99.5), distance=8)[0]
    peaks = peaks[(peaks > window) & (peaks < len(t) - window)]
    for reach, degree in ((30, 1), (12, 3), (6, 3)):
        index, pixel = [], []
        for k in peaks:
            piece = t[k - window : k + window + 1]
            at = round(float(guess(k)))
            low = at - window - reach
            if low < first or at + window + reach + 1 > len(s):
                continue
            match = np.array([np.corrcoef(piece, s[low + n : low + n + len(piece)])[0, 1]
                              for n in range(2 * reach + 1)])  # fmt: skip
            if match.max() > 0.6:
                index.append(k)
                pixel.append(low + int(match.argmax()) + window)
        index, pixel = np.array(index, float), np.array(pixel, float)
        keep = np.ones(len(index), bool)
        for _ in range(5):
            guess = np.poly1d(np.polyfit(index[keep], pixel[keep], degree))
            keep = np.abs(pixel - guess(index)) < max(2.0, reach / 4)
        index, pixel = index[keep], pixel[keep]
    centre = [np.array([_centroid(a, p, 6) for p in where])
              for a, where in ((template, index), (spectrum, pixel))]  # fmt: skip
    known = np.isfinite(centre[0]) & np.isfinite(centre[1])
    assert known.sum() >= 10, least
    return centre[0][known], centre[1][known]


def shifted(one, other):
    """Return by how many px the second of two spectra of an arc is shifted to the first."""
    a, b = (_compressed(spectrum) for spectrum in (one, other))
    a, b = a - a.mean(), b - b.mean()
    match = np.array([np.sum(a * np.roll(b, -lag)) for lag in range(-3, 4)])
    n = int(np.argmax(match))
    low, middle, high = match[n - 1 : n + 2]
    return n - 3 + 0.5 * (high - low) / (2 * middle - low - high)


def _compressed(flux):
    """Root of the flux above its lower third: bright lines do not drown the others."""
    return np.sqrt(np.clip(flux - np.percentile(flux, 30), 0, None))


TRUTHS = {
    "kast": kast_lines,
    "dbsp": dbsp_lines,
    "gr11": iraf_lines("efosc2", "arc_20120824_Gr11_Free_slit1.0_56442_1", 4.0),
    "gr13": iraf_lines("efosc2", "arc_20120825_Gr13_Free_slit1.0_56442_1", 0.0),
    "sofi": iraf_lines("sofi", "arc_GD71_1_GB_20111220", 0.0),
}
"""By name: a function of the folder of data, the trimmed image and the catalogue."""
