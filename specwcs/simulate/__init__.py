"""Frames of a physical spectrograph, and the truth about them.

`example` is a ready-made observation. For your own instrument, make a `Spectrograph` from
its `~specwcs.inputs.Instrument`, a mask (read one, or `random_mask`, `longslit`), and an
`Observation` of both. Nothing here uses the models that specwcs fits.
"""

from specwcs.simulate.detector import Detector
from specwcs.simulate.examples import example, lamp, wrong
from specwcs.simulate.masks import longslit, random_mask
from specwcs.simulate.observation import Observation
from specwcs.simulate.spectrograph import Spectrograph

__all__ = [
    "Detector",
    "Observation",
    "Spectrograph",
    "example",
    "lamp",
    "longslit",
    "random_mask",
    "wrong",
]
