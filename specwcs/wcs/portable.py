"""A GWCS of standard astropy models only: it opens without specwcs.

The exact steps of a slit are polynomials except for two inverses. Here t is a
polynomial of the pixel, measured from the middle trace, and the wavelength one of
(d, t); their degrees rise until the error, measured against the exact geometry on a
grid of its own, is small enough. Outside the slit these models do not give NaN: only
the bounding box limits them.
"""

import numpy as np
from astropy.modeling.models import Identity, Mapping, Polynomial1D, Polynomial2D, Scale
from numpy.polynomial import chebyshev

from specwcs.errors import FitError

from .exact import assemble, detector_box

__all__ = ["TOLERANCE", "portable_slit_wcs"]

TOLERANCE = 1e-3
"""Largest error in px that a portable WCS may have."""

_AIM = 2e-4  # px, for each fitted polynomial
_DEGREES = range(2, 13)


def portable_slit_wcs(geometry, slit, shape, *, to="slit"):
    """Make the GWCS of one slit from standard astropy models.

    Parameters
    ----------
    geometry : SlitGeometry
    slit : Slit
    shape : tuple of int
        (ny, nx) of the detector.
    to : {"slit"}
        The last frame.

    Returns
    -------
    gwcs.wcs.WCS
        Its attribute ``error_bound`` is the largest difference from the exact one in px,
        either way; it stands in the name too, which is kept in files.

    Raises
    ------
    FitError
        If no polynomial reaches `TOLERANCE`.
    InputError
        If the slit does not fall on the detector.
    """
    grid = _Grid(geometry, slit, shape)
    steps = [_detector_to_trace(geometry, grid), _trace_to_slit(geometry, grid)]
    wcs = assemble(steps, geometry, slit, shape, to=to, name="")
    bound = _measure(wcs, geometry, grid)
    if not bound <= TOLERANCE:
        msg = f"slit {slit.id}: portable WCS off by {bound:.2g} px, allowed {TOLERANCE:g} px."
        raise FitError(msg)
    wcs.error_bound = bound
    wcs.name = f"slit {slit.id}, standard models, within {bound:.1e} px"
    return wcs


class _Grid:
    """Where the slit is known: the range of d that falls on the detector, and t 0 to 1."""

    def __init__(self, geometry, slit, shape):
        box = detector_box(geometry, slit, shape)
        low, high = geometry.dispersion.wavelength_domain
        wavelength, t = np.linspace(low, high, 300), np.linspace(0, 1, 11)[:, None]
        x, y = geometry.pixel(wavelength, t)
        d = geometry.dispersion.distance_from_wavelength(wavelength, t)
        on = (x >= box[0][0]) & (x <= box[0][1]) & (y >= box[1][0]) & (y <= box[1][1])
        self.d_domain = float(d[on].min()), float(d[on].max())
        self.along_domain = geometry.trace.direction.split(*box)[0]

    def points(self, n_d, n_t, spread):
        """Return (d, t) on a grid of nodes, flat; `spread` makes the nodes."""
        d = _onto(spread(n_d), self.d_domain)
        d, t = np.meshgrid(d, _onto(spread(n_t), (0.0, 1.0)))
        return d.ravel(), t.ravel()


def _onto(unit, domain):
    return 0.5 * (unit * (domain[1] - domain[0]) + domain[0] + domain[1])


def _sum(*signs):
    """Return a model that adds its two inputs with signs."""
    return Polynomial2D(1, c1_0=signs[0], c0_1=signs[1])


def _series(powers, domain, sign=1.0):
    """Return a polynomial in t with the exact coefficients of a geometry."""
    model = Polynomial1D(len(powers) - 1, domain=domain, window=(-1, 1))
    model.parameters = sign * np.asarray(powers)
    return model


