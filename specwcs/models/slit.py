"""One slit: the three models along the curve of the slit, and their exact inverse.

Along one slit, OPT, CRV and IDS depend on the position t alone, and polynomially; so
they reduce, without loss, to power series in t. `TraceShape` is the part between
pixels and the trace (OPT and CRV), `TraceDispersion` the part between the trace and
wavelengths (IDS); `SlitGeometry` joins them. WCS, maps and rectification all compute
with these.

Coordinates: (x, y) detector px; d px along the dispersion from the reference
wavelength, positive to the red; t position in the slit, 0 at the left edge and 1 at the
right; wavelength in Angstrom. Quantities are converted to these.
"""

from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import pairwise

import numpy as np
from numpy.polynomial import Polynomial, chebyshev
from numpy.polynomial.polynomial import polyvander

from specwcs.conventions import Direction, without_units
from specwcs.errors import InputError
from specwcs.threads import product

from .field import scale

__all__ = [
    "T_DOMAIN", "SlitGeometry", "TraceDispersion", "TraceShape", "hats", "in_blocks", "table_at",
]  # fmt: skip

T_DOMAIN = (-0.25, 1.25)
"""Range of t that the series cover: the slit and, for resampling, what lies beside it."""

_TAIL = 1e-10  # px: series are cut where all that follows stays below this
# Newton's method starts from the interpolation between these t, and scaled wavelengths.
_TRACES, _WAVELENGTHS = (0.0, 0.3, 0.7, 1.0), (-1.0, -0.4, 0.4, 1.0)
_NEWTON_STEPS = 15
_STEP = 1e-6  # relative, of the last step: what it leaves is of the order of its square
_BLOCK = 16384  # points solved together, so that the work stays in the cache


def _series(values, nodes):
    """Chebyshev coefficients of each row of `values`, given at the Chebyshev nodes."""
    n = len(nodes)
    coefficients = np.atleast_2d(values) @ chebyshev.chebvander(nodes, n - 1) * (2.0 / n)
    coefficients[:, 0] *= 0.5
    return coefficients


def _cut(*series):
    """Power series of Chebyshev series, less the terms that none of them needs.

    None where the last terms still matter: more nodes are needed.
    """
    tail = np.max([np.abs(s).max(axis=0) for s in series], axis=0)
    keep = 1 + np.flatnonzero(tail > _TAIL).max(initial=0)
    if keep > len(tail) - 2:
        return None
    return [s[:, :keep] @ _powers(keep) for s in series]


@cache
def _powers(n):
    """Return the coefficients of the first n Chebyshev polynomials, a row each."""
    rows = [chebyshev.cheb2poly(row) for row in np.eye(n)]
    return np.array([np.pad(row, (0, n - len(row))) for row in rows])


def _along_slit(opt, slit, direction, *fields):
    """Power series in t of OPT, and of functions of its (x0, y0), along a slit."""
    low, high = T_DOMAIN
    for n in (16, 32, 64, 128):
        nodes = chebyshev.chebpts1(n)
        x0, y0 = opt(*slit.curve(0.5 * (nodes * (high - low) + low + high)))
        parts = [*Direction(direction).split(x0, y0), *(field(x0, y0) for field in fields)]
        reduced = _cut(*(_series(part, nodes) for part in parts))
        if reduced is not None:
            return reduced
    raise InputError(
        "the models vary too fast along the slit to be reduced to a series in t",
        remedy="Lower the degrees of the models",
        slit=slit.id,
    )


def _value(rows, u):
    """Return the polynomial with coefficients rows[0], rows[1], … at u."""
    value = rows[-1]
    for row in rows[-2::-1]:
        value = value * u
        value += row
    return value


def _horner(rows, u):
    """Return the polynomial with coefficients rows[0], rows[1], … at u, and its derivative."""
    value, slope = rows[-1], np.zeros(1)
    for row in rows[-2::-1]:
        slope = slope * u
        slope += value
        value = value * u
        value += row
    return value, slope


def _root(nodes, values):
    """Return where functions, known at a few nodes, are zero, by inverse interpolation.

    The columns of the values are the functions; they must be monotonic.
    """
    divided = np.reshape(nodes, (-1, 1))
    newton = [divided[0]]
    for apart in range(1, len(nodes)):
        divided = (divided[1:] - divided[:-1]) / (values[apart:] - values[:-apart])
        newton.append(divided[0])
    root = newton.pop()
    for term, value in zip(newton[::-1], values[-2::-1], strict=True):
        root = term - value * root
    return root


