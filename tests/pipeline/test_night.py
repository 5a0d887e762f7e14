"""A night, done once and again, here and on a cluster: the same bytes, and nothing lost."""

import os
import signal
import time
from pathlib import Path

import calibration_cases as cases
import pytest
from hand import write_files

from specwcs import Calibration
from specwcs.calibration import solve
from specwcs.cli import main
from specwcs.pipeline import Plan, run_plan
from specwcs.simulate import example
from specwcs.simulate.files import write_frame

pytestmark = pytest.mark.slow
EXPOSURES = 2


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """A folder with small frames and a calibration of another night, which is tuned."""
    folder = tmp_path_factory.mktemp("night")
    obs = example("LR", (240, 960), 5, seed=4, line_curvature=1.0, offset=(12.0, -5.0))
    (folder / "raw").mkdir()
    write_files(obs, folder / "raw")
    markers = cases.true_markers(obs, scatter=0.2)
    cal = solve(obs.instrument, obs.mask, markers, medium="air", ids=(4, 1, 1))
    cal.write(folder / "raw" / "old.asdf")
    for k in range(EXPOSURES):
        write_frame(folder / "raw" / f"s{k}.fits", obs.science(10 + k))
    return folder


@pytest.fixture(autouse=True)
def fixed_date(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")


def plan(night, output, science="s*.fits", arc="arc.fits"):
    path = night / f"{output}.toml"
    path.write_text(f"""
instrument = "raw/instrument.icf"
mask = "raw/mask.mdf"
output = "{output}"
[extract]
no-pictures = true
flat = false
[[setup]]
name = "one"
calibration = "raw/old.asdf"
flat = ["raw/flat.fits"]
arc = ["raw/{arc}"]
science = ["raw/{science}"]
""")
    return Plan.read(path)


def products(folder):
    """The bytes of all products."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for kind in ("calibration", "spectra")
        for path in sorted((folder / kind).rglob("*"))
        if path.suffix in (".fits", ".asdf")
    }


@pytest.fixture(scope="module")
def done(night):
    """The night as one process does it."""
    os.environ["SOURCE_DATE_EPOCH"] = "1800000000"
    records = run_plan(plan(night, "alone"))
    assert [record.done for record in records] == [True] * (EXPOSURES + 1)
    return products(night / "alone")


def test_a_cluster_gives_the_same_bytes_with_a_worker_killed(night, done):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        pids = [worker.process.pid for worker in cluster.workers.values()]
        told = []

        def kill(record):
            told.append(record["name"])
            if record["kind"] == "tune":
                time.sleep(0.4)  # in the midst of an exposure
                os.kill(pids[0], signal.SIGKILL)

        records = run_plan(plan(night, "many"), scheduler=cluster.scheduler_address, progress=kill)
    assert [record.done for record in records] == [True] * (EXPOSURES + 1)
    assert products(night / "many") == done
    assert set(told) == {record["name"] for record in records}


def test_only_what_changed_is_done_again(night, done):
    again = run_plan(plan(night, "alone"))
    assert not any(record["repeated"] for record in again)
    # A product that is missing, or was touched.
    (night / "alone" / "spectra" / "s1" / "s1_spectra.fits").unlink()
    path = night / "alone" / "spectra" / "s0" / "s0_cutouts.fits"
    path.write_bytes(path.read_bytes()[:-2880])
    again = run_plan(plan(night, "alone"))
    assert {r["name"] for r in again if r["repeated"]} == {"s0", "s1"}
    assert products(night / "alone") == done
    # A frame that was taken anew, and its old bytes with a new date.
    raw = night / "raw" / "s1.fits"
    os.utime(raw)
    assert not any(record["repeated"] for record in run_plan(plan(night, "alone")))
    record = night / "alone" / ".tasks" / "s0.json"
    record.write_text(record.read_text()[:100])  # cut off by a full disk
    again = run_plan(plan(night, "alone"))
    assert {r["name"] for r in again if r["repeated"]} == {"s0"}
    assert products(night / "alone") == done


def test_two_at_a_time_give_the_same_bytes_and_what_fails_is_told(night, done, capsys):
    (night / "raw" / "bad.fits").write_bytes(b"SIMPLE  = no frame")
    try:
        plan(night, "partly", science="[bs][a0-9]*.fits")
        status = main(["run", str(night / "partly.toml"), "--jobs", "2"])
        out = capsys.readouterr().out
        assert status == 3
        assert "3 of 4 tasks done, 0 of them unchanged" in out
        assert "bad: wrong input" in out
        assert "bad.fits" in out
        page = (night / "partly" / "index.html").read_text()
        assert page.index("bad.fits") < page.index(">s0<")
        assert 'href="calibration/one.html"' in page
        assert Calibration.read(night / "partly" / "calibration" / "one.asdf").good()
        assert len(done) > 4 * EXPOSURES
        assert products(night / "partly") == done
    finally:
        (night / "raw" / "bad.fits").unlink()


def test_without_a_calibration_its_exposures_say_so(night):
    (night / "raw" / "dark.fits").write_bytes((night / "raw" / "flat.fits").read_bytes())
    records = run_plan(plan(night, "none", arc="dark.fits"))
    assert [record["status"] for record in records] == [2] * (EXPOSURES + 1)
    assert all("not done: calibration one failed" in r["error"] for r in records[1:])


def test_a_scheduler_that_is_not_there(night, capsys, monkeypatch):
    monkeypatch.setattr("specwcs.pipeline.night._PATIENCE", 1)
    plan(night, "nowhere")
    status = main(["run", str(night / "nowhere.toml"), "--scheduler", "tcp://127.0.0.1:1"])
    assert status == 2
    assert "no scheduler answers at tcp://127.0.0.1:1" in capsys.readouterr().err


def test_jobs_below_one(night, capsys):
    plan(night, "few")
    assert main(["run", str(Path(night) / "few.toml"), "--jobs", "0"]) == 2
    assert "--jobs 0. Must be at least 1" in capsys.readouterr().err
