"""The fit of wavelengths against columns, for all slits at once.

The model is ``F(p)``, or ``F(p - p_slit)`` of a prism, and a constant for each slit, and small
changes of the first terms of F with the slit's place on the frame, smooth over the frame but for
a trifle: all Chebyshev series in the column scaled to -1 … 1. Gaussian priors on the terms of F
above the first, and on the changes, keep the ends of spectra from running away, and say how far
the solution can be trusted there. One slit cannot bend by itself to fit a wrong line.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import chebyshev

from specwcs.measure.solution import Solution, moved

__all__ = ["WavelengthFit", "WavelengthModel"]

# Expected sizes (1 sigma) of the Chebyshev terms of a spectrograph's dispersion over a frame,
# as fractions of half the frame: of F, from the second on, and of that of a prism; of their change
# over half a frame; and of what is left in single slits.
_CURVATURE = {2: 0.05, 3: 0.006, 4: 0.002, 5: 0.0006}
_GLASS = {2: 0.2, 3: 0.03, 4: 0.006, 5: 0.0012}
_CHANGE = {1: 0.03, 2: 0.01, 3: 0.004}
_OWN = {1: 5e-4, 2: 2e-4}
# The same of what changes from one night to another, F from the first term on; and the constants
# of single slits, px.
_MOVED = {1: 1e-3, 2: 3e-4, 3: 2e-4, 4: 1e-4, 5: 1e-4}
_MOVED_CHANGE = {1: 5e-4, 2: 2e-4, 3: 1e-4}
_MOVED_SLIT = 2.0


@dataclass(frozen=True)
class WavelengthFit:
    """A fitted solution and its covariance.

    Attributes
    ----------
    solution : Solution
    degree : int
        Of F.
    covariance : ndarray
        Of the parameters in units of the mean dispersion, for weights that are inverse
        variances, px.
    design : ndarray, shape (n, n_parameters)
        Rows of the design matrix of the peaks that were fitted.
    residual : ndarray, shape (n,)
        From the fit to the targets, px of mean dispersion.
    weight : ndarray, shape (n,)
        px^-2.
    """

    solution: Solution
    degree: int
    covariance: np.ndarray
    design: np.ndarray
    residual: np.ndarray
    weight: np.ndarray

    def sigma(self, slit, p):
        """Return the standard deviation of the solution, px, at the pairs (slit, p)."""
        design = _design(self.solution, slit, chebyshev.chebvander(self.solution.x(p), self.degree))
        return np.sqrt(np.maximum(np.sum(design @ self.covariance * design, axis=1), 0.0))

    def held_out(self, group):
        """Fit without a group of peaks, by the formulae for leaving out in linear regression.

        Parameters
        ----------
        group : ndarray of int, shape (m,)
            Peaks of positive weight.

        Returns
        -------
        residual, sigma : ndarray, shape (m,)
            From the fit to all others to the peaks, and that fit's standard deviation, px.
        """
        rows, residual = self.design[group], self.residual[group]
        spread = rows @ self.covariance @ rows.T
        # (1 - H)^-1 r with the hat matrix H = spread noise^-1.
        gain = np.linalg.solve(np.diag(1.0 / self.weight[group]) - spread, spread)
        variance = np.diag(spread) + np.sum(spread * gain.T, axis=1)
        return residual + residual @ gain, np.sqrt(np.maximum(variance, 0.0))


class WavelengthModel:
    """The model at some peaks: what fits to them share, whatever their targets and weights.

    Parameters
    ----------
    solution : Solution
        Gives the frame, the scale, the constant of slits without a line, and what is known from
        before.
    peaks : PeakTable
    degree : int
        Degree of F.
    """

    def __init__(self, solution, peaks, degree):
        self.solution, self.degree = solution, degree
        basis = chebyshev.chebvander(solution.x(peaks.p), degree)
        self.design = _design(solution, peaks.slit, basis)
        self.precision = _precision(solution, degree)
        before = solution.before
        self.start = 0.0 if before is None else before.wavelength(peaks.slit, peaks.p)

    def fit(self, target, weight):
        """Fit the wavelengths of all slits to targets by weighted, regularised least squares.

        Parameters
        ----------
        target : ndarray, shape (n,)
            Wavelengths, Å.
        weight : ndarray, shape (n,)
            Inverse variances, px^-2; 0 for a peak that is not used.

        Returns
        -------
        WavelengthFit
        """
        solution = self.solution
        target, normal, right = self._system(solution.coefficients, target, weight)
        covariance = np.linalg.inv(normal)
        value = covariance @ right
        series = self._series(solution.coefficients, value)
        fitted = replace(solution, coefficients=series, score=-np.inf, line=None)
        residual = target - self.design @ value
        return WavelengthFit(fitted, self.degree, covariance, self.design, residual, weight)

    def series(self, before, target, weight):
        """Fit several solutions at once, each to its own targets.

        Parameters
        ----------
        before : ndarray, shape (m, n_slits, DEGREE + 1)
            Their series: they differ from `solution` in nothing else.
        target, weight : ndarray, shape (m, n)
            As in `fit`.

        Returns
        -------
        ndarray, shape (m, n_slits, DEGREE + 1)
        """
        _, normal, right = self._system(before, target, weight)
        return self._series(before, np.linalg.solve(normal, right[..., None])[..., 0])

    def _system(self, before, target, weight):
        """Return targets in units of the dispersion, and the normal equations, of one or more."""
        scale = self._scale(before)[..., None]
        target = (target - self.start) / scale
        rows = self.design * np.sqrt(weight)[..., None]
        normal = np.swapaxes(rows, -1, -2) @ rows
        right = (weight * target) @ self.design
        n = np.arange(len(self.precision))
        normal[..., n, n] += self.precision
        if self.solution.before is None:  # a slit without lines keeps its constant
            right[..., : before.shape[-2]] += _LOOSE * before[..., 0] / scale
        return target, normal, right

    def _scale(self, series):
        """Mean dispersion of all slits, Å/px."""
        return series[..., 1].mean(axis=-1) / (0.5 * self.solution.length)

    def _series(self, before, value):
        """Turn fitted parameters into series."""
        solution, degree, n_slits = self.solution, self.degree, before.shape[-2]
        shape = np.zeros_like(before)
        shape[..., 1 : degree + 1] = value[..., None, n_slits : n_slits + degree]
        if solution.moves is not None:
            shape = moved(shape, solution.moves, solution.length)
        shape[..., 0] += value[..., :n_slits]
        if n_slits > 1:
            smooth, own = np.split(value[..., n_slits + degree :], [len(_CHANGE) * _PLACES], -1)
            smooth = smooth.reshape(*smooth.shape[:-1], len(_CHANGE), _PLACES)
            shape[..., list(_CHANGE)] += _places(solution) @ np.swapaxes(smooth, -1, -2)
            own = own.reshape(*own.shape[:-1], len(_OWN), n_slits)
            shape[..., list(_OWN)] += np.swapaxes(own, -1, -2)
        shape *= self._scale(before)[..., None, None]
        return shape if solution.before is None else shape + solution.before.coefficients


# Prior precision, px^-2, of the constants and the slope: none, but for a singular matrix.
_LOOSE = 1e-8


def _places(solution):
    """Terms of the slits' places by which F changes, shape (n_slits, _PLACES)."""
    u, v = solution.place.T
    return np.stack([u, v, u * u, u * v, v * v], axis=1)


