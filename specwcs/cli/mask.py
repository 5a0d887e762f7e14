"""``specwcs mask convert``: the mask design of another program as a mask file."""

from specwcs.cli.console import Outcome, Status

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    """Add the arguments of the command."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    convert = actions.add_parser(
        "convert", help="write the slits of a design to a mask file", description=__doc__
    )
    convert.add_argument(
        "design",
        metavar="DESIGN",
        help="MODS .mms, LUCI .lms, or a FITS file with the slits of VIMOS, FORS, GMOS, DEIMOS "
        "or NIRSpec",
    )
    convert.add_argument("output", metavar="OUT.mdf", help="the mask file to be written")
    convert.add_argument("--overwrite", action="store_true", help="replace a file that exists")


def run(args, console):  # noqa: ARG001 - the commands share one signature
    """Run the command.

    Returns
    -------
    Outcome
    """
    from specwcs.cli.facts import failure_lines
    from specwcs.inputs import Mask

    mask = Mask.read(args.design)
    mask.write(args.output, overwrite=args.overwrite)
    sky = sum(slit.sky is not None for slit in mask.values())
    facts = {
        "written": args.output,
        "n_slits": len(mask),
        "n_with_sky": sky,
        "notes": list(mask.notes),
        "failed": dict(mask.faults),
    }
    lines = [
        f"{args.output}: {len(mask)} slits, {sky} of them with their place on the sky",
        *(f"  {note}" for note in mask.notes),
        *failure_lines(mask.faults),
    ]
    return Outcome(Status.SOME_FAILED if mask.faults else Status.GOOD, facts, lines)
