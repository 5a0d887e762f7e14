"""The report page: what it tells is true, and it needs nothing but itself."""

import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread
from report_cases import calibrated

import specwcs
from specwcs import calibration
from specwcs.calibration import SlitStatus
from specwcs.errors import InputError
from specwcs.simulate import example


class Page(HTMLParser):
    """Tables by the id of their section, pictures, and everything a browser would fetch."""

    def __init__(self, path):
        super().__init__()
        self.tables, self.pictures, self.fetched, self.open = {}, [], [], []
        self.section, self.text = None, ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "section":
            self.section = attrs["id"]
        elif tag == "table":
            self.tables.setdefault(self.section, []).append([])
        elif tag == "tr":
            self.tables[self.section][-1].append([])
        elif tag in ("td", "th"):
            self.tables[self.section][-1][-1].append("")
            self.open.append(tag)
        elif tag == "img":
            kind, data = attrs["src"].split(",", 1)
            assert kind == "data:image/png;base64"
            assert attrs["alt"]
            self.pictures.append(imread(BytesIO(b64decode(data))))
        self.fetched += [attrs[key] for key in ("href", "action") if key in attrs]
        assert tag not in ("script", "link", "iframe", "object")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.open.pop()

    def handle_data(self, data):
        self.text += data
        if self.open:
            self.tables[self.section][-1][-1][-1] += data


# Of what does not depend on it; the page itself is written in both.
one_direction = pytest.mark.parametrize("case", ["BU"], indirect=True)


@pytest.fixture(scope="module")
def page(case, tmp_path_factory):
    _, cal, flat, arc, _ = case
    path = tmp_path_factory.mktemp("page") / "report.html"
    specwcs.write_report(cal, path, flat=flat, arc=arc, previous=cal)
    return Page(path)


def test_the_page_stands_alone_and_its_pictures_show_something(page):
    assert page.source.startswith("<!DOCTYPE html>")
    assert not page.fetched
    assert not re.search(r"https?:|url\(", page.source)
    assert len(page.pictures) >= 5
    for picture in page.pictures:
        assert min(picture.shape[:2]) > 100
        assert picture[..., :3].std() > 0.02
    assert len(page.source) < 3_000_000


def test_slits_stand_worst_first_with_their_reasons(page, case):
    _, cal, *_ = case
    head, *rows = page.tables["slits"][0]
    assert rows[0][0] == "03"
    assert {row[0] for row in rows} == set(cal.slits)
    assert "no light on the flat" in rows[0][2]
    for row in rows[1:]:
        status = cal.slits[row[0]]
        assert row[1] == "ok"
        assert row[3] == ("–" if np.isnan(status.rms) else f"{status.rms:.3f}")
        assert int(row[7]) == status.n_edges
    order = [float(row[3]) for row in rows[1:] if row[3] != "–"]
    assert order == sorted(order, reverse=True)
    assert len(head) == len(rows[0])


@one_direction
def test_lines_are_told_with_what_became_of_them(case, tmp_path):
    _, cal, *_ = case
    lines = cal.residuals[cal.residuals["kind"] == "line"]
    one, other = np.unique(lines["wavelength"].value)[:2]
    mine = lines["wavelength"].value == one
    dropped = lines[mine]
    dropped.remove_column("residual")
    dropped["used"], dropped["reason"] = False, np.full(len(dropped), "saturated")
    lines = cal.residuals.copy()
    gone = (lines["kind"] == "line") & (lines["wavelength"].value == one)
    off = (lines["kind"] == "line") & (lines["wavelength"].value == other)
    lines["residual"][off] += 5 * lines["residual"].unit
    expected = np.mean(lines["residual"].value[off & lines["used"]])
    cal = replace(cal, residuals=lines[~gone], dropped=dropped)
    specwcs.write_report(cal, tmp_path / "page.html")
    used, unused = Page(tmp_path / "page.html").tables["lines"]
    assert used[1][0] == f"{other:.2f}"
    assert float(used[1][4]) == pytest.approx(expected, abs=6e-4)
    assert unused[1] == [f"{one:.2f}", f"saturated ({len(dropped)})"]


