"""Calibrations: what is known of an instrument, a mask and a night, and how it is found.

- `Calibration`: the immutable bundle of models, errors, residuals and provenance;
- `solve`: from markers to a calibration, the one path of automatic and manual work;
- `calibrate`: from frames to a calibration, with no hand;
- `fit_image`: OPT from an image of the mask, or of pinholes, with the disperser out;
- `ModelFitter`, `assemble`: the same model by model, as a session goes about it;
- `nominal_opt` and its like, `predict_boxes` and its like: models that nothing was fitted
  to, and the markers that models predict;
- `moved`: where light falls by one calibration and by another.
"""

from .automatic import calibrate
from .boxes import derive_boxes
from .bundle import Calibration, SlitStatus
from .fitter import MODELS, ModelFit, ModelFitter
from .imaging import fit_image
from .local import LocalTerms
from .measured import arc_lines, edge_markers, frame_traces, identified, model_traces
from .moved import moved
from .nominal import nominal_crv, nominal_ids, nominal_opt
from .predict import (
    box_outlines,
    dispersion_at,
    predict_boxes,
    predict_corners,
    predict_edges,
    predict_lines,
)
from .provenance import provenance, sources_of
from .solve import assemble, check_slits, loose_ends, solve
from .tuning import tune

__all__ = [
    "MODELS",
    "Calibration",
    "LocalTerms",
    "ModelFit",
    "ModelFitter",
    "SlitStatus",
    "arc_lines",
    "assemble",
    "box_outlines",
    "calibrate",
    "check_slits",
    "derive_boxes",
    "dispersion_at",
    "edge_markers",
    "fit_image",
    "frame_traces",
    "identified",
    "loose_ends",
    "model_traces",
    "moved",
    "nominal_crv",
    "nominal_ids",
    "nominal_opt",
    "predict_boxes",
    "predict_corners",
    "predict_edges",
    "predict_lines",
    "provenance",
    "solve",
    "sources_of",
    "tune",
]
