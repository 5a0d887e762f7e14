"""The page of a night: what was done, what failed and why, and where to look."""

from html import escape
from os.path import relpath
from pathlib import Path

from specwcs.files import atomic_path
from specwcs.report.html import document, paragraph, section

__all__ = ["write_summary"]

_HEAD = ("", "state", "slits", "spectra", "look at", "time (s)", "")


def write_summary(path, records, title):
    """Write the page.

    Parameters
    ----------
    path : path-like
        Replaced where it exists.
    records : list of Record
    title : str
    """
    failed = [record for record in records if not record.done]
    partly = [record for record in records if record["status"] == 3]
    done = f"{len(records) - len(failed)} of {len(records)} tasks are done"
    verdict = f"{done}; {len(partly)} of them without some slits." if partly else f"{done}."
    order = [*failed, *partly, *(r for r in records if r["status"] == 0)]
    rows = "".join(_row(record, Path(path).parent) for record in order)
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    body = [
        paragraph(verdict, "lead"),
        section(
            "tasks", "Tasks, those that failed first",
            f'<div class="scroll"><table><tr>{head}</tr>{rows}</table></div>',
        ),
    ]  # fmt: skip
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text(document(title, body), encoding="utf-8")


def _row(record, folder):
    facts = record["facts"]
    exposures = list(facts.get("exposures", {}).values())
    spectra = sum(len(exposure.get("spectra", [])) for exposure in exposures)
    slits = facts.get("n_good", sum(len(e.get("rectified", [])) for e in exposures))
    page = facts.get("report") or next((e.get("page") for e in exposures if e.get("page")), None)
    link = f'<a href="{escape(relpath(page, folder))}">page</a>' if page else ""
    cells = (
        escape(record["name"]),
        escape(record["state"]),
        str(slits) if record.done else "",
        str(spectra) if record["kind"] == "extract" and record.done else "",
        link,
        f"{record['seconds']:.0f}" if record["repeated"] else "unchanged",
        escape(record["error"]),
    )
    kind = "" if record["status"] == 0 else ' class="bad"'
    return f"<tr{kind}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
