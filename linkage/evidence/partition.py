"""Partition: one work list shared out, with improbably little overlap.

Accounts that draw from a public pool on their own (a benchmark, a textbook) meet each other's items now and then;
workers of one list do not. Outsiders who draw from the same pool say how often: they are the accounts outside a group
that have at least two of its items, and one of these is spent on having chosen them. If two fellows met as often
as a fellow and such an outsider do, per pair of items sent, so many repeats inside the group would be expected;
the test is the lower tail of a Poisson law with half that mean (the core prototype took the whole mean). The logic
is that of capture and recapture, Chao 1987, "Estimating the population size for capture-recapture data with
unequal catchability", doi:10.2307/2531532, read backwards: the rate is known, the catch is too small.

Weak where the pool is private: without outsiders nothing is expected and nothing can be told. Popular items make
real people repeat more than the rate says, which only makes the test milder.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numba
import numpy as np
import pandas as pd
from scipy.special import pdtr

from linkage.coding import rows_by_code, text_codes
from linkage.evidence.nulls import (
    Codes,
    Small,
    chance_bits,
    found_frame,
    group_codes,
    none_found,
    rows_by_group,
)
from linkage.parallel import in_threads
from linkage.terms import ITEMS, OTHER_ITEMS, OWN_ITEMS, TEXT, check_frame, make_frame

SHARED_OUT: Final = "work_list"
"""Kind of a work list that is shared out."""

LEAST_OUTSIDERS: Final = 3
"""Outsiders who draw from the same pool, below which no rate is known."""

OUTSIDER_HITS: Final = 2
"""Items of the group an outsider must have to count as drawing from the same pool."""

BOILERPLATE_SHARE: Final = 0.5
"""An item on more of the group's accounts than this is part of a template, not of a work list."""

LITTLE: Final = 0.5
"""Overlap is little below half of what outsiders' draws say: with many items, a small difference of taste is beyond
chance, too (192 users of one benchmark met 0.73 times as often as its outsiders; one simulated world, 2026-11-24)."""

MOST_BOILERPLATE: Final = 0.1
"""A group with more than this share of its uses in such items sends the same work, as a benchmark's users do. In
simulated campaigns the wording they share is 3 in 100 uses (2026-11-24)."""

LEAST_BOILERPLATE: Final = 3
"""An item on fewer accounts than this is never boilerplate, however small the group."""

_PART_ROWS: Final = 4_000_000


