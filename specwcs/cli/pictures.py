"""The pictures of an exposure, drawn slit by slit as the images come."""

from pathlib import Path

import numpy as np
from specutils import Spectrum

from specwcs.cli.outputs import draw, drawing
from specwcs.errors import SpecwcsError

__all__ = ["Pictures"]


class Pictures:
    """The overview, a picture of each slit, and the page of an exposure.

    Parameters
    ----------
    folder : pathlib.Path
        Of the products.
    name : str
        Of the exposure.
    reduction : Reduction
    overwrite : bool
        Whether existing files may be replaced.
    console : Console
    """

    def __init__(self, folder, name, reduction, overwrite, console):
        self._folder, self._name, self._reduction = folder, name, reduction
        self._overwrite, self._console = overwrite, console
        self._images, self._slits, self._fault = {}, {}, None

    def add(self, before, after):
        """Draw a slit.

        Parameters
        ----------
        before, after : Spectrum
            Rectified, of the frame and of the frame without the sky.
        """
        key = after.meta["slit"]
        self._images[key] = _small(after)
        if key not in self._reduction.slits or self._fault:
            return
        path = self._folder / f"{self._name}_slits" / f"{key}.png"
        try:
            report = drawing()
            path.parent.mkdir(exist_ok=True)
            figure = report.slit_figure(key, self._reduction.slits[key], before, after)
            report.write_figure(figure, path, overwrite=True)
            figure.clear()  # a figure refers to itself: its pixels would stay
            self._slits[key] = path
        except SpecwcsError as error:
            self._fault = error

    def finish(self, path, failed):
        """Draw the overview and write the page.

        Parameters
        ----------
        path : path-like
            Of the frame.
        failed : dict of str to str
            Reasons by slit.

        Returns
        -------
        dict of str to pathlib.Path or None
            ``"picture"`` and ``"page"``, where there is one.
        """
        images, spectra = self._images, self._reduction.spectra
        n_slits = len(images.keys() | failed.keys())
        done = len({spectrum.meta["slit"] for spectrum in spectra})
        title = f"{Path(path).name}: spectra of {done} of {n_slits} slits"
        overview = draw(
            lambda report: report.spectra_figure(images, spectra, title=title, failed=failed),
            self._folder / f"{self._name}.png",
            self._overwrite,
            self._console,
        )
        page = self._folder / f"{self._name}.html"
        try:
            if self._fault:
                raise self._fault
            drawing().write_exposure_page(
                page, title, self._reduction, self._slits, self._overwrite
            )
        except SpecwcsError as error:
            self._console.warn(f"no page: {error}")
            page = None
        return {"picture": overview, "page": page}


def _small(image):
    """Return a rectified image without what the overview does not show: a quarter of its size."""
    return Spectrum(
        flux=image.flux.astype(np.float32),
        spectral_axis=image.spectral_axis,
        mask=image.mask,
        meta=image.meta,
    )
