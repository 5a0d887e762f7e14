"""How far a calibration is from the truth of the simulation, in pixels of the detector."""

import numpy as np

__all__ = ["accuracy_against", "accuracy_lines"]


def accuracy_against(observation, cal, n_wavelengths=200, n_positions=11):
    """Compare the calibrated slits with the ray trace.

    Parameters
    ----------
    observation : specwcs.simulate.Observation
    cal : Calibration
    n_wavelengths, n_positions : int, optional
        Of the even grid of points in each slit: over all wavelengths of the calibration that
        the passband lets through and that fall on the detector, and from edge to edge.

    Returns
    -------
    dict
        ``"wavelength_px"``, ``"wavelength_angstrom"``, ``"edges_px"``: rms over all slits that
        are calibrated, reference slits excepted; ``"slits"``: the same for each slit.
    """
    start = max(cal.ids.domain[0], observation.passband[0])
    stop = min(cal.ids.domain[1], observation.passband[1])
    wavelength = np.linspace(start, stop, n_wavelengths)
    t = (np.arange(n_positions) + 0.5) / n_positions
    errors = {
        key: _errors(observation, cal, key, wavelength, t)
        for key in cal.good()
        if not cal.mask[key].reference
    }
    names = ("wavelength_px", "wavelength_angstrom", "edges_px")
    slits = {
        key: {name: _rms(values) for name, values in zip(names, parts, strict=True)}
        for key, parts in errors.items()
    }
    pooled = zip(*errors.values(), strict=True) if errors else [[[]]] * 3
    total = {n: _rms(np.concatenate(parts)) for n, parts in zip(names, pooled, strict=True)}
    return {**total, "range_angstrom": [start, stop], "slits": slits}


def _errors(observation, cal, key, wavelength, t):
    """Return the errors along the dispersion (px and Angstrom), and of both edges (px)."""
    along, _, on, found, _ = _compare(observation, cal, key, wavelength, t)
    angstrom = found - wavelength
    pixels = angstrom * np.gradient(along, wavelength, axis=1)
    _, across, on_edge, _, found_t = _compare(observation, cal, key, wavelength, [0.0, 1.0])
    # An edge is off by what t is off there, times the length of the slit on the detector.
    edges = (found_t - [[0.0], [1.0]]) * np.abs(across[0] - across[1])
    return pixels[on], angstrom[on], edges[on_edge]


def _compare(observation, cal, key, wavelength, t):
    """Trace light to pixels by the simulation, and back by the calibration.

    Returns
    -------
    along, across : ndarray, shape (t, wavelength)
        True pixels.
    on : ndarray of bool
        Whether they are on the detector.
    wavelength, t : ndarray
        What the calibration says of them.
    """
    ny, nx = cal.instrument.shape
    x, y = observation.pixel(key, *np.broadcast_arrays(np.reshape(t, (-1, 1)), wavelength))
    on = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)
    return *cal.instrument.direction.split(x, y), on, *cal.geometry(key).world(x, y)


def _rms(values):
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else np.nan


def accuracy_lines(accuracy):
    """Write the accuracy for people: all slits, and the least accurate ones.

    Returns
    -------
    list of str
    """
    low, high = accuracy["range_angstrom"]
    slits = accuracy["slits"]
    worst = sorted(slits, key=lambda key: -slits[key]["wavelength_px"])[:5]
    lines = [
        f"accuracy against the simulated truth, over {low:.0f} to {high:.0f} Å and whole slits:",
        f"  wavelengths  {accuracy['wavelength_px']:.3f} px rms "
        f"({accuracy['wavelength_angstrom']:.3f} Å)",
        f"  edges        {accuracy['edges_px']:.3f} px rms",
        "  least accurate slits:",
        "    slit  wavelength px      Å   edges px",
    ]
    for key in worst:
        slit = slits[key]
        lines.append(
            f"    {key:<5} {slit['wavelength_px']:>12.3f} {slit['wavelength_angstrom']:>8.3f}"
            f" {slit['edges_px']:>9.3f}"
        )
    return lines
