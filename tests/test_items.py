"""Items of accounts: packed by day, handed out by window."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from linkage.store import facts
from linkage.store import items as items_room
from linkage.store import store as store_room
from linkage.store.entities import add_entities
from linkage.store.items import AccountItems, ItemLog, pack_items
from linkage.store.names import read_account_names
from linkage.store.store import Database
from linkage.terms import DAY_MS, ITEMS, OTHER_ITEMS, OWN_ITEMS, check_frame


def pack(items: list[int], counts: list[int], first_ms: list[int]) -> bytearray:
    columns = [np.array(column, dtype=np.int64) for column in (items, counts, first_ms)]
    return pack_items(np.array([0, len(items)]), columns)[0]


def log_of(database: Database, *, since_day: int, until_day: int, is_settled: bool = False) -> ItemLog:
    accounts = read_account_names(database)
    days = {"since_day": since_day, "until_day": until_day}
    return ItemLog(database, accounts=accounts, days=days, is_settled=is_settled)


def test_days_of_the_window_add_up(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:
        with database.transaction("add items") as connection:
            add_entities(connection, {"account": pa.table({"id": [1, 2, 3], "value": ["b", "a", "c"]})})
            blobs = [
                pack([3], [9], [0]),
                pack([3, 2**62], [1, 2], [DAY_MS + 8, DAY_MS + 1]),
                pack([3], [4], [2 * DAY_MS]),
                pack([5], [1], [3 * DAY_MS - 1]),
                pack([3, 5, 2**62], [1, 1, 1], [DAY_MS] * 3),
            ]
            facts.add_item_days(connection, np.array([(1, 0), (1, 1), (1, 2), (2, 2), (3, 1)]), blobs)
        found = log_of(database, since_day=1, until_day=3).read()
    assert found.asked["account_id"].tolist() == ["a", "b", "b", "c", "c", "c"]
    assert found.asked["item"].tolist() == [0, 1, 2, 1, 0, 2]
    wanted = pd.to_datetime([3 * DAY_MS - 1, DAY_MS + 8, DAY_MS + 1, *[DAY_MS] * 3], unit="ms", utc=True)
    assert found.asked["first_at"].tolist() == wanted.tolist()
    assert found.own.empty


def test_packed_days_are_three_arrays_one_after_the_other() -> None:
    items, counts = np.array([5, 9, 3, 7]), np.array([1, 2, 3, 4])
    first_ms = np.array([DAY_MS + 5, DAY_MS, 7, 2 * DAY_MS - 1])
    blobs = pack_items(np.array([0, 2, 2, 3, 4]), [items, counts, first_ms])
    parts = [slice(0, 2), slice(2, 2), slice(2, 3), slice(3, 4)]
    since = first_ms % DAY_MS
    arrays = [(items[part].astype("<i8"), counts[part].astype("<i4"), since[part].astype("<i4")) for part in parts]
    assert blobs == [b"".join(array.tobytes() for array in three) for three in arrays]


def test_no_items_give_empty_frames_of_the_same_shapes(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:
        found = log_of(database, since_day=0, until_day=30_000).read()
    check_frame(found.asked, ITEMS, name="items")
    check_frame(found.others, OTHER_ITEMS, name="other_items")
    check_frame(found.own, OWN_ITEMS, name="own_items")
    assert found.asked.empty
    assert found.others.empty
    assert found.own.empty


ACCOUNTS = 30


def add_log(database: Database, order: np.ndarray) -> pd.DataFrame:
    """Items of some accounts on three days, put in with the accounts in this order; one row per account and item."""
    draw = np.random.default_rng(8)
    held: list[tuple[str, int, int]] = []
    rows = []
    for account in range(ACCOUNTS):
        for day in range(3):
            own = np.unique(np.append(draw.integers(1, 2**62, 20), draw.integers(1, 60, 4)))
            first_ms = day * DAY_MS + draw.integers(0, DAY_MS, len(own))
            rows.append((int(order[account]), day, pack(own.tolist(), [1] * len(own), first_ms.tolist())))
            held += [(f"n{account:02}", int(item), int(ms)) for item, ms in zip(own, first_ms, strict=True)]
    with database.transaction("add items") as connection:
        names = [f"n{n:02}" for n in range(ACCOUNTS)]
        add_entities(connection, {"account": pa.table({"id": order[:ACCOUNTS], "value": names})})
        rows.sort()
        facts.add_item_days(connection, np.array([row[:2] for row in rows]), [row[2] for row in rows])
    table = pd.DataFrame(held, columns=["account_id", "item", "ms"])
    return table.groupby(["account_id", "item"], as_index=False).min()


def name_items(found: AccountItems, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the two frames with the items that their numbers stand for, told by who sent which at which time."""
    asked = found.asked.astype({"account_id": "str"})
    asked = asked.merge(
        table.assign(first_at=pd.to_datetime(table["ms"], unit="ms", utc=True)), on=["account_id", "first_at"]
    )
    assert len(asked) == len(found.asked)
    item_of = asked.groupby("item_x")["item_y"].agg(["nunique", "first"])
    assert (item_of["nunique"] == 1).all()
    assert item_of["first"].is_unique
    others = found.others.astype({"account_id": "str"})
    others["item"] = item_of["first"].reindex(others["item"]).to_numpy()
    return asked.rename(columns={"item_y": "item"})[["account_id", "item", "first_at"]], others


