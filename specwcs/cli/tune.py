"""``specwcs tune``: from a calibration and frames of a night to the calibration of the night."""

from pathlib import Path

from specwcs.cli.console import Outcome, Status

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    """Add the arguments of the command."""
    add = parser.add_argument
    add("calibration", metavar="CAL", help="the calibration that is tuned (.asdf)")
    add("--flat", nargs="+", metavar="F", help="flat frames of the night, summed")
    lines = parser.add_mutually_exclusive_group()
    lines.add_argument("--arc", nargs="+", metavar="A", help="arc frames of the night, summed")
    lines.add_argument("--sky", nargs="+", metavar="S",
        help="science frames instead, summed: their night sky lines")  # fmt: skip
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--lamps", nargs="+", metavar="L",
        help="lamps of the arc; by default the lines that the calibration rests on")  # fmt: skip
    given.add_argument("--catalog", nargs="+", metavar="C", help="line catalogues instead")
    add("--bias", nargs="+", metavar="B", help="bias frames; their mean is subtracted")
    add("-o", "--output", required=True, type=Path, metavar="NIGHT.asdf",
        help="the calibration of the night")  # fmt: skip
    add("--overwrite", action="store_true", help="replace an existing output")


def run(args, console):
    """Run the command.

    Returns
    -------
    Outcome
    """
    from specwcs.calibration import Calibration, moved, tune
    from specwcs.cli.calibrate import read_catalog
    from specwcs.cli.facts import calibration_facts, failure_lines
    from specwcs.cli.outputs import check_output
    from specwcs.inputs import LineCatalog

    start = console.seconds
    check_output(args.output, args.overwrite)
    before = Calibration.read(args.calibration)
    catalog = None
    if args.lamps:
        catalog = LineCatalog.of_lamps(args.lamps, before.medium)
    elif args.catalog:
        catalog = read_catalog(args.catalog, before.medium)
    night = tune(
        before, flat=args.flat, arc=args.arc, sky=args.sky, catalog=catalog, bias=args.bias,
        progress=console.step,
    )  # fmt: skip
    night.write(args.output, overwrite=args.overwrite)
    table = moved(before, night)
    facts = calibration_facts(night)
    facts |= {
        "calibration": args.output,
        "seconds": console.seconds - start,
        "moved": night.provenance["moved"],
    }
    lines = [
        f"tuned {before.instrument.name} in {facts['seconds']:.0f} s; what moved, px along and "
        "across the dispersion:",
        *(
            f"  slit {row['slit']:8s} {row['along'].value:+8.3f} {row['across'].value:+8.3f}"
            for row in table
        ),
        *failure_lines(facts["failed"]),
        f"  wrote        {args.output}",
    ]
    return Outcome(Status.SOME_FAILED if facts["failed"] else Status.GOOD, facts, lines)
