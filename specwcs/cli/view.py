"""``specwcs view``: a calibration, or a mask from scratch, on a frame in a viewer."""

import argparse
import io
import sys
import time
import warnings
from contextlib import nullcontext, redirect_stdout, suppress
from importlib.util import find_spec

from specwcs.cli.console import Outcome, Status
from specwcs.errors import InputError

__all__ = ["add_arguments", "run"]

_POLL = 0.5  # s
_POINTS = 20  # a trace
_SHOWN = {"opt": "slits", "crv": "traces", "ids": "arc lines"}
_BANNER = """\
calib is the session on {name}: its {shown} are on the frame; cal is what it began with.
Move, delete or copy the markers in the viewer, then type calib.fit_{model}_model().
calib.plot_opt_model(), plot_crv_model(n), plot_ids_model(catalog) draw others; undo(), redo().
calib.load_image(file) shows another frame{frames}.
calib.calibration.write(file) keeps the result; calib.journal has every step. Leave with Ctrl-D."""


def add_arguments(parser):
    """Add the arguments of the command."""
    add = parser.add_argument
    add(
        "target",
        metavar="CAL|INST|JOURNAL",
        help="calibration (.asdf), instrument file or name, or journal of a session (.jsonl)",
    )
    add("mask", nargs="?", metavar="MASK", help="mask file or name, after an instrument")
    # fmt: off
    for kind in ("flat", "arc", "science"):
        add(f"--{kind}", nargs="+", action=_AddFrame, const=kind, dest="frames", default=[],
            metavar=kind[0].upper(), help=f"{kind} frames, summed; the first kind given is shown")
    add("--catalog", nargs="+", metavar="C",
        help="line catalogues, files or names that ship: their lines are drawn")
    # fmt: on
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--ds9", action="store_true", help="open a DS9 (the default)")
    where.add_argument("--running", action="store_true", help="use the DS9 that is open")
    where.add_argument("--web", action="store_true", help="on a page in the browser")
    add(
        "--atlas",
        metavar="SPECTRUM",
        help="reference spectrum of the lamp, shown above that of a slit (--web)",
    )


class _AddFrame(argparse.Action):
    """Keep frames with their kind, in the order in which they are given."""

    def __call__(self, _parser, namespace, values, _option=None):
        """Add frames."""
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), (self.const, values)])


def run(args, console):
    """Run the command: until the prompt is left or, without a terminal, the viewer is closed.

    Returns
    -------
    Outcome
    """
    from specwcs.viewers import open_viewer

    if args.atlas and not args.web:
        raise InputError("--atlas without --web", "", "Add --web")
    console.step("reading the inputs")
    given, catalog = _given(args)
    atlas = _read_atlas(args.atlas) if args.atlas else None
    _check_frames(args.frames)
    console.step("opening the viewer")
    redirected = redirect_stdout(sys.stderr) if args.json else nullcontext()
    name = "web" if args.web else "ds9-running" if args.running else "ds9"
    with redirected, open_viewer(name) as viewer:
        session = _session(given, viewer)
        for kind, paths in args.frames:
            session.offer_image(kind, paths)
        if args.web:
            _furnish(viewer.page, args.catalog, catalog, atlas)
        if session.progress.model is None or args.frames or catalog is not None:
            _plot(session, _show(session, args.frames), catalog)
        model = session.progress.model
        shown = _SHOWN[model]
        n = len(session.markers)
        with suppress(KeyboardInterrupt):
            if sys.stdin.isatty():
                _prompt(session, model, shown, dict(args.frames), catalog)
            else:
                _wait(viewer)
        if viewer.alive:
            session.close()
    return _outcome(session, args, model, n)


def _given(args):
    """Return the arguments of the session or its journal, and the catalogue or None."""
    from specwcs.calibration import Calibration
    from specwcs.cli.calibrate import read_catalog
    from specwcs.cli.info import kind_of
    from specwcs.inputs import Instrument, Mask
    from specwcs.session.journal import read_journal

    if args.target.endswith(".jsonl"):
        if args.mask is not None:
            raise InputError(f"'{args.mask}' after a journal, which has its mask", "", "Omit it")
        read_journal(args.target)  # refused before a window is opened
        return args.target, read_catalog(args.catalog, None) if args.catalog else None
    kind = kind_of(args.target)
    if kind not in ("ASDF file", "instrument"):
        raise InputError(
            f"this is a {kind}",
            "Must be a calibration, an instrument or a journal",
            file=args.target,
        )
    if kind == "ASDF file":
        if args.mask is not None:
            raise InputError(
                f"'{args.mask}' after a calibration, which has its mask", "", "Omit it"
            )
        cal = Calibration.read(args.target)
        given = {"icf": cal.instrument, "mask": cal.mask, **_models(cal)}
        medium = cal.medium
    elif args.mask is None:
        raise InputError("no mask", "", "Give the mask file after the instrument")
    else:
        given = {"icf": Instrument.read(args.target), "mask": Mask.read(args.mask)}
        medium = None
    return given, read_catalog(args.catalog, medium) if args.catalog else None


