"""An observation: the spectrograph looks through a mask at lamps and at the sky."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import ndimage

from specwcs.conventions import without_units
from specwcs.errors import InputError
from specwcs.simulate import files, render, sources
from specwcs.simulate.detector import Detector
from specwcs.simulate.truth import SlitTruth

__all__ = ["Observation"]

_FWHM = 2.3548  # of a Gaussian, in standard deviations
_BLOCK = 32  # px, the grid on which scattered light is smooth
_FAINT = 0.01  # electrons; lines below are not drawn
_LAMP, _SLIT = 1, 2  # streams of random numbers that do not depend on the frame


@dataclass(frozen=True)
class Observation:
    """Frames of a slit mask, and the truth about them.

    Parameters
    ----------
    spectrograph : Spectrograph
        The optics.
    mask : Mask
        What is in the focal plane; it is oriented here.
    instrument : Instrument
        The values that the spectrograph was made from.
    passband : tuple of float
        Where a filter cuts the spectra, (start, stop) in Angstrom.
    psf : float
        Full width at half maximum of the point spread function, px along the dispersion.
    medium : str
        What the wavelengths are measured in, ``"air"`` or ``"vacuum"``.
    detector : Detector
        Noise and faults.
    slit_function : float
        Amplitude by which the illumination along a slit varies, as a fraction.
    scattered : float
        Scattered light, as a fraction of the mean of the frame.
    vignetting : float
        Share of the light that is lost in the corners of the frame; it grows as the square
        of the distance from the middle.
    second_order : float
        How bright arc lines of the second order are, which fall at twice their wavelength,
        relative to those of the first.
    dark : tuple of str
        Ids of the slits that no light comes through.
    arcless : tuple of str
        Ids of the slits that no arc lines come through.
    seed : int
        Chooses what is random but the same in all frames: the strengths of lamp lines and
        the illumination along the slits.

    Notes
    -----
    Every frame is made with a `seed`; ``seed=None`` gives its expectation, free of noise. The
    light of the last frame of each kind is kept: another one, with other noise, is made fast.
    """

    spectrograph: object
    mask: object
    instrument: object
    passband: tuple[float, float]
    psf: float = 1.9
    medium: str = "air"
    detector: Detector = field(default_factory=Detector)
    slit_function: float = 0.0
    scattered: float = 0.0
    vignetting: float = 0.0
    second_order: float = 0.0
    dark: tuple[str, ...] = ()
    arcless: tuple[str, ...] = ()
    seed: int = 1

    def __post_init__(self):
        optics = self.spectrograph
        mask = self.mask.oriented(optics.direction, flipx=optics.flipx, flipy=optics.flipy)
        object.__setattr__(self, "mask", mask)
        for name in (*self.dark, *self.arcless):
            self._known(name)

    def check_order(self):
        """Check that light of all wavelengths goes through all slits to all of the frame.

        Raises
        ------
        InputError
            If the order of the disperser ends within the passband, or on the frame.
        """
        optics = self.spectrograph
        last = optics.direction.split(*optics.shape[::-1])[0] - 1
        for name, truth in self._truth.items():
            ends = np.array([[0.0], [last]]), np.array([0.0, 1.0])
            reached = [truth.wavelength_at(*ends, side) for side in (-0.5, 0.5)]
            band = truth.pixel(np.array([[0.0], [1.0]]), np.array(self.passband))[0]
            if not (np.all(np.isfinite(reached)) and np.all(np.isfinite(band))):
                raise InputError(
                    "the order of the disperser ends on the frame, or in the passband",
                    "",
                    "Take a smaller linear_dispersion (A/px), a shorter frame, or a larger "
                    "line_curvature, which makes the camera shorter",
                    slit=name,
                )

    # -- the truth --------------------------------------------------------

    def _known(self, slit_id):
        """Return the id of a slit that the mask has."""
        if slit_id not in self.mask:
            allowed = f"Must be one of {', '.join(self.mask)}."
            raise InputError(f"unknown slit {slit_id!r}", allowed)
        return slit_id

    @cached_property
    def _truth(self):
        return {name: SlitTruth(self.spectrograph, slit) for name, slit in self.mask.items()}

    def pixel(self, slit_id, t, wavelength):
        """Where light falls on the detector, by the ray trace.

        Parameters
        ----------
        slit_id : str
        t : ndarray
            Position along the slit, 0 at the left edge, 1 at the right.
        wavelength : ndarray, Quantity or None
            Angstrom where no unit is given; None with the disperser out.

        Returns
        -------
        x, y : ndarray
            Pixels, counted from 0.
        """
        t, wavelength = without_units(t=t, wavelength=wavelength)
        p, q = self._truth[self._known(slit_id)].pixel(t, wavelength)
        return self.spectrograph.direction.detector_pixel(p, q, self.spectrograph.shape)

    def world(self, slit_id, x, y):
        """Which light falls on a pixel: the inverse of `pixel`, to 1e-9 px.

        Parameters
        ----------
        slit_id : str
        x, y : ndarray
            Pixels, counted from 0.

        Returns
        -------
        wavelength, t : ndarray
            Angstrom and position along the slit, outside of it too (t < 0, t > 1); NaN
            where no ray meets the pixel.
        """
        x, y = without_units(x=x, y=y)
        p, q = self.spectrograph.direction.canonical_pixel(x, y, self.spectrograph.shape)
        return self._truth[self._known(slit_id)].world(p, q)

    def edges(self, slit_id, wavelength):
        """Return the ends of a slit's image, ((x, y) at t = 0, (x, y) at t = 1), px."""
        return self.pixel(slit_id, 0.0, wavelength), self.pixel(slit_id, 1.0, wavelength)

    def maps(self):
        """Return the truth for every pixel of the frame.

        Returns
        -------
        wavelength, t : ndarray, shape (ny, nx)
            Angstrom and position along the slit; NaN outside the slits and the passband.
        slit : ndarray of int, shape (ny, nx)
            Index into `mask`; -1 outside.
        """
        direction, shape = self.spectrograph.direction, self.spectrograph.shape
        wavelength, t = np.full(shape, np.nan), np.full(shape, np.nan)
        slit = np.full(shape, -1)
        views = [direction.canonical_image(array) for array in (wavelength, t, slit)]
        for index, truth in enumerate(self._truth.values()):
            self._fill_maps(views, index, truth)
        return wavelength, t, slit

    def _fill_maps(self, views, index, truth):
        columns = np.arange(views[0].shape[1], dtype=float)
        left, right = truth.edge(columns, 0.0), truth.edge(columns, 1.0)
        first = max(int(np.floor(right.min())), 0)
        last = min(int(np.ceil(left.max())) + 1, views[0].shape[0])
        if first >= last:
            return
        wavelength, t = truth.maps(columns, np.arange(first, last, dtype=float))
        inside = (t >= 0) & (t <= 1)
        inside &= (wavelength >= self.passband[0]) & (wavelength <= self.passband[1])
        for view, value in zip(views, (wavelength, t, index), strict=True):
            np.copyto(view[first:last], value, where=inside)

    # -- the frames ---------------------------------------------------------

    def flat(self, seed, *, level=12000.0, cosmic_rays=0):
        """Expose the flat-field lamp.

        Parameters
        ----------
        seed : int or None
            Seed of the noise; None gives the expectation.
        level : float
            Electrons per pixel in the median slit, where the lamp is brightest.
        cosmic_rays : int
            Number of particles that hit the detector.

        Returns
        -------
        CCDData
        """
        self.check_order()

        def shine(image, truth):
            for pixels in render.SlitPixels.blocks(truth, image.shape, self._sigma):
                self._add_diffuse(image, truth, pixels, sources.flat_lamp, level)

        return self._expose(("flat", level), shine, self.dark, seed, cosmic_rays)

    def image(self, seed, *, level=12000.0, cosmic_rays=0):
        """Expose the mask with the disperser out.

        Parameters
        ----------
        seed : int or None
            Seed of the noise; None gives the expectation.
        level : float
            Electrons per pixel in a wide slit.
        cosmic_rays : int
            Number of particles that hit the detector.

        Returns
        -------
        CCDData
        """

        def shine(image, truth):
            render.add_aperture(
                image, truth, level, self._sigma,
                lambda t: self._illumination(truth.slit.id, t),
            )  # fmt: skip

        return self._expose(("image", level), shine, self.dark, seed, cosmic_rays)

    def arc(self, catalog, seed, *, level=60000.0, missing=0.0, unknown=0, cosmic_rays=0):
        """Expose an arc lamp.

        Parameters
        ----------
        catalog : LineCatalog
            The lamp's lines.
        seed : int or None
            Seed of the noise; None gives the expectation.
        level : float
            Electrons per pixel, about, at the peak of the brightest line.
        missing : float
            Share of the catalogue's lines that the lamp does not show.
        unknown : int
            Number of lines that are not in the catalogue.
        cosmic_rays : int
            Number of particles that hit the detector.

        Returns
        -------
        CCDData
            ``meta["lines"]`` holds wavelength and strength of the lines of the lamp.
        """
        rng = np.random.default_rng([self.seed, _LAMP])
        catalog = catalog.to_medium(self.medium)
        first = catalog.select(*self.passband)
        lines = sources.arc_lines(first, rng, missing=missing, unknown=unknown)
        if self.second_order:
            lines = sources.with_second_order(lines, catalog, self.passband, rng, self.second_order)

        self.check_order()

        def shine(image, truth):
            self._add_lines(image, truth, lines, level)

        what = ("arc", level, *(values.tobytes() for values in lines))
        frame = self._expose(what, shine, (*self.dark, *self.arcless), seed, cosmic_rays)
        frame.meta["lines"] = lines
        return frame

    def science(
        self,
        seed,
        *,
        star=2000.0,
        position=0.4,
        seeing=0.9,
        lines=20000.0,
        continuum=50.0,
        cosmic_rays=0,
    ):
        """Expose the night sky, with a star in every slit but the reference ones.

        Parameters
        ----------
        seed : int or None
            Seed of the noise; None gives the expectation.
        star : float
            Electrons of the star per Angstrom at 7000 Angstrom, before `throughput`.
        position : float
            Where along the slits the star is, t.
        seeing : float
            Full width at half maximum of the star along the slit, arcsec.
        lines : float
            Electrons per pixel, about, at the peak of the brightest line of the sky.
        continuum : float
            Electrons per pixel of the sky between its lines.
        cosmic_rays : int
            Number of particles that hit the detector.

        Returns
        -------
        CCDData
            `star_electrons` is the truth about the star.
        """
        sky = sources.night_sky(self.medium, self.passband)

        self.check_order()

        def shine(image, truth):
            self._add_lines(image, truth, sky, lines)
            for pixels in render.SlitPixels.blocks(truth, image.shape, self._sigma):
                self._add_diffuse(image, truth, pixels, np.ones_like, continuum)
                if not truth.slit.reference:
                    self._add_star(image, truth, pixels, star, position, seeing)

        what = ("science", star, position, seeing, lines, continuum)
        return self._expose(what, shine, self.dark, seed, cosmic_rays)

    def star_electrons(self, slit_id, wavelength, *, star=2000.0, position=0.4):
        """Spectrum of the star of `science` as it reaches the detector.

        Parameters
        ----------
        slit_id : str
        wavelength : ndarray or Quantity
            Angstrom where no unit is given.
        star, position : float
            As given to `science`.

        Returns
        -------
        ndarray
            Electrons per Angstrom, summed along the slit (endless, for a star near an end).
        """
        (wavelength,) = without_units(wavelength=wavelength)
        passed = sources.throughput(wavelength, self.passband)
        illumination = self._illumination(self._known(slit_id), position)
        return star * sources.star(wavelength) * passed * illumination

    def write(self, folder, catalog, seed, *, instrument=None, overwrite=False):
        """Write what an observer has, to try the command line on.

        Parameters
        ----------
        folder : path-like
            Is made where it does not exist.
        catalog : LineCatalog
            The arc lamp's lines.
        seed : int or None
            Seed of the noise.
        instrument : Instrument, optional
            What the observer believes of the instrument, see `wrong`; by default the truth.
        overwrite : bool
            Whether existing files may be replaced.

        Returns
        -------
        dict of str to Path
            The files: ``"instrument"``, ``"mask"``, ``"catalog"``, ``"flat"``, ``"arc"``,
            ``"science"``.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        names = {"instrument": "icf", "mask": "mdf", "catalog": "dat"}
        names |= dict.fromkeys(("flat", "arc", "science"), "fits")
        paths = {name: folder / f"{name}.{suffix}" for name, suffix in names.items()}
        files.write_instrument(paths["instrument"], instrument or self.instrument, overwrite)
        self.mask.write(paths["mask"], overwrite)
        files.write_catalog(paths["catalog"], catalog, overwrite)
        # One seed for three frames: their noise must differ.
        seeds = (None,) * 3 if seed is None else [(seed, number) for number in range(3)]
        files.write_frame(paths["flat"], self.flat(seeds[0]), overwrite)
        files.write_frame(paths["arc"], self.arc(catalog, seeds[1]), overwrite)
        files.write_frame(paths["science"], self.science(seeds[2]), overwrite)
        return paths

    def _expose(self, what, shine, unlit, seed, cosmic_rays):
        """Read out the light of all slits that are lit; it is kept for the next exposure."""
        kept, light = self._lights.get(what[0], (None, None))
        if kept != what:
            light = self._light(shine, unlit)
            self._lights[what[0]] = what, light
        return self.detector.expose(light, seed, cosmic_rays)

    @cached_property
    def _lights(self):
        """What the last exposure of each kind was of, and its light."""
        return {}

    def _light(self, shine, unlit):
        """Add up the light of all slits that are lit."""
        direction = self.spectrograph.direction
        light = np.zeros(self.spectrograph.shape)
        view = direction.canonical_image(light)
        image = np.zeros(view.shape)
        for name, truth in self._truth.items():
            if name not in unlit:
                shine(image, truth)
        view[...] = image * self._unvignetted(image.shape)
        return light + self._scatter(light)

    def _add_lines(self, image, truth, lines, level):
        """Add emission lines whose peak in a wide slit is `level` times their strength."""
        wavelength, strength = lines
        strength = strength * level * sources.throughput(wavelength, self.passband)
        bright = strength > _FAINT
        render.add_lines(
            image,
            truth,
            wavelength[bright],
            strength[bright],
            self._sigma,
            lambda t: self._illumination(truth.slit.id, t),
        )

    def _add_diffuse(self, image, truth, pixels, spectrum, level):
        """Add light that fills the slit, with a smooth spectrum.

        `level` is in electrons per pixel where the slit is as wide as the median one.
        """
        level = level * render.projected_width(truth) / self._slit_pixels
        level = level / self.instrument.linear_dispersion
        light = level * spectrum(pixels.wavelength) * pixels.angstroms * pixels.share
        light *= self._illumination(truth.slit.id, np.clip(pixels.t, 0, 1))
        image[pixels.rows] += light * sources.throughput(pixels.wavelength, self.passband)

    def _add_star(self, image, truth, pixels, star, position, seeing):
        """Add a star: a Gaussian along the slit, blurred by the optics."""
        fwhm = np.hypot(seeing / self.instrument.scales[1], self._sigma[1] * _FWHM)  # px
        offset = (pixels.t - position) / pixels.step * _FWHM / fwhm
        profile = np.exp(-(offset**2) / 2) / np.sqrt(2 * np.pi) * _FWHM / fwhm
        spectrum = self.star_electrons(
            truth.slit.id, pixels.wavelength, star=star, position=position
        )
        image[pixels.rows] += spectrum * pixels.angstroms * profile * pixels.share

    @property
    def _sigma(self):
        """Standard deviation of the point spread function, px along and across the dispersion."""
        along = self.psf / _FWHM
        return along, along / self.spectrograph.aspect

    @cached_property
    def _slit_pixels(self):
        """Projected width of the median slit, px."""
        return float(np.median([render.projected_width(truth) for truth in self._truth.values()]))

    def _illumination(self, slit_id, t):
        """Illumination along a slit: two sine waves of random phase, the same in all frames."""
        if self.slit_function == 0:
            return np.ones_like(t)
        rng = np.random.default_rng([self.seed, _SLIT, *slit_id.encode()])
        phase = rng.uniform(0, 2 * np.pi, 2)
        waves = 0.7 * np.sin(2.5 * t + phase[0]) + 0.3 * np.sin(14 * t + phase[1])
        return 1 + self.slit_function * waves

    def _unvignetted(self, shape):
        """Share of the light that reaches each pixel of a canonical frame."""
        if self.vignetting == 0:
            return 1.0
        row, column = (np.linspace(-1, 1, size) ** 2 for size in shape)
        return 1 - self.vignetting * (row[:, np.newaxis] + column) / 2

    def _scatter(self, light):
        """Scattered light: the frame itself, blurred beyond recognition."""
        if self.scattered == 0:
            return 0.0
        ny, nx = (-(-size // _BLOCK) for size in light.shape)
        padded = np.zeros((ny * _BLOCK, nx * _BLOCK))
        padded[: light.shape[0], : light.shape[1]] = light
        blocks = padded.reshape(ny, _BLOCK, nx, _BLOCK).mean(axis=(1, 3))
        smooth = ndimage.gaussian_filter(blocks, (ny / 4, nx / 4), mode="nearest")
        wide = ndimage.zoom(smooth, _BLOCK, order=1, mode="nearest", grid_mode=True)
        return self.scattered * wide[: light.shape[0], : light.shape[1]]
