"""Shapes on a frame: what a viewer draws and a region file holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import cos, radians, sin

__all__ = ["Shape"]


@dataclass(frozen=True)
class Shape:
    """One region, in 0-based pixels.

    Parameters
    ----------
    kind : {"box", "polygon", "point", "vector", "text"}
    points : tuple of (float, float)
        (x, y) px: the centre of a box, the corners of a polygon, the place of a point or a
        text, tail and head of a vector.
    size : tuple of float
        Width and height of a box, px.
    angle : float
        Of a box, degrees counter-clockwise.
    tags : mapping of str to str
        What ``tag={key=value}`` says of it.
    text : str
        Its label.
    color : str
        A name that DS9 knows.
    fixed : bool
        Whether it is only there to be looked at: it cannot be selected or moved, and is
        not read back.
    excluded : bool
        Whether a minus stands before it: it counts as deleted.
    line : int or None
        The line of the file that it was read from, from 1.
    """

    kind: str
    points: tuple
    size: tuple = ()
    angle: float = 0.0
    tags: Mapping = field(default_factory=dict)
    text: str = ""
    color: str = "green"
    fixed: bool = False
    excluded: bool = False
    line: int | None = None


def vector_head(tail, length, angle):
    """Return the head of a vector of this length (px) and angle (degrees) from its tail."""
    turn = radians(angle)
    return tail[0] + length * cos(turn), tail[1] + length * sin(turn)
