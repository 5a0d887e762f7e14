"""What the page says of itself."""

__all__ = ["FIRST", "HELP", "STEP_HINTS", "STYLE"]

STEP_HINTS = {
    "opt": "On an arc: drag each box onto the image of its slit in the line at the reference "
           "wavelength, then fit. <b>Measure</b> does it with no hand.",
    "crv": "On a flat: drag the crosses onto the edges of the spectra, then fit. <b>Measure</b> "
           "finds the edges.",
    "ids": "On an arc: drag the heads of the arrows onto their lines, delete those that cannot be "
           "seen, then fit. <b>Measure</b> identifies the lines.",
}  # fmt: skip

FIRST = """
<b>How it goes.</b> Three steps, from left to right: where the <b>slits</b> fall, how their
<b>traces</b> bend, where the <b>lines</b> lie. In each, <b>measure</b> or drag the markers,
look at the residuals, and <b>fit</b>. Then <b>save</b>. Everything can be undone, and nothing is
lost when the page is closed. Press <kbd>?</kbd> for keys and mouse.
"""

_KEYS = (
    ("drag a marker", "move it; with several selected, all of them"),
    ("click a marker", "select it; <kbd>Shift</kbd> adds to the selection"),
    ("<kbd>Shift</kbd> + drag", "select all markers in a rectangle"),
    ("drag the frame, wheel", "pan, zoom; the wheel over an axis zooms that axis alone"),
    ("<kbd>d</kbd>", "delete what is selected, or the marker under the cursor"),
    ("<kbd>m</kbd>", "mark: add a marker at the cursor; a line is named from the catalogue"),
    ("arrow keys", "move what is selected by 1 px, with <kbd>Shift</kbd> by 0.1 px"),
    ("<kbd>f</kbd>", "fit the model to its markers"),
    ("<kbd>u</kbd> / <kbd>r</kbd>", "undo / redo"),
    ("<kbd>n</kbd> / <kbd>p</kbd>", "next / previous slit: of the list, or slit by slit"),
    ("<kbd>s</kbd>", "select all markers of the slit under the cursor"),
    ("<kbd>w</kbd>", "the whole frame"),
    ("<kbd>Esc</kbd>", "select nothing; close this help"),
    ("<kbd>?</kbd>", "this help, and away with it"),
)

HELP = (
    "<table class='keys'>"
    + "".join(f"<tr><td>{keys}</td><td>{what}</td></tr>" for keys, what in _KEYS)
    + "</table><p>Slits are listed with the worst first: click one to go there. Click a point of "
    "the residuals to see its marker. <i>Residual</i>: measured minus fitted, px. <i>Degrees</i> "
    "of OPT are those in X and Y of the mask; of CRV and IDS those along the trace or in "
    "wavelength, then those in x and y over the frame.</p>"
)

STYLE = """
:host { font-family: system-ui, sans-serif; font-size: 13px; color: #1a202c; }
kbd { border: 1px solid #a0aec0; border-radius: 3px; padding: 0 4px; background: #edf2f7;
      font-family: inherit; font-size: 12px; }
.keys td { padding: 1px 8px 1px 0; vertical-align: top; }
:host(.card) { background: #fffbea; border: 1px solid #ecc94b; border-radius: 5px;
               padding: 6px 10px; }
:host(.help) { position: fixed; top: 90px; left: calc(50% - 330px); width: 640px; z-index: 100;
               background: #fffbea; border: 1px solid #ecc94b; border-radius: 6px; padding: 12px;
               box-shadow: 0 6px 24px rgba(0, 0, 0, 0.35); }
:host(.said) { height: 96px; overflow-y: auto; border: 1px solid #cbd5e0; border-radius: 4px;
        padding: 4px 8px; background: white; white-space: pre-line; }
.error { color: #c53030; font-weight: 600; } .warning { color: #975a16; }
:host(.readout) { font-variant-numeric: tabular-nums; font-size: 13px; padding: 2px 4px; }
:host(.name) { font-size: 15px; font-weight: 600; padding-right: 10px; }
:host(.hint) { color: #4a5568; padding: 2px 0; }
:host(.busy) { color: #975a16; font-weight: 600; }
"""
