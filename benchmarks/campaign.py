"""A campaign of random instruments, masks, lamps and nights, calibrated with no hand.

``python benchmarks/campaign.py --cases 200 --jobs 2`` prints one line a case and a summary;
``--first N`` starts at seed N, ``--json FILE`` keeps the figures. A case is fully made from its
seed. What is silently wrong (a slit called ok that is off by more than 0.3 px anywhere along
or across) is named. Wavelengths are also held against those of the same fit to the same lines,
at their true places but for the least error that light allows, the Cramér-Rao bound.
"""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import numpy as np

import specwcs
from specwcs.calibration import solve
from specwcs.errors import FitError, InputError
from specwcs.inputs import Instrument, LineCatalog
from specwcs.markers import Markers
from specwcs.simulate import Detector, Observation, Spectrograph, longslit, random_mask, wrong

LAMPS = (
    ("Ne",), ("Ar",), ("Ne", "Ar"), ("He", "Ar"), ("He", "Ne", "Ar"), ("Hg", "Ne"), ("Hg", "Ar"),
    ("Xe", "Ne"), ("Kr", "Ne"), ("Hg", "Cd", "He"), ("Hg", "Ne", "Ar", "Xe"),
)  # fmt: skip
SILENT = 0.3
"""px; a slit that is called ok and is off by more is silently wrong."""
USABLE = 5
"""Lines that a slit must show to be one that should be calibrated."""
BRIGHT = 20000.0
"""Electrons at the peak of the brightest line of a bright arc."""
REACH = 6
"""px on either side of a line, in which light tells where it is."""


@dataclass
class Case:
    """One simulated night: what is known to the observer, and the truth."""

    seed: int
    observation: Observation
    believed: Instrument
    catalog: LineCatalog
    flat_level: float
    arc_level: float
    missing: float
    unknown: int
    cosmic_rays: int
    traits: dict = field(default_factory=dict)

    @classmethod
    def random(cls, seed, large=False):
        """Draw a case, again where the optics cannot be."""
        rng = np.random.default_rng([20261126, seed])
        while True:
            try:
                case = cls._drawn(seed, large, rng)
                case.observation.check_order()
            except InputError:
                continue
            return case

    @classmethod
    def _drawn(cls, seed, large, rng):
        direction = ("LR", "RL", "BU", "UB")[seed % 4]
        kind = "longslit" if rng.uniform() < 0.2 else "mos"
        along, across = int(rng.integers(480, 1000)), int(rng.integers(180, 400))
        n_slits = int(rng.integers(4, 11))
        if large:
            along, across, n_slits = 8288, 3088, 28
        shape = (across, along) if direction in ("LR", "RL") else (along, across)
        lamps, centre, span, catalog = _light(rng)
        detector = Detector(
            dead_columns=int(rng.integers(0, 3)), hot_pixels=int(rng.integers(0, 40)), seed=seed
        )
        instrument = Instrument(
            name=f"case {seed}", pixel_scale=float(rng.uniform(0.2, 0.4)),
            xpixels=shape[1], ypixels=shape[0], direction=direction,
            linear_dispersion=span / along, reference_lambda=centre,
            gain=detector.gain, read_noise=detector.read_noise, saturation=detector.saturation,
        )  # fmt: skip
        mask = _mask(kind, n_slits, instrument, rng, seed)
        corner = np.hypot(along, across) / 2
        optics = Spectrograph.from_instrument(
            instrument,
            disperser=("grism", "grating")[int(rng.integers(2))],
            line_curvature=float(rng.uniform(0.5, 4.0)) * across / 400,
            offset=instrument.direction.join(
                rng.uniform(-60, 60), rng.uniform(-1, 1) * max(0.02 * corner, 6.0)
            ),
            rotation=float(rng.uniform(-2, 2)),
            distortion=float(rng.uniform(-0.02, 0.02)),
            flipx=bool(rng.integers(2)), flipy=bool(rng.integers(2)),
        )  # fmt: skip
        names = [key for key, slit in mask.items() if not slit.reference]
        some = rng.permutation(names) if kind == "mos" else []
        dark = tuple(some[: int(rng.integers(0, 2))])
        arcless = tuple(some[2 : 2 + int(rng.uniform() < 0.2)])
        observation = Observation(
            optics, mask, instrument, (centre - 0.55 * span, centre + 0.55 * span),
            psf=float(rng.uniform(1.6, 2.6)), detector=detector,
            slit_function=float(rng.uniform(0, 0.05)), scattered=float(rng.uniform(0, 0.05)),
            vignetting=float(rng.uniform(0, 0.5)),
            second_order=float(rng.choice([0.0, 0.0, 0.1])),
            dark=dark, arcless=arcless, seed=seed,
        )  # fmt: skip
        believed = wrong(
            instrument, scale=rng.uniform(-0.05, 0.05), dispersion=rng.uniform(-0.05, 0.05)
        )
        arc_level = float(np.exp(rng.uniform(np.log(300), np.log(3e5))))
        return cls(
            seed, observation, believed, catalog,
            flat_level=float(np.exp(rng.uniform(np.log(1000), np.log(30000)))),
            arc_level=arc_level, missing=float(rng.uniform(0, 0.15)),
            unknown=int(rng.integers(0, 11)), cosmic_rays=int(rng.integers(0, 60)),
            traits={"direction": direction, "kind": kind, "shape": shape, "slits": len(mask),
                    "lamps": "".join(lamps), "A/px": round(span / along, 2),
                    "level": round(arc_level)},
        )  # fmt: skip

    def frames(self):
        """Return the flat and the arc."""
        flat = self.observation.flat(
            [self.seed, 0], level=self.flat_level, cosmic_rays=self.cosmic_rays
        )
        return flat, self.arc([self.seed, 1], self.cosmic_rays)

    def arc(self, seed, cosmic_rays=0):
        """Return the arc; without noise if the seed is None."""
        return self.observation.arc(
            self.catalog, seed, level=self.arc_level, missing=self.missing,
            unknown=self.unknown, cosmic_rays=cosmic_rays,
        )  # fmt: skip


