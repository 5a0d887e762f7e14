"""Where the wavelengths of each slit are known: about its lines, as far as the errors allow."""

import numpy as np

__all__ = ["known_ranges"]

# A wavelength is known where 1 sigma is no more than this, px along the dispersion, or than so
# many times that at the slit's own lines.
_KNOWN, _TIMES = 0.1, 2.0
_GRID = 128


def known_ranges(mask, opt, ids, covariance, lines):
    """Find the wavelengths between which each slit is calibrated.

    Parameters
    ----------
    mask : Mask
    opt : OpticalModel
    ids : DispersionModel
    covariance : ndarray
        Of the parameters of IDS.
    lines : QTable
        The line markers that were used: slit and wavelength.

    Returns
    -------
    dict of str to tuple of float
        (low, high), Å, of each slit that has lines; the whole domain where no covariance is
        known, (nan, nan) where the error is infinite even at the lines.
    """
    slits = np.asarray(lines["slit"])
    grid = np.linspace(*ids.domain, _GRID)
    t = np.array([0.0, 0.5, 1.0])
    ranges = {}
    for key in np.unique(slits):
        if not np.all(np.isfinite(covariance)):
            ranges[str(key)] = tuple(ids.domain)
            continue
        own = np.unique(lines["wavelength"].value[slits == key])
        place = [np.repeat(v, _GRID) for v in opt(*mask[str(key)].curve(t))]
        rows = ids.fit_deriv(*place, np.tile(grid, len(t)))
        variance = np.einsum("np,np->n", rows @ covariance, rows).reshape(len(t), _GRID)
        sigma = np.sqrt(np.maximum(variance.max(axis=0), 0.0))
        limit = max(_KNOWN, _TIMES * np.median(np.interp(own, grid, sigma)))
        ranges[str(key)] = _around(grid, sigma, limit, np.median(own))
    return ranges


def _around(grid, sigma, limit, middle):
    """Return the ends of the stretch about `middle` where sigma is below the limit."""
    start = int(np.argmin(np.abs(grid - middle)))
    ends = []
    for step in (-1, 1):
        end = start
        while 0 <= end + step < len(grid) and sigma[end + step] <= limit:
            end += step
        after = end + step
        edge = grid[end]
        if 0 <= after < len(grid):
            # Between the last point within the limit and the first beyond it.
            part = (limit - sigma[end]) / (sigma[after] - sigma[end])
            edge += np.clip(part, 0.0, 1.0) * (grid[after] - grid[end])
        ends.append(float(edge))
    return tuple(ends) if ends[0] < ends[1] else (np.nan, np.nan)
