"""What people decide stays, and stands in the report."""

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import linkage as lk
from linkage.cli import main
from linkage.clusters.cases import DECIDED_MEMBERS, DECIDED_VALUES, DECISIONS, Decisions, settle
from linkage.errors import NoSuchAccountError, NoSuchClusterError, UsageError
from linkage.store.cases import add_case_note
from linkage.terms import CLUSTERS, EVIDENCE, MEMBERS, TEXT, make_frame


@pytest.fixture
def cluster(planted_path: Path, tmp_path: Path) -> lk.Cluster:
    path = tmp_path / "copy.db"
    path.write_bytes(planted_path.read_bytes())
    with lk.open_store(path, create=False) as store:
        run = store.run
        yield run.clusters[run.clusters["cluster_id"].iloc[0]]


def test_notes_are_kept_in_order_and_shown_in_the_report(cluster: lk.Cluster, tmp_path: Path) -> None:
    cluster.decide("watched", note="looks odd <b>", author="ana", at="2026-09-20T09:00Z")
    cluster.decide("cleared", note="a course", author="ben", at="2026-09-21T10:30Z")
    notes = cluster.case_notes
    assert notes["state"].tolist() == ["watched", "cleared"]
    assert notes["noted_at"].iloc[1] == pd.Timestamp("2026-09-21T10:30Z")
    cluster.report(tmp_path / "report")
    page = (tmp_path / "report" / f"{cluster.cluster_id}.html").read_text(encoding="utf-8")
    assert "20 Sep 2026 09:00 UTC, ana: watched. looks odd &lt;b&gt;" in page


def test_the_command_adds_a_note(cluster: lk.Cluster, planted_path: Path) -> None:
    path = str(cluster._run._database.path)
    words = ["case", path, cluster.cluster_id, "--state", "enforced", "--note", "confirmed", "--author", "cy"]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert cluster.case_notes[["state", "note", "author"]].to_numpy().tolist() == [["enforced", "confirmed", "cy"]]
    with lk.open_store(planted_path, create=False) as untouched:
        assert untouched.run.cluster(cluster.cluster_id).case_notes.empty


@pytest.mark.parametrize("note", ["", " \t\n"])
def test_the_command_wants_a_note_that_says_something_and_python_does_not(cluster: lk.Cluster, note: str) -> None:
    words = ["case", str(cluster._run._database.path), cluster.cluster_id, "--state", "cleared", "--note", note]
    told = CliRunner().invoke(main, words)
    assert (told.exit_code, cluster.case_notes.empty) == (2, True)
    assert "wanted why, in plain words" in told.stderr
    cluster.decide("cleared", note=note, author="a", at="2026-09-20")
    assert cluster.case_notes["note"].tolist() == [note]


def test_a_cluster_or_state_that_does_not_exist_is_refused(cluster: lk.Cluster) -> None:
    database = cluster._run._database
    with pytest.raises(NoSuchClusterError, match="none named 'c-none'"):
        add_case_note(database, "c-none", state="open", note="", author="a", noted_ms=0)
    with pytest.raises(
        UsageError, match="wanted open, cleared, watched, enforced, appealed and overturned; got 'banned'"
    ):
        cluster.decide("banned", note="", author="a", at="2026-09-20")
    assert cluster.case_notes.empty


DAY = pd.Timestamp("2026-09-21", tz="UTC")
THEN = {"payment": ["card_x"], "network": ["192.0.2.1"]}


def members(accounts: str, cluster_id: str = "c-1") -> pd.DataFrame:
    size = len(accounts)
    columns = {"account_id": list(accounts), "cluster_id": [cluster_id] * size, "membership": ["core"] * size}
    return make_frame(
        MEMBERS, {**columns, "tier": ["enforce"] * size, "flagged": [True] * size, "reasons": ["x"] * size}
    )


def shared(values: dict[str, list[str]], accounts: str, cluster_id: str = "c-1") -> pd.DataFrame:
    rows = [(account, family, value) for family, named in values.items() for value in named for account in accounts]
    columns = dict(zip(("account_id", "family", "value"), zip(*rows, strict=True), strict=True))
    kinds = ["payment" if row[1] == "payment" else "ip" for row in rows]
    return make_frame(
        {"cluster_id": TEXT, **EVIDENCE}, {**columns, "kind": kinds, "cluster_id": [cluster_id] * len(rows)}
    )


def decided(state: str, accounts: str, *, account: str | None = None, later: str | None = None) -> Decisions:
    states = [state, *([later] if later else [])]
    notes = range(1, len(states) + 1)
    rows = {
        "note_id": list(notes)[-1:],
        "cluster_id": ["c-1"],
        "state": states[-1:],
        "account_id": [account],
        "noted_at": [DAY],
    }
    values = [(family, value) for family, named in THEN.items() for value in named]
    ties = {"note_id": [1] * 2, "family": [v[0] for v in values], "kind": ["k"] * 2, "value": [v[1] for v in values]}
    whom = {"note_id": [1] * len(accounts), "account_id": list(accounts)}
    return Decisions(make_frame(DECISIONS, rows), make_frame(DECIDED_MEMBERS, whom), make_frame(DECIDED_VALUES, ties))


