"""Why each cluster is one, how rare that is, what would free its members and what speaks for them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from linkage.arrays import Codes
from linkage.clusters.features import SOFTWARE
from linkage.clusters.reasons import noun, probability_words
from linkage.coding import codes_of, is_run_start, run_starts, sort_rows, value_keys
from linkage.settings import VerdictSettings
from linkage.terms import (
    CLUSTER_STATEMENTS,
    CLUSTERS,
    EVIDENCE,
    LINKS,
    MEMBERS,
    TEXT,
    UNRELATED,
    check_frame,
    counted,
    join_words,
    make_frame,
)

_Row = tuple[str, str, str, str]
"""Topic, sentence, query and rows of a statement."""

VALUES_NAMED: Final = 3
"""Shared values a statement names per family, the most shared first."""


def explain(
    clusters: pd.DataFrame,
    *,
    members: pd.DataFrame,
    links: pd.DataFrame,
    evidence: pd.DataFrame,
    settings: VerdictSettings,
    links_per_account: int,
    links_kept: int,
) -> pd.DataFrame:
    """Plain sentences about each cluster, each with the rows behind it.

    The ``free`` statement names whole families such that fewer than ``settings.min_families`` are left
    without them, and no cluster is enforced from fewer. Conduct is nothing one could take away, so it counts as left.

    Parameters
    ----------
    clusters : frame of shape ``CLUSTERS``.
    members : frame of shape ``MEMBERS``; an account is in one cluster only.
    links : frame of shape ``LINKS``, no pair twice.
    evidence : frame of shape ``EVIDENCE``.
    settings : ``min_families``.
    links_per_account : so many links of each account there are at most.
    links_kept : so many of these a run keeps; both are told of clusters in which an account can have more.

    Returns
    -------
    DataFrame of shape ``CLUSTER_STATEMENTS``, clusters in the order given: topics ``why``, ``rare``, ``extraction``,
    ``free``, ``for`` in this order. O(rows log rows), however many clusters they are of.
    """
    shapes = {"clusters": (clusters, CLUSTERS), "members": (members, MEMBERS), "evidence": (evidence, EVIDENCE)}
    for name, (frame, shape) in (shapes | {"links": (links, LINKS)}).items():
        check_frame(frame, shape, name=name)
    ids = pd.Index(clusters["cluster_id"])
    number = ids.get_indexer(pd.Index(members["cluster_id"]))
    is_firm = ((members["membership"] != "bystander") & (number >= 0)).to_numpy(dtype=bool)
    firm, firm_of = pd.Index(members.loc[is_firm, "account_id"]), number[is_firm].astype(np.int64)
    shared = _share_values(evidence, firm, firm_of, clusters=len(ids))
    pairs = _count_pairs(links, firm, firm_of, clusters=len(ids))
    size = np.bincount(firm_of, minlength=len(ids)).tolist()
    everybody = np.bincount(number[number >= 0], minlength=len(ids)).tolist()
    is_loose = (members["membership"] != "core").to_numpy(dtype=bool) & (number >= 0)
    loose = np.bincount(number[is_loose], minlength=len(ids)).tolist()
    rows: list[tuple[str, ...]] = []
    for place, cluster in enumerate(clusters[list(_TOLD)].to_dict("records")):
        told = {str(name): value for name, value in cluster.items()}
        families = [family for family in str(told["families"]).split("+") if family]
        inside = shared.of(place)
        said = [
            *_why(inside, families, size[place]),
            *_rare(inside, families),
            _extraction(
                told,
                pairs[place],
                size[place],
                bounded=_bounded(everybody[place] - 1, links_per_account, links_kept),
            ),
            *_free(inside, families, settings.min_families),
            *_for(told, size[place], loose[place], everybody[place]),
        ]
        rows += [(str(told["cluster_id"]), *row) for row in said]
    columns = dict(zip(CLUSTER_STATEMENTS, zip(*rows, strict=True), strict=True)) if rows else None
    return make_frame(CLUSTER_STATEMENTS, columns)


_TOLD: Final = ("cluster_id", "families", "requests", "extraction_probability", "readings", "expected_wrong")


class _Value(NamedTuple):
    """A value that members of a cluster share, as it is told."""

    family: str
    name: str
    row: str
    """The value as the rows behind a sentence name it."""
    members: int
    accounts: int
    unrelated: int


@dataclasses.dataclass(frozen=True)
class _Shared:
    """Values that two or more firm members of a cluster share: cluster by cluster, the most shared first."""

    start: Codes
    """Where each cluster's values begin, and the end."""
    columns: tuple[list[Any], ...]
    """``family, kind, value, members, accounts, unrelated_accounts``."""

    def of(self, place: int) -> list[_Value]:
        """The values of one cluster."""
        rows = slice(self.start[place], self.start[place + 1])
        return [
            _Value(family, f"{noun(kind)} {value}", f"{kind}={value}", *counts)
            for family, kind, value, *counts in zip(*(column[rows] for column in self.columns), strict=True)
        ]


