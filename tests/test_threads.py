"""Slits are worked on at once where nobody else is at work, with the same results."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from specwcs import calibrate, extract, threads
from specwcs.extraction import flat_field
from specwcs.simulate import example, lamp, wrong


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    return monkeypatch


def names(count=6):
    """Names of the threads that work, one an item."""

    def work(_):
        time.sleep(0.02)
        return threading.current_thread().name

    return set(threads.each(work, range(count)))


def test_results_come_in_order_from_several_threads(cores):
    def work(item):
        time.sleep(0.03 if item == 0 else 0.0)
        return item

    assert list(threads.each(work, range(20))) == list(range(20))
    assert len(names()) == 3
    assert list(threads.each(work, [])) == []


def test_work_is_not_far_ahead_of_who_takes_it(cores):
    begun = []
    for item, _ in enumerate(threads.each(begun.append, range(20))):
        assert len(begun) <= item + 5  # with three threads


def test_who_is_one_of_many_works_alone(cores):
    with ThreadPoolExecutor(1, thread_name_prefix="one") as pool:
        assert pool.submit(names).result() == {"one_0"}
    cores.setenv("OMP_NUM_THREADS", "1")
    assert names() == {threading.main_thread().name}
    cores.setenv("OMP_NUM_THREADS", "2")
    assert len(names()) == 2


def test_an_error_is_the_caller_s(cores):
    def work(item):
        return 1 / item

    with pytest.raises(ZeroDivisionError):
        list(threads.each(work, [2, 1, 0, 3]))


def test_calibration_and_spectra_are_the_same_bit_by_bit(cores):
    obs = example("RL", (256, 512), 4, line_curvature=0.8)
    catalog, frames = lamp(), (obs.flat(1), obs.arc(lamp(), 2), obs.science(3))

    def products():
        flat, arc, science = frames
        cal = calibrate(wrong(obs.instrument), obs.mask, flat=flat, arc=arc, catalog=catalog)
        spectra = extract(cal, science, flat=flat_field(cal, flat))
        return [
            *(getattr(cal, name).parameters for name in ("opt", "crv", "ids")),
            *(s.flux.value for s in spectra),
        ]

    several = products()
    cores.setenv("OMP_NUM_THREADS", "1")
    for one, other in zip(several, products(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("left", "right"),
    [((9, 4), (4, 70000)), ((70000, 4), (4, 9)), ((300, 7), (3, 7, 9000)), ((3, 5), (5, 200000)),
     ((0, 4), (4, 3)), ((2, 4), (4, 0)), ((2, 3000), (3000, 500))],
)  # fmt: skip
def test_products_in_parts_are_whole(left, right):
    rng = np.random.default_rng(2)
    left, right = rng.normal(size=left), rng.normal(size=right)
    np.testing.assert_allclose(threads.product(left, right), left @ right, rtol=1e-12, atol=1e-11)
