"""The nouns people type in a notebook."""

import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import igraph
import networkx as nx
import pandas as pd
import pytest
from matplotlib.axes import Axes

import linkage as lk
from linkage.errors import NoSuchAccountError, NoSuchClusterError, QueryError, UsageError
from linkage.notebook import delays
from linkage.notebook.progress import NotebookBar
from linkage.notebook.runs import TIES
from linkage.store.lock import writer_lock
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
            "Templates",
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
    assert isinstance(graph, igraph.Graph)
    assert {"account", "ip", "payment", "template"} <= set(graph.vs["kind"])
    assert len(graph.vs.select(kind="account")) == run.counts["accounts"]
    cards = [name for name in run.graph(personal_data=False).vs["name"] if name.startswith("payment:")]
    assert cards
    assert not set(cards) & set(graph.vs["name"])


@pytest.mark.parametrize("kind", ["cluster", "timeline", "evidence"])
def test_plots_return_axes(cluster: lk.Cluster, kind: str) -> None:
    assert isinstance(cluster.plot(kind=kind), Axes)


def test_objects_show_themselves(planted: lk.Store, run: lk.Run, cluster: lk.Cluster) -> None:
    assert repr(planted).startswith("<Store planted.db: ")
    assert f"<Run {run.run_id}: " in repr(run)
    assert f"<Cluster {cluster.cluster_id}: enforce, " in repr(cluster)
    template = planted.templates[planted.templates["template_id"].iloc[0]]
    assert repr(template).startswith(f"<Template {template.template_id}: ")
    for each in (planted, run, cluster, run.clusters, planted.templates, template, run.what_if()):
        html = each._repr_html_()
        assert html.count("<table") == html.count("</table>") >= 1
        assert "<script" not in html


def test_links_of_an_account_say_to_whom_by_what_and_how_sure(run: lk.Run, cluster: lk.Cluster) -> None:
    account = cluster.members["account_id"].iloc[0]
    links = run.links_of(account)
    check_frame(links, TIES, name="links")
    assert set(links["cluster_id"]) == {cluster.cluster_id}
    assert account not in set(links["other_account"])
    per_account = links.drop_duplicates("other_account")
    assert per_account["total_bits"].is_monotonic_decreasing
    assert links.groupby("other_account")["bits"].sum().max() == pytest.approx(per_account["total_bits"].iloc[0])
    assert links["controller_probability"].between(0, 1).all()


def test_an_account_that_does_not_exist_has_no_links_but_an_error(run: lk.Run, cluster: lk.Cluster) -> None:
    one = str(cluster.members["account_id"].iloc[0])
    with pytest.raises(NoSuchAccountError, match=f"part of {one}"):
        run.links_of(one[:-1])
    with pytest.raises(NoSuchAccountError, match="'nobody' is none, and part of no id either"):
        run.links_of("nobody")
    found = run._database.query("find_accounts", run_id=run.run_id, text="")
    alone = run.links_of(found.loc[found["cluster_id"].isna(), "account_id"].iloc[0])
    check_frame(alone, TIES, name="links of an account in no cluster")
    assert alone.empty


def test_slips_of_the_pen_are_told_in_words(run: lk.Run, cluster: lk.Cluster, tmp_path: Path) -> None:
    with pytest.raises(NoSuchClusterError, match=r"wanted cluster 'teir' .* Nor is it a column: cluster_id, tier, "):
        run.clusters["teir"]
    with pytest.raises(UsageError, match="kind: wanted cluster, timeline, evidence; got 'time'"):
        cluster.plot(kind="time")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="format: wanted graphml, gexf, json, parquet, stix, pack; got 'graphm'"):
        run.export(tmp_path / "x", format="graphm")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"wanted a store; got 'logs.db'. Open one: lk.open_store"):
        lk.rebuild("logs.db")  # type: ignore[arg-type]
    one = run.report(tmp_path / "one", clusters=cluster.cluster_id)
    assert [path.name for path in one] == [path.name for path in cluster.report(tmp_path / "other")]


def test_links_everywhere_hold_those_of_the_cluster_that_are_likely(run: lk.Run, cluster: lk.Cluster) -> None:
    account = cluster.members["account_id"].iloc[0]
    inside, everywhere = run.links_of(account), run.links_of(account, everywhere=True)
    likely = set(everywhere["other_account"])
    assert likely & set(inside["other_account"])
    kept = inside[inside["other_account"].isin(likely)].reset_index(drop=True)
    found = everywhere[everywhere["cluster_id"].eq(cluster.cluster_id)].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, found)


def test_tables_complete_their_keys(planted: lk.Store, run: lk.Run, cluster: lk.Cluster) -> None:
    assert cluster.cluster_id in run.clusters._ipython_key_completions_()
    templates = planted.templates
    assert templates["template_id"].iloc[0] in templates._ipython_key_completions_()
    with pytest.raises(UsageError, match="none named 't-none'"):
        _ = templates["t-none"]


def test_a_template_knows_who_uses_it(planted: lk.Store) -> None:
    row = pd.DataFrame(planted.templates).iloc[0]
    template = planted.templates[row["template_id"]]
    assert len(template.accounts) == row["accounts"]
    assert template.accounts["request_count"].sum() == row["requests"]
    assert template.accounts["first_at"].min() == row["first_at"]


def test_new_templates_are_those_first_seen_in_the_last_days(planted: lk.Store) -> None:
    everything, lately = planted.templates, planted.new_templates("7d")
    end = everything["last_at"].max().normalize() + pd.Timedelta(days=1)
    assert 0 < len(lately) < len(everything)
    assert lately["first_at"].min() >= end - pd.Timedelta(days=7)
    assert set(planted.new_templates("90d")["template_id"]) == set(everything["template_id"])
    assert planted.new_templates("7d", until="2026-08-01").empty


