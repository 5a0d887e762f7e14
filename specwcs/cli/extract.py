"""``specwcs extract``: from science frames to rectified images and spectra."""

import re
import traceback
import warnings
from collections import Counter
from pathlib import Path

from specwcs.cli.console import Outcome, Status, one_line
from specwcs.errors import InputError, SpecwcsError, SpecwcsWarning

__all__ = ["add_arguments", "run"]

_SUFFIX = re.compile(r"\.(fits?|fts)(\.\w+)?$", re.IGNORECASE)


def add_arguments(parser):
    """Add the arguments of the command."""
    add = parser.add_argument
    add("calibration", metavar="CAL", help="calibration (.asdf) of specwcs calibrate")
    add("science", nargs="+", metavar="SCIENCE", help="science frames, each extracted by itself")
    add("--bias", nargs="+", metavar="B", help="bias frames; their mean is subtracted")
    add("-o", "--output", required=True, type=Path, metavar="DIR",
        help="folder for images, spectra and a picture of each exposure")  # fmt: skip
    add("--overwrite", action="store_true", help="replace existing outputs")


def run(args, console):
    """Run the command. What fails with one exposure or slit does not stop the others.

    Returns
    -------
    Outcome
    """
    from specwcs.calibration import Calibration

    start, cal = console.seconds, Calibration.read(args.calibration)
    names = _names(args.science)
    _check_outputs(args.output, names.values(), args.overwrite)
    exposures, statuses = {}, set()
    for path, name in names.items():
        try:
            exposures[path] = _extract(cal, path, name, args, console)
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
    names = [_SUFFIX.sub("", Path(path).name) for path in paths]
    name, n = Counter(names).most_common(1)[0]
    if n > 1:
        raise InputError(f"{n} exposures would be called '{name}'", "", "Rename all but one")
    return dict(zip(paths, names, strict=True))


def _check_outputs(folder, names, overwrite):
    """Make the folder, and raise `InputError` now if products cannot be written to it."""
    from specwcs.cli.outputs import check_output

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = f"the folder cannot be made ({error.strerror})"
        raise InputError(found, "", "Choose another one", file=folder) from error
    for name in names:
        check_output(folder / f"{name}.png", overwrite)
        old = None if overwrite else next(folder.glob(f"{name}_*_[12]d.fits"), None)
        if old is not None:
            raise InputError(
                "exists already", "", "Choose another folder, or --overwrite", file=old
            )


def _extract(cal, path, name, args, console):
    """Extract one exposure; return its facts."""
    from specwcs.cli.outputs import draw
    from specwcs.extraction import extract, rectify
    from specwcs.inputs import read_frame
    from specwcs.io.products import write_products

    console.step(f"{path}: reading")
    frame = read_frame(path, cal.instrument, bias=args.bias)
    console.step(f"{path}: rectifying and extracting {len(cal.mask)} slits")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpecwcsWarning)  # of skipped slits: told below
        images, spectra = rectify(cal, frame), extract(cal, frame)
    failed = {key: why for key, why in cal.mask.faults.items() if key not in cal.mask}
    failed |= images.skipped | spectra.skipped
    files = write_products(args.output, name, images, spectra, overwrite=args.overwrite)
    n_slits = len(images.keys() | failed.keys())
    title = f"{Path(path).name}: spectra of {len(spectra)} of {n_slits} slits"
    picture = draw(
        lambda report: report.spectra_figure(images, spectra, title=title, failed=failed),
        args.output / f"{name}.png",
        args.overwrite,
        console,
    )
    return {
        "rectified": list(images),
        "extracted": [spectrum.meta["slit"] for spectrum in spectra],
        "failed": failed,
        "files": files,
        "picture": picture,
    }


def _exposure_lines(path, exposure, folder):
    from specwcs.cli.facts import failure_lines

    if "error" in exposure:
        return [f"  {path}: {exposure['error']}"]
    return [
        f"  {path}: {len(exposure['rectified'])} slits rectified, "
        f"{len(exposure['extracted'])} spectra, {len(exposure['files'])} files in {folder}",
        *failure_lines(exposure["failed"]),
        *([f"  look at      {exposure['picture']}"] if exposure["picture"] else []),
    ]