def _models(cal):
    """Return the models of a calibration with what is known of their fits, for a session."""
    import numpy as np

    from specwcs.calibration import MODELS, LocalTerms, ModelFit
    from specwcs.session.layer import KINDS_OF
    from specwcs.session.stored import note_fit

    models = {}
    for name in MODELS:
        model = models[name] = getattr(cal, name).copy()
        mine = cal.residuals[np.isin(cal.residuals["kind"], KINDS_OF[name])]
        fit = ModelFit.unfitted(model, "read")
        if len(mine):
            covariance = {key: cal.covariance[key] for key in fit.covariance}
            ranks = tuple(len(matrix) for matrix in covariance.values())
            local = cal.local.get(name, LocalTerms())
            fit = ModelFit(model, "fitted", covariance, mine, ranks, local=local)
        note_fit(model, fit, cal.instrument, cal.medium)
    return models


def _check_frames(frames):
    """Raise `InputError` for a missing file before a window is opened."""
    from specwcs.inputs._text import local_path

    for _, paths in frames:
        for path in paths:
            local_path(path)


def _show(session, frames):
    """Show the first frame, or an empty one where there is none; return its kind."""
    import numpy as np
    from astropy.nddata import CCDData

    if frames:
        kind, paths = frames[0]
        session.load_image(paths)
        return kind
    with redirect_stdout(io.StringIO()):  # that it is no file is clear
        session.load_image(CCDData(np.zeros(session.instrument.shape), unit="adu"))
    return ""


def _session(given, viewer):
    from specwcs.session import ModelsCalibration

    if isinstance(given, str):
        return ModelsCalibration.resume(given, viewer=viewer)
    session = ModelsCalibration(**given, viewer=viewer)
    if session.opt is None:
        session.new_opt_model(1, 1)
    return session


def _read_atlas(path):
    """Return wavelengths (Angstrom) and flux of a spectrum, by specutils or of two columns."""
    import numpy as np
    from astropy import units as u
    from specutils import Spectrum

    from specwcs.inputs._text import local_path

    local_path(path)
    try:
        spectrum = Spectrum.read(path)
        wavelength = spectrum.spectral_axis.to_value(u.AA, u.spectral())
        flux = np.asarray(spectrum.flux.value, float)
    except Exception:  # whatever the readers raise on what they do not know
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it is empty is said below
                wavelength, flux = np.loadtxt(path, usecols=(0, 1), unpack=True)
        except (ValueError, UnicodeDecodeError) as error:
            raise InputError(
                f"this is no spectrum ({error})", "Must be a spectrum that specutils reads, or two "
                "columns: wavelength in Angstrom and flux", file=path,
            ) from error  # fmt: skip
    good = np.isfinite(wavelength) & np.isfinite(flux)
    if flux.ndim != 1 or good.sum() < 2:
        raise InputError("this is no spectrum", "Must have one dimension", file=path)
    order = np.argsort(wavelength[good])
    return wavelength[good][order], flux[good][order]


def _furnish(desk, names, catalog, atlas):
    """Give a page the lines and the reference spectrum that the command names."""
    if catalog is not None:
        desk.offer_lamp(", ".join(map(str, names)), catalog)
    desk.atlas = atlas


def _plot(session, kind, catalog):
    """Draw what a frame tells most of."""
    if session.ids is not None and catalog is not None and kind != "flat":
        session.plot_ids_model(catalog, *session.ids.domain)
    elif session.crv is not None:
        session.plot_crv_model(_POINTS, pos=(0, 1))
    else:
        session.plot_opt_model()


def _prompt(session, model, shown, frames, catalog):
    """Give a Python prompt with the session in it."""
    others = [f"calib.load_image({kind})" for kind in frames]
    banner = _BANNER.format(
        name=session.instrument.name,
        shown=shown,
        model=model,
        frames=f", such as {', '.join(others)}" if others else "",
    )
    names = {**frames, "calib": session, "cal": session.calibration}
    names |= {"catalog": catalog} if catalog is not None else {}
    ask = _ipython if find_spec("IPython") else _python
    with suppress(SystemExit):
        ask(banner, names)


def _ipython(banner, names):
    from IPython import start_ipython

    print(banner)
    start_ipython(argv=["--no-banner"], user_ns=names)


def _python(banner, names):
    import code

    with suppress(ModuleNotFoundError):  # where Python was built without it
        import readline  # noqa: F401 - gives the prompt its history and arrow keys
    code.interact(banner, local=names, exitmsg="")


def _wait(viewer):
    while viewer.alive:
        time.sleep(_POLL)


def _outcome(session, args, model, n):
    """Say what was shown, and where the steps of the session are."""
    journal = session.journal
    kept = journal if journal is not None and journal.exists() else None
    facts = {
        "instrument": session.instrument.name,
        "frames": [{"kind": kind, "files": paths} for kind, paths in args.frames],
        "model": model,
        "markers": n,
        "journal": kept,
    }
    lines = [f"showed {n} markers of {model.upper()} of {facts['instrument']}"]
    where = " --web" if args.web else ""
    lines += [f"  go on with   specwcs view {kept}{where}"] if kept else []
    return Outcome(Status.GOOD, facts, lines)
