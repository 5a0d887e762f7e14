"""Region files of a session in which a hand placed every marker near its true place."""

import re
from contextlib import redirect_stdout
from io import StringIO

from hand import bright_lamp, place

from specwcs import ModelsCalibration

_OURS = re.compile(r" (tag|text)=\{[^}]*\}")


def write_session(obs, folder, *, edit=False, pos=0, nsplit=1, scatter=0.1, n_lines=16, seed=0):
    """Work through a session without a viewer; return its files, OPT, CRV, IDS."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.reg" for name in ("opt", "crv", "ids")}
    calib = ModelsCalibration(obs.instrument, obs.mask, viewer=None)
    opt = calib.new_opt_model(1, 1)
    if obs.spectrograph.flipx:
        opt.flipx()
    if obs.spectrograph.flipy:
        opt.flipy()
    calib.new_crv_model(2, *((0, 1) if len(obs.mask) == 1 else (1, 1)))
    calib.new_ids_model(4, *((0, 1) if len(obs.mask) == 1 else (1, 1)))
    plots = {
        "opt": lambda: calib.plot_opt_model(edit=edit),
        "crv": lambda: calib.plot_crv_model(9, pos=pos),
        "ids": lambda: calib.plot_ids_model(bright_lamp(n_lines), nsplit=nsplit),
    }
    with redirect_stdout(StringIO()):
        for name, plot in plots.items():
            plot()
            place(calib, obs, scatter=scatter, seed=seed)
            calib.write_regions(files[name], overwrite=True)
            getattr(calib, f"fit_{name}_model")()
    return list(files.values())


def strip_tags(paths):
    """Take what only our program writes off region files."""
    for path in paths:
        path.write_text(_OURS.sub("", path.read_text()))


def write_lamp(path, n_lines=16, medium="air"):
    """Write the catalogue of `write_session`."""
    lamp = bright_lamp(n_lines).to_medium(medium)
    rows = [f"{w:.4f} {label} 1" for w, label in zip(lamp.wavelength, lamp.label, strict=True)]
    path.write_text("\n".join([f"# medium: {medium}", *rows]) + "\n")
    return path
