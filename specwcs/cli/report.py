"""``specwcs report``: from a calibration to the page that tells how good it is."""

from pathlib import Path

from specwcs.cli.console import Outcome, Status

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    """Add the arguments of the command."""
    add = parser.add_argument
    add("calibration", metavar="CAL", help="the calibration (.asdf)")
    add("--flat", nargs="+", metavar="F", help="flat frames, summed, to show the edges on")
    add("--arc", nargs="+", metavar="A", help="arc frames, summed, to show the lines on")
    add("--bias", nargs="+", metavar="B", help="bias frames; their mean is subtracted")
    add("--previous", metavar="OLD", help="another calibration, to tell what moved since")
    add("-o", "--output", type=Path, metavar="PAGE.html",
        help="the page (default: CAL.html beside the calibration)")  # fmt: skip
    add("--overwrite", action="store_true", help="replace an existing page")


def run(args, console):
    """Run the command.

    Returns
    -------
    Outcome
    """
    from specwcs.calibration import Calibration
    from specwcs.cli.facts import calibration_facts, calibration_lines
    from specwcs.cli.outputs import check_output, drawing
    from specwcs.inputs import read_frame

    write_report = drawing().write_report
    page = args.output or Path(args.calibration).with_suffix(".html")
    check_output(page, args.overwrite)
    cal = Calibration.read(args.calibration)
    previous = Calibration.read(args.previous) if args.previous else None
    console.step("reading frames")
    flat, arc = (
        read_frame(paths, cal.instrument, bias=args.bias) if paths else None
        for paths in (args.flat, args.arc)
    )
    for frame in (flat, arc):
        if frame is not None:
            cal.check_frame(frame)
    console.step("drawing the report")
    write_report(cal, page, flat=flat, arc=arc, previous=previous, overwrite=args.overwrite)
    facts = calibration_facts(cal)
    lines = [*calibration_lines(facts), f"  look at      {page}"]
    return Outcome(Status.GOOD, facts | {"report": page}, lines)
