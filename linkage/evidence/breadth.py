"""Values that chance makes broad accounts share: addresses are handed out, and who has hundreds meets others in some.

An account behind a residential proxy gets another address every few requests. Two of them that draw prefixes of their
own from one large pool have one or two in common, and rarity takes each for a find. Who works from one place, or from
one pool with others, has many of its addresses in common with somebody.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from linkage.arrays import Codes, Flags, Small
from linkage.coding import rows_by_code, value_codes
from linkage.kernels import kernel
from linkage.parallel import in_halves
from linkage.sorting import find_place

HANDED_OUT: Final = ("ip", "ip_prefix")
"""Kinds whose values are handed out. Templates are chosen, and many of them are what a shared work list looks like."""

MOST_APART: Final = 32
"""An account with so many values of a kind for each one that it shares with another met it by chance: a shared prefix
is worth five to seven bits, and who looks 32 times finds by chance what is so rare."""

COMPARED: Final = 4
"""Accounts that an account is compared with for each of its values, of all that have it."""


class _Held(NamedTuple):
    """Which accounts have which values of a kind."""

    start: Codes
    """Where the values of each account begin, and the end."""
    value: Small
    """Account by account."""
    first: Codes
    """Where the accounts of each value begin, and the end."""
    account: Small
    """Value by value; ascending."""
    users: Small
    """How many accounts have each value."""


def find_chance_met(evidence: pd.DataFrame, account: Small, *, accounts: int) -> Flags:
    """Which rows are of a value that their account has in common with others by chance alone.

    Of its values of the kind that are as rare or rarer, such an account shares no more than one in ``MOST_APART`` with
    any of those it is compared with.

    Parameters
    ----------
    evidence : ``family``, ``kind``, ``value`` and ``accounts``, how many have the value.
    account : code of each row's account.
    accounts : how many there are.

    Returns
    -------
    A flag for each row. O(rows), and for each row of a broad account O(``COMPARED`` * values of an account).
    """
    met = np.zeros(len(evidence), dtype=np.bool_)
    for kind in HANDED_OUT:
        rows = np.flatnonzero((evidence["kind"] == kind).to_numpy(dtype=bool))
        if len(rows):
            known = evidence.iloc[rows][["family", "kind", "value", "accounts"]]
            met[rows] = _find_met(known, account[rows], accounts)
    return met


def find_own_chance_met(own: pd.DataFrame, others: pd.DataFrame) -> Flags:
    """Which values one account has in common with others by chance alone.

    :func:`find_chance_met` compares it with some of those who have a value, this with all that are listed.

    Parameters
    ----------
    own : ``kind`` and ``accounts`` of each of its values, numbered from 0.
    others : ``row`` of ``own`` and number of an ``account``; a value without any is not met by chance.
    """
    met = np.zeros(len(own), dtype=np.bool_)
    for kind in HANDED_OUT:
        rows = own.index[(own["kind"] == kind) & (own["accounts"] > 1)]
        if len(rows) < MOST_APART:
            continue
        held = others[others["row"].isin(rows)]
        users, accounts = own["accounts"].loc[rows], own["accounts"].reindex(held["row"]).to_numpy()
        for most in sorted(set(users)):
            rare = held[accounts <= most]
            shared = rare.groupby("account").size().reindex(rare["account"]).to_numpy()
            best = pd.Series(shared).groupby(rare["row"].to_numpy()).max()
            asked = best.loc[best.index.isin(users.index[users == most])]
            met[asked.index[asked * MOST_APART <= (users <= most).sum()]] = True
    return met


def _find_met(known: pd.DataFrame, account: Small, accounts: int) -> Flags:
    """The flags of rows of one kind."""
    value = value_codes(known).astype(np.int32)
    users = np.zeros(int(value.max()) + 1, dtype=np.int32)
    users[value] = known["accounts"].to_numpy(dtype=np.int32)
    start, order = rows_by_code(account, count=accounts)
    value = value[order]
    first, having = rows_by_code(value, count=len(users))
    held = _Held(start, value, first, account[order][having], users)
    broad = np.flatnonzero(np.diff(start) >= MOST_APART)
    met = np.zeros(len(known), dtype=np.bool_)
    in_halves(len(broad), lambda part: _flag_met(held, broad[part], np.full(len(users), -1, dtype=np.int32), met))
    flags = np.empty_like(met)
    flags[order] = met
    return flags


@kernel
def _flag_met(held: _Held, broad: Codes, marks: Small, met: Flags) -> None:
    """Fill the flags of the values of some accounts, account by account; ``marks`` is -1 for each value."""
    for account in broad:
        begin, end = held.start[account], held.start[account + 1]
        for place in range(begin, end):
            marks[held.value[place]] = account
        for place in range(begin, end):
            value = held.value[place]
            users = held.users[value]
            rare = 0
            for other in range(begin, end):
                rare += held.users[held.value[other]] <= users
            having = held.account[held.first[value] : held.first[value + 1]]
            mine, compared, most = find_place(having, account), min(COMPARED, having.size - 1), 1
            for turn in range(compared):
                if most * MOST_APART > rare:
                    break
                fellow = having[(mine + 1 + turn * (having.size - 1) // compared) % having.size]
                shared = 0
                for other in range(held.start[fellow], held.start[fellow + 1]):
                    common = held.value[other]
                    shared += marks[common] == account and held.users[common] <= users
                most = max(most, shared)
            met[place] = most * MOST_APART <= rare
