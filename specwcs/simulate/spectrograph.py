"""The optics: a ray traced from the slit mask to the detector.

Use `Spectrograph` when you know the optical parameters, `Spectrograph.from_instrument`
when you know what observers know: pixel scale, dispersion, reference wavelength. Nothing
here shares code or mathematics with `specwcs.models`: the ray trace is what the fitted
polynomials are judged against.
"""

import math
from dataclasses import dataclass

import numpy as np

from specwcs.conventions import Direction, without_units
from specwcs.errors import InputError

__all__ = ["Spectrograph"]

_MM_PER_ANGSTROM = 1e-7
_MICRON_PER_ANGSTROM = 1e-4

# Cauchy coefficients (A, B in square microns) of what the prism of the disperser is made of.
_DISPERSERS = {"grating": (1.0, 0.0), "grism": (1.5046, 0.00420)}  # nothing; BK7 glass


@dataclass(frozen=True)
class Spectrograph:
    """A slit mask, a collimator, a grism or a grating, a camera, a detector.

    Parameters
    ----------
    direction : Direction
        Where the spectra run on the frame, blue to red.
    shape : tuple of int
        The frame, (ny, nx) pixels.
    collimator : float
        Focal length of the collimator, mm.
    camera : float
        Focal length of the camera, pixels along the dispersion.
    grooves : float
        Diffraction order times groove density, lines per mm.
    wedge : float
        Angle between the grating's normal and the collimator's axis, degrees. It is the
        apex angle of a grism's prism, or the angle of incidence on a bare grating.
    glass : tuple of float
        Index of refraction of the prism, n = A + B / wavelength**2, as (A, B in square
        microns); (1, 0) is a bare grating.
    axis_wavelength : float
        The wavelength that leaves the disperser along the camera's axis when it comes
        from the mask's origin, Angstrom.
    axis : tuple of float
        Where the camera's axis meets the detector, (x, y) pixels, counted from 0.
    rotation : float
        Rotation of the image on the detector, degrees counter-clockwise.
    radial : float
        Radial distortion of the camera: a point at the tangent r of its field angle
        moves outward by ``radial * r**3``. Negative is a barrel.
    tangential : tuple of float
        Tangential distortion, the P1 and P2 of Brown (1966), per tangent.
    decentre : tuple of float
        Offset of the centre of the distortion from the camera's axis along and across the
        dispersion, in units of the pixels along it.
    flipx, flipy : bool
        Whether the mask's X, or Y, is mirrored in the spectrograph.
    aspect : float
        Side of a pixel across the dispersion, in units of that along it.

    Notes
    -----
    A point (X, Y) of the mask leaves the collimator as the ray (u, v, collimator), u being
    the mask coordinate along the dispersion. The entrance face of the prism is normal to
    the axis, so that the direction cosines times the index are kept there. On the grating
    the component along the grooves is kept and the one across them grows by ``grooves *
    wavelength`` (the grating equation in three dimensions, conical diffraction). The
    camera projects tangents of angles, then distorts and turns them; pixels, which may be
    binned differently along their axes, divide what falls there.

    Wavelengths are those in the medium around the grating (air, unless it is in vacuum).
    """

    direction: Direction
    shape: tuple[int, int]
    collimator: float
    camera: float
    grooves: float
    wedge: float
    glass: tuple[float, float]
    axis_wavelength: float
    axis: tuple[float, float]
    rotation: float = 0.0
    radial: float = 0.0
    tangential: tuple[float, float] = (0.0, 0.0)
    decentre: tuple[float, float] = (0.0, 0.0)
    flipx: bool = False
    flipy: bool = False
    aspect: float = 1.0

    @classmethod
    def from_instrument(
        cls,
        instrument,
        *,
        arcsec_per_mm=1.7,
        disperser="grism",
        line_curvature=3.0,
        offset=(0.0, 0.0),
        rotation=0.0,
        distortion=0.005,
        flipx=False,
        flipy=False,
    ):
        """Find the optics that give an instrument's scale and dispersion.

        The field's centre at the reference wavelength lies on the axis of the camera; there
        scale and dispersion are exact, elsewhere they follow from the optics.

        Parameters
        ----------
        instrument : Instrument
            Gives the frame, the direction, the pixel scales, the linear dispersion and the
            reference wavelength.
        arcsec_per_mm : float
            Plate scale of the telescope at the mask.
        disperser : str
            ``"grism"`` (prism of BK7 with a grating, straight through) or ``"grating"``
            (bare, in Littrow condition).
        line_curvature : float
            Sagitta, pixels along the dispersion, of the image of a straight slit as long as the
            frame is wide across it. It sets the focal lengths: a short camera curves more.
        offset : tuple of float
            Where the field's centre falls at the reference wavelength, (x, y) pixels from
            the centre of the frame.
        rotation : float
            Rotation of the image, degrees counter-clockwise.
        distortion : float
            Radial distortion at the corner of the frame, as a fraction of the radius
            there, with a little tangential distortion and decentring; 0 is a pinhole camera.
        flipx, flipy : bool
            Whether the mask's X, or Y, is mirrored.

        Returns
        -------
        Spectrograph

        Raises
        ------
        InputError
            If a parameter makes no physical sense.
        """
        if disperser not in _DISPERSERS:
            raise InputError(
                f"invalid disperser {disperser!r}", f"Must be one of {', '.join(_DISPERSERS)}."
            )
        for name, value in (("arcsec_per_mm", arcsec_per_mm), ("line_curvature", line_curvature)):
            if not value > 0:
                raise InputError(f"invalid {name} {value!r}", "Must be > 0.")
        ny, nx = instrument.shape
        along, across = instrument.direction.split(nx, ny)
        across *= instrument.aspect  # in the unit of the camera, pixels along the dispersion
        glass = _DISPERSERS[disperser]
        camera, grooves, wedge = _design(instrument, glass, line_curvature, across)
        corner = math.hypot(along, across) / 2 / camera  # tangent of the field angle
        return cls(
            direction=instrument.direction,
            shape=(ny, nx),
            collimator=camera * instrument.scales[0] / arcsec_per_mm,
            camera=camera,
            grooves=grooves,
            wedge=math.degrees(wedge),
            glass=glass,
            axis_wavelength=instrument.reference_lambda,
            axis=((nx - 1) / 2 + offset[0], (ny - 1) / 2 + offset[1]),
            rotation=rotation,
            radial=distortion / corner**2,
            # Proportions of an ordinary, slightly misaligned camera.
            tangential=(0.02 * distortion / corner, -0.01 * distortion / corner),
            decentre=(0.01 * along, -0.02 * across),
            flipx=flipx,
            flipy=flipy,
            aspect=instrument.aspect,
        )

    def project(self, X, Y, wavelength):
        """Trace rays from the mask to the detector.

        Parameters
        ----------
        X, Y : ndarray
            Points of the mask, mm.
        wavelength : ndarray, Quantity or None
            Angstrom where no unit is given; broadcasts against X and Y. None: with the disperser
            out, where the field's centre falls as it does at the reference wavelength.

        Returns
        -------
        x, y : ndarray
            Where the rays meet the detector's plane, pixels counted from 0, inside the
            frame or not. NaN where the order does not exist.
        """
        p, q = self.trace(X, Y, *without_units(wavelength=wavelength))
        return self.direction.detector_pixel(p, q, self.shape)

    def trace(self, X, Y, wavelength):
        """Like `project`, but to canonical pixels (p, q) as `specwcs.conventions` has them."""
        u, v = self.direction.canonical_mask(
            np.negative(X) if self.flipx else np.asarray(X, float),
            np.negative(Y) if self.flipy else np.asarray(Y, float),
        )
        if wavelength is None:
            return self._image(u / self.collimator, v / self.collimator)
        a, b = _direction_cosines(u / self.collimator, v / self.collimator)
        s, b = self._diffract(a, b, np.asarray(wavelength, float))
        along, across = self._camera_tangents(s, b)
        return self._image(along, across)

    def index(self, wavelength):
        """Refractive index of the prism at a wavelength in Angstrom."""
        return self.glass[0] + self.glass[1] / (_MICRON_PER_ANGSTROM * wavelength) ** 2

    def _diffract(self, a, b, wavelength):
        """Direction cosines across and along the grooves behind the grating."""
        inside = np.sqrt(self.index(wavelength) ** 2 - a**2 - b**2)
        wedge = np.radians(self.wedge)
        across_grooves = a * np.cos(wedge) - inside * np.sin(wedge)
        return across_grooves + self.grooves * _MM_PER_ANGSTROM * wavelength, b

    def _camera_tangents(self, s, b):
        """Tangents of the angles to the camera's axis, along and across the dispersion."""
        sin_axis, _ = self._diffract(0.0, 0.0, self.axis_wavelength)
        cos_axis = np.sqrt(1 - sin_axis**2)
        with np.errstate(invalid="ignore"):  # an evanescent order is NaN, as documented
            normal = np.sqrt(1 - s**2 - b**2)
        depth = s * sin_axis + normal * cos_axis
        return (s * cos_axis - normal * sin_axis) / depth, b / depth

    def _image(self, along, across):
        """Distort, turn and shift the camera's tangents to canonical pixels."""
        i = along - self.decentre[0] / self.camera
        j = across - self.decentre[1] / self.camera
        square = i**2 + j**2
        p1, p2 = self.tangential
        along = along + self.radial * i * square + 2 * p1 * i * j + p2 * (square + 2 * i**2)
        across = across + self.radial * j * square + p1 * (square + 2 * j**2) + 2 * p2 * i * j
        cos, sin = np.cos(np.radians(self.rotation)), np.sin(np.radians(self.rotation))
        p0, q0 = self.direction.canonical_pixel(*self.axis, self.shape)
        return (
            p0 + self.camera * (cos * along - sin * across),
            q0 + self.camera * (sin * along + cos * across) / self.aspect,
        )


