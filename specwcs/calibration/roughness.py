"""How rough slits are: by what their centre line leaves its shape, the same at all wavelengths.

The jaws of a slit have nicks and dust, a mask is cut in steps: every line shows them at the same
t. No polynomial of the field follows that, a table along the slit does.
"""

import numpy as np
from scipy import linalg

from specwcs.models.slit import hats

__all__ = ["rough_slits"]

_LINES, _NODES = 6, (4, 128)  # lines that tell of it, and nodes of a slit
_ROUNDS, _WEIGHINGS = 10, 5
_FREEDOM = 4.0  # degrees of Student's distribution of the errors of points
_NONE = 2e-3  # px, 1 sigma: a slit that is no rougher is smooth
_LEAST = 1e-6  # of their errors: points that lie closer to the models were made by them
_SHAPE = 0.3  # px rms: what is off by more is another shape than the model can have, not rough
_WORTHWHILE = 0.94  # half of the lines must make what the others show less odd, to this share


def rough_slits(slit, t, line, residual, sigma):
    """Find which slits are rough by what is left of their lines.

    Parameters
    ----------
    slit : ndarray of str, shape (n,)
    t : ndarray, shape (n,)
        Positions in the slits.
    line : ndarray, shape (n,)
        Which arc line a point is of: its wavelength.
    residual, sigma : ndarray, shape (n,)
        px along the dispersion, and 1 sigma errors relative to each other.

    Returns
    -------
    dict of str to int
        For each slit that is rough, at how many equally spaced t its lines tell of it.

    Notes
    -----
    Values at the nodes are drawn from one Gaussian distribution for each slit, whose width is
    that of the largest evidence (MacKay, Neural Computation 4, 415, 1992). They count where
    those of every other line predict what the lines between show. Errors of points have Student's
    distribution: a nick is no outlier, since all lines have it, and a cosmic ray is no nick.
    """
    found = {}
    for key in np.unique(slit):
        mine = slit == key
        n = _nodes(t[mine], line[mine], residual[mine], sigma[mine])
        if n:
            found[str(key)] = n
    return found


def _nodes(t, line, residual, sigma):
    """Return the number of nodes that a slit is rough at, 0 where it is smooth."""
    lines, line = np.unique(line, return_inverse=True)
    n = int(min(np.median(np.bincount(line)), _NODES[1]))
    if len(lines) < _LINES or n < _NODES[0]:
        return 0
    # A line that errs does so at all t.
    middle = np.array([np.median(residual[line == k]) for k in range(len(lines))])
    residual, design = residual - middle[line], hats(t, n)
    before = after = 0.0
    for odd in (0, 1):
        left = line % 2 == odd
        values, scale = _values(design[~left], residual[~left], sigma[~left])
        if np.sqrt(np.mean(values**2)) > _SHAPE:
            return 0
        z = residual[left] / (scale * sigma[left])
        before += np.sum(_oddness(z))
        after += np.sum(_oddness(z - design[left] @ values / (scale * sigma[left])))
    return n if after < _WORTHWHILE * before else 0


def _oddness(z):
    """Return minus the logarithm of the density of Student's distribution, but for a constant."""
    return 0.5 * (_FREEDOM + 1) * np.log1p(z**2 / _FREEDOM)


def _values(design, residual, sigma):
    """Return the values at the nodes, px, and by how much the errors of points are larger.

    Weights for Student's distribution as of Lange, Little & Taylor (J. Am. Stat. Assoc. 84, 881,
    1989).
    """
    scale = max(1.4826 * np.median(np.abs(residual / sigma)), _LEAST)
    width, values = scale * np.median(sigma), np.zeros(design.shape[1])
    for _ in range(_WEIGHINGS):
        left = (residual - design @ values) / (scale * sigma)
        own = scale * sigma * np.sqrt((_FREEDOM + left**2) / (_FREEDOM + 1))
        weighted = design / own[:, None]
        gram, right = weighted.T @ weighted, weighted.T @ (residual / own)
        for _ in range(_ROUNDS):
            inverse = linalg.inv(gram + np.eye(len(gram)) / width**2)
            values = inverse @ right
            determined = len(gram) - np.trace(inverse) / width**2
            width = max(np.sqrt(values @ values / max(determined, 1e-6)), _NONE)
        left = (residual - design @ values) / (scale * sigma)
        weight = (_FREEDOM + 1) / (_FREEDOM + left**2)
        scale *= np.sqrt(np.sum(weight * left**2) / max(len(left) - determined, 1.0))
        scale = max(scale, _LEAST)
    return values, scale