def _unscale(value, domain):
    """Map [-1, 1] linearly to a domain."""
    low, high = domain
    return 0.5 * (value * (high - low) + low + high)


def _rows(coefficients, u):
    """Return power series, one a row of the coefficients, at u of shape (n,).

    All share the powers of u: a product of matrices is faster than Horner's scheme.
    """
    powers = np.empty((coefficients.shape[1], len(u)))
    powers[0] = 1.0
    for below, power in pairwise(powers):
        np.multiply(below, u, out=power)
    return product(coefficients, powers)


def hats(t, n):
    """Return the design matrix, shape (len(t), n), of a table at n equally spaced t from 0 to 1.

    Between them it is linear, and beyond the ends constant.
    """
    at = np.clip(np.asarray(t, float), 0.0, 1.0) * (n - 1)
    return np.maximum(1.0 - np.abs(at[:, None] - np.arange(n)), 0.0)


def table_at(values, t):
    """Return a table as of `hats` at t."""
    if len(values) == 1:  # of most slits, and of many points
        return values[0]
    return np.interp(t, np.linspace(0.0, 1.0, len(values)), values)


def in_blocks(function, *arrays, outputs=2):
    """Apply a function of flat arrays to blocks of arrays that broadcast.

    Parameters
    ----------
    function : callable
        Returns as many arrays as there are outputs, of the shape of its arguments.
    *arrays : array-like
    outputs : int

    Returns
    -------
    tuple of ndarray
        The outputs, of the shape to which the arrays broadcast.
    """
    arrays = np.broadcast_arrays(*(np.asarray(a, float) for a in arrays))
    shape, flat = arrays[0].shape, [np.ravel(a) for a in arrays]
    out = np.empty((outputs, flat[0].size))
    with np.errstate(all="ignore"):  # points without a solution become NaN
        for start in range(0, flat[0].size, _BLOCK):
            block = slice(start, start + _BLOCK)
            for whole, part in zip(out, function(*(a[block] for a in flat)), strict=True):
                whole[block] = part
    return tuple(whole.reshape(shape) for whole in out)


