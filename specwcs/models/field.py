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

from .stored import Stored

__all__ = [
    "CurvatureModel",
    "DispersionModel",
    "FieldPolynomial",
    "LinearSamples",
    "check_degree",
    "check_domain",
    "design_matrix",
    "design_of_terms",
    "field_terms",
    "scale",
    "term_names",
]


def check_degree(name, value):
    """Return `value` as an int if it is a polynomial degree (>= 0)."""
    try:
        whole = not isinstance(value, bool) and int(value) == value and value >= 0
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
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


def field_terms(degrees, constant_degrees=None):
    """Say which terms a field polynomial has.

    Parameters
    ----------
    degrees : tuple of int
        (n, nx, ny).
    constant_degrees : tuple of int, optional
        Field degrees of the constant term.

    Returns
    -------
    ndarray of bool, shape (n + 1, nx' + 1, ny' + 1)
        By the powers of u, x and y; the last axes have room for the constant term.
    """
    n, *field = degrees
    constant = tuple(check_degree("constant_degrees", d) for d in constant_degrees or field)
    if len(constant) != 2 or constant[0] < field[0] or constant[1] < field[1]:
        raise InputError(
            f"invalid constant_degrees {constant}", f"Must be two, at least {tuple(field)}"
        )
    terms = np.zeros((n + 1, constant[0] + 1, constant[1] + 1), dtype=bool)
    terms[:, : field[0] + 1, : field[1] + 1] = True
    terms[0] = True
    return terms


def term_names(terms):
    """Return the names of the parameters of `field_terms`, in their order."""
    return tuple(f"c{k}_{i}_{j}" for k, i, j in np.argwhere(terms))


def give_parameters(model, names):
    """Give a model, before it is initialised, parameters that are its own.

    `astropy` copies those of a class, all that any model of it ever had, into each later one.
    """
    for name in names:
        parameter = Parameter(name, default=0.0)
        parameter.model = model
        vars(model)[name] = parameter


def design_of_terms(scaled, terms):
    """Return the design matrix of the terms of a field polynomial; see `design_matrix`."""
    design = design_matrix(scaled, [size - 1 for size in terms.shape])
    return design if terms.all() else design[:, terms.ravel()]


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
        give_parameters(self, self._param_names)
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


class FieldPolynomial(Stored, PolynomialBase):
    r"""A polynomial in u whose coefficients are polynomials of the field position.

    .. math:: f(x, y, u) = \sum_{k=0}^{n} \sum_{i=0}^{n_x} \sum_{j=0}^{n_y}
              c_{kij}\, \tilde x^i \tilde y^j \tilde u^k

    where the tilde maps each domain linearly to [-1, 1]. The constant term, k = 0, may have
    higher field degrees than the others. The model is linear in its parameters
    ``c{k}_{i}_{j}``.

    Parameters
    ----------
    degree : int
        Local degree n, in u.
    x_degree, y_degree : int
        Field degrees, a full tensor product.
    constant_degrees : tuple of int, optional
        Field degrees of the constant term, at least those of the others.
    domain, x_domain, y_domain : tuple of float
        (low, high) of u, x and y.
    name, meta, **coefficients
        As for any `~astropy.modeling.Model`.

    Raises
    ------
    InputError
        If a degree is negative, a degree of the constant term is lower than that of the
        others, or a domain is not an increasing finite pair.

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
        constant_degrees=None,
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
        self._terms = field_terms(self._degrees, constant_degrees)
        self._domains = (
            check_domain("domain", domain),
            check_domain("x_domain", x_domain),
            check_domain("y_domain", y_domain),
        )
        self._param_names = term_names(self._terms)
        give_parameters(self, self._param_names)
        super().__init__(name=name, meta=meta, **coefficients)

    @property
    def degrees(self):
        """Local and field degrees, (n, nx, ny)."""
        return self._degrees

    @property
    def constant_degrees(self):
        """Field degrees of the constant term, (nx, ny) or higher."""
        return tuple(size - 1 for size in self._terms.shape[1:])

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
        """The coefficients, ndarray of shape (n + 1, nx + 1, ny + 1).

        The last two axes have the degrees of the constant term; terms that the others lack
        are zero.
        """
        return self._array(self.parameters)

    @coefficients.setter
    def coefficients(self, values):
        self.parameters = np.reshape(values, self._terms.shape)[self._terms]

    def _array(self, parameters):
        array = np.zeros(self._terms.shape)
        array[self._terms] = parameters
        return array

    def assign(self, other):
        """Become what another model of the same class is; the name stays.

        Parameters
        ----------
        other : FieldPolynomial
        """
        self.__init__(
            *other.degrees,
            constant_degrees=other.constant_degrees,
            domain=other.domain,
            x_domain=other.x_domain,
            y_domain=other.y_domain,
            name=self.name,
            meta=dict(other.meta),
            **dict(zip(other.param_names, other.parameters, strict=True)),
        )

    def plus(self, other):
        """Return the sum with a polynomial of the same domains, a model of this class.

        Parameters
        ----------
        other : FieldPolynomial

        Returns
        -------
        FieldPolynomial
            Of the higher of the degrees on each axis.

        Raises
        ------
        InputError
            If a domain differs.
        """
        if other._domains != self._domains:
            raise InputError(
                f"domains {other._domains}", f"Must be those of the other term, {self._domains}"
            )
        total = type(self)(
            *np.maximum(self.degrees, other.degrees).tolist(),
            constant_degrees=np.maximum(self.constant_degrees, other.constant_degrees).tolist(),
            domain=self.domain,
            x_domain=self.x_domain,
            y_domain=self.y_domain,
        )
        sums = np.zeros(len(total.parameters))
        for term in (self, other):
            sums[term.places_in(total)] += term.parameters
        total.parameters = sums
        return total

    def places_in(self, other):
        """Return the index of each parameter among those of a model that has them all.

        Parameters
        ----------
        other : FieldPolynomial

        Returns
        -------
        ndarray of int
        """
        place = {name: index for index, name in enumerate(other.param_names)}
        return np.array([place[name] for name in self.param_names])

    def evaluate(self, x, y, u, *coefficients):
        """Return f(x, y, u); the inputs broadcast against each other."""
        c = self._array([np.ravel(value)[0] for value in coefficients])
        u, x, y = np.broadcast_arrays(
            scale(u, self.domain), scale(x, self.x_domain), scale(y, self.y_domain)
        )
        return polynomial.polyval3d(u, x, y, c)

    def fit_deriv(self, x, y, u, *coefficients):  # noqa: ARG002 - linear: no dependence
        """Return the design matrix, shape (n_samples, n_parameters)."""
        scaled = (scale(v, d) for v, d in zip((u, x, y), self._domains, strict=True))
        return design_of_terms(scaled, self._terms)

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
        higher = self.constant_degrees != self._degrees[1:]
        constant = f" constant {self.constant_degrees}" if higher else ""
        return (
            f"<{type(self).__name__}{self._degrees}{constant} domain={self.domain} "
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
