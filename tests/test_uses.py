"""What is read as numbers and named once is what the queries of text say."""

import contextlib

import numpy as np
import pandas as pd
import pytest

import linkage as lk
from linkage.store.inputs import hash_rows
from linkage.store.store import Database
from linkage.store.uses import read_account_names, read_hours, read_uses
from linkage.terms import HOURS, TEXT, USES


def windows(store: lk.Store) -> list[dict[str, int]]:
    """All days, the days of the published run but its first two, and none."""
    days = store.run._days
    return [
        {"since_day": 0, "until_day": 30_000},
        {"since_day": days["since_day"] + 2, "until_day": days["until_day"] - 1},
        {"since_day": 0, "until_day": 1},
    ]


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("is_settled", [False, True])
def test_uses_and_hours_as_numbers_are_those_of_the_queries(planted: lk.Store, number: int, is_settled: bool) -> None:
    database, days = planted._database, windows(planted)[number]
    names = read_account_names(database)
    with database.settled() if is_settled else contextlib.nullcontext():
        found = read_uses(database, accounts=names, **days), read_hours(database, accounts=names, **days)
    queries = (("account_uses", USES), ("account_hours", HOURS))
    for made, (query, shape) in zip(found, queries, strict=True):
        wanted = database.frame(query, shape, **days)
        texts = [name for name in ("account_id", "kind", "value") if name in made]
        assert all(made[name].cat.categories.is_monotonic_increasing for name in texts)
        pd.testing.assert_frame_equal(made.astype(dict.fromkeys(texts, TEXT)), wanted)
        assert hash_rows(made) == hash_rows(wanted)


@pytest.mark.parametrize("is_settled", [False, True])
def test_numbers_are_the_rows_of_their_query(
    planted: lk.Store, is_settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linkage.store.store._PART_ROWS", 7)
    database: Database = planted._database
    days = {"since_day": 0, "until_day": 30_000}
    with database.settled() if is_settled else contextlib.nullcontext():
        parts = list(database.numbers("window_hours", **days))
    assert {len(part) for part in parts[:-1]} == {7}
    assert np.concatenate(parts).tolist() == database.query("window_hours", **days).to_numpy().tolist()
