"""What is kept is what the data inventory says; with pseudonyms raw values never reach a disk."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

import linkage as lk
from linkage.intake.batches import ENTITY_KINDS
from linkage.intake.entities import PRIVATE_KINDS

ROOT = Path(__file__).resolve().parent.parent
INVENTORY = (ROOT / "docs" / "data-inventory.md").read_text(encoding="utf-8")

RAW = {
    "ip": "203.0.113.77",
    "user_agent": "Raw-Agent/9.1",
    "tls_fingerprint": "raw-ja4-fingerprint",
    "payment_method": "tok_raw_payment",
    "end_user": "raw-end-user",
}
RAW_ACCOUNT = {"payment_method": "tok_raw_other", "email_domain": "raw-mail.example"}


def write_logs(folder: Path) -> tuple[Path, Path]:
    rows = [
        {
            "timestamp": f"2026-09-0{1 + turn % 2}T{8 + turn:02d}:00:00Z",
            "request_id": f"{account}-{turn}",
            "account_id": f"a{account}",
            "model": "m",
            "prompt": f"Grade this essay about subject {turn} and say why: {account}",
            **RAW,
            "ip": [RAW["ip"], "2001:db8:77:77::77"][turn % 2],
        }
        for account in range(4)
        for turn in range(6)
    ]
    logs, people = folder / "in" / "r.ndjson", folder / "in" / "a.csv"
    logs.parent.mkdir()
    logs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lines = [f"a{n},2026-08-30T09:0{n}:00Z,{','.join(RAW_ACCOUNT.values())}" for n in range(4)]
    people.write_text("\n".join(["account_id,created_at,payment_method,email_domain", *lines]), encoding="utf-8")
    return logs, people


def test_no_file_holds_a_raw_value_when_pseudonyms_are_asked_for(tmp_path: Path) -> None:
    logs, people = write_logs(tmp_path)
    place = tmp_path / "place"
    place.mkdir()
    key = tmp_path / "in" / "key"
    key.write_text("a secret of the tests, 32 bytes long")
    values = [*RAW.values(), *RAW_ACCOUNT.values(), "203.0.113", "2001:db8:77"]
    with lk.open_store(place / "s.db") as store:
        store.ingest(logs, accounts=people, pseudonymize=key)
        # Four accounts that are alike in all are the whole store, so nobody could say how rare that is.
        run = lk.rebuild(store, settings={"verdicts": {"review_probability": 0.0}})
        assert len(run.clusters) == 1
        run.report(place / "report", personal_data=True)
        run.export(place / "graph.json", format="json", personal_data=True)
        run.export(place / "graph.graphml", format="graphml", personal_data=True)
        store._database.copy_to(place / "backup.db")
        files = [path for path in place.rglob("*") if path.is_file()]
        found = [(path.name, value) for path in files for value in values if value.encode() in path.read_bytes()]
    assert {path.name for path in files} >= {"s.db", "s.db-wal", "index.html", "graph.json", "backup.db"}
    assert found == []


def test_addresses_of_one_prefix_still_share_it_under_a_pseudonym(tmp_path: Path) -> None:
    logs = tmp_path / "r.ndjson"
    rows = [
        {
            "timestamp": "2026-09-01T00:00:00Z",
            "request_id": str(n),
            "account_id": f"a{n}",
            "ip": f"198.51.{n // 2}.{n + 1}",
        }
        for n in range(4)
    ]
    logs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    key = tmp_path / "key"
    key.write_text("a secret of the tests, 32 bytes long")
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(logs, pseudonymize=key)
        uses = store.query("account_uses", since_day=0, until_day=30_000)
    prefixes = uses[uses["kind"] == "ip_prefix"].groupby("value")["account_id"].agg(list).tolist()
    assert sorted(prefixes) == [["a0", "a1"], ["a2", "a3"]]
    assert uses.loc[uses["kind"] == "ip", "value"].nunique() == 4
    assert not uses["value"].str.contains("198.51", regex=False).any()


def test_the_inventory_names_every_table_and_every_kind_of_value(tmp_path: Path) -> None:
    with lk.open_store(tmp_path / "s.db") as store:
        names = [
            row[0] for row in store._database.connection.execute("select name from sqlite_master where type = 'table'")
        ]
    runs = {"run", "published", "cluster", "membership", "run_value", "link", "shared_value"}
    runs |= {"template_use", "statement", "event"}
    rollups = {"entity_use", "account_day", "account_hour", "prompt_day", "item_day", "work_day", "coverage_day"}
    counters = {"input_state"}
    told = set(re.findall(r"`(\w+)", INVENTORY))
    assert [name for name in names if name not in told | runs | rollups | counters] == []
    kinds = set(ENTITY_KINDS) - {"account", "model", "endpoint", "template"}
    assert [kind for kind in sorted(kinds | set(PRIVATE_KINDS)) if f"`{kind}`" not in INVENTORY] == []


@pytest.mark.parametrize("half", [1, 40, 80])
def test_a_half_written_last_line_waits_for_the_next_run(half: int, tmp_path: Path) -> None:
    logs, _ = write_logs(tmp_path)
    whole = logs.read_bytes()
    cut = whole.rstrip(b"\n").rfind(b"\n") + 1 + half
    with lk.open_store(tmp_path / "s.db") as store:
        logs.write_bytes(whole[:cut])
        first = store.ingest(logs)
        logs.write_bytes(whole)
        second = store.ingest(logs)
        assert (first.kept, first.set_aside) == (23, 1)
        assert (second.kept, second.set_aside) == (1, 0)
        assert store.counts["requests"] == 24
        rotated = logs.with_name("r.ndjson.1")
        logs.rename(rotated)
        assert store.ingest(rotated).kept == 0


def test_the_newest_bytes_of_a_purged_account_are_gone_from_the_write_ahead_log_too(tmp_path: Path) -> None:
    logs, people = write_logs(tmp_path)
    place = tmp_path / "place"
    place.mkdir()
    with lk.open_store(place / "s.db") as store:
        store.ingest(logs, accounts=people)
        lk.rebuild(store).report(place / "report", personal_data=True)
        extra = {"timestamp": "2026-09-02T20:00:00Z", "request_id": "x", "account_id": "only-mine", "ip": "192.0.2.199"}
        logs.write_text(json.dumps(extra), encoding="utf-8")
        store.ingest(logs)
        store.purge(account="only-mine")
        found = [path.name for path in place.rglob("*") if path.is_file() and b"only-mine" in path.read_bytes()]
        found += [path.name for path in place.rglob("*") if path.is_file() and b"192.0.2.199" in path.read_bytes()]
        assert found == []
    connection = sqlite3.connect(place / "s.db")
    assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()
