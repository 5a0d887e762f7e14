"""A real Chromium, and sessions on its pages."""

import os
import shutil

import pytest
from web.browser_hand import Hand, Tabs

from specwcs import ModelsCalibration
from specwcs.viewers.web import WebViewer


def _chromium():
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
    if path is None:
        give_up = pytest.fail if os.environ.get("SPECWCS_REQUIRE_BROWSER") else pytest.skip
        give_up("not installed: chromium")
    return path


@pytest.fixture(autouse=True)
def state_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "state"


@pytest.fixture(scope="session")
def tabs():
    path = _chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield Tabs(chromium)
        chromium.close()


@pytest.fixture
def at_page(tabs):
    """Open a session in the browser: ``at_page(icf, mask)`` returns it and a hand."""
    opened = []

    def open_page(icf, mask, image=None, size=(1280, 820), **models):
        viewer = WebViewer(browse=False)
        session = ModelsCalibration(icf, mask, viewer=viewer, **models)
        if image is not None:
            session.load_image(image)
        hand = Hand(tabs, viewer, size)
        opened.append((session, hand))
        return session, hand

    yield open_page
    for session, hand in opened:
        hand.leave()
        session.close()
        assert hand.complaints == []
