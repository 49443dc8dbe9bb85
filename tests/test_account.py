"""Why one account is flagged, or why not: what is told is true, and what cannot be told is said."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

import linkage as lk
from linkage.cli import main
from linkage.errors import NoRunError, NoSuchAccountError
from linkage.notebook import neighbours
from linkage.outputs.account import ACCOUNT_HISTORY, ACCOUNT_LINKS, ACCOUNT_NOTES, ACCOUNT_USES, account_json
from linkage.outputs.account_text import account_text
from linkage.terms import check_frame

LATE = {"timestamp": "2026-05-01T10:00:00Z", "account_id": "early", "request_id": "e1", "ip": "198.51.100.7"}


@pytest.fixture(scope="session")
def rebuilt(tiny_logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the tiny world, with an account of months before and one that never made a request, and a run."""
    folder = tmp_path_factory.mktemp("account")
    (folder / "early.ndjson").write_text(json.dumps(LATE) + "\n", encoding="utf-8")
    (folder / "more.csv").write_text("account_id,payment_method\nsilent,card_x\n", encoding="utf-8")
    with lk.open_store(folder / "tiny.db") as store:
        store.ingest(tiny_logs / "requests.ndjson", accounts=tiny_logs / "accounts.csv")
        store.ingest(folder / "early.ndjson", accounts=folder / "more.csv")
        lk.rebuild(store)
    return folder / "tiny.db"


@pytest.fixture
def tiny_store(rebuilt: Path, tmp_path: Path) -> Iterator[lk.Store]:
    """A copy of it, to write to."""
    with lk.open_store(shutil.copy(rebuilt, tmp_path), create=False) as store:
        yield store


@pytest.fixture
def tiny(tiny_store: lk.Store) -> lk.Run:
    return tiny_store.run


@pytest.fixture
def run(planted: lk.Store) -> lk.Run:
    return planted.run


def ask(*words: object) -> Result:
    return CliRunner().invoke(main, ["why", *(str(word) for word in words)], catch_exceptions=False)


def outsiders(run: lk.Run) -> list[str]:
    """Accounts of the run that are in no cluster."""
    found = run._database.query("find_accounts", run_id=run.run_id, text="")
    return [str(name) for name in found.loc[found["cluster_id"].isna(), "account_id"]]


def test_a_flagged_account_is_told_what_ties_it_and_what_would_free_it(run: lk.Run) -> None:
    flagged = run.members[run.members["flagged"]].iloc[0]
    account = run.account(flagged["account_id"])
    assert account.status == "flagged"
    said = account.why()
    first, cluster, membership = said.splitlines()[:3]
    assert first == f"Account {flagged['account_id']}: flagged"
    assert cluster.startswith(f"In cluster {flagged['cluster_id']} of tier enforce: ")
    assert membership.startswith(f"Membership {flagged['membership']}: ")
    for reason in flagged["reasons"].split("; "):
        assert f"- {reason[:1].upper()}{reason[1:]}" in said
    assert f"--account {flagged['account_id']} --state overturned" in said
    assert f"linkage show STORE {flagged['cluster_id']}" in said


@pytest.mark.parametrize(
    ("membership", "tier", "told", "to_do"),
    [
        (
            "bystander",
            "enforce",
            "Not flagged, because it is a bystander: only core and",
            "Leave it alone: what ties it is not enough",
        ),
        (
            "core",
            "review",
            "Not flagged, because its cluster is not of tier “enforce”.",
            "Do not act on it as it stands",
        ),
        (
            "probable",
            "watch",
            "Not flagged, because its cluster is not of tier “enforce”.",
            "Nothing needs doing today.",
        ),
    ],
)
def test_a_member_that_is_not_flagged_is_told_why(
    run: lk.Run, membership: str, tier: str, told: str, to_do: str
) -> None:
    detail = run.account(run.members.loc[run.members["flagged"], "account_id"].iloc[0]).detail
    member = {**(detail.member or {}), "membership": membership, "tier": tier, "flagged": False}
    cluster = {**(detail.cluster or {}), "tier": tier}
    said = account_text(dataclasses.replace(detail, member=member, cluster=cluster))
    assert told in said
    assert f"- {to_do}" in said
    assert ("overturned" in said) == (tier == "review"), "a bystander and a watched one are free already"


