"""Partner packs: what ties a cluster, as keyed hashes that only somebody with the same values can match.

A pack holds no account id and no value. Each value is an HMAC-SHA256 under a key that both partners hold, with a
sub-key per kind. Who has the pack but not the key learns counts; who has the key can also test guesses, which is what
matching is, so the key goes to people one trusts with that.
"""

from __future__ import annotations

import dataclasses
import hmac
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

import pandas as pd

from linkage.errors import OutputError, UsageError
from linkage.outputs.files import write_whole
from linkage.outputs.tables import iso_time
from linkage.outputs.text import visible
from linkage.terms import COUNT, FLAGGED_MEMBERSHIPS, FLAGGED_TIER, NUMBER, TEXT, ClusterDetail, Shape, make_frame

PACK_KINDS: Final = ("ip", "ip_prefix", "payment", "template", "contract", "client", "email_domain")
"""Kinds of entity that mean the same at another provider."""

PACK_TIERS: Final = (FLAGGED_TIER, "review")
"""Clusters strong enough to be passed on."""

MOST_OUTSIDE_SHARE: Final = 0.2
"""A value goes into a pack only while at most this share of the accounts that use it are no members."""

MIN_KEY_BYTES: Final = 16

MATCHED_VALUES: Final[Shape] = {
    "pack_cluster": TEXT,
    "kind": TEXT,
    "values": COUNT,
    "matched": COUNT,
    "share": NUMBER,
    "accounts": COUNT,
}
"""One row per cluster of the pack and kind: how many of its values are used here, and by how many accounts."""

MATCHED_ACCOUNTS: Final[Shape] = {
    "account_id": TEXT,
    "pack_cluster": TEXT,
    "matched": COUNT,
    "kinds": TEXT,
    "rarest_accounts": COUNT,
    "cluster_id": TEXT,
    "tier": TEXT,
}
"""One row per account here and cluster of the pack with which it shares a value, most kinds and values first.
``kinds`` is a ``+``-joined list; ``rarest_accounts`` is how many accounts here share the rarest of the values;
``cluster_id`` and ``tier`` are those of this store's own run, null for none."""

WORDING_SHARE: Final = 0.5
"""A template is matched, under whatever id, when at least this share of its packed wording is in one template here."""

_WORDS_TOGETHER: Final = 4
_MOST_WORDING: Final = 32
_FEWEST_WORDING: Final = 6  # shorter templates are phrases that anybody types
_WORDING: Final = "wording"
_SLOT: Final = "<*>"
_WORD: Final = re.compile(r"\w+")

_FORMAT: Final = "linkage-pack"
_VERSION: Final = 1
_CHECKED: Final = "linkage pack key check"


@dataclasses.dataclass(frozen=True)
class Matches:
    """What of a partner's pack is found in a store."""

    evidence: pd.DataFrame
    """``MATCHED_VALUES``."""
    accounts: pd.DataFrame
    """``MATCHED_ACCOUNTS``."""

    def __repr__(self) -> str:
        matched, of = int(self.evidence["matched"].sum()), int(self.evidence["values"].sum())
        return f"<Matches: {matched:,} of {of:,} values, on {self.accounts['account_id'].nunique():,} accounts>"


class PackKey:
    """Hashes values under a key that two partners share."""

    def __init__(self, secret: bytes) -> None:
        """``secret`` : at least 16 bytes.

        Raises
        ------
        UsageError : the secret is shorter.
        """
        if len(secret) < MIN_KEY_BYTES:
            raise UsageError(
                f"wanted a secret key of at least {MIN_KEY_BYTES} bytes; found {len(secret)}. "
                "Make one: openssl rand -hex 32 > KEYFILE"
            )
        names = (*PACK_KINDS, _WORDING, _CHECKED)
        self._keys = {name: hmac.digest(secret, f"linkage-pack:{name}".encode(), "sha256") for name in names}

    def __repr__(self) -> str:
        return "PackKey()"

    @property
    def check(self) -> str:
        """Tells whether a pack was made with this key, and nothing more."""
        return self.hash(_CHECKED, _CHECKED)

    def hash(self, kind: str, value: str) -> str:
        """The keyed hash of a value of this kind: 128 bits, hex.

        Examples
        --------
        >>> key = PackKey(b"an example key, not a secret one")
        >>> key.hash("ip", "203.0.113.7") == key.hash("payment", "203.0.113.7")
        False
        """
        return hmac.digest(self._keys[kind], value.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]


