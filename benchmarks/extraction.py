"""Extraction against the truth and against specreduce, and its speed by named yardsticks.

``python benchmarks/extraction.py [--seeds N] [--large]``. Frames are simulated (seven slits on
1200 × 400 px, a star of S/N 8 a bin, night-sky lines of 20 000 electrons); specreduce gets the
slits rectified by specwcs, with their variance, for it has no curved traces. ``--large`` times
everything from the frames to the spectra of 28 slits on 8288 × 3088 px, pictures off. See
README.rst.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from astropy.nddata import CCDData, NDData, StdDevUncertainty, VarianceUncertainty
from scipy.ndimage import map_coordinates

import specwcs
from specwcs.extraction import Rectifier, rectify, reduce_frame
from specwcs.extraction.objects import near_objects
from specwcs.extraction.optimal import ObjectPixels
from specwcs.extraction.pixels import PhotonNoise, SlitPixels
from specwcs.extraction.sky import fit_sky
from specwcs.simulate import example, lamp, wrong
from specwcs.threads import each

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "extraction"))
from sky_cases import STAR, expected, night, pixels_of

BLOCK = 8  # bins whose noise is compared: single ones share pixels
BRIGHT = 90  # percentile of the sky in a bin, above which lines are bright


def ideal_noise(case, spectrum):
    """Relative error of the star in blocks of bins, with its profile and the sky known."""
    inside, _, _ = pixels_of(case, spectrum.meta["slit"])
    n = len(spectrum.flux) // BLOCK
    edges = np.append(spectrum.spectral_axis.value[: n * BLOCK : BLOCK], np.inf)
    bins = np.digitize(case.wavelength[inside], edges) - 1
    share = (case.star**2 / case.variance)[inside]
    return 1 / np.sqrt(np.bincount(bins[bins >= 0], share[bins >= 0], n)[:n])


def by_specreduce(image):
    """Extract a rectified image with specreduce: spectra by Horne's method and by boxcar."""
    from specreduce.background import Background
    from specreduce.extract import BoxcarExtract, HorneExtract
    from specreduce.tracing import FlatTrace

    flux = np.nan_to_num(image.flux.value)
    variance = np.where(image.mask, 1.0, image.uncertainty.array)
    variance = np.where(variance > 0, variance, 1.0)
    plain = NDData(flux, unit="adu", mask=image.mask, uncertainty=VarianceUncertainty(variance))
    row = int(np.argmin(np.abs(image.meta["t"] - STAR["position"])))
    trace = FlatTrace(plain, row)
    background = Background.two_sided(plain, trace, separation=14, width=9)
    left = background.sub_image()
    left = NDData(left.flux.value, unit="adu", mask=image.mask,
                  uncertainty=VarianceUncertainty(variance))  # fmt: skip
    return {
        "specreduce optimal": HorneExtract(left, trace).spectrum.flux.value,
        "specreduce boxcar": BoxcarExtract(left, trace, width=15).spectrum.flux.value,
    }


def compare(seeds):
    """Print noise, bias, and what bright sky lines leave, of each way to extract."""
    case = night("LR")
    found = {}
    for seed in range(seeds):
        frame = case.observation.science(seed, **STAR)
        images = rectify(case.cal, frame, slits=case.slits)
        ways = {}
        for method in ("optimal", "boxcar"):
            spectra = reduce_frame(case.cal, frame, slits=case.slits, method=method).spectra
            ways[f"specwcs {method}"] = {
                s.meta["slit"]: s for s in spectra if s.meta["object"] == 1
            }
        for slit_id, spectrum in ways["specwcs optimal"].items():
            counts, good = expected(case, spectrum)
            ideal = ideal_noise(case, spectrum)
            sky = spectrum.meta["sky_flux"]
            bright = good & (sky > np.nanpercentile(sky, BRIGHT))
            floor = np.sqrt(np.repeat(ideal, BLOCK) ** 2 * BLOCK)
            fluxes = {name: spectra[slit_id].flux.value for name, spectra in ways.items()}
            for name, flux in (fluxes | by_specreduce(images[slit_id])).items():
                n = len(ideal)
                relative = np.where(good, (flux - counts) / counts, np.nan)
                blocks = relative[: n * BLOCK].reshape(n, BLOCK).mean(axis=1) / ideal
                lines = (relative[: n * BLOCK] / floor)[bright[: n * BLOCK]]
                found.setdefault(name, []).append((blocks, relative[good], lines))
    print(f"{seeds} frames, {len(case.slits)} slits; star of S/N 8 a bin")
    print(f"{'':20} {'noise / ideal':>14} {'flux / truth':>13} {'on bright lines':>16}")
    for name, parts in found.items():
        blocks, relative, lines = (np.concatenate(part) for part in zip(*parts, strict=True))
        blocks = blocks[np.isfinite(blocks)]
        noise = 1.4826 * np.median(np.abs(blocks - np.median(blocks)))
        print(f"{name:20} {noise:14.2f} {1 + np.nanmean(relative):13.4f} {np.nanstd(lines):16.2f}")