@pytest.mark.parametrize(
    ("left_out_by", "told"),
    [
        ("families", "because fewer than two kinds of evidence tie it."),
        ("share", "because what ties it is less than 25% of what ties a usual member."),
        (
            "families+share",
            "because fewer than two kinds of evidence tie it and what ties it is less than 25% of what ties a usual",
        ),
        (
            "copyable",
            "because what ties it most (content and client) could be taken over by somebody from others; what",
        ),
        (
            "families+copyable",
            "because fewer than two kinds of evidence tie it.\nBesides, what ties it most (content and",
        ),
        ("share+overturned", "because a decision freed it and nothing is new since."),
        (None, "its run is of an earlier version and does not say which of these."),
    ],
)
def test_a_bystander_is_told_why_and_that_its_own_figure_is_no_reason_to_act(
    run: lk.Run, left_out_by: str | None, told: str
) -> None:
    detail = run.account(run.members.loc[run.members["flagged"], "account_id"].iloc[0]).detail
    left = {"membership": "bystander", "flagged": False, "controller_probability": 0.999, "left_out_by": left_out_by}
    member, held_by = {**(detail.member or {}), **left}, ("content", "client")
    is_copied = "copyable" in (left_out_by or "")
    lacking = ("payment",) if is_copied else ()
    said = account_text(dataclasses.replace(detail, member=member, held_by=held_by, lacking=lacking, missing=lacking))
    assert told in said
    going_by = "what could not be taken over" if is_copied else "its ties alone"
    assert f"Going by {going_by}, that the operator of this cluster runs it, too, has a probability of over 99%" in said
    assert "no reason to act." in said
    assert "runs this account, too, is" not in said
    assert ("and its logs tell nothing of payment." in said) == is_copied
    assert "nothing here speaks for acting" not in said


def test_what_leaves_a_bystander_out_is_what_the_run_found(run: lk.Run) -> None:
    members = run.members.set_index("account_id")
    left_out = members[members["membership"] == "bystander"]
    told = {(run.account(name).detail.held_by, str(left_out.loc[name, "left_out_by"])) for name in left_out.index}
    assert told == {(("content",), "copyable"), (("content",), "families+copyable")}
    assert set(members.loc[members["membership"] != "bystander", "left_out_by"]) == {""}
    lacking = {run.account(name).detail.lacking for name in left_out.index}
    assert all(families and not set(families) & {"content", "network"} for families in lacking)
    member = run.members.loc[run.members["flagged"], "account_id"].iloc[0]
    assert run.account(member).detail.lacking == ()


def test_links_of_a_member_are_those_of_the_run(run: lk.Run) -> None:
    member = str(run.members["account_id"].iloc[0])
    links, kept = run.account(member).links, run.links_of(member)
    check_frame(links, ACCOUNT_LINKS, name="links")
    same = ["other_account", "total_bits", "family", "value", "bits"]
    pd.testing.assert_frame_equal(links[same], kept[same])


def test_a_member_of_a_watched_cluster_is_told_what_that_lacks(tiny: lk.Run) -> None:
    said = tiny.account("c1").why()
    assert said.startswith("Account c1: not flagged\nIn cluster ")
    assert "Not flagged, because its cluster is not of tier “enforce”. For the tier “enforce” it lacks: " in said
    assert "- Same address prefix 198.51.100.0/24 as 3 others (4 accounts in all, 0 of them otherwise" in said
    assert said.count("Otherwise unrelated are accounts") == 1
    assert "- With c2: 26.5 bits, by payment instrument card_x (6.6)" in said
    assert "overturned" not in said, "nothing is held against it"
    assert "reads: “You are a careful annotator." in said


def test_accounts_of_one_declared_organization_are_explained(tiny: lk.Run) -> None:
    account = tiny.account("o1")
    assert (account.status, account.detail.related) == ("in no cluster", 1)
    assert "It declares the organization org_5, as 1 account with which it shares values does, too" in account.why()
    assert "o2" not in set(account.links["other_account"])
    card = account.uses.set_index("kind").loc["payment"]
    assert (card["value"], card["accounts"]) == ("card_1", 2)


