"""What is measured of a group of accounts before anybody judges it.

Controller features say how firmly and by how many families the accounts hang together; extraction
features say what their joint traffic looks like. Every feature is oriented so that more speaks for one
controller, or for extraction; each lies in a fixed range and does not depend on the size of the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.clusters.ties import Codes, Incidence, ranks
from linkage.terms import DAY_MS, HOUR_MS

Numbers = npt.NDArray[np.float64]

GROUP_PATTERNS: Final = ("hand_over", "joint_pauses", "work_list", "replacement")
"""Kinds of evidence that only shows in a group; each is a feature: the mean over members of its bits, in 10 bits, and
0 where it does not show or cannot."""

CONTROLLER_FEATURES: Final = (
    "strength",
    "second",
    "families",
    "size",
    "evenness",
    "partition",
    "paid",
    "agreement",
    *GROUP_PATTERNS,
)
"""``strength``: median over members of the sum of their ties, in 10 bits; ``second``: median tie of the
second strongest family, in 10 bits; ``families``: how many link half the members; ``size``: log2 accounts;
``paid``: mean tie by payment, in 10 bits: a class and a hackathon have all of a household but the card;
``agreement``: sameness of habits times ``size`` / 8, because many alike say more than a few; ``evenness``,
``partition`` and ``GROUP_PATTERNS`` as in :func:`measure_extraction`."""

EXTRACTION_FEATURES: Final = (
    "output",
    "templated",
    "shared_work",
    "joint_volume",
    "exclusive",
    "sameness",
    "evenness",
    "created",
    "distinct",
    "round_clock",
    "partition",
    "volume",
    "limited",
    "young",
    "hand_over",
    "work_list",
    "replacement",
)
"""See :func:`measure_extraction`. Joint pauses stay out: a hackathon pauses together, too."""

CONTENT_KINDS: Final = ("template", "template_family")
"""Kinds of value that stand for work."""

UNKNOWN: Final = {
    "output": 0.5,
    "templated": 0.5,
    "distinct": 0.95,
    "created": 0.6,
    "young": 0.5,
    "round_clock": 0.95,
    "partition": 0.85,
    "limited": 0.0,
}
"""Value of a feature that the input cannot tell: between campaigns and innocents, so that a missing
field neither frees a campaign nor accuses a workshop (chosen on simulated worlds, 2026-11-24)."""

UNTOLD_SPREAD: Final = 0.11
"""Spread of a habit nobody tells: between that of alike accounts and of strangers (tried 0.06 to 0.18, 2026-11-24)."""

STRANGERS: Final = 0.29
"""Root mean square distance of random ranks to their mean."""


def measure_controller(
    matrix: Numbers,
    group: Codes,
    *,
    families: Sequence[str],
    extraction: pd.DataFrame,
    linked_bits: float,
    linked_share: float,
) -> pd.DataFrame:
    """One row per group with the columns ``CONTROLLER_FEATURES``.

    Parameters
    ----------
    matrix : ties in bits, accounts x families.
    group : group number of each account, -1 for none.
    families : names of the columns of ``matrix``.
    extraction : what ``measure_extraction`` returned for the same groups.
    linked_bits : bits from which a family links an account to its group.
    linked_share : share of the accounts a family must link to count.
    """
    groups = len(extraction)
    members = np.flatnonzero(group >= 0)
    mine = matrix[members]
    ordered = np.sort(mine, axis=1)[:, ::-1]
    second = ordered[:, 1] if mine.shape[1] > 1 else np.zeros(len(members))
    frame = pd.DataFrame({"group": group[members], "strength": mine.sum(axis=1) / 10, "second": second / 10})
    medians = frame.groupby("group").median().reindex(range(groups), fill_value=0.0)
    shares = linked_shares(matrix, group, groups=groups, linked_bits=linked_bits)
    size = np.log2(np.maximum(np.bincount(group[members], minlength=groups), 1))
    return pd.DataFrame(
        {
            "strength": np.minimum(medians["strength"].to_numpy(), 4.0),
            "second": medians["second"].to_numpy(),
            "families": (shares >= linked_share).sum(axis=1).astype(np.float64),
            "size": size,
            "evenness": extraction["evenness"].to_numpy(),
            "partition": extraction["partition"].to_numpy(),
            "paid": _mean_tie(mine, group[members], groups, families=families, family="payment"),
            "agreement": extraction["sameness"].to_numpy(dtype=np.float64) * size / 8,
            **{name: extraction[name].to_numpy() for name in GROUP_PATTERNS},
        }
    )


def _mean_tie(mine: Numbers, group: Codes, groups: int, *, families: Sequence[str], family: str) -> Numbers:
    """Mean tie of each group's accounts by one family, in 10 bits, 0 to 1."""
    if family not in families:
        return np.zeros(groups)
    ties = np.clip(mine[:, list(families).index(family)] / 10, 0, 1)
    total = np.bincount(group, weights=ties, minlength=groups)
    return np.asarray(total / np.maximum(np.bincount(group, minlength=groups), 1), dtype=np.float64)


