"""The nouns people type in a notebook."""

from pathlib import Path

import networkx as nx
import pandas as pd
import pytest
from matplotlib.axes import Axes

import linkage as lk
from linkage.errors import NoSuchClusterError, QueryError
from linkage.notebook import delays
from linkage.terms import CLUSTERS, LINK_EVIDENCE, MEMBERS, TEMPLATE_LIST, check_frame


@pytest.fixture
def run(planted: lk.Store) -> lk.Run:
    return planted.run


@pytest.fixture
def cluster(run: lk.Run) -> lk.Cluster:
    found: lk.Cluster = run.clusters[run.clusters["cluster_id"].iloc[0]]
    return found


def test_the_public_names_are_few_and_pinned() -> None:
    assert (
        lk.__all__
        == sorted(lk.__all__)
        == [
            "Cluster",
            "Clusters",
            "IngestResult",
            "LinkageError",
            "Run",
            "Settings",
            "Store",
            "evaluate",
            "mine_templates",
            "open_store",
            "rebuild",
            "simulate",
        ]
    )
    assert set(lk.__all__) <= set(dir(lk))
    with pytest.raises(AttributeError, match="It has: Cluster, "):
        _ = lk.nothing


def test_ten_lines_lead_from_a_log_file_to_a_cluster(planted_world: Path, tmp_path: Path) -> None:
    store = lk.open_store(tmp_path / "logs.db")
    store.ingest(planted_world / "requests.ndjson.gz", accounts=planted_world / "accounts.csv")
    run = lk.rebuild(store)
    cluster = run.clusters[run.clusters["cluster_id"].iloc[0]]
    assert len(cluster.members) > 10
    assert "[why]" in cluster.why()
    store.close()


def test_tables_have_their_documented_columns_and_dtypes(planted: lk.Store, run: lk.Run, cluster: lk.Cluster) -> None:
    check_frame(pd.DataFrame(run.clusters), CLUSTERS, name="clusters")
    check_frame(run.members, MEMBERS, name="members")
    check_frame(cluster.evidence, LINK_EVIDENCE, name="evidence")
    check_frame(planted.templates, TEMPLATE_LIST, name="templates")


def test_clusters_are_a_table_and_clusters_by_id(run: lk.Run) -> None:
    clusters = run.clusters
    assert isinstance(clusters, pd.DataFrame)
    cluster_id = clusters["cluster_id"].iloc[0]
    assert isinstance(clusters[cluster_id], lk.Cluster)
    assert clusters[clusters["tier"] == "enforce"]["cluster_id"].tolist()[:1] == [cluster_id]
    with pytest.raises(NoSuchClusterError, match=f"wanted cluster 'c-none'.*{cluster_id}"):
        _ = clusters["c-none"]


def test_the_runs_that_are_kept_tell_how_soon_a_campaign_was_flagged(
    planted: lk.Store, planted_world: Path, tmp_path: Path
) -> None:
    planted._database.copy_to(tmp_path / "copy.db")
    with lk.open_store(tmp_path / "copy.db", create=False) as store:
        lk.rebuild(store, as_of="2026-09-08T00:00Z")
        found = delays(store, planted_world / "truth.csv")
        assert found["accounts"].tolist() == [24]
        assert len(store.runs) == 2
        assert found["delay_days"].between(0, 13).all()
        assert set(found["detected_at"]) <= set(store.runs["as_of"])


def test_the_planted_campaign_is_one_cluster_and_nobody_else_is_flagged(planted: lk.Store, planted_world: Path) -> None:
    result = lk.evaluate(planted, planted_world / "truth.csv").to_dict()
    assert (result["flag_precision"], result["flag_recall"]) == (1.0, 1.0)
    assert (result["fragments"], result["campaigns_found"]) == (1.0, 1)


def test_every_pair_is_in_order_and_inside_the_cluster(cluster: lk.Cluster) -> None:
    evidence, accounts = cluster.evidence, set(cluster.members["account_id"])
    assert (evidence["account_a"] < evidence["account_b"]).all()
    assert set(evidence["account_a"]) | set(evidence["account_b"]) <= accounts


