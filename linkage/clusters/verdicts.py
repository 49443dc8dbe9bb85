"""Two verdicts per community (one controller? extraction?), tiers, memberships and plain reasons."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Codes, Flags, Numbers
from linkage.clusters.coefficients import SHIPPED, Coefficients
from linkage.clusters.features import (
    EXTRACTION_FEATURES,
    GROUP_PATTERNS,
    SLICE_FEATURES,
    SOFTWARE,
    hear_voices,
    linked_shares,
    measure_controller,
    measure_extraction,
)
from linkage.clusters.membership import Standing, find_standing
from linkage.clusters.nearness import Nearness
from linkage.clusters.openness import Openness, find_openness
from linkage.clusters.reasons import noun, tell_reasons
from linkage.clusters.significance import measure_significance
from linkage.clusters.tiers import Graded, Weighed, grade, most_declared
from linkage.clusters.ties import Incidence, all_ties, build_incidence, group_ties, rank_habits
from linkage.parallel import at_once
from linkage.settings import VerdictSettings
from linkage.terms import (
    ACCOUNTS,
    CLUSTERS,
    COMMUNITIES,
    CONDUCT,
    EVIDENCE,
    EXCLUSIONS,
    FLAGGED_MEMBERSHIPS,
    FLAGGED_TIER,
    GROUP_EVIDENCE,
    HOURS,
    MEMBERS,
    OTHER_ITEMS,
    Bar,
    check_frame,
    make_frame,
)

GROUP_FAMILIES: Final = ("rhythm", "partition", "succession")
"""Families that only show in a group."""

TIMED_PATTERNS: Final = ("hand_over", "work_list", "replacement")
"""Patterns of a group that chance does not explain. Joint pauses are not among them: cron jobs have them, too."""

UNTOLD_WORDS: Final = "no account record, so nothing is known of what cannot be copied"
"""Said of a member that does as all others do, and of whom nobody knows when it signed up."""


@dataclasses.dataclass(frozen=True)
class Verdicts:
    """Clusters with provisional ids (``community-0``, ...) and their members."""

    clusters: pd.DataFrame
    """Shape ``CLUSTERS``."""
    members: pd.DataFrame
    """Shape ``MEMBERS``."""
    groups: pd.DataFrame
    """One row per community, kept or not: ``community``, ``accounts`` left after pruning, ``tier``, the features of all
    models as ``controller_*``, ``extraction_*`` and ``slice_*``, and the two probabilities of extraction: of all that
    the accounts send (``whole_probability``) and of their own work (``slice_probability``)."""
    assigned: pd.DataFrame
    """``account_id`` and ``community`` of every account left after pruning."""


@dataclasses.dataclass(frozen=True)
class _Judged:
    """Everything measured of the pruned groups."""

    incidence: Incidence
    families: tuple[str, ...]
    ties: pd.DataFrame
    matrix: Numbers
    is_linked: Flags
    """Groups x families: whether a family links enough of the members to count."""
    weighed: Weighed
    organizations: Codes
    measured: pd.DataFrame
    patterns: pd.DataFrame
    graded: Graded


def judge(
    communities: pd.DataFrame,
    *,
    evidence: pd.DataFrame,
    values: pd.DataFrame,
    accounts: pd.DataFrame,
    conduct: pd.DataFrame,
    items: pd.DataFrame,
    hours: pd.DataFrame,
    settings: VerdictSettings,
    seed: int,
    coefficients: Coefficients = SHIPPED,
    group_evidence: pd.DataFrame | None = None,
    null_cohesion: Numbers | None = None,
    own_items: pd.DataFrame | None = None,
    works: pd.DataFrame | None = None,
) -> Verdicts:
    """Which communities are run as one, which of them extract, and how firmly each account belongs.

    A community is pruned first (accounts loosely tied, or tied by one family, become bystanders), then judged by what
    remains, and given a tier by :func:`~linkage.clusters.tiers.grade`. Communities of tier ``watch`` are clusters where
    one controller has ``settings.review_probability``, or where extraction is as clear as ``enforce`` asks and the
    accounts are as many.

    Parameters
    ----------
    communities : frame of shape ``COMMUNITIES``.
    evidence : frame of shape ``EVIDENCE``.
    values : worth of its values (``Linked.values``).
    accounts, conduct, items, hours : frames of the shapes of those names; when items came is not asked for.
    settings : thresholds.
    seed : of the permutations behind the q-values.
    coefficients : of the two verdicts.
    group_evidence : frame of shape ``GROUP_EVIDENCE`` whose groups are the communities, or None.
    null_cohesion : of what a search through evidence of chance found (``find_null_cohesion``), or None.
    own_items : frame of shape ``OWN_ITEMS``: items of one account alone that ``items`` does not list; None: none.
    works : frame of shape ``WORKS``: what accounts do in each work; None: nobody knows.

    Returns
    -------
    :class:`Verdicts`; clusters sorted by tier, falling probability and id, members by cluster and account.
    """
    for frame, (name, shape) in zip((communities, evidence, accounts, conduct, items, hours), _GIVEN, strict=True):
        check_frame(frame, shape, name=name)
    incidence = build_incidence(evidence, values, accounts)
    whole = np.full(len(accounts), -1, dtype=np.int64)
    code = incidence.accounts.get_indexer(pd.Index(communities["account_id"]))
    whole[code] = communities["community"].to_numpy()
    groups = int(whole.max(initial=-1)) + 1
    near = Nearness(rank_habits(conduct, accounts))
    found = make_frame(GROUP_EVIDENCE) if group_evidence is None else group_evidence
    check_frame(found, GROUP_EVIDENCE, name="group_evidence")
    own = found.loc[whole[incidence.accounts.get_indexer(pd.Index(found["account_id"]))] == found["group"]]
    extra = _bits_by(own, incidence, "family", GROUP_FAMILIES)
    everything = np.column_stack([all_ties(incidence, near, whole, groups=groups)[1], extra])
    families = (*incidence.families, "conduct", *GROUP_FAMILIES)
    known: dict[str, Any] = {"families": families, "incidence": incidence, "accounts": accounts, "settings": settings}
    standing = find_standing(everything, whole, conduct=conduct, **known)
    group = standing.group
    measure = functools.partial(
        measure_extraction,
        incidence,
        group,
        groups=groups,
        evidence=evidence,
        accounts=accounts,
        conduct=conduct,
        items=items,
        own_items=own_items,
        works=works,
        hours=hours,
        patterns=dict(zip(GROUP_PATTERNS, _bits_by(own, incidence, "kind", GROUP_PATTERNS).T, strict=True)),
    )
    asked: dict[str, Any] = {"accounts": accounts, "groups": groups, "settings": settings}
    chance: dict[str, Any] = {"seed": seed, "null_cohesion": null_cohesion}
    compare = functools.partial(measure_significance, incidence, group, **asked, **chance)
    look = functools.partial(find_openness, incidence, group, hours, **asked)
    q_value, (features, openness) = at_once(compare, lambda: (measure(), look()))
    q_value = np.minimum(q_value, _pattern_q_value(own, groups))
    judged = _judge_groups(incidence, near, group, q_value, features, accounts, openness, settings, coefficients, own)
    kept = np.flatnonzero(_is_told(judged, settings))
    stability = pd.Series(communities["stability"].to_numpy(), index=code).reindex(range(len(accounts)))
    members = _members(judged, whole, standing, kept, accounts, stability, settings)
    clusters = _clusters(judged, group, kept, members, accounts)
    return Verdicts(clusters, members, *_groups(judged, group))


_GIVEN: Final = (
    ("communities", COMMUNITIES),
    ("evidence", EVIDENCE),
    ("accounts", ACCOUNTS),
    ("conduct", CONDUCT),
    ("items", OTHER_ITEMS),
    ("hours", HOURS),
)


def _pattern_q_value(found: pd.DataFrame, groups: int) -> Numbers:
    """How likely the clearest of a group's :data:`TIMED_PATTERNS` is chance, 1 where it shows none.

    Their bits have every candidate group counted as a try already; twice, because a group may be told from coincidence
    by its shared values or by its patterns.
    """
    rows = found.loc[found["kind"].isin(TIMED_PATTERNS)]
    bits = np.zeros(groups)
    np.maximum.at(bits, rows["group"].to_numpy(dtype=np.int64), rows["bits"].to_numpy(dtype=np.float64))
    return np.asarray(np.minimum(2 * np.exp2(-bits), 1.0), dtype=np.float64)


def _bits_by(found: pd.DataFrame, incidence: Incidence, column: str, names: Sequence[str]) -> Numbers:
    """Bits of group evidence per account, accounts x names: of one account and name, the most."""
    table = np.zeros((len(incidence.accounts), len(names)))
    rows = found.loc[found[column].isin(list(names))]
    place = incidence.accounts.get_indexer(pd.Index(rows["account_id"]))
    np.maximum.at(table, (place, pd.Index(names).get_indexer(pd.Index(rows[column]))), rows["bits"].to_numpy())
    return table


def _judge_groups(
    incidence: Incidence,
    near: Nearness,
    group: Codes,
    q_value: Numbers,
    extraction: pd.DataFrame,
    accounts: pd.DataFrame,
    openness: Openness,
    settings: VerdictSettings,
    coefficients: Coefficients,
    patterns: pd.DataFrame,
) -> _Judged:
    groups = len(q_value)
    ties, matrix = all_ties(incidence, near, group, groups=groups)
    controller = measure_controller(
        matrix,
        group,
        families=(*incidence.families, "conduct"),
        extraction=extraction,
        linked_bits=settings.linked_bits,
        linked_share=settings.linked_share,
    )
    extra = _bits_by(patterns, incidence, "family", GROUP_FAMILIES)
    matrix = np.column_stack([matrix, np.where(group[:, None] >= 0, extra, 0.0)])
    organizations, declared = most_declared(group, accounts["organization_id"], groups)
    families = (*incidence.families, "conduct", *GROUP_FAMILIES)
    both = {
        "whole_probability": coefficients.extraction.probability(extraction),
        "slice_probability": coefficients.slice.probability(extraction),
    }
    heard = linked_shares(hear_voices(matrix, families)[0], group, groups=groups, linked_bits=settings.linked_bits)
    is_linked = linked_shares(matrix, group, groups=groups, linked_bits=settings.linked_bits) >= settings.linked_share
    weighed = Weighed(
        accounts=np.bincount(group[group >= 0], minlength=groups),
        controller=coefficients.controller.probability(controller),
        own=np.maximum(*both.values()),
        whole=both["whole_probability"],
        q_value=q_value,
        voices=(heard >= settings.linked_share).sum(axis=1),
        is_paid=np.any(is_linked[:, np.array(families) == "payment"], axis=1),
        is_tied_beyond=np.any(is_linked[:, ~np.isin(families, [*SOFTWARE, "network"])], axis=1),
        declared=declared,
    )
    return _Judged(
        incidence=incidence,
        families=families,
        ties=ties,
        matrix=matrix,
        is_linked=is_linked,
        weighed=weighed,
        organizations=organizations,
        measured=_measured(controller, extraction).assign(**both),
        patterns=patterns,
        graded=grade(weighed, openness, group=group, incidence=incidence, settings=settings),
    )


def _measured(controller: pd.DataFrame, extraction: pd.DataFrame) -> pd.DataFrame:
    """The features of all models side by side, each with the name of its model before it."""
    whole = list(dict.fromkeys((*EXTRACTION_FEATURES, *GROUP_PATTERNS)))
    parts = {"controller": controller, "extraction": extraction[whole], "slice": extraction[list(SLICE_FEATURES)]}
    return pd.concat([part.add_prefix(f"{name}_") for name, part in parts.items()], axis=1)


def _groups(judged: _Judged, group: Codes) -> tuple[pd.DataFrame, pd.DataFrame]:
    inside, size = np.flatnonzero(group >= 0), judged.weighed.accounts
    known = {"community": np.arange(len(size)), "accounts": size, "tier": pd.Series(judged.graded.tier, dtype="str")}
    ids = judged.incidence.accounts.to_numpy()[inside]
    assigned = {"account_id": pd.Series(ids, dtype="str"), "community": group[inside]}
    return pd.concat([pd.DataFrame(known), judged.measured], axis=1), pd.DataFrame(assigned)


def _is_told(judged: _Judged, settings: VerdictSettings) -> Flags:
    """Which groups are clusters; clear extraction of enough accounts is shown, though nobody knows whose it is."""
    size = judged.weighed.accounts
    is_told = (judged.weighed.controller >= settings.review_probability) | (judged.graded.tier != "watch")
    is_clear = (judged.weighed.own >= settings.enforce_extraction) & (size >= settings.min_enforce_accounts)
    return np.asarray((is_told | is_clear) & (size >= 2))


def _members(
    judged: _Judged,
    whole: Codes,
    standing: Standing,
    kept: Codes,
    accounts: pd.DataFrame,
    stability: pd.Series[float],
    settings: VerdictSettings,
) -> pd.DataFrame:
    rows = np.flatnonzero(np.isin(whole, kept))
    number, share, is_untold = whole[rows], standing.belonging[rows], standing.is_untold[rows]
    firm = np.where(share >= settings.core_share, "core", "probable")
    membership = np.where((standing.group[rows] >= 0) | is_untold, firm, "bystander")
    tier = judged.graded.tier[number]
    flagged = (tier == FLAGGED_TIER) & np.isin(membership, FLAGGED_MEMBERSHIPS)
    columns = {
        "account_id": judged.incidence.accounts.to_numpy()[rows],
        "cluster_id": [f"community-{value}" for value in number],
        "membership": membership,
        "tier": tier,
        "controller_probability": judged.weighed.controller[number] * standing.sure[rows],
        "extraction_probability": judged.weighed.own[number],
        "q_value": judged.weighed.q_value[number],
        "reasons": _reasons(judged, rows, whole, standing),
        "flagged": flagged,
        "stability": stability.to_numpy()[rows],
        "requests": accounts["request_count"].to_numpy()[rows],
        "left_out_by": _left_out_by(standing.excluded[rows], membership),
    }
    frame = make_frame(MEMBERS, columns)
    return frame.sort_values(["cluster_id", "account_id"], ignore_index=True)


def _left_out_by(excluded: Flags, membership: npt.NDArray[np.str_]) -> list[str]:
    """The exclusions of each bystander, ``+``-joined; nothing for the others."""
    held = (excluded & (membership == "bystander")[:, None]).tolist()
    return ["+".join(itertools.compress(EXCLUSIONS, row)) for row in held]


def _reasons(judged: _Judged, rows: Codes, whole: Codes, standing: Standing) -> list[str]:
    """What ties each of these accounts (codes) to its group, in words."""
    ties = judged.ties
    if standing.is_untold.any():
        told = np.where(standing.is_untold, whole, standing.group)
        ties = group_ties(judged.incidence, told, groups=len(judged.graded.tier))
    said = tell_reasons(rows, ties=ties, patterns=judged.patterns, incidence=judged.incidence)
    untold = standing.is_untold[rows].tolist()
    return [f"{words}; {UNTOLD_WORDS}" if lacks else words for words, lacks in zip(said, untold, strict=True)]


def _clusters(
    judged: _Judged, group: Codes, kept: Codes, members: pd.DataFrame, accounts: pd.DataFrame
) -> pd.DataFrame:
    firm = members.loc[members["membership"].isin(FLAGGED_MEMBERSHIPS)]
    spans = accounts.set_index("account_id")[["first_at", "last_at"]]
    firm = firm.join(spans, on="account_id")
    firm["wrong"] = 1 - firm["controller_probability"] * firm["extraction_probability"]
    ids = pd.Index([f"community-{number}" for number in kept])
    by_cluster = firm.groupby("cluster_id").agg(
        accounts=("account_id", "size"),
        requests=("requests", "sum"),
        first_seen=("first_at", "min"),
        last_seen=("last_at", "max"),
        stability=("stability", "mean"),
        expected_wrong=("wrong", "sum"),
    )
    columns = {name: column.array for name, column in by_cluster.reindex(ids).items()}
    members_of = {number: np.asarray(rows) for number, rows in pd.Series(group).groupby(group).indices.items()}
    best = _best_values(judged)
    size = judged.weighed.accounts
    popular = best.loc[best["accounts"].to_numpy() > 2 * size[best["group"].to_numpy()], ["group", "family", "kind"]]
    popular_of: dict[int, set[str]] = {}
    for number, family, kind in popular.drop_duplicates().itertuples(index=False):
        popular_of.setdefault(number, set()).update((family, kind))
    frame = make_frame(
        CLUSTERS,
        {
            **{str(name): column for name, column in columns.items()},
            "cluster_id": ids.to_numpy(),
            "tier": judged.graded.tier[kept],
            "controller_probability": judged.weighed.controller[kept],
            "extraction_probability": judged.weighed.own[kept],
            "q_value": judged.weighed.q_value[kept],
            "families": [_family_names(judged, members_of[number], number) for number in kept],
            "organizations": judged.organizations[kept],
            "strongest": _strongest(best, kept),
            "readings": [_readings(judged, popular_of.get(number, frozenset()), number) for number in kept],
            "whole_probability": judged.weighed.whole[kept],
            "barred_by": ["+".join(judged.graded.names(number)) for number in kept],
        },
    )
    rank = frame["tier"].map({"enforce": 0, "review": 1, "watch": 2})
    order = frame.assign(rank=rank, both=-frame["controller_probability"] * frame["extraction_probability"])
    return frame.loc[order.sort_values(["rank", "both", "cluster_id"]).index].reset_index(drop=True)


def _family_names(judged: _Judged, members: Codes, number: int) -> str:
    """Families that link enough of the members to count, strongest first, ``+``-joined."""
    strength = judged.matrix[members].sum(axis=0)
    linked = np.flatnonzero(judged.is_linked[number])
    ranked = sorted(linked, key=lambda family: (-strength[family], family))
    return "+".join(judged.families[family] for family in ranked)


def _best_values(judged: _Judged) -> pd.DataFrame:
    """Values that tie members of each group: members tied and bits, group by group, strongest first."""
    best = judged.ties.groupby(["group", "value"]).agg(tied=("account", "size"), tie=("tie", "sum")).reset_index()
    order = np.lexsort((best["value"], -best["tied"], -best["tie"], best["group"]))
    best = best.iloc[order].reset_index(drop=True)
    values = judged.incidence.table.iloc[best["value"].to_numpy(dtype=np.int64)]
    return best.assign(
        **{name: values[name].array for name in ("family", "kind", "accounts", "unrelated_accounts")},
        name=values["value"].array,
    )


def _strongest(best: pd.DataFrame, kept: Codes) -> list[str]:
    """The value that ties each group best, in words."""
    first = best.drop_duplicates("group").set_index("group")
    columns = ("kind", "tied", "name", "accounts", "unrelated_accounts")
    said = {
        number: f"{tied:,} members share {noun(kind)} {name}, which {accounts:,} accounts have "
        f"({unrelated:,} of them otherwise unrelated)"
        for number, kind, tied, name, accounts, unrelated in zip(
            first.index, *(first[column] for column in columns), strict=True
        )
    }
    return [said.get(number, "nothing ties these accounts") for number in kept]


_READINGS: Final[Mapping[Bar, str]] = {
    "open": "one customer with a few accounts, who hides neither card nor address",
    "own_domain": "one customer with a mail domain of its own",
    "hosted": "customers of one service that bring keys of their own and let it call for them",
    "brief": "an event of a few days, such as a hackathon, a workshop or a benchmark",
}
"""Innocent readings that bar a group from tier ``enforce``."""


def _readings(judged: _Judged, popular: Collection[str], number: int) -> str:
    """Innocent readings that what ties the group does not rule out.

    Parameters
    ----------
    popular : families and kinds of values that tie the group and are on twice as many accounts as it has.
    """
    linked = {family for family, counts in zip(judged.families, judged.is_linked[number], strict=True) if counts}
    readings = []
    if judged.weighed.voices[number] < 2 and "content" in linked:
        readings.append("customers of one app, which brings its wording, parameters and client")
    readings += [_READINGS[bar] for bar in judged.graded.names(number) if bar in _READINGS]
    if "network" in linked:
        readings.append("shared office or network")
    if "ip" in popular:
        readings.append("carrier or VPN address")
    if "payment" in linked:
        firm = "one firm" if judged.organizations[number] == 1 else "one firm without a declared organization"
        readings.append(f"agency, household or {firm}")
    if "content" in popular:
        readings.append("popular template")
    if {"registration", "content"} <= linked:
        readings.append("class or workshop")
    if judged.weighed.controller[number] < 0.5 and judged.graded.tier[number] != "watch":
        readings.append("accounts of several hands that work alike")
    if judged.weighed.whole[number] < 0.5:
        readings.append("reseller or ordinary joint use")
    return "; ".join(readings)
