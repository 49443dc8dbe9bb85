"""What ties the accounts of one cluster, ranked and counted: the figures behind tables and drawings."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Ints
from linkage.terms import COUNT, FAMILIES, NUMBER, TEXT, TIME, ClusterDetail, Shape, WholeCluster, make_frame

SHARED_VALUES: Final[Shape] = {
    "family": TEXT,
    "kind": TEXT,
    "value": TEXT,
    "inside": COUNT,
    "accounts": COUNT,
    "unrelated_accounts": COUNT,
    "requests": COUNT,
    "bits": NUMBER,
    "first_at": TIME,
    "last_at": TIME,
}
"""One row per value that ties members. ``inside`` counts members, ``accounts`` and ``unrelated_accounts`` the
whole store; ``bits`` is the most the value is worth to any pair, null where a rarer value of the same family
already ties every pair that shares it."""

FAMILY_TIES: Final[Shape] = {
    "family": TEXT,
    "inside": COUNT,
    "pairs": COUNT,
    "values": COUNT,
    "bits_median": NUMBER,
    "bits_most": NUMBER,
}
"""One row per evidence family that gives any link or shared value, strongest first."""

MEMBER_TIES: Final[Shape] = {
    "account_id": TEXT,
    "linked": COUNT,
    "families": COUNT,
    "first_at": TIME,
    "last_at": TIME,
}
"""One row per member: to how many others it is linked, by how many families, and its first and last hour of work."""

_VALUE_KEYS: Final = ["family", "kind", "value"]

_KEPT: Final = 2
"""Details whose figures are kept: the pictures, the tables and the graph of one page ask for the same ones."""


@dataclasses.dataclass(frozen=True)
class CodedTies:
    """Who has which value and who is linked to whom, as numbers: places of accounts, and rows of ``known``."""

    accounts: pd.Index[str]
    """Ids of the accounts, the members first and in their order."""
    members: int
    """How many of the accounts are members."""
    known: pd.DataFrame
    """``SHARED_VALUES`` without ``inside``, no two rows of one value, in any order."""
    held_value: Ints
    """Which value somebody has; one row per value and account."""
    held_by: Ints
    """Who has it; only members."""
    account_a: Ints
    """One end of a link; one row per pair and family, as ``LINK_EVIDENCE``."""
    account_b: Ints
    link_value: Ints
    """By what value they are linked."""
    bits: npt.NDArray[np.float64]
    activity: pd.DataFrame
    """``ACTIVITY`` of the members; ids may be categories."""
    rows: Mapping[str, int]
    """As in :class:`~linkage.terms.WholeCluster`."""


@functools.lru_cache(maxsize=_KEPT)
def whole_cluster(detail: ClusterDetail) -> WholeCluster:
    """What is told of all of a cluster. Do not change what comes back: it is handed out again."""
    return detail.whole or measure_ties(_coded(detail))


def shared_values(detail: ClusterDetail) -> pd.DataFrame:
    """The values that tie members, as ``SHARED_VALUES``: those that tell most first, then by name.

    What a value tells is its bits times the members that have it; a null counts as one bit. Families that only compare
    pairs (conduct, rhythm) may have no shared values; the accounts of their links stand in, and a link whose value is
    null goes under the name of its family. Do not change what comes back: it is handed out again.
    """
    return whole_cluster(detail).value_ties


def family_ties(detail: ClusterDetail) -> pd.DataFrame:
    """How much each evidence family ties, as ``FAMILY_TIES``: most members first, then most bits.

    Do not change what comes back: it is handed out again.
    """
    return whole_cluster(detail).family_ties


def account_bits(detail: ClusterDetail) -> pd.DataFrame:
    """The strongest bits each member has in each family.

    Returns
    -------
    DataFrame of float64 bits, 0 where the account has no link in the family. Rows: all members in their
    order; columns: the families that give links, in the order of :func:`family_ties`.
    """
    return whole_cluster(detail).account_bits


def measure_ties(coded: CodedTies) -> WholeCluster:
    """The figures of a cluster. Nothing is sorted but values: O(links + holders + values log values)."""
    names = pd.Index(sorted(set(coded.known["family"])))
    family = names.get_indexer(pd.Index(coded.known["family"])).astype(np.int64)
    families = _measure_families(coded, names, family)
    inside = np.bincount(coded.held_value, minlength=len(coded.known))
    ranked = _ranked(coded.known.assign(inside=inside).reset_index(drop=True))
    place = ranked.index.to_numpy()
    rank = np.full(len(coded.known), -1, dtype=np.int64)
    rank[place] = np.arange(len(place))
    row = rank[coded.held_value]
    order = np.lexsort((coded.held_by, row))[np.count_nonzero(row < 0) :]
    return WholeCluster(
        value_ties=make_frame(SHARED_VALUES, {name: ranked[name] for name in SHARED_VALUES}),
        family_ties=families,
        account_bits=_most_bits(coded, names, family, families),
        member_ties=_measure_members(coded, names, family),
        activity=coded.activity,
        held_from=np.concatenate(([0], np.cumsum(inside[place]))).astype(np.int64),
        held_by=coded.held_by[order].astype(np.int32),
        rows=coded.rows,
    )


def _ranked(values: pd.DataFrame) -> pd.DataFrame:
    values = values[values["inside"] >= 2]
    values = values.assign(told=values["bits"].fillna(1.0).clip(lower=0.1) * values["inside"])
    return values.sort_values(["told", *_VALUE_KEYS], ascending=[False, True, True, True])


def _measure_families(coded: CodedTies, names: pd.Index[str], family: Ints) -> pd.DataFrame:
    is_holder = np.zeros((len(coded.accounts), len(names)), dtype=bool)
    is_holder[coded.held_by, family[coded.held_value]] = True
    is_held = np.zeros(len(family), dtype=bool)
    is_held[coded.held_value] = True
    bits = pd.Series(coded.bits).groupby(family[coded.link_value])
    rows = pd.DataFrame(
        {
            "family": names,
            "inside": is_holder.sum(axis=0),
            "values": np.bincount(family[is_held], minlength=len(names)),
            "pairs": bits.size().reindex(range(len(names))).fillna(0).to_numpy(),
            "bits_median": bits.median().reindex(range(len(names))).to_numpy(),
            "bits_most": bits.max().reindex(range(len(names))).to_numpy(),
        }
    )
    rows = rows[(rows["inside"] > 0) | (rows["pairs"] > 0)]
    rows = rows.assign(rank=rows["family"].map(family_rank))
    rows = rows.sort_values(["inside", "bits_most", "rank"], ascending=[False, False, True], na_position="last")
    return make_frame(FAMILY_TIES, {name: rows[name] for name in FAMILY_TIES})


def _most_bits(coded: CodedTies, names: pd.Index[str], family: Ints, families: pd.DataFrame) -> pd.DataFrame:
    most = np.full((len(coded.accounts), len(names)), -np.inf)
    of_link = family[coded.link_value]
    for end in (coded.account_a, coded.account_b):
        np.maximum.at(most, (end, of_link), coded.bits)
    ranked = names.get_indexer(pd.Index(families["family"]))
    columns = ranked[np.isin(ranked, of_link)]
    told = np.where(np.isfinite(most), most, 0.0)[: coded.members, columns]
    return pd.DataFrame(told, index=list(coded.accounts[: coded.members]), columns=list(names[columns])).astype(NUMBER)


def _measure_members(coded: CodedTies, names: pd.Index[str], family: Ints) -> pd.DataFrame:
    total = len(coded.accounts)
    pairs = np.unique(
        np.minimum(coded.account_a, coded.account_b) * total + np.maximum(coded.account_a, coded.account_b)
    )
    ends = np.concatenate([pairs // max(total, 1), pairs % max(total, 1)])
    is_linked = np.zeros((total, len(names)), dtype=bool)
    for end in (coded.account_a, coded.account_b):
        is_linked[end, family[coded.link_value]] = True
    ids = coded.accounts[: coded.members]
    active = coded.activity.groupby("account_id", observed=True)["hour_at"]
    return make_frame(
        MEMBER_TIES,
        {
            "account_id": ids,
            "linked": np.bincount(ends, minlength=total)[: coded.members],
            "families": is_linked.sum(axis=1)[: coded.members],
            "first_at": active.min().reindex(ids).array,
            "last_at": active.max().reindex(ids).array,
        },
    )


def _coded(detail: ClusterDetail) -> CodedTies:
    """The tables of a detail as numbers."""
    shared, links = _named(detail.shared), _named(detail.links)
    members = pd.Index(detail.members["account_id"])
    ends = pd.Index(pd.concat([links["account_a"], links["account_b"]])).unique()
    accounts = members.append(ends[members.get_indexer(ends) < 0])
    known = pd.concat([shared, links], ignore_index=True)
    grouped = known.groupby(_VALUE_KEYS)
    number = grouped.ngroup().to_numpy()
    values = grouped.agg(
        accounts=("accounts", "max"),
        unrelated_accounts=("unrelated_accounts", "max"),
        requests=("request_count", "sum"),
        bits=("bits", "max"),
        first_at=("first_at", "min"),
        last_at=("last_at", "max"),
    )
    of_shared, of_links = number[: len(shared)], number[len(shared) :]
    account_a, account_b = (accounts.get_indexer(pd.Index(links[end])) for end in ("account_a", "account_b"))
    holder = np.concatenate([members.get_indexer(pd.Index(shared["account_id"])), account_a, account_b])
    held = np.concatenate([of_shared, of_links, of_links])
    is_member = (holder >= 0) & (holder < len(members))
    pairs = np.unique(held[is_member].astype(np.int64) * max(len(members), 1) + holder[is_member])
    return CodedTies(
        accounts=accounts,
        members=len(members),
        known=values.reset_index(),
        held_value=pairs // max(len(members), 1),
        held_by=pairs % max(len(members), 1),
        account_a=account_a.astype(np.int64),
        account_b=account_b.astype(np.int64),
        link_value=of_links.astype(np.int64),
        bits=links["bits"].to_numpy(dtype=np.float64),
        activity=detail.activity,
        rows={name: len(getattr(detail, name)) for name in ("links", "shared", "activity")},
    )


def family_rank(family: str) -> int:
    """The place of a family in the vocabulary; unknown families come last.

    Examples
    --------
    >>> family_rank("network"), family_rank("payment")
    (0, 1)
    """
    order = {name: place for place, name in enumerate(map(str, FAMILIES))}
    return order.get(family, len(order))


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with null kinds and values named after their family, so that they group."""
    kind = rows["kind"].fillna(rows["family"])
    return rows.assign(kind=kind, value=rows["value"].fillna(rows["family"]))
