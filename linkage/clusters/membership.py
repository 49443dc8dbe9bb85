"""How firmly each account belongs to its group: by its ties, and not because somebody copied its ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from linkage.arrays import Codes, Flags, Numbers
from linkage.clusters.ties import Incidence
from linkage.coding import run_starts
from linkage.settings import VerdictSettings
from linkage.terms import EXCLUSIONS, Exclusion

COPYABLE_FAMILIES: Final = ("network", "content", "contract", "client", "conduct")
"""What somebody can take over from a victim without their help: where, what and how they send."""

ALIKE_SHARE: Final = 0.9
"""Share of the median member's ties, in each family, from which on an account does as the members do."""

OWNED_SHARE: Final = 0.75
"""Share of a template's accounts that must be members for it to be the group's own: an app whose ways are taken over
has customers of its own."""

OWN_SHARE: Final = 0.37
"""Share of an account's bits that counts for its own probability; families that agree partly say the same again."""

OWN_DOUBT_BITS: Final = 2.1
"""What the bits that count must make up for before an account belongs to its group rather than not. Both figures are
learned from the members of clusters in 18 training worlds; how large the group is taught nothing (decision 52)."""


class Standing(NamedTuple):
    """What speaks for each account's membership."""

    belonging: Numbers
    """Ties as a share of the median member's."""
    group: Codes
    """Group of each account that is tied firmly enough; -1 for all others."""
    sure: Numbers
    """Chance that it belongs to its group; of who may have been copied, by what cannot be copied alone."""
    is_untold: Flags
    """Nothing is known of what cannot be copied, and all else is as with the members."""
    excluded: Flags
    """Accounts x ``EXCLUSIONS``: what keeps an account from being a member; one without any is tied firmly enough."""


def find_standing(
    matrix: Numbers,
    whole: Codes,
    *,
    families: Sequence[str],
    incidence: Incidence,
    accounts: pd.DataFrame,
    conduct: pd.DataFrame,
    settings: VerdictSettings,
) -> Standing:
    """What speaks for each account's membership of the group that it was found in.

    Parameters
    ----------
    matrix : ties in bits, accounts x families.
    whole : group of each account, -1 for none.
    families : of the columns of ``matrix``.
    accounts : frame of shape ``ACCOUNTS``.
    conduct : frame of shape ``CONDUCT``: whose prompts are known.
    """
    copyable = np.isin(families, COPYABLE_FAMILIES)
    belonging, excluded = _belonging(matrix, whole, copyable, settings)
    is_framed = excluded[:, EXCLUSIONS.index("copyable")]
    group = np.where(belonging >= settings.probable_share, whole, -1)
    is_idle = (belonging < settings.core_share) & _has_prompts(conduct, incidence)
    is_idle &= _send_nothing_own(whole, group, incidence, settings)
    excluded[:, EXCLUSIONS.index("work")] = is_idle
    belonging[is_idle], group[is_idle] = 0.0, -1
    is_untold = is_framed & accounts["created_at"].isna().to_numpy()
    if is_untold.any():
        is_untold = _find_alike(matrix[:, copyable], whole, group, is_untold, incidence=incidence, settings=settings)
    counted = np.where((is_framed & ~is_untold)[:, None] & copyable, 0.0, matrix)
    return Standing(belonging, group, _own_probability(counted, whole), is_untold, excluded)


def _belonging(matrix: Numbers, group: Codes, copyable: Flags, settings: VerdictSettings) -> tuple[Numbers, Flags]:
    """Each account's ties as a share of its group's median, 0 when fewer than two families tie it; what excludes it.

    0 also for who has less than ``probable_share`` of the ties that cannot be copied, in a group whose accounts have
    such ties: so one person cannot be framed by taking over their address, words and habits. The second array has a
    column for each of ``EXCLUSIONS``, of which ties alone tell three.
    """
    inside = np.flatnonzero(group >= 0)
    mine = group[inside]
    total = pd.Series(matrix[inside].sum(axis=1))
    median = total.groupby(mine).transform("median").to_numpy(dtype=np.float64)
    share = total.to_numpy(dtype=np.float64) / np.maximum(median, 1e-9)
    is_lone = (matrix[inside] >= settings.linked_bits).sum(axis=1) < 2
    own = pd.Series(matrix[inside][:, ~copyable].sum(axis=1))
    has_own = own >= settings.linked_bits
    is_usual = (has_own.groupby(mine).transform("mean") >= settings.linked_share).to_numpy()
    usual = own.where(has_own).groupby(mine).transform("median").fillna(0.0)
    is_framed = is_usual & (own < settings.probable_share * usual).to_numpy()
    found: dict[Exclusion, Flags] = {
        "families": is_lone,
        "share": share < settings.probable_share,
        "copyable": is_framed,
    }
    result, excluded = np.full(len(group), -1.0), np.zeros((len(group), len(EXCLUSIONS)), dtype=np.bool_)
    result[inside] = np.where(is_lone | is_framed, 0.0, share)
    for name, flags in found.items():
        excluded[inside, EXCLUSIONS.index(name)] = flags
    return result, excluded


