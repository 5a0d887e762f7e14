"""Where the wavelengths of each slit are known: about its lines, as far as the errors allow."""

import numpy as np

from specwcs.models.field import scale

__all__ = ["error_rows", "known_ranges"]

# A wavelength is known where 1 sigma is no more than this, px along the dispersion, or than so
# many times that at the slit's own lines.
_KNOWN, _TIMES = 0.1, 3.0
_GRID = 128


def error_rows(opt, ids, local, slit, t, wavelength):
    """Return the rows of the design matrix of IDS in a slit, of its local terms too.

    Parameters
    ----------
    opt : OpticalModel
    ids : DispersionModel
    local : LocalTerms
    slit : Slit
    t, wavelength : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n, p)
        For the covariance ``"ids"`` of a calibration.
    """
    rows = ids.fit_deriv(*opt(*slit.curve(t)), wavelength)
    own = local.columns(np.full(len(rows), slit.id), scale(wavelength, ids.domain))
    return np.hstack([rows, *own])


def known_ranges(mask, opt, ids, lines):
    """Find the wavelengths between which each slit is calibrated.

    Parameters
    ----------
    mask : Mask
    opt : OpticalModel
    ids : ModelFit
    lines : QTable
        The line markers that were used: slit and wavelength.

    Returns
    -------
    dict of str to tuple of float
        (low, high), Å, of each slit that has lines; the whole domain where no covariance is
        known, (nan, nan) where the error is infinite even at the lines.
    """
    slits, covariance = np.asarray(lines["slit"]), ids.covariance["ids"]
    grid = np.linspace(*ids.model.domain, _GRID)
    t = np.array([0.0, 0.5, 1.0])
    ranges = {}
    for key in np.unique(slits):
        if not np.all(np.isfinite(covariance)):
            ranges[str(key)] = tuple(ids.model.domain)
            continue
        own = np.unique(lines["wavelength"].value[slits == key])
        where = np.repeat(t, _GRID), np.tile(grid, len(t))
        rows = error_rows(opt, ids.model, ids.local, mask[str(key)], *where)
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
