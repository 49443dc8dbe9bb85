"""Long tables that compiled code fills hold what Python would have put there."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import linkage as lk
from linkage.store import filling
from linkage.store.filling import fill_table, put_rows, put_texts
from linkage.store.inserts import insertion
from linkage.store.library import Connection, connect, find_library

INSERT = insertion("insert into long values", "(?1, ?, ?, ?, ?)")
ROWS = 3 * 20 + 7


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    if find_library() is None:
        pytest.skip("SQLite is a part of this interpreter")
    monkeypatch.setattr(filling, "_PART_ROWS", 20)
    opened = connect(tmp_path / "long.db", timeout=1.0)
    assert opened.handle
    opened.execute(
        "create table long (run text not null, number integer not null, share real, at_ms integer, name text, "
        "primary key (run, number)) strict, without rowid"
    )
    yield opened
    opened.close()


def columns() -> list[pd.Series]:
    """Numbers, and floats, times and names of which some are null."""
    number = np.arange(ROWS)
    return [
        pd.Series(number - 5),
        pd.Series(np.where(number % 7, number / 3, np.nan)),
        pd.Series(pd.to_datetime(np.where(number % 5, number, np.iinfo(np.int64).min), unit="ms", utc=True)),
        pd.Series(pd.Categorical.from_codes(number % 4 - 1, ["", "a\0b", "日本"])),
    ]


def test_rows_are_what_python_puts_there(connection: Connection) -> None:
    rows = np.arange(ROWS)[::-1][:-3]
    with connection:
        assert fill_table(connection, INSERT, common="r-1", columns=columns(), rows=rows)
    found = connection.execute("select * from long order by number desc").fetchall()
    number, share, at, name = (column.iloc[rows] for column in columns())
    ms = [None if pd.isna(time) else int(time.timestamp() * 1000) for time in at]
    shares, names = ([None if pd.isna(value) else value for value in column] for column in (share, name))
    assert found == list(zip(["r-1"] * len(rows), number, shares, ms, names, strict=True))


def test_categories_may_be_in_parts(connection: Connection) -> None:
    joined = pd.Index(pd.arrays.ArrowStringArray(pa.chunked_array([["", "a\0b"], ["日本"]])))
    parts = [*columns()[:3], columns()[3].cat.set_categories(joined)]
    assert isinstance(pa.array(parts[3].cat.categories, pa.large_string()), pa.ChunkedArray)
    assert fill_table(connection, INSERT, common="r-1", columns=parts, rows=np.arange(ROWS))
    found = [row[0] for row in connection.execute("select name from long order by number")]
    assert found == [None if pd.isna(name) else name for name in columns()[3]]


def test_what_is_not_committed_goes_with_the_transaction(connection: Connection) -> None:
    connection.execute("begin")
    assert fill_table(connection, INSERT, common="r-1", columns=columns(), rows=np.arange(ROWS))
    assert connection.in_transaction
    connection.execute("rollback")
    assert connection.execute("select count(*) from long").fetchone() == (0,)


def test_a_row_that_is_there_is_an_error(connection: Connection) -> None:
    connection.execute("insert into long values ('r-1', 50, null, null, null)")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        fill_table(connection, INSERT, common="r-1", columns=columns(), rows=np.arange(ROWS))


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_matrix_has_blanks_and_floats(
    connection: Connection, is_asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.arange(4 * ROWS).reshape(ROWS, 4)
    rows[:, 1] = -1
    insert = insertion("insert into long values", "(?, ?, ?, ?, 'x')")
    connection.execute("drop table long")
    connection.execute("create table long (a real, b integer, c integer, d integer, name text)")
    leave_to_python(monkeypatch, is_asked=is_asked)
    put_rows(connection, insert, rows=rows, has_blanks=True)
    put_rows(connection, insert, rows=rows, floats={0: np.array([0.5, math.nan] * 33 + [2])})
    found = connection.execute("select * from long").fetchall()
    assert found[:ROWS] == [(a, None, c, d, "x") for a, _, c, d in rows.tolist()]
    assert found[ROWS:] == [
        (a, -1, c, d, "x") for a, (_, _, c, d) in zip([0.5, None] * 33 + [2.0], rows.tolist(), strict=True)
    ]


def leave_to_python(monkeypatch: pytest.MonkeyPatch, *, is_asked: bool) -> None:
    """Let compiled code do it only where SQLite is asked, and Python's binding only where it is not."""
    if is_asked:
        monkeypatch.delattr(filling, "insert_rows")
    else:
        monkeypatch.setattr(filling, "find_asked", lambda _connection: None)


