"""The file of a store: every earlier version opens, unknown files are distrusted, copies are whole."""

import contextlib
import gzip
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pytest

import linkage as lk
from linkage.errors import StoreBusyError, StoreError, TemplateError
from linkage.notebook.serving import snapshot_run
from linkage.settings import IngestSettings, Settings
from linkage.store.entities import add_entities
from linkage.store.schema import MIGRATIONS
from linkage.store.store import Database

STORES = Path(__file__).parent / "stores"
VERSIONS = tuple(range(1, len(MIGRATIONS) + 1))


def restored(version: int, folder: Path) -> Path:
    """A store of the tiny world as this version wrote it: loaded, rebuilt, with one case note."""
    path = folder / "old.db"
    connection = sqlite3.connect(path)
    connection.executescript(gzip.decompress((STORES / f"v{version}.sql.gz").read_bytes()).decode())
    connection.close()
    return path


@pytest.mark.parametrize("version", VERSIONS)
def test_a_store_of_every_version_opens_with_all_it_had_and_works_on(
    version: int, tiny_store: lk.Store, tiny_logs: Path, tmp_path: Path
) -> None:
    path = restored(version, tmp_path)
    with lk.open_store(path, create=False) as old:
        assert old._database.connection.execute("pragma user_version").fetchone() == (len(MIGRATIONS),)
        assert old.counts["requests"] == 64
        [cluster_id] = old.run.clusters["cluster_id"]
        assert old.run.cluster(cluster_id).case_notes["note"].tolist() == ["asked them"]
        assert len(old.run.members) == 4
        if version == 1:  # its prompts were measured otherwise, and their text was not kept
            with pytest.raises(TemplateError, match="load the logs into a new store"):
                old.ingest(tiny_logs / "requests.ndjson")
            return
        result = old.ingest(tiny_logs / "requests.ndjson", accounts=tiny_logs / "accounts.csv")
        assert (result.kept, result.set_aside) == (0, 0)
        run, fresh = lk.rebuild(old), lk.rebuild(tiny_store)
        assert run.clusters["cluster_id"].tolist() == [cluster_id]
        assert run.members["account_id"].tolist() == fresh.members["account_id"].tolist()
        assert run.counts["requests"] == fresh.counts["requests"]
        assert old._database.check_integrity() == []