def _light(rng):
    """Choose lamps and a range of wavelengths where they shine."""
    while True:
        lamps = LAMPS[rng.integers(len(LAMPS))]
        centre, span = rng.uniform(4200, 9200), np.exp(rng.uniform(np.log(1000), np.log(4500)))
        if centre - 0.7 * span < 3300 or centre + 0.7 * span > 10700:
            continue
        catalog = LineCatalog.read(list(lamps)).to_medium("air")
        shown = np.abs(catalog.wavelength - centre) < 0.45 * span
        if shown.sum() >= 14:
            return lamps, float(centre), float(span), catalog


def _mask(kind, n_slits, instrument, rng, seed):
    width = float(rng.uniform(2.0, 3.5)) * instrument.pixel_scale
    if kind == "longslit":
        return longslit(instrument, width=width, fill=float(rng.uniform(0.6, 1.05)))
    least = rng.choice([4.0, 3.0, 0.0])
    while True:
        try:
            return random_mask(
                n_slits, instrument, seed, tilted=int(rng.integers(0, 3)),
                reference=int(rng.integers(0, 2)), width=width,
                spread=float(rng.uniform(0.02, 0.15)), gaps=(least, least + 8),
            )  # fmt: skip
        except InputError:
            n_slits -= 1


@dataclass
class Outcome:
    """What became of a case."""

    seed: int
    traits: dict
    seconds: float
    failure: str = ""
    slits: int = 0
    usable: int = 0
    good: int = 0
    silent: list = field(default_factory=list)
    flags: dict = field(default_factory=dict)
    wavelength_rms: float = np.nan
    wavelength_worst: float = np.nan
    ideal_rms: float = np.nan
    edge_rms: float = np.nan
    edge_bias: float = np.nan
    coverage: float = np.nan
    known: float = np.nan
    degrees: str = ""

    def line(self):
        """Say it in a line."""
        t = self.traits
        head = (
            f"{self.seed:4d} {t['direction']} {t['kind'][:4]} "
            f"{t['shape'][1]:4d}x{t['shape'][0]:<4d} {t['lamps']:8s} "
            f"{t['A/px']:5.2f} {t['level']:6d} "
            f"{self.good:2d}/{self.usable:2d}/{self.slits:2d} {self.seconds:5.1f}s"
        )
        if self.failure:
            return f"{head} FAILED {self.failure}"
        flags = " ".join(f"{key}:{flag}" for key, flag in self.flags.items())
        return (
            f"{head} {self.wavelength_rms:.3f} {self.wavelength_worst:.2f} "
            f"i {self.ideal_rms:.3f} e {self.edge_rms:.3f} "
            f"{self.edge_bias:+.3f} c {self.coverage:.2f} k {self.known:.2f} "
            f"{self.degrees} {flags} "
            + " ".join(f"SILENT {key} {what} {value:.2f}" for key, what, value in self.silent)
        )


