"""Times of the page in a real browser: 28 slits on 8288 × 3088 px, 5,000 markers.

Medians, on a machine without a graphics card; ``pip install -e ".[test]"`` and Chromium are needed.
"""

import argparse
import shutil
import time

import numpy as np
from playwright.sync_api import sync_playwright

from specwcs import ModelsCalibration
from specwcs.simulate import example, lamp
from specwcs.viewers.web import WebViewer

_PAINTED = """
() => new Promise(resolve => {
  const plot = Bokeh.documents[0].get_model_by_name("frame1")
  const source = plot.renderers[0].data_source
  const done = () => {
    source.properties.data.change.disconnect(done)
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now()), 0))
  }
  source.properties.data.change.connect(done)
})
"""
_RESIDUALS = _PAINTED.replace('"frame1"', '"residuals_at"').replace("renderers[0]", "renderers[0]")
_WHERE = """
([x, y]) => {
  const model = Bokeh.documents[0].get_model_by_name("frame1")
  const view = Bokeh.index.find_one(model)
  const {left, top} = view.canvas_view.events_el.getBoundingClientRect()
  return [left + view.frame.x_scale.compute(x), top + view.frame.y_scale.compute(y)]
}
"""


def large_session(shape, n_slits, markers):
    """Return a fitted session with so many lines drawn."""
    obs = example("LR", shape=shape, n_slits=n_slits, seed=2)
    viewer = WebViewer(browse=False)
    calib = ModelsCalibration(obs.instrument, obs.mask, viewer=viewer)
    calib.load_image(obs.arc(lamp(), 1))
    calib.new_opt_model(1, 1)
    calib.new_crv_model(2, 1, 1)
    calib.new_ids_model(3, 1, 1)
    catalog = lamp()
    nsplit = max(1, round(markers / (n_slits * len(catalog))))
    calib.plot_ids_model(catalog, nsplit=nsplit)
    markers = calib.markers
    markers["x"] += np.random.default_rng(0).normal(0, 0.2, len(markers)) * markers["x"].unit
    calib.markers = markers
    return calib, viewer


def main():
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=7)
    args = parser.parse_args()
    calib, viewer = large_session((3088, 8288), 28, 5000)
    drawn = len(viewer.read())
    rows = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        ready, page = [], None
        for _ in range(3):
            if page is not None:
                page.close()
                time.sleep(40)  # until its document is gone
            page = browser.new_page(viewport={"width": 1600, "height": 1000})
            begin = time.perf_counter()
            page.goto(viewer.url)
            page.wait_for_function(
                "window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
                ' && Bokeh.documents[0].get_model_by_name("frame1").renderers[0]'
                ".data_source.data.image.length"
            )
            ready.append(time.perf_counter() - begin)
            while not viewer.page.idle:
                time.sleep(0.05)
            time.sleep(1)
        rows["page ready"] = np.median(ready)
        zoom, drop = [], []
        markers = calib.progress.markers
        inner = (markers["x"].value > 1000) & (markers["x"].value < 7000)
        on = np.flatnonzero(np.asarray(markers["used"]) & inner)
        for n in range(args.repeat):
            row = on[(n + 1) * len(on) // (args.repeat + 2)]
            at = page.evaluate(_WHERE, [markers["x"].value[row], markers["y"].value[row]])
            page.mouse.move(*at)
            page.keyboard.press("w")
            time.sleep(1)
            at = page.evaluate(_WHERE, [markers["x"].value[row], markers["y"].value[row]])
            page.mouse.move(*at)
            for _ in range(2):
                page.evaluate("window.painted = undefined")
                page.evaluate(f"({_PAINTED})().then(t => window.painted = t); 0")
                begin = page.evaluate("performance.now()")
                page.mouse.wheel(0, -400)
                page.wait_for_function("window.painted !== undefined")
                zoom.append(page.evaluate("window.painted") - begin)
                time.sleep(0.4)
            at = page.evaluate(_WHERE, [markers["x"].value[row], markers["y"].value[row]])
            page.mouse.move(*at)
            page.mouse.down()
            page.mouse.move(at[0] + 12, at[1])
            page.evaluate("window.painted = undefined")
            page.evaluate(f"({_RESIDUALS})().then(t => window.painted = t); 0")
            begin = page.evaluate("performance.now()")
            page.mouse.up()
            page.wait_for_function("window.painted !== undefined")
            drop.append(page.evaluate("window.painted") - begin)
            time.sleep(1)
        rows["zoom step painted"] = np.median(zoom) / 1000
        rows["drop to refit and residuals"] = np.median(drop) / 1000
        browser.close()
    viewer.close()
    print(f"{drawn} markers on 8288 x 3088 px, s")
    for name, seconds in rows.items():
        print(f"  {name:<30} {seconds:.3f}")


if __name__ == "__main__":
    main()
