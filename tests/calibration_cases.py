"""Markers from the ray trace of a simulated observation, and the errors of a calibration."""

import numpy as np

from specwcs.markers import Markers
from specwcs.simulate import lamp

BAND = (5300.0, 8900.0)


def true_markers(obs, *, scatter=0.02, seed=0, n_t=6, ends=0.08, skip=()):
    """Lines, but for the ends of slits, and edges by the ray trace, with Gaussian scatter in px."""
    rng = np.random.default_rng(seed)
    wavelength = lamp().select(*BAND).wavelength
    tables = []
    for key, slit in obs.mask.items():
        if key in skip:
            continue
        t, w = (v.ravel() for v in np.meshgrid(np.linspace(ends, 1 - ends, n_t), wavelength))
        if not slit.reference:
            tables.append(_markers(obs, "line", key, t, w, scatter, rng))
        for end in (0.0, 1.0):
            w = np.linspace(*BAND, 32)
            tables.append(_markers(obs, "edge", key, np.full(32, end), w, scatter, rng))
    return Markers.join(tables)


def _markers(obs, kind, key, t, wavelength, scatter, rng):
    x, y = obs.pixel(key, t, wavelength)
    on = on_detector(obs, x, y)
    noise = scatter * rng.normal(size=on.sum())
    x, y, along_x = x[on], y[on], obs.instrument.direction.along_x
    if (kind == "line") == along_x:
        x = x + noise
    else:
        y = y + noise
    shown = wavelength[on] if kind == "line" else np.nan
    return Markers.of(kind, key, t[on], x, y, wavelength=shown, sigma=scatter)


def on_detector(obs, x, y):
    ny, nx = obs.instrument.shape
    return (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)


def light(obs, key, n=300, seed=1, band=BAND):
    """Random light of a slit on the detector: t, wavelength, x, y."""
    rng = np.random.default_rng(seed)
    t, wavelength = rng.uniform(0, 1, n), rng.uniform(*band, n)
    x, y = obs.pixel(key, t, wavelength)
    on = on_detector(obs, x, y)
    return t[on], wavelength[on], x[on], y[on]


def wavelength_errors(obs, cal, keys=None, band=BAND):
    """Errors of the wavelength at pixels, in px, by slit; NaN where the WCS gives NaN."""
    errors = {}
    for key in keys or cal.good():
        if obs.mask[key].reference:
            continue
        t, wavelength, x, y = light(obs, key, band=band)
        found, _ = cal.geometry(key).world(x, y)
        low, high = cal.ids.domain
        found = np.where((found >= low) & (found <= high), found, np.nan)  # as the WCS has it
        slope = cal.geometry(key).dispersion.slope(wavelength, np.clip(t, 0, 1))
        errors[key] = (found - wavelength) * slope
    return errors


def edge_errors(obs, cal, keys=None, band=BAND):
    """Errors of the edges across the dispersion, px, by slit."""
    errors = {}
    for key in keys or cal.good():
        both = []
        for end in (0.0, 1.0):
            w = np.linspace(*band, 60)
            x, y = obs.pixel(key, np.full(60, end), w)
            on = on_detector(obs, x, y)
            geometry = cal.geometry(key)
            direction = obs.instrument.direction
            along, across = direction.split(x[on], y[on])
            found = _edge_across(geometry, along, end)
            both.append(found - across)
        errors[key] = np.concatenate(both)
    return errors


def _edge_across(geometry, along, end):
    """Across-coordinate of an edge of the calibration at given along-coordinates."""
    trace = geometry.trace
    at_reference, _ = trace.direction.split(*trace.pixel_from_trace(0.0, end))
    d = trace.direction.sign * (along - at_reference)
    return trace.direction.split(*trace.pixel_from_trace(d, end))[1]


def rms(values):
    values = np.concatenate(list(values.values())) if isinstance(values, dict) else values
    return float(np.sqrt(np.nanmean(values**2)))
