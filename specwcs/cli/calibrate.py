"""``specwcs calibrate``: from frames, or from region files, to a calibration."""

import sys
from argparse import ArgumentTypeError
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path

from specwcs.cli.console import Outcome, Status
from specwcs.errors import InputError

__all__ = ["add_arguments", "page_of", "read_catalog", "run"]


def add_arguments(parser):
    """Add the arguments of the command."""
    add = parser.add_argument
    add("instrument", metavar="INST", help="instrument file (.icf), or a name that ships")
    add("mask", metavar="MASK", help="mask file (.mdf), or a name that ships")
    add("--arc", nargs="+", metavar="A", help="arc frames, summed; required without --regions")
    add("--flat", nargs="+", metavar="F", help="flat frames, summed; without: edges by the arc")
    add("--image", nargs="+", metavar="I",
        help="frames with the disperser out, summed: the shape of OPT")  # fmt: skip
    lines_of = parser.add_mutually_exclusive_group()
    lines_of.add_argument("--lamps", nargs="+", metavar="L",
        help="lamps by name, whose line catalogues ship: Ne,Ar or as in FITS headers, HgNe; "
        "taken in air unless --medium says vacuum")  # fmt: skip
    lines_of.add_argument("--catalog", nargs="+", metavar="C",
        help="line catalogues of the lamps instead: files, or names that ship; one of the two is "
        "required without --regions, and for vectors that tell no wavelength")  # fmt: skip
    add("--regions", nargs="+", type=Path, metavar="R.reg",
        help="region files of a session, in any order: boxes or polygons (OPT), points (CRV), "
        "vectors (IDS); nothing is measured on frames then")  # fmt: skip
    add("--medium", choices=("air", "vacuum"),
        help="medium of the calibration: a catalogue that states another is converted, one "
        "that states none is taken to be in it")  # fmt: skip
    add("--bias", nargs="+", metavar="B", help="bias frames; their mean is subtracted")
    for name, shape in (("opt", "X,Y"), ("crv", "D,X,Y"), ("ids", "L,X,Y")):
        add(f"--{name}", type=_degrees_like(shape), default="auto", metavar=shape,
            help=f"degrees of {name.upper()}; by default those that the data support")  # fmt: skip
    add("-o", "--output", required=True, type=Path, metavar="CAL.asdf",
        help="the calibration; its report CAL.html goes beside it")  # fmt: skip
    add("--overwrite", action="store_true", help="replace existing outputs")


def _degrees_like(shape):
    """Make a reader of ``auto``, or of as many integers between commas as `shape` has."""

    def read(text):
        parts = text.split(",")
        if text == "auto":
            return text
        if len(parts) != len(shape.split(",")) or not all(p.isdecimal() for p in parts):
            msg = f"'{text}' is neither 'auto' nor of the form {shape}"
            raise ArgumentTypeError(msg)
        return tuple(int(part) for part in parts)

    return read


def run(args, console):
    """Run the command.

    Returns
    -------
    Outcome
    """
    from specwcs.cli.facts import calibration_facts, calibration_lines, lamp_lines
    from specwcs.cli.outputs import check_output, write_page
    from specwcs.inputs import Instrument, Mask

    start, page = console.seconds, page_of(args.output)
    _check_arguments(args)
    instrument, mask = Instrument.read(args.instrument), Mask.read(args.mask)
    catalog = _lines_of(args, console)
    for path in (args.output, page):
        check_output(path, args.overwrite)
    make = _from_regions if args.regions else _from_frames
    cal, more = make(args, console, instrument, mask, catalog)
    cal.write(args.output, overwrite=args.overwrite)
    flat, arc = _frames(args, instrument)  # read again: the fits need the memory
    page = write_page(cal, page, args.overwrite, console, flat=flat, arc=arc)
    facts = calibration_facts(cal) | more
    facts |= {"calibration": args.output, "report": page, "seconds": console.seconds - start}
    lines = [f"calibrated {facts['instrument']} in {facts['seconds']:.0f} s"]
    lines += [*calibration_lines(facts), *lamp_lines(facts.get("lamps"))]
    lines += [f"  wrote        {args.output}"]
    lines += [f"  look at      {page}"] if page else []
    status = Status.SOME_FAILED if facts["failed"] else Status.GOOD
    return Outcome(status, facts, lines)


