"""Rhythm: accounts that are on and off together, and work that goes from one account to the next.

Two patterns of a group. **Hand-over**: a rare piece of work (an item on two accounts in all) appears at a second
account minutes after the first, as when a job refused at the quota edge is given to the next account. The null
keeps each account's hours of the day and its volume per day: two accounts that happen to work at one hour do so on
the same day as often as their days agree, and no more. **Joint pauses**: within the days on which accounts work,
they are on and off in the same hours. The null keeps each account's volume per day, its hours of the day and the
population's trend per hour (outages, release days, deadlines), and shuffles its days.

Both follow the idea of Pacheco et al. 2021, "Uncovering coordinated networks on social media",
doi:10.1609/icwsm.v15i1.18075 (improbable agreement in time), with nulls that condition on volume as in
Maris and Oostenveld 2007, doi:10.1016/j.jneumeth.2007.03.024 (permutation within units).

Weak where an event gives many people the same hours (a hackathon, a live class), and where jobs start at the
full hour: hours do not tell minutes apart. A relay of many people pauses with its machine.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtr

from linkage.arrays import Codes, Numbers, Small
from linkage.coding import codes_of, text_codes
from linkage.evidence.nulls import TESTED_ACCOUNTS, binomial_tail, chance_bits, found_frame, group_codes, none_found
from linkage.kernels import kernel
from linkage.terms import DAY_MS, GROUP_RELATIONS, HOUR_MS, OTHER_ITEMS, make_frame

HAND_OVER: Final = "hand_over"
"""Kind of a hand-over of work."""

PAUSES: Final = "joint_pauses"
"""Kind of joint pauses."""

HAND_OVER_MS: Final = 360_000
"""Work that reaches a second account within six minutes was handed over: of the items two strangers have in common,
fewer than 1 in 100 come so soon (4 simulated worlds, 2026-11-24)."""

FED_SHARE: Final = 0.5
"""Of what two groups sent at one time of day and chance would not put on one day, the share that must be handed over
for one queue to feed both. Fellows of one queue have 0.97; two campaigns of thousands with a few accounts in the wrong
one had 0.14, and 122 hand-overs, which no chance explains (16 million requests, 2026-12-01)."""

PROFILE_HOURS: Final = 3.0
"""Hours of the population's day that are added to each account's own hours of the day."""

TREND_ACCOUNTS: Final = 10.0
"""Accounts at work that are added to every hour, so that a handful of others is no trend."""

LEAST_DAYS: Final = 3
"""Days at work from which on an account has a rhythm."""

LEAST_HOURS: Final = 8
"""Hours at work from which on an account has a rhythm."""

MOST_RESIDUAL: Final = 4.0
"""One odd hour counts for no more standard deviations than this."""

SHUFFLES: Final = 30
"""Draws of the null; its tail is Student's t with one degree of freedom fewer."""

_AGREEMENT: Final = {"tried": ("soon", "size"), "soon": ("soon", "sum"), "chance": ("chance", "mean")}

FITS: Final = 4
"""Rounds of proportional fitting; later ones change expectations by less than 0.01."""


def find_hand_overs(groups: pd.DataFrame, *, passed: pd.DataFrame) -> pd.DataFrame:
    """Accounts of a group that pass rare work on to each other within minutes.

    Parameters
    ----------
    groups : frame of shape ``GROUPS``.
    passed : as from :func:`find_passed_items`.

    Returns
    -------
    DataFrame of shape ``FOUND``: the family is ``rhythm``, ``request_count`` how many hand-overs the account was
    part of. O(rows of ``passed``).
    """
    passed = _between_groups(passed, groups)
    passed = passed.loc[passed["group_a"] == passed["group_b"]].assign(group=passed["group_a"])
    if passed.empty:
        return none_found()
    ends = pd.concat([passed.assign(account_id=passed[end]) for end in ("giver", "taker")], ignore_index=True)
    whole = passed.groupby("group").agg(**_AGREEMENT)
    own = ends.groupby(["group", "account_id"]).agg(**_AGREEMENT, first_at=("at", "min"), last_at=("at", "max"))
    own = own.reset_index()
    tries = float(groups["group"].nunique())
    group_bits = pd.Series(_agreement_bits(whole, tries=tries), index=whole.index)
    own["bits"] = np.minimum(_agreement_bits(own, tries=1.0), own["group"].map(group_bits).to_numpy(dtype=np.float64))
    return found_frame(own.rename(columns={"soon": "request_count"}), family="rhythm", kind=HAND_OVER)


