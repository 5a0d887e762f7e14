"""Line catalogues: wavelengths of lamps and sky, with their unit and medium.

A catalogue file (``.dat``) holds ``wavelength label flag`` a line, and says its medium and
unit in comments; see `LineCatalog.read`.
"""

import re
from dataclasses import dataclass, field, replace

import numpy as np

from specwcs.conventions import without_units
from specwcs.errors import InputError, shown
from specwcs.inputs._text import (
    Source,
    did_you_mean,
    locate,
    parse_number,
    read_text,
    split_lines,
)
from specwcs.inputs.lamps import lamp_catalogs, names_lamps

__all__ = ["LineCatalog", "air_from_vacuum", "vacuum_from_air"]

MEDIA = ("air", "vacuum")

_UNITS = {
    **dict.fromkeys(("angstrom", "angstroms", "a", "aa", "å"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 10.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"), 1e4),
}
"""Angstrom in the units that a catalogue may declare, by their names in lower case."""

_PLAUSIBLE = (2000.0, 300000.0)
"""Å; from the limit of air to the thermal infrared."""

_SURELY_ANGSTROM = 2600.0
"""Where no unit is declared, a list that ends below this may be one in nm."""

_SAME = 0.02
"""Å; lines of one species in two catalogues that are closer are one: both are rounded."""

_SEPARATE, _COMPARABLE = 1.3, 0.05
"""FWHM, and part of a line's intensity: what a neighbour must be to blend with it."""


@dataclass(frozen=True, eq=False)
class LineCatalog:
    """Wavelengths of emission lines, sorted.

    Attributes
    ----------
    wavelength : ndarray, shape (n,)
        Å, ascending.
    label : ndarray of str, shape (n,)
        The ion, or any other name.
    flag : ndarray of int, shape (n,)
        1 = use for calibration, 0 = known, but not to be used.
    intensity : ndarray, shape (n,)
        Relative strength in the catalogue's own scale; NaN where unknown.
    medium : {"air", "vacuum"}
        What the wavelengths are measured in.
    notes : tuple of str
        What was done on reading, such as duplicate lines that were dropped.
    sources : tuple of Source
        The files that the lines come from.
    """

    wavelength: np.ndarray
    label: np.ndarray
    flag: np.ndarray
    intensity: np.ndarray
    medium: str
    notes: tuple[str, ...] = ()
    sources: tuple[Source, ...] = field(default=())

    def __post_init__(self):
        object.__setattr__(self, "wavelength", *without_units(wavelength=self.wavelength))

    def __len__(self):
        return len(self.wavelength)

    def __repr__(self):
        low, high = self.wavelength[[0, -1]]
        return f"<LineCatalog: {len(self)} lines, {low:.1f}–{high:.1f} Å, {self.medium}>"

    def select(self, wstart=None, wend=None):
        """Return the lines from `wstart` to `wend`, both included.

        Parameters
        ----------
        wstart, wend : float or Quantity, optional
            Å where no unit is given; in the medium of the catalogue.

        Returns
        -------
        LineCatalog

        Raises
        ------
        InputError
            If a limit is no number, they are the wrong way round, or no line lies between them.
        """
        low, high = without_units(wstart=wstart, wend=wend)
        low, high = _limit(low, "wstart", -np.inf), _limit(high, "wend", np.inf)
        if not low < high:
            msg = f"wstart {low:g} is not below wend {high:g}"
            raise InputError(msg, "", "Exchange the two limits." if low > high else "")
        inside = (self.wavelength >= low) & (self.wavelength <= high)
        if not inside.any():
            msg = f"no line between {low:g} and {high:g} Å"
            raise InputError(
                msg,
                f"The catalogue runs from {self.wavelength[0]:g} to {self.wavelength[-1]:g} Å.",
                "Widen the limits or check the unit.",
            )
        return self._take(inside)

    def separable(self, fwhm):
        """Return the lines that a resolution separates from their neighbours.

        A line blends with each neighbour that is closer than 1.3 FWHM and has 5 % of its
        intensity or more, whatever the neighbour's flag; neither takes the other's place. Of
        two close lines the bright one may thus stay and the faint one go.

        Parameters
        ----------
        fwhm : float or Quantity
            Width of a line, Å where no unit is given.

        Returns
        -------
        LineCatalog
            Perhaps of no lines; those of flag 0 are left out.

        Raises
        ------
        InputError
            If `fwhm` is not a length above 0.

        Notes
        -----
        Intensities of different species (labels) are not on one scale; they are compared
        after each is divided by the largest of its species, a rough guide. Where either
        intensity is not known, the neighbour counts.

        Examples
        --------
        >>> from specwcs import LineCatalog
        >>> helium = LineCatalog.read("He")
        >>> len(helium), len(helium.separable(20.0))
        (23, 21)
        """
        (width,) = without_units(fwhm=fwhm)
        if np.ndim(width) or not 0 < width < np.inf:
            raise InputError(f"invalid fwhm {fwhm}", "Must be one width above 0 Å.")
        strength = self._strength()
        blended = np.zeros(len(self), bool)
        for step in range(1, len(self)):
            near = self.wavelength[step:] - self.wavelength[:-step] < _SEPARATE * width
            if not near.any():
                break
            low, high = strength[:-step], strength[step:]
            blended[:-step] |= near & ~(high < _COMPARABLE * low)
            blended[step:] |= near & ~(low < _COMPARABLE * high)
        return self._take(~blended & (self.flag == 1))

    def _strength(self):
        """Intensity as a part of the largest of its species; NaN where unknown."""
        strength = np.array(self.intensity, float)
        for species in np.unique(self.label):
            mine = (self.label == species) & np.isfinite(strength)
            if np.any(strength[mine] > 0):
                strength[mine] /= strength[mine].max()
        return strength

    def to_medium(self, medium):
        """Return the catalogue with its wavelengths in `medium`.

        Parameters
        ----------
        medium : {"air", "vacuum"}

        Returns
        -------
        LineCatalog
        """
        medium = _medium(medium)
        if medium == self.medium:
            return self
        convert = air_from_vacuum if medium == "air" else vacuum_from_air
        return replace(self, wavelength=convert(self.wavelength), medium=medium)

    def _take(self, index):
        return replace(
            self,
            wavelength=self.wavelength[index],
            label=self.label[index],
            flag=self.flag[index],
            intensity=self.intensity[index],
        )

    @classmethod
    def read(cls, path, medium=None, unit=None):
        """Read a line catalogue, or several as one.

        Lines hold ``wavelength label flag`` and, optionally, the relative intensity, between
        white space; a label of several words may stand in double quotes. ``#`` starts a
        comment, and so switches a line off. The comments ``# medium: air`` (or ``vacuum``)
        and ``# unit: Angstrom`` (or ``nm``, ``um``) say what the wavelengths are.

        Parameters
        ----------
        path : str, path-like, or list of them
            Files, or names of lamps whose catalogues ship with specwcs, in any case and apart
            or joined: ``"Ne"``, ``"Ne,Ar"``, ``"HgNe"``. Several must agree on the medium.
        medium : {"air", "vacuum"}, optional
            Needed where the file does not say it.
        unit : str, optional
            Where the file does not say it; Angstrom by default.

        Returns
        -------
        LineCatalog

        Raises
        ------
        InputError
            If the medium is unknown or contradictory, a line cannot be read, no line is
            left, or the wavelengths are not plausible in their unit.
        """
        if isinstance(path, (list, tuple)):
            return _merged([cls.read(one, medium, unit) for one in path])
        if names_lamps(path):
            names, notes = lamp_catalogs(path)
            return _merged([cls.read(name, medium, unit) for name in names], notes)
        path = locate(path, "catalogs", ".dat")
        text, source = read_text(path)
        declared, rows = {}, []
        for number, line in split_lines(text):
            place = {"file": path, "line": number}
            _declare(line, declared, place)
            if values := re.findall(r'"[^"]*"|[^\s"]+', line.partition("#")[0]):
                rows.append(_typed(values, place))
        if not rows:
            msg = "no line in the catalogue"
            raise InputError(msg, "", "Add at least one line.", file=path)
        medium = _agreed("medium", declared, medium and _medium(medium), path)
        if medium is None:
            msg = "the medium is not known"
            raise InputError(
                msg,
                "Must be air or vacuum.",
                "Add the line '# medium: air' or give medium= (--medium).",
                file=path,
            )
        factor = _agreed("unit", declared, unit and _unit(unit), path)
        wavelength, label, flag, intensity = (
            np.array(column) for column in zip(*rows, strict=True)
        )
        _check_range(wavelength, factor, path)
        wavelength = wavelength * (factor or 1.0)
        unsorted = np.any(np.diff(wavelength) < 0)
        notes = ("lines were not in order of wavelength: sorted",) if unsorted else ()
        return _tidy(cls(wavelength, label, flag, intensity, medium, notes, (source,)))

    @classmethod
    def of_lamps(cls, lamps, medium="air"):
        """Join the catalogues of lamps that ship, in one medium.

        Parameters
        ----------
        lamps : str or list of str
            Names in any case, apart or joined: ``"Ne,Ar"``, ``"HgNe"``, ``"sky"``.
        medium : {"air", "vacuum"}, optional
            What the wavelengths are to be in; each catalogue is converted to it.

        Returns
        -------
        LineCatalog

        Raises
        ------
        InputError
            If a name is no lamp that ships; the sentence lists those that do.
        """
        text = lamps if isinstance(lamps, str) else ",".join(lamps)
        names, notes = lamp_catalogs(text)
        return _merged([cls.read(name).to_medium(medium) for name in names], notes)


def _limit(value, what, default):
    """Return a limit of wavelengths as a number; the default where it is None."""
    try:
        number = default if value is None else float(value)
    except (TypeError, ValueError):
        number = np.nan
    if np.isnan(number):
        raise InputError(f"invalid {what} {shown(value)}", "Must be one wavelength.")
    return number


def air_from_vacuum(wavelength):
    """Convert vacuum wavelengths to air.

    The refractive index of dry air at 15 °C, 101 325 Pa and 450 ppm CO2 is that of Ciddor
    (1996, Applied Optics 35, 1566, eq. 1).

    Parameters
    ----------
    wavelength : array-like or Quantity
        In vacuum, 2000 Å or more; Å where no unit is given.

    Returns
    -------
    ndarray
        Å, in air.
    """
    wavelength = np.asarray(*without_units(wavelength=wavelength), dtype=float)
    return wavelength / _refractive_index(wavelength)


def vacuum_from_air(wavelength):
    """Convert air wavelengths to vacuum: the inverse of `air_from_vacuum`.

    Parameters
    ----------
    wavelength : array-like or Quantity
        In air; Å where no unit is given.

    Returns
    -------
    ndarray
        Å, in vacuum; iterated until it no longer changes by 1e-9 Å.
    """
    air = np.asarray(*without_units(wavelength=wavelength), dtype=float)
    vacuum = air
    for _ in range(20):  # each step gains at least four digits: n changes that slowly
        vacuum, previous = air * _refractive_index(vacuum), vacuum
        if np.all(np.abs(vacuum - previous) < 1e-9):
            break
    return vacuum


def _refractive_index(vacuum):
    squared = (1e4 / vacuum) ** 2  # wavenumber squared, 1/µm²
    return 1 + 0.05792105 / (238.0185 - squared) + 0.00167917 / (57.362 - squared)


# -- the text ---------------------------------------------------------------


def _medium(text, **place):
    name = {"vac": "vacuum"}.get(text.lower(), text.lower())
    if name not in MEDIA:
        msg = f"invalid medium '{text}'"
        raise InputError(msg, "Must be air or vacuum.", **place)
    return name


def _unit(text, **place):
    factor = _UNITS.get(str(text).lower())
    if factor is None:
        msg = f"invalid unit '{text}'"
        raise InputError(
            msg,
            "Must be Angstrom, nm or um.",
            did_you_mean(str(text), _UNITS),
            **place,
        )
    return factor


def _declare(line, declared, place):
    """Note what a comment says about medium and unit."""
    match = re.fullmatch(r"\s*#\s*(medium|units?)\s*[:=]\s*(\S+)\s*", line, re.IGNORECASE)
    if match is None:
        match = re.fullmatch(r"\s*#\s*(units?)\s+(\S+)\s*", line, re.IGNORECASE)
    if match is None:
        return
    name = "medium" if match[1].lower() == "medium" else "unit"
    value = _medium(match[2], **place) if name == "medium" else _unit(match[2], **place)
    if declared.setdefault(name, value) != value:
        msg = f"a second, different {name} '{match[2]}'"
        raise InputError(msg, f"One {name} a file.", **place)


def _agreed(name, declared, given, path):
    """Return what file and argument agree on, or None where neither says it."""
    said = declared.get(name)
    if said is not None and given is not None and said != given:
        msg = f"the {name} in the file is not the {name} that was asked for"
        raise InputError(
            msg,
            "",
            f"Leave out the argument {name}, or convert the catalogue with to_medium().",
            file=path,
        )
    return said if said is not None else given


def _typed(values, place):
    """Turn the words of a line into (wavelength, label, flag, intensity)."""
    has_intensity = len(values) > 3 and values[-2] in ("0", "1")
    flag, label = (values[-2], values[1:-2]) if has_intensity else (values[-1], values[1:-1])
    if not label:
        msg = f"found {len(values)} values"
        raise InputError(
            msg,
            "Expected wavelength, label, flag and, optionally, intensity.",
            **place,
        )
    wavelength = parse_number(values[0], "wavelength", above=0, **place)
    if flag not in ("0", "1"):
        msg = f"invalid flag '{flag}'"
        raise InputError(msg, "Must be 1 to use the line, else 0.", **place)
    intensity = parse_number(values[-1], "intensity", **place) if has_intensity else np.nan
    return wavelength, " ".join(label).replace('"', ""), int(flag), intensity


def _check_range(wavelength, factor, path):
    """Refuse wavelengths that are not plausible in their unit; suggest the one they are in."""

    def plausible(factor):
        return _PLAUSIBLE[0] <= low * factor and high * factor <= _PLAUSIBLE[1]

    low, high = wavelength.min(), wavelength.max()
    if plausible(factor or 1.0) and (factor or high > _SURELY_ANGSTROM):
        return
    names = {"nm": 10.0, "um": 1e4, "Angstrom": 1.0}
    name = next((name for name, factor in names.items() if plausible(factor)), None)
    raise InputError(
        f"wavelengths from {low:g} to {high:g}" + ("" if factor else ", no unit declared"),
        f"Must be from {_PLAUSIBLE[0]:g} to {_PLAUSIBLE[1]:g} Å.",
        f"They look like {name}: declare '# unit: {name}'." if name else "Check the unit.",
        file=path,
    )


def _tidy(catalog):
    """Sort by wavelength and drop lines that are there twice, with a note for each."""
    order = np.argsort(catalog.wavelength, kind="stable")
    wavelength = catalog.wavelength[order]
    again = np.flatnonzero(np.diff(wavelength) == 0) + 1
    notes = [f"{wavelength[i]} {catalog.label[order[i]]} is there twice: dropped" for i in again]
    return replace(catalog._take(np.delete(order, again)), notes=(*catalog.notes, *notes))


def _merged(catalogs, notes=()):
    """Join catalogues of one medium; what two of them have is taken from the first."""
    if not catalogs:
        msg = "an empty list of catalogues"
        raise InputError(msg, "", "Name at least one.")
    media = {catalog.medium for catalog in catalogs}
    if len(media) > 1:
        names = ", ".join(f"{c.sources[0].path}: {c.medium}" for c in catalogs)
        msg = f"the catalogues differ in medium ({names})"
        raise InputError(msg, "", "Convert them with to_medium().")
    joined = {
        name: np.concatenate([getattr(catalog, name) for catalog in catalogs])
        for name in ("wavelength", "label", "flag", "intensity")
    }
    origin = np.repeat(np.arange(len(catalogs)), [len(catalog) for catalog in catalogs])
    again = _again(joined["wavelength"], joined["label"], origin)
    if again.any():
        notes = (*notes, f"{again.sum()} lines are in two catalogues: taken once")
    return _tidy(
        LineCatalog(
            **{name: column[~again] for name, column in joined.items()},
            medium=media.pop(),
            notes=(*sum((catalog.notes for catalog in catalogs), ()), *notes),
            sources=sum((catalog.sources for catalog in catalogs), ()),
        )
    )


def _again(wavelength, label, origin):
    """Find the lines that an earlier catalogue has too, but for the rounding."""
    order = np.argsort(wavelength, kind="stable")
    again = np.zeros(len(wavelength), bool)
    for step in range(1, len(wavelength)):
        low, high = order[:-step], order[step:]
        near = wavelength[high] - wavelength[low] <= _SAME
        if not near.any():
            break
        same = near & (label[low] == label[high]) & (origin[low] != origin[high])
        again[np.where(origin[low] > origin[high], low, high)[same]] = True
    return again
