"""The layout of masks on simulated flats against the ray trace that made them."""

from dataclasses import replace

import numpy as np
import pytest

from specwcs.errors import FitError
from specwcs.inputs import Mask
from specwcs.measure import find, find_traces
from specwcs.measure.layout import central_profile, find_layouts
from specwcs.measure.reduce import canonical_data, reduce_frame
from specwcs.simulate import (
    Observation,
    example,
    lamp,
    longslit,
    random_mask,
    wrong,
)

SHAPE = (400, 640)


def small(direction="LR", *, n_slits=7, kind="mos", seed=3, **changes):
    """Simulate a small instrument: dispersion along 640 pixels, slits across 400."""
    shape = SHAPE if direction in ("LR", "RL") else SHAPE[::-1]
    changes = {"offset": (12.0, -9.0), "rotation": 0.8} | changes
    return example(direction, shape, n_slits, kind, seed, **changes)


def through(mask, obs):
    """Look through another mask."""
    return Observation(obs.spectrograph, mask, obs.instrument, obs.passband)


def true_rows(obs, slit, t, p):
    """Canonical rows of a slit's point at columns p, by the ray trace."""
    wavelength = np.linspace(3500.0, 10500.0, 400)
    x, y = obs.pixel(slit, t, wavelength)
    columns, rows = obs.spectrograph.direction.canonical_pixel(x, y, obs.spectrograph.shape)
    return np.interp(p, columns, rows)


def edge_errors(obs, traces):
    """Errors of the edges that were used, px."""
    table = traces.edges[traces.edges["used"]]
    return np.concatenate(
        [
            rows["q"] - true_rows(obs, rows["slit"][0], rows["t"][0], rows["p"])
            for rows in table.group_by(["slit", "t"]).groups
        ]
    )


def field_errors(obs, traces, slits=None, t=(0.0, 0.5, 1.0)):
    """Errors of the smooth field in the middle of the frame, px."""
    p = np.linspace(0.2, 0.8, 5) * traces.shape[1]
    return np.array(
        [
            traces.q(slit, where, p) - true_rows(obs, slit, where, p)
            for slit in slits or obs.mask
            for where in t
        ]
    )


@pytest.mark.parametrize(
    ("direction", "flipx", "flipy"),
    [("LR", False, True), ("RL", True, False), ("BU", True, True), ("UB", False, False)],
)
def test_layout_and_edges_in_all_directions(direction, flipx, flipy):
    obs = small(direction, flipx=flipx, flipy=flipy)
    nominal = wrong(obs.instrument, scale=-0.04)
    (traces,) = find_traces(obs.flat(1), obs.mask, nominal)
    assert traces.flip_v == (flipy if obs.spectrograph.direction.along_x else flipx)
    errors = edge_errors(obs, traces)
    assert len(errors) > 0.75 * 32 * 14
    assert np.sqrt(np.mean(errors**2)) < 0.03
    assert abs(np.mean(errors)) < 0.005
    assert np.abs(field_errors(obs, traces)).max() < 0.06
    assert {status.flag for status in traces.status.values()} == {"ok"}
    assert traces.n_edges == 14


def test_errors_are_those_of_the_noise():
    obs = small(n_slits=5)
    (traces,) = find_traces(obs.flat(2, level=800.0), obs.mask, obs.instrument)
    table = traces.edges[traces.edges["used"]]
    order = np.concatenate([rows["sigma"] for rows in table.group_by(["slit", "t"]).groups])
    pull = edge_errors(obs, traces) / order
    assert 0.7 < np.median(np.abs(pull)) / 0.6745 < 1.5


