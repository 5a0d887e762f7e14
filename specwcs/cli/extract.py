"""``specwcs extract``: from science frames to rectified images and spectra."""

import traceback
import warnings
from collections import Counter
from pathlib import Path

from specwcs.cli.console import Outcome, Status, one_line
from specwcs.errors import InputError, SpecwcsError, SpecwcsWarning

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    """Add the arguments of the command."""
    add = parser.add_argument
    add("calibration", metavar="CAL", help="calibration (.asdf) of specwcs calibrate")
    add("science", nargs="+", metavar="SCIENCE", help="science frames, each extracted by itself")
    add("--bias", nargs="+", metavar="B", help="bias frames; their mean is subtracted")
    add("--flat", nargs="+", metavar="F",
        help="flat frames: response of pixels, illumination of slits")  # fmt: skip
    add("--object", action="append", default=[], metavar="SLIT=T[,T...]",
        help="where objects are in a slit (t, 0 to 1); repeatable")  # fmt: skip
    add("--method", choices=("optimal", "boxcar"), default="optimal",
        help="of extraction (default: %(default)s)")  # fmt: skip
    add("--no-sky", action="store_true", help="sum whole slits, subtract no sky")
    add("--log", action="store_true", help="bins evenly spaced in the logarithm of the wavelength")
    add("--medium", choices=("air", "vacuum"),
        help="of the wavelengths of the products (default: that of the calibration)")  # fmt: skip
    add("--barycentric", action="store_true",
        help="shift wavelengths to the rest frame of the barycentre, by the header")  # fmt: skip
    add("--cosmics", action="store_true", help="mask cosmic rays first, by astroscrappy")
    add("-o", "--output", required=True, type=Path, metavar="DIR",
        help="folder for images, spectra and pictures")  # fmt: skip
    add("--no-pictures", action="store_true", help="draw nothing")
    add("--overwrite", action="store_true", help="replace existing outputs")


def run(args, console):
    """Run the command. What fails with one exposure or slit does not stop the others.

    Returns
    -------
    Outcome
    """
    from specwcs.calibration import Calibration

    start, cal = console.seconds, Calibration.read(args.calibration)
    names, objects = _names(args.science), _objects(args.object, cal)
    _check_outputs(args.output, names.values(), args.overwrite)
    flat = _flat(cal, args, console)
    exposures, statuses = {}, set()
    for path, name in names.items():
        try:
            exposures[path] = _extract(cal, path, name, flat, objects, args, console)
            statuses.add(Status.SOME_FAILED if exposures[path]["failed"] else Status.GOOD)
        except SpecwcsError as error:
            exposures[path] = {"error": one_line(error)}
            statuses.add(Status.WRONG_INPUT)
        except Exception as error:  # the other exposures are still worth their time
            console.warn(f"{path}: a fault of specwcs, please report it:")
            traceback.print_exc()
            exposures[path] = {"error": f"{type(error).__name__}: {one_line(error)}"}
            statuses.add(Status.FAULT)
    n_done = sum("error" not in exposure for exposure in exposures.values())
    facts = {
        "calibration": args.calibration,
        "exposures": exposures,
        "seconds": console.seconds - start,
    }
    lines = [f"extracted {n_done} of {len(exposures)} exposures in {facts['seconds']:.0f} s"]
    for path, exposure in exposures.items():
        lines += _exposure_lines(path, exposure, args.output)
    return Outcome(_joint(statuses), facts, lines)


def _joint(statuses):
    """Return the status of all from those of the exposures."""
    if Status.FAULT in statuses:
        return Status.FAULT
    return statuses.pop() if len(statuses) == 1 else Status.SOME_FAILED


def _names(paths):
    """Name the products of each exposure after its file; two must not be called the same."""
    from specwcs.io.products import exposure_name

    names = [exposure_name(path) for path in paths]
    name, n = Counter(names).most_common(1)[0]
    if n > 1:
        raise InputError(f"{n} exposures would be called '{name}'", "", "Rename all but one")
    return dict(zip(paths, names, strict=True))


def _objects(given, cal):
    """Return the positions of objects by slit."""
    objects = {}
    for text in given:
        slit_id, _, positions = text.rpartition("=")
        try:
            values = [float(t) for t in positions.split(",")]
        except ValueError:
            values = []
        if not slit_id or not values or not all(0 < t < 1 for t in values):
            raise InputError(
                f"--object {text}", "Must be a slit and positions between 0 and 1, as in 49=0.35"
            )
        if slit_id not in cal.mask:
            raise InputError(
                f"--object {text}: unknown slit", f"Must be one of {', '.join(cal.mask)}"
            )
        objects.setdefault(slit_id, []).extend(values)
    return objects


