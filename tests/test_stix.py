"""STIX bundles: what the stix2 library reads of them, what they leave out, and that hostile text breaks nothing."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import stix2
from details import HOSTILE, make_detail

from linkage.errors import UsageError
from linkage.outputs.masking import pseudonym
from linkage.outputs.stix import TLP_MARKINGS, stix_bundle, write_stix
from linkage.terms import ClusterDetail


def parsed(*details: ClusterDetail, **how: Any) -> Any:
    return stix2.parse(json.dumps(stix_bundle(details, **how)))


def of_type(bundle: Any, kind: str) -> list[Any]:
    return [item for item in bundle.objects if item["type"] == kind]


def used_by_members_alone(detail: ClusterDetail, *, but: str = "") -> ClusterDetail:
    """The detail with every value used by its firm members alone; three times as many use ``but``."""
    firm = set(detail.members.loc[detail.members["membership"] != "bystander", "account_id"])
    shared = detail.shared[detail.shared["account_id"].isin(firm)]
    inside = shared.groupby(["kind", "value"])["account_id"].transform("nunique")
    counted = inside.mask(shared["value"] == but, inside * 3)
    return dataclasses.replace(detail, shared=shared.assign(accounts=counted))


def with_tier(tier: str) -> ClusterDetail:
    detail = make_detail(14)
    return dataclasses.replace(detail, cluster={**detail.cluster, "tier": tier})


def test_an_enforced_cluster_is_a_campaign_with_its_firm_members_alone() -> None:
    detail = make_detail(20)
    bundle = parsed(detail)
    [campaign] = of_type(bundle, "campaign")
    assert campaign.name == "Linked accounts c-7f3a91"
    assert campaign.confidence == 94
    assert "20 accounts linked by payment, network, content and client" in campaign.description
    firm = detail.members[detail.members["membership"] != "bystander"]["account_id"]
    assert 0 < len(firm) < len(detail.members)
    assert {item.user_id for item in of_type(bundle, "user-account")} == {pseudonym(name) for name in firm}
    ends = {item.source_ref for item in of_type(bundle, "relationship") if item.target_ref == campaign.id}
    assert {item.id for item in of_type(bundle, "user-account")} <= ends


def test_a_cluster_under_review_is_a_grouping_and_a_watched_one_stays_here() -> None:
    bundle = parsed(with_tier("review"), with_tier("watch"))
    [grouping] = of_type(bundle, "grouping")
    assert grouping.context == "suspicious-activity"
    assert {item.id for item in of_type(bundle, "user-account")} <= set(grouping.object_refs)
    assert not of_type(bundle, "campaign") + of_type(bundle, "indicator")
    assert len(parsed(with_tier("watch")).objects) == 2, "marking and identity"


def test_no_raw_value_is_in_a_bundle_unless_asked_for() -> None:
    detail = make_detail(14)
    source = json.dumps(stix_bundle([detail]))
    raw = {*detail.members["account_id"], *detail.shared.loc[detail.shared["kind"] != "ip_prefix", "value"]}
    assert not [value for value in raw if re.search(rf"\b{re.escape(value)}(?![\w./])", source)]
    told = json.dumps(stix_bundle([detail], include_personal_data=True))
    assert detail.members["account_id"].iloc[0] in told
    assert '"203.0.113.1"' in told
    assert ("personal-data-masked" in source, "personal-data-included" in told) == (True, True)


def test_a_key_changes_the_pseudonyms() -> None:
    plain, keyed = (stix_bundle([make_detail(14)], key=key) for key in (b"", b"secret"))
    names = [{item["user_id"] for item in each["objects"] if item["type"] == "user-account"} for each in (plain, keyed)]
    assert not names[0] & names[1]


def test_an_indicator_is_made_only_of_addresses_that_few_others_use() -> None:
    bundle = parsed(used_by_members_alone(make_detail(100), but="203.0.113.2"), include_personal_data=True)
    patterns = {item.pattern for item in of_type(bundle, "indicator")}
    assert "[ipv4-addr:value = '203.0.113.1']" in patterns
    assert "[ipv4-addr:value ISSUBSET '198.51.0.0/24']" in patterns
    assert "[ipv4-addr:value = '203.0.113.2']" not in patterns
    assert "203.0.113.2" in {item["value"] for item in of_type(bundle, "ipv4-addr")}


def test_a_prefix_of_which_nothing_was_counted_is_no_indicator() -> None:
    bundle = parsed(used_by_members_alone(make_detail(100)))
    patterns = {item.pattern for item in of_type(bundle, "indicator")}
    assert "203.0.113.0/24" in {item["value"] for item in of_type(bundle, "ipv4-addr")}
    assert not [pattern for pattern in patterns if "203.0.113" in pattern]
    assert "[ipv4-addr:value ISSUBSET '198.51.0.0/24']" in patterns


def test_ids_of_observables_are_those_that_the_library_makes() -> None:
    bundle = parsed(make_detail(14), include_personal_data=True)
    for item in of_type(bundle, "ipv4-addr"):
        assert item.id == stix2.v21.IPv4Address(value=item["value"]).id
    for item in of_type(bundle, "user-account"):
        assert item.id == stix2.v21.UserAccount(user_id=item.user_id).id


def test_the_same_cluster_gives_the_same_bytes_and_unique_ids(tmp_path: Path) -> None:
    first = write_stix([make_detail(50)], out=tmp_path / "a.json").read_bytes()
    assert write_stix([make_detail(50)], out=tmp_path / "b.json").read_bytes() == first
    ids = [item["id"] for item in json.loads(first)["objects"]]
    assert len(ids) == len(set(ids))
    other = stix_bundle([make_detail(50)], producer="another provider")
    campaigns = {item["id"] for item in other["objects"] if item["type"] == "campaign"}
    assert not campaigns & set(ids)


@pytest.mark.parametrize("tlp", sorted(TLP_MARKINGS))
def test_every_object_carries_the_marking(tlp: str) -> None:
    bundle = parsed(make_detail(14), tlp=tlp)
    [marking] = of_type(bundle, "marking-definition")
    assert marking.name == f"TLP:{tlp.upper()}"
    others = [item for item in bundle.objects if item["type"] not in ("marking-definition", "identity")]
    assert all(item["object_marking_refs"] == [marking.id] for item in others)


def test_every_reference_has_its_object() -> None:
    bundle = stix_bundle([make_detail(50)])
    ids = {item["id"] for item in bundle["objects"]}
    refs = {item[name] for item in bundle["objects"] for name in ("source_ref", "target_ref") if name in item}
    assert refs <= ids


def test_hostile_text_breaks_no_bundle() -> None:
    detail = make_detail(14, hostile=True)
    told = dataclasses.replace(detail, cluster={**detail.cluster, "readings": "; ".join(HOSTILE.values())})
    bundle = parsed(told, include_personal_data=True)
    assert HOSTILE["script"] in {item.user_id for item in of_type(bundle, "user-account")}
    assert "abc\\u202egnp.exe" in of_type(bundle, "campaign")[0].description


def test_an_unknown_marking_is_refused() -> None:
    with pytest.raises(UsageError, match=r"wanted clear, green, amber, .*; got 'white'"):
        stix_bundle([], tlp="white")
