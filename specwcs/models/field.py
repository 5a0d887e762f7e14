"""Polynomials whose coefficients vary over the field: curvature and dispersion.

Use `CurvatureModel` and `DispersionModel` for spectra; `FieldPolynomial` is the
mathematics they share; `LinearSamples` hands any linear model with many inputs to
the astropy fitters, which know only one or two.
"""

import numpy as np
from astropy import units as u
from astropy.modeling.parameters import Parameter
from astropy.modeling.polynomial import PolynomialBase
from numpy.polynomial import polynomial

from specwcs.errors import InputError

__all__ = [
    "CurvatureModel",
    "DispersionModel",
    "FieldPolynomial",
    "LinearSamples",
    "check_degree",
    "check_domain",
    "design_matrix",
    "scale",
]


def check_degree(name, value):
    """Return `value` as an int if it is a polynomial degree (>= 0)."""
    if isinstance(value, bool) or int(value) != value or value < 0:
        raise InputError(f"invalid {name} {value!r}", "Must be an integer >= 0.")
    return int(value)


def check_domain(name, value):
    """Return `value` as a pair of floats (low, high), low < high, both finite."""
    low, high = (float(v) for v in value)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InputError(f"invalid {name} {value!r}", "Must be two finite numbers, low < high.")
    return low, high


def scale(value, domain):
    """Map `domain` linearly to [-1, 1]."""
    low, high = domain
    return (2.0 * np.asarray(value, dtype=float) - low - high) / (high - low)


def design_matrix(scaled, degrees):
    """Return the products of powers of some variables, as rows.

    Parameters
    ----------
    scaled : iterable of ndarray, shape (n,)
    degrees : sequence of int

    Returns
    -------
    ndarray, shape (n, product of (degree + 1))
        The powers of the last variable run fastest.
    """
    rows = None
    for variable, degree in zip(np.broadcast_arrays(*scaled), degrees, strict=True):
        powers = polynomial.polyvander(variable, degree)
        if rows is None:
            rows = powers
            continue
        columns = rows.shape[1] * powers.shape[1]
        rows = (rows[:, :, None] * powers[:, None, :]).reshape(len(rows), columns)
    return rows


class LinearSamples(PolynomialBase):
    """A linear model at fixed samples: one input, the index of the sample.

    `astropy` fitters, and `~astropy.modeling.fitting.FittingWithOutlierRemoval`, take
    models with one or two inputs. This one has the parameters of the model it was
    made from and its design matrix, whatever its inputs are.

    Parameters
    ----------
    design : ndarray, shape (n_samples, n_parameters)
        Derivative of each sample with respect to each parameter.
    names : sequence of str
        Names of the parameters, in the order of the columns.
    values : ndarray, shape (n_parameters,)
        Values of the parameters.
    fixed : mapping of str to bool, optional
        The parameters that a fit must leave as they are.
    """

    n_inputs = 1
    n_outputs = 1

    def __init__(self, design, names, values, *, fixed=None, name=None, meta=None):
        self._design = design
        self._param_names = tuple(names)
        for parameter in self._param_names:
            self._parameters_[parameter] = Parameter(parameter, default=0.0)
        super().__init__(
            name=name, meta=meta, fixed=dict(fixed or {}), **dict(zip(names, values, strict=True))
        )

    def evaluate(self, index, *coefficients):
        """Return the model at the samples `index`."""
        rows = self._design[np.asarray(index).astype(int)]
        return rows @ np.array([np.ravel(c)[0] for c in coefficients])

    def fit_deriv(self, index, *coefficients):  # noqa: ARG002 - linear: no dependence
        """Return the rows of the design matrix at the samples `index`."""
        return self._design[np.asarray(index).astype(int)]


