"""The fits of OPT, CRV and IDS to markers, one by one: of a session, and of `solve`."""

import re
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from astropy import units as u
from astropy.table import QTable

from specwcs.errors import FitError, InputError
from specwcs.models import CurvatureModel, DispersionModel, FieldPolynomial, OpticalModel
from specwcs.models.slit import TraceShape

from .confirm import CONFIRM
from .field_fit import degree_limits, fit_field
from .local import LocalTerms
from .points import Points
from .roughness import rough_slits
from .smoothness import CURVATURE, DISPERSION, POSITION, Smoothness

__all__ = ["MODELS", "ModelFit", "ModelFitter", "residual_table"]

MODELS = ("opt", "crv", "ids")
"""The three models by their names, in the order in which they are fitted."""

# The last two along and across the dispersion: most slits stand side by side across it.
_HIGHEST = {"opt": (4, 4), "crv": (4, 3, 4), "ids": (6, 3, 4)}
_SIZES = {"opt": POSITION, "crv": CURVATURE, "ids": DISPERSION}
_DEFAULT_SIGMA = 0.1  # px: of a marker that states no error, placed by hand
_APART = 1e-3  # mm: places on the mask that are nearer to each other tell no scale
_OFF_TRACES = "no trace of its slit leads there"


@dataclass(frozen=True, eq=False)
class ModelFit:
    """One of the three models, and what is known of its fit.

    Parameters
    ----------
    model : OpticalModel, CurvatureModel or DispersionModel
    origin : {"fitted", "untested", "stale", "read", "nominal"}
        Where it comes from: a fit to markers, or to markers that mostly stand where the model
        had put them; a fit on models that have changed since; a file or a hand that tells of
        no fit; or the nominal values of instrument and mask.
    covariance : dict of str to ndarray
        Of the parameters, ``"opt_x"`` and ``"opt_y"``, ``"crv"`` or ``"ids"``; NaN where it
        is not known.
    residuals : QTable or None
        The markers that were fitted, ``residual`` in px (measured minus fitted), ``used``.
    ranks : tuple of int
        Rank of each fit, equal to its number of parameters.
    notes : tuple of str
        What was done, in sentences.
    local : LocalTerms
        Of CRV and IDS: what single slits deviate by; the last parameters of the covariance.
    changes : ndarray, shape (n, n_parameters), or None
        Of IDS: by what the parameters change without each line, and without lines beyond a gap
        that no others confirm.
    """

    model: object
    origin: str
    covariance: dict = field(repr=False)
    residuals: QTable | None = field(default=None, repr=False)
    ranks: tuple = ()
    notes: tuple = field(default=(), repr=False)
    local: LocalTerms = field(default_factory=LocalTerms, repr=False)
    changes: np.ndarray | None = field(default=None, repr=False)

    @classmethod
    def unfitted(cls, model, origin):
        """Make the record of a model that no fit is known of."""
        n, name = len(model.parameters), _name_of(model)
        unknown = {name: np.full((n, n), np.nan)}
        if name == "opt":
            unknown = {f"opt_{axis}": np.full((n // 2, n // 2), np.nan) for axis in "xy"}
        return cls(model, origin, unknown)

    def untested(self):
        """Return the record of a fit to markers that mostly stand where the model had put them."""
        return replace(
            ModelFit.unfitted(self.model, "untested"),
            residuals=self.residuals,
            ranks=self.ranks,
            notes=self.notes,
        )

    @property
    def model_name(self):
        """``"opt"``, ``"crv"`` or ``"ids"``."""
        return _name_of(self.model)


def _name_of(model):
    return MODELS[[OpticalModel, CurvatureModel, DispersionModel].index(type(model))]


def residual_table(markers, residual, used):
    """Return the table of residuals of markers: their columns, and the residual in px."""
    table = QTable(markers, copy=True)
    table["residual"] = u.Quantity(residual, u.pix)
    table["used"] = used
    return table


class ModelFitter:
    """Fits the models of one instrument and mask.

    Parameters
    ----------
    instrument : Instrument
    mask : Mask
        Oriented as it falls on the detector.
    degrees : mapping of str to tuple or "auto"
        Of ``"opt"``, ``"crv"``, ``"ids"``.
    by_hand : bool
        Whether OPT rests on single boxes whose errors the constant terms of CRV and IDS may
        take up.
    off : container of str, optional
        Slits that fall off the detector: the domains of OPT end with the others.
    confirm : int, optional
        How many lines confirm each other.

    Attributes
    ----------
    half : float
        Half the length of the frame along the dispersion, px.
    """

    def __init__(self, instrument, mask, degrees, *, by_hand, off=(), confirm=CONFIRM):
        self.by_hand, self.confirm = by_hand, confirm
        self.instrument, self.mask, self.direction = instrument, mask, instrument.direction
        self.limits = {
            name: degree_limits(name, wanted, self._highest(name))
            for name, wanted in degrees.items()
        }
        ny, nx = instrument.shape
        self.detector = {"x_domain": (-0.5, nx - 0.5), "y_domain": (-0.5, ny - 0.5)}
        self.plane = mask_domains({k: slit for k, slit in mask.items() if k not in off} or mask)
        self.half = 0.5 * self.direction.split(nx, ny)[0]

    def likely(self, name, on_mask=None, *, across=False):
        """Return the likely sizes of the terms of a model, as `fit_field` takes them.

        Parameters
        ----------
        name : str
        on_mask : Markers, optional
            If the field is the mask: where these are in it, and on the frame, tells its size.
        across : bool, optional
            Whether the values are positions across the dispersion, as those of CRV always are.
        """
        aspect = self.instrument.aspect
        domains, scales = self.detector, self.direction.join(1.0, aspect)
        if on_mask is not None:
            mm = self.direction.split(*self.mask_points(on_mask))[1]
            px = self.split(on_mask)[1]
            known = np.isfinite(px)
            mm, px = mm[known], px[known]
            if len(mm) and np.ptp(mm) > _APART:
                scale = abs(np.polyfit(mm - mm.mean(), px, 1)[0])
            else:  # a mask fills the frame, or nearly so
                room = self.direction.split(*self.instrument.shape[::-1])[1]
                scale = room / np.ptp(self.direction.split(*self.plane.values())[1])
            domains, scales = self.plane, (scale * aspect, scale * aspect)
        reach = tuple(
            0.5 * scale * np.ptp(domains[axis])
            for axis, scale in zip(("x_domain", "y_domain"), scales, strict=True)
        )
        # On the mask, the constant is not what OPT leaves, but all of it.
        sizes = (
            _SIZES[name] if on_mask is None else replace(_SIZES[name], constant=POSITION.constant)
        )
        side = aspect if across or name == "crv" else 1.0
        return partial(Smoothness.over, sizes, self.half, reach, side)

    def mask_points(self, markers):
        """Return (X, Y) mm of the points of the slits that markers stand for."""
        slits, t, side = (np.asarray(markers[name]) for name in ("slit", "t", "side"))
        X, Y = np.empty((2, len(markers)))
        for key in np.unique(slits):
            mine, slit = slits == key, self.mask[key]
            half = slit.half_width
            X[mine], Y[mine] = slit.curve(t[mine])
            X[mine] += side[mine] * half[0]
            Y[mine] += side[mine] * half[1]
        return X, Y

    def points(self, markers, position, along, values, *, lines=False):
        """Join markers with their field position, local coordinate and measured value."""
        sigma = markers["sigma"].value
        shared = np.where(np.isfinite(sigma), markers["shared"].value, 0.0)
        sigma = np.where(np.isfinite(sigma), sigma, _DEFAULT_SIGMA)
        slit, t = np.asarray(markers["slit"]), np.asarray(markers["t"])
        finite = (np.where(np.isfinite(v), v, np.nan) for v in (*position, along, values))
        return Points(*finite, sigma, slit, t, shared, lines)

    def split(self, markers):
        """Return the pixels of markers along and across the dispersion axis."""
        return self.direction.split(markers["x"].value, markers["y"].value)

    def _highest(self, name):
        *local, along, across = _HIGHEST[name]
        return (*local, *((along, across) if self.direction.along_x else (across, along)))

    def fit_opt(self, boxes, flips, shape=None):
        """Fit OPT to boxes and corners, both axes with the same degrees.

        Parameters
        ----------
        boxes : Markers
        flips : tuple of bool
            Whether X and Y are flipped.
        shape : OpticalModel, optional
            What it looks like but for what is fitted: an image with the disperser out.

        Returns
        -------
        ModelFit

        Raises
        ------
        FitError
            If the boxes do not determine the degrees.
        InputError
            If `shape` has other flips.
        """
        position = self.mask_points(boxes)
        values = [boxes[axis].value for axis in "xy"]
        if shape is not None:
            if (shape.x_flipped, shape.y_flipped) != tuple(flips):
                raise InputError(
                    f"the optical model has flips {(shape.x_flipped, shape.y_flipped)}, the frames "
                    f"{tuple(flips)}",
                    "Must be of the same orientation",
                    "Give flips= to fit_image",
                )
            values = [v - s for v, s in zip(values, shape(*position), strict=True)]
        points = [self.points(boxes, position, np.zeros(len(boxes)), v) for v in values]

        options = [{"exact": True}] * 2
        if not self.by_hand:
            options = [
                {"likely": self.likely("opt", boxes, across=across)}
                for across in self.direction.join(False, True)
            ]

        def fit(limits):
            fits = [
                fit_field(
                    FieldPolynomial,
                    p,
                    limits,
                    what=f"OPT {axis}",
                    include=(0.0,),
                    **own,
                    **self.plane,
                )
                for p, axis, own in zip(points, "xy", options, strict=True)
            ]
            return [part for k, part in enumerate(zip(*fits, strict=True)) if k != 2]

        lowest, highest = ((0, *degrees) for degrees in self.limits["opt"])
        if not self.by_hand and lowest != highest:  # both axes alike, whatever each one knows
            here = self.points(boxes, position, np.zeros(len(boxes)), np.zeros(len(boxes)))
            domains = (self.plane["x_domain"], self.plane["y_domain"])
            highest = here.scaled((-1.0, 1.0), *domains).spanned(highest)
        try:
            models, fits, notes = fit((lowest, highest))
        except FitError as error:
            raise FitError(_plane_degrees(str(error))) from error
        degrees = tuple(np.max([model.degrees for model in models], axis=0).tolist())
        if any(model.degrees != degrees for model in models):
            models, fits, notes = fit((degrees, degrees))
        # A box may be known along or across the dispersion alone.
        off = np.sqrt(np.nansum([fit.residuals**2 for fit in fits], axis=0))
        bad = np.any([fit.used != p.finite for fit, p in zip(fits, points, strict=True)], axis=0)
        opt = self._optical(models, flips)
        covariance = [fit.covariance for fit in fits]
        if shape is not None:
            fitted, opt = opt, shape.plus(opt)
            place = [n for n, name in enumerate(opt.param_names) if name in fitted.param_names]
            place = np.ix_(*2 * [place[: len(place) // 2]])
            for n, own in enumerate(covariance):
                covariance[n] = np.zeros(2 * [len(opt.parameters) // 2])
                covariance[n][place] = own
        return ModelFit(
            opt,
            "fitted",
            {f"opt_{axis}": matrix for axis, matrix in zip("xy", covariance, strict=True)},
            residual_table(boxes, off, ~bad),
            tuple(fit.rank for fit in fits),
            tuple(map(_plane_degrees, (*notes[0], *notes[1]))),
        )

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
        """Fit CRV to edges, and to points of traces anywhere in the slits.

        Returns
        -------
        ModelFit
        """
        x0, y0 = opt(*self.mask_points(edges))
        along0, across0 = self.direction.split(x0, y0)
        along, across = self.split(edges)
        d = self.direction.sign * (along - along0)
        points = self.points(edges, (x0, y0), d, across - across0)
        return self._fit("crv", CurvatureModel, opt, edges, points, 0.0)

    def fit_ids(self, opt, crv, lines, local=None):
        """Fit IDS to lines, each at the t where the traces say that it lies.

        Parameters
        ----------
        opt : OpticalModel
        crv : CurvatureModel
        lines : Markers
        local : LocalTerms, optional
            Of CRV.

        Returns
        -------
        ModelFit
        """
        local = local or LocalTerms()
        t, d = np.full(len(lines), np.nan), np.full(len(lines), np.nan)
        x, y = lines["x"].value, lines["y"].value
        for key in np.unique(lines["slit"]):
            mine = np.asarray(lines["slit"] == key)
            shape = TraceShape.from_models(opt, crv, self.mask[key], self.direction)
            d[mine], t[mine] = local.trace(shape, key).trace_from_pixel(x[mine], y[mine])
        lines = lines.copy()
        lines["t"] = t
        lines["reason"] = np.where(np.isfinite(t), lines["reason"], _OFF_TRACES).astype(str)
        x0, y0 = opt(*self.mask_points(lines))
        points = self.points(lines, (x0, y0), lines["wavelength"].value, d, lines=True)
        reference = self.instrument.reference_lambda
        fit = self._fit("ids", DispersionModel, opt, lines, points, reference)
        if not fit.local.slits:
            return fit
        left, usable = fit.residuals["residual"].value, points.finite  # a nick is no outlier
        of = points.slit, points.t, points.u, left, points.sigma
        rough = rough_slits(*(values[usable] for values in of))
        if not rough:
            return fit
        return self._fit("ids", DispersionModel, opt, lines, points, reference, rough)

    def _fit(self, name, cls, opt, markers, points, reference, rough=None):
        # A few markers by hand do not tell more terms than their degrees have.
        options = (
            {"constant_degrees": opt.degrees} if self.by_hand
            else {
                "likely": self.likely(name), "rough": rough,
                "doubt": self.confirm if name == "ids" else 0,
            }
        )  # fmt: skip
        model, fit, local, notes = fit_field(
            cls, points, self.limits[name], what=name.upper(), include=(reference,),
            **options, **self.detector,
        )  # fmt: skip
        table = residual_table(markers, fit.residuals, fit.used)
        return ModelFit(
            model, "fitted", {name: fit.covariance}, table, (fit.rank,), tuple(notes), local,
            fit.changes,
        )  # fmt: skip


def _plane_degrees(sentence):
    """Leave out the degree of the local coordinate, which OPT does not have."""
    return re.sub(r"\(0, (\d+), (\d+)\)", r"(\1, \2)", sentence)


def mask_domains(mask):
    """Return the domains of OPT: as far as the corners of the slits reach, mm."""
    reach = np.abs(np.concatenate([slit.corners() for slit in mask.values()])).max(axis=0)
    # A slit at the middle of an axis still needs a domain there: take the other's reach.
    reach = np.where(reach > 1e-3 * reach.max(), reach, reach.max()).tolist()
    return {"x_domain": (-reach[0], reach[0]), "y_domain": (-reach[1], reach[1])}
