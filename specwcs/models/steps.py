"""The steps of a slit's WCS as astropy models: detector, trace, slit, mask.

Each has its exact inverse, and gives NaN outside the slit (t outside 0 to 1) and
outside the fitted range. Their parameters are the coefficients of
`~specwcs.models.slit.TraceShape` and `~specwcs.models.slit.TraceDispersion`; nothing is
shared between calls, so that they are safe between threads.
"""

from math import comb

import numpy as np
from astropy import units as u
from astropy.modeling import Model
from astropy.modeling.parameters import Parameter

from specwcs.conventions import Direction

from .slit import T_DOMAIN, TraceDispersion, TraceShape, in_blocks

__all__ = [
    "DetectorToTrace",
    "MaskToSlit",
    "SlitToMask",
    "SlitToTrace",
    "TraceToDetector",
    "TraceToSlit",
    "bezier",
]

_SLACK = 1e-9  # rounding allowed at the edges of t and of the domains


def _plain(*values):
    """Strip units, which astropy has converted already."""
    return tuple(np.asarray(value, dtype=float) for value in values)


def _inside(value, domain):
    slack = _SLACK * (domain[1] - domain[0])
    return (value >= domain[0] - slack) & (value <= domain[1] + slack)


def _known(t, value, domain, *outputs):
    """Return the outputs, NaN where t is outside the slit or the value outside its domain."""
    known = _inside(t, (0.0, 1.0)) & _inside(value, domain)
    return [np.where(known, output, np.nan) for output in outputs]


class _Step(Model):
    """What the steps share: array parameters, units, and no shape rules of numpy."""

    standard_broadcasting = False
    _separable = False
    _input_units_allow_dimensionless = True

    def _like(self, name, value):
        """Undo the leading axis that astropy may give to an array parameter."""
        return np.reshape(value, np.shape(getattr(self, name).value))


class _TraceStep(_Step):
    along = Parameter(default=(0.0,), description="series in t of the px along the dispersion")
    across = Parameter(default=(0.0,), description="series in t of the px across it")
    curve = Parameter(default=((0.0,),), description="series in t of the powers of d, px")

    def __init__(self, along, across, curve, *, direction, d_domain, t_domain=T_DOMAIN, **kwargs):
        self.direction = Direction(direction)
        self.d_domain = tuple(float(v) for v in d_domain)
        self.t_domain = tuple(float(v) for v in t_domain)
        super().__init__(along=along, across=across, curve=curve, **kwargs)

    @classmethod
    def from_shape(cls, shape, **kwargs):
        """Make the step of a `~specwcs.models.slit.TraceShape`."""
        return cls(
            shape.along,
            shape.across,
            shape.curve,
            direction=shape.direction,
            d_domain=shape.d_domain,
            t_domain=shape.t_domain,
            **kwargs,
        )

    def _shape(self, along, across, curve):
        return TraceShape(
            self.direction,
            self._like("along", along),
            self._like("across", across),
            self._like("curve", curve),
            self.d_domain,
            self.t_domain,
        )

    def _opposite(self, cls):
        return cls.from_shape(self._shape(self.along.value, self.across.value, self.curve.value))


class DetectorToTrace(_TraceStep):
    """Detector (x, y) px to trace (d px, t).

    Parameters
    ----------
    along, across, curve, direction, d_domain, t_domain
        See `~specwcs.models.slit.TraceShape`.
    """

    n_inputs = 2
    n_outputs = 2
    inputs = ("x", "y")
    outputs = ("d", "t")
    input_units = {"x": u.pix, "y": u.pix}  # noqa: RUF012 - astropy's protocol
    return_units = {"d": u.pix, "t": u.dimensionless_unscaled}  # noqa: RUF012

    def evaluate(self, x, y, along, across, curve):
        """Return (d, t), NaN outside the slit or the fitted distances."""
        shape = self._shape(along, across, curve)

        def known(x, y):
            d, t = shape.trace_from_pixel(x, y)
            return _known(t, d, self.d_domain, d, t)

        return in_blocks(known, x, y)

    @property
    def inverse(self):
        """The `TraceToDetector` with the same coefficients."""
        return self._opposite(TraceToDetector)


