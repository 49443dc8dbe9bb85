"""Items of accounts: packed by day, handed out by window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from linkage.store import facts
from linkage.store.items import account_items, pack_items
from linkage.store.store import Database
from linkage.terms import DAY_MS, ITEMS


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
        found = account_items(database, since_day=1, until_day=3)
    assert found["account_id"].tolist() == ["a", "b", "b"]
    assert found["item"].tolist() == [5, 3, 2**62]
    assert found["request_count"].tolist() == [1, 5, 2]
    wanted = pd.to_datetime([3 * DAY_MS - 1, DAY_MS + 8, DAY_MS + 1], unit="ms", utc=True)
    assert found["first_at"].tolist() == wanted.tolist()


def test_no_items_give_an_empty_frame_of_the_same_shape(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:
        found = account_items(database, since_day=0, until_day=30_000)
    assert {name: str(kind) for name, kind in found.dtypes.items()} == dict(ITEMS)
    assert found.empty
