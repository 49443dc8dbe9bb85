"""Rows into a table, several with each run of a statement."""

from __future__ import annotations

import math
import sqlite3

import numpy as np
import pytest

from linkage.store import inserts
from linkage.store.inserts import BLANK, insert_columns, insert_rows, insertion, with_nulls

CREATE = "create table t (a integer primary key, b integer, c real) strict"
INSERT = insertion("insert into t values", "(?, ?, ?)", after="on conflict (a) do update set b = b + excluded.b")


def stored(rows: list[list[int]], middle: list[float]) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(":memory:")
    connection.execute(CREATE)
    matrix = np.array(rows, dtype=np.int64).reshape(-1, 3)
    insert_rows(connection, INSERT, rows=matrix, others={1: with_nulls(matrix[:, 1]), 2: middle})
    return connection.execute("select a, b, c from t order by a").fetchall()


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 37, 60, 65])
@pytest.mark.parametrize("chunk", [20, 50_000])
def test_every_row_is_stored_with_its_own_values(count: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inserts, "_CHUNK_ROWS", chunk)
    rows = [[each, BLANK if each % 3 == 0 else each + 100, 7] for each in range(count)]
    wanted = [(each, None if each % 3 == 0 else each + 100, each / 2) for each in range(count)]
    assert stored(rows, [each / 2 for each in range(count)]) == wanted


def test_what_is_no_number_is_null_and_what_is_stored_merges() -> None:
    rows = [[each % 4, 1, 0] for each in range(24)]
    assert stored(rows, [math.nan] * 24) == [(each, 6, None) for each in range(4)]


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 45])
def test_columns_are_stored_beside_what_all_rows_have_in_common(count: int) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (run text, a integer, b text) strict")
    names = [None if each % 4 == 0 else f"n{each}" for each in range(count)]
    columns = [list(range(count)), names]
    insert_columns(connection, insertion("insert into t values", "(?1, ?, ?)"), common="r", columns=columns)
    found = connection.execute("select run, a, b from t order by a").fetchall()
    assert found == [("r", each, name) for each, name in enumerate(names)]
