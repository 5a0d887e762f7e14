"""Take the pictures of the tutorial from a real DS9, on a screen of its own.

``python docs/pictures/ds9_tutorial.py [folder]`` runs the core of the tutorial, with the
region files for a hand, and writes ``docs/_static/tutorial_*.png`` (or to the folder). It needs
DS9, Xvfb and ImageMagick.
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from specwcs import ModelsCalibration, simulate
from specwcs.viewers import open_viewer

DOCS = Path(__file__).parents[1]
REGIONS = DOCS / "tutorial" / "regions"
SETTLE = 1.0  # seconds for DS9 to paint
COLORS = 64  # of a picture: more only make it larger


@contextmanager
def own_screen(width=1500, height=1100):
    """Start an X server that nobody sees, and have DISPLAY name it."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{width}x{height}x24"]
    process = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as stream:
        os.environ["DISPLAY"] = f":{stream.readline().strip()}"
    try:
        yield
    finally:
        process.terminate()
        process.wait()


class Camera:
    """Takes pictures of a DS9.

    Parameters
    ----------
    viewer : Viewer
    folder : path-like
        Where pictures go.
    """

    def __init__(self, viewer, folder):
        self.viewer, self.folder = viewer, Path(folder)

    def bare(self):
        """Leave nothing in the window but the image."""
        for part in ("info", "panner", "magnifier", "buttons", "colorbar"):
            self.viewer._set(f"view {part} no")

    def size(self, width, height):
        """Give the image area this size, px."""
        self.viewer._set(f"width {width}")
        self.viewer._set(f"height {height}")
        time.sleep(SETTLE)

    def fit(self):
        """Show the whole frame."""
        self.viewer._set("zoom to fit")

    def look(self, x, y, width, height, frame=1):
        """Zoom to a part of the frame, of this centre and size, in a milder contrast."""
        self.viewer._set("scale sqrt")
        self.viewer._set("scale mode 99.5")
        self.viewer.look(x, y, width, height, frame)

    def take(self, name, whole=False):
        """Write the image area, or the whole window, to a PNG of few colours."""
        path = self.folder / f"tutorial_{name}.png"
        self._snap(path, whole)
        print(f"{path.name}: {path.stat().st_size // 1024} kB")

    def take_pair(self, name, act):
        """Take what is seen before and after `act()`, side by side."""
        halves = [self.folder / f"half{n}.png" for n in (1, 2)]
        self._snap(halves[0])
        act()
        self._snap(halves[1])
        path = self.folder / f"tutorial_{name}.png"
        gap = ["-background", "white", "-splice", "12x0"]
        _run("convert", halves[0], "(", halves[1], *gap, ")", "+append", f"PNG8:{path}")
        for half in halves:
            half.unlink()
        print(f"{path.name}: {path.stat().st_size // 1024} kB")

    def _snap(self, path, whole=False):
        time.sleep(SETTLE)
        screen, colors = path.with_suffix(".screen.png"), ["-colors", str(COLORS)]
        crop = ["-trim"] if whole else ["-crop", self._area()]
        _run("import", "-window", "root", screen)
        _run("convert", screen, *crop, "+repage", *colors, "-strip", f"PNG8:{path}")
        screen.unlink()

    def _area(self):
        """Where on the screen the image area is, as ImageMagick wants it."""
        out, script = self.folder / "area", self.folder / "area.tcl"
        script.write_text(
            f"update idletasks; set f [open {out} w]; puts $f [list [winfo width $ds9(canvas)] "
            "[winfo height $ds9(canvas)] [winfo rootx $ds9(canvas)] [winfo rooty $ds9(canvas)]]; "
            "close $f\n"
        )
        self.viewer._set(f"source {script}")
        numbers = out.read_text().split()
        out.unlink()
        script.unlink()
        return "{}x{}+{}+{}".format(*numbers)


