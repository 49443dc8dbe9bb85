"""What is measured of a group of accounts before anybody judges it.

Controller features say how firmly and by how many families the accounts hang together; extraction
features say what their joint traffic looks like. Every feature is oriented so that more speaks for one
controller, or for extraction; each lies in a fixed range and does not depend on the size of the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from linkage.arrays import Codes, Numbers
from linkage.clusters.clock import hour_entropy, squared_length
from linkage.clusters.slices import OWN_FEATURES, SHARED_SHARE, STRANGERS, UNTOLD, measure_slices
from linkage.clusters.ties import Incidence
from linkage.coding import codes_of, count_distinct, mid_ranks, run_starts, text_codes
from linkage.terms import DAY_MS, HOUR_MS, WORKS, make_frame

GROUP_PATTERNS: Final = ("hand_over", "joint_pauses", "work_list", "replacement")
"""Kinds of evidence that only shows in a group; each is a feature: the mean over members of its bits, in 10 bits, and
0 where it does not show or cannot."""

SOFTWARE: Final = ("content", "contract", "client", "conduct")
"""Families that speak with one voice: accounts of one program have its wording, its parameters, its client and its
habits, whoever runs them. Every other family is a voice of its own."""

CONTROLLER_FEATURES: Final = (
    "strength",
    "second",
    "software",
    "voices",
    "size",
    "evenness",
    "partition",
    "paid",
    "agreement",
    "work_evenness",
    "reworded",
    "sleepless",
    *GROUP_PATTERNS,
)
"""``strength``: median over members of the sum of their ties, in 10 bits, one tie per voice (:data:`SOFTWARE`);
``second``: median tie of the second strongest voice, in 10 bits; ``software``: median of what the families of
:data:`SOFTWARE` tie beside the best of them, in 10 bits; ``voices``: how many link half the members; ``size``: log2
accounts; ``paid``: mean tie by payment, in 10 bits: a class and a hackathon have all of a household but the card;
``agreement``: sameness of habits times ``size`` / 8, because many alike say more than a few; ``evenness``,
``partition``, ``work_evenness``, ``reworded``, ``sleepless`` and ``GROUP_PATTERNS`` as in :func:`measure_extraction`.
"""

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
    "sleepless",
    "reworded",
    "work_evenness",
    "common_work",
    "partition",
    "volume",
    "limited",
    "young",
    "own_queue",
    "work_list",
    "replacement",
)
"""See :func:`measure_extraction`; of all that the accounts send. Joint pauses stay out: a hackathon pauses together,
too. Hand-overs count as far as the work is the group's own (``own_queue``): by themselves they say that one queue feeds
the accounts, and a resale pool has one."""

SLICE_FEATURES: Final = (
    "volume",
    "exclusive",
    "created",
    "young",
    "reworded",
    "work_evenness",
    "common_work",
    "partition",
    "own_queue",
    "work_list",
    "replacement",
    *OWN_FEATURES,
)
"""What the verdict over the group's own work looks at: nothing here falls when its accounts send other things, too. See
:func:`measure_extraction` and :func:`linkage.clusters.slices.measure_slices`."""

CONTENT_KINDS: Final = ("template", "template_family")
"""Kinds of value that stand for work."""

MEASURED: Final = tuple(dict.fromkeys((*EXTRACTION_FEATURES, *GROUP_PATTERNS, *SLICE_FEATURES)))
"""What :func:`measure_extraction` gives."""

UNKNOWN: Final = {
    "output": 0.5,
    "templated": 0.5,
    "distinct": 0.95,
    "created": 0.6,
    "young": 0.5,
    "round_clock": 0.95,
    "sleepless": 0.6,
    "partition": 0.85,
    "limited": 0.0,
    **UNTOLD,
}
"""Value of a feature that the input cannot tell: between campaigns and innocents, so that a missing
field neither frees a campaign nor accuses a workshop (chosen on simulated worlds, 2026-11-24)."""

UNTOLD_SPREAD: Final = 0.11
"""Spread of a habit nobody tells: between that of alike accounts and of strangers (tried 0.06 to 0.18, 2026-11-24)."""

COMMON_SHARE: Final = 0.3
"""Share of a group that must use a family of templates for it to be the group's."""


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
    voices, beside = hear_voices(matrix, families)
    ordered = np.sort(voices[members], axis=1)[:, ::-1]
    second = ordered[:, 1] if ordered.shape[1] > 1 else np.zeros(len(members))
    ties = {"strength": ordered.sum(axis=1), "second": second, "software": beside[members]}
    frame = pd.DataFrame({"group": group[members], **{name: bits / 10 for name, bits in ties.items()}})
    medians = frame.groupby("group").median().reindex(range(groups), fill_value=0.0)
    shares = linked_shares(voices, group, groups=groups, linked_bits=linked_bits)
    size = np.log2(np.maximum(np.bincount(group[members], minlength=groups), 1))
    return pd.DataFrame(
        {
            "strength": np.minimum(medians["strength"].to_numpy(), 4.0),
            "second": medians["second"].to_numpy(),
            "software": medians["software"].to_numpy(),
            "voices": (shares >= linked_share).sum(axis=1).astype(np.float64),
            "size": size,
            "evenness": extraction["evenness"].to_numpy(),
            "partition": extraction["partition"].to_numpy(),
            "paid": _mean_tie(mine, group[members], groups, families=families, family="payment"),
            "agreement": extraction["sameness"].to_numpy(dtype=np.float64) * size / 8,
            **{
                name: extraction[name].to_numpy()
                for name in ("work_evenness", "reworded", "sleepless", *GROUP_PATTERNS)
            },
        }
    )


