"""Raw or reduced frames, read into one `astropy.nddata.CCDData` in detector pixels.

`read_frame` does what every later step relies on: float64, a variance for each pixel, a
mask, and a record of what was done. It corrects the overscan and the bias, and trims; it
does not flat-field, and it leaves the unit of the file (adu, or electrons where the file
says so).
"""

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from scipy.ndimage import uniform_filter1d

from specwcs.errors import InputError, SpecwcsWarning, check_type, shown
from specwcs.inputs._fits import IMAGE_HDUS, card, describe, open_fits, pixels
from specwcs.inputs._text import Source
from specwcs.inputs.instrument import Amplifier, Instrument, Section

__all__ = ["PixelFlag", "read_frame"]

EXPOSURE_KEYS = ("EXPTIME", "EXPOSURE", "ITIME", "TTIME")
"""Where the exposure time, seconds, is looked for."""

SAME_IN_A_SUM = (
    *("INSTRUME", "DETECTOR", "GRATING", "GRISM", "GRISM_N", "GRATNG_N", "DISPERSR", "FILTER"),
    *("DICHROIC", "MASKNAME", "CCDSUM", "BINNING", "ROISEC", "DETSEC"),
    *("ESO INS GRIS1 NAME", "ESO INS SLIT1 NAME", "ESO DET WIN1 BINX", "ESO DET WIN1 BINY"),
)
"""Keywords that must not differ between frames that are summed."""

_HEADER_KEYS = {
    "gain": ("GAIN", "EGAIN"),
    "read_noise": ("RDNOISE", "READNOIS", "RON", "ENOISE"),
    "saturation": ("SATURATE",),
}
"""Where a value is looked for that the instrument file does not give."""

_SMOOTHING = 51
"""Lines over which the overscan level is averaged: it drifts slowly along the detector."""


_GAPS = 0.1
"""Part of a frame that gaps between chips may take; where more is even, nothing has noise."""


class PixelFlag(IntFlag):
    """Why a pixel is masked: the bits of ``CCDData.flags``."""

    BAD = 1  # by the mask HDU of the file
    NOT_FINITE = 2  # NaN, infinite or BLANK in the file
    SATURATED = 4
    DEAD = 8  # a line across the spectra with one value all along: the gap between two chips


@dataclass
class _Light:
    """One exposure or the sum of several, corrected and trimmed: shape (ny, nx)."""

    data: np.ndarray
    variance: np.ndarray
    flags: np.ndarray
    header: fits.Header
    unit: u.UnitBase
    sources: list[Source]
    seconds: list[float | None]
    history: list[str]


def read_frame(path, instrument, bias=None):
    """Read a frame, or the sum of several.

    Parameters
    ----------
    path : str, path-like, or list of them
        FITS files, plain or compressed (``.gz``, ``.bz2``, ``.xz``, ``.fz``). A list is
        summed: data and variances are added, masks joined.
    instrument : Instrument
        Says which HDUs to use, and how to correct and trim.
    bias : str, path-like, or list of them, optional
        Bias frames, treated like the frame; their mean is subtracted from each exposure.

    Returns
    -------
    astropy.nddata.CCDData
        Shape `instrument.shape`, float64, with `StdDevUncertainty`, mask, and the reasons
        of the mask as `PixelFlag` bits in ``flags``. Masked pixels hold finite values.
        ``meta`` holds ``files`` (``path`` and ``sha256`` of each, after decompression),
        ``bias`` (likewise), ``exposure`` (s, None where unknown), ``header`` (of the first
        file), ``history`` (what was done) and ``warnings``.

    Raises
    ------
    InputError
        If a file cannot be read, its shape is not that of the instrument, or frames of
        different settings are to be summed.

    Warns
    -----
    SpecwcsWarning
        If a frame occurs twice in a sum.

    Notes
    -----
    The overscan level of an amplifier is the median of each line of its overscan, averaged
    over 51 lines. Where the file has no variance HDU, the variance is signal/gain +
    (read noise/gain)², of each exposure; the signal is what overscan and bias leave, and counts
    as zero where it is negative. A gain that nobody
    gives is taken as 1, a read noise as the scatter of the overscan or of the faint pixels,
    and ``meta["history"]`` says so.
    """
    check_type(Instrument, instrument=instrument)
    paths = _as_list(path, "path")
    level = None if bias is None else _mean_bias(_as_list(bias, "bias"), instrument)
    light = _read_sum(paths, instrument, level)
    bias_files = [] if level is None else level.sources
    remarks = _repeated(light.sources)
    for remark in remarks:
        warnings.warn(remark, SpecwcsWarning, stacklevel=2)
    meta = {
        "files": [vars(source) for source in light.sources],
        "bias": [vars(source) for source in bias_files],
        "exposure": None if None in light.seconds else sum(light.seconds),
        "header": light.header,
        "history": light.history,
        "warnings": remarks,
    }
    frame = CCDData(
        light.data,
        uncertainty=StdDevUncertainty(np.sqrt(light.variance, out=light.variance)),
        mask=light.flags != 0,
        unit=light.unit,
        meta=meta,
    )
    frame.flags = light.flags
    return frame


