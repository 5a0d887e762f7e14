"""What is measured on frames: where slits run, which lines an arc shows, and where."""

from specwcs.measure.find import find_traces
from specwcs.measure.traces import SlitStatus, Traces, traces_from_mask

__all__ = ["SlitStatus", "Traces", "find_traces", "traces_from_mask"]
