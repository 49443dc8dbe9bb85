"""A large cluster: everything is counted, each member's strongest ties are listed, and the report says so."""

import dataclasses
import functools
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest

import linkage as lk
from linkage.notebook.listed import Listed, list_strongest, shorten_rows
from linkage.outputs.html import cluster_page
from linkage.outputs.masking import mask_detail
from linkage.outputs.tables import detail_json, detail_text, listed_rows
from linkage.outputs.ties import whole_cluster
from linkage.settings import ReportSettings, Settings, settings_from
from linkage.terms import ClusterDetail

FIGURES = ("value_ties", "family_ties", "account_bits", "member_ties")
TABLES = ("links", "shared", "activity")


@pytest.fixture(scope="module")
def cluster(planted_path: Path) -> lk.Cluster:
    run = lk.open_store(planted_path, create=False).run
    return run.clusters[run.clusters.sort_values("accounts")["cluster_id"].iloc[-1]]


def listed(cluster: lk.Cluster, most: int) -> Listed | None:
    own = {"run_id": cluster._run.run_id, "cluster_id": cluster.cluster_id}
    return list_strongest(cluster._run._database, cluster.members, own=own, days=cluster._run._days, most=most)


def brief(cluster: lk.Cluster, most: int) -> ClusterDetail:
    found = listed(cluster, most)
    assert found is not None
    tables = {name: getattr(found, name) for name in (*TABLES, "whole")}
    return dataclasses.replace(cluster.detail, **tables)


@pytest.mark.parametrize("most", [1, 100, 1_000])
def test_figures_are_those_of_the_whole_cluster_whatever_is_listed(cluster: lk.Cluster, most: int) -> None:
    detail, found = cluster.detail, listed(cluster, most)
    assert found is not None
    wanted = whole_cluster(detail)
    for name in FIGURES:
        pd.testing.assert_frame_equal(getattr(found.whole, name), getattr(wanted, name))
    assert found.whole.rows == {name: len(getattr(detail, name)) for name in TABLES}
    assert (found.whole.held_from == wanted.held_from).all()
    assert (found.whole.held_by == wanted.held_by).all()
    told = found.whole.activity.astype({"account_id": "str"})
    pd.testing.assert_frame_equal(told, detail.activity)


@pytest.mark.parametrize("most", [1, 100, 1_000])
def test_what_is_listed_is_in_the_store_and_in_its_order(cluster: lk.Cluster, most: int) -> None:
    detail, found = cluster.detail, listed(cluster, most)
    assert found is not None
    for name in TABLES:
        rows, every = getattr(found, name), getattr(detail, name)
        assert len(rows) <= max(most, len(detail.members))
        assert len(rows) == len(every) or len(every) > most
        pd.testing.assert_frame_equal(every.merge(rows, how="inner"), rows)


def test_compiled_code_reads_the_same(cluster: lk.Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = listed(cluster, 100)
    monkeypatch.setattr("linkage.store.store.find_asked", lambda _connection: None)
    plain = listed(cluster, 100)
    assert plain is not None
    assert compiled is not None
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(compiled, name), getattr(plain, name))
    for name in FIGURES:
        pd.testing.assert_frame_equal(getattr(compiled.whole, name), getattr(plain.whole, name))


def test_each_member_keeps_its_strongest(cluster: lk.Cluster) -> None:
    detail, found = cluster.detail, listed(cluster, 1)
    assert found is not None
    totals = detail.links.groupby(["account_a", "account_b"])["bits"].sum().round(6)
    for account in detail.members["account_id"]:
        own, told = (
            rows[(rows["account_a"] == account) | (rows["account_b"] == account)]
            for rows in (detail.links, found.links)
        )
        assert own.empty == told.empty
        if len(own):
            pairs = {tuple(pair): totals[tuple(pair)] for pair in own[["account_a", "account_b"]].to_numpy()}
            shown = {tuple(pair) for pair in told[["account_a", "account_b"]].to_numpy()}
            assert max(pairs.values()) in {pairs[pair] for pair in shown}
        hours = detail.activity[detail.activity["account_id"] == account]["request_count"]
        busiest = found.activity[found.activity["account_id"] == account]["request_count"]
        assert busiest.tolist() == [hours.max()]
    ranks = whole_cluster(detail).value_ties.set_index(["family", "kind", "value"])["bits"]
    for account, rows in detail.shared.groupby("account_id"):
        told = found.shared[found.shared["account_id"] == account]
        worth, shown = (
            ranks.reindex(pd.MultiIndex.from_frame(each[["family", "kind", "value"]])).max() for each in (rows, told)
        )
        assert len(told) == 1
        assert shown == worth or pd.isna(worth)