def curved(wavelength, t):
    """Return (x, y) in a slit 1024 px long, tilted, curved and bent, on 2100 px."""
    p = (wavelength - 5000) / 2
    p = p + 2e-6 * p**2
    q = 1060 - 1024 * t + 0.01 * p - 5e-6 * (p - 1000) ** 2
    return p + 20 + 30 * (t - 0.5) + 12 * (t - 0.5) ** 2, q


def speed(repeat):
    """Print rectification, sky and extraction as ratios to a cubic interpolation of the data."""
    rng = np.random.default_rng(0)
    shape, edges = (1100, 2100), np.linspace(5010, 5010 + 1.93 * 2040, 2049)
    frame = CCDData(
        rng.normal(100, 5, shape), unit="adu", mask=rng.uniform(size=shape) < 1e-4,
        uncertainty=StdDevUncertainty(np.full(shape, 5.0)),
    )  # fmt: skip
    row, column = np.indices((1024, 2048), dtype=float)
    marks = []
    for _ in range(repeat):
        start = time.perf_counter()
        map_coordinates(frame.data, [row + 30.3, column + 5.2], order=3)
        marks.append([time.perf_counter() - start])
        for keep in (False, True):
            start = time.perf_counter()
            rectifier = Rectifier(curved, "LR", shape, edges, keep=keep)
            if keep:
                start = time.perf_counter()
            rectifier.apply(frame)
            marks[-1].append(time.perf_counter() - start)
    unit, first, further = np.median(marks, axis=0)
    print("\ndata, variance and mask of a slit of 2048 × 1024 px; yardstick: "
          f"map_coordinates(order=3) of the data alone, {unit:.3f} s")  # fmt: skip
    print(f"  first exposure, operator included {first / unit:6.2f}")
    print(f"  a further exposure                {further / unit:6.2f}")
    observation = example()
    cal = specwcs.calibrate(
        wrong(observation.instrument), observation.mask, flat=observation.flat(1),
        arc=observation.arc(lamp(), 2), catalog=lamp(),
    )  # fmt: skip
    science = observation.science(3)
    noise = PhotonNoise.of(science)
    reduced = reduce_frame(cal, science)
    rows, columns = np.indices(science.shape, dtype=float)
    slits = []
    for slit_id, slit in reduced.slits.items():
        pixels = SlitPixels(cal.geometry(slit_id), cal.instrument, science, noise)
        places = pixels.strip.middle(np.linspace(5200, 8800, 1500))
        slits.append((pixels, slit.objects[0], near_objects(pixels, slit.objects), places))

    def sky_of(slit):
        pixels, _, taken, _ = slit
        return fit_sky(pixels, taken)

    def spectrum_of(slit):
        (pixels, item, taken, places), sky = slit
        return ObjectPixels(pixels, item, sky, np.zeros_like(taken)).optimal(places)

    marks = []
    for _ in range(repeat):
        marks.append([time.perf_counter()])
        map_coordinates(science.data, [rows + 0.3, columns + 0.3], order=3)
        marks[-1].append(time.perf_counter())
        for every in (map, each):  # one thread; as many as `reduce_frame` has
            skies = list(every(sky_of, slits))
            marks[-1].append(time.perf_counter())
            list(every(spectrum_of, list(zip(slits, skies, strict=True))))
            marks[-1].append(time.perf_counter())
    unit, *seconds = np.median(np.diff(marks, axis=1), axis=0)
    skies, spectra = np.reshape(seconds, (2, 2)).T
    print(f"\n{len(slits)} slits on 2048 × 1024 px{'one thread':>26}  all cores")
    for name, (one, all_cores) in (
        ("sky of all, to the yardstick on the frame", skies / unit),
        ("optimal extraction, ms a slit", 1e3 * spectra / len(slits)),
    ):
        print(f"  {name:42} {one:8.2f} {all_cores:10.2f}")


def large():
    """Print the seconds of everything between frames and spectra of a full-size mask."""
    observation = example(shape=(3088, 8288), n_slits=28)
    cal = specwcs.calibrate(
        wrong(observation.instrument), observation.mask, flat=observation.flat(1),
        arc=observation.arc(lamp(), 2), catalog=lamp(),
    )  # fmt: skip
    flat, science = observation.flat(1), observation.science(3)
    start = time.perf_counter()
    field = specwcs.flat_field(cal, flat)
    del flat
    marks = [time.perf_counter()]
    reduction = reduce_frame(cal, science, flat=field)
    marks.append(time.perf_counter())
    images = rectify(cal, reduction.subtracted)
    marks.append(time.perf_counter())
    print(f"\n{len(reduction.spectra)} spectra, {len(images)} images of a mask on 8288 × 3088 px")
    for name, seconds in zip(
        ("flat field", "sky and spectra", "rectified images"), np.diff([start, *marks]), strict=True
    ):
        print(f"  {name:18} {seconds:6.1f} s")
    print(f"  all                {marks[-1] - start:6.1f} s")


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6, help="frames to compare on")
    parser.add_argument("--repeat", type=int, default=7, help="runs; medians are printed")
    parser.add_argument("--large", action="store_true", help="time a full-size mask as well")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    compare(arguments.seeds)
    speed(arguments.repeat)
    if arguments.large:
        large()


if __name__ == "__main__":
    main()
