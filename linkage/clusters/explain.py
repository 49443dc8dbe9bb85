"""Why a cluster is one, how rare that is, what would free its members and what speaks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from linkage.clusters.features import SOFTWARE
from linkage.clusters.verdicts import NOUNS
from linkage.settings import VerdictSettings
from linkage.terms import EVIDENCE, LINK_EVIDENCE, MEMBERS, STATEMENTS, check_frame, join_words, make_frame

VALUES_NAMED: Final = 3
"""Shared values a statement names per family, the most shared first."""


def explain(
    cluster: Mapping[str, Any],
    *,
    members: pd.DataFrame,
    link_evidence: pd.DataFrame,
    evidence: pd.DataFrame,
    settings: VerdictSettings,
) -> pd.DataFrame:
    """Plain sentences about one cluster, each with the rows behind it.

    The ``free`` statement names whole families such that fewer than ``settings.min_families`` are left
    without them, and no cluster is enforced from fewer. Conduct is nothing one could take away, so it counts as left.

    Parameters
    ----------
    cluster : one row of ``CLUSTERS``.
    members : frame of shape ``MEMBERS``; other clusters' rows are ignored.
    link_evidence : frame of shape ``LINK_EVIDENCE``.
    evidence : frame of shape ``EVIDENCE``.
    settings : ``min_families``.

    Returns
    -------
    DataFrame of shape ``STATEMENTS``: topics ``why``, ``rare``, ``extraction``, ``free``, ``for`` in this order.
    """
    check_frame(members, MEMBERS, name="members")
    check_frame(link_evidence, LINK_EVIDENCE, name="link_evidence")
    check_frame(evidence, EVIDENCE, name="evidence")
    mine = members.loc[members["cluster_id"] == cluster["cluster_id"]]
    firm = mine.loc[mine["membership"] != "bystander", "account_id"]
    shared = _shared_values(evidence, firm)
    families = [family for family in str(cluster["families"]).split("+") if family]
    rows = [
        *_why(shared, families, len(firm)),
        *_rare(shared, families),
        _extraction(cluster, link_evidence, firm),
        *_free(shared, families, settings.min_families),
        *_for(cluster, mine),
    ]
    frame = pd.DataFrame(rows, columns=list(STATEMENTS))
    return make_frame(STATEMENTS, {name: frame[name].array for name in STATEMENTS})


def _shared_values(evidence: pd.DataFrame, members: pd.Series[str]) -> pd.DataFrame:
    """Values two or more members share: how many members, how many accounts in all, most members first."""
    inside = evidence.loc[evidence["account_id"].isin(members)]
    keys = ["family", "kind", "value"]
    table = inside.groupby(keys, sort=True).agg(
        members=("account_id", "nunique"),
        accounts=("accounts", "first"),
        unrelated_accounts=("unrelated_accounts", "first"),
    )
    table = table.loc[table["members"] >= 2].reset_index()
    table["outside"] = table["accounts"] - table["members"]
    return table.sort_values(["members", "accounts", *keys], ascending=[False, True, True, True, True])


def _name(row: Any) -> str:
    return f"{NOUNS.get(row.kind, row.kind.replace('_', ' '))} {row.value}"


def _rows(table: pd.DataFrame) -> str:
    return "; ".join(f"{row.kind}={row.value}" for row in table.itertuples(index=False))


def _top(shared: pd.DataFrame, family: str) -> pd.DataFrame:
    return shared.loc[shared["family"] == family].head(VALUES_NAMED)


def _why(shared: pd.DataFrame, families: list[str], size: int) -> list[tuple[str, str, str, str]]:
    rows = []
    for family in families:
        top = _top(shared, family)
        if not top.empty:
            named = [f"{row.members} share {_name(row)}" for row in top.itertuples(index=False)]
            sentence = f"{family.capitalize()}: of {size} members, {join_words(named)}."
            rows.append(("why", sentence, "cluster_shared_values", _rows(top)))
    return rows


def _rare(shared: pd.DataFrame, families: list[str]) -> list[tuple[str, str, str, str]]:
    rows = []
    for family in families:
        top = _top(shared, family).head(1)
        for row in top.itertuples(index=False):
            sentence = (
                f"{_upper_first(_name(row))} is on {row.accounts} accounts: {row.members} members and "
                f"{row.outside} others; {row.unrelated_accounts} of the accounts are otherwise unrelated."
            )
            rows.append(("rare", sentence, "cluster_shared_values", _rows(top)))
    return rows


def _extraction(
    cluster: Mapping[str, Any], link_evidence: pd.DataFrame, members: pd.Series[str]
) -> tuple[str, str, str, str]:
    inside = link_evidence["account_a"].isin(members) & link_evidence["account_b"].isin(members)
    pairs = len(link_evidence.loc[inside, ["account_a", "account_b"]].drop_duplicates())
    sentence = (
        f"The joint traffic of {cluster['requests']} requests reads as extraction with probability "
        f"{cluster['extraction_probability']:.2f}; {pairs} pairs of members are linked."
    )
    return ("extraction", sentence, "cluster_links", f"cluster_id={cluster['cluster_id']}")


def _free(shared: pd.DataFrame, families: list[str], min_families: int) -> list[tuple[str, str, str, str]]:
    voice_of = {family: "software" if family in SOFTWARE else family for family in families}
    # Habits cannot be taken away, so the software's voice is the first to stay.
    voices = list(dict.fromkeys(["software", *voice_of.values()] if "conduct" in families else voice_of.values()))
    freed_voices = voices[min_families - 1 :] if len(voices) >= min_families else voices
    freed = [family for family in families if voice_of[family] in freed_voices and family != "conduct"]
    table = shared.loc[shared["family"].isin(freed)]
    if table.empty:
        return []
    rest = len(voices) - len(freed_voices)
    left = f"{rest} independent {'kind' if rest == 1 else 'kinds'} of evidence {'is' if rest == 1 else 'are'} left"
    sentence = (
        f"Without what its members share in {join_words(freed)} ({len(table)} values), {left} "
        f"({join_words(list(SOFTWARE))} count as one, since one program brings them all), and fewer than "
        f"{min_families} never enforce."
    )
    return [("free", sentence, "cluster_shared_values", _rows(table))]


def _for(cluster: Mapping[str, Any], members: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    where = f"cluster_id={cluster['cluster_id']}"
    rows = [
        ("for", f"An innocent reading remains: {reading}.", "run_clusters", where)
        for reading in str(cluster["readings"]).split("; ")
        if reading
    ]
    loose = int((members["membership"] != "core").sum())
    sentence = (
        f"{loose} of {len(members)} accounts are not core; about {cluster['expected_wrong']:.1f} of the "
        "others may be wrong."
    )
    return [*rows, ("for", sentence, "run_members", where)]


def _upper_first(text: str) -> str:
    """The text with a capital first letter, the rest as it is: values are not to be respelled."""
    return text[:1].upper() + text[1:]