def test_the_cluster_graph_has_its_members_and_bits(cluster: lk.Cluster) -> None:
    graph = cluster.graph()
    assert isinstance(graph, nx.Graph)
    assert set(graph.nodes) == set(cluster.members["account_id"])
    pair, bits = max(nx.get_edge_attributes(graph, "bits").items(), key=lambda item: item[1])
    rows = cluster.evidence.set_index(["account_a", "account_b"]).loc[tuple(sorted(pair))]
    assert bits == pytest.approx(rows["bits"].sum())


def test_the_full_graph_has_accounts_and_what_they_use(run: lk.Run) -> None:
    graph = run.graph()
    kinds = set(nx.get_node_attributes(graph, "kind").values())
    assert {"account", "ip", "payment", "template"} <= kinds
    assert sum(kind == "account" for kind in nx.get_node_attributes(graph, "kind").values()) == run.counts["accounts"]


@pytest.mark.parametrize("kind", ["cluster", "timeline", "evidence"])
def test_plots_return_axes(cluster: lk.Cluster, kind: str) -> None:
    assert isinstance(cluster.plot(kind=kind), Axes)


def test_objects_show_themselves(planted: lk.Store, run: lk.Run, cluster: lk.Cluster) -> None:
    assert repr(planted).startswith("<Store planted.db: ")
    assert f"<Run {run.run_id}: " in repr(run)
    assert f"<Cluster {cluster.cluster_id}: enforce, " in repr(cluster)
    for each in (planted, run, cluster):
        html = each._repr_html_()
        assert html.count("<table") == html.count("</table>") >= 1
        assert "<script" not in html


def test_links_of_an_account_name_its_fellows(run: lk.Run, cluster: lk.Cluster) -> None:
    account = cluster.members["account_id"].iloc[0]
    links = run.links_of(account)
    assert set(links["cluster_id"]) == {cluster.cluster_id}
    assert account not in set(links["other_account"])
    assert links["bits"].is_monotonic_decreasing
    assert run.links_of("nobody").empty


def test_a_report_of_one_cluster_is_a_folder_that_opens(cluster: lk.Cluster, tmp_path: Path) -> None:
    written = cluster.report(tmp_path / "report")
    names = {path.name for path in written}
    assert {"index.html", "manifest.json", f"{cluster.cluster_id}.html", f"{cluster.cluster_id}.json"} <= names
    assert all(path.stat().st_size > 0 for path in written)


def test_named_queries_answer_as_frames(planted: lk.Store) -> None:
    counts = planted.query("store_counts")
    assert counts["requests"].tolist() == [planted.counts["requests"]]
    with pytest.raises(QueryError):
        planted.query("drop table account")


def test_evidence_says_what_the_input_rules_out(tiny_store: lk.Store) -> None:
    evidence = tiny_store.evidence.set_index("family")
    assert not evidence.loc["contract", "possible"]
    assert evidence.loc["contract", "note"] == "impossible: no params in this input"
    assert evidence.loc["payment", "possible"]


def test_the_doctor_names_what_is_missing_and_what_to_do(tiny_store: lk.Store) -> None:
    findings = tiny_store.examine().set_index("check")
    assert findings.loc["file", "level"] == "ok"
    assert findings.loc["run", "advice"] == "rebuild: linkage rebuild STORE"
    lk.rebuild(tiny_store)
    assert tiny_store.examine().set_index("check").loc["run", "level"] == "ok"


def test_a_plot_that_ends_a_cell_shows_its_picture(cluster: lk.Cluster) -> None:
    picture = cluster.plot()._repr_png_()
    assert picture.startswith(b"\x89PNG")
    assert picture == cluster.plot()._repr_png_()


def test_an_ingest_result_names_files_and_failures(tiny_logs: Path, tmp_path: Path) -> None:
    with lk.open_store(tmp_path / "s.db") as store:
        result = store.ingest(tiny_logs / "requests.ndjson", tmp_path / "missing.ndjson")
    html = result._repr_html_()
    assert repr(result) == "IngestResult: 64 kept, 0 set aside, 0 seen before, 1 files failed"
    assert "<td>requests.ndjson</td>" in html
    assert "missing.ndjson" in html
    assert str(tiny_logs) not in html
