"""Items of accounts: packed by day, handed out by window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from linkage.store import facts
from linkage.store import items as items_room
from linkage.store.items import ItemLog, pack_items
from linkage.store.store import Database
from linkage.terms import DAY_MS, ITEMS, OWN_ITEMS, check_frame


def pack(items: list[int], counts: list[int], first_ms: list[int]) -> bytes:
    return pack_items(*(np.array(column, dtype=np.int64) for column in (items, counts, first_ms)))


def test_days_of_the_window_add_up(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:
        with database.transaction("add items") as connection:
            facts.add_entities(connection, "account", [(1, "b"), (2, "a")])
            rows = [
                (1, 0, pack([3], [9], [0])),
                (1, 1, pack([3, 2**62], [1, 2], [DAY_MS + 8, DAY_MS + 1])),
                (1, 2, pack([3], [4], [2 * DAY_MS])),
                (2, 2, pack([5], [1], [3 * DAY_MS - 1])),
            ]
            facts.add_item_days(connection, rows)
        handed: list[pd.DataFrame] = []
        found = ItemLog(database, since_day=1, until_day=3, each=handed.append).read()
    everything = pd.concat(handed, ignore_index=True)
    assert everything["account_id"].tolist() == ["a", "b", "b"]
    assert everything["item"].tolist() == [5, 3, 2**62]
    assert everything["request_count"].tolist() == [1, 5, 2]
    wanted = pd.to_datetime([3 * DAY_MS - 1, DAY_MS + 8, DAY_MS + 1], unit="ms", utc=True)
    assert everything["first_at"].tolist() == wanted.tolist()
    assert len(found.shared) + found.own["item_count"].sum() == 3


def test_no_items_give_empty_frames_of_the_same_shapes(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:
        found = ItemLog(database, since_day=0, until_day=30_000).read()
    check_frame(found.shared, ITEMS, name="items")
    check_frame(found.own, OWN_ITEMS, name="own_items")
    assert found.shared.empty
    assert found.own.empty


@pytest.mark.parametrize("part", [1, 40, 3_000_000])
def test_items_of_two_accounts_are_listed_and_the_others_listed_or_counted(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items_room, "_PART_ITEMS", part)
    draw = np.random.default_rng(8)
    accounts, held = 30, []
    rows = []
    for account in range(accounts):
        for day in range(3):
            own = np.unique(np.append(draw.integers(1, 2**62, 20), draw.integers(1, 60, 4)))
            first_ms = day * DAY_MS + draw.integers(0, DAY_MS, len(own))
            rows.append((account, day, pack_items(own, np.ones(len(own), dtype=np.int64), first_ms)))
            held += [(f"n{account:02}", int(item), int(ms)) for item, ms in zip(own, first_ms, strict=True)]
    with Database(tmp_path / "s.db") as database:
        with database.transaction("add items") as connection:
            facts.add_entities(connection, "account", [(n, f"n{n:02}") for n in range(accounts)])
            facts.add_item_days(connection, rows)
        found = ItemLog(database, since_day=0, until_day=3).read()
    table = pd.DataFrame(held, columns=["account_id", "item", "ms"]).groupby(["account_id", "item"]).min().reset_index()
    users = table.groupby("item")["account_id"].transform("size")
    listed = found.shared.astype({"account_id": "str"})
    both = table.merge(listed, on=["account_id", "item"], how="left")
    assert both.loc[users > 1, "request_count"].notna().all()
    assert len(listed) == both["request_count"].notna().sum() < len(table)
    left = both[both["request_count"].isna()].groupby("account_id")["ms"].agg(["size", "min", "max"])
    assert found.own["account_id"].tolist() == left.index.tolist()
    assert found.own["item_count"].tolist() == left["size"].tolist()
    for name, edge in (("first_at", "min"), ("last_at", "max")):
        assert found.own[name].tolist() == pd.to_datetime(left[edge], unit="ms", utc=True).tolist()
