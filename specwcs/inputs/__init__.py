"""What is read from disk: instruments, masks, line catalogues and frames."""

from specwcs.inputs.catalog import LineCatalog
from specwcs.inputs.frame import PixelFlag, read_frame
from specwcs.inputs.instrument import Instrument
from specwcs.inputs.mask import Mask, Slit

__all__ = ["Instrument", "LineCatalog", "Mask", "PixelFlag", "Slit", "read_frame"]
