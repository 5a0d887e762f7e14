"""What a calibration claims to know, it knows: errors, ranges, and slits that are set aside."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import calibration_cases as cases
import numpy as np
import pytest

from specwcs.calibration import solve, tuning
from specwcs.calibration.bundle import SlitStatus
from specwcs.calibration.confirm import lines_that_confirm
from specwcs.calibration.known import KNOWN, _around, longest_known
from specwcs.calibration.likely_fit import _evident_factor, _System
from specwcs.calibration.local import LocalTerms
from specwcs.calibration.points import Points
from specwcs.calibration.smoothness import DISPERSION, Smoothness
from specwcs.calibration.solve import _far_off, _too_few_agree
from specwcs.fitting.groups import changes_without
from specwcs.inputs import LineCatalog
from specwcs.models import OpticalModel
from specwcs.simulate import example, lamp

SHAPE = (512, 1024)


def markers_of(obs, lines, **more):
    """Markers of some lines only."""
    markers = cases.true_markers(obs, **more)
    wavelength = markers["wavelength"].value
    return markers[(markers["kind"] != "line") | np.isin(wavelength, lines)]


def shifted(markers, chosen, obs, px):
    """Move chosen markers along the dispersion."""
    axis = "x" if obs.instrument.direction.along_x else "y"
    values = markers[axis].value.copy()
    values[chosen] += px
    markers[axis] = values * markers[axis].unit
    return markers


def worst_along(obs, cal, keys=None):
    errors = cases.wavelength_errors(obs, cal, keys)
    known = {key: cal.geometry(key).dispersion.wavelength_domain for key in errors}
    worst = 0.0
    for key, values in errors.items():
        _, _, x, y = cases.light(obs, key)
        found, _ = cal.geometry(key).world(x, y)
        inside = (found > known[key][0]) & (found < known[key][1])
        worst = max(worst, np.nanmax(np.abs(values[inside]), initial=0.0))
    return worst


@pytest.mark.parametrize("direction", ["LR", "UB"])
def test_a_last_line_that_is_off_in_all_slits_misleads_nobody(direction):
    """A blend with a line that no catalogue has: 0.5 px, as far as a profile can hide."""
    shape = SHAPE if direction == "LR" else SHAPE[::-1]
    obs = example(direction, shape, 8, seed=5)
    lines = np.unique(cases.true_markers(obs)["wavelength"].value)
    lines = lines[np.isfinite(lines)][::4]
    markers = markers_of(obs, lines)
    last = markers["wavelength"].value == lines[-1]
    cal = solve(obs.instrument, obs.mask, shifted(markers, last, obs, 0.5), medium="air")
    assert len(cal.good()) == 8
    assert worst_along(obs, cal) < 0.2


def test_lines_beyond_a_gap_that_are_others_mislead_nobody():
    """Three lines beyond a gap, all taken for others 6 px away: a bent spectrum fits them."""
    obs = example("LR", SHAPE, 8, seed=5)
    lines = np.unique(cases.true_markers(obs)["wavelength"].value)
    lines = lines[np.isfinite(lines)]
    near, far = lines[lines < 7000][::4], lines[lines > 8500][::6][:3]
    markers = markers_of(obs, np.concatenate([near, far]))
    beyond = markers["wavelength"].value > 8000
    cal = solve(obs.instrument, obs.mask, shifted(markers, beyond, obs, 6.0), medium="air")
    for key in cal.good():
        if not obs.mask[key].reference:
            assert near[-1] - 200 < cal.slits[key].known[1] < far[0]
    assert worst_along(obs, cal) < 0.3


def test_four_lines_of_a_lamp_with_few_confirm_each_other():
    """Eight lines with wide gaps: in a crowded catalogue either half may be others."""
    obs = example("LR", SHAPE, 8, seed=5)
    lines = np.unique(cases.true_markers(obs)["wavelength"].value)
    lines = lines[np.isfinite(lines)]
    chosen = np.concatenate([lines[lines < 6700][-16::4], lines[lines > 7500][:16:4]])
    markers = markers_of(obs, chosen)
    sparse = LineCatalog(chosen, np.full(8, "X"), np.ones(8, int), np.ones(8), "air")
    confirm = lines_that_confirm(sparse, chosen, obs.instrument.linear_dispersion)
    assert confirm == 4
    cal = solve(obs.instrument, obs.mask, markers, medium="air", confirm=confirm)
    slits = [key for key, slit in obs.mask.items() if not slit.reference]
    assert set(slits) <= set(cal.good())
    for key in slits:
        low, high = cal.slits[key].known
        assert high - low > 0.5 * np.ptp(chosen)
    assert worst_along(obs, cal) < 0.2
    crowded = np.linspace(chosen[0], chosen[-1], 2000)
    crowded = LineCatalog(crowded, np.full(2000, "X"), np.ones(2000, int), np.ones(2000), "air")
    assert lines_that_confirm(crowded, chosen, obs.instrument.linear_dispersion) == 6
    cal = solve(obs.instrument, obs.mask, markers, medium="air")
    for key in set(slits) & set(cal.good()):
        low, high = cal.slits[key].known
        assert high - low < 0.5 * np.ptp(chosen)


def test_where_no_line_is_sure_nothing_is_known():
    grid, own = np.linspace(5000, 9000, 401), np.array([5500.0, 6500.0, 8500.0])
    doubt = np.full(401, 0.5)
    doubt[grid > 6000] = 3.0
    assert _around(grid, doubt, own) == pytest.approx((5000, 6000), abs=10)
    assert np.all(np.isnan(_around(grid, np.full(401, 1.1), own)))
    assert np.all(np.isnan(_around(grid, np.full(401, np.inf), own)))
    doubt[grid > 8000] = 0.2  # the surest line, beyond what is in doubt
    assert _around(grid, doubt, own) == pytest.approx((8000, 9000), abs=10)
    doubt[(grid > 6000) & (grid <= 8000)] = 1.5  # in doubt, and not by much
    assert _around(grid, doubt, own) == pytest.approx((5000, 9000))


@pytest.mark.parametrize("px", [1.5, 14.0])
def test_a_slit_whose_lines_are_others_is_no_slit_of_the_field(px):
    obs = example("RL", SHAPE, 8, seed=3)
    markers = cases.true_markers(obs, n_t=4)
    mine = np.asarray((markers["slit"] == "04") & (markers["kind"] == "line"))
    cal = solve(obs.instrument, obs.mask, shifted(markers, mine, obs, px), medium="air")
    assert cal.slits["04"].flag == "inconsistent"
    assert set(cal.good()) == set(obs.mask) - {"04"}
    assert worst_along(obs, cal) < 0.1


@pytest.mark.parametrize("direction", ["UB"])
def test_an_edge_that_nobody_saw_is_known_as_well_as_is_said(direction):
    """Slits in turn lose an edge; what is found for it is within its error."""
    shape = SHAPE if direction in ("LR", "RL") else SHAPE[::-1]
    pulls = []
    for seed in (2, 3):
        obs = example(direction, shape, 6, seed=seed, rotation=1.0, distortion=0.02)
        lines = lamp().select(*cases.BAND).wavelength[::6]
        for key in list(obs.mask)[::2]:
            markers = markers_of(obs, lines, scatter=0.01, n_t=4)
            unseen = (markers["slit"] == key) & (markers["kind"] == "edge") & (markers["t"] == 1.0)
            cal = solve(obs.instrument, obs.mask, markers[~unseen], medium="air")
            status = cal.slits[key]
            wavelength = np.linspace(
                *(status.known if np.isfinite(status.known[0]) else (5500, 8500)), 9
            )
            x, y = obs.pixel(key, np.ones(9), wavelength)
            trace = cal.geometry(key).trace
            start = trace.direction.split(*trace.pixel_from_trace(0.0, 1.0))[0]
            along, across = trace.direction.split(x, y)
            d = trace.direction.sign * (along - start)
            miss = trace.direction.split(*trace.pixel_from_trace(d, 1.0))[1] - across
            sigma = cal.trace_uncertainty(key, d, 1.0)
            if not status.ok:
                # Where its t is not what it seems, lines of a tilted slit are off as well.
                assert "edge" in status.reason or status.flag == "inconsistent"
                continue
            assert np.max(np.abs(miss)) < 0.3
            pulls.append(np.max(np.abs(miss / sigma)))
    assert len(pulls) >= 4
    assert np.max(pulls) < 4
    assert np.mean(np.array(pulls) < 2) > 0.8


@pytest.mark.parametrize("direction", ["LR", "BU"])
def test_a_slit_is_known_as_far_as_its_edges_were_seen(direction):
    """The edge of a long slit leaves the frame: the part where it was seen is calibrated."""
    shape = SHAPE if direction in ("LR", "RL") else SHAPE[::-1]
    obs = example(direction, shape, kind="longslit", seed=3)
    markers = cases.true_markers(obs)
    along = markers["x" if obs.instrument.direction.along_x else "y"].value
    unseen = (markers["kind"] == "edge") & (markers["t"] == 1.0) & (along > 0.55 * max(SHAPE))
    whole = solve(obs.instrument, obs.mask, markers, medium="air")
    part = solve(obs.instrument, obs.mask, markers[~unseen], medium="air")
    (key,) = part.good()
    (low, high), (least, most) = part.slits[key].known, whole.slits[key].known
    assert least - 0.1 < low < high < most + 0.1  # the traces say where lines are, to 0.1 Å
    assert 0.4 < (high - low) / (most - least) < 0.9
    assert cases.rms(cases.edge_errors(obs, part, band=(low, high))) < 0.05


def test_beyond_the_light_of_the_flat_edges_are_known_as_far_as_wavelengths_beyond_lines():
    obs = example("LR", SHAPE, 6, seed=3, distortion=0.02)
    markers = cases.true_markers(obs)
    cut = 0.7 * max(SHAPE)
    unseen = (markers["kind"] == "edge") & (markers["x"].value > cut)
    cal = solve(obs.instrument, obs.mask, markers[~unseen], medium="air")
    farthest = 0.0
    for key in cal.good():
        if cal.mask[key].reference:
            continue
        geometry, wavelength = cal.geometry(key), np.linspace(*cal.slits[key].known, 50)
        for t in (0.0, 1.0):
            x, _ = geometry.pixel(wavelength, t)
            d = geometry.dispersion.distance_from_wavelength(wavelength, np.full(50, t))
            past = x > cut + 20
            farthest = max(farthest, x.max() - cut)
            sigma = cal.trace_uncertainty(key, d[past], t)
            assert np.max(sigma, initial=0.0) < 1.1 * KNOWN / 3
    assert farthest > 20


@pytest.mark.parametrize(("step", "good"), [(0.0, 5), (1.0, 0)])
def test_a_step_between_two_detectors_is_not_smoothed_over(step, good):
    """No smooth model follows it: lines beside it are off by up to half of it, all alike."""
    obs = example("LR", SHAPE, 6, seed=5)
    markers = cases.true_markers(obs)
    beyond = (markers["kind"] == "line") & (markers["x"].value > 0.5 * max(SHAPE))
    cal = solve(obs.instrument, obs.mask, shifted(markers, beyond, obs, step), medium="air")
    status = [cal.slits[key] for key, slit in obs.mask.items() if not slit.reference]
    assert sum(one.ok for one in status) == good
    assert all(one.ok or "all alike" in one.reason for one in status)


def test_likely_sizes_follow_what_the_terms_are():
    """Coefficients are drawn from sizes so many times the likely ones."""
    rng = np.random.default_rng(5)
    prior = Smoothness(DISPERSION, 500.0, 450.0, (200.0, 400.0), 0.1)
    x, y, u = rng.uniform(-1, 1, (3, 2000))
    nothing = np.zeros(2000)
    points = Points(x, y, u, nothing, nothing + 0.02, np.array(["1"] * 2000), nothing, lines=True)
    system = _System(points, (6, 3, 4), "IDS", prior)
    rows, sizes = prior.rows(system.terms)
    for factor in (0.3, 1.0, 5.0):
        drawn = np.where(sizes < 5000.0, factor * sizes * rng.normal(size=len(sizes)), 0.0)
        signal = system.design @ np.linalg.solve(rows, drawn)
        noisy = replace(points, values=signal + rng.normal(0, 0.02, 2000))
        found = _evident_factor(_System(noisy, (6, 3, 4), "IDS", prior), np.arange(2000))
        assert 0.75 * max(factor, 1.0) < found < 1.35 * max(factor, 1.0)


def test_what_blends_make_of_a_line_is_partly_each_slits_own():
    """The places of a line in a slit err by it together; their number makes it no smaller."""
    u, slit = np.repeat([0.1, 0.2], 8), np.tile(np.repeat(["a", "b"], [5, 3]), 2)
    shared, nothing = np.repeat([0.0, 0.1], 8), np.zeros(16)
    sigma = np.hypot(shared, 0.01)
    points = Points(nothing, nothing, u, nothing, sigma, slit, nothing, shared, lines=True)
    own, of_lines = points.apart()
    assert own.sigma[:8] == pytest.approx(0.01)
    blends = np.square(own.sigma[8:]) - 0.01**2
    mean = np.sqrt(blends / np.repeat([5, 3], [5, 3]))
    assert mean == pytest.approx(np.full(8, mean[0]))
    assert 0.03 < mean[0] < 0.1
    assert np.hypot(of_lines, [0.0, mean[0]]) == pytest.approx([0.0, 0.1])
    alone, of_lines = replace(points, slit=np.full(16, "a")).apart()  # nothing tells them apart
    assert alone.sigma == pytest.approx(0.01)
    assert of_lines == pytest.approx([0.0, 0.1])


def test_errors_of_wavelengths_are_honest():
    pulls = []
    for seed in range(4):
        obs = example("LR", SHAPE, 8, seed=seed, distortion=0.02)
        lines = lamp().select(*cases.BAND).wavelength[:: 3 + seed]
        cal = solve(obs.instrument, obs.mask, markers_of(obs, lines, seed=seed), medium="air")
        for key, errors in cases.wavelength_errors(obs, cal).items():
            t, wavelength, x, y = cases.light(obs, key)
            slope = cal.geometry(key).dispersion.slope(wavelength, t)
            pulls.append(errors / (cal.wavelength_uncertainty(key, x, y) * slope))
    pulls = np.concatenate(pulls)
    assert 0.6 < np.nanmean(np.abs(pulls) < 1) < 0.9
    assert np.nanmean(np.abs(pulls) < 3) > 0.97


def test_what_neighbours_do_to_lines_counts_once_however_many_places_show_it():
    """Two lines of three err by 0.1 px (1 sigma) at all places alike, and it is known which."""
    ratio, pulls = [], []
    for seed in range(4):
        obs = example("LR", SHAPE, 4, seed=seed)
        lines = np.unique(cases.true_markers(obs)["wavelength"].value)
        lines = lines[np.isfinite(lines)][:: 4 + seed % 3]
        markers, rng = markers_of(obs, lines, seed=seed, n_t=20), np.random.default_rng(seed)
        wavelength, sigma = markers["wavelength"].value, markers["sigma"].value
        for line in np.delete(lines, slice(seed % 3, None, 3)):
            markers = shifted(markers, wavelength == line, obs, rng.normal(0.0, 0.1))
            sigma[wavelength == line] = np.hypot(0.02, 0.1)
        markers["sigma"] = sigma * markers["x"].unit
        told = markers.copy()
        told["shared"] = np.where(sigma > 0.05, 0.1, 0.0) * markers["x"].unit
        rms = []
        for given in (told, markers):
            cal = solve(obs.instrument, obs.mask, given, medium="air")
            errors = cases.wavelength_errors(obs, cal)
            rms.append(cases.rms(errors))
            for key in errors if given is told else ():
                t, wave, x, y = cases.light(obs, key)
                slope = cal.geometry(key).dispersion.slope(wave, t)
                pulls.append(errors[key] / (cal.wavelength_uncertainty(key, x, y) * slope))
        ratio.append(rms[0] / rms[1])
    assert np.median(ratio) < 0.7, ratio
    pulls = np.concatenate(pulls)
    assert 0.5 < np.nanmean(np.abs(pulls) < 1) < 0.9


def test_leaving_out_groups_is_what_a_fit_without_them_gives():
    rng = np.random.default_rng(4)
    design, values = rng.normal(size=(60, 5)), rng.normal(size=60)
    groups = [np.arange(7), np.array([3, 20, 41]), np.arange(40, 60)]
    changes, errors = changes_without(design, values, groups)
    whole = np.linalg.lstsq(design, values, rcond=None)[0]
    for group, change, error in zip(groups, changes, errors, strict=True):
        rest = np.setdiff1d(np.arange(60), group)
        without = np.linalg.lstsq(design[rest], values[rest], rcond=None)[0]
        np.testing.assert_allclose(change, without - whole, atol=1e-12)
        covariance = np.linalg.inv(design[rest].T @ design[rest])
        expected = np.sqrt(np.einsum("np,pq,nq->n", design[group], covariance, design[group]))
        np.testing.assert_allclose(error, expected)
    _, errors = changes_without(design, values, [np.arange(57)])
    assert np.all(np.isinf(errors[0]))


def test_the_sum_of_optical_models_over_other_domains():
    rng = np.random.default_rng(1)
    one = OpticalModel(3, 2, x_domain=(-50, 50), y_domain=(-80, 80), x_flipped=True)
    other = OpticalModel(1, 4, x_domain=(-30, 30), y_domain=(-90, 90), x_flipped=True)
    for model in (one, other):
        model.parameters = rng.normal(size=len(model.parameters))
    X, Y = rng.uniform(-25, 25, (2, 40))
    total = one.plus(other)
    assert total.degrees == (3, 4)
    np.testing.assert_allclose(total(X, Y), np.add(one(X, Y), other(X, Y)), atol=1e-12)


def test_a_trace_moves_by_offset_and_stretch():
    obs = example("BU", SHAPE[::-1], 6, seed=1)
    cal = solve(obs.instrument, obs.mask, cases.true_markers(obs), medium="air")
    trace = cal.geometry("02").trace
    t, d = np.linspace(0, 1, 7), np.linspace(-300, 300, 7)
    before = trace.direction.split(*trace.pixel_from_trace(d, t))
    after = trace.direction.split(*trace.shifted(0.3, -0.2).pixel_from_trace(d, t))
    np.testing.assert_allclose(after[1] - before[1], 0.3 - 0.2 * (2 * t - 1), atol=1e-9)
    np.testing.assert_allclose(after[0], before[0], atol=1e-9)


def test_edges_that_a_single_one_decides_are_not_known():
    """A night that turned, and shows the edges at one place, and one far from it, 0.6 px off."""
    obs = example("LR", SHAPE, 8, seed=5)
    night = example("LR", SHAPE, 8, seed=5, offset=(30.0, -11.0), rotation=0.35)
    cal = solve(obs.instrument, obs.mask, cases.true_markers(obs), medium="air")
    edges = cases.true_markers(night)
    edges = edges[(edges["kind"] == "edge") & np.isin(edges["slit"], cal.good())]
    x = edges["x"].value
    alone = np.flatnonzero(x > 950)[:1]
    edges["y"][alone] += 0.6 * edges["y"].unit
    edges = edges[np.union1d(np.flatnonzero(np.abs(x - 100) < 40), alone)]
    points = tuning._edge_points(cal, edges)
    tuned, _, _, singles = tuning._with_change(cal, "crv", edges, points, (2, 1, 1), "CRV")
    tuned = replace(tuned, slits=tuning._still_known(cal, tuned, singles, by_sky=False))
    slits = [key for key in tuned.good() if not obs.mask[key].reference]
    assert len(slits) >= 7
    for key in slits:
        low, high = tuned.slits[key].known
        wavelength = np.linspace(low, high, 30)
        for t in (0.0, 1.0):
            x, y = night.pixel(key, np.full(30, t), wavelength)
            d, _ = tuned.geometry(key, extrapolate=True).trace.trace_from_pixel(x, y)
            off = tuned.geometry(key).trace.pixel_from_trace(d, np.full(30, t))[1] - y
            assert np.nanmax(np.abs(off)) < 0.3
        assert high - low > 300


@pytest.mark.parametrize("slit", ["01", "07"])
def test_a_slit_that_is_cut_elsewhere_leaves_the_others_alone(slit):
    """Its lines tell; its edges, which the field nearly follows at the end, would open all."""
    obs = example("LR", SHAPE, 8, seed=5)
    lines = np.unique(cases.true_markers(obs)["wavelength"].value)
    markers = markers_of(obs, lines[np.isfinite(lines)][::4])
    mine = np.asarray(markers["slit"]) == slit
    markers = shifted(markers, mine & (markers["kind"] == "line"), obs, -12.0)
    across = markers["y"].value.copy()
    across[mine & (markers["kind"] == "edge") & (markers["t"] == 1.0)] -= 5.0
    markers["y"] = across * markers["y"].unit
    cal = solve(obs.instrument, obs.mask, markers, medium="air")
    assert cal.slits[slit].flag == "inconsistent"
    assert cal.good() == [key for key in obs.mask if key != slit]
    its = cal.dropped[cal.dropped["slit"] == slit]
    assert set(its["reason"]) == {"its slit contradicts the others"}
    assert not its["used"].any()


def test_a_small_gap_ends_no_stretch_that_is_known():
    wavelength = np.arange(10.0)
    doubts = np.array([0.5, 0.9, 1.4, 1.9, 0.8, 0.7, 2.1, 0.6, 1.2, 3.0])
    assert longest_known(wavelength, doubts) == pytest.approx((0.0, 5.0 + 0.3 / 1.4))
    assert longest_known(wavelength, np.where(doubts < 2, 0.0, np.inf)) == (0.0, 5.0)
    assert longest_known(wavelength, doubts[::-1]) == pytest.approx((4.0 - 0.3 / 1.4, 9.0))
    for nowhere in (doubts + 2.0, doubts + np.where(wavelength < 5, 9.0, 0.0)):
        low, high = longest_known(wavelength, nowhere)
        assert low == high


@pytest.mark.parametrize(
    ("odd", "good", "kept"), [(1, 2, 0), (1, 3, 3), (2, 4, 0), (0, 1, 1), (0, 0, 0)]
)
def test_where_too_few_slits_agree_none_is_called_good(odd, good, kept):
    """The layout may be another: three slits, of which the middle one is tilted, and mirrored."""
    flags = ["inconsistent"] * odd + ["ok"] * good
    mask = {str(k): SimpleNamespace(reference=False) for k in range(len(flags))}
    mask["hole"] = SimpleNamespace(reference=True)
    statuses = {key: SlitStatus(flag) for key, flag in zip(mask, [*flags, "ok"], strict=True)}
    found = _too_few_agree(statuses, mask)
    assert sum(found[key].ok for key in mask if key != "hole") == kept
    if odd == good == 0:  # nobody contradicts anybody
        assert found == statuses
    elif not kept:
        assert "mirrored" in found[str(odd)].reason
        assert found[str(odd)].flag == "uncertain"


@pytest.mark.parametrize(("size", "flag"), [(0.2, "ok"), (3.0, "inconsistent")])
def test_a_slit_that_is_rough_by_pixels_is_another(size, flag):
    table = size * np.sin(np.arange(20.0))
    rough = LocalTerms(("a",), np.zeros((1, 2)), {"a": table})
    plain = LocalTerms(("a",), np.zeros((1, 2)))
    fits = {
        name: SimpleNamespace(local=local, covariance={name: 1e-6 * np.eye(3 + local.size)})
        for name, local in (("ids", rough), ("crv", plain))
    }
    status = _far_off({"a": SlitStatus("ok")}, fits)["a"]
    assert status.flag == flag
    assert ("px (rms) off the shape" in status.reason) == (flag != "ok")


@pytest.mark.parametrize("apart", [0.0, 1e-13, 1.0])
def test_points_at_one_wavelength_tell_no_dispersion(apart):
    """As of a slit with a single line, to rounding: the frame's length serves instead."""
    u = 0.3 + apart * np.linspace(0.0, 0.5, 9)
    nothing = np.zeros(9)
    points = Points(
        nothing, nothing, u, 400.0 * u, nothing + 0.02, np.array(["1"] * 9), nothing, lines=True
    )
    prior = Smoothness.over(DISPERSION, 500.0, (200.0, 400.0), 1.0, points, (5000, 9000), 7000.0)
    assert prior.length == pytest.approx(400.0 if apart == 1.0 else 500.0)