def _check_outputs(folder, names, overwrite):
    """Make the folder, and raise `InputError` now if products cannot be written to it."""
    from specwcs.cli.outputs import check_output

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = f"the folder cannot be made ({error.strerror})"
        raise InputError(found, "", "Choose another one", file=folder) from error
    for name in names:
        for ending in (".png", ".html", "_cutouts.fits", "_spectra.fits"):
            check_output(folder / f"{name}{ending}", overwrite)
        old = None if overwrite else next(folder.glob(f"{name}_*_[12]d.fits"), None)
        if old is not None:
            raise InputError(
                "exists already", "", "Choose another folder, or --overwrite", file=old
            )


def _flat(cal, args, console):
    """Make the flat field, if flats are given."""
    if not args.flat:
        return None
    from specwcs.extraction import flat_field
    from specwcs.inputs import read_frame

    console.step("making the flat field")
    flat = read_frame(args.flat, cal.instrument, bias=args.bias)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpecwcsWarning)  # slits without light are told below
        field = flat_field(cal, flat)
    uncorrected = [key for key in field.skipped if cal.slits[key].ok]
    if uncorrected:
        console.warn(f"no flat field for slits {', '.join(uncorrected)}: "
                     f"{field.skipped[uncorrected[0]]}")  # fmt: skip
    return field


def _extract(cal, path, name, flat, objects, args, console):
    """Extract one exposure; return its facts."""
    from specwcs.cli.pictures import Pictures
    from specwcs.extraction import rectify, reduce_frame
    from specwcs.io.cutouts import write_cutouts
    from specwcs.io.products import spectrum_path, write_products, write_spectrum

    grid = {"wavelength": "log" if args.log else None, "medium": args.medium}
    frames = [_read(cal, path, args, console)]
    header = frames[0].meta["header"]
    shift = _shift(header, path) if args.barycentric else lambda spectrum: spectrum
    with warnings.catch_warnings():
        # They are told below.
        warnings.filterwarnings("ignore", r"\d+ slits skipped", SpecwcsWarning)
        console.step(f"{path}: sky and objects of {len(cal.mask)} slits")
        # A full-size frame is large: it is handed over, to be let go once divided by the flat.
        reduction = reduce_frame(
            cal, frames.pop(), not args.no_sky, flat=flat, objects=objects, method=args.method,
            wavelength=grid["wavelength"], medium=grid["medium"],
        )  # fmt: skip
        pictures, files = None, []
        if not args.no_pictures:
            pictures = Pictures(args.output, name, reduction, args.overwrite, console)

        def write(image):
            files.append(spectrum_path(args.output, name, image))
            write_spectrum(shift(image), files[-1], header, args.overwrite)
            if pictures:
                key = image.meta["slit"]
                pictures.add(rectify(cal, reduction.frame, [key], **grid)[key], image)

        console.step(f"{path}: rectifying and writing")
        images = rectify(cal, reduction.subtracted, **grid, keep=write)
    spectra = [shift(spectrum) for spectrum in reduction.spectra]
    failed = {key: why for key, why in cal.mask.faults.items() if key not in cal.mask}
    failed |= images.skipped | reduction.skipped
    files += write_products(args.output, name, {}, spectra, header, args.overwrite)
    files.append(args.output / f"{name}_cutouts.fits")
    console.step(f"{path}: cut-outs")
    write_cutouts(files[-1], cal, reduction, args.overwrite)
    facts = {
        "rectified": list(images),
        "extracted": list(dict.fromkeys(spectrum.meta["slit"] for spectrum in spectra)),
        "spectra": [_spectrum_facts(spectrum) for spectrum in spectra],
        "failed": failed,
        "files": files,
        "picture": None,
        "page": None,
    }
    return facts | (pictures.finish(path, failed) if pictures else {})


def _read(cal, path, args, console):
    """Read an exposure, and mask its cosmic rays if that is wanted."""
    from specwcs.extraction import mask_cosmics
    from specwcs.inputs import read_frame

    console.step(f"{path}: reading")
    frame = read_frame(path, cal.instrument, bias=args.bias)
    if args.cosmics:
        console.step(f"{path}: masking cosmic rays")
        frame = mask_cosmics(frame)
    return frame


def _shift(header, path):
    """Return what shifts a spectrum to the barycentre."""
    from specwcs.cli.console import naming
    from specwcs.extraction import Pointing, to_barycentre

    with naming(path):
        pointing = Pointing.from_header(header)
    return lambda spectrum: to_barycentre(spectrum, pointing)


def _spectrum_facts(spectrum):
    keys = ("slit", "object", "object_t", "object_fwhm", "object_snr", "method", "velocity")
    return {key: spectrum.meta[key] for key in keys if key in spectrum.meta}


def _exposure_lines(path, exposure, folder):
    from specwcs.cli.facts import failure_lines

    if "error" in exposure:
        return [f"  {path}: {exposure['error'].removeprefix(f'{path}: ')}"]
    shown = exposure["page"] or exposure["picture"]
    return [
        f"  {path}: {len(exposure['rectified'])} slits rectified, "
        f"{len(exposure['spectra'])} spectra, {len(exposure['files'])} files in {folder}",
        *failure_lines(exposure["failed"]),
        *([f"  look at      {shown}"] if shown else []),
    ]