def _as_list(path, what):
    single = isinstance(path, (str, os.PathLike)) or not isinstance(path, Iterable)
    paths = [path] if single else list(path)
    if not paths:
        msg = "an empty list of frames"
        raise InputError(msg, "", "Name at least one file.")
    for one in paths:
        if not isinstance(one, (str, os.PathLike)):
            raise InputError(f"{what} is {shown(one)}", "Must be a file, or a list of files")
    return paths


# -- sums -------------------------------------------------------------------------


def _read_sum(paths, instrument, bias=None, *, lit=True):
    """Add up exposures, one in memory at a time, each without the bias."""
    total = _read_exposure(paths[0], instrument, bias, lit)
    for path in paths[1:]:
        light = _read_exposure(path, instrument, bias, lit)
        _check_alike(light, total)
        total.data += light.data
        total.variance += light.variance
        total.flags |= light.flags
        for name in ("sources", "seconds", "history"):
            getattr(total, name).extend(getattr(light, name))
    if bias is not None:
        # The same mean goes from every exposure: its error does not average out.
        total.variance += len(paths) ** 2 * bias.variance
        total.flags |= bias.flags
        total.history.append(f"subtracted the mean of {len(bias.sources)} bias frames")
    return total


def _mean_bias(paths, instrument):
    """Average bias frames: a level, no light, with the noise of the read-out alone."""
    mean = _read_sum(paths, instrument, lit=False)
    mean.data /= len(paths)
    mean.variance /= len(paths) ** 2
    return mean


def _check_alike(light, first):
    """Refuse to sum frames whose headers name different settings."""
    paths = light.sources[0].path, first.sources[0].path
    for key in SAME_IN_A_SUM:
        mine, theirs = card(light.header, key, paths[0]), card(first.header, key, paths[1])
        if mine != theirs:
            msg = f"{key} is {mine!r}, but {theirs!r} in {paths[1]}"
            raise InputError(msg, "Frames of one sum have the same settings.", file=paths[0])
    if light.unit != first.unit:
        msg = f"the unit is {light.unit}, but {first.unit} in {paths[1]}"
        raise InputError(msg, "Frames of one sum have one unit.", file=paths[0])


def _repeated(sources):
    """Name the frames that occur more than once, by their content."""
    seen, remarks = {}, []
    for source in sources:
        if source.sha256 in seen:
            remarks.append(f"{source.path} is the same frame as {seen[source.sha256]}")
        seen.setdefault(source.sha256, source.path)
    return remarks


# -- one exposure ----------------------------------------------------------------