@pytest.mark.parametrize("version", [version for version in VERSIONS if version < 10])
def test_links_and_shared_values_of_an_earlier_version_are_told_as_they_were(version: int, tmp_path: Path) -> None:
    path = restored(version, tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = dict(connection.execute("select id, value from account"))
        links = connection.execute(
            "select account_a, account_b, family, kind, value, accounts, unrelated_accounts, bits, first_ms, last_ms "
            "from link"
        ).fetchall()
        shared = connection.execute(
            "select account_id, family, kind, value, request_count, first_ms, last_ms, accounts, unrelated_accounts "
            "from shared_value"
        ).fetchall()
    with lk.open_store(path, create=False) as old:
        [cluster_id] = old.run.clusters["cluster_id"]
        own = {"run_id": old.run.run_id, "cluster_id": cluster_id}
        parts = [old._database.parts(name, **own) for name in ("cluster_links", "cluster_shared_values")]
        found = [[row for part in each for row in zip(*part.values(), strict=True)] for each in parts]
    assert len(links) > 10 < len(shared)
    assert found[0] == sorted((names[a], names[b], *row) for a, b, *row in links)
    assert sorted(found[1]) == sorted((names[account], *row) for account, *row in shared)


def test_limits_that_stood_behind_the_digest_of_a_reading_count_as_they_did(tiny_logs: Path, tmp_path: Path) -> None:
    path = restored(12, tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        requests, accounts = connection.execute("select id, reading from source_file order by id").fetchall()
        connection.execute("update source_file set reading = reading || ' [1000, 1000]' where kind = 'requests'")

    def ledger(store: lk.Store) -> list[tuple[int, str, str]]:
        query = "select id, reading, limits from source_file order by id"
        return store._database.connection.execute(query).fetchall()

    with lk.open_store(path, create=False) as old:
        assert ledger(old) == [(*requests, "[1000, 1000]"), (*accounts, "")]
        for sizes, entries in ((1_000, 2), (2_000, 3), (2_000, 3)):
            limits = Settings(ingest=IngestSettings(line_bytes=sizes, unpacked_ratio=1_000))
            old.ingest(tiny_logs / "requests.ndjson", settings=limits)
            assert len(ledger(old)) == entries, "it is read again where longer lines are allowed"


def test_why_an_account_was_left_out_is_known_of_an_earlier_version_where_a_decision_freed_it(tmp_path: Path) -> None:
    path = restored(13, tmp_path)
    freed = "overturned on 2026-09-03, new since: nothing; same payment instrument card_x as 3 others"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        ids = dict(connection.execute("select value, id from account"))
        for name, reasons in (("c1", freed), ("c2", "same client x as 1 other; overturned on a whim")):
            values = (reasons, ids[name])
            connection.execute(
                "update membership set membership = 'bystander', reasons = ? where account_id = ?", values
            )
    with lk.open_store(path, create=False) as old:
        told = old.run.members.set_index("account_id")["left_out_by"]
        assert told[["c1", "c3", "c4"]].to_dict() == {"c1": "overturned", "c3": "", "c4": ""}
        assert pd.isna(told["c2"])
        assert "does not say which of these" in old.run.account("c2").why()


@pytest.mark.parametrize(
    "planted",
    [
        "create trigger t after insert on request begin delete from account; end",
        "create view v as select value from account",
        "create temp trigger t after insert on main.request begin delete from account; end",
    ],
)
def test_a_file_that_carries_code_is_refused(planted: str, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Database(path).close()
    connection = sqlite3.connect(path)
    connection.execute(planted)
    connection.commit()
    connection.close()
    if "temp" in planted:
        Database(path).close()  # temporary ones never reach the file
        return
    with pytest.raises(StoreError, match="a trigger or view"):
        Database(path)


def test_a_schema_damaged_down_to_its_letters_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Database(path).close()
    connection = sqlite3.connect(path)
    connection.execute("pragma writable_schema = on")
    connection.execute("update sqlite_master set name = cast(x'ff93' as text), sql = 'x' where name = 'rejected'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="It is damaged: restore a backup"):
        Database(path)


def test_the_schema_of_a_file_is_not_trusted(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:
        assert database.connection.execute("pragma trusted_schema").fetchone() == (0,)
        assert database.connection.execute("pragma cell_size_check").fetchone() == (1,)


def test_damage_is_told_by_the_doctor_and_no_query_makes_it_worse(tiny_store: lk.Store) -> None:
    path = tiny_store.path
    tiny_store.close()
    connection = sqlite3.connect(path)
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 64] = b"\xff" * 64
    path.write_bytes(content)
    with lk.open_store(path) as store:
        findings = store.examine()
    assert findings.iloc[0][["level", "check"]].tolist() == ["problem", "file"]
    assert "restore a backup" in findings["advice"].iloc[0]
    assert path.read_bytes() == bytes(content)


def test_a_copy_made_while_records_come_in_is_one_whole_state(
    tiny_store: lk.Store, tiny_logs: Path, tmp_path: Path
) -> None:
    lines = (tiny_logs / "requests.ndjson").read_text(encoding="utf-8")
    stop = threading.Event()

    def load() -> None:
        with lk.open_store(tiny_store.path) as other:
            number = 0
            while not stop.is_set():
                number += 1
                more = tmp_path / f"more-{number}.ndjson"
                more.write_text(lines.replace('"request_id": "r', f'"request_id": "{number}-r'), encoding="utf-8")
                other.ingest(more)

    loader = threading.Thread(target=load)
    loader.start()
    try:
        for number in range(5):
            copy = tmp_path / f"copy-{number}.db"
            tiny_store._database.copy_to(copy)
            with lk.open_store(copy) as store:
                assert store._database.check_integrity() == []
                [[requests]] = store._database.connection.execute("select count(*) from request")
                [[rolled]] = store._database.connection.execute("select sum(request_count) from account_day")
                assert requests == rolled
                assert requests % 64 == 0
    finally:
        stop.set()
        loader.join()


def journal(database: Database) -> str:
    return str(database.connection.execute("pragma journal_mode").fetchone()[0])


@pytest.mark.parametrize("kind", ["account", "ip"])
@pytest.mark.parametrize("is_asked", [True, False])
def test_what_is_known_changes_nothing_and_two_values_of_one_id_are_told(
    kind: str, is_asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(*rows: tuple[int, str]) -> None:
        ids, values = zip(*rows, strict=True)
        add_entities(connection, {kind: pa.table({"id": ids, "value": values})})

    told = f"wanted {kind} 'd' under id 6; found .*'b'.* report this collision"
    if not is_asked:
        monkeypatch.setattr("linkage.store.filling.find_asked", lambda _connection: None)
    with Database(tmp_path / "s.db") as database, database.transaction("add entities") as connection:
        with pytest.raises(StoreError, match=told):
            add((6, "b"), (5, "a"), (6, "d"))
        add((6, "b"), (5, "a"), (6, "b"))
        add((6, "b"), (7, "c"), (5, "a"))
        with pytest.raises(StoreError, match=told):
            add((8, "e"), (6, "d"))
        with pytest.raises(StoreError, match="'a' under id 9; found None"):
            add((9, "a"))


def test_only_an_empty_store_that_nobody_reads_is_written_without_its_log(tmp_path: Path, tiny_store: lk.Store) -> None:
    with tiny_store._database.unlogged():
        assert journal(tiny_store._database) == "wal"
    with Database(tmp_path / "s.db") as database:
        with Database(tmp_path / "s.db") as other:
            assert other.connection.execute("select count(*) from request").fetchone() == (0,)
            with database.unlogged():
                assert journal(database) == "wal"
        with database.unlogged():
            assert journal(database) == "delete"
            with Database(tmp_path / "s.db") as other:
                assert other.connection.execute("select count(*) from request").fetchone() == (0,)
        assert journal(database) == "wal"


UNLOGGED_DEATH = """
import os, signal, sys
from linkage.store.store import Database
database = Database(sys.argv[1])
with database.unlogged(), database.transaction("die") as connection:
    connection.execute("pragma cache_size = 1")
    rows = ((key, f"account {key}" * 50) for key in range(5_000))
    connection.executemany("insert into account values (?, ?)", rows)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_unlogged_load_that_died_leaves_a_store_that_the_next_writer_logs_again(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Database(path).close()
    subprocess.run([sys.executable, "-c", UNLOGGED_DEATH, path], check=False)
    assert path.stat().st_size > 1_000_000, "pages were in their place when it died"
    with Database(path) as database:
        assert database.connection.execute("select count(*) from account").fetchone() == (0,)
        assert journal(database) == "delete"
        assert database.check_integrity() == []
        with database.writing():
            assert journal(database) == "wal"


@pytest.fixture
def unshared(planted_path: Path, tmp_path: Path) -> Path:
    """A store beside which SQLite cannot make the file that processes share it by, whoever asks."""
    folder = tmp_path / "read #1 %20? only"
    folder.mkdir()
    path = folder / "s.db"
    path.write_bytes(planted_path.read_bytes())
    path.with_name("s.db-shm").symlink_to("s.db-shm")
    with pytest.raises(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("select * from run")
    return path


def test_a_store_where_nothing_can_be_written_is_read(unshared: Path, planted_path: Path, tmp_path: Path) -> None:
    with lk.open_store(planted_path) as open_one, lk.open_store(unshared) as store:
        assert store.run.members.equals(open_one.run.members)
        assert store.examine()["level"].tolist() == open_one.examine()["level"].tolist()
        [cluster_id] = store.run.clusters["cluster_id"].head(1)
        assert store.run.cluster(cluster_id).why() == open_one.run.cluster(cluster_id).why()
        store.run.report(tmp_path / "report")
        assert store.verify(tmp_path / "report").differences == ()
        copies = [snapshot_run(each._database, tmp_path / f"{n}.db") for n, each in enumerate((open_one, store))]
        with pytest.raises(StoreError, match="attempt to write a readonly database"):
            store.run.cluster(cluster_id).decide("open", note="", author="a", at="2026-09-20")
    told = [sorted(sqlite3.connect(copy).iterdump()) for copy in copies]
    assert told[0] == told[1]


def test_a_store_that_is_written_to_while_it_cannot_be_shared_is_busy(unshared: Path) -> None:
    with lk.open_store(unshared) as store:
        assert len(store.run.clusters)
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(unshared))}?vfs=unix-none", uri=True)) as other:
            other.execute("pragma locking_mode = exclusive")
            other.execute("update run set seed = seed + 1")
            other.commit()
        with pytest.raises(StoreBusyError, match="somebody wrote to it meanwhile"):
            _ = store.run.members


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_a_store_that_cannot_be_shared_and_is_not_all_in_its_file_is_refused(unshared: Path, ending: str) -> None:
    beside = unshared.with_name("s.db" + ending)
    beside.write_bytes(b"")
    Database(unshared).close()
    beside.write_bytes(bytes(4_096))
    with pytest.raises(StoreError, match=f"found s.db{ending}, which holds a part of it. Copy both"):
        Database(unshared)
    link = unshared.parent.parent / "link.db"
    link.symlink_to(unshared)
    with pytest.raises(StoreError, match=f"found s.db{ending}, which holds a part of it. Copy both"):
        Database(link)


def test_a_store_of_an_earlier_version_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    path = restored(11, tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = wal")
    path.with_name("old.db-shm").symlink_to("old.db-shm")
    with pytest.raises(StoreError, match=r"wanted schema version \d+; found 11, and nothing can be written here"):
        Database(path)


def test_a_store_in_a_folder_of_somebody_else_is_read(planted_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(planted_path.read_bytes())
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("who runs this may write everywhere")
        with lk.open_store(path) as store:
            assert len(store.run.clusters)
    finally:
        tmp_path.chmod(0o755)
    assert [file.name for file in tmp_path.iterdir()] == ["s.db"]
