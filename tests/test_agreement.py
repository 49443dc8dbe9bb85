"""Agreement patterns: numbered as they appear, and counted as their rows are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from linkage.evidence import agreement


@pytest.mark.parametrize("codes", [0, 1, 300, 40_000])
def test_codes_are_numbered_as_they_appear(codes: int) -> None:
    draw = np.random.default_rng(6)
    held = draw.integers(0, 2**50, codes)
    code = held[draw.integers(0, codes, 60_000)] if codes else held
    found, place, times = agreement.number_codes(code)
    slow, in_turn = pd.factorize(code)
    assert place.tolist() == slow.tolist()
    assert found.tolist() == in_turn.tolist()
    assert times.tolist() == np.bincount(slow, minlength=len(in_turn)).tolist()


@pytest.mark.parametrize("largest", [agreement._LARGEST_CODE, 1])
def test_patterns_of_levels_are_counted_as_rows_are(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_LARGEST_CODE", largest)
    draw = np.random.default_rng(5)
    columns, often = [draw.integers(-1, high, 400) for high in (3, 1, 9)], draw.integers(1, 5, 400)
    patterns, times = agreement.count_patterns(columns, often)
    rows, counts = np.unique(np.repeat(np.column_stack(columns), often, axis=0), axis=0, return_counts=True)
    assert patterns.tolist() == rows.tolist()
    assert times.tolist() == counts.tolist()