def run(seed, large=False):
    """Calibrate a case and hold it against the truth."""
    case = Case.random(seed, large)
    flat, arc = case.frames()
    usable = usable_lines(case, arc.meta["lines"])
    start = time.perf_counter()
    outcome = partial(
        Outcome, seed, case.traits, slits=len(usable),
        usable=sum(n >= USABLE for n in usable.values()),
    )  # fmt: skip
    try:
        cal = specwcs.calibrate(
            case.believed, case.observation.mask, flat=flat, arc=arc, catalog=case.catalog
        )
    except FitError as error:
        return outcome(seconds=time.perf_counter() - start, failure=str(error))
    seconds = time.perf_counter() - start
    result = outcome(
        seconds=seconds,
        good=sum(key in usable and usable[key] >= USABLE for key in cal.good()),
        flags={key: s.flag for key, s in cal.slits.items() if not s.ok and key in usable},
        degrees=f"{cal.opt.degrees}{cal.crv.degrees}{cal.ids.degrees}".replace(" ", ""),
    )
    judge(case.observation, cal, result)
    best = judge(case.observation, ideal(case, cal), Outcome(seed, {}, 0.0))
    result.ideal_rms = best.wavelength_rms
    return result


def usable_lines(case, lines):
    """Count the lines of each lit slit that can be measured: bright, clear, unsaturated."""
    obs, counts = case.observation, {}
    wavelength, strength = lines
    order = np.argsort(wavelength)
    wavelength, strength = wavelength[order], strength[order]
    saturation = obs.detector.saturation * obs.detector.gain
    peak = 0.8 * case.arc_level * strength
    fwhm = 3.5 * obs.instrument.linear_dispersion
    known = np.array([np.any(np.abs(case.catalog.wavelength - w) < 0.01) for w in wavelength])
    near = np.abs(wavelength - wavelength[:, None]) < 1.5 * fwhm
    rival = near & ~np.eye(len(wavelength), dtype=bool) & (strength > 0.05 * strength[:, None])
    clear = ~rival.any(axis=1)
    ny, nx = obs.instrument.shape
    for key, slit in obs.mask.items():
        if slit.reference or key in obs.dark:
            continue
        x, y = obs.pixel(key, np.full(len(wavelength), 0.5), wavelength)
        on = (x > 5) & (x < nx - 6) & (y > 5) & (y < ny - 6)
        lit = (peak > 10 * np.sqrt(peak + 100)) & (peak < saturation) & (key not in obs.arcless)
        counts[key] = int(np.sum(on & lit & known & clear))
    return counts