def test_a_cluster_within_the_bound_is_listed_whole(cluster: lk.Cluster) -> None:
    rows = {name: len(getattr(cluster.detail, name)) for name in TABLES}
    assert listed(cluster, max(rows.values())) is None
    assert listed(cluster, max(rows.values()) - 1) is not None
    assert cluster.brief.whole is None
    assert max(rows.values()) <= ReportSettings().rows_per_table


def test_the_json_says_how_many_of_how_many_and_fits_the_schema(cluster: lk.Cluster) -> None:
    from linkage.outputs.schema import report_schema

    detail = brief(cluster, 100)
    told = json.loads(detail_text(detail))
    assert told == json.loads(json.dumps(detail_json(detail)))
    jsonschema.Draft202012Validator(report_schema()).validate(told)
    for name in TABLES:
        assert told["listed"][name]["rows"] == len(told[name]) < told["listed"][name]["of"]
        assert told["listed"][name]["of"] == len(getattr(cluster.detail, name))
    assert told["listed"]["all"] == f"linkage show STORE {cluster.cluster_id} --json"
    assert [row["account_id"] for row in told["members"]] == cluster.members["account_id"].tolist()
    assert len(told["values"]) == len(whole_cluster(cluster.detail).value_ties)
    assert "listed" not in detail_json(cluster.detail)
    assert listed_rows(cluster.detail) == {}


def test_the_page_has_the_same_figures_and_says_what_it_leaves_out(cluster: lk.Cluster) -> None:
    # Shown raw: values that tie as much stand in the order of their names, which masks change.
    details = (cluster.detail, brief(cluster, 100))
    whole, part = (cluster_page(detail, include_personal_data=True) for detail in details)
    note = re.search(r'<p class="muted">Figures on this page are of the whole cluster.*?</p>\n?', part)
    assert note
    count = len(cluster.evidence)
    assert f"of {count:,} reasons that link pairs" in note[0]
    cut = part.replace(note[0], "").replace("in the store", "in the JSON file")
    assert cut.replace("\n", "") == whole.replace("in the store", "in the JSON file").replace("\n", "")


def test_no_raw_value_is_in_a_report_that_lists_few(cluster: lk.Cluster) -> None:
    detail = mask_detail(brief(cluster, 1))
    text = detail_text(detail) + cluster_page(detail)
    for kind in ("payment", "ip"):
        values = set(cluster.shared.loc[cluster.shared["kind"] == kind, "value"])
        assert values
        assert not {value for value in values if value in text.replace(f"{value}/24", "")}


def test_the_setting_of_the_run_says_how_much_is_listed_and_verify_knows(tiny_store: lk.Store, tmp_path: Path) -> None:
    from linkage.errors import SettingsError

    told = {}
    for most in (2, 10_000):
        run = lk.rebuild(tiny_store, settings=dataclasses.replace(Settings(), report=ReportSettings(most)))
        run.report(tmp_path / str(most), clusters=run.clusters["cluster_id"])
        [path] = (tmp_path / str(most)).glob("c-*.json")
        told[most] = json.loads(path.read_bytes())
        assert tiny_store.verify(tmp_path / str(most)).is_true
    assert len(told[2]["links"]) < len(told[10_000]["links"])
    assert "listed" not in told[10_000]
    assert told[2]["members"] == told[10_000]["members"]
    with pytest.raises(SettingsError, match="rows_per_table must be at least 1"):
        settings_from({"report": {"rows_per_table": 0}})


def test_an_account_that_links_to_nobody_and_hours_without_end_do_no_harm(cluster: lk.Cluster) -> None:
    members = cluster.members
    own: dict[str, Any] = {"run_id": cluster._run.run_id, "cluster_id": cluster.cluster_id}
    read = functools.partial(list_strongest, cluster._run._database, members, own=own, most=1)
    found = read(days={"since_day": 0, "until_day": 1})
    assert found is not None
    assert found.activity.empty
    assert found.whole.activity.empty
    assert found.whole.member_ties["first_at"].isna().all()


def test_rows_behind_a_sentence_are_cut_between_two_of_them() -> None:
    texts = ["; ".join(f"ip=192.0.2.{number}" for number in range(count)) for count in (3, 500)]
    short, cut = shorten_rows(pd.DataFrame({"rows": [*texts, None]}, dtype="str"))["rows"].tolist()[:2]
    assert short == texts[0]
    kept, _, left = cut.rpartition("; and ")
    assert texts[1].startswith(kept + "; ")
    assert left == f"{500 - kept.count('; ') - 1} more of them"
    assert len(kept) <= 2_000