def linked_shares(matrix: Numbers, group: Codes, *, groups: int, linked_bits: float) -> Numbers:
    """Share of each group's accounts that each family links to fellows, groups x families."""
    members = np.flatnonzero(group >= 0)
    size = np.maximum(np.bincount(group[members], minlength=groups), 1)
    shares = np.zeros((groups, matrix.shape[1]))
    np.add.at(shares, group[members], (matrix[members] >= linked_bits).astype(np.float64))
    return shares / size[:, None]


def measure_extraction(
    incidence: Incidence,
    group: Codes,
    *,
    groups: int,
    evidence: pd.DataFrame,
    accounts: pd.DataFrame,
    conduct: pd.DataFrame,
    items: pd.DataFrame,
    hours: pd.DataFrame,
    patterns: Mapping[str, Numbers],
) -> pd.DataFrame:
    """One row per group with the columns ``EXTRACTION_FEATURES`` and ``GROUP_PATTERNS``, each from 0 to about 1.

    ``output``: mean rank of members' output length among all accounts; ``templated``: mean rank of
    their share of requests with a template, by requests; ``shared_work``: share of requests with a template that a
    tenth of the fellows use too; ``joint_volume``: how many typical accounts those requests would keep busy;
    ``exclusive``: share of those templates' accounts that are in the group;
    ``sameness``: how close members' habits are; ``evenness``: how equal their volumes; ``created``: how close
    their creations; ``distinct``: prompts not asked twice; ``round_clock``: evenness over hours of the day;
    ``partition``: how far items are from being everybody's; ``volume``: joint requests against one typical account;
    ``limited``: requests turned away at a limit; ``young``: first used soon after creation; ``GROUP_PATTERNS``: from
    ``patterns``, the bits of each account per kind.
    """
    habits = conduct.set_index("account_id").reindex(accounts["account_id"])
    features = {
        **_habit_features(habits, group, groups),
        **_time_features(accounts, hours, group, groups),
        **_work_features(incidence, group, groups, evidence, accounts),
        "partition": _partition(items, accounts, group, groups),
        **{name: _mean(patterns[name] / 10, group, groups, unknown=0.0) for name in GROUP_PATTERNS},
    }
    return pd.DataFrame({name: features[name] for name in dict.fromkeys((*EXTRACTION_FEATURES, *GROUP_PATTERNS))})


def _mean(values: Numbers, group: Codes, groups: int, *, unknown: float, weight: Numbers | None = None) -> Numbers:
    """Weighted mean per group over accounts where the value is known; ``unknown`` where nobody's is."""
    known = np.isfinite(values) & (group >= 0)
    weights = np.ones(len(values)) if weight is None else weight
    total = np.bincount(group[known], weights=(values * weights)[known], minlength=groups)
    count = np.bincount(group[known], weights=weights[known], minlength=groups)
    return np.where(count > 0, total / np.maximum(count, 1e-9), unknown)


