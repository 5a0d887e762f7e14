"""One slit: the three models along the curve of the slit, and their exact inverse.

Along one slit, OPT, CRV and IDS depend on the position t alone, and polynomially; so
they reduce, without loss, to power series in t. `TraceShape` is the part between
pixels and the trace (OPT and CRV), `TraceDispersion` the part between the trace and
wavelengths (IDS); `SlitGeometry` joins them. WCS, maps and rectification all compute
with these.

Coordinates: (x, y) detector px; d px along the dispersion from the reference
wavelength, positive to the red; t position in the slit, 0 at the left edge and 1 at the
right; wavelength in Angstrom.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import Polynomial, chebyshev

from specwcs.conventions import Direction
from specwcs.errors import InputError

from .field import scale

__all__ = ["T_DOMAIN", "SlitGeometry", "TraceDispersion", "TraceShape"]

T_DOMAIN = (-0.25, 1.25)
"""Range of t that the series cover: the slit and, for resampling, what lies beside it."""

_TAIL = 1e-10  # px: series are cut where all that follows stays below this
_NEWTON_STEPS = 15
_STEP = 1e-6  # relative, of the last step: what it leaves is of the order of its square
_BLOCK = 8192  # points solved together, so that the work stays in the cache


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
    return [np.array([_powers(row, keep) for row in s]) for s in series]


def _powers(row, keep):
    powers = chebyshev.cheb2poly(row[:keep])
    return np.pad(powers, (0, keep - len(powers)))


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
    value = rows[-1] + np.zeros_like(u)
    for row in rows[-2::-1]:
        value = value * u + row
    return value


def _horner(rows, u):
    """Return the polynomial with coefficients rows[0], rows[1], … at u, and its derivative."""
    value = rows[-1] + np.zeros_like(u)
    slope = np.zeros_like(value)
    for row in rows[-2::-1]:
        slope = slope * u + value
        value = value * u + row
    return value, slope


def _columns(coefficients, ndim):
    """Coefficients of shape (..., terms) as a list over terms, ready to meet t of ndim axes."""
    moved = np.moveaxis(coefficients, -1, 0)
    return list(moved.reshape(moved.shape + (1,) * ndim))


def _in_blocks(solve, *arrays):
    """Apply `solve` to flat blocks of arrays that broadcast; return arrays of their shape."""
    arrays = np.broadcast_arrays(*(np.asarray(a, float) for a in arrays))
    shape, flat = arrays[0].shape, [np.ravel(a) for a in arrays]
    out = np.empty((2, flat[0].size))
    with np.errstate(all="ignore"):  # points without a solution become NaN
        for start in range(0, flat[0].size, _BLOCK):
            block = slice(start, start + _BLOCK)
            out[:, block] = solve(*(a[block] for a in flat))
    return out[0].reshape(shape), out[1].reshape(shape)


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
        d, t = np.broadcast_arrays(np.asarray(d, float), np.asarray(t, float))
        ts = scale(t, self.t_domain)
        along = _value(self.along, ts) + self.direction.sign * d
        across = _value(self.across, ts)
        bend = _value(_columns(self.curve, d.ndim), ts)
        across = across + _value(bend, scale(d, self.d_domain))
        return self.direction.join(along, across)

    def trace_from_pixel(self, x, y):
        """Return (d, t) of pixels (x, y); NaN where no point of the trace is found.

        Solves ``across0(t) + CRV(t, d) = across``, ``d = ±(along - along0(t))`` for t by
        Newton's method, from the chord between the two edges.
        """
        return _in_blocks(self._solve, *self.direction.split(x, y))

    def _solve(self, along, across):
        columns = _columns(np.vstack([self.along, self.across, self.curve]), 1)
        start, end = (np.full(1, scale(t, self.t_domain)) for t in (0.0, 1.0))
        f0, f1 = (self._miss(columns, edge, along, across)[0] for edge in (start, end))
        ts = start + (end - start) * f0 / (f0 - f1)
        for _ in range(_NEWTON_STEPS):
            miss, slope, d, d_slope = self._miss(columns, ts, along, across)
            step = miss / slope
            ts = ts - np.clip(step, -1.0, 1.0)
            if not np.any(np.abs(step) > _STEP):
                break
        # What is left of the miss is of the second order of the last step.
        d = d - d_slope * step
        low, high = self.t_domain
        t = 0.5 * (ts * (high - low) + low + high)
        t[~(np.abs(step) < _STEP) | (np.abs(ts) > 1.0)] = np.nan
        return d, t

    def _miss(self, columns, ts, along, across):
        """By how many px a point at scaled t misses the pixel; derivative; its d, with that."""
        values, slopes = _horner(columns, ts)
        d = self.direction.sign * (along - values[0])
        ds = scale(d, self.d_domain)
        bend, bend_d = _horner(values[2:], ds)
        bend_t = _value(slopes[2:], ds)
        d_slope = -self.direction.sign * slopes[0]
        dds_dt = d_slope * 2.0 / (self.d_domain[1] - self.d_domain[0])
        return values[1] + bend - across, slopes[1] + bend_t + bend_d * dds_dt, d, d_slope


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
    """

    terms: np.ndarray
    wavelength_domain: tuple
    t_domain: tuple = T_DOMAIN

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

    def _local(self, wavelength, t):
        """Return the local polynomial in the scaled wavelength, and its slope, px."""
        ws, ts = np.broadcast_arrays(
            scale(wavelength, self.wavelength_domain), scale(t, self.t_domain)
        )
        return _horner(_value(_columns(self.terms, ts.ndim), ts), ws)

    def distance_from_wavelength(self, wavelength, t):
        """Return d px of wavelengths in Angstrom at positions t; they broadcast."""
        return self._local(wavelength, t)[0]

    def slope(self, wavelength, t):
        """Return the local dispersion, px per Angstrom."""
        first, last = self.wavelength_domain
        return self._local(wavelength, t)[1] * 2.0 / (last - first)

    def wavelength_from_distance(self, d, t):
        """Return the wavelength (Angstrom) at (d, t); NaN where there is none.

        Newton's method from the straight line between the ends of the domain. A solution
        counts where d grows with wavelength, within the domain widened by half its width.
        """
        return _in_blocks(self._solve, d, t)[0]

    def _solve(self, d, t):
        rows = _value(_columns(self.terms, 1), scale(t, self.t_domain))
        low, high = rows[0::2].sum(axis=0), rows[1::2].sum(axis=0)
        low, high = low - high, low + high
        ws = np.clip((2.0 * d - low - high) / (high - low), -2.0, 2.0)
        for _ in range(_NEWTON_STEPS):
            value, slope = _horner(rows, ws)
            step = (value - d) / slope
            ws = np.clip(ws - step, -2.0, 2.0)
            if not np.any(np.abs(step) > _STEP):
                break
        ws[~(np.abs(step) < _STEP) | ~(slope > 0)] = np.nan
        first, last = self.wavelength_domain
        return 0.5 * (ws * (last - first) + first + last), t


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
