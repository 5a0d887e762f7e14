"""Place the markers of the tutorial's region files as a hand would: near the truth, not on it.

Run it when the simulated frames have changed: ``python docs/tutorial/prepare_regions.py``.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
from astropy import units as u

from specwcs import ModelsCalibration, simulate

REGIONS = Path(__file__).parent / "regions"
SCATTER = 0.25  # px rms, of each coordinate: the hand
INSIDE = 3.0  # px: nearer to the border of the frame, nobody sees what is marked
FORGOTTEN = 0.05  # share of the markers that are deleted


class Hand:
    """Moves the markers on the screen of a session to where a simulation has them."""

    def __init__(self, session, observation, folder):
        self.session, self.observation, self.folder = session, observation, REGIONS / folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rng = np.random.default_rng(1)

    def place(self, x, y, name, *, without=None, only=None):
        """Move markers to (x, y) px, with scatter; delete some; write a region file."""
        markers = self.session.markers
        keep = np.ones(len(markers), dtype=bool) if without is None else ~without
        for column, value, size in zip("xy", (x, y), self.observation.spectrograph.shape[::-1],
                                       strict=True):  # fmt: skip
            keep &= (value > INSIDE) & (value < size - 1 - INSIDE)
            markers[column] = (value + self.rng.normal(0, SCATTER, len(value))) * u.pix
        if only is not None:
            keep &= markers["slit"] == only
        self.session.markers = markers[keep]
        self.session.write_regions(self.folder / name, overwrite=True)

    def boxes(self, name, deleted=()):
        """Mark the slits at the reference wavelength."""
        slits = self.session.markers["slit"]
        reference = self.session.instrument.reference_lambda
        x, y = np.transpose([self.observation.pixel(s, 0.5, reference) for s in slits])
        self.place(x, y, name, without=np.isin(slits, deleted))

    def polygons(self, name):
        """Mark the corners of the slits at the reference wavelength."""
        corners = np.concatenate([slit.corners() for slit in self.observation.mask.values()])
        reference = self.session.instrument.reference_lambda
        x, y = self.observation.spectrograph.project(*corners.T, reference)
        self.place(x, y, name)

    def crosses(self, name):
        """Mark the edges of the spectra, straight above or below where the crosses stand."""
        markers = self.session.markers
        x, y = markers["x"].value, np.full(len(markers), np.nan)
        wavelength = np.linspace(*self.observation.passband, 400)
        for row, (slit, t) in enumerate(zip(markers["slit"], markers["t"], strict=True)):
            px, py = self.observation.pixel(slit, t, wavelength)
            order = np.argsort(px)
            y[row] = np.interp(x[row], px[order], py[order], left=np.nan, right=np.nan)
        self.place(x, y, name)

    def arrows(self, name, only=None):
        """Mark the lines."""
        markers = self.session.markers
        wavelength = markers["wavelength"].value
        rows = zip(markers["slit"], markers["t"], wavelength, strict=True)
        x, y = np.transpose([self.observation.pixel(*row) for row in rows])
        blue, red = self.observation.passband
        dark = (wavelength < blue + 20) | (wavelength > red - 20)
        forgotten = self.rng.uniform(size=len(markers)) < FORGOTTEN
        self.place(x, y, name, without=dark | forgotten, only=only)


def prepare_mos(files, observation):
    """Write the region files of the slit mask."""
    calib = ModelsCalibration(files["mos/instrument"], files["mos/mask"], viewer=None)
    hand = Hand(calib, observation, "mos")
    calib.load_image(files["mos/arc"])
    calib.new_opt_model(2, 2).flipy()
    calib.plot_opt_model()
    hand.boxes("opt.reg", deleted=["85"])
    calib.fit_opt_model()
    calib.new_crv_model(1, 2, 2)
    calib.load_image(files["mos/flat"])
    calib.set_trace_limits(800, 800)
    calib.plot_crv_model(9)
    hand.crosses("crv.reg")
    calib.new_crv_model(2, 2, 2)  # a straight line is not enough, as the tutorial finds
    calib.read_regions(hand.folder / "crv.reg")
    calib.fit_crv_model()
    calib.new_ids_model(3, 2, 2)
    calib.plot_ids_model(files["mos/lamp"], wstart=5000.0, wend=10000.0)
    hand.arrows("ids_global.reg")
    calib.fit_ids_model()
    for slit in [key for key, slit in observation.mask.items() if not slit.reference]:
        calib.plot_ids_model(files["mos/lamp"], wstart=5000.0)
        hand.arrows(f"ids{slit}.reg", only=slit)


def prepare_longslit(files, observation):
    """Write the region files of the long slit."""
    calib = ModelsCalibration(files["longslit/instrument"], files["longslit/mask"], viewer=None)
    hand = Hand(calib, observation, "longslit")
    calib.load_image(files["longslit/science"])
    calib.new_opt_model(1, 1)
    calib.plot_opt_model(edit=True)
    hand.polygons("opt.reg")
    calib.fit_opt_model()
    calib.new_crv_model(2, 0, 1)
    calib.set_trace_limits(1000, 1000)
    calib.plot_crv_model(7, pos=(0, 1))
    hand.crosses("crv.reg")
    calib.fit_crv_model()
    calib.new_ids_model(3, 0, 2)
    calib.plot_ids_model(files["longslit/sky"], wstart=15000.0, nsplit=7)
    hand.arrows("ids.reg")
    calib.fit_ids_model()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        written = simulate.tutorial(folder)
        prepare_mos(written.files, written.mos)
        prepare_longslit(written.files, written.longslit)