def _habit_features(habits: pd.DataFrame, group: Codes, groups: int) -> dict[str, Numbers]:
    def column(name: str) -> Numbers:
        return habits[name].to_numpy(dtype=np.float64)

    requests = np.nan_to_num(column("request_count"))
    per_request = np.maximum(requests, 1)
    templated = column("templated_count") / per_request
    ranked = [ranks(habit) for habit in (column("log_output_mean"), column("log_input_mean"), templated)]
    spreads = [
        _spread(rank, group, groups) if np.isfinite(rank).any() else np.full(groups, UNTOLD_SPREAD) for rank in ranked
    ]
    spread = sum(spreads, np.zeros(groups)) / len(spreads)
    limited = column("limited_count") / per_request
    log_requests = np.log(per_request)
    total = np.bincount(group[group >= 0], weights=requests[group >= 0], minlength=groups)
    typical = max(float(np.median(requests[requests > 0])) if (requests > 0).any() else 1.0, 1.0)
    prompts = column("prompt_count")
    distinct = np.divide(column("distinct_prompt_count"), prompts, where=prompts > 0, out=np.full(len(prompts), np.nan))
    return {
        "output": _mean(ranked[0], group, groups, unknown=UNKNOWN["output"]),
        "templated": _mean(ranked[2], group, groups, unknown=UNKNOWN["templated"], weight=requests),
        "sameness": 1 - np.minimum(spread / STRANGERS, 1.0),
        "evenness": 1 / (1 + _spread(log_requests, group, groups)),
        "distinct": _mean(distinct, group, groups, unknown=UNKNOWN["distinct"]),
        "volume": np.clip(np.log10(np.maximum(total / typical, 1)) / 4, 0, 1),
        "limited": np.minimum(10 * _mean(limited, group, groups, unknown=UNKNOWN["limited"], weight=requests), 1.0),
    }


def _spread(values: Numbers, group: Codes, groups: int) -> Numbers:
    """Root mean square distance to the group's mean; that of strangers' ranks (0.29) where unknown."""
    known = np.isfinite(values) & (group >= 0)
    # Group -1 (none) reads the entry added at the end.
    mean = np.append(_mean(values, group, groups, unknown=0.5), 0.5)
    gap = np.where(known, values - mean[group], 0.0)
    total = np.bincount(group[known], weights=gap[known] ** 2, minlength=groups)
    count = np.bincount(group[known], minlength=groups)
    return np.where(count > 1, np.sqrt(total / np.maximum(count - 1, 1)), STRANGERS)


def _time_features(accounts: pd.DataFrame, hours: pd.DataFrame, group: Codes, groups: int) -> dict[str, Numbers]:
    created = _epoch_ms(accounts["created_at"])
    age_days = (_epoch_ms(accounts["first_at"]) - created) / DAY_MS
    young = 1 - np.clip(np.log10(np.maximum(age_days, 0) + 1) / 2.5, 0, 1)
    gap_h = _third_nearest(created, group) / HOUR_MS
    close = 1 - np.clip(np.log10(gap_h + 1) / 3.5, 0, 1)
    return {
        "young": _mean(young, group, groups, unknown=UNKNOWN["young"]),
        "created": _mean(close, group, groups, unknown=UNKNOWN["created"]),
        "round_clock": _round_clock(accounts, hours, group, groups),
    }


def _epoch_ms(times: pd.Series[pd.Timestamp]) -> Numbers:
    plain = times.to_numpy(dtype="datetime64[ms]")
    return np.where(np.isnat(plain), np.nan, plain.astype(np.int64).astype(np.float64))


def _third_nearest(at: Numbers, group: Codes) -> Numbers:
    """Per account, the gap to its third nearest fellow in time (the farthest where there are fewer)."""
    result = np.full(len(at), np.nan)
    known = np.flatnonzero((group >= 0) & np.isfinite(at))
    order = known[np.lexsort((at[known], group[known]))]
    gaps = []
    for step in (-3, -2, -1, 1, 2, 3):
        other = np.roll(order, -step)
        outside = np.arange(len(order)) + step
        wrong = (group[other] != group[order]) | (outside < 0) | (outside >= len(order))
        gaps.append(np.where(wrong, np.nan, np.abs(at[other] - at[order])))
    if len(order):
        ranked = np.sort(np.vstack(gaps), axis=0)
        found = np.isfinite(ranked).sum(axis=0)
        place = np.clip(np.minimum(found, 3) - 1, 0, 5)
        result[order] = np.where(found > 0, ranked[place, np.arange(len(order))], np.nan)
    return result


