"""Lamps by name, as observers and FITS headers write them: ``Ne,Ar``, ``HgNe``, ``CuAr``."""

import re
from importlib.resources import files
from pathlib import Path

from specwcs.errors import InputError
from specwcs.inputs._text import did_you_mean

__all__ = ["lamp_catalogs", "names_lamps"]

_ELEMENTS = {
    "ar": "argon", "ca": "calcium", "cd": "cadmium", "cs": "caesium", "cu": "copper",
    "fe": "iron", "he": "helium", "hg": "mercury", "kr": "krypton", "mg": "magnesium",
    "na": "sodium", "ne": "neon", "rb": "rubidium", "th": "thorium", "xe": "xenon",
    "zn": "zinc",
}  # fmt: skip
"""What lamps are filled with: symbol and name, in lower case."""

_SYMBOLS = {name: symbol for symbol, name in _ELEMENTS.items()}

_LISTS = {"fe": "FeAr"}
"""Catalogues of elements that have none of their own name."""

_WORD = re.compile(r"[^\s,;+/&()_-]+")

_NO_LAMP = ("oh", "sky")
"""Catalogues of no lamp, which may be named all the same."""


def lamp_catalogs(text):
    """Find the catalogues of the lamps that a text names.

    Parameters
    ----------
    text : str
        Names of catalogues that ship, symbols or names of elements, in any case; apart or, as
        FITS headers have them, joined: ``"Ne, Ar"``, ``"HeNeAr"``, ``"neon+argon"``,
        ``"Hg(Ne)"``.

    Returns
    -------
    names : list of str
        Of catalogues that ship, each once.
    notes : list of str
        A sentence for each element that no catalogue ships for, where others have one.

    Raises
    ------
    InputError
        If a word is no lamp, or no catalogue ships for any of its elements.
    """
    ships = _shipped()
    names, notes = [], []
    for word in _WORD.findall(text):
        parts = [word.lower()] if word.lower() in ships else _elements(word.lower())
        if not parts:
            raise InputError(
                f"unknown lamp '{word}'",
                f"The lamps are {_listed(ships)}, alone or joined, as in HgNe.",
                did_you_mean(word, [*ships, *_SYMBOLS]) or "Give a line catalogue for it.",
            )
        known = [_LISTS.get(part, part) for part in parts]
        found = [ships[name.lower()] for name in known if name.lower() in ships]
        lacking = [part.title() for part in known if part not in ships and part in _ELEMENTS]
        if not found:
            raise InputError(
                f"lamp '{word}': no list of its lines ships",
                f"The lamps are {_listed(ships)}, alone or joined, as in HgNe.",
                "Give a line catalogue for it.",
            )
        names += found
        notes += [f"lamp {word}: no list of {a} lines ships, they are unknown" for a in lacking]
    if not names:
        raise InputError(f"no lamp in '{text}'", f"The lamps are {_listed(ships)}.")
    return list(dict.fromkeys(names)), notes


def names_lamps(text):
    """Whether a text is no path, nor the exact name of a catalogue, but words that may be lamps."""
    if not isinstance(text, str) or re.search(r"[/\\.:]", text) or Path(text).exists():
        return False
    words, ships = [word.lower() for word in _WORD.findall(text)], _shipped()
    # One word that is no lamp is rather a file that is not there.
    one_unknown = len(words) == 1 and words[0] not in ships and not _elements(words[0])
    return bool(words) and text not in ships.values() and not one_unknown


def _shipped():
    """Return the names of the catalogues that ship, by their lower case."""
    names = (path.name for path in (files("specwcs.conf") / "catalogs").iterdir())
    names = sorted(name.removesuffix(".dat") for name in names if name.endswith(".dat"))
    return {name.lower(): name for name in names}


def _listed(ships):
    return ", ".join(name for lower, name in ships.items() if lower not in _NO_LAMP)


def _elements(word):
    """Return the symbols that a word is made of; nothing where it is made of something else."""
    if word in _SYMBOLS:
        return [_SYMBOLS[word]]
    parts = re.findall("..?", word)
    return parts if all(part in _ELEMENTS for part in parts) else []