def test_rows_invert():
    obs = small()
    (traces,) = find_traces(obs.flat(1), obs.mask, obs.instrument)
    t, p = np.meshgrid(np.linspace(-0.2, 1.2, 7), np.linspace(0, 639, 5))
    for slit in traces.mask:
        q = traces.q(slit, t, p)
        assert np.all(np.diff(q, axis=1) < 0)
        np.testing.assert_allclose(traces.t(slit, p, q), t, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_far_off_and_turned(seed):
    rng = np.random.default_rng(seed)
    obs = small(
        n_slits=9,
        seed=seed,
        rotation=rng.choice([-2.0, 2.0]),
        offset=(rng.choice([-60.0, 60.0]), rng.choice([-50.0, 50.0])),
        distortion=rng.choice([-0.01, 0.01]),
        flipy=bool(rng.integers(2)),
        scattered=0.1,
    )
    flat = obs.flat(seed, level=2000.0, cosmic_rays=100)
    (traces,) = find_traces(flat, obs.mask, wrong(obs.instrument, scale=0.05))
    assert traces.flip_v == obs.spectrograph.flipy
    assert np.sqrt(np.mean(edge_errors(obs, traces) ** 2)) < 0.05


@pytest.mark.parametrize("seed", [1, 5, 7])
def test_gaps_that_are_not_as_the_mask_has_them_mislead_nobody(seed):
    """A mask that is turned by 2 degrees: its narrow gaps are others, by up to 3 px."""
    rng = np.random.default_rng(seed)
    obs = small(rotation=0.0, psf=float(rng.choice([1.8, 3.0, 4.0])), seed=seed)
    mask = random_mask(7, obs.instrument, seed, tilted=2, reference=0, spread=0.15, gaps=(2.5, 5.0))
    angle = np.radians(rng.choice([-2.0, 2.0]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def turned(slit):
        x, y = turn @ [slit.x, slit.y]
        rot, control = slit.rot + np.degrees(angle), slit.control @ turn.T
        return replace(slit, x=float(x), y=float(y), rot=rot, control=control)

    obs = replace(obs, mask=Mask([turned(slit) for slit in mask.values()]))
    traces, *_ = find_traces(obs.flat(seed), mask, wrong(obs.instrument))
    table = traces.edges[traces.edges["used"]]
    for rows in table.group_by(["slit", "t"]).groups:
        true = true_rows(obs, rows["slit"][0], rows["t"][0], rows["p"])
        assert abs(np.median(rows["q"] - true)) < 0.15, rows["slit"][0]


@pytest.mark.parametrize("n_slits", [1, 2, 3])
def test_few_slits(n_slits):
    template = small()
    mask = random_mask(n_slits, template.instrument, n_slits, tilted=0, reference=0)
    obs = through(mask, template)
    (traces,) = find_traces(obs.flat(1), mask, wrong(obs.instrument))
    assert not traces.flip_v
    assert np.abs(field_errors(obs, traces, t=(0.0, 1.0))).max() < 0.03


def test_dark_slit_and_slit_half_off_are_flagged_alone():
    obs = small(n_slits=8, half_off=True, dark=("05",), offset=(12.0, 0.0))
    (traces,) = find_traces(obs.flat(1), obs.mask, obs.instrument)
    flags = {slit: status.flag for slit, status in traces.status.items() if status.flag != "ok"}
    assert flags == {"01": "partly off detector", "05": "no light"}
    assert "t=0" in traces.status["01"].reason
    assert np.isnan(traces.coverage["05"]).all()
    assert np.abs(field_errors(obs, traces)).max() < 0.06  # of the dark slit too


def test_coverage_is_where_the_light_is():
    obs = small()
    passband = (5600.0, 8200.0)
    short = Observation(obs.spectrograph, obs.mask, obs.instrument, passband)
    (traces,) = find_traces(short.flat(1), obs.mask, obs.instrument)
    for slit in obs.mask:
        x, _ = obs.pixel(slit, 0.5, np.array(passband))
        assert np.abs(np.array(traces.coverage[slit]) - x).max() < 3 * 640 / 32


def packed(gaps, rows=400):
    """Slits of 40 px one below the other, `gaps` px apart, centred on the frame."""
    scale = 1.7 / 0.3
    top = rows / 2 + (40 * (len(gaps) + 1) + sum(gaps)) / 2
    tops = top - np.cumsum([0, *(40 + np.array(gaps))])
    middles = (tops - 20 - rows / 2) / scale
    template = random_mask(1, small().instrument, 1, tilted=0, reference=0)["01"]
    length = 40 / scale
    return Mask(
        replace(
            template, id=f"{n}", x=2.0 * n, y=v, dimy=length, length=length * 1.7,
            control=np.array([[2.0 * n, v + length / 2], [2.0 * n, v - length / 2]]),
        )
        for n, v in enumerate(middles)
    )  # fmt: skip


def test_slits_that_abut_are_carried_by_the_others():
    mask = packed([0, 0, 3, 4, 6])
    obs = through(mask, small())
    (traces,) = find_traces(obs.flat(1), mask, obs.instrument)
    assert traces.status["1"].flag == "edges not measured"
    assert traces.status["1"].reason == "abuts slit 0 and 2"
    assert all(traces.status[slit].flag == "ok" for slit in "02345")
    assert np.abs(field_errors(obs, traces)).max() < 0.06
    errors = edge_errors(obs, traces)  # gaps of 3 and 4 px among them
    assert np.sqrt(np.mean(errors**2)) < 0.02


def test_gaps_between_slits_do_not_stay_where_the_first_guess_has_them():
    rng = np.random.default_rng(2)
    mask = packed(rng.uniform(0.3, 1.3, 7))
    x = np.random.default_rng(2).uniform(-15, 15, len(mask))  # their rows are turned apart
    mask = Mask(
        replace(slit, x=at, control=np.array([[at, v] for _, v in slit.control]))
        for slit, at in zip(mask.values(), x, strict=True)
    )
    obs = through(mask, small())
    traces = find_traces(obs.flat(1), mask, obs.instrument)[0]
    errors = edge_errors(obs, traces)
    assert len(errors) > 32 * 14
    assert np.abs(errors).max() < 0.12
    assert np.abs(field_errors(obs, traces, t=(0.0, 1.0))).max() < 0.06


def test_both_mirror_images_of_a_symmetric_mask():
    mask = packed([8, 5, 5, 8])
    mask = Mask(replace(slit, x=0.0, control=slit.control * [0, 1]) for slit in mask.values())
    obs = through(mask, small())
    both = find_traces(obs.flat(1), mask, obs.instrument)
    assert {traces.flip_v for traces in both} == {False, True}
    p = np.linspace(0, 639, 5)
    np.testing.assert_allclose(both[0].q("0", 0.0, p), both[1].q("4", 0.0, p), atol=0.05)


def test_regular_mask_is_not_moved_by_one_slit():
    mask = packed([5] * 6, rows=400)
    obs = through(mask, small(offset=(0.0, 20.0)))
    for traces in find_traces(obs.flat(1), mask, obs.instrument):
        slits = list(mask) if not traces.flip_v else list(mask)[::-1]
        miss = [traces.q(a, 0.5, 320.0) - true_rows(obs, b, 0.5, 320.0)
                for a, b in zip(slits, mask, strict=True)]  # fmt: skip
        assert np.abs(miss).max() < 0.1


def test_lengths_unknown():
    obs = small()
    mask = Mask(replace(slit, width=0.0, length=0.0) for slit in obs.mask.values())
    (traces,) = find_traces(obs.flat(1), mask, obs.instrument)
    assert np.abs(field_errors(obs, traces)).max() < 0.06


@pytest.mark.parametrize(("direction", "lost"), [("LR", "t=0"), ("UB", "t=1")])
def test_longslit_with_one_end_off_the_frame(direction, lost):
    obs = small(direction, kind="longslit", offset=(0.0, 0.0))
    shift = 30.0 if lost == "t=0" else -30.0
    left = obs.spectrograph.direction.left_sign  # t = 0 at larger y (x) or smaller
    obs = small(direction, kind="longslit", offset=(0.0, shift * left))
    (traces,) = find_traces(obs.flat(1), obs.mask, obs.instrument)
    assert traces.status["1"].flag == "ok"
    assert traces.n_edges == 1
    end = traces.edges[traces.edges["t"] == float(lost[-1])]
    assert np.mean(end["reason"] == "beyond the frame") > 0.9  # where there is light
    seen = 1.0 if lost == "t=0" else 0.0
    assert np.abs(field_errors(obs, traces, t=(seen,))).max() < 0.05
    assert np.abs(field_errors(obs, traces)).max() < 0.02 * 400  # by the nominal scale


def test_longslit_beyond_the_frame_is_laid_out_nominally():
    obs = small(kind="longslit")
    mask = longslit(obs.instrument, fill=1.3)
    (traces,) = find_traces(through(mask, obs).flat(1), mask, obs.instrument)
    assert traces.status["1"].flag == "edges not measured"
    assert not traces.edges["used"].any()
    assert np.mean(traces.edges["reason"] == "beyond the frame") > 0.9  # where there is light
    assert traces.q("1", 0.0, 300.0) - traces.q("1", 1.0, 300.0) == pytest.approx(520, rel=1e-3)


@pytest.mark.parametrize(("fill", "level", "scale"), [(0.93, 0.05, 0.94), (0.97, 0.02, 1.0)])
def test_a_longslit_on_a_pedestal_does_not_overfill_the_frame(fill, level, scale):
    """An arc that stands for a flat, or a frame without its bias: little light on much else."""
    obs = small(kind="longslit")
    mask = longslit(obs.instrument, fill=fill)
    obs = through(mask, obs)
    flat = obs.flat(1)
    flat.data[:] = flat.data * level + 1000.0
    instrument = replace(obs.instrument, pixel_scale=obs.instrument.pixel_scale * scale)
    (traces,) = find_traces(flat, mask, instrument)
    seen, other = (traces.edges[traces.edges["t"] == t] for t in (0.0, 1.0))
    assert np.mean(seen["used"]) > 0.7  # where there is light
    assert np.abs(edge_errors(obs, traces)).max() < 0.3
    out = other[other["reason"] == "beyond the frame"]
    assert np.all(true_rows(obs, "1", 1.0, out["p"]) < -0.5)
    assert not np.any(seen["reason"] == "beyond the frame")


def test_longslit_whose_ends_are_beyond_a_frame_with_a_dead_line():
    """The dead line has two edges; that of the slit is not one of them."""
    obs = small(kind="longslit")
    mask = longslit(obs.instrument, fill=1.08)
    flat = through(mask, obs).flat(1)
    flat.data[394:397] = 0.0
    (traces,) = find_traces(flat, mask, obs.instrument)
    p = np.linspace(0, 639, 9)
    assert np.all(traces.q("1", 0.0, p) > 399.5)
    assert np.all(traces.q("1", 1.0, p) < -0.5)


@pytest.mark.parametrize("direction", ["LR", "BU"])
def test_dead_lines_of_the_detector_are_not_slits(direction):
    obs = small(direction)
    flat = obs.flat(1)
    image = obs.spectrograph.direction.canonical_image(flat.data)
    image[150] = 0.0
    image[262:264] = 0.0
    image[330] = 60000.0
    image[:, 300] = 0.0
    (traces,) = find_traces(flat, obs.mask, obs.instrument)
    assert np.sqrt(np.mean(edge_errors(obs, traces) ** 2)) < 0.03


def test_arc_in_its_own_light():
    obs = small("UB", scattered=0.05)
    (traces,) = find_traces(obs.arc(lamp(), 1), obs.mask, obs.instrument)
    assert np.abs(field_errors(obs, traces)).max() < 0.15


def test_arrays_without_uncertainty():
    obs = small()
    (traces,) = find_traces((obs.flat(1).data, None, None), obs.mask, obs.instrument)
    assert np.sqrt(np.mean(edge_errors(obs, traces) ** 2)) < 0.03


@pytest.mark.parametrize("n_slits", [5, 9, 12])
def test_another_mask_is_refused(n_slits):
    obs = small(n_slits=9)
    other = random_mask(n_slits, obs.instrument, 77)
    with pytest.raises(FitError, match=r"Tried: both mirror images, scale within 7 %.* Check"):
        find_traces(obs.flat(1), other, obs.instrument)


@pytest.mark.parametrize("n_slits", [2, 3, 4])
def test_other_masks_of_few_slits_are_refused(n_slits):
    obs = small(n_slits=9)
    reduced = reduce_frame(*canonical_data(obs.flat(1), obs.instrument))
    profile = central_profile(reduced, 0.5)
    for seed in range(30):
        other = random_mask(9, obs.instrument, 100 + seed)
        other = Mask(list(other.values())[3 : 3 + n_slits])
        with pytest.raises(FitError):
            find._choose(find_layouts(profile, other, obs.instrument), n_slits)


@pytest.mark.parametrize("n_slits", [4, 6])
def test_a_slit_that_is_cut_elsewhere_and_one_that_is_not_cut_do_not_stop_the_others(n_slits):
    obs = small(n_slits=n_slits, kind="mos")
    names = list(obs.mask)
    cut = {key: slit for key, slit in obs.mask.items() if n_slits == 4 or key != names[1]}
    moved, shift = cut[names[2]], np.array([0.0, 0.9])
    cut[names[2]] = replace(moved, y=moved.y + 0.9, control=moved.control + shift)
    (traces,) = find_traces(through(Mask(cut.values()), obs).flat(1), obs.mask, obs.instrument)
    good = [key for key, status in traces.status.items() if status.flag == "ok"]
    assert good == [key for key in names if key in cut and key != names[2]]
    assert np.abs(field_errors(obs, traces, good)).max() < 0.1


def test_scale_far_off_is_refused():
    obs = small(n_slits=9)
    with pytest.raises(FitError, match="no layout"):
        find_traces(obs.flat(1), obs.mask, wrong(obs.instrument, scale=0.3))


def test_longslit_of_another_length_is_refused():
    obs = small(kind="longslit")
    with pytest.raises(FitError, match="Check that mask and frame belong together"):
        find_traces(obs.flat(1), obs.mask, wrong(obs.instrument, scale=0.16))


def test_frame_without_light_is_refused():
    obs = small()
    flat = obs.flat(1)
    flat.data[...] = np.random.default_rng(1).normal(0.0, 5.0, flat.data.shape)
    with pytest.raises(FitError, match="no layout"):
        find_traces(flat, obs.mask, obs.instrument)


def test_all_masked_is_refused():
    obs = small()
    data = np.full(SHAPE, np.nan)
    with pytest.raises(FitError, match="no finite, unmasked pixel"):
        find_traces((data, None, None), obs.mask, obs.instrument)