def _read_exposure(path, instrument, bias, lit):
    """Read one file: choose the HDUs, flag, correct the overscan, trim, find the variance.

    The light is what the overscan and the `bias` leave, if the frame is `lit` at all.
    """
    # Eight HDUs of eight bytes a pixel and twice the detector's area, and room for tables.
    limit = 128 * instrument.xpixels * instrument.ypixels + 2**26
    hdus, source, history = open_fits(path, limit)
    hdu = _data_hdu(hdus, instrument, path, history)
    raw = _image(hdu, path, history)
    data = raw.astype(np.float64)
    header = hdu.header if hdu is hdus[0] else _joined_header(hdus, hdu)
    trim, amplifiers = _sections(raw.shape, header, instrument, path, history)
    number = _HeaderNumbers(header, instrument, path, history)
    unit = u.electron if _in_electrons(card(header, "BUNIT", path)) else u.adu

    flags = np.zeros(raw.shape, dtype=np.uint8)
    flags[~np.isfinite(data)] |= PixelFlag.NOT_FINITE.value
    limits = [v for v in (number("saturation"), _adc_limit(raw)) if v is not None]
    if limits:
        flags[data >= min(limits)] |= PixelFlag.SATURATED.value
    if instrument.mask_hdu is not None:
        bad = _image(_hdu(hdus, instrument.mask_hdu, "mask_hdu", path), path, history)
        flags[_same_shape(bad, raw, "mask", path) != 0] |= PixelFlag.BAD.value
    scatter = _subtract_overscan(data, amplifiers, path, history)
    data, flags = data[trim], flags[trim]
    flags[_dead_band(raw[trim], instrument.direction)] |= PixelFlag.DEAD.value
    if bias is not None:
        data -= bias.data
    data[flags & PixelFlag.NOT_FINITE.value != 0] = 0.0
    if instrument.variance_hdu is not None:
        hdu = _hdu(hdus, instrument.variance_hdu, "variance_hdu", path)
        variance = _same_shape(_image(hdu, path, history), raw, "variance", path)
        variance = variance[trim].astype(np.float64)
        good = np.isfinite(variance) & (variance > 0)
        flags[~good] |= PixelFlag.BAD.value
        variance[~good] = variance[good].max(initial=1.0)
    else:
        variance = _variance(data, number, unit, scatter, lit, history)
    for flag in PixelFlag:
        if count := np.count_nonzero(flags & flag.value):
            history.append(f"{count} pixels masked: {flag.name.lower().replace('_', ' ')}")
    seconds = _exposure(header, path, history)
    history = [f"{source.path}: {line}" for line in history]
    return _Light(data, variance, flags, header, unit, [source], [seconds], history)


def _data_hdu(hdus, instrument, path, history):
    """Return the HDU named by the instrument, or the only one that holds an image."""
    taken = {instrument.variance_hdu, instrument.mask_hdu} - {None}
    images = [
        (number, hdu)
        for number, hdu in enumerate(hdus)
        if isinstance(hdu, IMAGE_HDUS)
        and hdu.header.get("NAXIS", 0) >= 2
        and not {number, hdu.name} & {t.upper() if isinstance(t, str) else t for t in taken}
    ]
    wanted = instrument.data_hdu
    # fpack moves the image of the primary HDU to the first extension.
    moved = wanted == 0 and len(images) == 1 and hdus[0].header.get("NAXIS", 0) == 0
    if wanted is not None and not moved:
        return _hdu(hdus, wanted, "data_hdu", path)
    if len(images) != 1:
        found = f"{len(images)} images in the file" if images else "no image in the file"
        raise InputError(
            found,
            f"HDUs: {describe(hdus)}.",
            "Name one as data_hdu in the instrument file." if images else "",
            file=path,
        )
    number, hdu = images[0]
    if number:
        history.append(f"data from HDU {number} {hdu.name}, the only image in the file")
    return hdu


def _hdu(hdus, wanted, key, path):
    """Return the HDU of a number or name; list what there is where it is missing."""
    try:
        hdu = hdus[wanted]
    except (KeyError, IndexError) as err:
        msg = f"no HDU {wanted} ({key})"
        raise InputError(msg, f"HDUs: {describe(hdus)}.", f"Correct {key}.", file=path) from err
    if not isinstance(hdu, IMAGE_HDUS) or hdu.header.get("NAXIS", 0) == 0:
        msg = f"HDU {wanted} ({key}) holds no image"
        raise InputError(msg, f"HDUs: {describe(hdus)}.", f"Correct {key}.", file=path)
    return hdu