def _find_alike(
    matrix: Numbers, whole: Codes, group: Codes, asked: Flags, *, incidence: Incidence, settings: VerdictSettings
) -> Flags:
    """Which of the accounts asked for do as the members of their group do in all that can be copied.

    They send what hardly anybody but the members does, and in each family that links the group they are tied
    :data:`ALIKE_SHARE` as firmly as the median member.

    Parameters
    ----------
    matrix : ties by families that can be copied.
    whole, group : group of each account, with and without those that are left out.
    """
    result, order = np.zeros(len(whole), dtype=np.bool_), np.argsort(group, kind="stable")
    rows = np.flatnonzero(asked & _send_own(whole, group, incidence))
    rows = rows[np.argsort(whole[rows], kind="stable")]
    for mine in np.split(rows, run_starts(whole[rows])[1:]) if len(rows) else []:
        number = int(whole[mine[0]])
        first, end = np.searchsorted(group, [number, number + 1], sorter=order)
        members = matrix[order[first:end]]
        if len(members):
            is_linking = (members >= settings.linked_bits).mean(axis=0) >= settings.linked_share
            firm = ALIKE_SHARE * np.median(members, axis=0)
            result[mine] = (matrix[mine] >= firm)[:, is_linking].all(axis=1) & is_linking.any()
    return result


def _has_prompts(conduct: pd.DataFrame, incidence: Incidence) -> Flags:
    """Of whom prompts are known."""
    result = np.zeros(len(incidence.accounts), dtype=np.bool_)
    told = conduct.loc[conduct["prompt_count"] > 0, "account_id"]
    result[incidence.accounts.get_indexer(pd.Index(told))] = True
    return result


def _send_nothing_own(whole: Codes, group: Codes, incidence: Incidence, settings: VerdictSettings) -> Flags:
    """Which members send none of the templates of their group, where its members do so (``linked_share`` of them).

    An address out of the pool that a campaign rents, or a day of sign-ups, ties a stranger to it.
    """
    inside = np.flatnonzero(group >= 0)
    sends = _send_own(whole, group, incidence)
    usual = pd.Series(sends[inside]).groupby(group[inside]).transform("mean") >= settings.linked_share
    result = np.zeros(len(group), dtype=np.bool_)
    result[inside] = usual.to_numpy() & ~sends[inside]
    return result


def _send_own(whole: Codes, group: Codes, incidence: Incidence) -> Flags:
    """Who sends a template, or one of a family, of whose accounts :data:`OWNED_SHARE` are members of their group."""
    uses = np.flatnonzero((np.array(incidence.families) == "content")[incidence.family[incidence.value]])
    value, account = incidence.value[uses].astype(np.int64), incidence.account[uses]
    groups = int(group.max(initial=0)) + 1
    mine = group[account]
    held, members = np.unique(value[mine >= 0] * groups + mine[mine >= 0], return_counts=True)
    accounts = incidence.table["accounts"].to_numpy(dtype=np.int64)
    is_owned = members >= OWNED_SHARE * accounts[held // groups]
    owner = np.full(len(accounts), -2, dtype=np.int64)
    owner[held[is_owned] // groups] = held[is_owned] % groups
    result = np.zeros(len(whole), dtype=np.bool_)
    result[account[owner[value] == whole[account]]] = True
    return result


def _own_probability(matrix: Numbers, group: Codes) -> Numbers:
    """Chance that an account belongs to its group, from its own ties in bits; 0 outside of groups."""
    bits = OWN_SHARE * matrix.sum(axis=1) - OWN_DOUBT_BITS
    return np.where(group >= 0, 1 / (1 + np.exp2(np.clip(-bits, -60, 60))), 0.0)
