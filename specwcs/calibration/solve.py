"""From markers to a calibration: the one path of automatic and manual work.

OPT is fitted to boxes (where points of slits fall at the reference wavelength), CRV to
edges, IDS to lines. Without boxes they are derived from all lines and edges, moved to the
reference wavelength by the dispersion and the curvature that the field has in common, so
that no bright isolated reference line is needed.
"""

import numpy as np
from astropy.table import QTable, vstack
from threadpoolctl import threadpool_limits

from specwcs.errors import FitError, InputError
from specwcs.markers import Markers
from specwcs.models import CurvatureModel, DispersionModel, FieldPolynomial, OpticalModel
from specwcs.models.slit import TraceShape

from .bundle import Calibration, SlitStatus, residual_table
from .field_fit import Points, degree_limits, fit_field

__all__ = ["solve"]

_HIGHEST = {"OPT": (4, 4), "CRV": (4, 3, 4), "IDS": (6, 3, 4)}
_BOX_BINS = 24  # positions along a slit at which boxes are derived
_DEFAULT_SIGMA = 0.1  # px: of a marker that states no error, placed by hand
_BAD_RMS = 1.0  # px: a slit whose own lines scatter by more is not calibrated
_BAD_SHARE = 0.5  # likewise where more of its line points than this were rejected


# The matrices are small: more than one BLAS thread only waits for the other.
@threadpool_limits.wrap(limits=1, user_api="blas")
def solve(instrument, mask, markers, *, medium, opt="auto", crv="auto", ids="auto",
          flips=(False, False), faults=None, provenance=None):  # fmt: skip
    """Fit OPT, CRV and IDS to markers.

    Parameters
    ----------
    instrument : Instrument
    mask : Mask
    markers : Markers
        Kinds edge and line are needed; box where reference positions were measured.
    medium : {"air", "vacuum"}
        Of the wavelengths of the markers.
    opt : tuple of int or "auto"
        Degrees of OPT in X and Y.
    crv, ids : tuple of int or "auto"
        Local degree, field degrees in x and y.
    flips : tuple of bool
        Whether the mask is flipped in X and in Y.
    faults : mapping of str to (str, str), optional
        Flag and reason of slits that the measurement found at fault.
    provenance : dict, optional

    Returns
    -------
    Calibration

    Raises
    ------
    FitError
        If the markers do not determine a model.
    InputError
        If degrees are invalid, or a marker names an unknown slit.
    """
    mask = mask.oriented(instrument.direction, flipx=flips[0], flipy=flips[1])
    unknown = sorted(set(markers["slit"]) - set(mask))
    if unknown:
        raise InputError(
            f"markers of unknown slits {', '.join(unknown[:5])}",
            f"The mask has {', '.join(list(mask)[:8])} …",
        )
    fitter = _Fitter(instrument, mask, {"OPT": opt, "CRV": crv, "IDS": ids})
    boxes, edges, lines = (markers.select(k, used=True) for k in ("box", "edge", "line"))
    if not len(boxes):
        boxes = fitter.derive_boxes(lines, edges)
    opt_model, opt_fits = fitter.fit_opt(boxes, flips)
    crv_model, crv_fit = fitter.fit_crv(opt_model, edges)
    ids_model, ids_fit, lines = fitter.fit_ids(opt_model, crv_model, lines)
    off_x, off_y = (fit.residuals for fit in opt_fits)
    tables = [
        residual_table(boxes, np.hypot(off_x, off_y), opt_fits[0].used & opt_fits[1].used),
        residual_table(edges, crv_fit.residuals, crv_fit.used),
        residual_table(lines, ids_fit.residuals, ids_fit.used),
    ]
    residuals = QTable(vstack(tables))
    return Calibration(
        instrument=instrument,
        mask=mask,
        opt=opt_model,
        crv=crv_model,
        ids=ids_model,
        covariance={
            "opt_x": opt_fits[0].covariance,
            "opt_y": opt_fits[1].covariance,
            "crv": crv_fit.covariance,
            "ids": ids_fit.covariance,
        },
        slits=_statuses(mask, residuals, faults or {}),
        residuals=residuals,
        medium=medium,
        provenance={**(provenance or {}), "fits": fitter.notes},
    )