def mos(files, camera):
    """Take the pictures of the slit mask."""
    lamp = files["mos/lamp"]
    calib = ModelsCalibration(files["mos/instrument"], files["mos/mask"], viewer=camera.viewer)
    opt = calib.new_opt_model(2, 2)
    calib.load_image(files["mos/arc"])
    calib.plot_opt_model()
    camera.take("window", whole=True)
    camera.bare()
    camera.size(1200, 600)
    camera.fit()
    camera.take("not_flipped")
    opt.flipy()
    calib.plot_opt_model()
    camera.take("flipped")

    def fit_boxes():
        calib.read_regions(REGIONS / "mos" / "opt.reg")
        calib.fit_opt_model()
        calib.plot_opt_model()

    camera.size(600, 420)
    camera.look(880, 840, 500, 330)
    camera.take_pair("boxes", fit_boxes)

    def fit_crosses():
        calib.read_regions(REGIONS / "mos" / "crv.reg")
        calib.fit_crv_model()
        calib.plot_crv_model(20)

    calib.new_crv_model(2, 2, 2)
    calib.load_image(files["mos/flat"])
    calib.set_trace_limits(800, 800)
    calib.plot_crv_model(9)
    camera.look(350, 130, 420, 270)
    camera.take_pair("crosses", fit_crosses)

    def fit_arrows():
        calib.read_regions(REGIONS / "mos" / "ids_global.reg")
        calib.fit_ids_model()

    calib.new_ids_model(3, 2, 2)
    calib.load_image(files["mos/arc"])
    calib.plot_ids_model(lamp, wstart=5000.0, wend=10000.0)
    camera.look(300, 600, 330, 210)
    camera.take_pair("arrows", fit_arrows)
    figures = {"slice": calib.plot_slice("49"), "residuals": calib.plot_residuals("ids")}

    calib.new_ids_model(3, 2, 2)
    camera.size(1000, 520)
    calib.ids_iter(lamp, wstart=5000.0)
    calib.read_regions(REGIONS / "mos" / "ids120.reg")
    calib.next()
    for frame, row in ((1, 570), (2, 650)):
        camera.look(420, row, 560, 130, frame)
    camera.take("slit_by_slit")
    calib.stop_iter(fit=False)
    return figures


def long_slit(files, camera):
    """Take the pictures of the long slit."""
    args = files["longslit/instrument"], files["longslit/mask"]
    calib = ModelsCalibration(*args, viewer=camera.viewer)
    camera.size(1200, 375)
    calib.new_opt_model(1, 1)
    calib.load_image(files["longslit/science"])
    calib.plot_opt_model(edit=True)
    camera.fit()
    camera.take("polygon")

    def fit_polygon():
        calib.read_regions(REGIONS / "longslit" / "opt.reg")
        calib.fit_opt_model()
        calib.plot_opt_model(edit=True)

    camera.size(400, 400)
    camera.look(1030, 595, 90, 90)
    camera.take_pair("corners", fit_polygon)
    camera.size(1200, 375)
    calib.new_crv_model(2, 0, 1)
    calib.set_trace_limits(1000, 1000)
    calib.plot_crv_model(7, pos=(0, 1))
    camera.fit()
    camera.take("edges")
    calib.read_regions(REGIONS / "longslit" / "crv.reg")
    calib.fit_crv_model()

    def fit_pieces():
        calib.read_regions(REGIONS / "longslit" / "ids.reg")
        calib.fit_ids_model()

    calib.new_ids_model(3, 0, 2)
    calib.plot_ids_model(files["longslit/sky"], wstart=15000.0, nsplit=7)
    camera.size(500, 700)
    camera.look(1740, 320, 430, 640)
    camera.take_pair("pieces", fit_pieces)


def _run(*words):
    subprocess.run([str(word) for word in words], check=True)


if __name__ == "__main__":
    pictures = Path(sys.argv[1] if len(sys.argv) > 1 else DOCS / "_static").absolute()
    with tempfile.TemporaryDirectory() as place, own_screen():
        os.environ["XDG_STATE_HOME"] = place
        written = simulate.tutorial(place)
        with open_viewer("ds9") as ds9:
            studio = Camera(ds9, pictures)
            drawn = mos(written.files, studio)
            long_slit(written.files, studio)
        for plot, figure in drawn.items():
            figure.savefig(pictures / f"tutorial_{plot}.png", dpi=80)