@one_direction
def test_what_moved_is_told_slit_by_slit(case, tmp_path):
    _, cal, *_ = case
    moved, coefficients = cal.opt.copy(), cal.opt.coefficients.copy()
    coefficients[0, 0, 0] += 1.25
    moved.coefficients = coefficients
    later = replace(cal, opt=moved)
    specwcs.write_report(later, tmp_path / "page.html", previous=cal)
    _, *rows = Page(tmp_path / "page.html").tables["moved"][0]
    table = calibration.moved(cal, later)
    told = {row[0]: (float(row[1]), float(row[2])) for row in rows}
    assert list(told) == [row[0] for row in rows]
    for row in table:
        expected = (row["along"].value, row["across"].value)
        assert told[row["slit"]] == pytest.approx(expected, abs=6e-4)
    axis = 0 if cal.instrument.direction.along_x else 1
    assert np.mean(list(told.values()), axis=0)[axis] == pytest.approx(1.25, rel=0.1)


@one_direction
def test_slits_that_the_mask_file_spoils_are_told_and_stop_nothing(case, tmp_path):
    _, cal, flat, *_ = case
    spoilt = SlitStatus("unusable", "DIMX -3 is not above 0")
    cal = replace(cal, slits={"99": spoilt} | cal.slits)
    specwcs.write_report(cal, tmp_path / "page.html", flat=flat)
    _, *rows = Page(tmp_path / "page.html").tables["slits"][0]
    assert ["unusable", "DIMX -3 is not above 0"] in [row[1:3] for row in rows]


@one_direction
def test_slits_that_moved_off_the_frame(case, tmp_path):
    _, cal, *_ = case
    moved, coefficients = cal.opt.copy(), cal.opt.coefficients.copy()
    across = 1 if cal.instrument.direction.along_x else 0
    coefficients[across, 0, 0] += 100.0
    moved.coefficients = coefficients
    specwcs.write_report(replace(cal, opt=moved), tmp_path / "page.html", previous=cal)
    _, *rows = Page(tmp_path / "page.html").tables["moved"][0]
    assert any(row[1] == "+nan" for row in rows)
    assert rows[-1][1] == "+nan"


@one_direction
def test_text_from_files_is_text(case, tmp_path):
    _, cal, *_ = case
    hostile = "<script>alert(1)</script>"
    slits = {key: replace(s, flag="odd", reason=hostile) for key, s in cal.slits.items()}
    instrument = replace(cal.instrument, name=hostile)
    provenance = cal.provenance | {"fits": [hostile], "inputs": {"arc": [{"path": hostile}]}}
    cal = replace(cal, slits=slits, instrument=instrument, provenance=provenance)
    specwcs.write_report(cal, tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert "<script" not in page.source
    assert page.text.count(hostile) >= len(slits) + 3


@pytest.mark.parametrize(("direction", "empty"), [("UB", False), ("LR", True)])
def test_one_slit_and_none(direction, empty, tmp_path):
    obs = example(direction, (240, 500) if direction in ("LR", "RL") else (500, 240), 6, seed=2)
    cal = calibrated(obs, {})
    if empty:
        none = cal.residuals[:0]
        slits = {
            key: replace(s, flag="no lines", rms=np.nan, known=(np.nan, np.nan))
            for key, s in cal.slits.items()
        }
        covariance = {name: np.full_like(c, np.nan) for name, c in cal.covariance.items()}
        cal = replace(cal, residuals=none, slits=slits, covariance=covariance)
    specwcs.write_report(cal, tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert len(page.tables["slits"][0]) == 1 + len(cal.slits)
    assert ("No line was used." in page.text) == empty
    assert len(page.pictures) == 4


@one_direction
def test_existing_pages_are_kept(case, tmp_path):
    _, cal, *_ = case
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        specwcs.write_report(cal, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == "mine"
    specwcs.write_report(cal, tmp_path / "page.html", overwrite=True)
    assert Page(tmp_path / "page.html").pictures