class _Fitter:
    """The fits of one `solve`; they share the mask, the detector and the wanted degrees.

    `notes` collects what was done, for the provenance.
    """

    def __init__(self, instrument, mask, wanted):
        self.instrument, self.mask, self.direction = instrument, mask, instrument.direction
        self.limits = {k: degree_limits(k, v, _HIGHEST[k]) for k, v in wanted.items()}
        self.notes = []
        ny, nx = instrument.shape
        self.detector = {"x_domain": (-0.5, nx - 0.5), "y_domain": (-0.5, ny - 0.5)}
        reach = np.abs(np.concatenate([slit.corners() for slit in mask.values()])).max(axis=0)
        # A slit at the middle of an axis still needs a domain there: take the other's reach.
        reach = np.where(reach > 1e-3 * reach.max(), reach, reach.max())
        self.plane = {"x_domain": (-reach[0], reach[0]), "y_domain": (-reach[1], reach[1])}

    def _mask_points(self, slits, t):
        X, Y = np.empty(len(slits)), np.empty(len(slits))
        for key in np.unique(slits):
            mine = np.asarray(slits) == key
            X[mine], Y[mine] = self.mask[key].curve(np.asarray(t)[mine])
        return X, Y

    def _split(self, markers):
        return self.direction.split(markers["x"].value, markers["y"].value)

    def _points(self, markers, field, u, values, *, lines=False):
        sigma = markers["sigma"].value
        sigma = np.where(np.isfinite(sigma), sigma, _DEFAULT_SIGMA)
        slit, t = np.asarray(markers["slit"]), markers["t"].value
        finite = (np.where(np.isfinite(v), v, np.nan) for v in (*field, u, values))
        return Points(*finite, sigma, slit, t, lines)

    def _fit(self, cls, points, limits, what, include=(), **domains):
        model, fit, notes = fit_field(cls, points, limits, what=what, include=include, **domains)
        self.notes += notes
        return model, fit

    # -- boxes -------------------------------------------------------------

    def derive_boxes(self, lines, edges):
        """Return boxes from lines and edges, moved to the reference wavelength."""
        for kind, found in (("lines", lines), ("edges", edges)):
            if not len(found):
                msg = f"OPT: no {kind} to derive it from. Measure them, or give boxes."
                raise FitError(msg)
        reference = self.instrument.reference_lambda
        along, _ = self._split(lines)
        wavelength = lines["wavelength"].value
        moved, model = self._move(lines, wavelength, along, reference, "IDS", "lines on the mask")
        X, Y = self._mask_points(edges["slit"], edges["t"])
        along, across = self._split(edges)
        d = self.direction.sign * (along - model(X, Y, np.full(len(X), reference)))
        moved_edges, edge_model = self._move(edges, d, across, 0.0, "CRV", "edges on the mask")
        tables = []
        for key in np.unique(lines["slit"]):
            mine, ends = lines["slit"] == key, edges["slit"] == key
            across = self._across(key, edges["t"].value[ends], moved_edges[ends], edge_model)
            tables.append(self._slit_boxes(key, lines[mine], moved[mine], across))
        return Markers.join(tables)

    def _move(self, markers, u, values, reference, kind, what):
        """Move positions to u = reference by a fit over the mask; NaN where it rejects."""
        X, Y = self._mask_points(markers["slit"], markers["t"])
        points = self._points(markers, (X, Y), u, values, lines=kind == "IDS")
        limits = [(k[0], *o) for k, o in zip(self.limits[kind], self.limits["OPT"], strict=True)]
        model, fit = self._fit(FieldPolynomial, points, limits, what, (reference,), **self.plane)
        moved = values - model(X, Y, u) + model(X, Y, np.full(len(X), reference))
        return np.where(fit.used, moved, np.nan), model

    def _across(self, key, t_edges, across, edge_model):
        """Return across(t) of a slit at the reference wavelength.

        Straight between its edges; an edge that was not measured comes from the field.
        """
        ends = []
        for end in (0.0, 1.0):
            mine = np.isfinite(across) & (np.abs(t_edges - end) < 0.25)
            enough = mine.sum() >= 3
            ends.append(
                np.mean(across[mine])
                if enough
                else float(edge_model(*self.mask[key].curve(end), 0.0))
            )
        return lambda t: ends[0] + t * (ends[1] - ends[0])

    def _slit_boxes(self, key, lines, along, across):
        t, sigma = lines["t"].value, lines["sigma"].value
        bins = np.where(np.isfinite(along), np.floor(t * _BOX_BINS), np.nan)
        rows = []
        for k in np.unique(bins[np.isfinite(bins)]):
            chosen = bins == k
            n = chosen.sum()
            spread = max(np.std(along[chosen]), np.median(sigma[chosen])) / np.sqrt(n)
            rows.append((np.mean(t[chosen]), np.mean(along[chosen]), spread))
        if not rows:
            return Markers.join([])
        t, along, sigma = np.transpose(rows)
        x, y = self.direction.join(along, across(t))
        reference = self.instrument.reference_lambda
        return Markers.of("box", key, t, x, y, sigma=sigma, wavelength=reference)

    # -- the three models --------------------------------------------------

    def fit_opt(self, boxes, flips):
        """Fit OPT to boxes, both axes with the same degrees."""
        X, Y = self._mask_points(boxes["slit"], boxes["t"])
        points = [
            self._points(boxes, (X, Y), np.zeros(len(boxes)), boxes[axis].value) for axis in "xy"
        ]

        def fit(limits):
            named = zip(points, "xy", strict=True)
            return zip(
                *(
                    self._fit(FieldPolynomial, p, limits, f"OPT {a}", **self.plane)
                    for p, a in named
                ),
                strict=True,
            )

        models, fits = fit([(0, *degrees) for degrees in self.limits["OPT"]])
        degrees = tuple(np.max([model.degrees for model in models], axis=0).tolist())
        if any(model.degrees != degrees for model in models):
            models, fits = fit((degrees, degrees))
        return self._optical(models, flips), fits

    def _optical(self, models, flips):
        """Join the polynomials of x0 and y0 of the mask to an OpticalModel."""
        _, n, m = models[0].degrees
        opt = OpticalModel(n, m, **self.plane, x_flipped=flips[0], y_flipped=flips[1])
        coefficients = np.array([model.coefficients[0] for model in models])
        # A flip changes the sign of the odd powers, and the domains are symmetric.
        if flips[0]:
            coefficients[:, 1::2, :] *= -1
        if flips[1]:
            coefficients[:, :, 1::2] *= -1
        opt.coefficients = coefficients
        return opt

    def fit_crv(self, opt, edges):
        """Fit CRV to edges."""
        x0, y0 = opt(*self._mask_points(edges["slit"], edges["t"]))
        along0, across0 = self.direction.split(x0, y0)
        along, across = self._split(edges)
        d = self.direction.sign * (along - along0)
        points = self._points(edges, (x0, y0), d, across - across0)
        return self._fit(CurvatureModel, points, self.limits["CRV"], "CRV", (0.0,), **self.detector)

    def fit_ids(self, opt, crv, lines):
        """Fit IDS to lines, each at the t where the traces say that it lies."""
        t, d = np.full(len(lines), np.nan), np.full(len(lines), np.nan)
        x, y = lines["x"].value, lines["y"].value
        for key in np.unique(lines["slit"]):
            mine = np.asarray(lines["slit"] == key)
            shape = TraceShape.from_models(opt, crv, self.mask[key], self.direction)
            d[mine], t[mine] = shape.trace_from_pixel(x[mine], y[mine])
        lines = lines[np.isfinite(t)]
        d, lines["t"] = d[np.isfinite(t)], t[np.isfinite(t)]
        x0, y0 = opt(*self._mask_points(lines["slit"], lines["t"].value))
        points = self._points(lines, (x0, y0), lines["wavelength"].value, d, lines=True)
        model, fit = self._fit(DispersionModel, points, self.limits["IDS"], "IDS", **self.detector)
        return model, fit, lines


