"""What single slits deviate from the field by: small offsets and stretches.

A slit may be cut a little off its place, or sit in a corner that the field's polynomial does
not follow. Two terms for each slit take that up, as large as its own lines or edges ask for and
no larger than slits deviate: each is drawn from a distribution whose width all slits together
tell, so that a slit of which little is seen leans on the field.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import linalg

from specwcs.fitting import thin_qr
from specwcs.models.slit import hats

__all__ = ["LocalTerms", "deviations", "no_local_terms"]

_ROUNDS = 20
_START = 0.1  # px, 1 sigma of the deviations: where the search for it starts
_NONE = 1e-3  # px: slits that deviate by less do not deviate
_LARGEST = 3.0  # px
_FEWEST = 4  # slits that tell of a distribution
_SURE = 4.0  # deviations of the expected size that count beside those that are seen
_FREEDOM = 4.0  # degrees: how likely deviations are that are far larger than the others


@dataclass(frozen=True)
class LocalTerms:
    """Offsets and stretches of the slits: along the dispersion, or across it.

    Parameters
    ----------
    slits : tuple of str
        The slits that have them.
    values : ndarray, shape (n, 2)
        Offset and stretch, px. The stretch is that at the ends: of the model's domain of
        wavelengths, or of the slit, where it is half of what the slit is wider by.
    roughness : dict of str to ndarray, shape (m,)
        Of those of the slits that are rough: by what all their lines are off at equally spaced t
        from 0 to 1, px, linear between them; nicks and steps of the slit.
    """

    slits: tuple = ()
    values: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    roughness: dict = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values):
        """Make them of what `to_dict` gives."""
        rough = {key: np.array(own[2], float) for key, own in values.items() if len(own) > 2}
        terms = np.array([own[:2] for own in values.values()], float).reshape(-1, 2)
        return cls(tuple(values), terms, rough)

    def to_dict(self):
        """Return offset, stretch and, where a slit is rough, roughness, px, by slit, for files."""
        own = dict(zip(self.slits, self.values.tolist(), strict=True))
        for key, values in self.roughness.items():
            own[key].append(values.tolist())
        return own

    @property
    def size(self):
        """Number of their parameters: offsets, stretches, then roughness slit by slit."""
        return 2 * len(self.slits) + sum(map(len, self.roughness.values()))

    def of(self, slit_id):
        """Return offset and stretch of a slit, px; zero if it has none."""
        return self.values[self.slits.index(slit_id)] if slit_id in self.slits else np.zeros(2)

    def dispersion(self, dispersion, slit_id):
        """Add the terms of a slit to its `~specwcs.models.slit.TraceDispersion`."""
        if slit_id not in self.slits:
            return dispersion
        dispersion = dispersion.shifted(*self.of(slit_id))
        rough = self.roughness.get(slit_id)
        return dispersion if rough is None else replace(dispersion, roughness=rough)

    def trace(self, shape, slit_id):
        """Add the terms of a slit to its `~specwcs.models.slit.TraceShape`."""
        if slit_id not in self.slits:
            return shape
        return shape.shifted(*self.of(slit_id))

    def columns(self, slit, u, t):
        """Return the design matrices of the terms.

        Parameters
        ----------
        slit : ndarray of str, shape (n,)
        u : ndarray, shape (n,)
            -1 at the one end, 1 at the other: wavelengths, or t, scaled.
        t : ndarray, shape (n,)
            Positions in the slits.

        Returns
        -------
        list of ndarray
            Of offsets and of stretches, shape (n, slits); and, if slits are rough, of roughness.
        """
        slit = np.asarray(slit)[:, None]
        own = (slit == np.array(self.slits, str)[None, :]).astype(float)
        kinds = [own, own * u[:, None]]
        if self.roughness:
            tables = [
                (slit == key) * hats(t, len(values)) for key, values in self.roughness.items()
            ]
            kinds.append(np.hstack(tables))
        return kinds


def no_local_terms():
    """Return the local terms of CRV and IDS where slits have none."""
    return {"crv": LocalTerms(), "ids": LocalTerms()}


def deviations(design, kinds, values, sigma, prior, expected=(), usual=()):
    """Find how much groups of points deviate: 1 sigma of each kind of deviations.

    Parameters
    ----------
    design : ndarray, shape (n, p)
        Of what all points share.
    kinds : sequence of ndarray, shape (n, m)
        One column a group: offsets of slits, their stretches, errors of lines.
    values, sigma : ndarray, shape (n,)
    prior : tuple of ndarray
        Rows and errors of what is known of the p parameters beforehand.
    expected : sequence of ndarray, shape (m,), optional
        1 sigma of deviations that the groups of each kind have besides at most, px: what they
        really have is a share of it, the same for all, which the groups together tell, too.
    usual : sequence of float, optional
        1 sigma of the deviations of each kind, px, as far as the groups do not tell: it counts
        as much as one of them. 0 where there is nothing usual, the default.

    Returns
    -------
    list of float
        Of most groups of each kind, px; 0 where groups do not deviate, or are too few to tell.
    list of ndarray, shape (m,)
        Of each group, with what is expected: larger where one deviates by more than most do.

    Notes
    -----
    The evidence for the variances is maximised by the fixed-point iteration of MacKay (Neural
    Computation 4, 415, 1992): a variance is the sum of squares over the number of deviations
    that the data determine. Deviations have Student's distribution of `_FREEDOM` degrees, a
    Gaussian whose variance has a weight of its own for each (Lange, Little & Taylor, J. Am. Stat.
    Assoc. 84, 881, 1989): a few that are far off do not make all the others uncertain.
    """
    usual = np.array(usual or np.zeros(len(kinds)))
    told = [k for k, columns in enumerate(kinds) if columns.shape[1] >= _FEWEST or usual[k]]
    found = [0.0] * len(kinds)
    each = list(expected) or [np.zeros(columns.shape[1]) for columns in kinds]
    if not told:
        return found, each
    kind = np.repeat(told, [kinds[k].shape[1] for k in told])
    # An orthogonal basis of the same functions: powers of high degree are all alike.
    basis, _ = thin_qr(np.vstack([design / sigma[:, None], prior[0] / prior[1][:, None]]))
    n, p = len(values), basis.shape[1]
    groups = np.hstack([kinds[k] for k in told]) / sigma[:, None]
    weighted = np.hstack([basis[:n], groups])
    gram, right = weighted.T @ weighted, weighted.T @ (values / sigma)
    total = float(np.sum((values / sigma) ** 2))
    known = np.zeros_like(gram)
    known[:p, :p] = basis[n:].T @ basis[n:]
    at = np.arange(p, p + len(kind))
    spread, noise, weight = np.full(len(kinds), _START), 1.0, np.ones(len(kind))
    besides = np.concatenate([each[k] ** 2 for k in told])
    expects = besides > 0
    share = 1.0  # of the variance that is expected, which there is
    for _ in range(_ROUNDS):
        normal = gram / noise + known
        unknown = spread[kind] ** 2 / weight
        normal[at, at] += 1 / (unknown + share * besides)
        scale = 1 / np.sqrt(np.diag(normal))
        inverse = linalg.inv(normal * scale * scale[:, None]) * scale * scale[:, None]
        solution = inverse @ right / noise
        chi2 = total - 2 * solution @ right + solution @ gram @ solution
        freedom = max(len(values) - np.sum(inverse * gram) / noise, 1.0)
        noise = max(chi2 / freedom, 1.0)
        # Of what a group deviates by, the part that is not expected.
        part = unknown / (unknown + share * besides)
        open_still = part**2 * np.diag(inverse)[p:] + part * share * besides
        determined = 1 - open_still / unknown
        square = (part * solution[p:]) ** 2
        for k in told:
            mine = kind == k
            squares = np.sum((weight * square)[mine]) + usual[k] ** 2
            variance = squares / max(np.sum(determined[mine]) + (usual[k] > 0), 1e-6)
            spread[k] = np.clip(np.sqrt(variance), _NONE, _LARGEST)
        # And the part that is: how much of what is expected is there.
        rest, size = 1 - part[expects], share * besides[expects]
        left = (rest**2 * np.diag(inverse)[p:][expects] + rest * unknown[expects]) / size
        seen = np.sum((rest * solution[p:][expects]) ** 2 / besides[expects])
        share = min((seen + _SURE) / (np.sum(1 - left) + _SURE), 1.0)
        relative = (square + open_still) / spread[kind] ** 2
        weight = (_FREEDOM + 1) / (_FREEDOM + relative)
    each = [np.sqrt(share) * one for one in each]
    for k in told:
        if spread[k] > 1.5 * _NONE:
            found[k] = float(spread[k])
            each[k] = np.hypot(spread[k] / np.sqrt(weight[kind == k]), each[k])
    return found, each