def read_key(path: str | PathLike[str]) -> bytes:
    """The secret in a key file; line ends around it do not count.

    Raises
    ------
    UsageError : the file cannot be read.
    """
    try:
        return Path(path).read_bytes().strip()
    except OSError as error:
        raise UsageError(
            f"{path}: wanted a key file; {error.strerror}. Make one: openssl rand -hex 32 > KEYFILE"
        ) from error


def write_pack(details: Iterable[ClusterDetail], *, out: str | PathLike[str], key: bytes) -> Path:
    """Write a pack to one file, whole or not at all; see :func:`make_pack`.

    Raises
    ------
    UsageError : the key is too short.
    OutputFileError : the file cannot be written.
    """
    return write_whole((json.dumps(make_pack(details, key=key), indent=1) + "\n").encode("ascii"), out=out)


def make_pack(details: Iterable[ClusterDetail], *, key: bytes) -> dict[str, Any]:
    """What ties the clusters of tier ``enforce`` and ``review``, as keyed hashes.

    A value is in it when two or more core or probable members share it and few others do (``MOST_OUTSIDE_SHARE``).
    Where a template ends and its slots begin depends on the other prompts around it, so a template has hashes of its
    wording besides: up to 32 runs of four words, the ones whose hashes are smallest.

    Raises
    ------
    UsageError : the key is too short.
    """
    hashes = PackKey(key)
    clusters = [_packed(detail, hashes) for detail in details if detail.cluster["tier"] in PACK_TIERS]
    return {"format": _FORMAT, "version": _VERSION, "key_check": hashes.check, "clusters": clusters}


def _packed(detail: ClusterDetail, hashes: PackKey) -> dict[str, Any]:
    row = detail.cluster
    firm = set(detail.members.loc[detail.members["membership"].isin(FLAGGED_MEMBERSHIPS), "account_id"])
    shared = detail.shared[detail.shared["account_id"].isin(firm) & detail.shared["kind"].isin(PACK_KINDS)]
    texts = dict(zip(detail.templates["template_id"], detail.templates["text"], strict=True))
    values: list[dict[str, Any]] = []
    for (kind, value), rows in shared.groupby(["kind", "value"], sort=True):
        inside, accounts = rows["account_id"].nunique(), int(rows["accounts"].max())
        if inside > 1 and (accounts - inside) / accounts <= MOST_OUTSIDE_SHARE:
            wording = sorted(_wording(texts.get(value), hashes))[:_MOST_WORDING] if kind == "template" else []
            entry = {"kind": kind, "hash": hashes.hash(str(kind), str(value)), "accounts": inside}
            values.append({**entry, _WORDING: wording} if len(wording) >= _FEWEST_WORDING else entry)
    return {
        "cluster_id": visible(str(row["cluster_id"])),
        "tier": row["tier"],
        "accounts": len(firm),
        "controller_probability": round(float(row["controller_probability"]), 3),
        "extraction_probability": round(float(row["extraction_probability"]), 3),
        "first_seen": iso_time(row["first_seen"]),
        "last_seen": iso_time(row["last_seen"]),
        # Sorted by hash: the order of a pack tells nothing about the order of the values.
        "values": sorted(values, key=lambda entry: (entry["kind"], entry["hash"])),
    }


def _wording(text: str | None, hashes: PackKey) -> set[str]:
    """Hashes of every run of four words between two slots, whatever their case and punctuation."""
    runs: set[str] = set()
    for part in (text or "").split(_SLOT):
        words = _WORD.findall(part.lower())
        runs |= {" ".join(words[place : place + _WORDS_TOGETHER]) for place in range(len(words) - _WORDS_TOGETHER + 1)}
    return {hashes.hash(_WORDING, run) for run in runs}


def read_pack(path: str | PathLike[str]) -> dict[str, Any]:
    """A partner's pack, once its shape is known to be one.

    Raises
    ------
    OutputError : it cannot be read, is no pack, or was made by a later version.
    """
    try:
        pack: dict[str, Any] = json.loads(Path(path).read_bytes())
        version = pack["version"] if pack["format"] == _FORMAT else None
        _ = (str(pack["key_check"]), _pack_rows(pack), _packed_wording(pack))
    except OSError as error:
        raise OutputError(f"{path}: wanted a partner pack; {error.strerror}. Check the path") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise OutputError(
            f"{path}: wanted a partner pack; it cannot be read as one ({error!r}). Ask for it again"
        ) from error
    if version != _VERSION:
        raise OutputError(f"{path}: wanted a pack of version {_VERSION}; found {version}. Upgrade linkage")
    return pack


