"""The smooth field of traces: row q of the detector as a polynomial of (u, v, p).

A point of the mask (u, v) sends its spectrum along a curve q(p) of the canonical frame.
Over the whole field these curves are one smooth function, which a fit to the edges of some
slits gives for all of them. How smooth it is, the data say: `fit_field` adds degrees as
long as they help to predict slits that were left out.
"""

from dataclasses import dataclass, fields
from itertools import product

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from specwcs.errors import FitError

__all__ = ["FieldFit", "Samples", "TraceField", "fit_field"]

MAX_DEGREE = (3, 6, 7)
"""Highest degree in u, v and p that is tried."""

MODERATE_DEGREE = (1, 3, 3)
"""The degree about which outliers are recognised at first."""

TERMS_IN_U = (
    [(1, 0, 0)],  # the mask turned against the dispersion
    [(2, 1, 0)],  # radial distortion before the disperser
    [(1, 1, 0), (2, 0, 0), (1, 2, 0), (1, 0, 1)],  # decentred, and skew
)
"""Terms that depend on u, level by level: u matters little for where a trace runs."""

GAIN = 0.97
"""A higher degree is taken where it lowers the left-out residual by this factor."""

CLIP = 4.0
"""Residual, in robust standard deviations, beyond which a point is left out."""


@dataclass(frozen=True)
class TraceField:
    """A polynomial q(u, v, p), by Chebyshev terms.

    Attributes
    ----------
    terms : ndarray of int, shape (n, 3)
        Degrees in u, v and p of each term.
    coefficients : ndarray, shape (n,)
        Pixels.
    domain : ndarray, shape (3, 2)
        What is scaled to -1 to 1: u and v in mm, p in pixels.
    """

    terms: np.ndarray
    coefficients: np.ndarray
    domain: np.ndarray

    def __call__(self, u, v, p):
        """Return q, px, for mask points (u, v), mm, at columns p."""
        u, v, p = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in (u, v, p)))
        flat = design(self.terms, self.domain, u.ravel(), v.ravel(), p.ravel())
        return (flat @ self.coefficients).reshape(u.shape)

    @classmethod
    def linear(cls, scale, shift, domain, rotation=0.0):
        """Make q = shift + scale (v + rotation u)."""
        (u_mid, u_half), (v_mid, v_half) = _centre(domain[0]), _centre(domain[1])
        terms = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0]])
        constant = shift + scale * (v_mid + rotation * u_mid)
        coefficients = np.array([constant, scale * v_half, scale * rotation * u_half])
        return cls(terms, coefficients, np.asarray(domain, dtype=float))


@dataclass(frozen=True)
class Samples:
    """Measured points of traces; arrays of one shape (n,).

    Attributes
    ----------
    u, v : ndarray
        Mask position, mm.
    p, q : ndarray
        Canonical pixel.
    sigma : ndarray
        Standard error of q, px.
    group : ndarray of int
        The edge that a point belongs to.
    slit : ndarray of int
        The slit that a point belongs to.
    """

    u: np.ndarray
    v: np.ndarray
    p: np.ndarray
    q: np.ndarray
    sigma: np.ndarray
    group: np.ndarray
    slit: np.ndarray

    def __len__(self):
        return len(self.q)

    def join(self, other):
        """Return these samples and others."""
        pairs = ((getattr(self, x.name), getattr(other, x.name)) for x in fields(self))
        return Samples(*map(np.concatenate, pairs))

    def select(self, keep):
        """Return the samples that a boolean array names."""
        return Samples(*(getattr(self, column.name)[keep] for column in fields(self)))


@dataclass(frozen=True)
class FieldFit:
    """The field that was fitted, and what it says of each sample.

    Attributes
    ----------
    field : TraceField
    degree : tuple of int
        In u, v and p.
    residual : ndarray
        Measured minus fitted, px, of all samples.
    used : ndarray of bool
        The samples that the fit kept.
    rms : float
        Of the residuals used, px.
    """

    field: TraceField
    degree: tuple[int, int, int]
    residual: np.ndarray
    used: np.ndarray
    rms: float


def _centre(interval):
    low, high = interval
    half = (high - low) / 2
    return (low + high) / 2, half if half > 0 else 1.0


def design(terms, domain, u, v, p):
    """Return the matrix of Chebyshev products, shape (samples, terms)."""
    bases = []
    for column, interval, x in zip(terms.T, domain, (u, v, p), strict=True):
        middle, half = _centre(interval)
        bases.append(chebvander((x - middle) / half, int(column.max()))[:, column])
    return bases[0] * bases[1] * bases[2]


def field_terms(degree):
    """List the terms for degrees (in u, v, p): all products in v and p, and some in u."""
    in_u, in_v, in_p = degree
    terms = list(product([0], range(in_v + 1), range(in_p + 1)))
    return np.array([*terms, *(term for level in TERMS_IN_U[:in_u] for term in level)])