def check_rest(found: AccountItems, left: pd.DataFrame, unnumbered: pd.Series[int] | None = None) -> None:
    """The items that are not listed are counted; of others, some are listed without a number instead."""
    told = left.groupby("account_id")["ms"].agg(["size", "min", "max"])
    assert found.own["account_id"].tolist() == told.index.tolist()
    elsewhere = pd.Series(0, index=told.index) if unnumbered is None else unnumbered.reindex(told.index, fill_value=0)
    assert found.own["item_count"].tolist() == (told["size"] - elsewhere).tolist()
    whole = (elsewhere == 0).to_numpy()
    assert whole.mean() > 0.5
    for name, edge in (("first_at", "min"), ("last_at", "max")):
        wanted = pd.to_datetime(told[edge], unit="ms", utc=True)
        assert found.own.loc[whole, name].tolist() == wanted[whole].tolist()


@pytest.fixture(params=[1, 40, 3_000_000])
def part(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(items_room, "_PART_ITEMS", request.param)
    monkeypatch.setattr(store_room, "_PART_ROWS", 7)
    return int(request.param)


def test_items_of_two_accounts_are_listed_and_the_others_listed_or_counted(part: int, tmp_path: Path) -> None:
    with Database(tmp_path / f"{part}.db") as database:
        table = add_log(database, np.arange(ACCOUNTS))
        found = log_of(database, since_day=0, until_day=3).read()
    users = table.groupby("item")["account_id"].transform("size")
    listed, _ = name_items(found, table)
    both = table.merge(listed, on=["account_id", "item"], how="left")
    assert both.loc[users > 1, "first_at"].notna().all()
    assert len(listed) == both["first_at"].notna().sum() < len(table)
    assert found.others.empty
    check_rest(found, both[both["first_at"].isna()])


def test_of_accounts_that_are_not_asked_for_only_who_has_an_item_is_told(part: int, tmp_path: Path) -> None:
    with Database(tmp_path / f"{part}.db") as database:
        table = add_log(database, np.arange(ACCOUNTS))
        asked = ["n29", "n03", "n04", "unknown"]
        found = log_of(database, since_day=0, until_day=3).read(asked)
    mine = table["account_id"].isin(asked)
    users = table.groupby("item")["account_id"].transform("size")
    asked_rows, other_rows = name_items(found, table)
    listed = table.merge(asked_rows, on=["account_id", "item"], how="left")["first_at"]
    other = table.merge(other_rows.dropna(), on=["account_id", "item"], how="left", indicator=True)
    is_other = (other["_merge"] == "both").to_numpy()
    assert listed[mine & (users > 1)].notna().all()
    assert listed[~mine].isna().all()
    assert is_other[~mine & table["item"].isin(table.loc[mine, "item"])].all()
    assert not is_other[mine].any()
    assert len(asked_rows) + other_rows["item"].notna().sum() == (listed.notna() | is_other).sum()
    unknown = other_rows.loc[other_rows["item"].isna(), "account_id"].value_counts()
    check_rest(found, table[listed.isna() & ~is_other], unknown)


def test_compiled_code_reads_the_same_items(part: int, tmp_path: Path) -> None:
    with Database(tmp_path / f"{part}.db") as database:
        add_log(database, np.arange(ACCOUNTS))
        plain = log_of(database, since_day=0, until_day=3)
        with database.settled():
            settled = log_of(database, since_day=0, until_day=3, is_settled=True)
        assert settled.marked.digest == plain.marked.digest
        with ThreadPoolExecutor(1) as pool:  # in any thread
            for accounts in (None, ["n29", "n03", "n04"]):
                one, other = plain.read(accounts), pool.submit(settled.read, accounts).result()
                for name in ("asked", "others", "own"):
                    pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


def test_the_order_of_loading_changes_neither_digest_nor_rows(tmp_path: Path) -> None:
    told = []
    for seed in (1, 2):
        with Database(tmp_path / f"{seed}.db") as database:
            add_log(database, np.random.default_rng(seed).permutation(ACCOUNTS) + 1)
            log = log_of(database, since_day=0, until_day=3)
            told.append((log.marked.digest, log.read(["n02", "n21"])))
            assert log_of(database, since_day=0, until_day=2).marked.digest != log.marked.digest
    assert told[0][0] == told[1][0]
    for name in ("asked", "others", "own"):
        pd.testing.assert_frame_equal(getattr(told[0][1], name), getattr(told[1][1], name))