def _image(hdu, path, history):
    """Return the pixels of an HDU without axes of length 1."""
    data = pixels(hdu, path)
    image = data.squeeze() if data.ndim > 2 else data
    if image.ndim != 2:
        msg = f"HDU {hdu.name} has the axes {'×'.join(map(str, data.shape[::-1]))}"
        raise InputError(msg, "Must be an image of two axes.", "Split the cube.", file=path)
    if data.ndim > 2:
        history.append(f"axes of length 1 removed from {'×'.join(map(str, data.shape[::-1]))}")
    return image


def _joined_header(hdus, hdu):
    """Return the header of an extension with the cards of the primary HDU beneath it."""
    header = hdus[0].header.copy(strip=True)
    header.extend(hdu.header.copy(strip=True), update=True)
    return header


def _same_shape(image, raw, what, path):
    if image.shape != raw.shape:
        msg = f"the {what} has {_size(image.shape)} pixels, the data {_size(raw.shape)}"
        raise InputError(msg, "Must be the same.", file=path)
    return image


def _size(shape):
    return "×".join(map(str, shape[::-1]))


def _adc_limit(raw):
    """Return the largest value of 16-bit data: a pixel there is saturated, whatever the gain."""
    return float(np.iinfo(raw.dtype).max) if raw.dtype.kind in "iu" and raw.itemsize == 2 else None


def _in_electrons(bunit):
    return str(bunit).strip().lower() in ("electron", "electrons", "e-", "e")


class _HeaderNumbers:
    """Looks up gain, read noise and saturation: instrument file first, then header."""

    def __init__(self, header, instrument, path, history):
        self.header, self.instrument, self.path = header, instrument, path
        self.history = history

    def __call__(self, name):
        """Return the value of `name`, or None where nobody gives it."""
        value = getattr(self.instrument, name)
        if isinstance(value, float):
            return value
        for key in _HEADER_KEYS[name] if value is None else (value,):
            number = card(self.header, key, self.path)
            if isinstance(number, (int, float)) and not isinstance(number, bool) and number > 0:
                self.history.append(f"{name} {number:g} from the header card {key}")
                return float(number)
            if value is not None:
                msg = f"header card {key} is {number!r}"
                raise InputError(
                    msg,
                    "Must be a number above 0.",
                    f"Give {name} as a number in the instrument file.",
                    file=self.path,
                )
        return None


def _exposure(header, path, history):
    """Return the exposure time, s, or None; a text such as '30.0 s' is no number."""
    for key in EXPOSURE_KEYS:
        value = card(header, key, path)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if value is not None:
            history.append(f"{key} is {value!r}, not a number: exposure time unknown")
            return None
    history.append(f"exposure time unknown: none of {', '.join(EXPOSURE_KEYS)} in the header")
    return None


# -- sections -------------------------------------------------------------------------


def _sections(shape, header, instrument, path, history):
    """Return the slices that trim a frame of `shape`, and its amplifiers."""
    trim, amplifiers = instrument.trim, instrument.amplifiers
    if trim is None and shape != instrument.shape:
        trim, amplifiers = _sections_from_header(header, instrument, path, history)
    elif trim is not None and shape == instrument.shape:
        history.append("trimmed already")
        trim, amplifiers = None, ()
    if trim is None and shape != instrument.shape:
        hint = "Check binning and window of the frame."
        if shape == instrument.shape[::-1]:
            hint = f"It is transposed, or the direction {instrument.direction} is wrong."
        msg = f"the frame has {_size(shape)} pixels (x × y)"
        allowed = f"Must be {_size(instrument.shape)}, xpixels × ypixels of {instrument.name}."
        raise InputError(msg, allowed, hint, file=path)
    for section in (trim, *(s for amplifier in amplifiers for s in amplifier)):
        if section is not None and (section.x2 > shape[1] or section.y2 > shape[0]):
            msg = f"the frame has {_size(shape)} pixels (x × y), the section {section} has more"
            allowed = f"Must be a raw frame, or {_size(instrument.shape)} when trimmed."
            raise InputError(msg, allowed, "Check binning and window of the frame.", file=path)
    return (trim.slices if trim else (slice(None), slice(None))), amplifiers


