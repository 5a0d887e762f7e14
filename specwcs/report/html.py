"""Plain, self-contained HTML: text is escaped, pictures are part of the page."""

import io
from base64 import b64encode
from html import escape

__all__ = ["details", "document", "embedded", "paragraph", "picture", "section", "table"]

_LONG = 24  # characters; longer text is given room

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --bad: #b34700; --good: #00714f; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff9a5c; --good: #4fd0a5; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; margin: .5rem 0 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .4rem 0; } .lead { font-size: 1.1rem; } .muted { opacity: .75; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { white-space: nowrap; background: var(--soft); }
td.number, th.number { text-align: right; white-space: nowrap; }
tr.bad td:first-child, .bad { color: var(--bad); font-weight: 600; }
.good { color: var(--good); font-weight: 600; }
td:not(.number) { min-width: 4rem; max-width: 34rem; } td.long { min-width: 18rem; }
img { max-width: 100%; height: auto; border-radius: 4px; background: white; }
figure { margin: .5rem 0 1rem; } figcaption { opacity: .75; }
summary { cursor: pointer; margin: .6rem 0; } code { font-size: .85em; word-break: break-all; }
nav a { margin-right: 1rem; } @media print { nav { display: none; } }
"""


def document(title, sections):
    """Return a whole page.

    Parameters
    ----------
    title : str
    sections : sequence of str
        Of HTML, from `section`; the first stands above the list of the others.

    Returns
    -------
    str
    """
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(sections) + "\n</body></html>\n"
    )


def section(name, title, *parts):
    """Return a part of the page under a heading; `parts` are HTML."""
    return f'<section id="{name}"><h2>{escape(title)}</h2>\n' + "\n".join(parts) + "\n</section>"


def paragraph(text, kind=""):
    """Return a paragraph of text, of a class of the style sheet."""
    return f'<p class="{kind}">{escape(text)}</p>'


def details(summary, *parts):
    """Return HTML that is folded away under a line of text."""
    return f"<details><summary>{escape(summary)}</summary>\n" + "\n".join(parts) + "</details>"


def table(columns, rows, bad=()):
    """Return a table.

    Parameters
    ----------
    columns : sequence of str
    rows : sequence of sequence
        Of text; numbers, as text too, stand to the right.
    bad : container of int
        The rows that are marked.
    """
    numeric = [_are_numbers([str(row[k]) for row in rows]) for k in range(len(columns))]
    cells = [' class="number"' if number else "" for number in numeric]
    head = "".join(f"<th{c}>{escape(name)}</th>" for c, name in zip(cells, columns, strict=True))
    body = "\n".join(
        ('<tr class="bad">' if n in bad else "<tr>")
        + "".join(
            f"<td{' class=long' if len(str(v)) > _LONG else c}>{escape(str(v))}</td>"
            for c, v in zip(cells, row, strict=True)
        )
        + "</tr>"
        for n, row in enumerate(rows)
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>'
        "</table></div>"
    )


def _are_numbers(texts):
    """Whether texts are numbers, or dashes for those that are missing."""
    known = [text for text in texts if text != "–"]
    try:
        [float(text) for text in known]
    except ValueError:
        return False
    return bool(known)


def picture(figure, caption):
    """Return a figure as a part of the page."""
    data = io.BytesIO()
    figure.savefig(data, format="png", bbox_inches="tight")
    return embedded(data.getvalue(), caption)


def embedded(png, caption):
    """Return a picture, the content of a PNG file, as a part of the page."""
    coded, text = b64encode(png).decode(), escape(caption)
    return (
        f'<figure><img src="data:image/png;base64,{coded}" alt="{text}">'
        f"<figcaption>{text}</figcaption></figure>"
    )