def _direction_cosines(i, j):
    """First two components of the unit vector along (i, j, 1)."""
    norm = np.sqrt(1 + i**2 + j**2)
    return i / norm, j / norm


def _design(instrument, glass, line_curvature, across):
    """Find the focal length of the camera and the disperser.

    With wedge A, index n and grooves g, wavelength w, camera f and linear dispersion D, on
    the axis: a grism lets w pass straight, ``g w = (n - 1) sin A``; a grating in Littrow
    condition has ``g w = 2 sin A``. Both times ``cos A = f D (g - dn/dw sin A)``. Expanded
    in the angle b out of the plane of dispersion, the grating equation moves a line by ``f
    tan(A) b**2`` times (n - 1) / 2n in a grism, 1 in a grating.

    Returns
    -------
    camera, grooves, wedge : float
        px, lines per mm, radians.
    """
    wavelength, dispersion = instrument.reference_lambda, instrument.linear_dispersion
    a, b = glass
    square = (_MICRON_PER_ANGSTROM * wavelength) ** 2
    index, slope = a + b / square, -2 * b / square / wavelength
    deviation, bow = (2.0, 1.0) if index == 1 else (index - 1, (index - 1) / (2 * index))
    # f D tan(A) = 1 / rate, and half the frame is f b pixels.
    rate = deviation / wavelength - slope
    camera = across / 2 * math.sqrt(bow / (dispersion * rate * line_curvature))
    wedge = math.atan(1 / (camera * dispersion * rate))
    return camera, deviation * math.sin(wedge) / (wavelength * _MM_PER_ANGSTROM), wedge
