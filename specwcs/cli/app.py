"""The command ``specwcs``: from arguments to an exit status.

0: all slits are good. 1: a fault of specwcs. 2: wrong input or usage, told in one line.
3: some slits failed, each named with its reason.
"""

import argparse
import os
import sys
import traceback

import specwcs
from specwcs.cli import calibrate, demo, extract, info, mask, report, run, tune, view
from specwcs.cli.console import Console, Outcome, Parser, Status, one_line
from specwcs.errors import SpecwcsError

__all__ = ["main"]

_COMMANDS = {
    "demo": (demo, "simulate an instrument, run the main job, and compare with the truth"),
    "calibrate": (calibrate, "from frames, with no hand, or from region files, to a calibration"),
    "tune": (tune, "from a calibration and frames of a night to the calibration of the night"),
    "report": (report, "from a calibration to the page that tells how good it is"),
    "view": (view, "look at a calibration on a frame, and work on it by hand"),
    "extract": (extract, "from science frames to rectified images and spectra"),
    "run": (run, "from a plan to the calibrations and spectra of a night, on one core or many"),
    "mask": (mask, "from the mask design of another program to a mask file"),
    "info": (info, "tell what a file is, its facts and its faults"),
}
_INTERRUPTED = 130  # what shells give for Ctrl-C


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        The arguments, without the name of the program; by default those of the process.

    Returns
    -------
    int
        The exit status.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    console = Console(as_json="--json" in argv)
    try:
        args = _parser().parse_args(argv)
        with console.hearing_warnings():
            outcome = args.run(args, console)
    except SystemExit as end:  # argparse has printed a help or a version
        return end.code or 0
    except KeyboardInterrupt:
        console.complain("interrupted; what was written before is whole")
        return _INTERRUPTED
    except Exception as error:  # the last place where a fault can be put in words
        outcome = _failure(error, console)
        if "--debug" in argv:
            traceback.print_exc()
    try:
        console.finish(outcome)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(outcome.status)


def _parser():
    parser = Parser(
        prog="specwcs",
        description="Calibrate through-slit spectrographs, and extract their spectra.",
        epilog="Begin with 'specwcs demo'. Exit status: 0 all slits good, 3 some slits failed, "
        "2 wrong input or usage, 1 a fault of specwcs.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (module, summary) in _COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{name}: {summary}.")
        module.add_arguments(command)
        command.add_argument("--json", action="store_true", help="print the facts as JSON")
        command.add_argument("--debug", action="store_true", help="on a fault, print a traceback")
        command.set_defaults(run=module.run)
    return parser


class _Version(argparse.Action):
    """Print the version, which is looked up only when it is asked for."""

    def __call__(self, parser, *_):
        print(f"specwcs {specwcs.__version__}")
        parser.exit()


def _failure(error, console):
    """Put an error into one line, and tell ours from the user's."""
    if isinstance(error, SpecwcsError):
        status, message = Status.WRONG_INPUT, one_line(error)
    elif isinstance(error, OSError) and error.filename is not None:
        status, message = Status.WRONG_INPUT, f"{error.filename}: {error.strerror}."
    elif isinstance(error, MemoryError):
        status, message = Status.FAULT, "not enough memory for frames of this size."
    else:
        status = Status.FAULT
        message = (
            f"a fault of specwcs ({type(error).__name__}: {one_line(error)}). Please report it "
            "with this command and its output under --debug."
        )
    console.complain(message)
    return Outcome(status, {"error": message})
