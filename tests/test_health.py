"""What is unusual about the input is told, and a clock gone wrong moves no window."""

import datetime as dt
import json
import sqlite3
from pathlib import Path

import pytest

import linkage as lk
from linkage.errors import StoreError
from linkage.notebook.ledger import LEDGER
from linkage.settings import HealthSettings
from linkage.store.facts import note_failed
from linkage.store.health import find_ahead, find_anomalies, find_stray, newest_day

FIRST = dt.datetime(2026, 9, 1, 8, tzinfo=dt.UTC)
DAY_MS = 86_400_000
DEFAULTS = HealthSettings()


def requests(counts: list[int], *, without_ip: frozenset[int] = frozenset()) -> list[dict[str, object]]:
    """So many requests on each day, the last of each at 23 o'clock."""
    rows: list[dict[str, object]] = []
    for day, count in enumerate(counts):
        for turn in range(count):
            hour = 15 if turn == count - 1 else turn % 14
            row: dict[str, object] = {
                "timestamp": (FIRST + dt.timedelta(days=day, hours=hour)).isoformat(),
                "request_id": f"{day}-{turn}",
                "account_id": f"a{turn % 7}",
                "ip": f"192.0.2.{turn % 50}",
            }
            if day in without_ip:
                del row["ip"]
            rows.append(row)
    return rows


def loaded(path: Path, rows: list[dict[str, object]]) -> lk.Store:
    logs = path / "logs.ndjson"
    logs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    store = lk.open_store(path / "s.db")
    store.ingest(logs)
    return store


def told(store: lk.Store, settings: HealthSettings = DEFAULTS) -> list[tuple[str, str]]:
    day = newest_day(store._database, DEFAULTS)
    assert day is not None
    found = find_anomalies(store._database, since_day=day - 30, until_day=day + 1, settings=settings)
    return [(anomaly.check, anomaly.found) for anomaly in found]


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ([60, 64, 70, 60, 61, 66, 59], []),
        ([60, 64, 70, 60, 61, 66, 150], []),
        ([60, 64, 70, 60, 61, 66, 400], [("volume", "400 requests on 2026-09-07; 62 are usual")]),
        ([60, 64, 70, 60, 61, 66, 12], [("volume", "12 requests on 2026-09-07; 62 are usual")]),
        ([60, 400], []),
    ],
)
def test_a_day_of_far_more_or_less_than_usual_is_told(
    counts: list[int], wanted: list[tuple[str, str]], tmp_path: Path
) -> None:
    with loaded(tmp_path, requests(counts)) as store:
        assert told(store) == wanted


def test_a_day_that_is_still_coming_in_is_not_called_short(tmp_path: Path) -> None:
    rows = [*requests([60] * 7), {**requests([1])[0], "request_id": "x", "timestamp": "2026-09-08T03:00:00Z"}]
    with loaded(tmp_path, rows) as store:
        assert told(store) == []


def test_a_field_that_stops_coming_is_told(tmp_path: Path) -> None:
    with loaded(tmp_path, requests([60] * 8, without_ip=frozenset({7}))) as store:
        assert told(store) == [("coverage", "ip on 0% of the requests of 2026-09-08; 100% are usual")]
        run = lk.rebuild(store)
        assert store.ledger["anomalies"].tolist() == ["ip on 0% of the requests of 2026-09-08; 100% are usual"]
        assert run.counts["requests"] == 480


def test_one_clock_gone_wrong_moves_no_window_and_is_told(tmp_path: Path) -> None:
    rows = requests([60] * 7)
    wrong = {**rows[0], "request_id": "far", "timestamp": "2099-01-01T00:00:00Z"}
    with loaded(tmp_path, [*rows, wrong]) as store:
        run = lk.rebuild(store)
        assert run.counts["requests"] == 420
        assert f"{run.as_of:%Y-%m-%d}" == "2026-09-08"
        stray = find_stray(store._database, DEFAULTS)
        assert stray is not None
        assert stray.found == "1 request lies far after all others, up to 2099-01-01"
        findings = store.examine().set_index("check")
        assert findings.loc["clock", "level"] == "problem"


def test_a_pause_of_the_whole_log_is_no_wrong_clock(tmp_path: Path) -> None:
    with loaded(tmp_path, requests([60, 60, *[0] * 20, 60])) as store:
        assert find_stray(store._database, DEFAULTS) is None
        assert f"{lk.rebuild(store).as_of:%Y-%m-%d}" == "2026-09-24"


def test_requests_of_the_future_are_told_to_those_who_know_the_time(tmp_path: Path) -> None:
    with loaded(tmp_path, requests([60] * 3)) as store:
        last = int(dt.datetime(2026, 9, 3, 23, tzinfo=dt.UTC).timestamp() * 1000)
        assert find_ahead(store._database, last) is None
        assert find_ahead(store._database, last - DAY_MS) is not None
        assert "clock" not in set(store.examine(now="2026-09-03T23:00Z")["check"])
        assert "times of the future, up to 2026-09-03 23:00" in str(store.examine(now="2026-09-02")["found"].tolist())


def failures(store: lk.Store) -> list[list[object]]:
    return store.query("failed_files").to_numpy().tolist()


