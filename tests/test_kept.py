"""What a first load keeps for mining: the same store as when mining reads all of it back."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from test_local import dump, write
from tiny_world import tiny_requests

from linkage.engines import local, templates
from linkage.engines.kept import Kept
from linkage.engines.local import Reading, ingest_files
from linkage.errors import StoreError
from linkage.settings import IngestSettings, Settings, TemplateSettings
from linkage.store import facts
from linkage.store.store import Database

Rows = list[dict[str, object]]


def mined(path: Path, logs: list[Path], *, memory_mb: int = 100, keep_prompts: bool = False) -> tuple[object, bool]:
    """The store of some logs, loaded at once, and whether mining found all it needs beside the store."""
    were_whole = []
    mine = local.mine_store

    def watched(*given: object, kept: Kept[Any], **how: object) -> None:
        were_whole.append(kept.is_whole)
        mine(*given, kept=kept, **how)  # type: ignore[arg-type]

    settings = Settings(
        ingest=IngestSettings(batch_rows=100, memory_mb=memory_mb), templates=TemplateSettings(learn_prompts=20)
    )
    with pytest.MonkeyPatch.context() as patched, Database(path) as database:
        patched.setattr(local, "mine_store", watched)
        ingest_files(database, logs, reading=Reading(keep_prompts=keep_prompts), settings=settings)
    return dump(path), were_whole[0]


def read_back(path: Path, logs: list[Path], *, keep_prompts: bool = False) -> object:
    """The store of some logs, loaded at once, with nothing kept beside it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Kept, "is_whole", False)
        return mined(path, logs, keep_prompts=keep_prompts)[0]


def asked(count: int, **more: object) -> Rows:
    return [
        {"request_id": f"r{n}", "timestamp": f"2026-03-02T00:{n % 60:02}:00Z", "account_id": f"a{n % 7}"}
        | {"prompt": f"Tell me three facts about the city number {n} today.", "output_tokens": n}
        | more
        for n in range(count)
    ]


@pytest.mark.parametrize("keep_prompts", [False, True])
def test_a_first_load_is_mined_from_what_it_kept(tmp_path: Path, *, keep_prompts: bool) -> None:
    rows = [*tiny_requests(), *asked(350), *({**row, "prompt": None} for row in asked(3, request_id="none"))]
    log = write(tmp_path / "log.ndjson", [*rows, *rows[:40]])
    found, was_whole = mined(tmp_path / "kept.db", [log], keep_prompts=keep_prompts)
    assert was_whole is not keep_prompts  # the text of a known prompt is told again
    assert found == read_back(tmp_path / "read.db", [log], keep_prompts=keep_prompts)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param([{**asked(9)[8], "status": 429}, {**asked(9)[8], "status": 500}], id="a record is replaced"),
        pytest.param([{**asked(9)[8], "request_id": "new", "prompt_template": "gw-1"}], id="a known prompt tells more"),
        pytest.param([{**asked(401)[400], "prompt_template": "gw-1"}], id="a gateway names a template"),
    ],
)
def test_where_the_store_tells_something_else_it_is_read(tmp_path: Path, more: Rows) -> None:
    log = write(tmp_path / "log.ndjson", asked(250) + more)
    found, was_whole = mined(tmp_path / "kept.db", [log])
    assert not was_whole
    assert found == read_back(tmp_path / "read.db", [log])


def test_a_second_file_of_requests_is_not_kept(tmp_path: Path) -> None:
    logs = [write(tmp_path / f"{at}.ndjson", rows) for at, rows in enumerate((asked(150), asked(220)[100:]))]
    found, was_whole = mined(tmp_path / "kept.db", logs)
    assert not was_whole
    assert found == read_back(tmp_path / "read.db", logs)