def _fit_2d(u, v, values, u_domain, v_domain, scale):
    """Fit a Polynomial2D of the lowest degree that reproduces `values` to `_AIM` px.

    `scale` gives px per unit of the values.
    """
    us = (2 * u - sum(u_domain)) / (u_domain[1] - u_domain[0])
    vs = (2 * v - sum(v_domain)) / (v_domain[1] - v_domain[0])
    powers = [(i, j) for j in range(_DEGREES[-1] + 1) for i in range(_DEGREES[-1] + 1 - j)]
    total = np.array([i + j for i, j in powers])
    u_powers, v_powers = (np.vander(x, _DEGREES[-1] + 1, increasing=True).T for x in (us, vs))
    design = np.stack([u_powers[i] * v_powers[j] for i, j in powers], axis=-1)
    best, best_error = None, np.inf
    for degree in _DEGREES:
        terms = total <= degree
        solution = np.linalg.lstsq(design[:, terms], values, rcond=1e-14)[0]
        error = np.max(np.abs(design[:, terms] @ solution - values) * scale)
        if error < best_error:
            best, best_error = (degree, terms, solution), error
        if error < 0.1 * _AIM:
            break
    degree, terms, solution = best
    names = [f"c{i}_{j}" for (i, j), there in zip(powers, terms, strict=True) if there]
    coefficients = dict(zip(names, solution, strict=True))
    return Polynomial2D(degree, x_domain=u_domain, y_domain=v_domain, **coefficients)


def _detector_to_trace(geometry, grid):
    trace, sign = geometry.trace, float(geometry.trace.direction.sign)
    d, t = grid.points(48, 24, chebyshev.chebpts1)
    along, across = trace.direction.split(*trace.pixel_from_trace(d, t))
    # The middle trace as a polynomial in `along` makes the strip straight, and so the
    # polynomial in (along, across) well conditioned.
    middle_d = _onto(chebyshev.chebpts1(48), grid.d_domain)
    mid_along, mid_across = trace.direction.split(*trace.pixel_from_trace(middle_d, 0.5))
    low, high = min(grid.along_domain[0], along.min()), max(grid.along_domain[1], along.max())
    middle = Polynomial1D(6, domain=(low, high), window=(-1, 1))
    vander = np.polynomial.polynomial.polyvander(
        (2 * mid_along - low - high) / (high - low), middle.degree
    )
    middle.parameters = -np.linalg.lstsq(vander, mid_across, rcond=None)[0]
    height = across + middle(along)
    v_domain = float(height.min()), float(height.max())
    px_per_t = np.ptp(v_domain)
    position = _fit_2d(along, height, t, (low, high), v_domain, px_per_t)

    order = Mapping((0, 1)) if trace.direction.along_x else Mapping((1, 0))
    straighten = Mapping((0, 1, 0)) | Identity(2) & middle | Identity(1) & _sum(1, 1)
    find_t = Mapping((0, 0, 1)) | Identity(1) & position
    find_d = Mapping((0, 1, 1)) | Identity(1) & _series(trace.along, trace.t_domain) & Identity(1)
    forward = order | straighten | find_t | find_d | _sum(sign, -sign) & Identity(1)

    bend = _fit_2d(d, t, across, grid.d_domain, (0.0, 1.0), 1.0)
    reference = _series(trace.along, trace.t_domain)
    locate = Mapping((0, 1, 0, 1)) | Scale(sign) & reference & bend
    forward.inverse = locate | _sum(1, 1) & Identity(1) | order
    forward.name = "detector_to_trace"
    return forward


def _trace_to_slit(geometry, grid):
    dispersion = geometry.dispersion
    d, t = grid.points(48, 24, chebyshev.chebpts1)
    wavelength = dispersion.wavelength_from_distance(d, t)
    slope = dispersion.slope(wavelength, t)
    inverse_domain = float(wavelength.min()), float(wavelength.max())
    forward = _fit_2d(d, t, wavelength, grid.d_domain, (0.0, 1.0), np.abs(slope))
    backward = _fit_2d(wavelength, t, d, inverse_domain, (0.0, 1.0), 1.0)
    step = Mapping((0, 1, 1)) | forward & Identity(1)
    step.inverse = Mapping((0, 1, 1)) | backward & Identity(1)
    step.name = "trace_to_slit"
    return step


def _measure(wcs, geometry, grid):
    """Return the largest error in px, either way, on points that no fit has seen."""
    d, t = grid.points(131, 37, lambda n: np.linspace(-1, 1, n))
    x, y = geometry.trace.pixel_from_trace(d, t)
    wavelength = geometry.dispersion.wavelength_from_distance(d, t)
    w, s = wcs(x, y, with_bounding_box=False)
    x_back, y_back = geometry.pixel(w, s)
    forward = np.hypot(x_back - x, y_back - y)
    x_in, y_in = wcs.invert(wavelength, t, with_bounding_box=False)
    backward = np.hypot(x_in - x, y_in - y)
    return float(1.2 * max(forward.max(), backward.max()))
