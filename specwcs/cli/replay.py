"""A calibration session replayed from its region files, without a viewer."""

import io
import math
from contextlib import redirect_stdout

from specwcs.cli.console import naming
from specwcs.errors import FitError, InputError

__all__ = ["replay", "sorted_regions"]

_MODEL_OF = {"box": "opt", "polygon": "opt", "point": "crv", "vector": "ids"}
_SHAPES = {"opt": "boxes or polygons", "crv": "points", "ids": "vectors"}
_ENOUGH = 0.6  # of the shapes: where fewer are matched, they were drawn in another way
_LEAST = 0.5  # of the shapes, matched without a doubt
_SAME_WAVELENGTH = 0.05  # Angstrom; air and vacuum differ by more
_MOST_PIECES = 20  # of a slit, with a vector a line in each


def sorted_regions(paths):
    """Tell by the shapes in region files which model each is for.

    Parameters
    ----------
    paths : list of path-like
        In any order.

    Returns
    -------
    dict of str to list
        The paths for ``"opt"``, ``"crv"`` and ``"ids"``.

    Raises
    ------
    InputError
        If a file is not understood, is empty, or mixes shapes; if a model has no file.
    """
    files = {name: [] for name in _SHAPES}
    for path in paths:
        files[_model_of(path)].append(path)
    missing = [f"{_SHAPES[name]} ({name.upper()})" for name in files if not files[name]]
    if missing:
        raise InputError(
            f"--regions: no file has {', none has '.join(missing)}",
            "Must be boxes or polygons (OPT), points (CRV) and vectors (IDS)",
            "Give at least one file of each",
        )
    return files


def _model_of(path):
    shapes = _drawn(path)
    if not shapes:
        raise InputError("no shape to fit", "", f"Draw {_any_shapes()}, and save them", file=path)
    name = _MODEL_OF[shapes[0].kind]
    odd = next((shape for shape in shapes if _MODEL_OF[shape.kind] != name), None)
    if odd is not None:
        raise InputError(
            f"a {odd.kind} among {_SHAPES[name]}",
            f"Must be of one model: {_any_shapes()}",
            "Save each model to a file of its own",
            file=path,
            line=odd.line,
        )
    return name


def _any_shapes():
    return ", or ".join(_SHAPES.values())


def _drawn(path):
    """Return the shapes of a file that stand for markers."""
    from specwcs.regions import read_regions

    shapes = read_regions(path)
    return [s for s in shapes if not (s.fixed or s.excluded or s.kind == "text")]


def replay(instrument, mask, files, catalog, degrees):
    """Fit OPT, CRV and IDS, in this order, to the markers in region files.

    Parameters
    ----------
    instrument : Instrument
    mask : Mask
    files : dict of str to list
        From `sorted_regions`.
    catalog : LineCatalog or None
        Needed only where vectors do not tell their wavelength.
    degrees : dict of str to (tuple or "auto")

    Returns
    -------
    cal : Calibration
    fits : dict of str to FitSummary
        The session prints them.
    """
    from threadpoolctl import threadpool_limits

    from specwcs.session import ModelsCalibration

    session = ModelsCalibration(instrument, mask, viewer=None)
    try:
        # The matrices are small: more than one BLAS thread only waits for the other.
        with threadpool_limits(limits=1, user_api="blas"):
            fits = {
                name: _fit(session, name, paths, catalog, degrees[name])
                for name, paths in files.items()
            }
        return session.calibration, fits
    finally:
        # Files that are there need no journal, and the user's last session stays the last.
        if session.journal is not None:
            session.journal.unlink(missing_ok=True)


def _fit(session, name, paths, catalog, degrees):
    """Fit one model to its files."""
    markers = _markers(session, name, paths, catalog)
    if degrees == "auto":
        degrees = _degrees(session, name, markers)
    getattr(session, f"new_{name}_model")(*degrees)
    session.markers = markers
    return getattr(session, f"fit_{name}_model")()


def _label(name):
    what = "slit's id or the wavelength" if name == "ids" else "slit's id"
    return f"Label the {_SHAPES[name]} with the {what}, or save them from a session"


def _degrees(session, name, markers):
    """Return the degrees that markers support."""
    from specwcs.calibration import MODELS, ModelFitter

    if name == "opt":
        _find_flips(session, markers)
    auto = dict.fromkeys(MODELS, "auto")
    fitter = ModelFitter(session.instrument, session.mask, auto, by_hand=True)
    used, opt = markers.select(used=True), session.opt
    if name == "opt":
        try:
            fit = fitter.fit_opt(used, (opt.x_flipped, opt.y_flipped))
        except FitError:  # too few points to leave one out: all that can be said is scale and tilt
            return 1, 1
    elif name == "crv":
        fit = fitter.fit_crv(opt, used)
    else:
        fit = fitter.fit_ids(opt, session.crv, used)
    return fit.model.degrees


