"""What is measured on frames: where slits run, which lines an arc shows, and where."""

from specwcs.measure.arcs import ArcSpectra, ArcSpectrum, arc_spectra
from specwcs.measure.find import find_traces
from specwcs.measure.identification import Identification, SlitWavelengths
from specwcs.measure.identify import identify
from specwcs.measure.image import find_spots, match_apertures
from specwcs.measure.lines import measure_lines
from specwcs.measure.recognise import recognise
from specwcs.measure.retrace import retrace
from specwcs.measure.traces import SlitStatus, Traces, traces_from_mask

__all__ = [
    "ArcSpectra",
    "ArcSpectrum",
    "Identification",
    "SlitStatus",
    "SlitWavelengths",
    "Traces",
    "arc_spectra",
    "find_spots",
    "find_traces",
    "identify",
    "match_apertures",
    "measure_lines",
    "recognise",
    "retrace",
    "traces_from_mask",
]
