from __future__ import annotations

import importlib

import numpy as np
import pytest

from linkage.evidence.value_index import ValueIndex


@pytest.mark.parametrize("rare_accounts", [0, 6, 256])
@pytest.mark.parametrize("spread", [1, 2_000])
def test_the_best_shared_value_is_what_a_slow_search_finds(
    rare_accounts: int, spread: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("linkage.evidence.value_index"), "RARE_ACCOUNTS", rare_accounts)
    draw = np.random.default_rng(4)
    values = 60 * spread  # nobody has most of them where they are spread: their numbers take four bytes, not two
    uses = np.unique(np.column_stack([draw.integers(0, 40, 400), spread * draw.integers(0, 60, 400)]), axis=0)
    family, place = np.arange(values) % 3, draw.permutation(values)
    order = np.lexsort((place, family))
    index = ValueIndex(uses[:, 0], uses[:, 1], family=family, order=order, accounts=40, families=3)
    a, b = np.triu_indices(40, 1)
    a, b = np.append(a[5:], a[:5]), np.append(b[5:], b[:5])  # an account may come again after others
    sets = [set(uses[uses[:, 0] == number, 1].tolist()) for number in range(40)]
    slow = [
        [
            min((v for v in sets[i] & sets[j] if family[v] == f), key=lambda v: int(place[v]), default=-1)
            for f in range(3)
        ]
        for i, j in zip(a, b, strict=True)
    ]
    assert np.append(order, -1)[index.best_shared(a, b)].tolist() == slow


def test_nobody_shares_nothing() -> None:
    none = np.empty(0, dtype=np.int64)
    index = ValueIndex(none, none, family=none, order=none, accounts=2, families=1)
    assert index.best_shared(np.array([0]), np.array([1])).tolist() == [[0]]
    assert index.best_shared(none, none).shape == (0, 1)
