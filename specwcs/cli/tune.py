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
        help="the calibration of the night; its report NIGHT.html goes beside it")  # fmt: skip
    add("--overwrite", action="store_true", help="replace an existing output")


def run(args, console):
    """Run the command.

    Returns
    -------
    Outcome
    """
    from specwcs.calibration import Calibration, moved, tune
    from specwcs.cli.calibrate import page_of, read_catalog
    from specwcs.cli.facts import calibration_facts, failure_lines
    from specwcs.cli.outputs import check_output, write_page
    from specwcs.errors import InputError
    from specwcs.inputs import LineCatalog, read_frame

    start, page = console.seconds, page_of(args.output)
    for path in (args.output, page):
        check_output(path, args.overwrite)
    before = Calibration.read(args.calibration)
    catalog = None
    if args.lamps and args.sky:
        raise InputError(
            "--lamps with --sky", "The sky has lines of its own", "Give --arc, or --catalog"
        )
    if args.lamps:
        catalog = LineCatalog.of_lamps(args.lamps, before.medium)
    elif args.catalog:
        catalog = read_catalog(args.catalog, before.medium)
    flat, arc, sky = (
        read_frame(paths, before.instrument, bias=args.bias) if paths else None
        for paths in (args.flat, args.arc, args.sky)
    )
    night = tune(before, flat=flat, arc=arc, sky=sky, catalog=catalog, progress=console.step)
    frames = {"flat": flat, "arc": sky if arc is None else arc}
    night.write(args.output, overwrite=args.overwrite)
    page = write_page(night, page, args.overwrite, console, previous=before, **frames)
    table = moved(before, night)
    said = night.provenance["fits"][len(before.provenance.get("fits", [])) :]
    untold = [sentence for sentence in said if " stays: " in sentence]
    facts = calibration_facts(night)
    facts |= {
        "calibration": args.output,
        "report": page,
        "seconds": console.seconds - start,
        "moved": night.provenance["moved"],
        "untold": untold,
    }
    lines = [
        f"tuned {before.instrument.name} in {facts['seconds']:.0f} s; what moved, px along and "
        "across the dispersion:",
        *(
            f"  slit {row['slit']:8s} {row['along'].value:+8.3f} {row['across'].value:+8.3f}"
            for row in table
        ),
        *(f"  {sentence}" for sentence in untold),
        *failure_lines(facts["failed"]),
        f"  wrote        {args.output}",
        *([f"  look at      {page}"] if page else []),
    ]
    return Outcome(Status.SOME_FAILED if facts["failed"] else Status.GOOD, facts, lines)
