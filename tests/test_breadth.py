from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from linking_frames import World

from linkage.evidence.breadth import COMPARED, MOST_APART, find_chance_met, find_own_chance_met
from linkage.evidence.table import gather_evidence
from linkage.settings import EvidenceSettings
from linkage.terms import EVIDENCE, check_frame

PREFIXES = 160
"""Of each broad account."""


def uses(kind: str, held: dict[int, list[str]]) -> tuple[pd.DataFrame, np.ndarray]:
    """Evidence, value by value, of accounts that have these values."""
    rows = sorted((value, account) for account, values in held.items() for value in values)
    table = pd.DataFrame({"family": "network", "kind": kind, "value": [value for value, _ in rows]}, dtype="str")
    table["accounts"] = table.groupby("value")["value"].transform("size").astype("int64")
    return table, np.array([account for _, account in rows], dtype=np.int32)


def met(kind: str, held: dict[int, list[str]]) -> set[tuple[int, str]]:
    """Accounts and the values that they met by chance."""
    table, account = uses(kind, held)
    flags = find_chance_met(table, account, accounts=max(held) + 1)
    return {(int(who), value) for who, value, flag in zip(account, table["value"], flags, strict=True) if flag}


def apart(count: int, first: int) -> dict[int, list[str]]:
    """One account with so many values, each of which it shares with another account, and these accounts."""
    values = [f"v{first}-{number}" for number in range(count)]
    return {first: values, **{first + 1 + number: [value] for number, value in enumerate(values)}}


def test_an_account_of_many_values_met_by_chance_who_shares_one_with_each_of_them() -> None:
    assert met("ip_prefix", apart(MOST_APART - 1, 0)) == set()
    held = apart(MOST_APART, 0)
    assert met("ip_prefix", held) == {(0, value) for value in held[0]}, "the others have one value, and it is shared"


def test_values_that_are_chosen_are_not_met() -> None:
    assert met("template", apart(200, 0)) == set()


def test_accounts_of_one_pool_have_many_values_in_common() -> None:
    draw = np.random.default_rng(3)
    pool = [f"p{number:04d}" for number in range(1_000)]
    assert met("ip", {account: list(draw.choice(pool, 160, replace=False)) for account in range(40)}) == set()
    large = [f"p{number:05d}" for number in range(20_000)]
    drawn = {account: list(draw.choice(large, 160, replace=False)) for account in range(40)}
    assert len(met("ip", drawn)) > 0.9 * sum(map(len, drawn.values()))


def test_a_rare_value_beside_many_popular_ones_is_no_chance() -> None:
    held: dict[int, list[str]] = {0: ["rare", *(f"door-{number}" for number in range(100))], 1: ["rare"]}
    for account in range(2, 60):
        held[account] = held[0][1:]
    assert (0, "rare") not in met("ip", held)


@pytest.mark.parametrize("fellows", [1, COMPARED, 3 * COMPARED])
def test_whoever_has_all_of_them_in_common_is_found_among_those_who_have_a_value(fellows: int) -> None:
    values = [f"v{number}" for number in range(100)]
    assert met("ip", dict.fromkeys(range(fellows + 1), values)) == set()


def test_the_order_of_rows_decides_nothing() -> None:
    draw = np.random.default_rng(4)
    pool = [f"p{number:04d}" for number in range(3_000)]
    table, account = uses("ip", {number: list(draw.choice(pool, 100, replace=False)) for number in range(60)})
    flags = find_chance_met(table, account, accounts=60)
    assert 0 < flags.sum() < len(flags)
    order = draw.permutation(len(table))
    again = find_chance_met(table.iloc[order].reset_index(drop=True), account[order], accounts=60)
    assert np.array_equal(again, flags[order])


def test_one_account_is_told_what_evidence_says() -> None:
    own = pd.DataFrame({"kind": ["ip"] * 80 + ["template"] * 80, "accounts": [2] * 160})
    others = pd.DataFrame({"row": range(160), "account": [*range(76), 7, 7, 7, 7, *range(80)]})
    flags = find_own_chance_met(own, others)
    assert set(np.flatnonzero(~flags)) == {7, 76, 77, 78, 79, *range(80, 160)}, "five of eighty with one account"
    alone = own.assign(accounts=1)
    assert not find_own_chance_met(alone, others.iloc[:0]).any()


def test_evidence_leaves_out_what_chance_made_accounts_share_and_counts_what_was_seen() -> None:
    """150 accounts draw prefixes from one large pool; two others share one of these, and one of their own."""
    world = World(seed=5)
    pool = [f"pool-{number}" for number in range(15_000)]
    drawn = {f"b{n:03d}": [str(v) for v in world.draw.choice(pool, PREFIXES, replace=False)] for n in range(150)}
    for name, values in drawn.items():
        world.add(name, values={"ip_prefix": values}, created_day=20.0)
    common = drawn["b000"][0]
    for name in ("thin0", "thin1"):
        world.add(name, values={"ip_prefix": [common, "office"]}, created_day=30.0)
    frames = world.frames()
    known = {name: frames[name] for name in ("uses", "accounts")}
    found = check_frame(gather_evidence(**known, settings=EvidenceSettings()), EVIDENCE, name="evidence")
    prefixes = found[found["kind"] == "ip_prefix"].astype({"account_id": "str", "value": "str"})
    assert len(prefixes) < 0.3 * sum(map(len, drawn.values()))
    told, seen = prefixes[prefixes["value"] == common], sum(common in values for values in drawn.values()) + 2
    assert {"thin0", "thin1"} <= set(told["account_id"])
    assert len(told) < seen
    assert set(told["accounts"]) == {seen}
    assert found.groupby(["kind", "value"], observed=True)["account_id"].nunique().min() == 2
