"""``specwcs calibrate``: from a mask, a flat and an arc to a calibration, with no hand."""

from argparse import ArgumentTypeError
from pathlib import Path

from specwcs.cli.console import Outcome, Status
from specwcs.errors import InputError

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    """Add the arguments of the command."""
    add = parser.add_argument
    add("instrument", metavar="INST", help="instrument file (.icf), or a name that ships")
    add("mask", metavar="MASK", help="mask file (.mdf), or a name that ships")
    add("--arc", nargs="+", required=True, metavar="A", help="arc frames, summed")
    add("--flat", nargs="+", metavar="F", help="flat frames, summed; without: edges by the arc")
    add("--catalog", nargs="+", required=True, metavar="C",
        help="line catalogues of the lamps: files, or names that ship, such as Ne Ar")  # fmt: skip
    add("--medium", choices=("air", "vacuum"),
        help="medium of the calibration: a catalogue that states another is converted, one "
        "that states none is taken to be in it")  # fmt: skip
    add("--bias", nargs="+", metavar="B", help="bias frames; their mean is subtracted")
    for name, shape in (("opt", "X,Y"), ("crv", "D,X,Y"), ("ids", "L,X,Y")):
        add(f"--{name}", type=_degrees_like(shape), default="auto", metavar=shape,
            help=f"degrees of {name.upper()}; by default those that the data support")  # fmt: skip
    add("-o", "--output", required=True, type=Path, metavar="CAL.asdf",
        help="the calibration; the picture CAL.png goes beside it")  # fmt: skip
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
    from specwcs.calibration import calibrate
    from specwcs.cli.facts import calibration_facts, calibration_lines
    from specwcs.cli.outputs import check_output, draw
    from specwcs.inputs import Instrument, Mask, read_frame

    start, picture = console.seconds, _picture_of(args.output)
    instrument, mask = Instrument.read(args.instrument), Mask.read(args.mask)
    catalog = _catalog(args.catalog, args.medium)
    for path in (args.output, picture):
        check_output(path, args.overwrite)
    console.step("reading frames")
    flat = read_frame(args.flat, instrument, bias=args.bias) if args.flat else None
    arc = read_frame(args.arc, instrument, bias=args.bias)
    degrees = {name: getattr(args, name) for name in ("opt", "crv", "ids")}
    cal = calibrate(
        instrument, mask, flat=flat, arc=arc, catalog=catalog, progress=console.step, **degrees
    )
    cal.write(args.output, overwrite=args.overwrite)
    picture = draw(
        lambda report: report.calibration_figure(cal, flat, arc), picture, args.overwrite, console
    )
    facts = calibration_facts(cal)
    facts |= {"calibration": args.output, "picture": picture, "seconds": console.seconds - start}
    lines = [f"calibrated {facts['instrument']} in {facts['seconds']:.0f} s"]
    lines += [*calibration_lines(facts), f"  wrote        {args.output}"]
    lines += [f"  look at      {picture}"] if picture else []
    status = Status.SOME_FAILED if facts["failed"] else Status.GOOD
    return Outcome(status, facts, lines)


def _picture_of(output):
    if output.suffix != ".asdf":
        raise InputError(f"output '{output}'", "Must end in .asdf")
    return output.with_suffix(".png")


def _catalog(names, medium):
    """Read catalogues as one, in the medium that was asked for."""
    from specwcs.inputs import LineCatalog

    try:
        catalog = LineCatalog.read(names)
    except InputError:
        if medium is None:
            raise
        # Perhaps a list does not say its medium; any other fault shows again.
        return LineCatalog.read(names, medium)
    return catalog.to_medium(medium or catalog.medium)
