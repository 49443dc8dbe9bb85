"""Clusters as a STIX 2.1 bundle, for another provider's threat-intelligence platform.

Clusters of tier ``enforce`` become a campaign, those of tier ``review`` a grouping of suspicious activity; ``watch`` is
too weak to pass on. Bystanders and what only they share are left out. Ids are made from content, so the same run
gives the same bytes and a platform recognises what it has.

References
----------
OASIS, STIX version 2.1, 10 June 2021: section 2.9 (deterministic ids of observables), 4.3, 4.6, 4.7, 6.4, 6.5, 6.18.
FIRST, Traffic Light Protocol 2.0, August 2022; markings as published by OASIS in ``cti-stix-common-objects``.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

import pandas as pd

from linkage.errors import UsageError
from linkage.outputs import wording
from linkage.outputs.files import write_whole
from linkage.outputs.masking import mask_value, pseudonym
from linkage.outputs.tables import iso_time
from linkage.outputs.text import visible
from linkage.terms import FLAGGED_MEMBERSHIPS, FLAGGED_TIER, ClusterDetail, counted, join_words

TLP_MARKINGS: Final[Mapping[str, str]] = {
    "clear": "94868c89-83c2-464b-929b-a1a8aa3c8487",
    "green": "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "amber": "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    "amber+strict": "939a9414-2ddd-4d32-a0cd-375ea402b003",
    "red": "e828b379-4e03-4974-9ac4-e53a884c97c1",
}
"""Levels of TLP 2.0 to the ids of their markings."""

MOST_OUTSIDE_SHARE: Final = 0.05
"""An address becomes an indicator only while at most this share of the accounts that use it are no members."""

FEWEST_INSIDE: Final = 3
"""An address becomes an indicator only when so many members use it."""

_TLP_EXTENSION: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_TLP_CREATED: Final = "2022-10-01T00:00:00.000Z"
_OBSERVABLES: Final = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
_OBJECTS: Final = uuid.UUID("5f0f4b1c-9a53-5b7e-8d0c-6c1b3f2a7e10")
_SHARED_TIERS: Final = (FLAGGED_TIER, "review")
_INDICATOR_DAYS: Final = 30  # addresses of residential proxies and clouds change hands within weeks

StixObject = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Address:
    """An address or prefix as it may be shown, and how many accounts use what is shown."""

    shown: str
    inside: int
    outside_share: float | None
    """None: how many others use it is not known for what is shown."""
    first_at: pd.Timestamp
    last_at: pd.Timestamp

    @property
    def version(self) -> int:
        return ipaddress.ip_network(self.shown).version

    @property
    def has_low_collateral(self) -> bool:
        return (
            self.outside_share is not None and self.outside_share <= MOST_OUTSIDE_SHARE and self.inside >= FEWEST_INSIDE
        )


@dataclasses.dataclass(frozen=True)
class _Frame:
    """What all objects of a bundle have in common."""

    made_at: str
    producer: str
    tlp: str
    key: bytes
    include_personal_data: bool

    @property
    def marking(self) -> str:
        return f"marking-definition--{TLP_MARKINGS[self.tlp]}"

    @property
    def identity(self) -> str:
        return f"identity--{uuid.uuid5(_OBJECTS, self.producer)}"

    def sdo(self, kind: str, seed: str, /, **properties: Any) -> StixObject:
        """A domain or relationship object whose id is made from its kind, its producer and a seed."""
        return {
            "type": kind,
            "spec_version": "2.1",
            "id": f"{kind}--{uuid.uuid5(_OBJECTS, json.dumps([kind, self.producer, seed]))}",
            "created_by_ref": self.identity,
            "created": self.made_at,
            "modified": self.made_at,
            **properties,
            "object_marking_refs": [self.marking],
        }

    def sco(self, kind: str, /, **properties: str) -> StixObject:
        """An observable whose id is made from its properties, as section 2.9 of the specification says."""
        name = json.dumps(properties, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return {
            "type": kind,
            "spec_version": "2.1",
            "id": f"{kind}--{uuid.uuid5(_OBSERVABLES, name)}",
            **properties,
            "object_marking_refs": [self.marking],
        }

    def relation(self, kind: str, source: StixObject, target: StixObject, /, **properties: Any) -> StixObject:
        ends = {"source_ref": source["id"], "target_ref": target["id"]}
        return self.sdo(
            "relationship", json.dumps([kind, *ends.values()]), relationship_type=kind, **ends, **properties
        )


def write_stix(
    details: Sequence[ClusterDetail],
    *,
    out: str | PathLike[str],
    include_personal_data: bool = False,
    key: bytes = b"",
    tlp: str = "amber",
    producer: str = "linkage",
) -> Path:
    """Write the clusters as a STIX 2.1 bundle to one file, whole or not at all; see :func:`stix_bundle`.

    Raises
    ------
    UsageError : a TLP level that does not exist.
    OutputFileError : the file cannot be written.
    """
    bundle = stix_bundle(details, include_personal_data=include_personal_data, key=key, tlp=tlp, producer=producer)
    return write_whole((json.dumps(bundle, indent=1) + "\n").encode("ascii"), out=out)


def stix_bundle(
    details: Sequence[ClusterDetail],
    *,
    include_personal_data: bool = False,
    key: bytes = b"",
    tlp: str = "amber",
    producer: str = "linkage",
) -> dict[str, Any]:
    """The clusters as a STIX 2.1 bundle.

    Parameters
    ----------
    details : clusters; those of tier ``watch`` are left out.
    include_personal_data : addresses and account ids raw. Otherwise addresses become their /24 or /48, and account
        ids pseudonyms; an indicator is then made only of prefixes whose use by others was counted.
    key : secret of the pseudonyms; without it, who can guess an account id can check the guess.
    tlp : level of TLP 2.0: ``clear``, ``green``, ``amber``, ``amber+strict`` or ``red``.
    producer : name of who shares; ids of campaigns and relationships are made with it.

    Raises
    ------
    UsageError : a TLP level that does not exist.
    """
    if tlp not in TLP_MARKINGS:
        raise UsageError(f"tlp: wanted {', '.join(TLP_MARKINGS)}; got {tlp!r}. Choose one of these")
    shared = [detail for detail in details if detail.cluster["tier"] in _SHARED_TIERS]
    made_at = max((iso_time(detail.run["as_of"]) for detail in shared), default=_TLP_CREATED)
    frame = _Frame(made_at, visible(producer), tlp, key, include_personal_data)
    found = [*_frame_objects(frame), *(item for detail in shared for item in _cluster_objects(detail, frame))]
    objects = list({item["id"]: item for item in found}.values())
    name = json.dumps([item["id"] for item in objects])
    return {"type": "bundle", "id": f"bundle--{uuid.uuid5(_OBJECTS, name + made_at)}", "objects": objects}


def _frame_objects(frame: _Frame) -> list[StixObject]:
    marking = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": frame.marking,
        "created": _TLP_CREATED,
        "name": f"TLP:{frame.tlp.upper()}",
        "extensions": {_TLP_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": frame.tlp}},
    }
    identity = {
        "type": "identity",
        "spec_version": "2.1",
        "id": frame.identity,
        "created": frame.made_at,
        "modified": frame.made_at,
        "name": frame.producer,
        "identity_class": "system",
    }
    return [marking, identity]


def _cluster_objects(detail: ClusterDetail, frame: _Frame) -> Iterator[StixObject]:
    firm = detail.members[detail.members["membership"].isin(FLAGGED_MEMBERSHIPS)].sort_values("account_id")
    accounts = [
        (_account(str(name), frame), _confidence(share))
        for name, share in zip(firm["account_id"], firm["controller_probability"], strict=True)
    ]
    addresses = [(_observable(address, frame), address) for address in _addresses(detail, firm, frame)]
    members = [*(item for item, _ in accounts), *(item for item, _ in addresses)]
    if not members:
        return
    cluster = _cluster(detail, frame, [item["id"] for item in members])
    yield from [*members, cluster]
    yield from (frame.relation("related-to", item, cluster, confidence=share) for item, share in accounts)
    for item, address in addresses:
        yield frame.relation("related-to", item, cluster, start_time=iso_time(address.first_at))
        if detail.cluster["tier"] == FLAGGED_TIER and address.has_low_collateral:
            indicator = _indicator(address, frame, confidence=cluster["confidence"])
            yield from (indicator, frame.relation("indicates", indicator, cluster))


def _cluster(detail: ClusterDetail, frame: _Frame, members: list[str]) -> StixObject:
    row = detail.cluster
    common = {
        "name": f"Linked accounts {visible(str(row['cluster_id']))}",
        "description": _description(detail),
        "confidence": _confidence(min(row["controller_probability"], row["extraction_probability"])),
        "labels": [f"personal-data-{'included' if frame.include_personal_data else 'masked'}"],
    }
    name = str(row["cluster_id"])
    if row["tier"] == FLAGGED_TIER:
        seen = {"first_seen": iso_time(row["first_seen"]), "last_seen": iso_time(row["last_seen"])}
        return frame.sdo("campaign", name, **common, **seen, objective="extraction of model output")
    return frame.sdo("grouping", name, **common, context="suspicious-activity", object_refs=sorted(set(members)))


def _description(detail: ClusterDetail) -> str:
    """Figures only: the sentences of a report name accounts and values."""
    row = detail.cluster
    families = join_words([visible(name) for name in wording.family_names(row)]) or "no evidence family"
    readings = "; ".join(visible(text) for text in wording.readings(row)) or "none that the tool knows of"
    sentences = (
        f"{counted(row['accounts'], 'account')} linked by {families}",
        f"One operator: {wording.percent(row['controller_probability'])}",
        f"Extraction: {wording.percent(row['extraction_probability'])}",
        wording.chance(row["q_value"]).capitalize(),
        f"Innocent readings that remain: {readings}",
        "Estimates, not a judgement",
    )
    return ". ".join(sentences) + "."


def _account(account_id: str, frame: _Frame) -> StixObject:
    shown = visible(account_id) if frame.include_personal_data else pseudonym(account_id, key=frame.key)
    return frame.sco("user-account", user_id=shown)


def _observable(address: _Address, frame: _Frame) -> StixObject:
    return frame.sco(f"ipv{address.version}-addr", value=address.shown)


def _addresses(detail: ClusterDetail, firm: pd.DataFrame, frame: _Frame) -> list[_Address]:
    """Addresses and prefixes that two or more firm members share, as they may be shown, sorted."""
    shared = detail.shared[detail.shared["account_id"].isin(set(firm["account_id"]))]
    found: dict[str, _Address] = {}
    for kind in ("ip_prefix", "ip"):
        for value, rows in shared[shared["kind"] == kind].groupby("value", sort=True):
            address = _address(kind, str(value), rows, frame)
            if address is not None and address.inside > 1:
                found.setdefault(address.shown, address)
    return [found[shown] for shown in sorted(found)]


def _address(kind: str, value: str, rows: pd.DataFrame, frame: _Frame) -> _Address | None:
    """The address with its figures; those of an address that is shown as its prefix say nothing of the prefix."""
    shown = value if frame.include_personal_data else mask_value(kind, value)
    try:
        network = ipaddress.ip_network(shown, strict=False)
    except ValueError:
        return None
    is_single = network.prefixlen == network.max_prefixlen
    inside, accounts = rows["account_id"].nunique(), int(rows["accounts"].max())
    return _Address(
        str(network.network_address) if is_single else str(network),
        inside,
        (accounts - inside) / accounts if shown == value else None,
        rows["first_at"].min(),
        rows["last_at"].max(),
    )


def _indicator(address: _Address, frame: _Frame, *, confidence: int) -> StixObject:
    others = f"{MOST_OUTSIDE_SHARE:.0%}"
    test = f"ISSUBSET '{address.shown}'" if "/" in address.shown else f"= '{address.shown}'"
    return frame.sdo(
        "indicator",
        address.shown,
        name=f"Address used by linked accounts: {address.shown}",
        description=f"Used by {address.inside} linked accounts; others are at most {others} of its accounts",
        indicator_types=["anomalous-activity"],
        pattern=f"[ipv{address.version}-addr:value {test}]",
        pattern_type="stix",
        valid_from=iso_time(address.first_at),
        valid_until=iso_time(address.last_at + pd.Timedelta(days=_INDICATOR_DAYS)),
        confidence=confidence,
    )


def _confidence(share: float) -> int:
    """A probability on the scale of STIX, 0 to 100; never 100, which nothing here can claim."""
    return min(99, max(0, round(100 * float(share))))