def _find_flips(session, markers):
    """Have the session tell whether the mask is mirrored: any fit of OPT does."""
    with redirect_stdout(io.StringIO()):
        session.new_opt_model(0, 0)
        session.markers = markers
        session.fit_opt_model()


# -- the markers of files -------------------------------------------------------------


def _markers(session, name, paths, catalog):
    """Read markers from files; shapes without tags of ours are matched by their places.

    Returns
    -------
    Markers
    """
    from specwcs.regions import markers_from_shapes

    if name == "opt":
        session.new_opt_model(1, 1)
    if name == "ids" and catalog is not None:
        session.plot_ids_model(catalog)
    shapes = [shape for path in paths for shape in _drawn(path)]
    with naming(*paths):
        untagged = markers_from_shapes(shapes).untagged
    if untagged and name == "ids" and catalog is None:
        raise InputError(
            f"{len(untagged)} vectors do not tell their wavelength",
            "",
            "Give the catalogue of the lamps by --catalog",
            file=", ".join(map(str, paths)),
            line=untagged[0].line,
        )
    if untagged:
        return _matched(session, name, paths, catalog, len(shapes))
    markers = _read(session, paths)
    if name == "ids" and catalog is not None:
        _check_wavelengths(markers, catalog, paths)
    return markers


def _matched(session, name, paths, catalog, n_shapes):
    """Return the markers that shapes stand for by their places."""
    # A mirrored mask can look much like one that is not: there, the best of all ways is taken.
    enough = math.inf if name == "opt" else _ENOUGH * n_shapes
    markers = _best_read(session, paths, _ways(session, name, catalog), enough)
    used = len(markers.select(used=True)) // (4 if "polygon" in markers["kind"] else 1)
    if used < _LEAST * n_shapes:
        raise InputError(
            f"only {used} of {n_shapes} {_SHAPES[name]} are matched by their places without a "
            "doubt",
            "",
            _label(name),
            file=", ".join(map(str, paths)),
        )
    return markers


def _check_wavelengths(markers, catalog, paths):
    """Refuse lines that are not those of the catalogue, which tells their medium."""
    import numpy as np

    wavelengths = np.unique(markers["wavelength"].value)
    distance = np.abs(wavelengths[:, None] - catalog.wavelength).min(axis=1)
    strange = wavelengths[distance > _SAME_WAVELENGTH]
    if len(strange) > len(wavelengths) / 2:
        raise InputError(
            f"{len(strange)} of {len(wavelengths)} wavelengths, such as {strange[0]:.3f}, are "
            f"none of the catalogue, which is in {catalog.medium}",
            "",
            "Give the catalogue that the vectors were drawn from, in the same medium",
            file=", ".join(map(str, paths)),
        )


def _ways(session, name, catalog):
    """Yield calls that have the session expect what the user may have drawn, likely ones first."""
    if name == "opt":
        # One after the other: as it is, mirrored in X, in both, in Y.
        yield from (lambda: None, session.opt.flipx, session.opt.flipy, session.opt.flipx)
    elif name == "crv":
        # In a long slit both edges are marked; of many slits, by custom, the left ones.
        left, both = (lambda: session.plot_crv_model(2)), lambda: session.plot_crv_model(2, (0, 1))
        yield from (both, left) if len(session.mask) == 1 else (left, both)
    else:
        for pieces in range(1, _MOST_PIECES + 1):
            yield lambda n=pieces: session.plot_ids_model(catalog, nsplit=n)


def _best_read(session, paths, ways, enough):
    """Return the markers of the way that explains most shapes, and print what it says."""
    best, most, fault = None, 0, None
    for prepare in ways:
        prepare()
        said = io.StringIO()
        try:
            with redirect_stdout(said):
                markers = _read(session, paths)
        except InputError as error:
            fault = fault or error
            continue
        explained = len(markers.select(used=True))
        if explained > most:
            best, most = (markers, said.getvalue(), prepare), explained
        if explained >= enough:
            break
    if best is None:
        raise fault
    markers, text, way = best
    print(text, end="")
    if way is not prepare and enough < math.inf:
        # The session goes by what it plotted last.
        with redirect_stdout(io.StringIO()):
            way()
            _read(session, paths)
    return markers


def _read(session, paths):
    with naming(*paths):
        session.read_regions(paths)
    return session.markers