class TraceToDetector(_TraceStep):
    """Trace (d px, t) to detector (x, y) px.

    Parameters
    ----------
    along, across, curve, direction, d_domain, t_domain
        See `~specwcs.models.slit.TraceShape`.
    """

    n_inputs = 2
    n_outputs = 2
    inputs = ("d", "t")
    outputs = ("x", "y")
    input_units = {"d": u.pix, "t": u.dimensionless_unscaled}  # noqa: RUF012
    return_units = {"x": u.pix, "y": u.pix}  # noqa: RUF012

    def evaluate(self, d, t, along, across, curve):
        """Return (x, y), NaN outside the slit or the fitted distances."""
        shape = self._shape(along, across, curve)
        return in_blocks(
            lambda d, t: _known(t, d, self.d_domain, *shape.pixel_from_trace(d, t)), d, t
        )

    @property
    def inverse(self):
        """The `DetectorToTrace` with the same coefficients."""
        return self._opposite(DetectorToTrace)


class _DispersionStep(_Step):
    terms = Parameter(default=((0.0,),), description="series in t of the powers of wavelength, px")

    def __init__(self, terms, *, wavelength_domain, t_domain=T_DOMAIN, roughness=(0.0,), **kwargs):
        self.wavelength_domain = tuple(float(v) for v in wavelength_domain)
        self.t_domain = tuple(float(v) for v in t_domain)
        self.roughness = tuple(float(v) for v in roughness)  # not to be fitted: no parameter
        super().__init__(terms=terms, **kwargs)

    @classmethod
    def from_dispersion(cls, dispersion, **kwargs):
        """Make the step of a `~specwcs.models.slit.TraceDispersion`."""
        return cls(
            dispersion.terms,
            wavelength_domain=dispersion.wavelength_domain,
            t_domain=dispersion.t_domain,
            roughness=dispersion.roughness,
            **kwargs,
        )

    def _dispersion(self, terms):
        return TraceDispersion(
            self._like("terms", terms),
            self.wavelength_domain,
            self.t_domain,
            np.array(self.roughness),
        )

    def _opposite(self, cls):
        return cls.from_dispersion(self._dispersion(self.terms.value))


class TraceToSlit(_DispersionStep):
    """Trace (d px, t) to slit (wavelength in Angstrom, t).

    Parameters
    ----------
    terms, wavelength_domain, t_domain, roughness
        See `~specwcs.models.slit.TraceDispersion`.
    """

    n_inputs = 2
    n_outputs = 2
    inputs = ("d", "t")
    outputs = ("wavelength", "t")
    input_units = {"d": u.pix, "t": u.dimensionless_unscaled}  # noqa: RUF012
    return_units = {"wavelength": u.AA, "t": u.dimensionless_unscaled}  # noqa: RUF012

    def evaluate(self, d, t, terms):
        """Return (wavelength, t), NaN outside the slit or the fitted wavelengths."""
        dispersion = self._dispersion(terms)

        def known(d, t):
            wavelength = dispersion.wavelength_from_distance(d, t)
            return _known(t, wavelength, self.wavelength_domain, wavelength, t)

        return in_blocks(known, d, t)

    @property
    def inverse(self):
        """The `SlitToTrace` with the same coefficients."""
        return self._opposite(SlitToTrace)


class SlitToTrace(_DispersionStep):
    """Slit (wavelength in Angstrom, t) to trace (d px, t).

    Parameters
    ----------
    terms, wavelength_domain, t_domain, roughness
        See `~specwcs.models.slit.TraceDispersion`.
    """

    n_inputs = 2
    n_outputs = 2
    inputs = ("wavelength", "t")
    outputs = ("d", "t")
    input_units = {"wavelength": u.AA, "t": u.dimensionless_unscaled}  # noqa: RUF012
    return_units = {"d": u.pix, "t": u.dimensionless_unscaled}  # noqa: RUF012

    def evaluate(self, wavelength, t, terms):
        """Return (d, t), NaN outside the slit or the fitted wavelengths."""
        dispersion = self._dispersion(terms)

        def known(wavelength, t):
            d = dispersion.distance_from_wavelength(wavelength, t)
            return _known(t, wavelength, self.wavelength_domain, d, t)

        return in_blocks(known, wavelength, t)

    @property
    def inverse(self):
        """The `TraceToSlit` with the same coefficients."""
        return self._opposite(TraceToSlit)