def _check_arguments(args):
    missing = [] if args.arc else ["--arc"]
    missing += [] if args.lamps or args.catalog else ["--lamps or --catalog"]
    if args.regions and args.image:
        raise InputError("--image with --regions", "The regions tell OPT", "Leave out one of them")
    if missing and not args.regions:
        raise InputError(
            f"the following arguments are required: {', '.join(missing)}",
            "",
            "Give them to calibrate from frames, or --regions to calibrate from region files; "
            "see 'specwcs calibrate --help'",
        )


def _lines_of(args, console):
    """Return the lines of the lamps, or of the catalogues; None where neither is given."""
    from specwcs.inputs import LineCatalog

    if not args.lamps:
        return read_catalog(args.catalog, args.medium) if args.catalog else None
    catalog = LineCatalog.of_lamps(args.lamps, args.medium or "air")
    for note in catalog.notes:
        console.warn(note)
    return catalog


def _degrees(args):
    return {name: getattr(args, name) for name in ("opt", "crv", "ids")}


def _frames(args, instrument):
    """Read flat and arc; None where one is not given."""
    from specwcs.inputs import read_frame

    return [
        read_frame(paths, instrument, bias=args.bias) if paths else None
        for paths in (args.flat, args.arc)
    ]


def _from_frames(args, console, instrument, mask, catalog):
    """Return the calibration that frames give with no hand, and what their resolution tells."""
    from specwcs.calibration import calibrate
    from specwcs.cli.facts import lamp_facts

    cal = calibrate(
        instrument, mask, flat=args.flat, arc=args.arc, image=args.image, bias=args.bias,
        catalog=catalog, progress=console.step, **_degrees(args),
    )  # fmt: skip
    return cal, {"lamps": lamp_facts(cal, catalog)}


def _from_regions(args, console, instrument, mask, catalog):
    """Return the calibration that region files give, and the facts of its fits."""
    from specwcs.cli.replay import replay, sorted_regions

    console.step("reading frames")
    flat, arc = _frames(args, instrument)
    console.step("reading region files")
    files = sorted_regions(args.regions)
    if not (catalog or args.medium):
        console.warn(
            "regions do not tell the medium of their wavelengths: taken to be air. Give --medium "
            "or --catalog."
        )
    console.step("fitting the models")
    with redirect_stdout(sys.stderr) if args.json else nullcontext():
        cal, fits = replay(instrument, mask, files, catalog, _degrees(args))
    cal = replace(
        cal,
        medium=catalog.medium if catalog else args.medium or cal.medium,
        provenance=_provenance(cal, args.regions, flat, arc),
    )
    return cal, {"fits": {name: asdict(fit) for name, fit in fits.items()}}


def _provenance(cal, regions, flat, arc):
    """Return the record of the session with its files: region files, and frames by their kind."""
    from specwcs.calibration import provenance, sources_of
    from specwcs.inputs._text import read_text

    inputs = {name: cal.provenance["inputs"][name] for name in ("instrument", "mask", "catalog")}
    frames = [frame for frame in (arc, flat) if frame is not None]
    inputs |= {"flat": sources_of(flat), "arc": sources_of(arc)}
    inputs["bias"] = sources_of(*frames[:1], kind="bias")
    inputs["regions"] = sources_of(*(read_text(path)[1] for path in regions))
    setup_of = frames[0] if frames else None
    return provenance(inputs, setup_of, edges="from region files", fits=cal.provenance["fits"])


def page_of(output):
    """Return where the report of a calibration goes; `InputError` if the name is none of one."""
    from specwcs.files import check_suffix

    check_suffix(output, ".asdf")
    return output.with_suffix(".html")


def read_catalog(names, medium):
    """Read catalogues as one, in the medium that was asked for.

    Parameters
    ----------
    names : list of str
        Files, or names that ship.
    medium : {"air", "vacuum"} or None
        None: that of the catalogues.

    Returns
    -------
    LineCatalog
    """
    from specwcs.inputs import LineCatalog

    try:
        catalog = LineCatalog.read(names)
    except InputError:
        if medium is None:
            raise
        # Perhaps a list does not say its medium; any other fault shows again.
        return LineCatalog.read(names, medium)
    return catalog.to_medium(medium or catalog.medium)
