"""Regions: the shapes that stand for markers on a frame, as DS9 draws and writes them.

To show markers: `shapes_from_markers`, then `format_regions` for DS9 or `write_regions` for a
file. To read them back: `parse_regions` or `read_regions`, `check_slits`, then
`markers_from_shapes` with the table that was drawn. Shapes that no tag of ours explains, drawn
by hand or by another program, are in `Edited.untagged`; `match_shapes` finds the markers that
they stand for. `check_order` tells whether neighbours have changed places, before a fit.
"""

from .draw import shapes_from_markers
from .edit import Edited, check_slits, markers_from_shapes
from .match import Matched, match_shapes
from .order import check_order
from .read import parse_regions, read_regions
from .shapes import Shape
from .write import format_regions, write_regions

__all__ = [
    "Edited",
    "Matched",
    "Shape",
    "check_order",
    "check_slits",
    "format_regions",
    "markers_from_shapes",
    "match_shapes",
    "parse_regions",
    "read_regions",
    "shapes_from_markers",
    "write_regions",
]
