"""How bright the lines of a lamp should be: as in the other slits, or as the catalogue has them.

The intensities of a catalogue compare within a species only, and roughly even there: how they
do is learnt from the lines that stand alone. It keeps a faint neighbour from taking the light
of a bright line whose profile is not quite that of the model.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Brightness", "expected_brightness"]

# A line stands alone if its neighbours pull it by less than this, FWHM, and none is so near that
# the profile does not tell whose the light is.
_PULL, _APART = 0.05, 0.35
# Lines of a species from which its intensities can be compared; what power of the intensity is
# expected, at least and at most, and how well, in natural logarithms: no better than by this.
_FEWEST, _POWERS, _SCATTER = 4, (0.2, 1.2), 0.7
# The scatter of what was measured in other slits.
_MEASURED = 0.3


@dataclass(frozen=True)
class Brightness:
    """Natural logarithms of the heights of lines.

    Attributes
    ----------
    line, error : ndarray, shape (n_lines,)
        Expected, relative to others; infinite errors where nothing is known.
    slit : ndarray, shape (n_slits,)
        Of the slits, relative to others.
    """

    line: np.ndarray
    error: np.ndarray
    slit: np.ndarray

    def of(self, i, line):
        """Return heights and errors of lines in slit i; of those that are -1 nothing is known."""
        known = (line >= 0) & np.isfinite(self.slit[i]) & np.isfinite(self.error[line])
        height, error = np.zeros(len(line)), np.full(len(line), np.inf)
        height[known] = np.exp(self.slit[i] + self.line[line[known]])
        # A factor either way: by so much a line may be brighter.
        error[known] = height[known] * np.expm1(self.error[line[known]])
        return height, error


def expected_brightness(slits, lines, fwhm):
    """Learn the brightness of lines from those that stand alone in the slits.

    Parameters
    ----------
    slits : sequence of SlitLines or None
    lines : LineTable
    fwhm : float
        px.

    Returns
    -------
    Brightness
    """
    n = len(lines.wavelength)
    height = np.full((len(slits), n), np.nan)
    for i, slit in enumerate(slits):
        if slit is None:
            continue
        lamp = slit.lamp
        alone = (slit.line >= 0) & np.isfinite(lamp.sigma) & (np.abs(lamp.pull) < _PULL * fwhm)
        alone &= _distance(lamp.p) > _APART * fwhm
        height[i, slit.line[alone]] = np.log(lamp.height[alone])
    seen = np.isfinite(height)
    own = np.where(seen.any(axis=1), _median(height, axis=1), np.nan)
    # Slits show different lines: compare line by line.
    for _ in range(3):
        line = _median(height - own[:, None], axis=0)
        own = own + _median(height - own[:, None] - line, axis=1)
    expected, error = _by_intensity(lines, line)
    measured = np.isfinite(line)
    expected[measured], error[measured] = line[measured], _MEASURED
    return Brightness(expected, error, own)


def _distance(p):
    """Distance of each line from the nearest other, px."""
    order = np.argsort(p)
    gap = np.diff(p[order], prepend=-np.inf, append=np.inf)
    nearest = np.empty(len(p))
    nearest[order] = np.minimum(gap[:-1], gap[1:])
    return nearest


def _by_intensity(lines, line):
    """Expect a power of the intensity, for each species."""
    expected, error = np.zeros(len(line)), np.full(len(line), np.inf)
    for species in np.unique(lines.species):
        same = (lines.species == species) & np.isfinite(lines.intensity)
        known = same & np.isfinite(line)
        if known.sum() < _FEWEST:
            continue
        x, y = np.log(lines.intensity[known]), line[known]
        away = x - np.median(x)
        spread = np.sum(np.abs(away))
        power = np.clip(np.sum(np.sign(away) * (y - np.median(y))) / (spread or 1.0), *_POWERS)
        level = np.median(y - power * x)
        scatter = 1.4826 * np.median(np.abs(y - power * x - level))
        expected[same] = level + power * np.log(lines.intensity[same])
        error[same] = max(scatter, _SCATTER)
    return expected, error


def _median(values, axis):
    """Median of what is finite; NaN where nothing is."""
    some = np.isfinite(values).any(axis=axis)
    filled = np.where(np.expand_dims(some, axis), values, 0.0)
    return np.where(some, np.nanmedian(filled, axis=axis), np.nan)