class FieldPolynomial(PolynomialBase):
    r"""A polynomial in u whose coefficients are polynomials of the field position.

    .. math:: f(x, y, u) = \sum_{k=0}^{n} \sum_{i=0}^{n_x} \sum_{j=0}^{n_y}
              c_{kij}\, \tilde x^i \tilde y^j \tilde u^k

    where the tilde maps each domain linearly to [-1, 1]. The model is linear in its
    parameters ``c{k}_{i}_{j}``.

    Parameters
    ----------
    degree : int
        Local degree n, in u.
    x_degree, y_degree : int
        Field degrees, a full tensor product.
    domain, x_domain, y_domain : tuple of float
        (low, high) of u, x and y.
    name, meta, **coefficients
        As for any `~astropy.modeling.Model`.

    Raises
    ------
    InputError
        If a degree is negative or a domain is not an increasing finite pair.

    Examples
    --------
    >>> from specwcs.models import FieldPolynomial
    >>> f = FieldPolynomial(1, 0, 1, domain=(0, 10), x_domain=(0, 100), y_domain=(0, 100),
    ...                     c0_0_0=5.0, c1_0_0=1.0, c0_0_1=0.5)
    >>> float(f(50, 100, 10))
    6.5
    """

    n_inputs = 3
    n_outputs = 1
    _separable = False

    def __init__(
        self,
        degree,
        x_degree,
        y_degree,
        *,
        domain=(-1, 1),
        x_domain=(-1, 1),
        y_domain=(-1, 1),
        name=None,
        meta=None,
        **coefficients,
    ):
        self._degrees = (
            check_degree("degree", degree),
            check_degree("x_degree", x_degree),
            check_degree("y_degree", y_degree),
        )
        self._domains = (
            check_domain("domain", domain),
            check_domain("x_domain", x_domain),
            check_domain("y_domain", y_domain),
        )
        shape = tuple(d + 1 for d in self._degrees)
        self._param_names = tuple(f"c{k}_{i}_{j}" for k, i, j in np.ndindex(shape))
        for parameter in self._param_names:
            self._parameters_[parameter] = Parameter(parameter, default=0.0)
        super().__init__(name=name, meta=meta, **coefficients)

    @property
    def degrees(self):
        """Local and field degrees, (n, nx, ny)."""
        return self._degrees

    @property
    def domain(self):
        """(low, high) of u."""
        return self._domains[0]

    @property
    def x_domain(self):
        """(low, high) of x."""
        return self._domains[1]

    @property
    def y_domain(self):
        """(low, high) of y."""
        return self._domains[2]

    @property
    def coefficients(self):
        """The coefficients, ndarray of shape (n + 1, nx + 1, ny + 1)."""
        return np.reshape(self.parameters, tuple(d + 1 for d in self._degrees))

    @coefficients.setter
    def coefficients(self, values):
        self.parameters = np.ravel(values)

    def evaluate(self, x, y, u, *coefficients):
        """Return f(x, y, u); the inputs broadcast against each other."""
        shape = tuple(d + 1 for d in self._degrees)
        c = np.reshape([np.ravel(value)[0] for value in coefficients], shape)
        u, x, y = np.broadcast_arrays(
            scale(u, self.domain), scale(x, self.x_domain), scale(y, self.y_domain)
        )
        return polynomial.polyval3d(u, x, y, c)

    def fit_deriv(self, x, y, u, *coefficients):  # noqa: ARG002 - linear: no dependence
        """Return the design matrix, shape (n_samples, n_parameters)."""
        scaled = (scale(v, d) for v, d in zip((u, x, y), self._domains, strict=True))
        return design_matrix(scaled, self._degrees)

    def local(self, x, y):
        """Return the local polynomial at field positions.

        Parameters
        ----------
        x, y : ndarray, shape (...)
            Field positions, px.

        Returns
        -------
        ndarray, shape (n + 1, ...)
            Coefficients of the powers of the scaled u.
        """
        x, y = scale(x, self.x_domain), scale(y, self.y_domain)
        return polynomial.polyval2d(x, y, np.moveaxis(self.coefficients, 0, -1))

    def at(self, x, y, u):
        """Return the model at fixed samples, for the astropy fitters.

        Parameters
        ----------
        x, y, u : ndarray, shape (n_samples,)

        Returns
        -------
        LinearSamples
            Its parameters have the names of this model's.
        """
        return LinearSamples(
            self.fit_deriv(x, y, u), self.param_names, self.parameters, fixed=self.fixed
        )

    def __repr__(self):
        return (
            f"<{type(self).__name__}{self._degrees} domain={self.domain} "
            f"x_domain={self.x_domain} y_domain={self.y_domain}>"
        )


class CurvatureModel(FieldPolynomial):
    """CRV: how far a trace bends across the dispersion.

    From the position (x0, y0) px of a slit's point at the reference wavelength and the
    distance d px along the dispersion (positive to the red) to the deviation in px along
    +y (dispersion along x) or +x (dispersion along y). See `FieldPolynomial` for the
    parameters.
    """

    inputs = ("x0", "y0", "d")
    outputs = ("c",)
    _input_units_allow_dimensionless = True
    input_units = {"x0": u.pix, "y0": u.pix, "d": u.pix}  # noqa: RUF012 - astropy's protocol
    return_units = {"c": u.pix}  # noqa: RUF012


class DispersionModel(FieldPolynomial):
    """IDS: from wavelength to the distance along the dispersion.

    From the position (x0, y0) px of a slit's point at the reference wavelength and the
    wavelength in Angstrom to the distance d px along the dispersion, positive to the red.
    See `FieldPolynomial` for the parameters.
    """

    inputs = ("x0", "y0", "wavelength")
    outputs = ("d",)
    _input_units_allow_dimensionless = True
    input_units = {"x0": u.pix, "y0": u.pix, "wavelength": u.AA}  # noqa: RUF012
    return_units = {"d": u.pix}  # noqa: RUF012