def test_a_lone_account_is_tied_to_nobody(tiny: lk.Run) -> None:
    account = tiny.account("p1")
    said = account.why()
    assert "Nothing it shares ties it to anybody more than chance would." in said
    assert "- Nothing here speaks for acting on it." in said
    assert "On no other account: its payment instrument and client." in said
    prefix = account.uses.set_index("kind").loc["ip_prefix"]
    assert (prefix["value"], prefix["accounts"]) == ("203.0.113.0/24", 4)


def test_what_logs_do_not_tell_is_said(tiny: lk.Run) -> None:
    assert tiny.account("p5").detail.missing == ("payment", "contract")
    assert "Its logs tell no payment instrument and no request parameters" in tiny.account("p5").why()


def test_an_account_outside_the_window_is_told_with_dates(tiny: lk.Run, tiny_store: lk.Store) -> None:
    said = tiny.account("early").why()
    assert said.startswith(f"Account early: not judged\nRun {tiny.run_id} looked at 5 Jun 2026 to 2 Sep 2026")
    assert "Its 1 stored request is from 1 May 2026." in said
    assert "linkage rebuild COPY --as-of 2026-05-02; linkage why COPY early" in said
    seen = lk.rebuild(tiny_store, as_of="2026-05-02")
    lk.rebuild(tiny_store)
    said = tiny_store.run.account("early").why()
    assert f"linkage why STORE early --run {seen.run_id}" in said
    assert f"- Run {tiny.run_id}, to 2 Sep 2026: no request in its window." in said
    assert f"- Run {seen.run_id}, to 1 May 2026: in no cluster." in said
    assert "in no cluster" in ask(tiny_store.path, "early", "--run", seen.run_id).stdout.splitlines()[1].lower()
    with pytest.raises(NoRunError, match="wanted run 'r-none'"):
        tiny_store.kept_run("r-none")


def test_an_account_without_requests_is_told_so(tiny: lk.Run) -> None:
    silent = tiny.account("silent")
    assert silent.status == "not seen"
    assert "No request of it is stored" in silent.why()
    assert tiny.account("c1").uses.set_index("value").loc["card_x", "accounts"] == 2, "it was not at work"


def test_an_unknown_account_is_told_who_is_like_it(tiny: lk.Run, tiny_store: lk.Store) -> None:
    with pytest.raises(NoSuchAccountError, match="'p' is none, and part of p1, p2 and p3"):
        tiny.account("p")
    with pytest.raises(NoSuchAccountError, match="'key_c1' is none, and part of no id either; it is an API key of c1"):
        tiny.account("key_c1")
    missing = ask(tiny_store.path, "c1", "nobody")
    assert missing.exit_code == 1
    assert "'nobody' is none" in missing.stderr


def test_several_accounts_are_told_one_after_the_other(tiny: lk.Run, tiny_store: lk.Store) -> None:
    shown = ask(tiny_store.path, "p1", "c1")
    assert shown.exit_code == 0
    assert shown.stdout == f"{tiny.account('p1').why()}\n{tiny.account('c1').why()}"
    told = json.loads(ask(tiny_store.path, "p1", "c1", "--json").stdout)
    assert [each["account"]["account_id"] for each in told] == ["p1", "c1"]
    assert [each["status"] for each in told] == ["in no cluster", "in cluster"]
    assert told[1] == json.loads(json.dumps(account_json(tiny.account("c1").detail)))


def test_tables_have_their_documented_columns(tiny: lk.Run) -> None:
    for name in ("c1", "o1", "p1", "early", "silent"):
        detail = tiny.account(name).detail
        check_frame(detail.uses, ACCOUNT_USES, name="uses")
        check_frame(detail.links, ACCOUNT_LINKS, name="links")
        check_frame(detail.history, ACCOUNT_HISTORY, name="history")
        check_frame(detail.case_notes, ACCOUNT_NOTES, name="case_notes")


