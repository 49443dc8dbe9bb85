"""What ties the accounts of one cluster, ranked and counted: the figures behind tables and drawings."""

from __future__ import annotations

import functools
from typing import Final

import pandas as pd

from linkage.terms import COUNT, FAMILIES, NUMBER, TEXT, TIME, ClusterDetail, Shape, make_frame

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

HOLDERS: Final[Shape] = {"family": TEXT, "kind": TEXT, "value": TEXT, "account_id": TEXT}
"""One row per value and member that has it."""

_VALUE_KEYS: Final = ["family", "kind", "value"]

_KEPT: Final = 2
"""Details whose figures are kept: the pictures, the tables and the graph of one page ask for the same ones."""


@functools.lru_cache(maxsize=_KEPT)
def value_holders(detail: ClusterDetail) -> pd.DataFrame:
    """Which members have which value, as ``HOLDERS``, sorted; from the shared values and from the links.

    Families that only compare pairs (conduct, rhythm) may have no rows in ``shared``; the accounts of their
    links stand in. A link whose value is null goes under the name of its family. Do not change what comes back.
    """
    members = set(detail.members["account_id"])
    held = detail.shared[[*_VALUE_KEYS, "account_id"]]
    sides = [
        detail.links[[*_VALUE_KEYS, side]].rename(columns={side: "account_id"}) for side in ("account_a", "account_b")
    ]
    rows = _named(pd.concat([held, *sides], ignore_index=True))
    rows = rows[rows["account_id"].isin(members)].drop_duplicates()
    rows = rows.sort_values([*_VALUE_KEYS, "account_id"])
    return make_frame(HOLDERS, {name: rows[name] for name in HOLDERS})


@functools.lru_cache(maxsize=_KEPT)
def shared_values(detail: ClusterDetail) -> pd.DataFrame:
    """The values that tie members, as ``SHARED_VALUES``: those that tell most first, then by name.

    What a value tells is its bits times the members that have it; a null counts as one bit. Do not change what comes
    back: it is handed out again.
    """
    inside = value_holders(detail).groupby(_VALUE_KEYS)["account_id"].nunique().rename("inside")
    known = pd.concat([_named(detail.shared), _named(detail.links)], ignore_index=True)
    grouped = known.groupby(_VALUE_KEYS)
    rows = pd.DataFrame(
        {
            "inside": inside,
            "accounts": grouped["accounts"].max(),
            "unrelated_accounts": grouped["unrelated_accounts"].max(),
            "requests": _named(detail.shared).groupby(_VALUE_KEYS)["request_count"].sum(),
            "bits": _named(detail.links).groupby(_VALUE_KEYS)["bits"].max(),
            "first_at": grouped["first_at"].min(),
            "last_at": grouped["last_at"].max(),
        }
    )
    rows = rows[rows["inside"] >= 2].reset_index()
    rows["requests"] = rows["requests"].fillna(0)
    rows["told"] = rows["bits"].fillna(1.0).clip(lower=0.1) * rows["inside"]
    rows = rows.sort_values(["told", *_VALUE_KEYS], ascending=[False, True, True, True])
    return make_frame(SHARED_VALUES, {name: rows[name] for name in SHARED_VALUES})


@functools.lru_cache(maxsize=_KEPT)
def family_ties(detail: ClusterDetail) -> pd.DataFrame:
    """How much each evidence family ties, as ``FAMILY_TIES``: most members first, then most bits.

    Do not change what comes back: it is handed out again.
    """
    holders = value_holders(detail)
    rows = pd.DataFrame(
        {
            "inside": holders.groupby("family")["account_id"].nunique(),
            "values": holders.drop_duplicates(_VALUE_KEYS).groupby("family").size(),
            "pairs": detail.links.groupby("family").size(),
            "bits_median": detail.links.groupby("family")["bits"].median(),
            "bits_most": detail.links.groupby("family")["bits"].max(),
        }
    )
    rows = rows.rename_axis("family").reset_index()
    rows["pairs"] = rows["pairs"].fillna(0)
    rows["rank"] = rows["family"].map(family_rank)
    rows = rows.sort_values(["inside", "bits_most", "rank"], ascending=[False, False, True], na_position="last")
    return make_frame(FAMILY_TIES, {name: rows[name] for name in FAMILY_TIES})


def account_bits(detail: ClusterDetail) -> pd.DataFrame:
    """The strongest bits each member has in each family.

    Returns
    -------
    DataFrame of float64 bits, 0 where the account has no link in the family. Rows: all members in their
    order; columns: the families that give links, in the order of :func:`family_ties`.
    """
    sides = [
        detail.links[["family", "bits", side]].rename(columns={side: "account_id"})
        for side in ("account_a", "account_b")
    ]
    table = pd.concat(sides).pivot_table(index="account_id", columns="family", values="bits", aggfunc="max")
    linked = [family for family in family_ties(detail)["family"] if family in table.columns]
    return table.reindex(index=list(detail.members["account_id"]), columns=linked).fillna(0.0).astype(NUMBER)


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
