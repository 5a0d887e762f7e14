"""A hand that places markers where the ray trace of a simulation has them, or nearly."""

import numpy as np

from specwcs.simulate import lamp
from specwcs.simulate.files import write_catalog, write_frame, write_instrument

REACH = (4000.0, 11000.0)  # Angstrom: traces are looked up between them


def bright_lamp(n=40, band=(5050.0, 9150.0)):
    """Return the brightest lines of the simulated lamp: those a hand would mark."""
    catalog = lamp().select(*band)
    order = np.argsort(-np.nan_to_num(catalog.intensity))[:n]
    return catalog._take(np.sort(order))


def write_files(obs, folder, *, instrument=None):
    """Write the files of `Observation.write` but for the science frame, which takes longest."""
    names = {"instrument": "icf", "mask": "mdf", "catalog": "dat", "flat": "fits", "arc": "fits"}
    paths = {name: folder / f"{name}.{suffix}" for name, suffix in names.items()}
    write_instrument(paths["instrument"], instrument or obs.instrument)
    obs.mask.write(paths["mask"])
    write_catalog(paths["catalog"], lamp())
    write_frame(paths["flat"], obs.flat((1, 0)))
    write_frame(paths["arc"], obs.arc(lamp(), (1, 1)))
    return paths


def true_places(obs, markers):
    """Where markers belong, px: boxes and lines by their light, edges on their trace."""
    x, y = markers["x"].value.copy(), markers["y"].value.copy()
    kinds = np.asarray(markers["kind"])
    t, wavelength = np.asarray(markers["t"]), markers["wavelength"].value
    for key in np.unique(markers["slit"]):
        mine = np.asarray(markers["slit"]) == key
        for end in np.unique(t[mine & (kinds == "edge")]):
            rows = np.flatnonzero(mine & (kinds == "edge") & (t == end))
            x[rows], y[rows] = _on_trace(obs, key, end, x[rows], y[rows])
        rows = np.flatnonzero(mine & (kinds != "edge"))
        x[rows], y[rows] = obs.pixel(key, t[rows], wavelength[rows])
        rows = np.flatnonzero(mine & (kinds == "polygon"))
        x[rows], y[rows] = _corners(obs, key, t[rows], markers["side"][rows], wavelength[rows])
    return x, y


def place(calib, obs, scatter=0.3, seed=0, delete=0.0, gauss=False):
    """Move the session's markers to where they belong, within `scatter` px, and delete some."""
    rng = np.random.default_rng(seed)
    markers = calib.markers
    x, y = true_places(obs, markers)
    if gauss:
        dx, dy = scatter * rng.normal(size=(2, len(x)))
    else:
        r, phi = scatter * np.sqrt(rng.uniform(size=len(x))), rng.uniform(0, 2 * np.pi, len(x))
        dx, dy = r * np.cos(phi), r * np.sin(phi)
    markers["x"], markers["y"] = (x + dx) * markers["x"].unit, (y + dy) * markers["y"].unit
    gone = rng.uniform(size=len(x)) < delete
    markers["used"] = np.asarray(markers["used"]) & ~gone
    calib.markers = markers


def _on_trace(obs, key, t, x, y):
    direction = obs.instrument.direction
    w = np.linspace(*REACH, 3000)
    along, across = direction.split(*obs.pixel(key, np.full(w.shape, t), w))
    known = np.isfinite(along) & np.isfinite(across)
    order = np.argsort(along[known])
    here, _ = direction.split(x, y)
    return direction.join(here, np.interp(here, along[known][order], across[known][order]))


def _corners(obs, key, t, side, wavelength):
    """Trace the rays of the corners of a slit, which lie half its width off its line."""
    slit, optics = obs.mask[key], obs.spectrograph
    X, Y = slit.curve(t)
    half = np.asarray(side)[:, None] * slit.half_width
    p, q = optics.trace(X + half[:, 0], Y + half[:, 1], wavelength)
    return optics.direction.detector_pixel(p, q, optics.shape)