def test_a_slit_that_is_known_over_a_few_pixels_is_not_called_good(monkeypatch):
    obs = example("LR", SHAPE, 6, seed=5)
    narrow, other = list(obs.mask)[1:3]
    module = sys.modules[solve.__module__]
    ranges = module.known_ranges

    def in_part(*arguments):
        return ranges(*arguments) | {narrow: (7000.0, 7030.0)}

    monkeypatch.setattr(module, "known_ranges", in_part)
    cal = solve(obs.instrument, obs.mask, cases.true_markers(obs), medium="air")
    assert cal.slits[other].ok
    assert cal.slits[narrow].flag == "uncertain"
    assert "known from 7000 to 7030 Å only" in cal.slits[narrow].reason


def test_edges_that_are_off_make_those_of_others_no_less_sure():
    """Dust on an edge of two slits of nine: as far off as slits may be cut."""
    obs = example("LR", SHAPE, 9, seed=5)
    markers, sigma = cases.true_markers(obs), []
    one, two, *others = [key for key, slit in obs.mask.items() if not slit.reference]
    for px in (0.0, 0.2):
        mine = np.isin(markers["slit"], [one, two]) & (markers["t"] < 0.5)
        moved = markers.copy()
        moved["y"] += np.where(mine & (markers["kind"] == "edge"), px, 0.0) * moved["y"].unit
        cal = solve(obs.instrument, obs.mask, moved, medium="air")
        sigma.append(np.median([cal.trace_uncertainty(key, 0.0, [0.0, 1.0]) for key in others]))
    assert sigma[1] < 1.1 * sigma[0]
