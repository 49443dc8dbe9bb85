"""What the work that is a group's own looks like, apart from all else that its accounts send.

A campaign that mixes bought or harmless traffic in hides in what is measured over all of it. Its own work it cannot
mix: each work counts here by the share of its accounts that are in the group.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
import pandas as pd

from linkage.arrays import Codes, Numbers
from linkage.clusters.clock import hour_entropy, squared_length
from linkage.clusters.reasons import probability_words
from linkage.coding import codes_of, distinct, run_starts, text_codes
from linkage.terms import CLUSTER_STATEMENTS, join_words, make_frame

OWN_FEATURES: Final = (
    "own_output",
    "own_sameness",
    "own_evenness",
    "own_round_clock",
    "own_sleepless",
    "own_volume",
)
"""See :func:`measure_slices`."""

OWN_SHARE: Final = 0.5
"""Share of a work's accounts that must be in the group for its hours to be the group's."""

LEAST_OWN_SHARE: Final = 0.2
"""The same for it to be the group's own work at all: what many strangers do as well is not what makes it a group."""

SHARED_SHARE: Final = 0.1
"""Share of a group, two accounts at least, that must use a work for it to be shared inside the group."""

STRANGERS: Final = 0.29
"""Root mean square distance of random ranks to their mean."""

UNTOLD: Final = {
    "own_output": 0.5,
    "own_sameness": 0.1,
    "own_evenness": 0.4,
    "own_round_clock": 0.9,
    "own_sleepless": 0.6,
    "own_volume": 0.2,
}
"""Values where a slice tells nothing; thin slices lie between these and what they tell."""

LEAST_TOLD: Final = 0.3
"""Probability of extraction by its own work from which on a cluster's statements name that work."""

WORKS_NAMED: Final = 3
"""Works such a statement names, those first that say most."""

_PRIOR_REQUESTS: Final = 20.0
"""Requests with an output length that a slice must have to be believed half."""
_MOST_REQUESTS: Final = 20.0
"""Requests from which on an account's mean output length is known as well as it can be."""
_PRIOR_ACCOUNTS: Final = 4.0
_FEWEST_HOURS: Final = 24


@dataclasses.dataclass(frozen=True)
class _Slices:
    """The rows of work that count, ascending by account and day, with how far each is its group's own."""

    account: Codes
    day: Codes
    share: Numbers
    requests: Numbers
    outputs: Numbers
    log_output: Numbers
    hours: Codes


def measure_slices(
    works: pd.DataFrame, group: Codes, *, accounts: pd.DataFrame, conduct: pd.DataFrame, groups: int
) -> dict[str, Numbers]:
    """Per group the features :data:`OWN_FEATURES`, each from 0 to 1.

    A work counts that a tenth of the members, and at least two, have, who are a fifth of its accounts at least; each
    of its requests counts by the share of the work's accounts that are members. ``own_output``: rank of the members'
    output length in it among that of all accounts in all they send; ``own_sameness``: how close these ranks are;
    ``own_evenness``: how equal their volumes; ``own_round_clock``: evenness over the hours of the day;
    ``own_sleepless``: how far each account for itself does it at all hours; ``own_volume``: how many typical accounts
    it would keep busy. What a slice of few requests tells lies near what is taken of an unknown one.

    Parameters
    ----------
    works : frame of shape ``WORKS``.
    group : group of each account, -1 for none.
    accounts : frame of shape ``ACCOUNTS``; gives the order of ``group``.
    conduct : frame of shape ``CONDUCT``.
    groups : how many there are.
    """
    habits = conduct.set_index("account_id").reindex(accounts["account_id"])
    requests = np.nan_to_num(habits["request_count"].to_numpy(dtype=np.float64))
    rows = _own_rows(works, pd.Index(accounts["account_id"]), group, groups)

    def summed(column: Numbers) -> Numbers:
        return np.asarray(np.bincount(rows.account, weights=rows.share * column, minlength=len(group)), np.float64)

    sent, told, total = summed(rows.requests), summed(rows.outputs), summed(rows.log_output)
    ranked = _rank_outputs(total, told, habits["log_output_mean"].to_numpy(dtype=np.float64))
    weight = np.minimum(told, _MOST_REQUESTS)
    output = _shrunk(ranked, weight, group, groups, UNTOLD["own_output"], prior=_PRIOR_REQUESTS)
    center = np.append(_shrunk(ranked, weight, group, groups, UNTOLD["own_output"]), 0.5)
    gap = np.where(told >= 2, (ranked - center[group]) ** 2, np.nan)
    spread = np.sqrt(_shrunk(gap, weight, group, groups, STRANGERS**2, prior=_PRIOR_REQUESTS))
    own = _sum_by(sent, group, groups)
    typical = max(float(np.median(requests[requests > 0])) if (requests > 0).any() else 1.0, 1.0)
    return {
        "own_output": output,
        "own_sameness": 1 - np.minimum(spread / STRANGERS, 1.0),
        "own_evenness": _evenness(sent, group, groups),
        **_hour_features(rows, group, groups),
        "own_volume": np.clip(np.log10(1 + own / typical) / 4, 0, 1),
    }


