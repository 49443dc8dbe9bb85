from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from linkage.evidence import pairs


@pytest.mark.parametrize("codes", [0, 1, 300, 40_000])
def test_codes_are_numbered_as_they_appear(codes: int) -> None:
    draw = np.random.default_rng(6)
    held = draw.integers(0, 2**50, codes)
    code = held[draw.integers(0, codes, 60_000)] if codes else held
    place, found, times = np.empty(len(code), dtype=np.int32), np.empty_like(code), np.empty_like(code)
    end = pairs._number_codes(code, place, found, times)
    slow, in_turn = pd.factorize(code)
    assert place.tolist() == slow.tolist()
    assert found[:end].tolist() == in_turn.tolist()
    assert times[:end].tolist() == np.bincount(slow, minlength=len(in_turn)).tolist()