def _round_clock(accounts: pd.DataFrame, hours: pd.DataFrame, group: Codes, groups: int) -> Numbers:
    """Entropy of requests over the hours of the day, 1 when they are equal."""
    code = pd.Index(accounts["account_id"]).get_indexer(pd.Index(hours["account_id"]))
    known = (code >= 0) & (group[code] >= 0)
    clock = hours["hour_at"].dt.hour.to_numpy()[known].astype(np.int64)
    counts = np.zeros((groups, 24))
    np.add.at(counts, (group[code[known]], clock), hours["request_count"].to_numpy(dtype=np.float64)[known])
    total = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(total, 1)
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(axis=1) / np.log(24)
    return np.where(total[:, 0] > 0, entropy, UNKNOWN["round_clock"])


def _work_features(
    incidence: Incidence, group: Codes, groups: int, evidence: pd.DataFrame, accounts: pd.DataFrame
) -> dict[str, Numbers]:
    """What the templates shared inside each group make up: of its traffic, in volume, and who else has them."""
    kind = incidence.table["kind"].to_numpy()[incidence.value]
    mine = group[incidence.account]
    inside = (mine >= 0) & np.isin(kind, CONTENT_KINDS)
    columns = {"group": mine[inside], "value": incidence.value[inside], "kind": kind[inside]}
    rows = pd.DataFrame(columns)
    rows["requests"] = evidence["request_count"].to_numpy(dtype=np.float64)[inside]
    size = np.bincount(group[group >= 0], minlength=groups)
    rows["users"] = rows.groupby(["group", "value"])["requests"].transform("size")
    needed = np.maximum(2, 0.1 * size[rows["group"].to_numpy(dtype=np.int64)])
    shared = rows.loc[rows["users"] >= needed]
    everybody = incidence.table["accounts"].to_numpy(dtype=np.float64)[shared["value"].to_numpy(dtype=np.int64)]
    shared = shared.assign(alone=shared["requests"] * shared["users"] / everybody)
    # A template and its family count the same requests: take whichever kind shares more.
    totals = shared.groupby(["group", "kind"])[["requests", "alone"]].sum().groupby("group").max()
    total = totals.reindex(range(groups), fill_value=0.0)
    requests = accounts["request_count"].to_numpy(dtype=np.float64)
    whole = np.bincount(group[group >= 0], weights=requests[group >= 0], minlength=groups)
    typical = max(float(np.median(requests)) if len(requests) else 1.0, 1.0)
    work = total["requests"].to_numpy(dtype=np.float64)
    return {
        "shared_work": np.minimum(work / np.maximum(whole, 1), 1.0),
        "joint_volume": np.clip(np.log10(1 + work / typical) / 4, 0, 1),
        "exclusive": np.minimum(total["alone"].to_numpy(dtype=np.float64) / np.maximum(work, 1), 1.0),
    }


def _partition(items: pd.DataFrame, accounts: pd.DataFrame, group: Codes, groups: int) -> Numbers:
    """How far a group's items are from being everybody's: 1 when no two accounts share one, 0 when all share all.

    The mean over items of ``1 - (accounts that have it - 1) / (accounts with items - 1)``. A work list that is dealt
    out twice over, for checking, still counts as dealt out in a group of many accounts.
    """
    code = pd.Index(accounts["account_id"]).get_indexer(pd.Index(items["account_id"]))
    known = (code >= 0) & (group[code] >= 0)
    rows = pd.DataFrame({"group": group[code[known]], "item": items["item"].to_numpy()[known], "code": code[known]})
    having = rows.groupby("group")["code"].nunique().reindex(range(groups), fill_value=0).to_numpy()
    users = rows.groupby(["group", "item"]).size()
    number = users.index.get_level_values("group").to_numpy(dtype=np.int64)
    spread = (users.to_numpy() - 1) / np.maximum(having[number] - 1, 1)
    shared = np.bincount(number, weights=spread, minlength=groups)
    total = np.bincount(number, minlength=groups)
    return np.where(having > 1, 1 - shared / np.maximum(total, 1), UNKNOWN["partition"])
