"""Damaged files: none is ever read as something else, or fails in an unforeseen way."""

import numpy as np
import pytest
from forge import seal

from specwcs.errors import InputError
from specwcs.files import read_asdf, write_asdf
from specwcs.models import OpticalModel


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A file with numbers in its text and in blocks."""
    model = OpticalModel(1, 1, x_domain=(-40.0, 40.0), x0_0=1024.123456789, name="opt")
    model.meta["table"] = np.arange(30.0)
    model.bounding_box = ((-9.0, 9.0), (-5.0, 5.0))
    path = tmp_path_factory.mktemp("fuzz") / "m.opt"
    write_asdf(path, {"model": model})
    return path.read_bytes()


def damaged(raw, rng):
    """Flip a bit, replace a byte, or lose, repeat or move a piece."""
    i, j = sorted(rng.integers(0, len(raw), 2))
    j = min(j, i + 40)
    return [
        lambda: raw[:i] + bytes([raw[i] ^ (1 << rng.integers(8))]) + raw[i + 1 :],
        lambda: (
            raw[:i] + rng.choice(list(b"09.-:,[]{}&*!#%@ \n'\"aex")).tobytes()[:1] + raw[i + 1 :]
        ),
        lambda: raw[:i] + raw[j:],
        lambda: raw[:j] + raw[i:j] + raw[j:],
        lambda: raw[:i],
    ][rng.integers(5)]()


def test_every_change_of_a_byte_is_noticed(raw, tmp_path):
    path = tmp_path / "m.opt"
    rng = np.random.default_rng(97)
    for _ in range(400):
        content = damaged(raw, rng)
        path.write_bytes(content)
        if content != raw:
            with pytest.raises(InputError):
                read_asdf(path, OpticalModel)


def test_a_forged_checksum_leads_to_a_model_or_to_our_error(raw, tmp_path):
    path = tmp_path / "m.opt"
    rng = np.random.default_rng(98)
    head = raw.index(b"%YAML")
    refused = 0
    for _ in range(150):
        path.write_bytes(seal(raw[:head] + damaged(raw[head:], rng)))
        try:
            model = read_asdf(path, OpticalModel)
        except InputError:
            refused += 1
        else:
            assert type(model) is OpticalModel
            assert np.isfinite(model.parameters).all()
    assert 75 < refused < 150
