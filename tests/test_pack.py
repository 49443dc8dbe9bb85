"""Partner packs: a second provider finds the same operator in them, and nobody finds a name."""

import csv
import dataclasses
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from details import make_detail

import linkage as lk
from linkage.cli import main
from linkage.errors import OutputError, UsageError
from linkage.outputs.pack import PACK_KINDS, PackKey, make_pack, match_pack, read_pack, write_pack
from linkage.terms import MEMBERS, TEMPLATES, USES, ClusterDetail, make_frame

KEY = b"a key that only the tests use"


def test_a_pack_holds_counts_and_hashes_and_no_raw_value() -> None:
    detail = make_detail(100)
    source = json.dumps(make_pack([detail], key=KEY))
    raw = {*detail.shared["value"], *detail.members["account_id"], *detail.templates["text"]}
    assert not [value for value in raw if value in source]
    [cluster] = json.loads(source)["clusters"]
    assert {name for entry in cluster["values"] for name in entry} == {"kind", "hash", "accounts", "wording"}
    hashes = [digest for entry in cluster["values"] for digest in (entry["hash"], *entry.get("wording", []))]
    assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in hashes)


def test_what_only_a_bystander_shares_and_what_many_others_use_is_left_out() -> None:
    detail = make_detail(20)
    hashes = {entry["hash"] for entry in make_pack([detail], key=KEY)["clusters"][0]["values"]}
    assert PackKey(KEY).hash("client", "python-httpx/0.27 771,4865") not in hashes, "412 others use it"
    firm = detail.members.loc[detail.members["membership"] != "bystander", "account_id"].iloc[0]
    [bystander, *_] = detail.members.loc[detail.members["membership"] == "bystander", "account_id"]
    pair = make_frame(
        detail.shared.dtypes.astype(str).to_dict(),
        {"account_id": [firm, bystander], "kind": ["ip"] * 2, "value": ["192.0.2.1"] * 2, "accounts": [2, 2]},
    )
    told = dataclasses.replace(detail, shared=pd.concat([detail.shared, pair], ignore_index=True))
    assert {entry["hash"] for entry in make_pack([told], key=KEY)["clusters"][0]["values"]} == hashes


@pytest.mark.parametrize(("tier", "packed"), [("enforce", 1), ("review", 1), ("watch", 0)])
def test_watched_clusters_are_not_passed_on(tier: str, packed: int) -> None:
    detail = make_detail(14)
    told = dataclasses.replace(detail, cluster={**detail.cluster, "tier": tier})
    assert len(make_pack([told], key=KEY)["clusters"]) == packed


def uses_of(detail: ClusterDetail) -> pd.DataFrame:
    return make_frame(USES, {name: detail.shared[name] for name in USES})


def test_the_right_key_matches_everything_and_another_is_refused(tmp_path: Path) -> None:
    detail = make_detail(14)
    pack = read_pack(write_pack([detail], out=tmp_path / "pack.json", key=KEY))
    found = match_pack(pack, uses_of(detail), key=KEY, members=detail.members, templates=detail.templates)
    assert (found.evidence["share"] == 1.0).all()
    assert set(found.accounts["cluster_id"]) == {"c-7f3a91"}
    assert found.accounts["kinds"].iloc[0].count("+") >= found.accounts["kinds"].iloc[-1].count("+")
    with pytest.raises(UsageError, match=r"found another\. Ask the partner"):
        match_pack(
            pack,
            uses_of(detail),
            key=b"some other key of some length",
            members=detail.members,
            templates=detail.templates,
        )
    with pytest.raises(UsageError, match="at least 16 bytes; found 5"):
        make_pack([detail], key=b"short")


def test_a_template_is_known_by_its_wording_under_any_id_and_another_is_not() -> None:
    detail = make_detail(14)
    name = detail.templates["template_id"].iloc[0]
    texts = {
        "t-here": "You may ask. " + str(detail.templates["text"].iloc[0]).upper().replace("<*>", "<*>, as <*>"),
        "t-other": "Write a letter to the landlord about the heating that does not work since <*> in the <*>.",
    }
    uses = make_frame(USES, {"account_id": ["a", "b"], "kind": ["template"] * 2, "value": list(texts)})
    templates = make_frame(TEMPLATES, {"template_id": list(texts), "text": list(texts.values())})
    found = match_pack(make_pack([detail], key=KEY), uses, key=KEY, members=make_frame(MEMBERS), templates=templates)
    assert name not in texts
    assert list(found.accounts["account_id"]) == ["a"]
    assert found.evidence.set_index("kind").loc["template", "matched"] == 1