def _pack_rows(pack: Mapping[str, Any]) -> pd.DataFrame:
    # A partner's file may hold anything: what is shown of it must not steer a terminal.
    rows = [
        tuple(visible(str(told)) for told in (cluster["cluster_id"], entry["kind"], entry["hash"]))
        for cluster in pack["clusters"]
        for entry in cluster["values"]
    ]
    return pd.DataFrame(rows, columns=["pack_cluster", "kind", "hash"], dtype="str").drop_duplicates()


def _packed_wording(pack: Mapping[str, Any]) -> dict[str, list[str]]:
    """Hash of each template that has wording to the hashes of it."""
    entries = [entry for cluster in pack["clusters"] for entry in cluster["values"] if _WORDING in entry]
    return {visible(str(entry["hash"])): [str(run) for run in entry[_WORDING]] for entry in entries}


def match_pack(
    pack: Mapping[str, Any], uses: pd.DataFrame, *, key: bytes, members: pd.DataFrame, templates: pd.DataFrame
) -> Matches:
    """Which values of a partner's pack are used here, and by which accounts.

    Parameters
    ----------
    pack : see :func:`read_pack`.
    uses : ``USES`` of this store.
    key : the partners' secret.
    members : ``MEMBERS`` of this store's own run; may be empty.
    templates : ``TEMPLATES`` of this store.

    Raises
    ------
    UsageError : the key is not the one that the pack was made with.
    """
    hashes = PackKey(key)
    if not hmac.compare_digest(visible(str(pack["key_check"])).encode(), hashes.check.encode()):
        raise UsageError("wanted the key that the pack was made with; found another. Ask the partner for theirs")
    wanted = _pack_rows(pack)
    own = _hashed(uses, hashes)
    alike = own[own["kind"] == "template"].drop(columns="hash").merge(_alike(pack, templates, hashes), on="value")
    known = pd.concat([own, alike], ignore_index=True).drop_duplicates(["account_id", "kind", "value", "hash"])
    found = known.merge(wanted, on=["kind", "hash"], how="inner")
    return Matches(_value_matches(wanted, found), _account_matches(found, members))


def _alike(pack: Mapping[str, Any], templates: pd.DataFrame, hashes: PackKey) -> pd.DataFrame:
    """Own templates (``value``) that are worded like one of the pack (``hash``)."""
    having: dict[str, list[str]] = {}
    for name, text in zip(templates["template_id"], templates["text"], strict=True):
        for run in _wording(text, hashes):
            having.setdefault(run, []).append(str(name))
    rows = [
        (name, packed)
        for packed, runs in _packed_wording(pack).items()
        for name, shared in sorted(Counter(name for run in runs for name in having.get(run, ())).items())
        if len(runs) >= _FEWEST_WORDING and shared >= WORDING_SHARE * len(runs)
    ]
    return pd.DataFrame(rows, columns=["value", "hash"], dtype="str")


def _hashed(uses: pd.DataFrame, hashes: PackKey) -> pd.DataFrame:
    """Account, kind, hash, and how many accounts here share it; each distinct value is hashed once."""
    known = uses.loc[uses["kind"].isin(PACK_KINDS), ["account_id", "kind", "value"]].drop_duplicates()
    values = known.groupby(["kind", "value"], as_index=False).agg(here=("account_id", "nunique"))
    pairs: Sequence[tuple[str, str]] = list(zip(values["kind"], values["value"], strict=True))
    values["hash"] = pd.Series([hashes.hash(kind, value) for kind, value in pairs], dtype="str")
    return known.merge(values, on=["kind", "value"])


def _value_matches(wanted: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    keys = ["pack_cluster", "kind"]
    rows = wanted.groupby(keys).agg(values=("hash", "nunique"))
    rows["matched"] = found.groupby(keys)["hash"].nunique()
    rows["accounts"] = found.groupby(keys)["account_id"].nunique()
    rows = rows.fillna(0).reset_index()
    rows["share"] = rows["matched"] / rows["values"]
    return make_frame(MATCHED_VALUES, {name: rows[name] for name in MATCHED_VALUES})


def _account_matches(found: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    rows = found.groupby(["account_id", "pack_cluster"], as_index=False).agg(
        matched=("hash", "nunique"),
        kinds=("kind", lambda kinds: "+".join(sorted(set(kinds)))),
        rarest_accounts=("here", "min"),
    )
    rows = rows.merge(members[["account_id", "cluster_id", "tier"]], on="account_id", how="left")
    rows["variety"] = rows["kinds"].str.count(r"\+")
    by = ["variety", "matched", "account_id", "pack_cluster"]
    rows = rows.sort_values(by, ascending=[False, False, True, True])
    return make_frame(MATCHED_ACCOUNTS, {name: rows[name] for name in MATCHED_ACCOUNTS})
