"""``specwcs demo``: simulate an instrument, run the main job, and compare with the truth."""

from argparse import ArgumentTypeError
from pathlib import Path

from specwcs.cli import calibrate, extract
from specwcs.cli.console import Outcome, parsed
from specwcs.errors import InputError

__all__ = ["add_arguments", "run"]

_LARGE = {"shape": (3088, 8288), "n_slits": 28}


def add_arguments(parser):
    """Add the arguments of the command."""
    add = parser.add_argument
    add(
        "--out",
        type=Path,
        default=Path("specwcs_demo"),
        metavar="DIR",
        help="where the files go; those of an earlier demo are replaced (default: %(default)s)",
    )
    add("--seed", type=_seed, default=1, help="chooses mask and noise (default: %(default)s)")
    add("--large", action="store_true", help="28 slits on 8288 × 3088 px; takes minutes")
    add("--direction", choices=("LR", "RL", "BU", "UB"), default="LR",
        help="of the dispersion, blue to red (default: %(default)s)")  # fmt: skip


def _seed(text):
    if not text.isdecimal():
        msg = f"'{text}' is no whole number from 0"
        raise ArgumentTypeError(msg)
    return int(text)


def run(args, console):
    """Run the command.

    Returns
    -------
    Outcome
    """
    from specwcs.calibration import Calibration
    from specwcs.cli.accuracy import accuracy_against, accuracy_lines

    _check_folder(args.out)
    observation, files = _simulate(args, console)
    product, folder = args.out / "calibration.asdf", args.out / "spectra"
    calibrate_argv = [files["instrument"], files["mask"], "--flat", files["flat"]]
    calibrate_argv += ["--arc", files["arc"], "--catalog", files["catalog"], "-o", product]
    extract_argv = [product, files["science"], "-o", folder]
    calibrated = calibrate.run(parsed(calibrate, [*calibrate_argv, "--overwrite"]), console)
    extracted = extract.run(parsed(extract, [*extract_argv, "--overwrite"]), console)
    console.step("comparing with the truth")
    accuracy = accuracy_against(observation, Calibration.read(product))
    shown = [
        ("calibrate", calibrate_argv, calibrated),
        ("extract", extract_argv, extracted),
    ]
    lines = [f"simulated in {args.out}: {_description(observation)}"]
    for name, argv, outcome in shown:
        lines += ["", "$ specwcs " + " ".join([name, *map(str, argv)]), *outcome.lines]
    lines += ["", *accuracy_lines(accuracy), "", f"all in {console.seconds:.0f} s"]
    facts = {
        "files": files,
        "calibrate": calibrated.facts,
        "extract": extracted.facts,
        "accuracy": accuracy,
        "seconds": console.seconds,
    }
    return Outcome(max(calibrated.status, extracted.status), facts, lines)


def _check_folder(folder):
    """Refuse a folder with files of others: the demo replaces those of its names."""
    from specwcs.simulate.files import SIMULATED

    mark = folder / "instrument.icf"
    own = mark.is_file() and SIMULATED in mark.read_text(encoding="utf-8", errors="replace")
    if folder.is_dir() and any(folder.iterdir()) and not own:
        raise InputError(
            "the folder has files that are not of a demo",
            "Must be new, empty, or that of a demo, whose files are replaced",
            "Choose another one with --out",
            file=folder,
        )


def _simulate(args, console):
    """Write what an observer has, with what the observer believes of the instrument."""
    from specwcs.simulate import example, lamp, wrong

    console.step("simulating flat, arc and science frame")
    size = _LARGE if args.large else {}
    observation = example(args.direction, seed=args.seed, **size)
    believed = wrong(observation.instrument)
    files = observation.write(args.out, lamp(), args.seed, instrument=believed, overwrite=True)
    return observation, files


def _description(observation):
    instrument = observation.instrument
    return (
        f"{len(observation.mask)} slits on {instrument.xpixels} × {instrument.ypixels} px, "
        f"dispersion {instrument.direction}; what the instrument file says is off by 3 % in "
        "scale and dispersion, and by 30 px in position"
    )
