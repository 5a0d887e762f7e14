"""Attributes of a shape: what follows it as ``key=value``, and the tags that are ours."""

import re

from specwcs.errors import InputError

BACKGROUND = "background"
"""The tag of shapes that are only there to be looked at."""

COLOR = re.compile(r"#?[A-Za-z0-9]+")
"""What can be the name of a color."""

_ATTRIBUTE = re.compile(
    r"(\w+)\s*=\s*(?:\{([^{}]*)\}|\"([^\"]*)\"|'([^']*)'|([^\s{}\"']*))(?=\s|$)|(\S+)", re.ASCII
)
_REST = 6
"""The group of `_ATTRIBUTE` with what is no ``key=value``."""

_SHOWN = 60

_TAG = re.compile(r"([a-z]+)=([A-Za-z0-9_.+-]+)")


def parse_attributes(text, place):
    """Read attributes; tags of other programs are passed over.

    Parameters
    ----------
    text : str
    place : dict
        ``file`` and ``line``, for errors.

    Returns
    -------
    attributes : dict of str to str
        Without tags.
    tags : dict of str to str
        From ``tag={key=value}``.
    background : bool
        Whether ``tag={background}`` is there.
    """
    attributes, tags, background = {}, {}, False
    for match in _ATTRIBUTE.finditer(text):
        if match.lastindex == _REST:
            _check_rest(match[_REST], place)
            continue
        key, value = match[1].lower(), match[match.lastindex]
        if key != "tag":
            if key != "color" or COLOR.fullmatch(value):  # no color is worth a refused file
                attributes[key] = value
        elif value == BACKGROUND:
            background = True
        else:
            _add_tag(tags, value, place)
    return attributes, tags, background


def _add_tag(tags, value, place):
    own = _TAG.fullmatch(value)
    if own and tags.setdefault(own[1], own[2]) != own[2]:
        found = f"tags {own[1]}={tags[own[1]]} and {value}"
        raise InputError(found, "Must be one of each.", "Delete one.", **place)


def _check_rest(rest, place):
    """Let bare words and numbers pass; a brace or a quote among them is a broken label."""
    if re.search(r"[{}\"']", rest):
        raise InputError(
            f"braces or quotes that do not match at '{clipped(rest)}'",
            "Labels and tags hold no braces.",
            "Change the label and save again.",
            **place,
        )


def clipped(text):
    """Return the beginning of what stands in a file, for an error."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
