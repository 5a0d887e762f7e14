"""Sessions without a viewer, on simulated frames; their journals stay in a folder of the test."""

import hand
import pytest

from specwcs import ModelsCalibration
from specwcs.simulate import example, wrong


@pytest.fixture(autouse=True)
def state_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture(scope="session")
def mos():
    return example("RL", n_slits=14, seed=3, flipy=True)


@pytest.fixture(scope="session")
def mos_arc(mos):
    return mos.arc(hand.lamp(), 1)


@pytest.fixture(scope="session")
def mos_files(mos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mos")
    return hand.write_files(mos, folder, instrument=wrong(mos.instrument))


@pytest.fixture
def calib(mos):
    """A session at its start, with OPT flipped as the mask is."""
    session = ModelsCalibration(wrong(mos.instrument), mos.mask, viewer=None)
    session.new_opt_model(2, 2).flipy()
    return session


@pytest.fixture
def fitted(calib, mos):
    """A session with OPT and CRV placed and fitted, and an IDS to begin with."""
    calib.plot_opt_model()
    hand.place(calib, mos)
    calib.fit_opt_model()
    calib.new_crv_model(2, 2, 2)
    calib.plot_crv_model(9)
    hand.place(calib, mos)
    calib.fit_crv_model()
    calib.new_ids_model(4, 2, 2)
    return calib