def fit_field(samples, domain, *, max_degree=MAX_DEGREE, floor=0.02):
    """Fit the smooth field to measured points, with as high a degree as they support.

    Starting from the lowest, the degree in v, p or u rises as long as that lowers
    the residual of points that took no part: whole slits in turn (edges where there are
    few slits), and stretches of p where there is one edge or two. Points off by more than
    `CLIP` robust standard deviations take no part.

    Parameters
    ----------
    samples : Samples
    domain : array-like, shape (3, 2)
        Limits of u and v, mm, and of p, px.
    max_degree : tuple of int, optional
        Highest degrees in u, v and p.
    floor : float, optional
        Error that no point is better than, px: pixel response, roughness of slit edges.

    Returns
    -------
    FieldFit

    Raises
    ------
    FitError
        If there are no samples.
    """
    if len(samples) == 0:
        raise FitError("no slit edge was measured. At least one is needed to fit traces.")
    domain = np.asarray(domain, dtype=float)
    weight = 1 / np.hypot(samples.sigma, floor)
    limit = _limit(samples, max_degree)
    blocks = _blocks(samples, domain[2])
    moderate = tuple(np.minimum(limit, MODERATE_DEGREE))
    _, used = _robust(samples, domain, weight, np.ones(len(samples), dtype=bool), moderate)
    degree = _choose(samples, domain, weight, used, limit, blocks)
    coefficients, used = _robust(samples, domain, weight, used, degree)
    field = TraceField(field_terms(degree), coefficients, domain)
    residual = samples.q - field(samples.u, samples.v, samples.p)
    return FieldFit(field, degree, residual, used, float(np.sqrt(np.mean(residual[used] ** 2))))


def _limit(samples, max_degree):
    """Highest degrees that the number of edges, slits and positions allows."""
    edges, slits = len(np.unique(samples.group)), len(np.unique(samples.slit))
    columns = len(np.unique(samples.p))
    in_u = max_degree[0] if slits >= 6 else 0
    return in_u, min(max_degree[1], edges - 1), min(max_degree[2], max(0, columns // 3))


def _blocks(samples, p_range):
    """Say which points are left out together, as lists of labels, shape (kinds, samples).

    Leaving out slits tells how a degree in u or v interpolates the field. The stretches of
    p tell the same of a degree in p, for which the slits are no test where few exist.
    """
    slits = len(np.unique(samples.slit))
    across = samples.slit if slits >= 5 else samples.group
    stretch = 8 * (samples.p - p_range[0]) / max(p_range[1] - p_range[0], 1e-9)
    return across, np.clip(stretch.astype(int), 0, 7)


def _choose(samples, domain, weight, used, limit, blocks):
    """Raise the degrees one at a time while points left out are predicted better."""
    across, along = blocks
    edges = len(np.unique(samples.group[used]))
    degree = (0, min(1, limit[1]), min(1, limit[2]))

    def score(trial, labels):
        return _left_out(samples, domain, weight, used, trial, labels)

    while True:
        best = None
        now = {id(labels): score(degree, labels) for labels in blocks}
        # Two steps at once too: distortion is odd, the next degree alone may not help.
        for axis, step in product(range(3), (1, 2)):
            trial = tuple(d + step * (n == axis) for n, d in enumerate(degree))
            labels = along if axis == 2 or edges < 3 else across
            if trial[axis] > limit[axis] or np.isinf(now[id(labels)]):
                continue
            gain = (score(trial, labels) / now[id(labels)]) ** (1 / step)
            if gain < GAIN and (best is None or gain < best[0]):
                best = gain, trial
        if best is None:
            return degree
        degree = best[1]


def _left_out(samples, domain, weight, used, degree, labels):
    """Robust rms of the weighted residuals of each block, predicted from the others."""
    matrix = design(field_terms(degree), domain, samples.u, samples.v, samples.p)[used]
    matrix = matrix * weight[used, np.newaxis]
    target = (samples.q * weight)[used]
    if len(np.unique(labels[used])) < 2:
        return np.inf
    order = np.argsort(labels[used], kind="stable")
    matrix, target = matrix[order], target[order]
    ends = np.cumsum(np.unique(labels[used], return_counts=True)[1])
    parts = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    gram = np.array([matrix[part].T @ matrix[part] for part in parts])
    right = np.array([matrix[part].T @ target[part] for part in parts])
    rest = gram.sum(axis=0) - gram
    # A trace of stiffness: what is undetermined without a block is then predicted badly.
    rest += 1e-9 * np.trace(rest, axis1=1, axis2=2)[:, None, None] * np.eye(matrix.shape[1])
    solution = np.linalg.solve(rest, (right.sum(axis=0) - right)[..., np.newaxis])[..., 0]
    residual = np.concatenate(
        [target[part] - matrix[part] @ one for part, one in zip(parts, solution, strict=True)]
    )
    ceiling = CLIP * np.median(np.abs(residual)) + 1e-12
    return np.sqrt(np.mean(np.minimum(np.abs(residual), ceiling) ** 2)) + 1e-12


def _robust(samples, domain, weight, used, degree):
    """Fit with the points that agree; points come back where they do."""
    matrix = design(field_terms(degree), domain, samples.u, samples.v, samples.p)
    for _ in range(8):
        scaled = matrix[used] * weight[used, np.newaxis]
        solution = np.linalg.lstsq(scaled, (samples.q * weight)[used], rcond=1e-10)[0]
        pull = np.abs(samples.q - matrix @ solution) * weight
        spread = max(1.4826 * np.median(pull[used]), 0.5)
        keep = pull < CLIP * spread
        if keep.sum() < max(2 * matrix.shape[1], 0.5 * len(keep)) or np.array_equal(keep, used):
            break
        used = keep
    return solution, used