@dataclass(frozen=True, eq=False)
class TraceShape:
    """Where the light of a slit falls: between (x, y) and (d, t).

    Parameters
    ----------
    direction : Direction
    along, across : ndarray, shape (terms,)
        Power series in the scaled t of the pixel, along and across the dispersion axis, at the
        reference wavelength.
    curve : ndarray, shape (degree + 1, terms)
        Series of the coefficients of the powers of the scaled d: deviation across, px.
    d_domain, t_domain : tuple of float
    """

    direction: Direction
    along: np.ndarray
    across: np.ndarray
    curve: np.ndarray
    d_domain: tuple
    t_domain: tuple = T_DOMAIN

    @classmethod
    def from_models(cls, opt, crv, slit, direction):
        """Reduce OPT and CRV to one slit; see `SlitGeometry.from_models`."""
        along, across, curve = _along_slit(opt, slit, direction, crv.local)
        return cls(Direction(direction), along[0], across[0], curve, crv.domain)

    def shifted(self, offset, stretch):
        """Return it moved across the dispersion by an offset and a stretch, px at the ends."""
        low, high = self.t_domain
        across = np.pad(self.across, (0, max(0, 2 - len(self.across))))
        # The terms of 2 t - 1, in powers of the scaled t.
        across[:2] += offset + stretch * (low + high - 1.0), stretch * (high - low)
        terms = len(across) - len(self.across)
        wider = ((0, 0), (0, terms))
        return replace(
            self, across=across, along=np.pad(self.along, (0, terms)),
            curve=np.pad(self.curve, wider),
        )  # fmt: skip

    def pixel_from_trace(self, d, t):
        """Return (x, y) of trace coordinates (d, t); they broadcast."""
        d, t = without_units(d=d, t=t)
        return self.direction.join(*in_blocks(self._place, d, t))

    def _place(self, d, t):
        values = _rows(self._series, scale(t, self.t_domain))
        across = values[1] + _value(values[2:], scale(d, self.d_domain))
        return values[0] + self.direction.sign * d, across

    @cached_property
    def _series(self):
        return np.vstack([self.along, self.across, self.curve])

    @cached_property
    def _series_and_slopes(self):
        slopes = np.zeros_like(self._series)
        slopes[:, :-1] = self._series[:, 1:] * np.arange(1, slopes.shape[1])
        return np.vstack([self._series, slopes])

    def trace_from_pixel(self, x, y):
        """Return (d, t) of pixels (x, y); NaN where no point of the trace is found.

        Solves ``across0(t) + CRV(t, d) = across``, ``d = ±(along - along0(t))`` for t by
        Newton's method, from what a few traces interpolate.
        """
        x, y = without_units(x=x, y=y)
        return in_blocks(self._solve, *self.direction.split(x, y))

    def _solve(self, along, across):
        ds = scale(self.direction.sign * along, self.d_domain)  # as if along0(t) were 0
        ts = self._guess(ds, across)
        for _ in range(_NEWTON_STEPS):
            miss, slope, shift, shift_slope = self._miss(ts, ds, across)
            step = miss / slope
            ts = ts - np.clip(step, -1.0, 1.0)
            beyond = np.abs(ts) > 1.0
            if not np.any((np.abs(step) > _STEP) & ~beyond):
                break
        # What is left of the miss is of the second order of the last step.
        d = _unscale(ds - (shift - shift_slope * step), self.d_domain)
        t = _unscale(ts, self.t_domain)
        t[~(np.abs(step) < _STEP) | beyond] = np.nan
        return d, t

    def _guess(self, ds, across):
        """Return the scaled t of pixels, interpolated between a few traces."""
        return _root(scale(_TRACES, self.t_domain), _rows(self._traces, ds) - across)

    @cached_property
    def _traces(self):
        """Series in the scaled d, as if along0(t) were 0, of where some traces are across."""
        nodes = chebyshev.chebpts1(len(self.curve))
        along0, across0, *curve = _rows(self._series, scale(_TRACES, self.t_domain))[..., None]
        across = across0 + _value(curve, nodes - self._unit * along0)
        return np.linalg.solve(polyvander(nodes, len(nodes) - 1), across.T).T

    @property
    def _unit(self):
        """Change of the scaled d for a px along the dispersion axis."""
        return 2.0 * self.direction.sign / (self.d_domain[1] - self.d_domain[0])

    def _miss(self, ts, ds, across):
        """Return by how many px a point at scaled t misses the pixel, and how along0 shifts ds.

        Each is followed by its derivative in the scaled t.
        """
        values, slopes = np.split(_rows(self._series_and_slopes, ts), 2)
        shift, shift_slope = self._unit * values[0], self._unit * slopes[0]
        ds = ds - shift
        bend, bend_d = _horner(values[2:], ds)
        slope = slopes[1] + _value(slopes[2:], ds) - bend_d * shift_slope
        return values[1] + bend - across, slope, shift, shift_slope