def ideal(case, cal):
    """Calibrate with the same lines, measured as well as their light allows.

    The variance of the place of a line is no less than 1 / sum((dI/dp)^2 / var(I)) over the
    pixels at it: the Cramér-Rao bound for a line of known shape and brightness.
    """
    obs, direction = case.observation, cal.instrument.direction
    arc = case.arc(None)
    light = direction.canonical_image(np.asarray(arc.data, float))
    variance = direction.canonical_image(arc.uncertainty.array**2)
    told = np.gradient(light, axis=1) ** 2 / variance
    used = cal.residuals[cal.residuals["used"]]
    lines, edges = (used[used["kind"] == kind] for kind in ("line", "edge"))
    slit, t, wavelength = np.asarray(lines["slit"]), lines["t"], lines["wavelength"].value
    x, y, sigma = np.empty((3, len(lines)))
    for key in np.unique(slit):
        mine = slit == key
        x[mine], y[mine] = obs.pixel(key, t[mine], wavelength[mine])
        p, q = direction.canonical_pixel(x[mine], y[mine], cal.instrument.shape)
        # The places of a line share the light of the slit.
        apart = [np.diff(np.sort(q[wavelength[mine] == w])) for w in np.unique(wavelength[mine])]
        apart = np.concatenate(apart)
        number = max(round(np.median(apart)), 1) if len(apart) else 1
        for n, row, column in zip(np.flatnonzero(mine), q, p, strict=True):
            first = max(round(row - (number - 1) / 2), 0)
            rows = slice(first, first + number)
            columns = slice(max(round(column) - REACH, 0), round(column) + REACH + 1)
            sigma[n] = np.maximum(np.sum(told[rows, columns]), 1e-300) ** -0.5
    noise = np.random.default_rng(case.seed).normal(0.0, sigma)
    along, across = direction.split(x, y)
    x, y = direction.join(along + noise, across)
    markers = [Markers.of("line", slit, t, x, y, wavelength=wavelength, sigma=sigma)]
    markers.append(
        Markers.of(
            "edge", np.asarray(edges["slit"]), edges["t"], edges["x"].value, edges["y"].value,
            sigma=edges["sigma"].value,
        )
    )  # fmt: skip
    flips = cal.opt.x_flipped, cal.opt.y_flipped
    best = solve(case.believed, obs.mask, Markers.join(markers), medium=cal.medium, flips=flips)
    return replace(best, slits=cal.slits)  # to be judged where the calibration is


def judge(obs, cal, result):
    """Fill in the errors of a calibration against the ray trace."""
    rng = np.random.default_rng(1)
    errors, pulls, edges, middle = [], [], [], []
    for key in cal.good():
        if obs.mask[key].reference:
            continue
        t, wavelength = rng.uniform(0, 1, 400), rng.uniform(*obs.passband, 400)
        x, y = obs.pixel(key, t, wavelength)
        on = _on(obs, x, y)
        x, y, wavelength, t = x[on], y[on], wavelength[on], t[on]
        if not len(x):
            continue
        geometry = cal.geometry(key)
        found, _ = geometry.world(x, y)
        low, high = geometry.dispersion.wavelength_domain
        found = np.where((found >= low) & (found <= high), found, np.nan)
        slope = geometry.dispersion.slope(wavelength, t)
        miss = (found - wavelength) * slope
        errors.append(miss)
        sigma = cal.wavelength_uncertainty(key, x, y) * slope
        pulls.append(miss / sigma)
        worst = np.nanmax(np.abs(miss), initial=0)
        if worst > SILENT:
            result.silent.append((key, "along", float(worst)))
        away = _edge_errors(obs, cal, key)
        edges.append(away)
        worst = np.nanmax(np.abs(away), initial=0)
        if worst > SILENT:
            result.silent.append((key, "across", float(worst)))
        middle.append(np.nanmean(away))
    if errors:
        errors, pulls, edges = (np.concatenate(a) for a in (errors, pulls, edges))
        result.wavelength_rms = float(np.sqrt(np.nanmean(errors**2)))
        result.wavelength_worst = float(np.nanmax(np.abs(errors)))
        result.edge_rms = float(np.sqrt(np.nanmean(edges**2)))
        result.edge_bias = float(np.nanmean(middle))
        known = np.isfinite(pulls)
        result.known = float(np.mean(np.isfinite(errors)))
        result.coverage = float(np.mean(np.abs(pulls[known]) < 1)) if known.any() else np.nan
    return result


def _on(obs, x, y, margin=0.0):
    """Whether places are on the detector, so many px from its border."""
    ny, nx = obs.instrument.shape
    low, high = margin - 0.5, 0.5 + margin
    return (x > low) & (x < nx - high) & (y > low) & (y < ny - high)


