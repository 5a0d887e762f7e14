"""Spectra from sums over pixels."""

import numpy as np

from specwcs.extraction.optimal import extracted


def test_light_without_weight_is_not_seen():
    ones = np.ones(3)
    sums = extracted(ones, np.array([1.0, 0.0, np.nan]), ones, ones, 0.0)
    assert sums.mask.tolist() == [False, True, True]
    assert np.isnan(sums.flux[1:]).all()
    assert np.isnan(sums.variance[1:]).all()