def hear_voices(matrix: Numbers, families: Sequence[str]) -> tuple[Numbers, Numbers]:
    """Ties with the families of :data:`SOFTWARE` as one voice, and what those tie beside the best of them.

    Parameters
    ----------
    matrix : ties in bits, accounts x families.
    families : names of its columns.

    Returns
    -------
    Accounts x voices, the software's first; accounts.
    """
    is_software = np.isin(families, SOFTWARE)
    software = matrix[:, is_software]
    best = software.max(axis=1, initial=0.0)
    return np.column_stack([best, matrix[:, ~is_software]]), software.sum(axis=1) - best


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
    own_items: pd.DataFrame | None = None,
    works: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row per group with the columns ``MEASURED``, each from 0 to about 1.

    ``output``: mean rank of members' output length among all accounts; ``templated``: mean rank of
    their share of requests with a template, by requests; ``shared_work``: share of requests with a template that a
    tenth of the fellows use too; ``joint_volume``: how many typical accounts those requests would keep busy;
    ``exclusive``: share of those templates' accounts that are in the group; ``reworded``: how far they share families
    of templates but not the templates; ``work_evenness``: how equal the accounts' volumes in what they share so;
    ``common_work``: mean rank of that volume among what all accounts send with a template;
    ``sameness``: how close members' habits are; ``evenness``: how equal their volumes; ``created``: how close
    their creations; ``distinct``: prompts not asked twice; ``round_clock``: evenness over hours of the day;
    ``partition``: how far items are from being everybody's; ``volume``: joint requests against one typical account;
    ``sleepless``: how far each account for itself works at all hours of the day; ``limited``: requests turned away at a
    limit; ``young``: first used soon after creation;
    ``own_queue``: ``hand_over`` times ``exclusive``; ``GROUP_PATTERNS``: from ``patterns``, the bits of each account
    per kind. ``own_items`` (shape ``OWN_ITEMS``) are items of one account alone that ``items`` does not list.
    :data:`OWN_FEATURES` are those of ``works`` (shape ``WORKS``); None: nobody knows of any.
    """
    habits = conduct.set_index("account_id").reindex(accounts["account_id"])
    bits = {name: _mean(patterns[name] / 10, group, groups, unknown=0.0) for name in GROUP_PATTERNS}
    features = {
        **_habit_features(habits, group, groups),
        **_time_features(accounts, hours, group, groups),
        **_work_features(incidence, group, groups, evidence, accounts, habits["templated_count"]),
        "partition": _partition(items, own_items, incidence.accounts, group, groups),
        **bits,
        **measure_slices(
            make_frame(WORKS) if works is None else works, group, accounts=accounts, conduct=conduct, groups=groups
        ),
    }
    features["own_queue"] = bits["hand_over"] * features["exclusive"]
    return pd.DataFrame({name: features[name] for name in MEASURED})


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
    ranked = [mid_ranks(habit) for habit in (column("log_output_mean"), column("log_input_mean"), templated)]
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
    code = codes_of(hours["account_id"], pd.Index(accounts["account_id"]))
    known = (code >= 0) & (group[code] >= 0)
    code, clock = code[known], hours["hour_at"][known].dt.hour.to_numpy().astype(np.int64)
    requests = hours["request_count"].to_numpy(dtype=np.float64)[known]
    return {
        "young": _mean(young, group, groups, unknown=UNKNOWN["young"]),
        "created": _mean(close, group, groups, unknown=UNKNOWN["created"]),
        "round_clock": _round_clock(clock, requests, group[code], groups),
        "sleepless": _sleepless(code, clock, group, groups),
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


def _round_clock(clock: Codes, requests: Numbers, mine: Codes, groups: int) -> Numbers:
    """Entropy of requests over the hours of the day, 1 when they are equal.

    Parameters
    ----------
    clock, requests, mine : hour of the day, requests and group of each busy hour of an account.
    """
    counts = np.zeros((groups, 24))
    np.add.at(counts, (mine, clock), requests)
    return np.where(counts.sum(axis=1) > 0, hour_entropy(counts), UNKNOWN["round_clock"])


def _sleepless(code: Codes, clock: Codes, group: Codes, groups: int) -> Numbers:
    """How little accounts keep to hours of their own, the mean: 1 when the hour says nothing, 0 for one hour a day.

    Parameters
    ----------
    code, clock : account and hour of the day of each busy hour of an account in a group.
    """
    angle = clock * (2 * np.pi / 24)
    busy = np.bincount(code, minlength=len(group)).astype(np.float64)
    east = np.bincount(code, weights=np.cos(angle), minlength=len(group))
    north = np.bincount(code, weights=np.sin(angle), minlength=len(group))
    length = squared_length(busy, east, north)
    # Accounts of many busy hours are known better.
    square = _mean(length, group, groups, unknown=(1 - UNKNOWN["sleepless"]) ** 2, weight=np.sqrt(busy))
    return np.asarray(1 - np.sqrt(np.clip(square, 0.0, 1.0)), dtype=np.float64)


def _work_features(
    incidence: Incidence,
    group: Codes,
    groups: int,
    evidence: pd.DataFrame,
    accounts: pd.DataFrame,
    templated: pd.Series[float],
) -> dict[str, Numbers]:
    """What the templates shared inside each group make up: of its traffic, in volume, and who else has them."""
    of_work = incidence.table["kind"].isin(list(CONTENT_KINDS)).to_numpy(dtype=bool)
    inside = incidence.uses_inside(group)
    inside = inside[of_work[incidence.value[inside]]]
    account, value = incidence.account[inside].astype(np.int64), incidence.value[inside].astype(np.int64)
    rows = pd.DataFrame({"group": group[account], "account": account, "value": value})
    rows["kind"] = codes_of(incidence.table["kind"], pd.Index(CONTENT_KINDS))[value]
    rows["requests"] = evidence["request_count"].to_numpy()[inside].astype(np.float64)
    size = np.bincount(group[group >= 0], minlength=groups)
    rows["users"] = rows.groupby(["group", "value"])["requests"].transform("size")
    needed = np.maximum(2, SHARED_SHARE * size[rows["group"].to_numpy(dtype=np.int64)])
    shared = rows.loc[rows["users"] >= needed]
    everybody = incidence.table["accounts"].to_numpy(dtype=np.float64)[shared["value"].to_numpy(dtype=np.int64)]
    shared = shared.assign(alone=shared["requests"] * shared["users"] / everybody)
    common = shared.loc[shared["users"] >= COMMON_SHARE * size[shared["group"].to_numpy(dtype=np.int64)]]
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
        **_common_work(common, group, groups, np.asarray(templated, dtype=np.float64)),
    }


def _common_work(common: pd.DataFrame, group: Codes, groups: int, templated: Numbers) -> dict[str, Numbers]:
    """What a group does with the templates and families that :data:`COMMON_SHARE` of its accounts use."""
    volume = common.groupby(["kind", "group"])["requests"].sum()
    by_kind = [
        volume.get(kind, pd.Series(dtype=np.float64)).reindex(range(groups), fill_value=0.0)
        for kind in range(len(CONTENT_KINDS))
    ]
    template, family = (one.to_numpy(dtype=np.float64) for one in by_kind)
    # A template without paraphrases is in no family: in each group that kind counts which covers more of its work.
    work_kind = (family >= template).astype(np.int64)
    work_rows = common.loc[common["kind"].to_numpy() == work_kind[common["group"].to_numpy(dtype=np.int64)]]
    each = work_rows.groupby(["group", "account"])["requests"].sum()
    spread = np.log(each).groupby("group").std().reindex(range(groups)).to_numpy(dtype=np.float64)
    work = np.zeros(len(group))
    np.add.at(work, each.index.get_level_values("account").to_numpy(dtype=np.int64), each.to_numpy(dtype=np.float64))
    everybody = np.sort(np.nan_to_num(templated))
    rank = np.searchsorted(everybody, work, side="left") / max(len(everybody), 1)
    return {
        "common_work": _mean(rank, group, groups, unknown=0.0),
        "reworded": np.clip(1 - template / np.maximum(family, 1), 0, 1) * (family > 0),
        "work_evenness": np.where(np.isfinite(spread), 1 / (1 + np.nan_to_num(spread)), 0.0),
    }


def _partition(
    items: pd.DataFrame, own_items: pd.DataFrame | None, index: pd.Index[str], group: Codes, groups: int
) -> Numbers:
    """How far a group's items are from being everybody's: 1 when no two accounts share one, 0 when all share all.

    The mean over items of ``1 - (accounts that have it - 1) / (accounts with items - 1)``. A work list that is dealt
    out twice over, for checking, still counts as dealt out in a group of many accounts.
    """
    own = np.zeros(len(group), dtype=np.int64)
    if own_items is not None:
        owner = codes_of(own_items["account_id"], index)
        own[owner[owner >= 0]] = own_items["item_count"].to_numpy(dtype=np.int64)[owner >= 0]
    # There are tens of millions of rows: what is asked of accounts is asked of each account once.
    code, ids = text_codes(items["account_id"])
    place = np.arange(len(ids)) if ids.equals(index) else index.get_indexer(ids)
    of_id = np.append(group, -1)[place].astype(np.int32)
    heads = run_starts(code)  # rows of one account stand together
    runs = code[heads]
    listed = np.bincount(runs, weights=np.diff(heads, append=len(code)), minlength=len(ids))
    sent = own + np.bincount(place[place >= 0], weights=listed[place >= 0], minlength=len(group)).astype(np.int64)
    having = np.bincount(group[(sent > 0) & (group >= 0)], minlength=groups)
    distinct = count_distinct(items["item"].to_numpy(dtype=np.int32), of_id[runs], groups=groups, heads=heads)
    rows = np.bincount(of_id[of_id >= 0], weights=listed[of_id >= 0], minlength=groups)
    shared = (rows - distinct) / np.maximum(having - 1, 1)
    total = distinct + np.bincount(group[group >= 0], weights=own[group >= 0], minlength=groups)
    return np.where(having > 1, 1 - shared / np.maximum(total, 1), UNKNOWN["partition"])
