from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from tiny_world import tiny_requests

import linkage as lk
from linkage.clusters.tracking import Tracked, carry_ids, new_cluster_id, quiet_clusters
from linkage.settings import TrackingSettings
from linkage.terms import CLUSTERS, MEMBERS, make_frame


def members(**clusters: str) -> pd.DataFrame:
    """One letter, one account."""
    rows = [(account, name) for name, accounts in clusters.items() for account in accounts]
    columns = {"account_id": [a for a, _ in rows], "cluster_id": [c for _, c in rows]}
    return make_frame(MEMBERS, {**columns, "membership": ["core"] * len(rows)})


def carry(now: dict[str, str], before: dict[str, str], **settings: float) -> Tracked:
    clusters = make_frame(CLUSTERS, {"cluster_id": list(now)})
    return carry_ids(clusters, members(**now), members(**before), settings=TrackingSettings(**settings))


def events(tracked: Tracked) -> set[tuple[str, str]]:
    return set(zip(tracked.events["cluster_id"], tracked.events["event"], strict=True))


def test_a_cluster_keeps_its_id_when_it_grows() -> None:
    tracked = carry({"n": "abcdef"}, {"old": "abcd"})
    assert tracked.clusters["cluster_id"].tolist() == ["old"]
    assert events(tracked) == {("old", "grew")}
    assert tracked.events[["accounts_before", "accounts_after", "accounts_shared"]].to_numpy().tolist() == [[4, 6, 4]]


def test_an_unchanged_cluster_has_no_event() -> None:
    tracked = carry({"n": "abcd"}, {"old": "abcd"})
    assert tracked.clusters["cluster_id"].tolist() == ["old"]
    assert tracked.events.empty


def test_a_new_cluster_is_born_under_an_id_made_of_its_members() -> None:
    tracked = carry({"n": "xyz"}, {"old": "abcd"})
    born = new_cluster_id("xyz")
    assert events(tracked) == {(born, "born"), ("old", "ended")}
    assert set(tracked.members["cluster_id"]) == {born}


def test_a_split_keeps_the_id_with_the_larger_part() -> None:
    tracked = carry({"m": "abcde", "n": "fgh"}, {"old": "abcdefgh"})
    new = new_cluster_id("fgh")
    assert dict(zip("mn", tracked.clusters["cluster_id"], strict=True)) == {"m": "old", "n": new}
    assert events(tracked) == {("old", "shrank"), ("old", "split"), (new, "born")}


def test_a_merger_names_what_was_swallowed() -> None:
    tracked = carry({"n": "abcdefg"}, {"first": "abcd", "second": "efg"})
    assert tracked.clusters["cluster_id"].tolist() == ["first"]
    assert events(tracked) == {("first", "grew"), ("first", "merged"), ("second", "ended")}
    merged = tracked.events.loc[tracked.events["event"] == "merged"].iloc[0]
    assert merged["other_id"] == "second"


def test_matching_is_one_to_one_by_overlap_in_all() -> None:
    tracked = carry({"m": "abcx", "n": "abcdef"}, {"first": "abcdef", "second": "abx"})
    assert dict(zip("mn", tracked.clusters["cluster_id"], strict=True)) == {"m": "second", "n": "first"}


def test_too_little_overlap_is_another_cluster() -> None:
    now, before = {"n": "abwxyz"}, {"old": "abcd"}
    assert carry(now, before, overlap=0.2).clusters["cluster_id"].tolist() == ["old"]
    assert carry(now, before, overlap=0.5).clusters["cluster_id"].tolist() != ["old"]


def test_bystanders_do_not_carry_an_id() -> None:
    before = members(old="abcd")
    before["membership"] = "bystander"
    clusters = make_frame(CLUSTERS, {"cluster_id": ["n"]})
    tracked = carry_ids(clusters, members(n="abcd"), before, settings=TrackingSettings())
    assert tracked.clusters["cluster_id"].tolist() == [new_cluster_id("abcd")]


def test_a_new_id_is_none_that_was_ever_given() -> None:
    first = new_cluster_id("abc")
    clusters = make_frame(CLUSTERS, {"cluster_id": ["n"]})
    empty = make_frame(MEMBERS)
    tracked = carry_ids(clusters, members(n="abc"), empty, known_ids=[first], settings=TrackingSettings())
    assert tracked.clusters["cluster_id"].tolist() != [first]


def test_a_cluster_that_was_gone_for_a_run_comes_back_under_its_id() -> None:
    clusters = make_frame(CLUSTERS, {"cluster_id": ["m", "n"]})
    now, before = members(m="abcd", n="wxyz"), members(live="abcx")
    dormant = members(live="abcd", old="wxy", older="pqr")
    tracked = carry_ids(clusters, now, before, dormant_members=dormant, settings=TrackingSettings())
    assert tracked.clusters["cluster_id"].tolist() == ["live", "old"]
    assert events(tracked) == {("old", "revived")}
    assert tracked.events[["accounts_before", "accounts_after", "accounts_shared"]].to_numpy().tolist() == [[3, 4, 3]]


def seen_last(**days: int) -> pd.DataFrame:
    """Clusters and the day of September on which each made its last request."""
    times = [pd.Timestamp(2026, 9, day, 12, tz="UTC") for day in days.values()]
    return make_frame(CLUSTERS, {"cluster_id": list(days), "last_seen": times})


def test_clusters_are_quiet_after_the_days_of_the_setting() -> None:
    clusters, as_of = seen_last(early=1, late=9), pd.Timestamp("2026-09-12", tz="UTC")
    found = [quiet_clusters(clusters, as_of=as_of, settings=TrackingSettings(dormant_days=days)) for days in (2, 7, 20)]
    assert found == [{"early", "late"}, {"early"}, set()]


def test_a_cluster_that_falls_silent_is_dormant_once_and_then_revived() -> None:
    clusters = make_frame(CLUSTERS, {"cluster_id": ["n"]})
    told = [
        events(
            carry_ids(
                clusters,
                members(n=now),
                members(old="abcd"),
                quiet_now=["n"] if quiet_now else [],
                quiet_before=["old"] if quiet_before else [],
                settings=TrackingSettings(),
            )
        )
        for now, quiet_now, quiet_before in (
            ("abcd", True, False),
            ("abcd", True, True),
            ("abcde", False, True),
            ("abcde", False, False),
        )
    ]
    assert told == [{("old", "dormant")}, set(), {("old", "revived")}, {("old", "grew")}]


def test_a_store_tells_of_a_cluster_that_rests_and_comes_back(tiny_store: lk.Store, tmp_path: Path) -> None:
    first = lk.rebuild(tiny_store)
    [cluster_id] = first.clusters["cluster_id"]
    told = []
    for day, prefix in ((12, "p"), (13, "p"), (14, "c")):
        rows = [
            {**row, "request_id": f"{row['request_id']}-{day}", "timestamp": f"2026-09-{day}T10:00:00Z"}
            for row in tiny_requests()
            if str(row["account_id"]).startswith(prefix)
        ]
        logs = tmp_path / f"{day}.ndjson"
        logs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        tiny_store.ingest(logs)
        told.append(list(lk.rebuild(tiny_store).events[["cluster_id", "event"]].itertuples(index=False, name=None)))
    assert told == [[(cluster_id, "dormant")], [], [(cluster_id, "revived")]]