def _sum_by(values: Numbers, group: Codes, groups: int) -> Numbers:
    return np.asarray(np.bincount(group[group >= 0], weights=values[group >= 0], minlength=groups), np.float64)


def _own_rows(works: pd.DataFrame, index: pd.Index[str], group: Codes, groups: int) -> _Slices:
    code = codes_of(works["account_id"], index)
    work, names = pd.factorize(works["work"])
    known = code >= 0
    pair = distinct(work[known].astype(np.int64) * len(index) + code[known])
    everybody = np.bincount(pair // max(len(index), 1), minlength=max(len(names), 1))
    mine = group[pair % max(len(index), 1)]
    cell = (pair // max(len(index), 1))[mine >= 0] * groups + mine[mine >= 0]
    cells, users = np.unique(cell, return_counts=True)
    size = np.bincount(group[group >= 0], minlength=groups)
    is_common = users >= np.maximum(2, SHARED_SHARE * size[cells % max(groups, 1)])
    share = users / everybody[cells // max(groups, 1)]
    is_own = is_common & (share >= LEAST_OWN_SHARE)
    cells, share = cells[is_own], share[is_own]
    inside = np.flatnonzero(known & (np.append(group, -1)[code] >= 0))
    wanted = work[inside].astype(np.int64) * groups + group[code[inside]]
    place = np.searchsorted(cells, wanted)
    found = (place < len(cells)) & (np.append(cells, -1)[place] == wanted)
    inside, place = inside[found], place[found]
    day = works["day"].to_numpy(dtype=np.int64)[inside]
    order = np.lexsort((day, code[inside]))
    inside, place, day = inside[order], place[order], day[order]
    return _Slices(
        account=code[inside],
        day=day,
        share=share[place],
        requests=works["request_count"].to_numpy(dtype=np.float64)[inside],
        outputs=works["output_count"].to_numpy(dtype=np.float64)[inside],
        log_output=works["log_output_micros"].to_numpy(dtype=np.float64)[inside] / 1e6,
        hours=works["hours"].to_numpy(dtype=np.int64)[inside],
    )


def _rank_outputs(total: Numbers, told: Numbers, everybody: Numbers) -> Numbers:
    """Mid-rank, 0 to 1, of each account's mean output in its own work among the means of all accounts."""
    means = np.sort(everybody[np.isfinite(everybody)])
    mean = np.divide(total, told, out=np.full(len(told), np.nan), where=told > 0)
    sides = [np.searchsorted(means, np.nan_to_num(mean), side) for side in ("left", "right")]
    return np.where(np.isfinite(mean) & (len(means) > 0), (sides[0] + sides[1]) / 2 / max(len(means), 1), np.nan)


def _shrunk(
    values: Numbers, weight: Numbers, group: Codes, groups: int, unknown: float, *, prior: float = 0.0
) -> Numbers:
    """Weighted mean per group of what is known, with ``unknown`` counted in at weight ``prior``."""
    known = np.isfinite(values) & (group >= 0) & (weight > 0)
    total = np.bincount(group[known], weights=(values * weight)[known], minlength=groups) + prior * unknown
    count = np.bincount(group[known], weights=weight[known], minlength=groups) + prior
    return np.where(count > 0, total / np.maximum(count, 1e-9), unknown)


def _evenness(sent: Numbers, group: Codes, groups: int) -> Numbers:
    logs = np.log(np.where(sent > 0, sent, np.nan))
    ones = np.ones(len(sent))
    center = np.append(_shrunk(logs, ones, group, groups, 0.0), 0.0)
    # One account that tells of volumes as far apart as e to the third is counted in.
    return np.asarray(1 / (1 + np.sqrt(_shrunk((logs - center[group]) ** 2, ones, group, groups, 9.0, prior=1.0))))


def _hour_features(rows: _Slices, group: Codes, groups: int) -> dict[str, Numbers]:
    """Evenness over the day of the hours in which a group does its own work, together and each account for itself."""
    own = rows.share >= OWN_SHARE
    account, hours = rows.account[own], rows.hours[own]
    starts = run_starts(account, rows.day[own])
    masks = np.bitwise_or.reduceat(hours, starts) if len(starts) else hours
    busy = (masks[:, None] >> np.arange(24)) & 1
    account = account[starts]
    counts = np.zeros((groups, 24))
    np.add.at(counts, group[account], busy)
    total = counts.sum(axis=1)
    angle = np.arange(24) * (2 * np.pi / 24)
    number, east, north = (
        np.bincount(account, weights=busy @ column, minlength=len(group))
        for column in (np.ones(24), np.cos(angle), np.sin(angle))
    )
    square = squared_length(number, east, north)
    unknown = (1 - UNTOLD["own_sleepless"]) ** 2
    length = _shrunk(square, np.sqrt(number), group, groups, unknown, prior=_PRIOR_ACCOUNTS)
    return {
        "own_round_clock": np.where(total > _FEWEST_HOURS, hour_entropy(counts), UNTOLD["own_round_clock"]),
        "own_sleepless": 1 - np.sqrt(np.clip(length, 0.0, 1.0)),
    }


def tell_slices(
    members: pd.DataFrame, works: pd.DataFrame, *, groups: pd.DataFrame, assigned: pd.DataFrame
) -> pd.DataFrame:
    """A sentence per cluster whose own work reads more like extraction than all that its accounts send.

    Parameters
    ----------
    members : frame of shape ``MEMBERS``.
    works : frame of shape ``WORKS``.
    groups, assigned : of :class:`linkage.clusters.verdicts.Verdicts`.

    Returns
    -------
    DataFrame of shape ``CLUSTER_STATEMENTS``; topic ``extraction``; the rows behind it are the works.
    """
    judged = groups[groups["slice_probability"] > groups["whole_probability"]]
    judged = judged[judged["slice_probability"] >= LEAST_TOLD]
    columns = (judged[name].tolist() for name in ("community", "slice_probability", "whole_probability"))
    both = {community: told for community, *told in zip(*columns, strict=True)}
    firm = members.loc[members["membership"] != "bystander", ["account_id", "cluster_id", "requests"]]
    firm = firm.merge(assigned[assigned["community"].isin(list(both))], on="account_id")
    groups_of = ["cluster_id", "community"]
    shared = dict(list(_count_works(firm, works).groupby(groups_of)))
    rows: list[tuple[str, ...]] = []
    for (cluster, community), part in firm.groupby(groups_of):
        table = shared.get((cluster, community), pd.DataFrame({"members": [], "accounts": []}))
        is_shared = table["members"] >= np.maximum(2, SHARED_SHARE * len(part))
        table = table[is_shared & (table["members"] >= LEAST_OWN_SHARE * table["accounts"])]
        if len(table):
            said, behind = _name_works(table, int(part["requests"].sum()))
            own_probability, whole_probability = both[community]
            said += (
                f" By itself it reads as extraction with {probability_words(own_probability)}, all that they send with "
                f"{probability_words(whole_probability).removeprefix('probability ')}."
            )
            rows.append((str(cluster), "extraction", said, "cluster_shared_values", behind))
    made = dict(zip(CLUSTER_STATEMENTS, zip(*rows, strict=True), strict=True)) if rows else None
    return make_frame(CLUSTER_STATEMENTS, made)


def _count_works(firm: pd.DataFrame, works: pd.DataFrame) -> pd.DataFrame:
    """Per cluster, community and work: ``kind``, ``work``, its ``members``, their ``requests``, and all ``accounts``.

    Parameters
    ----------
    firm : ``account_id``, ``cluster_id`` and ``community`` of members.
    works : frame of shape ``WORKS``.
    """
    (account, _), (kind, kinds), (work, names) = (text_codes(works[name]) for name in ("account_id", "kind", "work"))
    owned = distinct((account.astype(np.int64) * len(kinds) + kind) * len(names) + work)
    accounts = np.bincount(owned % max(len(names), 1), minlength=len(names))
    place = codes_of(works["account_id"], pd.Index(firm["account_id"]))
    columns = {"member": place, "kind": kind, "work": work, "requests": works["request_count"].to_numpy()}
    rows = pd.DataFrame(columns)[place >= 0]
    each = rows.groupby(["member", "kind", "work"], as_index=False)["requests"].sum()
    each = each.assign(**{name: firm[name].array.take(each["member"]) for name in ("cluster_id", "community")})
    table = each.groupby(["cluster_id", "community", "kind", "work"], as_index=False).agg(
        members=("member", "size"), requests=("requests", "sum")
    )
    number = table["work"].to_numpy(dtype=np.int64)
    named = {"kind": kinds.take(table["kind"].to_numpy(dtype=np.int64)), "work": names.take(number)}
    return pd.DataFrame({**table, **named, "accounts": accounts[number]})


def _name_works(table: pd.DataFrame, requests: int) -> tuple[str, str]:
    """What works of a group are said to be, and the rows behind it.

    Parameters
    ----------
    table : ``kind``, ``work``, ``members``, ``accounts`` and ``requests`` of each.
    requests : all that the members sent.
    """
    weight = table["requests"] * table["members"] / table["accounts"]
    rows = table.assign(weight=-weight).sort_values(["weight", "work"]).head(WORKS_NAMED)
    columns = (rows[name].tolist() for name in ("kind", "work", "members", "accounts"))
    listed, behind = [], []
    for kind, work, members, accounts in zip(*columns, strict=True):
        listed.append(f"{kind.replace('_', ' ')} {work} ({members:,} of the {accounts:,} accounts that have it)")
        behind.append(f"{kind}={work}")
    said = (
        f"The verdict is of their own work, {rows['requests'].sum():,} of their {requests:,} requests in "
        f"{join_words(listed)}."
    )
    return said, "; ".join(behind)
