"""Flat and arc of the built-in simulated instrument, with the true edges."""

import numpy as np
from matplotlib.pyplot import subplots

from specwcs import simulate

observation = simulate.example(shape=(512, 1024), n_slits=7, seed=4)
frames = {"flat": observation.flat(1), "arc": observation.arc(simulate.lamp(), 2)}
wavelength = np.linspace(*observation.passband, 80)

figure, axes = subplots(2, 1, figsize=(9, 9.4), layout="constrained", sharex=True)
for panel, (name, frame) in zip(axes, frames.items(), strict=True):
    image = np.arcsinh(frame.data / 30)
    panel.imshow(image, origin="lower", cmap="gray_r", vmax=np.percentile(image, 99.5))
    for slit, entry in observation.mask.items():
        for end in observation.edges(slit, wavelength):
            panel.plot(*end, color="#009E73", lw=0.8)
        x, y = observation.pixel(slit, 0.5, wavelength)
        label = f"{slit} ref" if entry.reference else slit
        panel.text(1030, np.interp(1023, x, y), label, va="center", fontsize=8)
    panel.set(title=name, ylabel="y (px)", xlim=(0, 1023), ylim=(0, 511))
axes[-1].set_xlabel("x (px)")