def test_reading_waits_for_no_writer(planted_path: Path) -> None:
    holder = sqlite3.connect(planted_path, isolation_level=None)
    with writer_lock(planted_path), lk.open_store(planted_path, create=False) as store:
        holder.execute("begin immediate")
        holder.execute("create table half_done (n integer) strict")
        run = store.run
        cluster = run.clusters[run.clusters["cluster_id"].iloc[0]]
        assert cluster.why()
        assert len(store.templates)
        assert not run.links_of(cluster.members["account_id"].iloc[0]).empty
        assert run.what_if().member_changes.empty
        assert run.graph().vcount()
        holder.execute("rollback")
    holder.close()


@pytest.fixture
def interrupts() -> Iterator[None]:
    """An interrupt is one here even where the tests themselves were started to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_an_interrupted_ingest_leaves_the_store_usable(planted: lk.Store, planted_world: Path, tmp_path: Path) -> None:
    def interrupt(_path: str, done: int, _size: int) -> None:
        if done:
            signal.raise_signal(signal.SIGINT)

    files = planted_world / "requests.ndjson.gz"
    with lk.open_store(tmp_path / "s.db") as store:
        with pytest.raises(KeyboardInterrupt):
            store.ingest(files, progress=interrupt)
        store.ingest(files, accounts=planted_world / "accounts.csv")
        assert store.counts["requests"] == planted.counts["requests"] > 20_000


@pytest.mark.usefixtures("interrupts")
def test_an_interrupted_rebuild_leaves_the_published_run(planted: lk.Store, tmp_path: Path) -> None:
    def interrupt(name: str) -> None:
        if name in ("links", "publish"):
            signal.raise_signal(signal.SIGINT)

    planted._database.copy_to(tmp_path / "copy.db")
    with lk.open_store(tmp_path / "copy.db") as store:
        before = store.run.run_id
        with pytest.raises(KeyboardInterrupt):
            lk.rebuild(store, seed=1, step=interrupt)
        assert store.run.run_id == before
        assert lk.rebuild(store, seed=1).run_id != before


def test_bars_are_shown_where_they_are_asked_for(
    tiny_logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[NotebookBar] = []

    class Handle:
        def update(self, bar: NotebookBar) -> None:
            shown.append(bar)

    def display(bar: NotebookBar, *, display_id: bool) -> Handle:
        assert display_id
        shown.append(bar)
        return Handle()

    monkeypatch.setattr("linkage.notebook.progress._notebook_display", lambda: display)
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(tiny_logs / "requests.ndjson", accounts=tiny_logs / "accounts.csv", progress=True)
        lk.rebuild(store, step=True)
        assert repr(shown[-1]) == "done: 100 %"
        assert len(shown) > 8
        monkeypatch.setattr("linkage.notebook.progress._notebook_display", lambda: None)
        lk.rebuild(store, seed=1, step=True)
        lk.rebuild(store, seed=2, step=False)
    assert capsys.readouterr().out == ""


def test_a_bar_shows_each_percent_once_and_escapes_names() -> None:
    shown: list[str] = []
    bar = NotebookBar(lambda one: shown.append(one._repr_html_()))
    for done in (0.101, 0.102, 0.2):
        bar.tell("<b>.ndjson", done)
    bar.tell("links", None)
    assert shown == [
        '<progress max="100" value="10"></progress> &lt;b&gt;.ndjson: 10 %',
        '<progress max="100" value="20"></progress> &lt;b&gt;.ndjson: 20 %',
        '<progress max="100"></progress> links',
    ]


def test_a_report_of_one_cluster_is_a_folder_that_opens(cluster: lk.Cluster, tmp_path: Path) -> None:
    written = cluster.report(tmp_path / "report")
    names = {path.name for path in written}
    assert {"index.html", "manifest.json", f"{cluster.cluster_id}.html", f"{cluster.cluster_id}.json"} <= names
    assert all(path.stat().st_size > 0 for path in written)


def test_a_report_tells_how_far_it_is(run: lk.Run, tmp_path: Path) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    chosen = run.clusters["cluster_id"].iloc[:2]
    run.report(
        tmp_path / "report",
        clusters=chosen,
        progress=lambda name, done, size: told.setdefault(name, []).append((done, size)),
    )
    assert told == {"clusters": [(0, 2), (1, 2), (2, 2)], "pages": [(0, 2), (1, 2), (2, 2)]}


def test_named_queries_answer_as_frames(planted: lk.Store) -> None:
    counts = planted.query("store_counts")
    assert counts["requests"].tolist() == [planted.counts["requests"]]
    with pytest.raises(QueryError):
        planted.query("drop table account")
    assert set(planted.queries["name"]) >= {"store_counts", "template_accounts"}


def test_evidence_says_what_the_input_rules_out(tiny_store: lk.Store) -> None:
    evidence = tiny_store.evidence.set_index("family")
    assert not evidence.loc["contract", "possible"]
    assert evidence.loc["contract", "note"] == "impossible: no params in this input"
    assert evidence.loc["payment", "possible"]


def test_the_doctor_names_what_is_missing_and_what_to_do(tiny_store: lk.Store) -> None:
    findings = tiny_store.examine().set_index("check")
    assert findings.loc["file", "level"] == "ok"
    assert findings.loc["run", "advice"] == f"rebuild: linkage rebuild {tiny_store.path}"
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
    assert repr(result) == "IngestResult: 64 kept, 0 set aside, 0 seen before, 1 file failed"
    assert "<td>requests.ndjson</td>" in html
    assert "missing.ndjson" in html
    assert str(tiny_logs) not in html
