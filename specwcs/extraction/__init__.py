"""From a calibrated frame to rectified images and spectra of slits.

`rectify` gives the straightened, wavelength-calibrated image of each slit; `Rectifier` is the
resampling of one slit. `reduce_frame` subtracts the sky and extracts the objects on the raw
pixels, `extract` returns their spectra alone; `flat_field` makes of a flat frame what they
divide by.
"""

from specwcs.extraction.cosmics import mask_cosmics
from specwcs.extraction.extract import Reduction, SlitReduction, SlitSpectra, extract, reduce_frame
from specwcs.extraction.flat import FlatField, flat_field
from specwcs.extraction.rectifier import Rectifier, Resampled
from specwcs.extraction.rectify import SlitImages, rectify, slit_rectifier
from specwcs.extraction.velocity import Pointing, to_barycentre

__all__ = [
    "FlatField",
    "Pointing",
    "Rectifier",
    "Reduction",
    "Resampled",
    "SlitImages",
    "SlitReduction",
    "SlitSpectra",
    "extract",
    "flat_field",
    "mask_cosmics",
    "rectify",
    "reduce_frame",
    "slit_rectifier",
    "to_barycentre",
]
