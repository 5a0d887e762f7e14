"""Calibrations: what is known of an instrument, a mask and a night, and how it is found.

- `Calibration`: the immutable bundle of models, errors, residuals and provenance;
- `solve`: from markers to a calibration, the one path of automatic and manual work;
- `calibrate`: from frames to a calibration, with no hand.
"""

from .automatic import calibrate
from .bundle import Calibration, SlitStatus
from .solve import solve

__all__ = ["Calibration", "SlitStatus", "calibrate", "solve"]
