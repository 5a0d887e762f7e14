"""The four dispersion directions: where blue, red, and the ends of the slit lie on the frame."""

import numpy as np
from matplotlib.pyplot import subplots

from specwcs.conventions import Direction

SIDE = 100.0  # px
LENGTH, BREADTH = 58.0, 14.0  # px of a spectrum, along and across


def draw(axes, direction):
    """Draw a slit's spectrum, blue to red, between its two ends."""
    middle = SIDE / 2
    along = middle + direction.sign * np.linspace(-LENGTH / 2, LENGTH / 2, 60)
    for t, width in ((0.0, 3.0), (1.0, 1.0)):
        side = direction.left_sign * (0.5 - t)
        axes.plot(*direction.join(along, middle + side * BREADTH + 0 * along), "k", lw=width)
        place = direction.join(middle, middle + side * BREADTH * 2.7)
        axes.text(*place, f"t = {t:.0f}", ha="center", va="center")
    spectrum = direction.join(along, np.full_like(along, middle))
    axes.scatter(*spectrum, c=np.arange(60), cmap="turbo", s=65, marker="s", linewidths=0)
    for name, end in (("blue", -1), ("red", 1)):
        place = direction.join(middle + direction.sign * end * LENGTH * 0.69, middle)
        axes.text(*place, name, color=f"tab:{name}", ha="center", va="center")
    axes.set(xlim=(0, SIDE), ylim=(0, SIDE), aspect="equal", xticks=[], yticks=[])
    axes.set(xlabel="x →", ylabel="y →")
    axes.set_title(direction.value, fontweight="bold")


figure, panels = subplots(1, 4, figsize=(10, 2.9), layout="constrained")
for panel, name in zip(panels, Direction, strict=True):
    draw(panel, name)
