"""Slit by slit on the page: the solved slit beside the new one, by keys."""

import hand as truth
import numpy as np
import pytest

from specwcs.simulate import example, wrong

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("direction", "slits"), [("RL", 3), ("BU", 2)])
def test_slit_by_slit(at_page, direction, slits):
    along_x = direction == "RL"
    obs = example(direction, shape=(512, 1024) if along_x else (1024, 512), n_slits=6, seed=4)
    session, hand = at_page(wrong(obs.instrument), obs.mask, obs.arc(truth.lamp(), 1))
    session.new_opt_model(1, 1)
    session.plot_opt_model()
    truth.place(session, obs, scatter=0.05)
    session.fit_opt_model()
    session.new_crv_model(2, 1, 1)
    session.plot_crv_model(9, pos=(0, 1))
    truth.place(session, obs, scatter=0.05)
    session.fit_crv_model()
    session.viewer.page.offer_lamp("lamp", truth.bright_lamp(6))
    hand.press("3 Lines (IDS)")
    hand.fill("degree x", 0)  # so few slits tell no more
    hand.fill("degree y", 0)
    hand.press("Slit by slit")
    visited = []
    for _ in range(slits):
        visited.append(session.progress.slit)
        assert (hand.viewer.columns is not None) == (len(visited) > 1)
        for row in np.flatnonzero(session.progress.markers["used"]):
            markers = session.progress.markers
            here = np.array([markers[c][row].value for c in "xy"])
            there = np.array([v[row] for v in truth.true_places(obs, markers)])
            if np.hypot(*(there - here)) < 1:
                continue  # a hand would leave it, too
            hand.drag(here, there)
            hand.settle()
        hand.key("n")
    assert session.progress.solved == tuple(visited)
    if along_x:
        assert hand.viewer.columns is False  # one above the other
        top, bottom = (hand.middle(name)[1] for name in ("frame1", "frame2"))
        assert top < bottom - 100
    else:
        assert hand.viewer.columns is True
        left, right = (hand.middle(name)[0] for name in ("frame1", "frame2"))
        assert left < right - 100
    hand.press("◀ Previous (p)")
    assert session.progress.slit == visited[-1]
    hand.press("Stop")
    assert hand.viewer.columns is None
    assert session.progress.tour == ()
    assert "IDS fitted" in hand.said()
    assert session.progress.models["ids"].summary.rms < 1
