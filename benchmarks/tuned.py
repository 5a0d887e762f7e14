"""A campaign of nights: calibrations of `campaign`, tuned after the spectrograph has moved.

``python benchmarks/tuned.py --cases 40 --jobs 2`` calibrates each case, moves its optics by up
to 8 px along and 4 px across the dispersion, turns and stretches them a little, and tunes the
calibration by flat and arc, by the arc alone, by the flat alone and by the night sky. One line
a case and way: the shift that was found against the true one, errors left, what was refused.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from campaign import Case, Outcome, judge

import specwcs
from specwcs.calibration import moved
from specwcs.errors import FitError, InputError
from specwcs.inputs import LineCatalog

WAYS = ("flat+arc", "arc", "flat", "sky", "wrong")
SKY_LINES = 5
"""Lines of the sky that a spectrum must hold for the night to be told by them."""


@dataclass
class Tuned:
    """What became of one way of tuning."""

    seed: int
    way: str
    failure: str = ""
    truth: tuple = (np.nan, np.nan)
    found: tuple = (np.nan, np.nan)
    good: int = 0
    before: float = np.nan
    after: float = np.nan
    edges: float = np.nan
    silent: tuple = ()
    coverage: float = np.nan

    def line(self):
        """Say it in a line."""
        head = f"{self.seed:4d} {self.way:8s} "
        if self.failure:
            return f"{head} REFUSED {self.failure}"
        off = np.subtract(self.found, self.truth)
        return (
            f"{head} moved {self.truth[0]:+.2f} {self.truth[1]:+.2f} "
            f"off {off[0]:+.3f} {off[1]:+.3f} rms {self.before:.3f} -> {self.after:.3f} "
            f"edges {self.edges:.3f} c {self.coverage:.2f} "
            + " ".join(f"SILENT {key} {what} {value:.2f}" for key, what, value in self.silent)
        )


def night_of(case):
    """Move the spectrograph a little; and take another grating."""
    rng = np.random.default_rng([case.seed, 7])
    obs = case.observation
    optics, direction = obs.spectrograph, obs.instrument.direction
    shift = direction.join(rng.uniform(-8, 8), rng.uniform(-4, 4))
    night = replace(
        optics,
        axis=tuple(np.add(optics.axis, shift)),
        rotation=optics.rotation + rng.uniform(-0.05, 0.05),
        camera=optics.camera * (1 + rng.uniform(-5e-4, 5e-4)),
    )
    for along in (200.0, -200.0, 100.0, -100.0):
        other = replace(optics, axis=tuple(np.add(optics.axis, direction.join(along, 0.0))))
        other = replace(obs, spectrograph=other)
        try:
            other.check_order()
        except InputError:
            continue
        break
    return replace(obs, spectrograph=night), other


def run(seed):
    """Calibrate a case and tune it in every way."""
    case = Case.random(seed)
    obs = case.observation
    flat, arc = case.frames()
    try:
        cal = specwcs.calibrate(case.believed, obs.mask, flat=flat, arc=arc, catalog=case.catalog)
    except FitError:
        return []
    before = judge(obs, cal, Outcome(seed, case.traits, 0.0))
    if before.silent or not cal.good():
        return []
    night, other = night_of(case)
    frames = {
        "flat": night.flat([seed, 2], level=case.flat_level, cosmic_rays=case.cosmic_rays),
        "arc": night.arc(case.catalog, [seed, 3], level=case.arc_level, missing=case.missing,
                         unknown=case.unknown, cosmic_rays=case.cosmic_rays),
    }  # fmt: skip
    if _sky_lines(obs) >= SKY_LINES:
        frames["sky"] = night.science([seed, 4], cosmic_rays=case.cosmic_rays)
    rows = []
    for way in WAYS:
        if way == "wrong":
            given = {"arc": other.arc(case.catalog, [seed, 5], level=case.arc_level)}
        else:
            given = {kind: frames[kind] for kind in way.split("+") if kind in frames}
        if not given:
            continue
        row = partial(Tuned, seed, way)
        try:
            tuned = specwcs.tune(cal, **given)
        except (FitError, InputError) as error:
            rows.append(row(str(error)))
            continue
        truth = other if way == "wrong" else night
        rows.append(row(**_judged(obs, truth, cal, tuned, before, way)))
    return rows


def _sky_lines(obs):
    """Count the lines of the sky that fall between the ends of the spectra."""
    sky = LineCatalog.read("sky").wavelength
    return int(np.sum((sky > obs.passband[0]) & (sky < obs.passband[1])))


def _judged(obs, night, cal, tuned, before, way):
    table = moved(cal, tuned)
    stays = any("CRV stays" in note for note in tuned.provenance["fits"])
    use = np.array([key in tuned.good() for key in table["slit"]])
    found = [np.nanmedian(table[name].value[use]) for name in ("along", "across")]
    after = judge(night, tuned, Outcome(0, {}, 0.0))
    if way == "flat":  # says nothing of wavelengths
        after.silent = [row for row in after.silent if row[1] == "across"]
    if stays:  # nor does a frame that does not show them say anything of edges, and it is said
        after.silent = [row for row in after.silent if row[1] == "along"]
    return {
        "truth": _true_shift(obs, night, tuned),
        "found": tuple(found),
        "good": len(tuned.good()),
        "before": before.wavelength_rms,
        "after": after.wavelength_rms,
        "edges": after.edge_rms,
        "silent": tuple(after.silent),
        "coverage": after.coverage,
    }


def _true_shift(before, after, cal):
    rows = []
    wavelength = np.linspace(*cal.ids.domain, 41)
    for key in cal.good():
        places = [night.pixel(key, np.full(41, 0.5), wavelength) for night in (before, after)]
        x, y = np.array(places).swapaxes(0, 1)
        ny, nx = before.instrument.shape
        on = ((x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)).all(axis=0)
        if on.any():
            split = before.instrument.direction.split(x[1] - x[0], y[1] - y[0])
            rows.append([np.mean(a[on]) for a in split])
    return tuple(np.median(rows, axis=0)) if rows else (np.nan, np.nan)


def summary(rows):
    """Print what the nights show, way by way."""
    for way in WAYS:
        mine = [r for r in rows if r.way == way]
        done = [r for r in mine if not r.failure]
        print(f"{way:8s} {len(mine)} nights, {len(mine) - len(done)} refused, "
              f"{sum(len(r.silent) > 0 for r in done)} silently wrong", end="")  # fmt: skip
        if done:
            off = np.abs([np.subtract(r.found, r.truth) for r in done])
            print(f"; shifts off by (median, 90 %) along {_quantiles(off[:, 0])}, across "
                  f"{_quantiles(off[:, 1])}; rms {_quantiles([r.after for r in done])}, edges "
                  f"{_quantiles([r.edges for r in done])}", end="")  # fmt: skip
        print()


def _quantiles(values):
    return f"{np.nanmedian(values):.3f} {np.nanpercentile(values, 90):.3f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    rows = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for some in pool.map(run, range(options.first, options.first + options.cases)):
            rows += some
            print(*(row.line() for row in some), sep="\n", flush=True)
    summary(rows)


if __name__ == "__main__":
    main()
