"""Where a line is: the one estimator that every measured position comes from.

The position of a line is where the image, correlated with the derivative of a Gaussian
of the line's own width, changes sign from rising to falling. For a symmetric profile this
is unbiased whatever its shape; a constant background drops out, a slope is fitted and
taken out first. The window is taken from the pixels themselves along a tilted line:
nothing is resampled.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Centroids", "centroid", "sigma_from_fwhm"]

_STEPS, _SETTLED = 12, 1e-6  # px
_SECANT = (0.3, 1.5)  # of the slope without the background: what the secant may find
# Newton's step may not leave the line: in units of the kernel's sigma.
_LONGEST_STEP = 0.5
# The window, in units of sigma: beyond 3 sigma the kernel is below one per cent.
_REACH = 3.0
# Width, likewise, of the weights with which the background is fitted under the line.
_TAPER = 1.7


def sigma_from_fwhm(fwhm):
    """Return the standard deviation of a Gaussian of the given full width at half maximum."""
    return fwhm / np.sqrt(8.0 * np.log(2.0))


@dataclass(frozen=True)
class Centroids:
    """Positions of lines and what tells how far to trust them; all arrays of one shape.

    Attributes
    ----------
    p : ndarray
        Position, px; NaN where there is no line.
    sigma : ndarray
        Photon and read-out error of `p`, px.
    snr : ndarray
        Matched-filter signal-to-noise ratio.
    height : ndarray
        Height of the fitted Gaussian, units of the image.
    width : ndarray
        Second-moment-like width ratio: 1 for a line as wide as the kernel, larger for a
        wider one.
    skew : ndarray
        Antisymmetric part of the profile about `p`, as a fraction of its height; 0 for a
        symmetric line.
    good : ndarray
        Fraction of the kernel's weight that falls on good pixels.
    """

    p: np.ndarray
    sigma: np.ndarray
    snr: np.ndarray
    height: np.ndarray
    width: np.ndarray
    skew: np.ndarray
    good: np.ndarray


def centroid(image, variance, good, q, p, *, slope=0.0, rows=1, fwhm):
    """Measure the position of one line in each of n windows.

    The window is a block of rows around `q`; row by row it is centred on the line
    ``p + slope * (row - q)``. The position returned is that at `q` itself.

    Parameters
    ----------
    image, variance, good : ndarray, shape (ny, nx)
        Data, their variance, and True where a pixel can be used.
    q : array_like, shape (n,)
        Row at the middle of each window; any real number.
    p : array_like, shape (n,)
        First guess of the column, within about one FWHM.
    slope : array_like, shape (n,), optional
        dp/dq of the line.
    rows : int, optional
        Of the window.
    fwhm : float
        Width of the lines, px.

    Returns
    -------
    Centroids
        Arrays of shape (n,).
    """
    q, p, slope = np.broadcast_arrays(*(np.asarray(a, float) for a in (q, p, slope)))
    sigma = sigma_from_fwhm(fwhm)
    ny, nx = image.shape
    with np.errstate(invalid="ignore"):
        first = np.rint(q - 0.5 * (rows - 1))
        rows = first[:, None, None] + np.arange(rows)[:, None]
        middle = p[:, None, None] + slope[:, None, None] * (rows - q[:, None, None])
        reach = int(np.ceil(_REACH * sigma + _LONGEST_STEP * fwhm)) + 1
        columns = np.rint(middle) + np.arange(-reach, reach + 1)
        rows = np.broadcast_to(rows, columns.shape)
        inside = (rows >= 0) & (rows <= ny - 1) & (columns >= 0) & (columns <= nx - 1)
        inside &= np.isfinite(columns)
    j = np.where(inside, rows, 0).astype(int)
    i = np.where(inside, columns, 0).astype(int)
    usable = inside & good[j, i]
    # A pixel missing on one side of the line would pull it: the whole row goes.
    core = np.abs(columns - middle) <= fwhm
    usable &= ~np.any(core & ~usable, axis=2, keepdims=True)
    offset = np.where(np.isfinite(columns), columns - middle, 0.0)
    value, noise = np.where(usable, image[j, i], 0.0), np.where(usable, variance[j, i], 0.0)
    seen = _even(offset, usable)
    shift = _solve(offset, value * seen, seen, np.zeros(len(p)), sigma)
    cut = np.flatnonzero(~usable.all(axis=(1, 2)))
    if len(cut):  # about the line, and not about the guess
        seen[cut] = _even(offset[cut] - shift[cut, None, None], usable[cut])
        shift[cut] = _solve(offset[cut], value[cut] * seen[cut], seen[cut], shift[cut], sigma)
    return _describe(offset, value * seen, noise * seen**2, seen, p, shift, sigma, fwhm)


def _even(offset, usable):
    """How much pixels count, so that as much of a row is seen on either side of the line.

    Where lines are not just as wide as the kernel, more on one side would pull them to it.
    """
    missing = np.where(usable, np.inf, np.abs(offset)).min(axis=2, keepdims=True)
    return np.sqrt(np.clip(missing - np.abs(offset), 0.0, 1.0)) * usable


def _flat(sum_over):
    return sum_over.sum(axis=(1, 2))


def _solve(offset, value, usable, shift, sigma):
    """Find the zero of the correlation with the derivative kernel, of all windows at once.

    Newton's method, but for what the background does meanwhile: that the secant tells.
    """
    shift, step, before = shift.copy(), *np.zeros((2, len(shift)))
    going = np.arange(len(shift))
    for k in range(_STEPS):
        mine, seen = value[going], usable[going]
        z = (offset[going] - shift[going, None, None]) / sigma
        kernel = np.exp(-0.5 * z**2) * seen
        _, background, tilt = _profile(z, kernel, mine, seen)
        net = mine - (background[:, None, None] + tilt[:, None, None] * z) * seen
        # d/dshift of sum(net z kernel) is sum(net (z^2 - 1) kernel) / sigma.
        rise = _flat(net * z * kernel)
        curvature = _flat(net * (1.0 - z**2) * kernel)
        with np.errstate(divide="ignore", invalid="ignore"):
            secant = sigma * (before[going] - rise) / step[going]
            likely = (k > 0) & (secant > _SECANT[0] * curvature) & (secant < _SECANT[1] * curvature)
            slope = np.where(likely, secant, curvature)
            new = np.where(curvature > 0.0, rise / slope, np.sign(rise) * _LONGEST_STEP)
        step[going] = sigma * np.clip(new, -_LONGEST_STEP, _LONGEST_STEP)
        before[going] = rise
        shift[going] += step[going]
        going = going[~(np.abs(step[going]) < _SETTLED)]
        if not len(going):
            break
    return shift


def _normal(z, kernel, usable):
    """Set up the fit of height * kernel + background + tilt * z: weighted rows, normal matrix.

    The weights fall with the distance, so that a neighbour in the window hardly counts.
    """
    n, size = len(z), z.shape[1] * z.shape[2]
    base = np.stack([kernel, usable.astype(float), z * usable], axis=1).reshape(n, 3, size)
    weighted = base * np.exp(-0.5 * (z / _TAPER) ** 2).reshape(n, 1, size)
    return weighted, weighted @ base.transpose(0, 2, 1) + 1e-9 * np.eye(3)


def _profile(z, kernel, value, usable):
    """Fit height, background and tilt by least squares, shape (3, n)."""
    weighted, normal = _normal(z, kernel, usable)
    right = weighted @ value.reshape(len(z), weighted.shape[2], 1)
    return np.linalg.solve(normal, right)[..., 0].T


def _influence(z, kernel, usable):
    """How much each pixel counts in sum(net z kernel), of which the position is the zero."""
    weighted, normal = _normal(z, kernel, usable)
    direct = z * kernel
    removed = np.stack([np.zeros(len(z)), _flat(direct), _flat(direct * z)], axis=1)
    through = np.linalg.solve(normal, removed[..., None]).transpose(0, 2, 1) @ weighted
    return direct - through.reshape(z.shape)


def _describe(offset, value, noise, usable, p, shift, sigma, fwhm):
    """Errors and the shape of the lines at their final positions."""
    z = (offset - shift[:, None, None]) / sigma
    square = z * z
    gauss = np.exp(-0.5 * square)
    kernel = gauss * usable
    height, background, tilt = _profile(z, kernel, value, usable)
    net = value - (background[:, None, None] + tilt[:, None, None] * z) * usable
    light = net * kernel
    seen, second = _flat(light), _flat(light * square)
    curvature = seen - second
    with np.errstate(divide="ignore", invalid="ignore"):
        pixel = _influence(z, kernel, usable)
        error = sigma * np.sqrt(_flat(noise * pixel**2)) / (height * _flat(pixel * z * kernel))
        centred = kernel - (_flat(kernel) / np.maximum(_flat(usable), 1))[:, None, None] * usable
        snr = _flat(net * centred) / np.sqrt(_flat(noise * centred**2))
        # For a Gaussian of width s times the kernel's, sum(net z^2 k) / sum(net k) is
        # s^2 / (1 + s^2).
        second = second / seen
        width = np.sqrt(np.clip(second / np.clip(1.0 - second, 1e-3, None), 0.0, 25.0))
        skew = _flat(light * z * square) / seen
        weight = _flat(kernel) / _flat(gauss)
    # A position that ran away from its window, or sits in a valley, is none.
    found = (np.abs(shift) <= fwhm) & (curvature > 0.0) & (height > 0.0) & np.isfinite(error)
    return Centroids(
        p=np.where(found, p + shift, np.nan),
        sigma=np.where(found, error, np.nan),
        snr=np.where(found, snr, 0.0),
        height=np.where(found, height, 0.0),
        width=np.where(found, width, np.nan),
        skew=np.where(found, skew, np.nan),
        good=weight,
    )