def test_what_a_failed_file_told_is_forgotten(tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.ndjson", [*asked(150), *({"account_id": 7} for _ in range(200))])
    log = write(tmp_path / "log.ndjson", asked(130, model="m"))
    found, was_whole = mined(tmp_path / "kept.db", [bad, log])
    assert was_whole
    assert found == mined(tmp_path / "alone.db", [log])[0]


def test_lowest_prompts_and_halves_are_found() -> None:
    rand, blobs = np.random.default_rng(4), dict[int, bytes]()
    with Kept[None]() as kept:
        kept.begin()
        for count in (5, 0, 30, 12):
            ids = np.sort(rand.integers(1, 2**62, count))
            blobs |= {each: b"%d" % each for each in ids.tolist()}
            kept.add_prompts(ids, pa.array([blobs[each] for each in ids.tolist()], pa.binary()))
        assert kept.count() == len(blobs)
        last = kept.last_of_lowest(17)
        assert last == sorted(blobs)[16]
        assert kept.last_of_lowest(len(blobs) + 1) == 2**63 - 1
        some = [block for at in ({"until_row": 6}, {"after_row": 6}) for block in kept.blocks(**at)]
        low = [each for block in kept.blocks(last_id=last) for each in block.ids.tolist()]
    assert sorted(low) == sorted(blobs)[:17]
    read = {
        each: block.features[start:end].tobytes()
        for block in some
        for each, start, end in zip(block.ids.tolist(), block.places, block.places[1:], strict=False)
    }
    assert read == blobs
    assert [block.last_row for block in some] == [5, 35, 47]


def test_a_folder_that_takes_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(StoreError, match="set TMPDIR to another folder; what was stored is intact"):
        Kept()


def test_mining_begins_while_the_rest_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = [write(tmp_path / f"{at}.ndjson", rows) for at, rows in enumerate((asked(150), asked(220)[100:]))]
    accounts = write(tmp_path / "accounts.ndjson", [{"account_id": f"a{n}", "email_domain": "a.org"} for n in range(7)])
    threads, learn = list[str](), templates._learn

    def watched(*given: Any) -> Any:
        threads.append(threading.current_thread().name.rpartition("_")[0])
        return learn(*given)

    monkeypatch.setattr(templates, "_learn", watched)
    monkeypatch.setattr(local, "has_two_cores", lambda: True)
    for name, files in (("one", logs[:1]), ("two", logs)):
        with Database(tmp_path / f"{name}.db") as database:
            ingest_files(database, files, accounts=[accounts])
            assert database.revision() == (len(files) + 1, len(files) + 1)
    assert threads == ["linkage-mine-ahead", ""]
    monkeypatch.setattr(local, "has_two_cores", lambda: False)
    with Database(tmp_path / "later.db") as database:
        ingest_files(database, logs[:1], accounts=[accounts])
    assert dump(tmp_path / "later.db") == dump(tmp_path / "one.db")


def test_a_file_that_fails_when_all_was_read_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    log = write(tmp_path / "log.ndjson", asked(150))
    monkeypatch.setattr(local, "has_two_cores", lambda: True)
    with Database(tmp_path / "s.db") as database:
        with monkeypatch.context() as patched:
            patched.setattr(facts, "lay_other_indexes", fail)
            with pytest.raises(KeyboardInterrupt):
                ingest_files(database, [log])
        assert not any(rows for name, rows in dump(tmp_path / "s.db").items() if name != "input_state")
        ingest_files(database, [log])
    with Database(tmp_path / "alone.db") as database:
        ingest_files(database, [log])
    assert dump(tmp_path / "s.db") == dump(tmp_path / "alone.db")


@pytest.mark.parametrize(
    ("more", "stored"), [({}, 0), pytest.param({"prompt_template": "gw-1"}, 150, id="mining reads it back")]
)
def test_a_first_load_is_stored_with_its_templates_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, object], stored: int
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    log = write(tmp_path / "log.ndjson", asked(150, **more))
    with Database(tmp_path / "s.db") as database:
        with monkeypatch.context() as patched:
            patched.setattr(facts, "finish_mining", fail)
            with pytest.raises(KeyboardInterrupt):
                ingest_files(database, [log])
        assert len(dump(tmp_path / "s.db")["request"]) == stored
        ingest_files(database, [log])
    with Database(tmp_path / "alone.db") as database:
        ingest_files(database, [log])
    assert dump(tmp_path / "s.db") == dump(tmp_path / "alone.db")


def test_account_records_that_fail_are_undone_without_the_rest_of_a_first_load(tmp_path: Path) -> None:
    log = write(tmp_path / "log.ndjson", asked(150))
    records: Rows = [{"account_id": f"a{n}", "email_domain": f"{n}.org"} for n in range(7)]
    bad = write(tmp_path / "bad.ndjson", [*records, *({"email_domain": "none.org"} for _ in range(70))])
    for name, accounts in (("bad", [bad]), ("none", [])):
        with Database(tmp_path / f"{name}.db") as database:
            results = ingest_files(database, [log], accounts=accounts)
        assert [file.error is None for file in results] == [True] + [False] * len(accounts)
    assert dump(tmp_path / "bad.db") == dump(tmp_path / "none.db")