def _statuses(mask, residuals, faults):
    """Judge each slit by what was measured on it and how well that is held."""
    statuses = {
        key: SlitStatus("unusable", reason)
        for key, reason in mask.faults.items()
        if key not in mask
    }
    for key, slit in mask.items():
        mine = residuals[residuals["slit"] == key]
        lines, edges = (mine[mine["kind"] == kind] for kind in ("line", "edge"))
        used = lines[lines["used"]]
        rms = float(np.sqrt(np.mean(used["residual"].value ** 2))) if len(used) else np.nan
        flag, reason = faults.get(key, ("ok", ""))
        if flag == "ok" and not slit.reference and not len(lines):
            flag, reason = "no lines", "no arc line of the slit was measured"
        elif flag == "ok" and not len(lines) and not edges["used"].any():
            flag, reason = "not measured", "neither its edges nor its lines were measured"
        elif flag == "ok" and len(used) < (1 - _BAD_SHARE) * len(lines):
            flag = "inconsistent"
            reason = (
                f"{len(lines) - len(used)} of its {len(lines)} line points contradict the model"
            )
        elif flag == "ok" and rms > _BAD_RMS:
            flag, reason = "inconsistent", f"its lines scatter by {rms:.2f} px about the model"
        statuses[key] = SlitStatus(flag, reason, rms, len(used), int(edges["used"].sum()))
    return statuses
