from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.evidence.projection import propose_pairs
from linkage.evidence.table import gather_evidence
from linkage.evidence.value_index import ValueIndex
from linkage.evidence.weights import link_accounts
from linkage.settings import EvidenceSettings
from linkage.terms import ACCOUNTS, CONDUCT, USES, make_frame

START = pd.Timestamp("2026-03-01", tz="UTC")
KINDS = ("ip", "payment", "template", "client")
USE = st.tuples(st.integers(0, 11), st.sampled_from(KINDS), st.integers(0, 4))


def frames(uses: list[tuple[int, str, int]], names: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    distinct = list(dict.fromkeys(uses))
    at = [START] * len(distinct)
    made = {
        "account_id": [names[a] for a, _, _ in distinct],
        "kind": [k for _, k, _ in distinct],
        "value": [f"{k}-{v}" for _, k, v in distinct],
        "request_count": [1] * len(distinct),
        "first_at": at,
        "last_at": at,
    }
    whole = [START] * len(names)
    count = [9] * len(names)
    accounts = {"account_id": names, "request_count": count, "first_at": whole, "last_at": whole}
    table = make_frame(ACCOUNTS, accounts).sort_values("account_id", ignore_index=True)
    return make_frame(USES, made), table


def linked(uses: pd.DataFrame, accounts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    known = EvidenceSettings()
    evidence = gather_evidence(uses=uses, accounts=accounts, settings=known)
    found = link_accounts(evidence, accounts=accounts, conduct=make_frame(CONDUCT), uses=uses, settings=known)
    return evidence, found.links


NAMES = [f"a{number:02d}" for number in range(12)]


@settings(max_examples=25, deadline=None)
@given(st.lists(USE, min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_row_order_changes_nothing(uses: list[tuple[int, str, int]], order: object) -> None:
    table, accounts = frames(uses, NAMES)
    shuffled = list(dict.fromkeys(uses))
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    other, _ = frames(shuffled, NAMES)
    for first, second in zip(linked(table, accounts), linked(other, accounts), strict=True):
        pd.testing.assert_frame_equal(first, second)


@settings(max_examples=25, deadline=None)
@given(st.lists(USE, min_size=1, max_size=60), st.permutations(range(12)))
def test_relabelled_accounts_keep_their_links(uses: list[tuple[int, str, int]], order: list[int]) -> None:
    renamed = [f"b{number:02d}" for number in order]
    back = dict(zip(renamed, NAMES, strict=True))
    _, links = linked(*frames(uses, NAMES))
    _, others = linked(*frames(uses, renamed))
    pairs = {frozenset(pair): bits for *pair, bits in links[["account_a", "account_b", "bits"]].to_numpy()}
    mapped = {
        frozenset((back[a], back[b])): bits for a, b, bits in others[["account_a", "account_b", "bits"]].to_numpy()
    }
    assert set(pairs) == set(mapped)
    assert all(np.isclose(pairs[key], mapped[key]) for key in pairs)


@settings(max_examples=25, deadline=None)
@given(st.lists(USE, min_size=1, max_size=60))
def test_counts_are_those_of_a_slow_reading(uses: list[tuple[int, str, int]]) -> None:
    evidence, _ = linked(*frames(uses, NAMES))
    holders: dict[str, set[str]] = {}
    for account, kind, value in uses:
        holders.setdefault(f"{kind}-{value}", set()).add(NAMES[account])
    slow = {value: len(accounts) for value, accounts in holders.items() if len(accounts) > 1}
    assert evidence.groupby("value")["accounts"].first().to_dict() == slow
    assert (evidence["unrelated_accounts"] <= evidence["accounts"]).all()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), min_size=1, max_size=120, unique=True),
    st.integers(1, 6),
)
def test_no_value_proposes_more_than_its_bound(uses: list[tuple[int, int]], bound: int) -> None:
    account, value = np.array(uses, dtype=np.int64).T
    a, b = propose_pairs(account, value, orders=[np.arange(31), np.arange(31)[::-1]], links_per_use=bound)
    assert len(a) <= bound * len(uses)
    held = {number: set(value[account == number].tolist()) for number in range(31)}
    assert all(x < y and held[x] & held[y] for x, y in zip(a.tolist(), b.tolist(), strict=True))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20)), max_size=60, unique=True))
def test_the_best_shared_value_is_the_lowest_in_common(uses: list[tuple[int, int]]) -> None:
    account, rank = np.array(uses, dtype=np.int64).reshape(-1, 2).T
    none = np.zeros(21, dtype=np.int64)
    index = ValueIndex(account, rank, family=none, order=np.arange(21), accounts=10, families=1)
    a, b = np.triu_indices(10, 1)
    held = [set(rank[account == number].tolist()) for number in range(10)]
    slow = [min(held[x] & held[y], default=21) for x, y in zip(a, b, strict=True)]
    assert index.best_shared(a, b)[:, 0].tolist() == slow
