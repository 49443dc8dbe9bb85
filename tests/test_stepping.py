"""Numbers that compiled code reads from SQLite: the same rows, errors told, and nothing where it cannot be asked."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from linkage.errors import StoreError
from linkage.store import library
from linkage.store.library import Asked, Calls, Connection, find_asked, find_calls
from linkage.store.stepping import read_numbers, read_packed
from linkage.store.store import Database


@pytest.fixture
def calls() -> Calls:
    found = find_calls()
    if found is None:
        pytest.skip("SQLite is a part of this interpreter")
    return found


def read(calls: Calls, path: Path, sql: str, *, width: int = 2, **parameters: int | str) -> list[list[list[int]]]:
    known = {"sql": sql, "parameters": parameters, "width": width, "part_rows": 4}
    with contextlib.closing(sqlite3.connect(":memory:")) as nobody:
        return [part.tolist() for part in read_numbers(nobody, Asked(calls, path), **known)]


def test_rows_come_in_parts_of_their_order(calls: Calls, tmp_path: Path) -> None:
    path = tmp_path / "numbers.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (a integer, b integer)")
        connection.executemany("insert into t values (?, ?)", [(each, -(2**62) + each) for each in range(9)])
    connection.close()
    rows = [[each, -(2**62) + each] for each in range(9)]
    ask = "select a, b from t where a >= :least order by a"
    assert read(calls, path, ask, least=0) == [rows[:4], rows[4:8], rows[8:]]
    assert read(calls, path, ask, least=5) == [rows[5:]]
    assert read(calls, path, ask, least=9) == []
    some = "select a, b from t where a in (select value from json_each(:some)) order by a"
    assert read(calls, path, some, some="[3, 8]") == [[rows[3], rows[8]]]


def test_what_sqlite_says_of_a_failure_is_told(calls: Calls, tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open") as told:
        read(calls, tmp_path / "none.db", "select 1, 2")
    assert told.value.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN
    (tmp_path / "text.db").write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.OperationalError, match="not a database"):
        read(calls, tmp_path / "text.db", "select count(*), 1 from sqlite_master")
    path = tmp_path / "store.db"
    sqlite3.connect(path).close()
    with pytest.raises(sqlite3.OperationalError, match="no such table: t"):
        read(calls, path, "select a, b from t")
    with pytest.raises(sqlite3.OperationalError, match="integer overflow"):
        read(calls, path, "select sum(value), 1 from json_each('[9223372036854775807, 1]')")


def test_a_store_tells_of_it_as_of_its_own_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_calls: object, **_asked: object) -> list[np.ndarray]:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("linkage.store.stepping._step_through", fail)
    monkeypatch.setattr("linkage.store.store.find_calls", lambda: True)
    with Database(tmp_path / "store.db") as database, database.settled(), pytest.raises(StoreError, match="disk I/O"):
        list(database.numbers("entity_parents"))


def test_a_connection_reads_its_own_state_with_floats_and_texts(calls: Calls, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Database(path) as database, contextlib.closing(sqlite3.connect(path)) as other:
        assert isinstance(database.connection, Connection)
        other.executescript(
            "create table t (a integer, b real, c text); insert into t values (1, 0.1, 'x'), (2, -3, '')"
        )
        with database.snapshot():
            database.connection.execute("select * from t").fetchall()
            other.execute("insert into t values (3, 1.5, 'unseen')")
            other.commit()
            asked = find_asked(database.connection)
            assert asked is not None
            known = {"sql": "select a, b, c from t order by a", "parameters": {}, "width": 3, "part_rows": 4}
            here = [list(read_packed(database.connection, by, **known)) for by in (asked, None)]
        [later] = read_packed(database.connection, Asked(calls, path), **known)
    for [part] in here:
        assert part.numbers[:, 0].tolist() == [1, 2]
        assert np.ascontiguousarray(part.numbers[:, 1]).view(np.float64).tolist() == [0.1, -3.0]
        assert (part.ends.tolist(), bytes(part.data)) == ([1, 1], b"x")
    assert later.numbers[:, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("is_asked", [True, False])
@pytest.mark.parametrize("sizes", [[], [0, 0], [3, 700, 1, 900, 2, 5, 4000]])
def test_texts_of_any_length_come_whole_and_in_order(
    sizes: list[int], is_asked: bool, calls: Calls, tmp_path: Path
) -> None:
    texts = [bytes([65 + place]) * size for place, size in enumerate(sizes)]
    with Database(tmp_path / "store.db") as database, database.transaction("fill") as connection:
        connection.execute("create table blobs (a integer, b blob)")
        connection.executemany("insert into blobs values (?, ?)", enumerate(texts))
        known = {"sql": "select a, b from blobs order by a", "parameters": {}, "width": 2, "part_rows": 3}
        by = find_asked(connection) if is_asked else None
        parts = list(read_packed(connection, by, **known, row_bytes=1))
    assert parts
    assert np.concatenate([part.numbers[:, 0] for part in parts]).tolist() == list(range(len(sizes)))
    read = [bytes(part.data[a:b]) for part in parts for a, b in zip([0, *part.ends], part.ends, strict=False)]
    assert read == texts


@pytest.mark.parametrize("file", [None, "/no/such/library.so"])
def test_without_a_library_rows_come_through_python(file: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("_sqlite3")
    if file:
        module.__file__ = file
    monkeypatch.setitem(sys.modules, "_sqlite3", module)
    monkeypatch.setattr(library, "find_library", library.find_library.__wrapped__)
    assert find_calls.__wrapped__() is None
