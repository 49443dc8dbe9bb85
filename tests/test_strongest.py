"""Strongest links: the ones a plain sort finds, whatever is dropped on the way and whoever else there is."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from linkage.coding import hash_names
from linkage.evidence import strongest
from linkage.evidence.pairs import Pairs
from linkage.evidence.strongest import are_strongest, keep_strongest

NAMES = pd.Index([f"a{number:03}" for number in range(60)], dtype="str")


def some_links(seed: int) -> tuple[Any, Any, Any]:
    draw = np.random.default_rng(seed)
    first, second = np.triu_indices(len(NAMES), 1)
    wanted = draw.random(len(first)) < 0.3
    bits = draw.integers(0, 6, wanted.sum()).astype(np.float64)  # many are equal
    return first[wanted].astype(np.int32), second[wanted].astype(np.int32), bits


def plain(a: Any, b: Any, bits: Any, draws: Any, most: int) -> set[tuple[int, int]]:
    kept = set()
    for account in range(len(draws)):
        own = [(-bits[at], int(draws[a[at]] ^ draws[b[at]]), at) for at in range(len(a)) if account in (a[at], b[at])]
        kept |= {(int(a[at]), int(b[at])) for _, _, at in sorted(own)[:most]}
    return kept


@pytest.mark.parametrize("most", [1, 4, 1_000])
def test_the_strongest_are_those_a_plain_sort_finds(most: int) -> None:
    a, b, bits = some_links(7)
    draws = hash_names(NAMES)
    flags = are_strongest(a, b, bits, draws=draws, links_per_account=most)
    assert {(int(one), int(other)) for one, other in zip(a[flags], b[flags], strict=True)} == plain(
        a, b, bits, draws, most
    )
    assert flags.all() == (most == 1_000)


def test_the_choice_among_equal_links_lasts_when_accounts_join() -> None:
    a, b, bits = some_links(8)
    more = pd.Index(["0", *NAMES, "z"], dtype="str")
    now, then = hash_names(NAMES), hash_names(more)
    before = are_strongest(a, b, bits, draws=now, links_per_account=3)
    after = are_strongest(a + np.int32(1), b + np.int32(1), bits, draws=then, links_per_account=3)
    assert before.tolist() == after.tolist()
    assert 0 < before.sum() < len(before)


def test_what_is_dropped_on_the_way_would_not_have_been_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, bits = some_links(9)
    pairs = Pairs(a, b, {"network": np.arange(len(a), dtype=np.int32)}, np.zeros(len(a), np.int8))
    rows = [np.arange(first, min(first + 20, len(a))) for first in range(0, len(a), 20)]
    keep = functools.partial(keep_strongest, draws=hash_names(NAMES), links_per_account=2)
    whole, worth = keep([(pairs.take(some), bits[some]) for some in rows])
    monkeypatch.setattr(strongest, "_HELD_PAIRS", 30)
    bounded, same = keep((pairs.take(some), bits[some]) for some in rows)
    assert bounded.best["network"].tolist() == whole.best["network"].tolist()
    assert same.tolist() == worth.tolist() == bits[whole.best["network"]].tolist()
    assert 0 < len(whole.a) < len(a)