def test_a_store_that_shares_nothing_matches_nothing() -> None:
    pack = make_pack([make_detail(14)], key=KEY)
    found = match_pack(pack, make_frame(USES), key=KEY, members=make_frame(MEMBERS), templates=make_frame(TEMPLATES))
    assert found.evidence["matched"].sum() == 0
    assert found.accounts.empty
    assert repr(found).startswith("<Matches: 0 of ")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"format": "linkage-pack", "version": 1}',
        b'{"format": "other", "version": 1}',
    ],
)
def test_a_file_that_is_no_pack_is_told_in_one_message(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "pack").write_bytes(content)
    with pytest.raises(OutputError, match="wanted a"):
        read_pack(tmp_path / "pack")
    with pytest.raises(OutputError, match="wanted a partner pack"):
        read_pack(tmp_path / "none")


def test_what_a_pack_says_of_itself_steers_no_terminal_and_ends_no_match(tmp_path: Path) -> None:
    odd = "\x1b]0;mine\x07\ud800"
    pack = make_pack([make_detail(14)], key=KEY)
    pack["clusters"].append({"cluster_id": odd, "values": [{"kind": odd, "hash": odd, "wording": [odd]}]})
    (tmp_path / "pack").write_text(json.dumps(pack))
    found = match_pack(
        read_pack(tmp_path / "pack"),
        make_frame(USES),
        key=KEY,
        members=make_frame(MEMBERS),
        templates=make_frame(TEMPLATES),
    )
    assert "\\u001b]0;mine\\u0007\\ud800" in set(found.evidence["kind"])
    assert found.accounts.empty


def test_a_pack_whose_key_check_is_no_hash_was_made_with_another_key() -> None:
    pack = {**make_pack([make_detail(14)], key=KEY), "key_check": "clé\ud800"}
    with pytest.raises(UsageError, match="found another"):
        match_pack(pack, make_frame(USES), key=KEY, members=make_frame(MEMBERS), templates=make_frame(TEMPLATES))


def partner_logs(world: Path, folder: Path, *, seed: int) -> tuple[Path, set[str]]:
    """Another provider's logs: its own customers, and the later half of the campaign under other account ids."""
    lk.simulate(folder, accounts=250, days=14, scenarios=["none"], seed=seed)
    with (world / "truth.csv").open(encoding="utf-8") as file:
        campaign = {row["account_id"] for row in csv.DictReader(file) if row["campaign"]}
    with gzip.open(world / "requests.ndjson.gz", "rt", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = [row for row in map(json.loads, file) if row["account_id"] in campaign]
    rows.sort(key=lambda row: str(row["timestamp"]))
    own = {name: f"cust-{place:03d}" for place, name in enumerate(sorted(campaign))}
    with gzip.open(folder / "requests.ndjson.gz", "at", encoding="utf-8") as file:
        for row in rows[len(rows) // 2 :]:
            told = {**row, "account_id": own[row["account_id"]], "request_id": f"p-{row['request_id']}"}
            file.write(json.dumps({**told, "api_key_id": f"k-{told['account_id']}"}) + "\n")
    return folder / "requests.ndjson.gz", set(own.values())


def test_a_partner_finds_most_of_a_shared_campaign_and_no_innocent(
    planted: lk.Store, planted_world: Path, tmp_path: Path
) -> None:
    logs, theirs = partner_logs(planted_world, tmp_path / "partner", seed=11)
    pack = planted.run.export(tmp_path / "pack.json", format="pack", key=KEY)
    with lk.open_store(tmp_path / "partner.db") as store:
        store.ingest(logs)
        found = store.match(pack, key=KEY)
    enforced = planted.run.clusters.query("tier == 'enforce'")["cluster_id"].iloc[0]
    values = found.evidence[found.evidence["pack_cluster"] == enforced]
    assert values["matched"].sum() / values["values"].sum() >= 0.8
    assert values.set_index("kind").loc["template", "share"] >= 0.8, "mined from other prompts, under other ids"
    assert set(values["kind"]) <= set(PACK_KINDS)
    strong = found.accounts[(found.accounts["pack_cluster"] == enforced) & (found.accounts["matched"] >= 3)]
    assert set(strong["account_id"]) == theirs


def test_the_commands_make_and_match_a_pack(planted_path: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY + b"\n")
    export = ["export", str(planted_path), "--format", "pack", "--out", str(tmp_path / "pack.json")]
    assert CliRunner().invoke(main, export).exit_code == 2, "without a key"
    assert CliRunner().invoke(main, [*export, "--key", str(tmp_path / "none")]).exit_code == 2
    assert CliRunner().invoke(main, [*export, "--key", str(tmp_path / "key")]).exit_code == 0
    match = ["match", str(tmp_path / "pack.json"), str(planted_path), "--key", str(tmp_path / "key"), "--format", "csv"]
    told = CliRunner().invoke(main, match)
    assert told.exit_code == 0
    assert told.stdout.startswith("account_id,pack_cluster,matched,kinds,rarest_accounts,cluster_id,tier\n")
    assert "values of kind payment" in told.stderr
