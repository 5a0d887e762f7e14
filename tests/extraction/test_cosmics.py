import builtins

import numpy as np
import pytest
from sky_cases import STAR, cosmic_rays, night

from specwcs.errors import InputError
from specwcs.extraction import mask_cosmics


def test_most_are_masked_and_the_frame_is_kept():
    pytest.importorskip("astroscrappy")
    case = night("LR")
    frame = case.observation.science(3, cosmic_rays=60, **STAR)
    masked = mask_cosmics(frame)
    added = cosmic_rays(case, 60, 3)
    hit = added > 20 * np.sqrt(case.variance)
    assert masked.mask[hit].mean() > 0.9
    assert masked.mask[added == 0].mean() < 0.05
    np.testing.assert_array_equal(masked.data, frame.data)
    assert frame.mask.sum() < masked.mask.sum()


def test_missing_program_is_said(monkeypatch):
    load = builtins.__import__

    def without(name, *rest):
        if name.startswith("astroscrappy"):
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"astroscrappy is not installed.*specwcs\[cosmics\]"):
        mask_cosmics(night("LR").observation.science(1))