_PLACES = 5


def _design(solution, slit, basis):
    """Rows of the design matrix: the slits' constants, F, its smooth changes, and the rest."""
    n_slits = len(solution.coefficients)
    own = np.zeros((len(basis), n_slits))
    own[np.arange(len(basis)), slit] = 1.0
    columns = [own, _shape(solution, slit, basis)]
    if n_slits > 1:
        terms = _places(solution)[slit]
        # A fit of degree 1 or 2 has fewer terms that can change.
        padded = np.pad(basis, ((0, 0), (0, max(0, max(_CHANGE) + 1 - basis.shape[1]))))
        columns += [terms * padded[:, k : k + 1] for k in _CHANGE]
        columns += [own * padded[:, k : k + 1] for k in _OWN]
    return np.hstack(columns)


def _shape(solution, slit, basis):
    """Rows of the design matrix for F."""
    if solution.moves is None:
        return basis[:, 1:]
    x = basis[:, 1] - 2.0 * solution.moves[slit] / (solution.length - 1)
    return chebyshev.chebvander(x, basis.shape[1] - 1)[:, 1:]


def _precision(solution, degree):
    """Prior precision of each parameter, px^-2."""
    n_slits, half = len(solution.coefficients), 0.5 * solution.length
    new = solution.before is None
    curvature = _CURVATURE if solution.moves is None else _GLASS
    terms, change = (curvature, _CHANGE) if new else (_MOVED, _MOVED_CHANGE)
    constant = _LOOSE if new else _MOVED_SLIT**-2
    sizes = [terms[k] * half if k in terms else _LOOSE**-0.5 for k in range(1, degree + 1)]
    precision = [np.full(n_slits, constant), np.array(sizes) ** -2.0]
    if n_slits > 1:
        precision += [np.full(_PLACES, (size * half) ** -2) for size in change.values()]
        precision += [np.full(n_slits, (size * half) ** -2) for size in _OWN.values()]
    return np.concatenate(precision)
