"""The models of specwcs as `astropy.modeling` classes.

They know nothing of files, fits, or WCS:

- `OpticalModel` (OPT): mask mm to detector px at the reference wavelength;
- `FieldPolynomial`, and its two instances `CurvatureModel` (CRV) and
  `DispersionModel` (IDS): a polynomial whose coefficients vary over the field;
- `SlitGeometry`: the three of them along one slit, as polynomials in the slit
  position t; everything per slit (WCS, maps, rectification) is computed from it;
- `DetectorToTrace`, `TraceToSlit`, `SlitToMask` and their inverses: the steps of a
  slit's WCS.
"""

from .field import CurvatureModel, DispersionModel, FieldPolynomial
from .optical import OpticalModel
from .slit import SlitGeometry
from .steps import (
    DetectorToTrace,
    MaskToSlit,
    SlitToMask,
    SlitToTrace,
    TraceToDetector,
    TraceToSlit,
)

__all__ = [
    "CurvatureModel",
    "DetectorToTrace",
    "DispersionModel",
    "FieldPolynomial",
    "MaskToSlit",
    "OpticalModel",
    "SlitGeometry",
    "SlitToMask",
    "SlitToTrace",
    "TraceToDetector",
    "TraceToSlit",
]
