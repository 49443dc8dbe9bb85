"""Requests that wait until all are there: in memory, then in a file."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from linkage.engines import waiting
from linkage.engines.waiting import Waiting
from linkage.errors import StoreError


@pytest.mark.parametrize("memory_bytes", [0, 3_000, 10**9])
@pytest.mark.parametrize("part_rows", [1, 90, 10**6])
def test_every_row_comes_once_by_ascending_ranges(
    memory_bytes: int, part_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_PART_ROWS", part_rows)
    rand = np.random.default_rng(3)
    batches = [rand.integers(1, 2**63 - 1, size=(count, 3)) for count in (40, 1, 0, 200, 77)]
    with Waiting("requests", columns=3, memory_bytes=memory_bytes) as held:
        for batch in batches:
            held.add(batch)
        parts = list(held.take())
        assert sum(map(len, held.take())) == 0, "nothing waits any more"
    rows = np.concatenate(parts)
    assert sorted(rows.tolist()) == sorted(np.concatenate(batches).tolist())
    assert (np.diff(rows[:, 0] >> 56) >= 0).all()
    assert len(parts) == 1 or part_rows < len(rows)


@pytest.mark.parametrize("memory_bytes", [0, 10**9])
def test_accounts_are_handed_out_whole_where_that_is_asked_for(
    memory_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_PART_ROWS", 1)
    monkeypatch.setattr(waiting, "_WHOLE_ROWS", 30)
    rand = np.random.default_rng(4)
    accounts, told = rand.integers(1, 2**63 - 1, 40), np.arange(600)
    rows = np.column_stack([accounts[told % 40], told])
    with Waiting("requests", columns=2, memory_bytes=memory_bytes) as held:
        held.add(np.ones((5, 2), np.int64))
        held.clear()
        for start in range(0, 600, 100):
            held.add(rows[start : start + 100])
        parts = list(held.take(whole=True))
    assert len(parts) > 5
    assert sorted(np.concatenate(parts)[:, 1].tolist()) == told.tolist()
    assert [np.isin(a[:, 0], b[:, 0]).any() for a, b in itertools.combinations(parts, 2)].count(True) == 0


def test_a_file_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with (
        Waiting("requests", columns=1, memory_bytes=0) as held,
        pytest.raises(StoreError, match="wanted to keep requests there"),
    ):
        held.add(np.ones((2, 1), np.int64))