def _sections_from_header(header, instrument, path, history):
    """Take the trim and overscan sections from TRIMSEC or DATASEC, and BIASSEC."""
    overscan = _section_card(header, "BIASSEC", path)
    for key in ("TRIMSEC", "DATASEC"):
        trim = _section_card(header, key, path)
        if trim is not None and trim.shape == instrument.shape:
            history.append(f"trimmed to {trim} ({key})")
            amplifier = Amplifier(trim, overscan) if overscan else None
            return trim, (amplifier,) if amplifier and amplifier.axis is not None else ()
    return None, ()


def _section_card(header, key, path):
    """Return the section that a header card holds, or None where it holds none."""
    try:
        return Section.parse(str(card(header, key, path)))
    except InputError:
        return None


def _subtract_overscan(data, amplifiers, path, history):
    """Subtract the overscan level of each amplifier in place; return its scatter, adu."""
    scatters = []
    for amplifier in amplifiers:
        data_section, overscan = amplifier
        axis = amplifier.axis
        values = np.moveaxis(data[overscan.slices], axis, 1)
        if not np.isfinite(values).all(axis=1).any():
            msg = f"the overscan {overscan} has no finite line"
            raise InputError(msg, "", "Correct the sections of the instrument file.", file=path)
        level = np.median(values, axis=1)
        level[~np.isfinite(level)] = np.median(level[np.isfinite(level)])
        level = uniform_filter1d(level, _SMOOTHING, mode="nearest")
        start = (overscan.y1, overscan.x1)[1 - axis] - (data_section.y1, data_section.x1)[1 - axis]
        length = data_section.shape[1 - axis]
        level = level[-start : length - start]
        data[data_section.slices] -= np.expand_dims(level, axis)
        deviation = values - np.median(values, axis=1, keepdims=True)
        scatters.append(1.4826 * np.nanmedian(np.abs(deviation)))
        history.append(f"overscan {overscan} subtracted from {data_section}")
    return float(np.mean(scatters)) if scatters else None


def _dead_band(raw, direction):
    """Index the lines across the dispersion that have one value from end to end.

    Slits never light a frame so, and pixels that are read have noise.
    """
    axis = 0 if direction.along_x else 1
    even = raw.min(axis=axis) == raw.max(axis=axis)
    if even.mean() > _GAPS:
        even[:] = False
    return (slice(None), even) if axis == 0 else (even, slice(None))


# -- noise ------------------------------------------------------------------------


def _variance(data, number, unit, scatter, lit, history):
    """Return photon noise, where there is light, and read noise, squared, in the data's unit."""
    gain = 1.0 if unit is u.electron else number("gain")
    if gain is None:
        gain = 1.0
        history.append("gain unknown: 1 electron per adu assumed")
    read_noise = number("read_noise")
    if read_noise is None:
        measured = scatter if scatter else _faint_scatter(data)
        read_noise = max(measured * gain, 1.0)
        where = "overscan" if scatter else "faint pixels"
        history.append(f"read noise unknown: {read_noise:.3g} electrons from the {where}")
    light = np.maximum(data, 0.0) if lit else np.zeros_like(data)
    variance = light / gain + (read_noise / gain) ** 2
    return np.maximum(variance, 1 / 12, out=variance)  # no pixel is known better than its rounding


def _faint_scatter(data):
    """Return the scatter of the fainter half of the pixels, from differences of neighbours."""
    first, second = data[:, :-1:2], data[:, 1::2]
    first = first[:, : second.shape[1]]
    faint = first + second <= np.median(first + second)
    return 1.4826 * float(np.median(np.abs(first - second)[faint])) / np.sqrt(2)
