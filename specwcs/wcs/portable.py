"""A GWCS of standard astropy models only: it opens without specwcs.

The exact steps of a slit are polynomials except for two inverses. Here all are: t of the
pixel, the wavelength of (d, t), and back. Along the dispersion they vary much more than along
the slit, so that each is a short polynomial across or in t, whose coefficients are polynomials
along the dispersion, of different degrees: as few terms as the allowed error needs. It is
measured against the exact geometry on a grid of its own. Outside the slit these models do not
give NaN: only the bounding box limits them.
"""

import numpy as np
from astropy.modeling.models import Identity, Mapping, Polynomial1D, Shift, Tabular1D
from numpy.polynomial import chebyshev
from numpy.polynomial.polynomial import polyvander

from specwcs.errors import FitError, InputError

from .exact import assemble, detector_box

__all__ = ["TOLERANCE", "portable_slit_wcs"]

TOLERANCE = 1e-3
"""Largest error in px that a portable WCS may have."""

_AIM = 3e-4  # px, for each fitted polynomial
_HIGHEST, _POWERS = 12, 6  # the highest degree along the dispersion; powers of the other variable
# Degrees of the polynomials that 1, v, v², … are multiplied with, the fewest operations first.
_FORMS = sorted(
    {
        tuple(highest - fall * power for power in range(powers))
        for highest in range(_HIGHEST + 1)
        for powers in range(1, _POWERS + 1)
        for fall in range(4)
        if highest >= fall * (powers - 1)
    },
    key=lambda degrees: (sum(degrees) + 2 * len(degrees), degrees),
)


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
        If the slit does not fall on the detector, or another frame is asked for.
    """
    if to != "slit":
        raise InputError(
            f"a portable WCS to {to!r}",
            "Must be to 'slit': the steps beyond are models of specwcs",
            "Use the exact WCS",
            slit=slit.id,
        )
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


def _first():
    return Mapping((0,), n_inputs=2)


def _second():
    return Mapping((1,), n_inputs=2)


def _polynomial(coefficients, domain):
    model = Polynomial1D(len(coefficients) - 1, domain=domain, window=(-1, 1))
    model.parameters = coefficients
    return model


def _fit(u, v, values, u_domain, scale):
    """Fit the first of `_FORMS` that reproduces `values` to `_AIM` px: its model of (u, v).

    `scale` gives px per unit of the values.
    """
    us, unit = _unit(u, u_domain), np.abs(v).max()
    degrees = _form(us, _unit(v, (v.min(), v.max())), values, scale)
    u_powers, v_powers = polyvander(us, _HIGHEST), polyvander(v / unit, _POWERS - 1)
    design = np.hstack(
        [u_powers[:, : n + 1] * v_powers[:, [power]] for power, n in enumerate(degrees)]
    )
    solution = np.linalg.lstsq(design, values, rcond=1e-14)[0]
    rows = np.split(solution, np.cumsum([n + 1 for n in degrees])[:-1])
    rows = [row / unit**power for power, row in enumerate(rows)]
    model = _first() | _polynomial(rows.pop(), u_domain)
    while rows:  # Horner's scheme
        model = model * _second() + (_first() | _polynomial(rows.pop(), u_domain))
    return model


def _unit(values, domain):
    return (2 * values - sum(domain)) / (domain[1] - domain[0])


def _form(us, vs, values, scale):
    """Return the first of `_FORMS` that reproduces `values` to `_AIM` px, else the best.

    With Chebyshev polynomials of us and vs, -1 to 1: they span the same, and are so nearly
    orthogonal that the normal equations, made once for all forms, do.
    """
    u_terms = chebyshev.chebvander(us, _HIGHEST)
    v_terms = chebyshev.chebvander(vs, _POWERS - 1)
    terms = np.hstack([u_terms * v_terms[:, [power]] for power in range(_POWERS)])
    normal, right, errors = terms.T @ terms, terms.T @ values, []
    for degrees in _FORMS:
        own = np.concatenate(
            [power * (_HIGHEST + 1) + np.arange(n + 1) for power, n in enumerate(degrees)]
        )
        solution = np.linalg.solve(normal[np.ix_(own, own)], right[own])
        errors.append(np.max(np.abs(terms[:, own] @ solution - values) * scale))
        if errors[-1] < _AIM:
            break
    return _FORMS[int(np.argmin(errors))]


def _reference(trace):
    """Return where a trace crosses d = 0, px along the dispersion, as a model of t."""
    t = _onto(chebyshev.chebpts1(24), (0.0, 1.0))
    along, _ = trace.direction.split(*trace.pixel_from_trace(0.0, t))
    for degree in range(_HIGHEST + 1):
        powers = polyvander(2 * t - 1, degree)
        solution = np.linalg.lstsq(powers, along, rcond=None)[0]
        if np.max(np.abs(powers @ solution - along)) < 0.1 * _AIM:
            break
    return _polynomial(solution, (0.0, 1.0))


def _detector_to_trace(geometry, grid):
    trace = geometry.trace
    d, t = grid.points(48, 24, chebyshev.chebpts1)
    along, across = trace.direction.split(*trace.pixel_from_trace(d, t))
    low, high = (trace.direction.split(*trace.pixel_from_trace(d, end))[1] for end in (0.0, 1.0))
    domain = min(grid.along_domain[0], along.min()), max(grid.along_domain[1], along.max())
    middle = float(across.mean())
    position = _fit(along, across - middle, t, domain, np.abs(high - low))
    bend = _fit(d, t, across, grid.d_domain, 1.0)

    order = Mapping((0, 1)) if trace.direction.along_x else Mapping((1, 0))
    reference = _second() | _reference(trace)
    if trace.direction.sign > 0:
        find_d, locate = _first() - reference, reference + _first()
    else:
        find_d, locate = reference - _first(), reference - _first()
    find_t = Identity(1) & Shift(-middle) | Mapping((0, 0, 1)) | Identity(1) & position
    forward = order | find_t | Mapping((0, 1, 1)) | find_d & Identity(1)
    forward.inverse = Mapping((0, 1, 0, 1)) | locate & bend | order
    forward.name = "detector_to_trace"
    return forward


def _trace_to_slit(geometry, grid):
    dispersion = geometry.smooth.dispersion
    d, t = grid.points(48, 24, chebyshev.chebpts1)
    wavelength = dispersion.wavelength_from_distance(d, t)
    slope = dispersion.slope(wavelength, t)
    inverse_domain = float(wavelength.min()), float(wavelength.max())
    forward = _fit(d, t, wavelength, grid.d_domain, np.abs(slope))
    backward = _fit(wavelength, t, d, inverse_domain, 1.0)
    step = Mapping((0, 1, 1)) | forward & Identity(1)
    inverse = Mapping((0, 1, 1)) | backward & Identity(1)
    if geometry.dispersion.rough:
        rough = geometry.dispersion.roughness
        step, inverse = _moved(-rough) | step, inverse | _moved(rough)
    step.inverse = inverse
    step.name = "trace_to_slit"
    return step


def _moved(table):
    """Return the step that adds a table in t to d."""
    t = np.linspace(0.0, 1.0, len(table))
    move = Tabular1D(t, table, bounds_error=False, fill_value=None)
    return Mapping((0, 1, 1)) | (_first() + (_second() | move)) & Identity(1)


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