def test_a_file_that_could_not_be_loaded_is_a_problem_until_it_can_or_is_gone(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    odd, broken, gone = drop / "odd.ndjson", drop / "broken.ndjson", drop / "gone.ndjson"
    odd.write_text('{"secret-of-p1": 1}\n')
    broken.write_text(json.dumps(requests([1])[0]) + "\n{x\n{y\n{z\n")
    with loaded(tmp_path, requests([60])) as store:
        store.ingest(drop, gone)
        assert failures(store) == [
            [str(broken), 65, "too many of its lines cannot be used"],
            [str(gone), 74, "it is not there or cannot be read"],
            [str(odd), 65, "its format is not known, or not the one that was named"],
        ]
        findings = store.examine()
        assert findings["check"].tolist()[:3] == ["files"] * 3
        assert findings["found"][0] == f"{broken} was not loaded (exit code 65): too many of its lines cannot be used"
        assert findings["advice"][0] == f"see why: linkage ingest {store.path} {broken}; mend it, or take it away"
        before = store.path.with_name("s.db-wal").read_bytes()
        store.ingest(drop, gone)
        assert store.path.with_name("s.db-wal").read_bytes() == before, "with nothing new nothing is written"
        broken.write_text(json.dumps(requests([1])[0]) + "\n")
        store.ingest(drop)
        assert [row[0] for row in failures(store)] == [str(odd)]
        odd.unlink()
        store.ingest(drop)
        assert failures(store) == []
        assert "files" not in set(store.examine()["check"])


def test_a_drop_folder_that_was_away_for_a_night_is_a_problem_until_it_is_back(tmp_path: Path) -> None:
    drop, logs = tmp_path / "drop", "".join(json.dumps(row) + "\n" for row in requests([1]))
    with loaded(tmp_path, requests([60])) as store:
        store.ingest(drop)
        assert failures(store) == [[str(drop), 74, "it is not there or cannot be read"]]
        drop.mkdir()
        (drop / "log").write_text(logs)
        store.ingest(drop)
        assert failures(store) == []


def test_files_that_a_full_disk_kept_out_are_a_problem_until_they_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "1.ndjson", tmp_path / "2.ndjson"
    for day, file in enumerate((first, second)):
        file.write_text("".join(f"{json.dumps(row)}\n" for row in requests([0] * (day + 1) + [3])))
    with loaded(tmp_path, requests([60])) as store, monkeypatch.context() as patch:

        def fail(*_given: object, **_named: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        patch.setattr("linkage.store.facts.add_source_file", fail)
        with pytest.raises(StoreError, match="disk is full"):
            store.ingest(first, second)
    with lk.open_store(store.path) as again:
        assert failures(again) == [[str(file), 74, "the store could not be written"] for file in (first, second)]
        assert again.examine()["level"][0] == "problem"
        assert again.ingest(first, second).kept == 6
        assert failures(again) == []


def test_many_files_that_could_not_be_loaded_are_counted(tmp_path: Path) -> None:
    with loaded(tmp_path, requests([60])) as store:
        for many, told in ((8, "3 more files were not loaded"), (6, "1 more file was not loaded")):
            note_failed(store._database, [], settled=store.query("failed_files")["path"].tolist())
            store.ingest(*(tmp_path / f"{number}.ndjson" for number in range(many)))
            findings = store.examine()
            assert (findings["check"] == "files").sum() == 6
            assert told in set(findings["found"])


def test_one_request_of_one_account_is_told_as_one(tmp_path: Path) -> None:
    with loaded(tmp_path, requests([1])) as store:
        found = store.examine().set_index("check").loc["requests", "found"]
    assert str(found).startswith("1 request of 1 account, ")


def test_nothing_is_unusual_about_an_empty_store(tmp_path: Path) -> None:
    with lk.open_store(tmp_path / "s.db") as store:
        assert newest_day(store._database, DEFAULTS) is None
        assert find_stray(store._database, DEFAULTS) is None
        assert find_ahead(store._database, 0) is None
        assert find_anomalies(store._database, since_day=0, until_day=9, settings=DEFAULTS) == []
        assert store.examine(now="2026-09-01")["level"].tolist() == ["problem", "note", "ok"]
        assert store.ledger.empty
        assert list(store.ledger.columns) == list(LEDGER)


@pytest.mark.parametrize(
    ("counts", "settings"),
    [
        ([30, 30, 30, 30, 30, 60, 60, 60, 60, 150], HealthSettings(usual_days=5)),
        ([60, 64, 70, 60], HealthSettings(least_days=2)),
        ([60, 64, 70, 60, 61, 66, 150], HealthSettings(volume_factor=2)),
        ([60] * 8, HealthSettings(coverage_share=0.2)),
        ([60] * 8, HealthSettings(least_coverage=0.9)),
    ],
)
def test_every_threshold_of_what_is_unusual_is_a_setting(
    counts: list[int], settings: HealthSettings, tmp_path: Path
) -> None:
    rows = requests(counts)
    for turn, row in enumerate(rows):  # an address on 80 % of the requests, on the last day on 30 %
        is_last = str(row["request_id"]).startswith(f"{len(counts) - 1}-")
        if len(counts) == 8 and turn % 10 >= (3 if is_last else 8):
            del row["ip"]
    if len(counts) == 4:
        rows += [
            {**row, "request_id": f"{row['request_id']}-{copy}"} for row in requests([0, 0, 0, 60]) for copy in range(4)
        ]
    with loaded(tmp_path, rows) as store:
        assert told(store) != told(store, settings)


def test_what_a_wrong_clock_is_is_a_setting(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    with loaded(tmp_path, requests([60, 60, *[0] * 5, 1])) as store:
        assert f"{lk.rebuild(store).as_of:%Y-%m-%d}" == "2026-09-09"
        settings.write_text("[health]\nstray_gap_days = 3\n")
        assert f"{lk.rebuild(store, settings=settings).as_of:%Y-%m-%d}" == "2026-09-03"
        assert "clock" in set(store.examine(settings=settings)["check"])
        assert "clock" not in set(store.examine()["check"])
        settings.write_text("[health]\nstray_gap_days = 3\nstray_share = 0.0001\n")
        assert f"{lk.rebuild(store, settings=settings).as_of:%Y-%m-%d}" == "2026-09-09"
