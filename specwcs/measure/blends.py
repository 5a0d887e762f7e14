"""How far unresolved neighbours may pull the position of a line."""

import numpy as np

from specwcs.measure.centroid import sigma_from_fwhm

__all__ = ["blend_errors"]

_REACH = 3.0  # FWHM: neighbours further away do not pull
_LEAST = 3  # lines of a species that must be seen for its brightness to be known


def blend_errors(index, height, p, label, intensity, fwhm):
    """Estimate by how much the neighbours in the catalogue may pull the measured lines.

    A neighbour of relative height r at a distance d moves the zero of a matched filter's
    derivative by about ``r d exp(-d² / 4 s²)`` for lines of Gaussian width s. Its height is
    its intensity in the catalogue, on the scale on which the lines of its species are seen
    in this spectrum; that is known within a factor of two or so, hence an error, no correction.

    Parameters
    ----------
    index : ndarray of int, shape (n,)
        The measured lines among all.
    height : ndarray, shape (n,)
        Their heights; NaN where not seen.
    p, label, intensity : ndarray, shape (n_all,)
        All lines of the catalogue near the spectrum: columns px, species, relative
        intensities (NaN where unknown: they do not count).
    fwhm : float
        px.

    Returns
    -------
    ndarray, shape (n,)
        px.
    """
    expected = np.full(len(p), np.nan)
    for species in np.unique(label):
        seen = (label[index] == species) & (height > 0) & (intensity[index] > 0)
        if seen.sum() >= _LEAST:
            scale = np.median(height[seen] / intensity[index][seen])
            expected[label == species] = scale * intensity[label == species]
    width = sigma_from_fwhm(fwhm)
    distance = p[None, :] - p[index][:, None]
    near = (np.abs(distance) < _REACH * fwhm) & (distance != 0)
    with np.errstate(invalid="ignore"):
        relative = np.minimum(expected[None, :] / height[:, None], 1.0)
    pull = relative * distance * np.exp(-(distance**2) / (4 * width**2))
    return np.sqrt(np.nansum(np.where(near, pull, 0.0) ** 2, axis=1))
