"""The optical model: where a point of the mask falls at the reference wavelength."""

import numpy as np
from astropy import units as u
from astropy.modeling.polynomial import PolynomialBase
from numpy.polynomial import polynomial

from specwcs.errors import InputError

from .field import (
    LinearSamples,
    check_degree,
    check_domain,
    design_matrix,
    give_parameters,
    scale,
)
from .stored import Stored

__all__ = ["OpticalModel"]


class OpticalModel(Stored, PolynomialBase):
    r"""OPT: mask (X, Y) mm to detector (x0, y0) px at the reference wavelength.

    .. math:: x_0 = \sum_{ij} a_{ij} \tilde X^i \tilde Y^j, \quad
              y_0 = \sum_{ij} b_{ij} \tilde X^i \tilde Y^j

    a full tensor product of degrees (N, M); the tilde maps the domains to [-1, 1].
    `flipx` and `flipy` substitute -X and -Y.

    Parameters
    ----------
    x_degree, y_degree : int
        Degrees N in X and M in Y.
    x_domain, y_domain : tuple of float
        (low, high) of X and Y in mm, before any flip. They are made symmetric about
        the centre of the mask, so that a flip leaves them as they are.
    x_flipped, y_flipped : bool
        Whether -X, -Y are substituted.
    name, meta, **coefficients
        As for any `~astropy.modeling.Model`; the parameters are ``x{i}_{j}``, ``y{i}_{j}``.

    Examples
    --------
    >>> from specwcs.models import OpticalModel
    >>> opt = OpticalModel(1, 1, x_domain=(-10, 10), y_domain=(-10, 10),
    ...                    x0_0=100.0, x1_0=50.0, y0_0=200.0, y0_1=50.0)
    >>> opt(10.0, 10.0)
    (150.0, 250.0)
    >>> opt.flipy()
    >>> opt(10.0, 10.0)
    (150.0, 150.0)
    """

    n_inputs = 2
    n_outputs = 2
    _separable = False
    inputs = ("X", "Y")
    outputs = ("x0", "y0")
    _input_units_allow_dimensionless = True
    input_units = {"X": u.mm, "Y": u.mm}  # noqa: RUF012 - astropy's protocol
    return_units = {"x0": u.pix, "y0": u.pix}  # noqa: RUF012

    def __init__(
        self,
        x_degree,
        y_degree,
        *,
        x_domain=(-1, 1),
        y_domain=(-1, 1),
        x_flipped=False,
        y_flipped=False,
        name=None,
        meta=None,
        **coefficients,
    ):
        self._degrees = (check_degree("x_degree", x_degree), check_degree("y_degree", y_degree))
        half_x = np.max(np.abs(check_domain("x_domain", x_domain)))
        half_y = np.max(np.abs(check_domain("y_domain", y_domain)))
        self._domains = ((-float(half_x), float(half_x)), (-float(half_y), float(half_y)))
        self.x_flipped, self.y_flipped = bool(x_flipped), bool(y_flipped)
        shape = tuple(d + 1 for d in self._degrees)
        self._param_names = tuple(f"{axis}{i}_{j}" for axis in "xy" for i, j in np.ndindex(shape))
        give_parameters(self, self._param_names)
        super().__init__(name=name, meta=meta, **coefficients)

    @property
    def degrees(self):
        """Degrees (N, M) in X and Y."""
        return self._degrees

    @property
    def x_domain(self):
        """(low, high) of X, mm."""
        return self._domains[0]

    @property
    def y_domain(self):
        """(low, high) of Y, mm."""
        return self._domains[1]

    @property
    def coefficients(self):
        """The coefficients, ndarray of shape (2, N + 1, M + 1): of x0, of y0."""
        return np.reshape(self.parameters, (2, *(d + 1 for d in self._degrees)))

    @coefficients.setter
    def coefficients(self, values):
        self.parameters = np.ravel(values)

    def assign(self, other):
        """Become what another optical model is; the name stays.

        Parameters
        ----------
        other : OpticalModel
        """
        self.__init__(
            *other.degrees,
            x_domain=other.x_domain,
            y_domain=other.y_domain,
            x_flipped=other.x_flipped,
            y_flipped=other.y_flipped,
            name=self.name,
            meta=dict(other.meta),
            **dict(zip(other.param_names, other.parameters, strict=True)),
        )

    def plus(self, other):
        """Return the sum with another optical model of the same flips, over its domains.

        Parameters
        ----------
        other : OpticalModel

        Returns
        -------
        OpticalModel
            Of the higher of the degrees on each axis.

        Raises
        ------
        InputError
            If the flips differ.
        """
        flips = [(m.x_flipped, m.y_flipped) for m in (self, other)]
        if flips[0] != flips[1]:
            raise InputError(f"flips {flips[0]}", f"Must be those of the other model, {flips[1]}")
        degrees = np.maximum(self.degrees, other.degrees)
        total = OpticalModel(
            *degrees.tolist(), x_domain=other.x_domain, y_domain=other.y_domain,
            x_flipped=other.x_flipped, y_flipped=other.y_flipped,
        )  # fmt: skip
        coefficients = np.zeros((2, *(degrees + 1)))
        for model in (self, other):
            # Domains are symmetric: another one scales the powers.
            ratios = (other.x_domain[1] / model.x_domain[1], other.y_domain[1] / model.y_domain[1])
            powers = [r ** np.arange(d + 1) for r, d in zip(ratios, model.degrees, strict=True)]
            part = model.coefficients * np.multiply.outer(*powers)
            coefficients[:, : part.shape[1], : part.shape[2]] += part
        total.coefficients = coefficients
        return total

    def flipx(self):
        """Turn the mask left to right: substitute -X."""
        self.x_flipped = not self.x_flipped

    def flipy(self):
        """Turn the mask upside down: substitute -Y."""
        self.y_flipped = not self.y_flipped

    def _scaled(self, X, Y):
        X = scale(X, self.x_domain) * (-1.0 if self.x_flipped else 1.0)
        Y = scale(Y, self.y_domain) * (-1.0 if self.y_flipped else 1.0)
        return np.broadcast_arrays(X, Y)

    def evaluate(self, X, Y, *coefficients):
        """Return (x0, y0) px of mask points (X, Y) mm."""
        shape = (2, *(d + 1 for d in self._degrees))
        c = np.reshape([np.ravel(value)[0] for value in coefficients], shape)
        X, Y = self._scaled(X, Y)
        x0, y0 = polynomial.polyval2d(X, Y, np.moveaxis(c, 0, -1))
        return x0, y0

    def design(self, X, Y):
        """Return the design matrix of either output, shape (n_samples, (N+1)(M+1))."""
        return design_matrix(self._scaled(X, Y), self._degrees)

    def at(self, X, Y, axis):
        """Return one output at fixed samples, for the astropy fitters.

        Parameters
        ----------
        X, Y : ndarray, shape (n_samples,)
            Mask points, mm.
        axis : {"x", "y"}
            Which output.

        Returns
        -------
        LinearSamples
            Its parameters are those of this output.
        """
        names = [name for name in self.param_names if name[0] == axis]
        values = self.coefficients["xy".index(axis)].ravel()
        held = self.fixed  # made anew at each look
        fixed = {name: held[name] for name in names}
        return LinearSamples(self.design(X, Y), names, values, fixed=fixed)

    def __repr__(self):
        flips = "".join(a for a, on in (("x", self.x_flipped), ("y", self.y_flipped)) if on)
        return (
            f"<OpticalModel{self._degrees} x_domain={self.x_domain} y_domain={self.y_domain} "
            f"flipped={flips or 'no'}>"
        )