def _share_values(evidence: pd.DataFrame, firm: pd.Index[str], firm_of: Codes, *, clusters: int) -> _Shared:
    account = codes_of(evidence["account_id"], firm)
    inside = np.flatnonzero(account >= 0)
    account, key = account[inside], value_keys(evidence)[inside]
    number = firm_of[account]
    order = sort_rows(account, key, number)
    number, key, account, inside = number[order], key[order], account[order], inside[order]
    starts, is_other = run_starts(number, key), is_run_start(number, key, account)
    members = np.add.reduceat(is_other.astype(np.int64), starts) if len(starts) else starts
    starts, members = starts[members >= 2], members[members >= 2]
    accounts = evidence["accounts"].to_numpy(dtype=np.int64)[inside[starts]]
    ranked = np.lexsort((key[starts], accounts, -members, number[starts]))
    rows = evidence.iloc[inside[starts[ranked]]]
    texts = (rows[name].astype(TEXT).tolist() for name in ("family", "kind", "value"))
    counts = (members[ranked], accounts[ranked], rows["unrelated_accounts"])
    start = np.searchsorted(number[starts[ranked]], np.arange(clusters + 1)).astype(np.int64)
    return _Shared(start, (*texts, *(column.tolist() for column in counts)))


def _count_pairs(links: pd.DataFrame, firm: pd.Index[str], firm_of: Codes, *, clusters: int) -> list[int]:
    """How many pairs of firm members of each cluster are linked."""
    a, b = (codes_of(links[name], firm) for name in ("account_a", "account_b"))
    inside = (a >= 0) & (b >= 0)
    of_a, of_b = firm_of[a[inside]], firm_of[b[inside]]
    counts: list[int] = np.bincount(of_a[of_a == of_b], minlength=clusters).tolist()
    return counts


def _rows(values: list[_Value]) -> str:
    return "; ".join(value.row for value in values)


def _top(shared: list[_Value], family: str, most: int) -> list[_Value]:
    return list(itertools.islice((value for value in shared if value.family == family), most))


def _why(shared: list[_Value], families: list[str], size: int) -> list[_Row]:
    rows = []
    for family in families:
        top = _top(shared, family, VALUES_NAMED)
        if top:
            named = [f"{value.members:,} share {value.name}" for value in top]
            sentence = f"{family.capitalize()}: of {size:,} members, {join_words(named)}."
            rows.append(("why", sentence, "cluster_shared_values", _rows(top)))
    return rows


def _rare(shared: list[_Value], families: list[str]) -> list[_Row]:
    rows = []
    for family in families:
        for value in _top(shared, family, 1):
            sentence = (
                f"{_upper_first(value.name)} is on {value.accounts:,} accounts: {value.members:,} members and "
                f"{counted(value.accounts - value.members, 'other')}; {value.unrelated:,} of the accounts "
                f"{_are(value.unrelated)} otherwise unrelated."
            )
            rows.append(("rare", sentence, "cluster_shared_values", value.row))
    return [*rows, ("rare", UNRELATED, "cluster_shared_values", rows[-1][-1])] if rows else rows


def _bounded(fellows: int, links_per_account: int, links_kept: int) -> str:
    """What is to be said of the number of links where an account has so many fellows; nothing where all are told."""
    bounds = [(links_per_account, "count"), (links_kept, "are listed")]
    told = [f"{most:,} {what}" for most, what in bounds if fellows > most]
    return f" (of each account the strongest {' and '.join(told)})" if told else ""


def _extraction(cluster: Mapping[str, Any], pairs: int, size: int, *, bounded: str) -> _Row:
    possible = size * (size - 1) // 2
    linked = f"; {pairs:,} of {counted(possible, 'pair')} of members {_are(pairs)} linked{bounded}" if possible else ""
    sentence = (
        f"The joint traffic of {counted(cluster['requests'], 'request')} reads as extraction with "
        f"{probability_words(cluster['extraction_probability'])}{linked}."
    )
    return ("extraction", sentence, "cluster_links", f"cluster_id={cluster['cluster_id']}")


def _free(shared: list[_Value], families: list[str], min_families: int) -> list[_Row]:
    voice_of = {family: "software" if family in SOFTWARE else family for family in families}
    # Habits cannot be taken away, so the software's voice is the first to stay.
    voices = list(dict.fromkeys(["software", *voice_of.values()] if "conduct" in families else voice_of.values()))
    freed_voices = voices[min_families - 1 :] if len(voices) >= min_families else voices
    freed = [family for family in families if voice_of[family] in freed_voices and family != "conduct"]
    values = [value for value in shared if value.family in freed]
    if not values:
        return []
    rest = len(voices) - len(freed_voices)
    left = f"{counted(rest, 'independent kind')} of evidence {_are(rest)} left"
    sentence = (
        f"Without what its members share in {join_words(freed)} ({counted(len(values), 'value')}), {left} "
        f"({join_words(list(SOFTWARE))} count as one, since one program brings them all), and fewer than "
        f"{min_families} never enforce."
    )
    return [("free", sentence, "cluster_shared_values", _rows(values))]


def _for(cluster: Mapping[str, Any], firm: int, loose: int, size: int) -> list[_Row]:
    where = f"cluster_id={cluster['cluster_id']}"
    rows = [
        ("for", f"An innocent reading remains: {reading}.", "run_clusters", where)
        for reading in str(cluster["readings"]).split("; ")
        if reading
    ]
    sentence = (
        f"{loose:,} of {size:,} accounts {_are(loose)} tied less firmly than the core. Were all {firm:,} core and "
        f"probable members acted on, {_about(cluster['expected_wrong'])} of them would be wronged: run by "
        "somebody else, or not extracting."
    )
    return [*rows, ("for", sentence, "run_members", where)]


def _about(accounts: float) -> str:
    return "fewer than 0.1" if accounts < 0.1 else f"about {accounts:,.1f}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _upper_first(text: str) -> str:
    """The text with a capital first letter, the rest as it is: values are not to be respelled."""
    return text[:1].upper() + text[1:]
