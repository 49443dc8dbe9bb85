"""All evidence in one shape, each value with how many accounts, and how many unrelated ones, share it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from linkage.arrays import Codes, Small
from linkage.coding import (
    codes_of,
    is_run_start,
    of_runs,
    rows_by_code,
    stack_frames,
    text_codes,
    value_codes,
    value_runs,
)
from linkage.evidence.breadth import find_chance_met
from linkage.evidence.client import client_evidence
from linkage.evidence.content import content_evidence
from linkage.evidence.contract import contract_evidence
from linkage.evidence.network import network_evidence
from linkage.evidence.payment import payment_evidence
from linkage.evidence.registration import registration_evidence
from linkage.kernels import kernel
from linkage.parallel import at_once
from linkage.settings import EvidenceSettings
from linkage.terms import ACCOUNTS, CONDUCT, EVIDENCE, HARD_ACCOUNTS, HOURS, ITEMS, USES, check_frame

HARD_KINDS: Final = {"payment": "payment", "network": "ip"}
"""Family to the kind of value that is hard to share by chance."""


def gather_evidence(
    *,
    uses: pd.DataFrame,
    accounts: pd.DataFrame,
    conduct: pd.DataFrame | None = None,
    items: pd.DataFrame | None = None,
    hours: pd.DataFrame | None = None,
    settings: EvidenceSettings,
) -> pd.DataFrame:
    """Every value that two or more accounts share, in the shape ``EVIDENCE``, but for what chance makes them share.

    Rows of an account of many addresses are left out where it shares hardly any of them with the others
    (:func:`find_chance_met`).

    ``unrelated_accounts`` is an estimate: two accounts count as related when they declare one
    organization, or a chain of payment instruments and addresses, each on at most ``HARD_ACCOUNTS``
    accounts, leads from one to the other. For a payment instrument or an address its own family is left
    out of the chain. An account related to nobody else who shares the value counts as unrelated.

    Parameters
    ----------
    uses : frame of shape ``USES``.
    accounts : frame of shape ``ACCOUNTS``; uses of accounts it does not list are left out.
    conduct, items, hours : frames of the shapes of those names, or None. They speak for pairs and groups,
        not through shared values: here they are only checked, so that a bad frame is told at the first stage.
    settings : width of the registration windows.

    Returns
    -------
    DataFrame of shape ``EVIDENCE``, sorted by family, kind, value and account, texts as categories. O(uses log uses).

    Raises
    ------
    ShapeError : a frame is not of its shape.
    """
    check_frame(uses, USES, name="uses")
    check_frame(accounts, ACCOUNTS, name="accounts")
    group_only = {"conduct": (conduct, CONDUCT), "items": (items, ITEMS), "hours": (hours, HOURS)}
    for name, (frame, shape) in group_only.items():
        if frame is not None:
            check_frame(frame, shape, name=name)
    names = pd.Index(accounts["account_id"])
    # By name of the family, each of them in one room: so the whole is sorted when every part is.
    families = (client_evidence, content_evidence, contract_evidence, network_evidence, payment_evidence)
    registered, shared = at_once(
        lambda: _shared_rows(registration_evidence(uses, accounts, settings=settings), names),
        lambda: _shared_rows(uses, names),
    )
    parts = [*(find(shared) for find in families), registered]
    del shared, registered
    table = stack_frames(parts)
    del parts
    table["accounts"] = _count_accounts(table)
    table["unrelated_accounts"] = count_unrelated(table, accounts)
    return check_frame(_without_chance(table, names), EVIDENCE, name="evidence")


def _without_chance(table: pd.DataFrame, names: pd.Index[str]) -> pd.DataFrame:
    """The rows but those of values met by chance, and of values that one account is left with; it loses its columns.

    How many accounts have a value stays what was seen.
    """
    met = find_chance_met(table, codes_of(table["account_id"], names).astype(np.int32), accounts=len(names))
    if not met.any():
        return table
    value = value_codes(table)
    kept = np.flatnonzero(~met & (np.bincount(value, weights=~met)[value] > 1))
    return pd.DataFrame({name: table.pop(name).array.take(kept) for name in list(EVIDENCE)}, copy=False)


def _shared_rows(rows: pd.DataFrame, names: pd.Index[str]) -> pd.DataFrame:
    """Rows of values that two or more of the named accounts share, by kind, value and account.

    Parameters
    ----------
    rows : frame with the columns ``account_id``, ``kind`` and ``value``; those without a value are left out.
    """
    account = codes_of(rows["account_id"], names).astype(np.int32)
    rank = account if names.is_monotonic_increasing else np.argsort(np.argsort(names)).astype(np.int32)[account]
    value, values = text_codes(rows["value"])
    value = value.astype(np.int32, copy=False).view()
    value.setflags(write=False)  # of one type for the compiler, however many there are
    kind, kinds = text_codes(rows["kind"])
    known = np.empty(len(rows), dtype=np.int32)
    known = known[: _list_repeated(account, value, np.zeros(len(values), dtype=np.int8), known)]
    for codes, count in ((rank, len(names)), (value, len(values)), (kind, len(kinds))):
        sorted_by = codes[known]
        if (sorted_by[1:] < sorted_by[:-1]).any():
            known = known[rows_by_code(sorted_by, count=count)[1]]
    known = known[: _keep_shared(known, kind, value, account)]
    columns = {name: rows[name].array.take(known) for name in rows.columns if name != "account_id"}
    return pd.DataFrame({"account_id": pd.Categorical.from_codes(account[known], names), **columns}, copy=False)


@kernel
def _list_repeated(account: Small, value: npt.NDArray[Any], times: npt.NDArray[np.int8], known: Small) -> int:
    """List rows that have an account and a value which another of them has, too, and say how many they are.

    Parameters
    ----------
    times : a zero for each value; how often it is there, 2 for more often.
    """
    for row in range(value.size):
        if account[row] >= 0 and value[row] >= 0:
            times[value[row]] = min(times[value[row]] + 1, 2)
    end = 0
    for row in range(value.size):
        if account[row] >= 0 and value[row] >= 0 and times[value[row]] > 1:
            known[end] = row
            end += 1
    return end


@kernel
def _keep_shared(known: Small, kind: npt.NDArray[Any], value: npt.NDArray[Any], account: Small) -> int:
    """Move rows of values that more than one account has to the front, and say how many they are.

    Parameters
    ----------
    known : rows by kind, value and account.
    kind, value, account : of each row.
    """
    kept, first = 0, 0
    while first < known.size:
        head, end, is_shared = known[first], first, False
        while end < known.size and value[known[end]] == value[head] and kind[known[end]] == kind[head]:
            is_shared = is_shared or account[known[end]] != account[head]
            end += 1
        if is_shared:
            for place in range(first, end):
                known[kept] = known[place]
                kept += 1
        first = end
    return kept


def _count_accounts(evidence: pd.DataFrame) -> Codes:
    """Per row, on how many accounts its value is; rows of one account and value stand together."""
    heads, _ = value_runs(evidence)
    account = evidence["account_id"].cat.codes.to_numpy()
    is_other = is_run_start(account).astype(np.int64)
    is_other[heads] = 1
    return of_runs(np.add.reduceat(is_other, heads) if len(heads) else heads, heads, len(evidence))


def count_unrelated(
    evidence: pd.DataFrame, accounts: pd.DataFrame, *, relations: pd.DataFrame | None = None
) -> npt.NDArray[np.int64]:
    """Per row of evidence: how many accounts of its value are related to no other account of it.

    Parameters
    ----------
    evidence : frame of shape ``EVIDENCE``; ``unrelated_accounts`` is not read.
    accounts : frame of shape ``ACCOUNTS``; lists every account of ``evidence``.
    relations : frame of shape ``EVIDENCE`` whose cards and addresses relate accounts; None: ``evidence`` itself.

    Returns
    -------
    Counts in the order of the rows. O(rows log rows).
    """
    known = evidence if relations is None else relations
    # In 4 bytes each: a million accounts have 24 million rows, and uses are still held.
    code = codes_of(evidence["account_id"], pd.Index(accounts["account_id"])).astype(np.int32)
    value = value_codes(evidence).astype(np.int32)
    family = evidence["family"]
    result = np.zeros(len(evidence), dtype=np.int64)
    chains = {
        "payment": ("network",),
        "network": ("payment",),
        "": ("network", "payment"),
    }
    for left_out, hard in chains.items():
        mask = (family == left_out if left_out else ~family.isin(list(HARD_KINDS))).to_numpy(dtype=bool)
        if mask.any():
            related = _related(known, accounts, families=hard)
            result[mask] = _singletons(value[mask], related[code[mask]])
    return result


def _related(evidence: pd.DataFrame, accounts: pd.DataFrame, *, families: Sequence[str]) -> npt.NDArray[np.int32]:
    """Label per account: connected through one organization or hard values of these families."""
    code = codes_of(evidence["account_id"], pd.Index(accounts["account_id"]))
    organization = pd.factorize(accounts["organization_id"])[0]
    declared = np.flatnonzero(organization >= 0)
    hard = np.zeros(len(evidence), dtype=bool)
    for family in families:
        hard |= ((evidence["family"] == family) & (evidence["kind"] == HARD_KINDS[family])).to_numpy()
    hard &= (evidence["accounts"] <= HARD_ACCOUNTS).to_numpy()
    value = value_codes(evidence.loc[hard, ["family", "kind", "value"]])
    first = len(accounts)
    second = first + (int(organization.max()) + 1 if len(organization) else 0)
    left = np.concatenate([declared, code[hard]])
    right = np.concatenate([first + organization[declared], second + value])
    size = second + (int(value.max()) + 1 if len(value) else 0)
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(size, size))
    labels = connected_components(graph, directed=False)[1]
    return np.asarray(labels[: len(accounts)], dtype=np.int32)


def _singletons(value: npt.NDArray[np.int32], label: npt.NDArray[np.int32]) -> Codes:
    """Per row: how many labels occur exactly once among the rows of its value."""
    start, rows = rows_by_code(value, count=int(value.max()) + 1)
    return np.asarray(_count_alone(start, rows, label, np.zeros(int(label.max()) + 1, dtype=np.int32))[value])


@kernel
def _count_alone(start: Codes, rows: npt.NDArray[np.int32], label: Any, counts: npt.NDArray[np.int32]) -> Codes:
    """How many labels occur once among the rows of each value; ``counts`` is a zero for each label, and is again."""
    alone = np.zeros(start.size - 1, dtype=np.int64)
    for value in range(start.size - 1):
        for row in rows[start[value] : start[value + 1]]:
            counts[label[row]] += 1
            alone[value] += (counts[label[row]] == 1) - (counts[label[row]] == 2)
        for row in rows[start[value] : start[value + 1]]:
            counts[label[row]] = 0
    return alone
