"""Frames of a physical spectrograph, and the truth about them.

`example` is a ready-made observation; `tutorial` writes the files of the tutorial. For your own
instrument, make a `Spectrograph` from its `~specwcs.inputs.Instrument`, a mask (read one, or
`random_mask`, `longslit`), and an `Observation` of both. Nothing here uses the models that
specwcs fits.

Examples
--------
>>> from specwcs.simulate import example, lamp
>>> observation = example(shape=(256, 512), n_slits=4)
>>> observation.arc(lamp(), seed=1).shape
(256, 512)
>>> x, y = observation.pixel("01", t=0.5, wavelength=7000.0)
>>> wavelength, t = observation.world("01", x, y)
>>> print(f"{wavelength:.6f} {t:.6f}")
7000.000000 0.500000
"""

from specwcs.simulate.detector import Detector
from specwcs.simulate.examples import example, lamp, wrong
from specwcs.simulate.masks import longslit, pinholes, random_mask
from specwcs.simulate.observation import Observation
from specwcs.simulate.spectrograph import Spectrograph
from specwcs.simulate.tutorial import Tutorial, tutorial

__all__ = [
    "Detector",
    "Observation",
    "Spectrograph",
    "Tutorial",
    "example",
    "lamp",
    "longslit",
    "pinholes",
    "random_mask",
    "tutorial",
    "wrong",
]
