"""The door to SQLite: what is refused, what is kept whole."""

import contextlib
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

import linkage as lk
from linkage.errors import QueryError, StoreBusyError, StoreError
from linkage.store.schema import MIGRATIONS
from linkage.store.store import Database
from linkage.terms import USES


def test_a_new_store_is_empty_and_made_at_the_latest_version(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:
        assert database.query("store_counts")["requests"].tolist() == [0]
        assert database.connection.execute("pragma user_version").fetchone() == (len(MIGRATIONS),)
        assert database.check_integrity() == []


def test_every_table_is_strict(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:
        loose = database.connection.execute(
            "select name from pragma_table_list where schema = 'main' and type = 'table' and not strict "
            "and name not like 'sqlite_%'"
        ).fetchall()
    assert loose == []


def test_another_sqlite_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("create table shopping (item text)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="wanted a linkage store; found another SQLite file"):
        Database(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to have a header that SQLite can look at\n" * 20)
    with pytest.raises(StoreError, match="restore a backup"):
        Database(path)


def test_a_store_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Database(path) as database:
        database.connection.execute("pragma user_version = 999")
    with pytest.raises(StoreError, match="upgrade linkage"):
        Database(path)


@pytest.mark.parametrize(("name", "message"), [("", "found a folder"), ("no/s.db", "Make it first")])
def test_a_path_that_cannot_hold_a_store_is_told(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        Database(tmp_path / name)


def test_a_missing_store_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="linkage ingest"):
        Database(tmp_path / "s.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    def break_off(database: Database) -> None:
        with database.transaction("add an account") as connection:
            connection.execute("insert into account values (1, 'a')")
            raise KeyboardInterrupt

    with Database(tmp_path / "s.db") as database:
        with pytest.raises(KeyboardInterrupt):
            break_off(database)
        assert database.query("store_counts")["accounts"].tolist() == [0]


def test_a_snapshot_does_not_see_what_is_written_meanwhile(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as reader, Database(tmp_path / "s.db") as writer, reader.snapshot():
        before = reader.query("store_counts")["accounts"].tolist()
        with writer.transaction("add an account") as connection:
            connection.execute("insert into account values (1, 'a')")
        assert reader.query("store_counts")["accounts"].tolist() == before == [0]
    with Database(tmp_path / "s.db") as later:
        assert later.query("store_counts")["accounts"].tolist() == [1]


def test_queries_want_exactly_their_parameters(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:
        with pytest.raises(QueryError, match="wanted run_id; found none"):
            database.query("run_clusters")
        with pytest.raises(QueryError, match="wanted a query named 'nothing'; found account_conduct, "):
            database.query("nothing")


def test_times_come_back_as_utc_milliseconds(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:
        database.connection.execute("insert into account values (1, 'a')")
        database.connection.execute("insert into account_hour values (1, 490000, 2, 0)")
        hours = database.query("account_hours", since_day=0, until_day=30_000)
    assert str(hours["hour_at"].dtype) == "datetime64[ms, UTC]"
    assert hours["hour_at"].tolist() == [pd.Timestamp(490000 * 3600, unit="s", tz="UTC")]


def test_a_store_of_the_first_version_keeps_its_requests_and_is_mined_anew(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as old:
        old.executescript(MIGRATIONS[0])
        old.execute("insert into request (key, content, account_id, at_ms, ip_id) values (5, 6, 1, 7, 8)")
        old.execute("insert into prompt (id, features) values (3, x'00')")
        old.execute("update input_state set revision = 4, mined_revision = 4")
    old.close()
    with Database(path) as database:
        found = database.connection.execute("select key, content, account_id, at_ms, ip_id from request").fetchall()
        prompts = database.connection.execute("select id, features from prompt").fetchall()
        assert database.revision()[0] != database.revision()[1], "templates must be mined again"
    assert (found, prompts) == ([(5, 6, 1, 7, 8)], [(3, b"\0")])


def test_templates_of_prompts_move_to_a_table_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as old:
        for script in MIGRATIONS[:6]:
            old.executescript(script)
        old.execute(
            "insert into prompt (id, features, template_id) values (9, x'00', 4), (3, x'01', null), (2, x'02', 5)"
        )
        old.execute("update input_state set revision = 4, mined_revision = 4")
    old.close()
    with Database(path) as database:
        moved = database.connection.execute("select prompt_id, template_id from prompt_template").fetchall()
        prompts = database.connection.execute("select id, features, gateway_template, text from prompt").fetchall()
        assert database.revision() == (4, 4), "what was mined stands"
    assert moved == [(2, 5), (9, 4)]
    assert prompts == [(9, b"\0", None, None), (3, b"\1", None, None), (2, b"\2", None, None)]


def test_a_transaction_that_a_reader_keeps_from_ending_leaves_nothing_and_the_next_one_is_stored(
    tmp_path: Path,
) -> None:
    with Database(tmp_path / "s.db") as database:
        database.connection.execute("pragma journal_mode = delete")  # as while a first load is stored
        database.connection.execute("pragma busy_timeout = 0")
        with contextlib.closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as reader:
            reader.execute("begin")
            reader.execute("select count(*) from account").fetchone()
            with pytest.raises(StoreBusyError), database.transaction("add one") as connection:
                connection.execute("insert into account (id, value) values (1, 'a')")
        with database.transaction("add another") as connection:
            connection.execute("insert into account (id, value) values (2, 'b')")
    with Database(tmp_path / "s.db") as database:
        assert database.connection.execute("select value from account").fetchall() == [("b",)]


def test_a_failure_that_only_names_what_is_busy_or_locked_is_not_taken_for_a_store_that_is(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:
        for table in ("busy_hours", "locked_accounts"):
            with pytest.raises(StoreError, match=f"no such table: {table}") as told, database.errors_told("look"):
                database.connection.execute(f"select 1 from {table}")  # noqa: S608 (a name of ours)
            assert not isinstance(told.value, StoreBusyError)


def test_a_part_of_a_transaction_fails_by_itself_the_first_one_too(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:

        def add(number: int, *, fails: bool) -> None:
            with contextlib.suppress(RuntimeError), database.transaction("add a part") as connection:
                connection.execute("insert into account (id, value) values (?, ?)", (number, f"a{number}"))
                if fails:
                    raise RuntimeError

        for last_fails, kept in ((False, [2, 4]), (True, [])):
            database.connection.execute("delete from account")
            with contextlib.suppress(RuntimeError), database.transaction("add the whole") as connection:
                for number in (1, 2, 3, 4):
                    add(number, fails=number % 2 == 1)
                assert connection.in_transaction
                if last_fails:
                    raise RuntimeError
            assert database.connection.execute("select id from account").fetchall() == [(each,) for each in kept]


def test_an_answer_in_parts_is_the_answer_in_one(tiny_store: lk.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    days = {"since_day": 0, "until_day": 40_000}
    with Database(tiny_store.path) as database:
        frames = [(database.frame("account_uses", USES, **days), database.query("account_hours", **days))]
        monkeypatch.setattr("linkage.store.store._PART_ROWS", 7)
        frames.append((database.frame("account_uses", USES, **days), database.query("account_hours", **days)))
    for whole, parted in zip(*frames, strict=True):
        assert len(whole) > 7
        pd.testing.assert_frame_equal(whole, parted)
