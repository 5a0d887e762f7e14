"""The commands that a plan makes."""

from dataclasses import dataclass

from specwcs.io.products import exposure_name

from .sort import KINDS

__all__ = ["Task", "tasks_of"]

_GIVEN = {"opt", "crv", "ids"}  # lists that are one argument


@dataclass(frozen=True)
class Task:
    """A command, what it reads, and what must be done before.

    Parameters
    ----------
    name : str
        Its own in a plan.
    kind : {"calibrate", "tune", "extract"}
    argv : tuple of str
        Of ``specwcs``.
    inputs : tuple of str
        Files that it reads.
    after : str or None
        The task that makes one of them.
    """

    name: str
    kind: str
    argv: tuple
    inputs: tuple
    after: str | None = None


def tasks_of(plan):
    """Return the tasks of a plan, each behind those that it needs.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    list of Task
    """
    tasks = []
    for setup in plan.setups:
        frames = {kind: [str(path) for path in setup.frames[kind]] for kind in KINDS}
        made, given = plan.output / "calibration" / f"{setup.name}.asdf", setup.calibration
        first = None
        if given is None:
            first = _calibrate(plan, setup, frames, made)
        elif frames["arc"] or frames["flat"]:
            argv = ["tune", str(given), *_frames(frames, "flat", "arc", "bias"), "-o", str(made)]
            read = (str(given), *frames["flat"], *frames["arc"], *frames["bias"])
            first = Task(f"calibration {setup.name}", "tune", tuple(argv), read)
        if first is not None:
            tasks.append(first)
        cal = str(made if first is not None else given)
        tasks += [_extract(plan, path, cal, frames, first) for path in frames["science"]]
    return tasks


def _calibrate(plan, setup, frames, made):
    argv = ["calibrate", plan.instrument, setup.mask, *_frames(frames, "flat", "arc", "bias")]
    argv += [*_options(plan.calibrate), "-o", str(made)]
    read = [plan.instrument, setup.mask, *plan.calibrate.get("catalog", [])]
    read += plan.calibrate.get("image", [])
    read += [*frames["flat"], *frames["arc"], *frames["bias"]]
    return Task(f"calibration {setup.name}", "calibrate", tuple(argv), tuple(read))


def _extract(plan, path, cal, frames, first):
    name = exposure_name(path)
    options = dict(plan.extract)
    kinds = ["bias", *(["flat"] if options.pop("flat", True) else [])]
    argv = ["extract", cal, path, *_frames(frames, *kinds), *_options(options)]
    argv += ["-o", str(plan.output / "spectra" / name)]
    read = (path, cal, *(file for kind in kinds for file in frames[kind]))
    return Task(name, "extract", tuple(argv), read, None if first is None else first.name)


def _frames(frames, *kinds):
    return [word for kind in kinds if frames[kind] for word in (f"--{kind}", *frames[kind])]


def _options(options):
    words = []
    for key, value in options.items():
        if value is True:
            words.append(f"--{key}")
        elif isinstance(value, list):
            values = [str(v) for v in value]
            if key in _GIVEN:
                words += [f"--{key}", ",".join(values)]
            elif key == "object":
                words += [word for v in values for word in ("--object", v)]
            else:
                words += [f"--{key}", *values]
        elif value is not False:
            words += [f"--{key}", str(value)]
    return words
