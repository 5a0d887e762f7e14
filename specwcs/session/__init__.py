"""The calibration session: models, eye and hand on one set of frames.

`ModelsCalibration` is what a person works with, at a prompt, in a notebook or in a script.
Around it:

- `layer`: the markers on the screen, and where they were placed;
- `state`: what the session knows at one moment, immutable, and the way back and forth;
- `journal`: every step on disk, from which a session that died is resumed;
- `screen`: what a viewer is told, and what happens when it does not answer;
- `core`, `fits`, `measuring`, `looking`, `touring`, `session`: its calls, each built on those
  before;
- `tour`: where the way slit by slit stands;
- `cut`: the spectrum along one slit;
- `summary`: the table of a fit;
- `stored`: models from and to files.
"""

from .session import ModelsCalibration
from .summary import FitSummary

__all__ = ["FitSummary", "ModelsCalibration"]
