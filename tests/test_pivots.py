"""A cluster that moves to a new model at once is told, and what becomes of one that was acted on."""

import datetime as dt
import json
from pathlib import Path

import pandas as pd
from tiny_world import tiny_requests

import linkage as lk
from linkage.clusters.pivots import LEAST_REQUESTS, MODEL_MOVES, measure_pivots, tell_pivots
from linkage.clusters.regrowth import REGROWTH, regrowth_curve
from linkage.terms import ACTIVITY, MEMBERS, make_frame

DAY = pd.Timestamp("2026-09-10", tz="UTC")


def moved(rows: list[tuple[str, int, int]], model: str = "m-2") -> pd.DataFrame:
    """Account, requests to the new model, requests in all."""
    names, to_model, requests = zip(*rows, strict=True)
    size = len(rows)
    columns = {"account_id": names, "to_model": to_model, "request_count": requests, "model": [model] * size}
    fixed = {"first_at": [DAY - pd.Timedelta(hours=9)] * size, "day": [DAY.value // 86_400_000_000_000] * size}
    return make_frame(MODEL_MOVES, {**columns, **fixed})


def members(firm: str, loose: str = "") -> pd.DataFrame:
    kinds = ["core"] * len(firm) + ["bystander"] * len(loose)
    return make_frame(MEMBERS, {"account_id": [*firm, *loose], "cluster_id": ["c-1"] * len(kinds), "membership": kinds})


def test_a_pivot_is_held_against_what_everybody_else_did_that_day() -> None:
    pivots = measure_pivots(members("ab", "z"), moved([("a", 10, 20), ("b", 20, 20), ("z", 9, 10), ("y", 0, 90)]))
    row = pivots.iloc[0]
    assert (row["cluster_id"], row["model"], row["requests"]) == ("c-1", "m-2", 40)
    assert (row["moved_share"], row["others_share"], row["day_at"]) == (0.75, 0.09, DAY)
    [sentence] = tell_pivots(pivots)["sentence"]
    assert sentence == (
        "On 2026-09-10, the day after model m-2 first came up, 75% of its 40 requests went to it; "
        "of everybody else's requests, 9% did."
    )


def test_moving_when_everybody_does_is_no_pivot() -> None:
    pivots = measure_pivots(members("ab"), moved([("a", 10, 20), ("b", 10, 20), ("y", 40, 100)]))
    assert len(pivots) == 1
    assert tell_pivots(pivots).empty


def test_where_nobody_else_made_a_request_there_is_nobody_to_be_ahead_of() -> None:
    pivots = measure_pivots(members("ab"), moved([("a", 20, 20), ("b", 20, 20)]))
    assert pivots["others_share"].isna().tolist() == [True]
    assert tell_pivots(pivots).empty


def test_a_few_requests_say_nothing() -> None:
    assert measure_pivots(members("a"), moved([("a", 5, LEAST_REQUESTS - 1), ("y", 0, 100)])).empty


def more_days(tmp_path: Path, day: int, *, prefix: str = "", rename: str = "", **changes: object) -> Path:
    rows = [
        {**row, "request_id": f"{row['request_id']}-{day}{rename}", "timestamp": f"2026-09-{day:02d}T{hour:02d}:00:00Z"}
        | {"account_id": f"{rename}{row['account_id']}", "api_key_id": f"{rename}{row['api_key_id']}"}
        | (changes if str(row["account_id"]).startswith("c") else {})
        for hour, row in enumerate(tiny_requests()[::3])
        if str(row["account_id"]).startswith(prefix)
    ]
    logs = tmp_path / f"{day}{rename}.ndjson"
    logs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return logs


def test_a_store_tells_of_a_cluster_that_moved_to_a_new_model(tiny_store: lk.Store, tmp_path: Path) -> None:
    whole = [
        {**row, "timestamp": str(row["timestamp"]).replace("-01T", "-04T"), "request_id": f"{row['request_id']}+"}
        for row in tiny_requests()
        if "-01T" in str(row["timestamp"])
    ]
    for row in whole:
        if str(row["account_id"]).startswith("c"):
            row["model"] = "sonata-2"
    extra = [{**row, "request_id": f"{row['request_id']}++"} for row in whole]
    logs = tmp_path / "new.ndjson"
    first_use = {**tiny_requests()[0], "request_id": "first", "timestamp": "2026-09-03T20:00:00Z", "model": "sonata-2"}
    logs.write_text("".join(json.dumps(row) + "\n" for row in [first_use, *whole, *extra]), encoding="utf-8")
    tiny_store.ingest(logs)
    run = lk.rebuild(tiny_store)
    [cluster_id] = run.clusters["cluster_id"]
    cluster = run.cluster(cluster_id)
    assert cluster.pivots[["model", "requests", "moved_share", "others_share"]].to_numpy().tolist() == [
        ["sonata-2", 32, 1.0, 0.0]
    ]
    assert "100% of its 32 requests went to it; of everybody else's requests, 0% did." in cluster.why()
    cluster.report(tmp_path / "report")
    assert "the day after model sonata-2 first came up" in (tmp_path / "report" / f"{cluster_id}.html").read_text()


def test_what_regrows_after_a_cluster_was_acted_on_is_told(tiny_store: lk.Store, tmp_path: Path) -> None:
    first = lk.rebuild(tiny_store)
    [cluster_id] = first.clusters["cluster_id"]
    assert first.cluster(cluster_id).regrowth.empty
    at = dt.datetime(2026, 9, 3, tzinfo=dt.UTC)
    first.cluster(cluster_id).decide("enforced", note="banned", author="ana", at=at)
    lines = tmp_path / "accounts.csv"
    lines.write_text(
        "account_id,organization_id,created_at,email_domain,payment_method,country,plan\n"
        + "".join(f"n-c{n},org-n{n},2026-09-03T1{n}:00:00Z,mail.example,card_x,DE,payg\n" for n in (1, 2)),
        encoding="utf-8",
    )
    tiny_store.ingest(
        more_days(tmp_path, 4, prefix="c1"), more_days(tmp_path, 5, prefix="c", rename="n-"), accounts=lines
    )
    run = lk.rebuild(tiny_store)
    cluster = run.cluster(cluster_id)
    assert {"n-c1", "n-c2"} <= set(cluster.members["account_id"])
    curve = cluster.regrowth.set_index("day_at")
    assert list(curve.columns) == list(REGROWTH)[1:]
    assert curve["enforced_accounts"].tolist() == [4, 4, 0, 1, 0]
    assert curve["new_accounts"].tolist()[:4] == [0, 0, 0, 0]
    assert curve["new_accounts"].iloc[4] >= 2
    new = int(curve["new_accounts"].iloc[4])
    assert (
        f"4 accounts were acted on at 2026-09-03 00:00: 1 of them made requests after it, and {new} of" in cluster.why()
    )


def test_a_day_without_work_is_a_zero_of_the_curve() -> None:
    hours = [DAY, DAY + pd.Timedelta(days=2, hours=3)]
    activity = make_frame(ACTIVITY, {"account_id": ["a", "n"], "hour_at": hours, "request_count": [5, 7]})
    curve = regrowth_curve(activity, ["a"], enforced_at=DAY + pd.Timedelta(hours=1))
    assert curve["enforced_requests"].tolist() == [5, 0, 0]
    assert curve["new_requests"].tolist() == [0, 0, 7]
    assert curve["spared_requests"].tolist() == [0, 0, 0]