@pytest.mark.parametrize("account", ["c1", "o1"])
def test_masked_text_and_json_hold_no_address_and_no_card(tiny: lk.Run, tiny_store: lk.Store, account: str) -> None:
    open_words = ask(tiny_store.path, account).stdout
    secrets = list(tiny.account(account).uses.query("kind in ['ip', 'payment']")["value"])
    assert len(secrets) == 2
    assert any(secret in open_words for secret in secrets)
    for masked in (ask(tiny_store.path, account, "--masked"), ask(tiny_store.path, account, "--masked", "--json")):
        assert masked.exit_code == 0
        assert not [secret for secret in secrets if secret in masked.stdout]
        assert ".0/24 #1" in masked.stdout


def test_neighbours_of_an_account_in_no_cluster_are_those_a_rebuild_finds(run: lk.Run) -> None:
    asked = 0
    for account in outsiders(run)[:40]:
        found = run.links_of(account, everywhere=True)
        found = found[found["family"] != "conduct"]
        if found.empty:
            continue
        links = run.account(account).links
        both = found.merge(links, on=["other_account", "family"], how="left", suffixes=("", "_looked_up"))
        assert both["bits_looked_up"].notna().all()
        assert (both["bits"] - both["bits_looked_up"]).abs().max() < 0.5
        assert (both["accounts"] == both["accounts_looked_up"])[both["value"] == both["value_looked_up"]].all()
        asked += 1
    assert asked > 10


def test_a_value_of_very_many_is_counted_in_part(tiny: lk.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MOST_USES", 4)
    prefix = tiny.account("p1").uses.set_index("kind").loc["ip_prefix"]
    assert not prefix["is_all"]
    assert prefix["accounts"] == 2
    assert "shared with at least 1 other account" in tiny.account("p1").why()


def test_why_a_value_says_little_is_told_by_how_many_have_it(tiny: lk.Run) -> None:
    detail = tiny.account("p1").detail
    for accounts, why in ((4, "values of this kind told little in this run"), (4_001, "an office, a carrier or a VPN")):
        said = account_text(dataclasses.replace(detail, uses=detail.uses.assign(accounts=accounts, bits=1.0)))
        assert f"shared with {accounts - 1:,} other accounts; says little (1.0 bits): {why}" in said


def test_decisions_are_told(tiny: lk.Run, tiny_store: lk.Store) -> None:
    cluster = tiny.cluster(tiny.clusters["cluster_id"].iloc[0])
    cluster.reject(note="a class of four", author="ana")
    run = lk.rebuild(tiny_store)
    said = run.account("c1").why()
    assert f"ana: cleared. (about cluster {cluster.cluster_id}) a class of four" in said
    assert "Run " not in said[said.index("History") :], "it is where it was"
    assert not run.account("p1").detail.case_notes["note"].size


def test_records_after_the_run_are_told(tiny: lk.Run, tiny_store: lk.Store, tmp_path: Path) -> None:
    assert "Records came in after this run" not in tiny.account("p1").why()
    row = {
        **LATE,
        "timestamp": "2026-09-02T10:00:00Z",
        "request_id": "n1",
        "ip": "203.0.113.1",
        "user_agent": "\x1b[31m",
    }
    (tmp_path / "new.ndjson").write_text(json.dumps(row) + "\n", encoding="utf-8")
    tiny_store.ingest(tmp_path / "new.ndjson")
    said = tiny_store.run.account("p1").why()
    assert "Records came in after this run" in said
    assert "Address 203.0.113.1: shared with 1 other account" in said
    assert "\x1b" not in tiny_store.run.account("early").why()


def test_an_account_of_which_only_the_time_is_known_has_nothing_to_tell(tmp_path: Path) -> None:
    rows = [{"timestamp": "2026-09-01T00:00:00Z", "account_id": name, "request_id": name} for name in ("a", "b")]
    (tmp_path / "r.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(tmp_path / "r.ndjson")
        account = lk.rebuild(store).account("a")
    assert (len(account.uses), len(account.links)) == (0, 0)
    assert len(account.detail.missing) == 7
    assert "Nothing it shares ties it to anybody more than chance would." in account.why()


def test_an_account_shows_itself(tiny: lk.Run) -> None:
    account = tiny.account("c1")
    assert repr(account).startswith("<Account c1: in cluster c-")
    html = account._repr_html_()
    assert html.count("<table") == html.count("</table>") == 2
    assert dataclasses.is_dataclass(account.detail)