@pytest.mark.parametrize("is_asked", [True, False])
@pytest.mark.parametrize("names", [(), ("card", "ip")])
@pytest.mark.parametrize("kind", [pa.string(), pa.binary()])
def test_texts_and_blobs_come_with_an_id_and_a_name(
    connection: Connection, kind: pa.DataType, names: tuple[str, ...], is_asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    column = {pa.string(): "text", pa.binary(): "blob"}[kind]
    connection.execute(f"create table named (id integer primary key, kind text, value {column}) strict")
    insert = insertion("insert into named (id, value) values", "(?, ?)")
    if names:
        insert = insertion("insert into named (id, kind, value) values", "(?, ?, ?)")
    given = ["", "a\0b", "日本", *(f"value {at}" * at for at in range(ROWS))]
    values = pa.array([text if kind == pa.string() else text.encode() for text in given], kind)[3:]
    ids = np.arange(ROWS) * 7 - 9
    kinds = ids % 2 if names else None
    leave_to_python(monkeypatch, is_asked=is_asked)
    put_texts(connection, insert, ids=ids, values=values, kinds=kinds, names=names)
    assert connection.execute("select * from named order by id").fetchall() == [
        (each, names[each % 2] if names else None, value)
        for each, value in zip(ids.tolist(), values.to_pylist(), strict=True)
    ]
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        put_texts(
            connection,
            insert,
            ids=ids[5:6],
            values=values[:1],
            kinds=kinds if kinds is None else kinds[5:6],
            names=names,
        )


def test_a_full_disk_is_told_and_the_transaction_is_gone(connection: Connection) -> None:
    connection.execute(f"pragma max_page_count = {connection.execute('pragma page_count').fetchone()[0]}")
    connection.execute("begin")
    known = {"columns": columns(), "rows": np.arange(ROWS)}
    with pytest.raises(sqlite3.OperationalError, match="full"):
        all(fill_table(connection, INSERT, common=f"r-{run}", **known) for run in range(100))
    if connection.in_transaction:
        connection.execute("rollback")
    assert connection.execute("select count(*) from long").fetchone() == (0,)


def test_a_closed_connection_is_left_to_python_which_refuses_it(connection: Connection) -> None:
    rows = np.arange(4 * ROWS).reshape(ROWS, 4)
    connection.close()
    assert not fill_table(connection, INSERT, common="r-1", columns=columns(), rows=np.arange(ROWS))
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        put_rows(connection, insertion("insert into long values", "(?, ?, ?, ?, 'x')"), rows=rows)


def test_plain_text_and_other_connections_are_left_to_python(connection: Connection) -> None:
    known = {"common": "r-1", "columns": columns(), "rows": np.arange(ROWS)}
    assert not fill_table(connection, INSERT, **{**known, "columns": [*columns()[:3], columns()[3].astype("str")]})
    assert not fill_table(sqlite3.connect(":memory:"), INSERT, **known)
    assert connection.execute("select count(*) from long").fetchone() == (0,)


def test_a_run_is_the_same_whoever_fills_its_tables(tiny_store: lk.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = lk.rebuild(tiny_store)
    told = run.cluster(run.clusters["cluster_id"].iloc[0]).detail
    tiny_store._database.connection.execute("delete from run")
    monkeypatch.setattr(filling, "find_asked", lambda _connection: None)
    again = lk.rebuild(tiny_store)
    assert again.run_id == run.run_id
    filled = again.cluster(run.clusters["cluster_id"].iloc[0]).detail
    for name in ("members", "links", "shared", "templates"):
        assert not getattr(told, name).empty
        pd.testing.assert_frame_equal(getattr(filled, name), getattr(told, name))
