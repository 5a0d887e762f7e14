"""Values of a frame as 256 shades."""

import numpy as np
from astropy.visualization import (
    AsinhStretch,
    LinearStretch,
    LogStretch,
    SqrtStretch,
    ZScaleInterval,
)

__all__ = ["CUTS", "STRETCHES", "limits", "shades"]

CUTS = ("zscale", "99.5 %", "98 %", "min, max")
"""How the darkest and the brightest value are chosen."""

STRETCHES = {
    "linear": LinearStretch(),
    "sqrt": SqrtStretch(),
    "asinh": AsinhStretch(0.05),
    "log": LogStretch(),
}
"""How shades are spread between them."""

_SAMPLE = 300_000  # values are enough to choose limits


def limits(image, cut):
    """Return the values that are black and white.

    Parameters
    ----------
    image : ndarray
    cut : str
        One of `CUTS`.
    """
    step = max(1, round(np.sqrt(image.size / _SAMPLE)))
    sample = image[step // 2 :: step, step // 2 :: step]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 1.0
    if cut == "zscale":
        low, high = ZScaleInterval().get_limits(sample)
    elif cut == "min, max":
        low, high = np.nanmin(image), np.nanmax(image)
    else:
        rest = (100 - float(cut.rstrip(" %"))) / 2
        low, high = np.percentile(sample, (rest, 100 - rest))
    return float(low), float(high) if high > low else float(low) + 1.0


def shades(values, low, high, stretch):
    """Return bytes from 1 (black) to 255 (white); 0 where there is no value."""
    scaled = np.clip((values - low) / (high - low), 0, 1)
    bad = np.isnan(scaled)
    scaled[bad] = 0
    if stretch != "linear":
        scaled = STRETCHES[stretch](scaled, clip=False)
    result = (1 + 254 * scaled).astype(np.uint8)
    result[bad] = 0
    return result
