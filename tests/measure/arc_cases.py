"""Arcs of known truth for the tests of arcs, identification and lines."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from numpy.polynomial import chebyshev

from specwcs.inputs import Instrument, LineCatalog, Mask, Slit
from specwcs.measure import arc_spectra, traces_from_mask
from specwcs.simulate import example


class TrueTraces:
    """Traces from the ray trace of an observation, smooth to 0.01 px."""

    def __init__(self, observation):
        self.observation, self.mask = observation, observation.mask
        optics = observation.spectrograph
        self.direction, self.shape = optics.direction, optics.shape
        self.length = self.direction.split(self.shape[1], self.shape[0])[0]
        self._series = {name: self._fit(name) for name in self.mask}

    def canonical(self, name, t, wavelength):
        """Ray-traced canonical pixels (p, q)."""
        x, y = self.observation.pixel(name, t, wavelength)
        return self.direction.canonical_pixel(x, y, self.shape)

    def _fit(self, name):
        t, wavelength = np.meshgrid(np.linspace(-0.1, 1.1, 9), np.linspace(4400, 9900, 50))
        p, q = self.canonical(name, t.ravel(), wavelength.ravel())
        seen = np.isfinite(p) & (np.abs(2 * p / self.length - 1) < 1.5)
        t, p, q = t.ravel()[seen], p[seen], q[seen]
        basis = chebyshev.chebvander2d(2 * t - 1, 2 * p / self.length - 1, [3, 5])
        return np.linalg.lstsq(basis, q, rcond=None)[0]

    def q(self, name, t, p):
        t, p = np.broadcast_arrays(np.asarray(t, float), np.asarray(p, float))
        basis = chebyshev.chebvander2d(2 * t.ravel() - 1, 2 * p.ravel() / self.length - 1, [3, 5])
        return (basis @ self._series[name]).reshape(t.shape)

    def world(self, name, p, q):
        """Wavelength and t by the ray trace."""
        x, y = self.direction.detector_pixel(p, q, self.shape)
        return self.observation.world(name, x, y)


def canonical_frame(observation, frame):
    """Image, variance and bad pixels of a simulated frame in the canonical frame."""
    turn = observation.spectrograph.direction.canonical_image
    bad = np.zeros(frame.data.shape, bool) if frame.mask is None else frame.mask
    return turn(frame.data), turn(frame.uncertainty.array**2), turn(bad)


def simulated(catalog, *, seed=2, **options):
    """Simulate a small mask or long slit with its arc; return what the steps take."""
    arc = {"missing": 0.15, "unknown": 8, "cosmic_rays": 60} | options.pop("arc", {})
    if options.get("kind") != "longslit":
        # The default line curvature is that of a frame three times as high.
        options = {"line_curvature": 0.5} | options
    observation = example(seed=seed, **options)
    frame = canonical_frame(observation, observation.arc(catalog, seed, **arc))
    return SimpleNamespace(
        observation=observation,
        instrument=observation.instrument,
        traces=TrueTraces(observation),
        frame=frame,
    )


# -- one long slit with a law of its own ---------------------------------------

COLUMNS, ROWS = 1200, 60


def true_wavelength(p):
    """Wavelength of a grating of 600 lines/mm, Å: sines, no polynomial."""
    angle = (np.asarray(p) - 500.0) * 15e-3 / 300.0
    return 1e7 / 600.0 * (np.sin(np.radians(20.0)) + np.sin(angle + np.radians(2.0)))


def true_column(wavelength):
    grid = np.arange(-50.0, COLUMNS + 50)
    return np.interp(wavelength, true_wavelength(grid), grid)


def longslit():
    """Return the instrument and the mask of the law above, with its nominal values right."""
    middle = (COLUMNS - 1) / 2
    instrument = Instrument(
        name="sines",
        pixel_scale=0.5,
        xpixels=COLUMNS,
        ypixels=ROWS,
        direction="LR",
        linear_dispersion=float(np.diff(true_wavelength(middle + np.array([-0.5, 0.5])))[0]),
        reference_lambda=float(true_wavelength(middle)),
    )
    side = 40.0 / 2
    slit = Slit(
        "1", 0.0, 0.0, 0.1, side, 0.0, 1.0, side, False, np.array([[0, side / 2], [0, -side / 2]])
    )
    return instrument, Mask([slit])


def paint(wavelength, height, *, seed=0, fwhm=3.0, noise=8.0, cosmic_rays=30):
    """Paint straight lines on a frame, integrated over pixels by fine sampling."""
    rng = np.random.default_rng(seed)
    fine = (np.arange(5) - 2) / 5
    p = np.arange(COLUMNS)[:, None] + fine
    sigma = fwhm / 2.3548
    spectrum = np.zeros(COLUMNS)
    for centre, peak in zip(true_column(wavelength), height, strict=True):
        spectrum += peak * np.exp(-0.5 * ((p - centre) / sigma) ** 2).mean(axis=1)
    image = 40.0 + np.tile(spectrum, (ROWS, 1))
    variance = image + noise**2
    image = image + rng.normal(size=image.shape) * np.sqrt(variance)
    hit = rng.integers(0, image.size, cosmic_rays)
    image.ravel()[hit] += rng.uniform(1e3, 3e4, cosmic_rays)
    return image, variance, np.zeros(image.shape, bool)


def random_lamp(seed, count=45, first=None, last=None):
    """Make a catalogue of random lines, and their heights on a frame."""
    rng = np.random.default_rng(seed)
    low = true_wavelength(0) - 600 if first is None else first
    high = true_wavelength(COLUMNS) + 600 if last is None else last
    wavelength = np.sort(rng.uniform(low, high, count))
    wavelength = wavelength[np.diff(wavelength, prepend=0) > 12.0]
    height = 10 ** rng.uniform(2.3, 4.3, len(wavelength))
    # Catalogues know intensities to a factor of two or three.
    intensity = height * 10 ** rng.normal(0, 0.35, len(wavelength))
    flag = np.ones(len(wavelength), int)
    label = np.full(len(wavelength), "XxI")
    return LineCatalog(wavelength, label, flag, intensity, "vacuum"), height


def misled(instrument, seed):
    """Return an instrument file that is wrong: dispersion by 3 %, position by 5 % of the frame."""
    rng = np.random.default_rng(seed)
    dispersion = instrument.linear_dispersion * (1 + rng.uniform(-0.03, 0.03))
    shift = rng.uniform(-0.05, 0.05) * COLUMNS * instrument.linear_dispersion
    return replace(
        instrument,
        linear_dispersion=dispersion,
        reference_lambda=instrument.reference_lambda + shift,
    )


def sine_arc(catalog, height, seed, **options):
    """Return the spectra and traces of a painted arc."""
    instrument, mask = longslit()
    frame = paint(catalog.wavelength, height, seed=seed, **options)
    traces = traces_from_mask(mask, instrument)
    return SimpleNamespace(
        instrument=instrument,
        traces=traces,
        frame=frame,
        spectra=arc_spectra(*frame, traces, instrument),
    )