@dataclass(frozen=True, eq=False)
class TraceDispersion:
    """The dispersion along a slit's traces: between (d, t) and (wavelength, t).

    Parameters
    ----------
    terms : ndarray, shape (degree + 1, terms)
        Chebyshev series in t of the coefficients of the powers of the scaled wavelength:
        distance d, px.
    wavelength_domain : tuple of float
        (low, high), Angstrom.
    t_domain : tuple of float
    roughness : ndarray, shape (m,)
        By what all wavelengths fall farther along the trace at equally spaced t from 0 to 1, px:
        nicks and steps of the slit. Linear between them.
    """

    terms: np.ndarray
    wavelength_domain: tuple
    t_domain: tuple = T_DOMAIN
    roughness: np.ndarray = field(default_factory=lambda: np.zeros(1))

    def within(self, low, high):
        """Return the same dispersion over other wavelengths: what a slit is known for."""
        first, last = self.wavelength_domain
        # The scaled wavelength of old is a linear function of the new one.
        line = Polynomial(
            [(low + high - first - last) / (last - first), (high - low) / (last - first)]
        )
        powers = [(line**k).coef for k in range(len(self.terms))]
        change = np.stack([np.pad(c, (0, len(powers)))[: len(powers)] for c in powers], axis=1)
        return replace(self, terms=change @ self.terms, wavelength_domain=(low, high))

    def shifted(self, offset, stretch):
        """Return it with distances larger by an offset and a stretch, px at the ends."""
        terms = np.pad(self.terms, ((0, max(0, 2 - len(self.terms))), (0, 0)))
        terms[:2, 0] += offset, stretch
        return replace(self, terms=terms)

    def distance_from_wavelength(self, wavelength, t):
        """Return d px of wavelengths in Angstrom at positions t; they broadcast."""

        def distance(wavelength, t):
            return [_value(*self._local(wavelength, t)) + table_at(self.roughness, t)]

        wavelength, t = without_units(wavelength=wavelength, t=t)
        return in_blocks(distance, wavelength, t, outputs=1)[0]

    def slope(self, wavelength, t):
        """Return the local dispersion, px per Angstrom."""
        first, last = self.wavelength_domain
        wavelength, t = without_units(wavelength=wavelength, t=t)
        slope = in_blocks(lambda *at: [_horner(*self._local(*at))[1]], wavelength, t, outputs=1)[0]
        return slope * 2.0 / (last - first)

    def _local(self, wavelength, t):
        """Return the local polynomial of the scaled wavelength, and that wavelength."""
        rows = _rows(self.terms, scale(t, self.t_domain))
        return rows, scale(wavelength, self.wavelength_domain)

    def wavelength_from_distance(self, d, t):
        """Return the wavelength (Angstrom) at (d, t); NaN where there is none.

        Newton's method from what a few wavelengths interpolate. A solution counts where d grows
        with wavelength, within the domain widened by half its width.
        """
        d, t = without_units(d=d, t=t)
        return in_blocks(self._solve, d, t, outputs=1)[0]

    @cached_property
    def _terms_and_nodes(self):
        return np.vstack([self.terms, polyvander(_WAVELENGTHS, len(self.terms) - 1) @ self.terms])

    @property
    def rough(self):
        """Whether lines have nicks."""
        return bool(np.any(self.roughness))

    def _solve(self, d, t):
        d = d - table_at(self.roughness, t)
        values = _rows(self._terms_and_nodes, scale(t, self.t_domain))
        rows, nodes = np.split(values, [len(self.terms)])
        ws = np.clip(_root(_WAVELENGTHS, nodes - d), -2.0, 2.0)
        for _ in range(_NEWTON_STEPS):
            value, slope = _horner(rows, ws)
            step = (value - d) / slope
            ws = np.clip(ws - step, -2.0, 2.0)
            if not np.any(np.abs(step) > _STEP):
                break
        ws[~(np.abs(step) < _STEP) | ~(slope > 0)] = np.nan
        return (_unscale(ws, self.wavelength_domain),)


@dataclass(frozen=True, eq=False)
class SlitGeometry:
    """The geometry of one slit: pixels, trace coordinates, wavelength and slit position.

    Parameters
    ----------
    trace : TraceShape
    dispersion : TraceDispersion
    """

    trace: TraceShape
    dispersion: TraceDispersion

    @classmethod
    def from_models(cls, opt, crv, ids, slit, direction):
        """Reduce OPT, CRV and IDS to one slit.

        Parameters
        ----------
        opt : OpticalModel
        crv : CurvatureModel
        ids : DispersionModel
        slit : Slit
            Its ``curve(t)`` gives (X, Y) mm.
        direction : Direction

        Returns
        -------
        SlitGeometry
        """
        along, across, curve, terms = _along_slit(opt, slit, direction, crv.local, ids.local)
        return cls(
            TraceShape(Direction(direction), along[0], across[0], curve, crv.domain),
            TraceDispersion(terms, ids.domain),
        )

    @property
    def smooth(self):
        """The geometry without the roughness of the slit."""
        return replace(self, dispersion=replace(self.dispersion, roughness=np.zeros(1)))

    def pixel(self, wavelength, t):
        """Return (x, y) of wavelengths (Angstrom) at slit positions t; they broadcast."""
        d = self.dispersion.distance_from_wavelength(wavelength, t)
        return self.trace.pixel_from_trace(d, t)

    def world(self, x, y):
        """Return (wavelength in Angstrom, t) of pixels; NaN where there is none.

        The solution may lie beside the slit (t outside 0 to 1) or outside the fitted
        wavelengths: it is the caller who decides what counts.
        """
        d, t = self.trace.trace_from_pixel(x, y)
        return self.dispersion.wavelength_from_distance(d, t), t