def relate_groups(groups: pd.DataFrame, *, passed: pd.DataFrame) -> pd.DataFrame:
    """Pairs of groups between which rare work is handed over: one queue feeds both.

    Parameters
    ----------
    groups, passed : as for :func:`find_hand_overs`.

    Returns
    -------
    DataFrame of shape ``GROUP_RELATIONS``, sorted; every pair with work in common is one more try. A pair that hands on
    less than :data:`FED_SHARE` of what it could is left out.
    """
    passed = _between_groups(passed, groups)
    passed = passed.loc[passed["group_a"] != passed["group_b"]]
    low, high = passed[["group_a", "group_b"]].min(axis=1), passed[["group_a", "group_b"]].max(axis=1)
    table = passed.assign(group_a=low, group_b=high).groupby(["group_a", "group_b"], sort=True).agg(**_AGREEMENT)
    table = table.reset_index()
    expected = table["tried"] * table["chance"]
    is_fed = (table["soon"] - expected >= FED_SHARE * (table["tried"] - expected)).to_numpy()
    bits = np.where(is_fed, _agreement_bits(table, tries=float(len(table))), 0.0)
    columns = {"group_a": table["group_a"].array, "group_b": table["group_b"].array, "hand_overs": table["soon"].array}
    made = make_frame(GROUP_RELATIONS, {**columns, "bits": bits})
    return made.loc[made["bits"] > 0].reset_index(drop=True)


def _agreement_bits(table: pd.DataFrame, *, tries: float) -> Numbers:
    """Bits of ``soon`` of ``tried`` agreements or more, each with ``chance``; one agreement says nothing."""
    soon = table["soon"].to_numpy(dtype=np.float64)
    tail = binomial_tail(soon, table["tried"].to_numpy(dtype=np.float64), table["chance"].to_numpy(dtype=np.float64))
    return np.where(soon >= 2, chance_bits(tail, tries=tries), 0.0)