def _edge_errors(obs, cal, key):
    """Errors of both edges across the dispersion, px; outward is positive."""
    direction, trace, parts = obs.instrument.direction, cal.geometry(key).trace, []
    low, high = cal.geometry(key).dispersion.wavelength_domain
    band = max(low, obs.passband[0]), min(high, obs.passband[1])
    ends = []
    for t in (0.0, 1.0):
        x, y = obs.pixel(key, np.full(60, t), np.linspace(*band, 60))
        on = _on(obs, x, y, 0.5)  # else its last row shows no more than half a pixel of dark
        along, across = direction.split(x, y)
        start = direction.split(*trace.pixel_from_trace(0.0, t))[0]
        d = direction.sign * (along - start)
        found = direction.split(*trace.pixel_from_trace(d, t))[1]
        parts.append(np.where(on, found - across, np.nan))
        ends.append(np.mean(across))
    outward = np.sign(ends[0] - ends[1])
    return np.concatenate([outward * parts[0], -outward * parts[1]])


def summary(outcomes):
    """Print what the campaign shows."""
    done = [o for o in outcomes if not o.failure]
    usable = sum(o.usable for o in outcomes)
    silent = sum(len({key for key, *_ in o.silent}) for o in outcomes)
    judged = [o for o in done if np.isfinite(o.wavelength_rms)]
    bright = [o for o in judged if o.traits["level"] > BRIGHT and o.good]
    slits = sum(o.slits for o in outcomes)
    print(f"\n{len(outcomes)} cases, {len(outcomes) - len(done)} refused")
    print(f"slits: {slits}, with {USABLE} usable lines or more {usable}, of these calibrated "
          f"{sum(o.good for o in outcomes) / max(usable, 1):.1%}")  # fmt: skip
    print(f"silently wrong slits: {silent} in {sum(bool(o.silent) for o in outcomes)} cases")
    for name, cases in (("all", judged), ("bright arcs", bright)):
        if not cases:
            continue
        rms = np.array([o.wavelength_rms for o in cases])
        print(f"wavelength rms, {name}: median {np.nanmedian(rms):.3f}, "
              f"90 % {np.nanpercentile(rms, 90):.3f}, "
              f"below 0.03 px {np.mean(rms < 0.03):.0%}")  # fmt: skip
        ratio = rms / np.array([o.ideal_rms for o in cases])
        print(f"    relative to ideal measurements of the lines: median {np.nanmedian(ratio):.2f}, "
              f"90 % {np.nanpercentile(ratio, 90):.2f}")  # fmt: skip
    if judged:
        edge = np.array([o.edge_rms for o in judged])
        bias = np.array([o.edge_bias for o in judged])
        print(f"edges rms: median {np.nanmedian(edge):.3f}, 90 % {np.nanpercentile(edge, 90):.3f}; "
              f"bias {np.nanmean(bias):+.4f}, worst {np.nanmax(np.abs(bias)):.3f}")  # fmt: skip
        weight = np.array([o.good for o in judged], float)
        cover = np.array([o.coverage for o in judged])
        known = np.isfinite(cover) & (weight > 0)
        reach = np.array([o.known for o in judged])
        print(f"wavelengths known over {np.nanmean(reach):.0%} of the spectra, "
              f"90 % of the cases over {np.nanpercentile(reach, 10):.0%}")  # fmt: skip
        print(f"within 1 sigma: {np.average(cover[known], weights=weight[known]):.0%}")
    print(f"seconds: median {np.median([o.seconds for o in outcomes]):.1f}, "
          f"worst {max(o.seconds for o in outcomes):.1f}")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, nargs="*", help="these seeds only")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--large", action="store_true", help="28 slits on 8288 x 3088 px")
    parser.add_argument("--json", help="file for the figures")
    options = parser.parse_args()
    seeds = options.seeds or range(options.first, options.first + options.cases)
    outcomes = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(partial(run, large=options.large), seeds):
            outcomes.append(outcome)
            print(outcome.line(), flush=True)
    summary(outcomes)
    if options.json:
        with open(options.json, "w") as file:  # noqa: PTH123
            json.dump([asdict(o) for o in outcomes], file, indent=1, default=str)


if __name__ == "__main__":
    main()
