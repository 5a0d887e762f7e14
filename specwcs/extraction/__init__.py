"""From a calibrated frame to rectified images and spectra of slits.

`rectify` gives the straightened, wavelength-calibrated image of each slit, `extract` a
spectrum; `Rectifier` is the resampling of one slit, to be used again for more exposures.
"""

from specwcs.extraction.boxcar import SlitSpectra, extract
from specwcs.extraction.rectifier import Rectifier, Resampled
from specwcs.extraction.rectify import SlitImages, rectify, slit_rectifier

__all__ = [
    "Rectifier",
    "Resampled",
    "SlitImages",
    "SlitSpectra",
    "extract",
    "rectify",
    "slit_rectifier",
]