def find_passed_items(
    groups: pd.DataFrame, *, items: pd.DataFrame, hours: pd.DataFrame, other_items: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Items that two accounts of groups, and no others, sent at one time of day.

    Parameters
    ----------
    groups : frame of shape ``GROUPS``; which of them an account is in does not matter.
    items : frame of shape ``ITEMS``; those that exactly two accounts have are looked at.
    hours : frame of shape ``HOURS``; gives each account's volume per day.
    other_items : frame of shape ``OTHER_ITEMS``: who else has items of ``items``; None: nobody.

    Returns
    -------
    DataFrame of ``giver, at, taker, again`` (who sent it first, who next), ``soon`` (both on one day) and ``chance``
    (that both are on one day, given how their volumes lie over the days); items that one request carries together are
    one row. O(items).
    """
    inside = group_codes(groups, items["account_id"]) >= 0
    at = items["first_at"].to_numpy(dtype="datetime64[ms]").view(np.int64)
    elsewhere = make_frame(OTHER_ITEMS) if other_items is None else other_items
    giver, taker = _rows_of_two(inside, *(frame["item"].to_numpy(dtype=np.int32) for frame in (items, elsewhere)))
    later = at[giver] > at[taker]
    giver, taker = np.where(later, taker, giver), np.where(later, giver, taker)
    gap = at[taker] - at[giver]
    near = gap % DAY_MS <= HAND_OVER_MS
    giver, taker, gap = giver[near], taker[near], gap[near]
    names = items["account_id"].array
    frame = pd.DataFrame(
        {
            "giver": pd.Series(names[giver], dtype="str"),
            "taker": pd.Series(names[taker], dtype="str"),
            "at": items["first_at"].array[giver],
            "soon": gap <= HAND_OVER_MS,
            "again": items["first_at"].array[taker],
        }
    )
    frame = frame.drop_duplicates(["giver", "taker", "at", "again"], ignore_index=True)
    return frame.assign(chance=_same_day_chance(frame, hours))


def _between_groups(passed: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Passed items with the groups of who gave and who took, ``group_a`` and ``group_b``."""
    number = {name: group_codes(groups, passed[end]) for name, end in (("group_a", "giver"), ("group_b", "taker"))}
    passed = passed.assign(**number)
    return passed.loc[(passed["group_a"] >= 0) & (passed["group_b"] >= 0)]


def _rows_of_two(inside: npt.NDArray[np.bool_], item: Small, elsewhere: Small) -> tuple[Small, Small]:
    """Of each item that two rows are of, both inside, and no third, the one and the other, by item.

    Parameters
    ----------
    inside, item : of each row.
    elsewhere : items of other rows; -1 is none.
    """
    count = int(item.max(initial=-1)) + 1
    one, other = (np.full(count, -1, dtype=np.int32) for _ in range(2))
    _find_two(inside, item, elsewhere, np.zeros(count, dtype=np.uint8), one, other)
    both = other >= 0
    return one[both], other[both]


@kernel
def _find_two(
    inside: npt.NDArray[np.bool_],
    item: Small,
    elsewhere: Small,
    holders: npt.NDArray[np.uint8],
    one: Small,
    other: Small,
) -> None:
    """Write the two rows of each item that has two and no others, both inside.

    Parameters
    ----------
    holders : a zero for each item; how many rows have it, 3 for more.
    """
    for number in elsewhere:
        if 0 <= number < holders.size:
            holders[number] = min(holders[number] + 1, 3)
    for number in item:
        holders[number] = min(holders[number] + 1, 3)
    for row in range(item.size):
        if holders[item[row]] == 2 and inside[row]:
            if one[item[row]] < 0:
                one[item[row]] = row
            else:
                other[item[row]] = row


def _same_day_chance(passed: pd.DataFrame, hours: pd.DataFrame) -> Numbers:
    """Per row, how often the taker's day is the giver's, given that it is not earlier and their volumes per day."""
    wanted = pd.Index(pd.unique(pd.concat([passed["giver"], passed["taker"]])))
    code = codes_of(hours["account_id"], wanted)
    mine = code >= 0
    day = (hours["hour_at"].to_numpy(dtype="datetime64[ms]").astype(np.int64) // DAY_MS)[mine]
    if not len(day):
        return np.ones(len(passed))
    volume = np.zeros((len(wanted), int(day.max() - day.min()) + 1))
    np.add.at(volume, (code[mine], day - day.min()), hours["request_count"].to_numpy(dtype=np.float64)[mine])
    share = volume / np.maximum(volume.sum(axis=1, keepdims=True), 1.0)
    later = np.cumsum(share[:, ::-1], axis=1)[:, ::-1]
    giver, taker = wanted.get_indexer(passed["giver"]), wanted.get_indexer(passed["taker"])
    pairs, row = np.unique(giver * len(wanted) + taker, return_inverse=True)
    giver, taker = np.divmod(pairs, len(wanted))
    same = (share[giver] * share[taker]).sum(axis=1)
    not_earlier = (share[giver] * later[taker]).sum(axis=1)
    chance = np.where(not_earlier > 0, same / np.maximum(not_earlier, 1e-9), 1.0)
    return np.asarray(np.clip(chance, 0.0, 1.0)[row], dtype=np.float64)


def find_joint_pauses(groups: pd.DataFrame, *, hours: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Accounts of a group that are on and off in the same hours of their days.

    Parameters
    ----------
    groups : frame of shape ``GROUPS``; of a group, at most ``TESTED_ACCOUNTS`` with the most hours are looked at.
    hours : frame of shape ``HOURS`` of all accounts; gives the population's trend, too.
    seed : of the shuffled days.

    Returns
    -------
    DataFrame of shape ``FOUND``: the family is ``rhythm``, ``request_count`` the account's hours at work.
    O(accounts in groups * hours of the window * SHUFFLES).
    """
    number = group_codes(groups, hours["account_id"])
    if not (number >= 0).any():
        return none_found()
    rows, active = _place_hours(hours, number)
    rows, spans = _with_rhythm(rows)
    spans = spans.assign(account_id=text_codes(hours["account_id"])[1].take(spans["account"].to_numpy()))
    tries = float(max(groups["group"].nunique(), 1))
    draw = np.random.default_rng(seed)
    parts = [none_found()]
    for number_of, mine in rows.groupby("group", sort=True):
        bits = _pauses_of_group(mine, active, draw, tries=tries)
        parts.append(
            found_frame(spans.loc[spans["group"] == number_of].assign(bits=bits), family="rhythm", kind=PAUSES)
        )
    return pd.concat(parts, ignore_index=True)


def _place_hours(hours: pd.DataFrame, number: Small) -> tuple[pd.DataFrame, Numbers]:
    """The hours of accounts that are in a group, and how many of all accounts are at work in each, days x 24.

    Parameters
    ----------
    number : group of each row, -1 for none.
    """
    at = hours["hour_at"].to_numpy(dtype="datetime64[ms]").view(np.int64)
    first = int(at.min()) // HOUR_MS // 24 * 24
    place = (at // HOUR_MS - first).astype(np.int32)
    days = int(place.max()) // 24 + 1
    active = np.bincount(place, minlength=24 * days).astype(np.float64).reshape(days, 24)
    inside = np.flatnonzero(number >= 0)
    columns = {"group": number, "account": text_codes(hours["account_id"])[0], "place": place}
    rows = {name: column[inside] for name, column in columns.items()}
    return pd.DataFrame({**rows, "hour_at": hours["hour_at"].array[inside]}, copy=False), active


def _with_rhythm(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hours of accounts that have a rhythm, with a code per account of its group, and one row per such account."""
    spans = rows.groupby(["group", "account"], sort=True).agg(
        request_count=("place", "size"), first_at=("hour_at", "min"), last_at=("hour_at", "max")
    )
    day = rows["place"] // 24
    spans["days"] = day.groupby([rows["group"], rows["account"]]).nunique()
    spans = spans.loc[(spans["request_count"] >= LEAST_HOURS) & (spans["days"] >= LEAST_DAYS)].reset_index()
    spans = spans.sort_values(["group", "request_count", "account"], ascending=[True, False, True])
    spans = spans.loc[spans.groupby("group")["account"].transform("size") >= 3]
    spans["code"] = spans.groupby("group").cumcount()
    spans = spans.loc[spans["code"] < TESTED_ACCOUNTS].reset_index(drop=True)
    code = np.full(int(rows["account"].max()) + 1, -1, dtype=np.int32)  # an account is in one group only
    code[spans["account"].to_numpy()] = spans["code"]
    rows = rows.assign(code=code[rows["account"].to_numpy()])
    return rows.loc[rows["code"] >= 0, ["group", "code", "place"]], spans


def _pauses_of_group(rows: pd.DataFrame, active: Numbers, draw: np.random.Generator, *, tries: float) -> Numbers:
    """Bits of each account of one group, in the order of its codes."""
    code, place = rows["code"].to_numpy(dtype=np.int64), rows["place"].to_numpy(dtype=np.int64)
    at_work = np.zeros((int(code.max()) + 1, *active.shape))
    at_work[code, place // 24, place % 24] = 1.0
    residual = _residuals(at_work, np.maximum(active - at_work.sum(axis=0), 0.0))
    whole, own = _compare_with_shuffled(residual, np.asarray(at_work.any(axis=2)), draw)
    group_bits = chance_bits(stdtr(SHUFFLES - 1, -whole), tries=tries)
    return np.minimum(chance_bits(stdtr(SHUFFLES - 1, -own)), group_bits)


def _residuals(at_work: Numbers, active: Numbers) -> Numbers:
    """How much more each account is at work in each hour than its days, its hours of the day and the trend say.

    Parameters
    ----------
    at_work : accounts x days x 24, 1 where an account is at work.
    active : accounts outside the group at work, days x 24.

    Returns
    -------
    Array like ``at_work`` (accounts x days x 24), in standard deviations; 0 on days the account is off.
    """
    population = active.sum(axis=0) / max(active.sum(), 1.0)
    trend = (active + TREND_ACCOUNTS) / (active.mean(axis=0, keepdims=True) + TREND_ACCOUNTS)
    by_day, by_hour = at_work.sum(axis=2), at_work.sum(axis=1)
    total = by_hour.sum(axis=1, keepdims=True)
    wanted = (by_hour + PROFILE_HOURS * population) * total / (total + PROFILE_HOURS)
    expected = wanted[:, None, :] * trend[None]
    for _ in range(FITS):
        expected = np.minimum(expected * (wanted / np.maximum(expected.sum(axis=1), 1e-9))[:, None, :], 0.97)
        expected = np.minimum(expected * (by_day / np.maximum(expected.sum(axis=2), 1e-9))[:, :, None], 0.97)
    deviation = np.sqrt(np.maximum(expected * (1 - expected), 0.01))
    residual = np.clip((at_work - expected) / deviation, -MOST_RESIDUAL, MOST_RESIDUAL)
    return np.where(by_day[:, :, None] > 0, residual, 0.0)


def _compare_with_shuffled(
    residual: Numbers, on: npt.NDArray[np.bool_], draw: np.random.Generator
) -> tuple[float, Numbers]:
    """Agreement of the group and of each account with the others, in standard deviations of the null."""
    real = _agreements(residual)
    null = np.array([_agreements(_shuffle_days(residual, on, draw)) for _ in range(SHUFFLES)])
    own = (real - null.mean(axis=0)) / np.maximum(null.std(axis=0), 1e-9)
    totals = null.sum(axis=1)
    whole = float((real.sum() - totals.mean()) / max(float(totals.std()), 1e-9))
    return whole, own


def _agreements(residual: Numbers) -> Numbers:
    flat = residual.reshape(len(residual), -1)
    return np.asarray(flat @ flat.sum(axis=0) - (flat**2).sum(axis=1), dtype=np.float64)


def _shuffle_days(residual: Numbers, on: npt.NDArray[np.bool_], draw: np.random.Generator) -> Numbers:
    """Each account's days at work in another order; days off stay where they are."""
    key = np.where(on, draw.random(on.shape), np.inf)
    source = np.argsort(key, axis=1)
    target = np.argsort(~on, axis=1, kind="stable")
    moved: Codes = np.empty_like(source)
    np.put_along_axis(moved, target, source, axis=1)
    return np.take_along_axis(residual, moved[:, :, None], axis=1)
