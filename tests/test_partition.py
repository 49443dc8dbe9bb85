import numpy as np
import pandas as pd
import pytest
from group_frames import conduct_of, groups_of, items_of

from linkage.clusters import features
from linkage.evidence import partition
from linkage.evidence.nulls import FOUND
from linkage.evidence.partition import find_shared_out_work
from linkage.terms import OTHER_ITEMS, OWN_ITEMS, check_frame, make_frame

POOL = 1_500
WORKERS = [f"w{number:02d}" for number in range(10)]
OUTSIDERS = [f"o{number:02d}" for number in range(30)]
ACCOUNTS_OF_BOTH = [*OUTSIDERS, *WORKERS, "w10"]


def _rows(ids: list[str], drawn: list[np.ndarray]) -> list[tuple[str, int, float]]:
    return [(account, int(item), 1.0) for account, items in zip(ids, drawn, strict=True) for item in items]


def _draws(ids: list[str], *, seed: int, count: int = 100) -> list[np.ndarray]:
    """Items that each account takes from the pool on its own, some more popular than others."""
    draw = np.random.default_rng(seed)
    chance = 1 / (np.arange(POOL) + 200)
    return [draw.choice(POOL, count, replace=False, p=chance / chance.sum()) for _ in ids]


def _shards(ids: list[str], *, seed: int, count: int = 100) -> list[np.ndarray]:
    shuffled = np.random.default_rng(seed).permutation(POOL)
    return [shuffled[number * count : (number + 1) * count] for number in range(len(ids))]


def _found(workers: list[np.ndarray], outsiders: list[np.ndarray]) -> list[str]:
    items = items_of([*_rows(WORKERS, workers), *_rows(OUTSIDERS, outsiders)])
    conduct = conduct_of(dict.fromkeys([*WORKERS, *OUTSIDERS], 100))
    found = find_shared_out_work(groups_of(WORKERS), items=items, conduct=conduct)
    check_frame(found, FOUND, name="found")
    return sorted(found["account_id"])


def test_a_public_pool_shared_out_in_shards_is_found() -> None:
    assert _found(_shards(WORKERS, seed=1), _draws(OUTSIDERS, seed=2)) == WORKERS


@pytest.mark.parametrize(("first", "enough"), [(7, 1_000), (7, 8), (1_000, 8)])
def test_it_is_found_whether_outsiders_are_looked_for_among_some_or_all(
    first: int, enough: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition, "FIRST_ACCOUNTS", first)
    monkeypatch.setattr(partition, "ENOUGH_OUTSIDERS", enough)
    monkeypatch.setattr(partition, "_PART_ACCOUNTS", 3)
    assert _found(_shards(WORKERS, seed=1), _draws(OUTSIDERS, seed=2)) == WORKERS
    assert _found(_draws(WORKERS, seed=3), _draws(OUTSIDERS, seed=13)) == []


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_accounts_that_draw_from_the_pool_themselves_are_not(seed: int) -> None:
    assert _found(_draws(WORKERS, seed=seed), _draws(OUTSIDERS, seed=seed + 10)) == []


def test_without_outsiders_nothing_is_expected_and_nothing_told() -> None:
    elsewhere = [items + POOL for items in _draws(OUTSIDERS, seed=2)]
    assert _found(_shards(WORKERS, seed=1), elsewhere) == []


def test_a_benchmark_that_all_send_whole_is_not_shared_out() -> None:
    whole = [np.arange(100) for _ in WORKERS]
    assert _found(whole, _draws(OUTSIDERS, seed=2)) == []


@pytest.mark.parametrize("share", [0.55, 0.7, 0.9])
def test_a_benchmark_that_each_sends_in_part_is_not_shared_out(share: float) -> None:
    draw = np.random.default_rng(9)
    parts = [np.flatnonzero(draw.random(150) < share) for _ in WORKERS]
    assert _found(parts, _draws(OUTSIDERS, seed=2)) == []


def test_items_that_come_many_to_a_request_count_as_one_event() -> None:
    items = items_of([*_rows(WORKERS, _shards(WORKERS, seed=1)), *_rows(OUTSIDERS, _draws(OUTSIDERS, seed=2))])
    few = conduct_of(dict.fromkeys([*WORKERS, *OUTSIDERS], 1))
    assert find_shared_out_work(groups_of(WORKERS), items=items, conduct=few).empty


def test_nothing_in_finds_nothing() -> None:
    assert find_shared_out_work(groups_of(), items=items_of([]), conduct=conduct_of({})).empty


def test_items_of_one_account_alone_may_be_counted_instead_of_listed() -> None:
    rows = [*_rows(WORKERS, _shards(WORKERS, seed=1)), *_rows(OUTSIDERS, _draws(OUTSIDERS, seed=2))]
    lone = [(account, 10_000 + 100 * place + n, 2.0 + n) for place, account in enumerate(WORKERS) for n in range(place)]
    lone += [("w10", 99_000, 1.0), (OUTSIDERS[0], 99_001, 3.0)]
    everything = items_of(sorted([*rows, *lone]))
    alone = everything.groupby("item")["account_id"].transform("size") == 1
    counted = everything[alone].groupby("account_id")["first_at"].agg(["size", "min", "max"]).reset_index()
    columns = dict(zip(OWN_ITEMS, (counted[name].array for name in counted.columns), strict=True))
    known = {"conduct": conduct_of(dict.fromkeys([*WORKERS, *OUTSIDERS, "w10"], 100))}
    groups = groups_of([*WORKERS, "w10"])
    whole = find_shared_out_work(groups, items=everything, **known)
    listed = everything[~alone].reset_index(drop=True)
    split = find_shared_out_work(groups, items=listed, own_items=make_frame(OWN_ITEMS, columns), **known)
    assert alone.sum() > len(lone) / 2
    assert len(whole) >= len(WORKERS)
    pd.testing.assert_frame_equal(split, whole)
    inside = listed["account_id"].isin(groups["account_id"])
    others = make_frame(OTHER_ITEMS, {name: listed.loc[~inside, name] for name in OTHER_ITEMS})
    rest = {"other_items": others, "own_items": make_frame(OWN_ITEMS, columns)}
    pd.testing.assert_frame_equal(find_shared_out_work(groups, items=listed[inside], **rest, **known), whole)
    of_group = np.where(np.char.startswith(np.array(ACCOUNTS_OF_BOTH), "w"), 0, -1)
    accounts = pd.DataFrame({"account_id": ACCOUNTS_OF_BOTH})
    parts = [(everything, None), (listed, make_frame(OWN_ITEMS, columns))]
    told = [
        features._partition(items, own, pd.Index(accounts["account_id"]), of_group, 1).tolist() for items, own in parts
    ]
    assert told[0] == told[1]