def find_shared_out_work(
    groups: pd.DataFrame,
    *,
    items: pd.DataFrame,
    conduct: pd.DataFrame,
    other_items: pd.DataFrame | None = None,
    own_items: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Accounts of a group whose items repeat far less among them than outsiders' draws from the pool say.

    Parameters
    ----------
    groups : frame of shape ``GROUPS``.
    items : frame of shape ``ITEMS`` of all accounts of groups.
    conduct : frame of shape ``CONDUCT``; its templated requests say how many items one request carries, and so
        how many of the repeats are one event.
    other_items : frame of shape ``OTHER_ITEMS``: who else has these items, beside whom ``items`` lists.
    own_items : frame of shape ``OWN_ITEMS``: how many items are in neither.

    Returns
    -------
    DataFrame of shape ``FOUND``: the family is ``partition``, ``request_count`` the account's items.
    O(items + sum over groups of the uses of their items).
    """
    check_frame(items, ITEMS, name="items")
    if items.empty or groups.empty:
        return none_found()
    others = make_frame(OTHER_ITEMS) if other_items is None else other_items
    drawn = _Draws(items, others, make_frame(OWN_ITEMS) if own_items is None else own_items, groups, conduct)
    tries = float(groups["group"].nunique())
    found = in_threads(lambda rows: _test_group(drawn, *rows, tries=tries), rows_by_group(drawn.number))
    return pd.concat([none_found(), *(part for part in found if part is not None)], ignore_index=True)


class _Draws:
    """Who sent which items, as codes; accounts in the order of their ids.

    Parameters
    ----------
    items, other_items, own_items, groups, conduct : as for :func:`find_shared_out_work`.
    """

    def __init__(
        self,
        items: pd.DataFrame,
        other_items: pd.DataFrame,
        own_items: pd.DataFrame,
        groups: pd.DataFrame,
        conduct: pd.DataFrame,
    ) -> None:
        told = [text_codes(frame["account_id"]) for frame in (items, other_items)]
        counts = [np.bincount(codes, minlength=len(ids)) for codes, ids in told]
        named = [ids[count > 0] for count, (_, ids) in zip(counts, told, strict=True)]
        self.names: pd.Index[str] = pd.Index(sorted({*named[0], *named[1], *own_items["account_id"]}), dtype=TEXT)
        listed = np.zeros(len(self.names), dtype=np.int64)
        for count, ids in zip(counts, named, strict=True):
            listed[self.names.get_indexer(ids)] += count[count > 0]
        self._group_of = group_codes(groups, self.names.to_series())
        places = [self.names.get_indexer(ids).astype(np.int32) for _, ids in told]
        account, other = (place[codes] for place, (codes, _) in zip(places, told, strict=True))
        # Of nobody outside of all groups it is asked when an item came.
        mine = np.flatnonzero(self._group_of[account] >= 0)
        self.account, self.number = account[mine], self._group_of[account[mine]]
        self.first_at = items["first_at"].to_numpy(dtype="datetime64[ms]")[mine]
        fingerprints = [frame["item"].to_numpy(dtype=np.int64) for frame in (items, other_items)]
        number, wanted = pd.factorize(fingerprints[0][mine])
        self.item = number.astype(np.int32)
        self._start, self._account_by_item = _gather_holders(wanted, fingerprints, [account, other])
        owner = self.names.get_indexer(pd.Index(own_items["account_id"]))
        self.own = np.zeros(len(self.names), dtype=np.int64)
        self.own[owner] = own_items["item_count"].to_numpy(dtype=np.int64)
        self.own_times = np.full((len(self.names), 2), np.datetime64("NaT", "ms"))
        for column, name in enumerate(("first_at", "last_at")):
            self.own_times[owner, column] = own_items[name].to_numpy(dtype="datetime64[ms]")
        self.volume = listed + self.own
        templated = float(conduct["templated_count"].sum())
        self.carried = max(int(self.volume.sum()) / max(templated, 1.0), 1.0)
        self._holders = dict(rows_by_group(self._group_of))
        self._counted = threading.local()

    def holders_of(self, group: int) -> Codes:
        """Accounts of a group that sent any item, ascending."""
        return self._holders[group]

    def outsiders(self, group: int, wanted: Small, inside: Codes) -> tuple[int, float, int]:
        """Accounts outside a group that have :data:`OUTSIDER_HITS` of the ``wanted`` items.

        How many they are; how often they meet a member of the group in an item, of which ``inside`` have each, less
        the one that was spent on having chosen them; and how many items they sent.
        """
        if not hasattr(self._counted, "by_account"):
            self._counted.by_account = tuple(np.zeros(len(self.names), dtype=np.int64) for _ in range(3))
        by_item = (self._start, self._account_by_item, self._group_of)
        outsiders, spent, sent = _meet(wanted, inside, *by_item, group, self.volume, *self._counted.by_account)
        return int(outsiders), float(spent), int(sent)

    def spans(self, code: Codes, mine: Codes, holders: Codes) -> tuple[Any, Any]:
        """First and last time of the items of each holder: the listed ones, and its own.

        Parameters
        ----------
        code : place among ``holders`` of each of the rows ``mine``.
        """
        first, last = self.own_times[holders].T.copy()
        np.fmin.at(first, code, self.first_at[mine])
        np.fmax.at(last, code, self.first_at[mine])
        return first, last


def _gather_holders(wanted: Codes, items: Sequence[Codes], accounts: Sequence[Small]) -> tuple[Codes, Small]:
    """Where the accounts that have each wanted item begin, and the end; and these accounts.

    Parameters
    ----------
    items, accounts : arrays of one item and one account a row, of two kinds of rows.
    """
    place = np.concatenate([np.empty(0, dtype=np.int32), *_find_places(wanted, items)])
    start, rows = rows_by_code(place, count=len(wanted) + 1)  # the last are of no wanted item
    del place
    return start[:-1], np.concatenate(accounts)[rows[: start[-2]]]


def _find_places(wanted: Codes, items: Sequence[Codes]) -> Iterator[Small]:
    """The place of each item among the wanted ones, or behind them, some rows at a time."""
    known = pd.Index(wanted)
    for item in items:
        for start in range(0, len(item), _PART_ROWS):
            place = known.get_indexer(pd.Index(item[start : start + _PART_ROWS]))
            yield np.where(place < 0, len(wanted), place).astype(np.int32)


@numba.njit(cache=True, nogil=True)
def _meet(
    wanted: Small,
    inside: Codes,
    start: Codes,
    account_by_item: Small,
    group_of: Small,
    group: int,
    volume: Codes,
    hits: Codes,
    met: Codes,
    seen: Codes,
) -> tuple[int, float, int]:
    """What :meth:`_Draws.outsiders` says.

    Popular items are looked up for each group that has them, so this walks instead of sorting. ``hits`` and ``met`` are
    zeros, and are so again at the end.
    """
    found = 0
    for place in range(wanted.size):
        for at in range(start[wanted[place]], start[wanted[place] + 1]):
            account = account_by_item[at]
            if group_of[account] == group:
                continue
            if not hits[account]:
                seen[found] = account
                found += 1
            hits[account] += 1
            met[account] += inside[place]
    outsiders, spent, sent = 0, 0.0, 0
    for account in seen[:found]:
        if hits[account] >= OUTSIDER_HITS:
            outsiders += 1
            spent += met[account] * (1.0 - 1.0 / hits[account])
            sent += volume[account]
        hits[account] = met[account] = 0
    return outsiders, spent, sent


def _test_group(drawn: _Draws, group: int, mine: Codes, *, tries: float) -> pd.DataFrame | None:
    """What the rows ``mine`` of a group show; None: nothing."""
    holders = drawn.holders_of(group)
    wanted, place, users = np.unique(drawn.item[mine], return_inverse=True, return_counts=True)
    common = users > max(BOILERPLATE_SHARE * len(holders), LEAST_BOILERPLATE)
    own = drawn.own[holders]
    if users[common].sum() / (len(mine) + own.sum()) > MOST_BOILERPLATE:
        return None
    mine, place = mine[~common[place]], place[~common[place]]
    outsiders, spent, volume = drawn.outsiders(group, wanted[~common], users[~common])
    # Items in common per pair of items sent, one by the group and one by an outsider.
    rate = spent / max(float(len(mine) + own.sum()) * float(volume), 1.0)
    if outsiders < LEAST_OUTSIDERS or rate <= 0:
        return None
    code = np.searchsorted(holders, drawn.account[mine])
    each = (np.bincount(code, minlength=len(holders)) + own).astype(np.float64)
    met = np.bincount(code, weights=users[place] - 1, minlength=len(holders))
    having = each > 0  # whoever has nothing but boilerplate draws nothing
    expected = LITTLE * rate * each * (each.sum() - each) / drawn.carried
    observed = met / drawn.carried
    whole = pdtr(np.floor(observed[having].sum() / 2), expected[having].sum() / 2)
    group_bits = chance_bits(whole, tries=tries)
    if group_bits <= 0:
        return None
    first_at, last_at = drawn.spans(code, mine, holders)
    rows = pd.DataFrame(
        {
            "group": group,
            "account_id": drawn.names[holders],
            "request_count": each.astype(np.int64),
            "first_at": pd.Series(first_at).dt.tz_localize("UTC"),
            "last_at": pd.Series(last_at).dt.tz_localize("UTC"),
            "bits": np.minimum(chance_bits(pdtr(np.floor(observed), expected)), group_bits),
        }
    )
    return found_frame(rows[having], family="partition", kind=SHARED_OUT)