def settled(
    accounts: str,
    values: dict[str, list[str]],
    known: Decisions,
    *,
    cluster_id: str = "c-1",
    sharing: str | None = None,
) -> tuple[str, pd.DataFrame, list[str]]:
    """The cluster's tier, its members by account, and the sentences."""
    clusters = make_frame(CLUSTERS, {"cluster_id": [cluster_id], "tier": ["enforce"]})
    table = shared({**THEN, **values}, sharing or accounts, cluster_id)
    found = settle(clusters, members(accounts, cluster_id), table, decided=known)
    return (
        str(found.clusters["tier"].iloc[0]),
        found.members.set_index("account_id"),
        found.statements["sentence"].tolist(),
    )


def test_a_cleared_cluster_without_new_evidence_is_held_at_watch() -> None:
    tier, rows, said = settled("abcdef", {"network": ["192.0.2.1", "192.0.2.99"]}, decided("cleared", "abcdef"))
    assert tier == "watch"
    assert not rows["flagged"].any()
    assert set(rows["reasons"]) == {"cleared on 2026-09-21, new since: nothing; x"}
    assert said == ["New since it was cleared on 2026-09-21: nothing."]


def test_a_cleared_cluster_comes_back_with_a_new_instrument_family_or_many_new_accounts() -> None:
    known = decided("cleared", "abcdef")
    tier, rows, said = settled("abcdef", {"payment": ["card_x", "card_y"]}, known)
    assert (tier, rows["flagged"].all()) == ("enforce", True)
    assert said == ["New since it was cleared on 2026-09-21: 6 members share payment instrument card_y."]
    _, _, said = settled("abcdef", {"content": ["t-1"]}, known)
    assert said == ["New since it was cleared on 2026-09-21: content evidence ties its members."]
    tier, _, said = settled("abcdefgh", {}, known)
    assert (tier, said) == ("enforce", ["New since it was cleared on 2026-09-21: 2 accounts joined the 6 of then."])
    assert settled("abcdefg", {}, known)[0] == "watch"


def test_the_row_of_a_held_cluster_names_the_decision_beside_what_barred_it_before() -> None:
    for before, after in (("", "cleared"), ("chance", "chance+cleared"), (None, "cleared")):
        row = {"cluster_id": ["c-1"], "tier": ["review"], "barred_by": [before]}
        found = settle(
            make_frame(CLUSTERS, row),
            members("abcdef", "c-1"),
            shared(THEN, "abcdef", "c-1"),
            decided=decided("cleared", "abcdef"),
        )
        assert found.clusters["barred_by"].tolist() == [after]


def test_a_cleared_cluster_is_known_under_another_id_by_its_accounts() -> None:
    assert settled("abcdef", {}, decided("cleared", "abcdef"), cluster_id="c-2")[0] == "watch"
    assert settled("awxyz", {}, decided("cleared", "abcdef"), cluster_id="c-2")[0] == "enforce"


def test_the_last_decision_counts() -> None:
    assert settled("abcdef", {}, decided("cleared", "abcdef", later="open"))[0] == "enforce"


def test_an_overturned_account_is_a_bystander_until_there_is_new_evidence() -> None:
    known = decided("overturned", "a", account="a")
    tier, rows, said = settled("abcdef", {}, known)
    assert tier == "enforce"
    assert rows.loc["a", ["membership", "flagged", "left_out_by"]].tolist() == ["bystander", False, "overturned"]
    assert rows.loc["b", ["membership", "flagged"]].tolist() == ["core", True]
    assert said == ["New since account a was overturned on 2026-09-21: nothing."]
    _, rows, said = settled("abcdef", {"payment": ["card_x", "card_z"]}, known)
    assert rows.loc["a", "flagged"]
    assert said == ["New since account a was overturned on 2026-09-21: it shares payment instrument card_z."]


def test_decisions_are_carried_through_rebuilds(cluster: lk.Cluster, tmp_path: Path) -> None:
    with lk.open_store(cluster._run._database.path) as store:
        flagged = store.run.members.query("flagged")
        chosen = store.run.cluster(flagged["cluster_id"].iloc[0])
        account = str(chosen.members.query("flagged")["account_id"].iloc[0])
        before = store.run
        chosen.decide("overturned", note="it is their own", author="ana", at="2026-09-20", account=account)
        run = lk.rebuild(store)
        assert run.run_id != before.run_id
        row = run.members.set_index("account_id").loc[account]
        assert (row["membership"], bool(row["flagged"])) == ("bystander", False)
        assert run.counts["flagged"] == before.counts["flagged"] - 1
        chosen.decide("cleared", note="a course", author="ana", at="2026-09-21")
        run = lk.rebuild(store)
        assert run.cluster(chosen.cluster_id).summary["tier"] == "watch"
        assert "[for] New since it was cleared on 2026-09-21: nothing." in run.cluster(chosen.cluster_id).why()
        cards = "".join(f"{name},card_new\n" for name in chosen.members.query("membership == 'core'")["account_id"])
        (tmp_path / "cards.csv").write_text("account_id,payment_method\n" + cards)
        store.ingest(accounts=tmp_path / "cards.csv")
        back = lk.rebuild(store).cluster(chosen.cluster_id)
        assert back.summary["tier"] == "enforce"
        assert "members share payment instrument card_new" in back.why()
        assert f"account {account}: it is their own" in chosen.case_notes["note"].tolist()
        with pytest.raises(UsageError, match="of one account; got 'cleared'"):
            chosen.decide("cleared", note="", author="a", at="2026-09-20", account=account)
        with pytest.raises(NoSuchAccountError, match="found none named 'nobody'"):
            chosen.decide("overturned", note="", author="a", at="2026-09-20", account="nobody")