def bezier(control, t):
    """Return the points of a Bézier curve (de Casteljau) and their derivative in t.

    Parameters
    ----------
    control : ndarray, shape (n, 2)
    t : ndarray, shape (...)

    Returns
    -------
    points, slopes : ndarray, shape (2, ...)
    """
    t = np.asarray(t, float)
    n = len(control) - 1

    def curve(points):
        m = len(points) - 1
        weights = [comb(m, i) * t**i * (1 - t) ** (m - i) for i in range(m + 1)]
        return np.tensordot(points.T, np.array(weights), axes=1)

    return curve(control), curve(n * np.diff(control, axis=0))


class _MaskStep(_Step):
    control = Parameter(default=((0.0, 0.0), (1.0, 0.0)), description="Bézier control points, mm")

    def __init__(self, control, **kwargs):
        super().__init__(control=control, **kwargs)


class SlitToMask(_MaskStep):
    """Slit (wavelength, t) to mask (wavelength, X mm, Y mm).

    Parameters
    ----------
    control : ndarray, shape (n, 2)
        Control points of the slit's Bézier curve, mm, from t = 0 to t = 1.
    """

    n_inputs = 2
    n_outputs = 3
    inputs = ("wavelength", "t")
    outputs = ("wavelength", "X", "Y")
    input_units = {"wavelength": u.AA, "t": u.dimensionless_unscaled}  # noqa: RUF012
    return_units = {"wavelength": u.AA, "X": u.mm, "Y": u.mm}  # noqa: RUF012

    def evaluate(self, wavelength, t, control):
        """Return (wavelength, X, Y)."""
        wavelength, t = _plain(wavelength, t)
        wavelength, t = np.broadcast_arrays(wavelength, t)
        (X, Y), _ = bezier(self._like("control", control), t)
        return np.array(wavelength), X, Y

    @property
    def inverse(self):
        """The `MaskToSlit` of the same curve."""
        return MaskToSlit(self.control.value)


class MaskToSlit(_MaskStep):
    """Mask (wavelength, X mm, Y mm) to slit (wavelength, t): the nearest point of the slit.

    Parameters
    ----------
    control : ndarray, shape (n, 2)
        Control points of the slit's Bézier curve, mm, from t = 0 to t = 1.
    """

    n_inputs = 3
    n_outputs = 2
    inputs = ("wavelength", "X", "Y")
    outputs = ("wavelength", "t")
    input_units = {"wavelength": u.AA, "X": u.mm, "Y": u.mm}  # noqa: RUF012
    return_units = {"wavelength": u.AA, "t": u.dimensionless_unscaled}  # noqa: RUF012

    def evaluate(self, wavelength, X, Y, control):
        """Return (wavelength, t), t where the slit's curve comes nearest to (X, Y)."""
        wavelength, X, Y = _plain(wavelength, X, Y)
        control = self._like("control", control)
        wavelength, X, Y = np.broadcast_arrays(wavelength, X, Y)
        chord = control[-1] - control[0]
        point = np.array([X, Y])
        t = np.tensordot(chord, point - control[0].reshape(2, *(1,) * X.ndim), axes=1)
        t = np.asarray(t / (chord @ chord))
        for _ in range(0 if len(control) == 2 else 20):  # a straight slit is solved already
            on_curve, slope = bezier(control, t)
            t = t + np.sum((point - on_curve) * slope, axis=0) / np.sum(slope**2, axis=0)
        return np.array(wavelength), t

    @property
    def inverse(self):
        """The `SlitToMask` of the same curve."""
        return SlitToMask(self.control.value)
