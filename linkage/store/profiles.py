"""Who the accounts of a window are and how they work: numbers of rollups and records, named once.

SQLite joined and sorted them as text before, and each was a Python value: 20 CPU seconds at a million accounts
(2026-11-29).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Ints
from linkage.store.names import AccountNames, Names, read_names
from linkage.store.store import Database, utc_times
from linkage.terms import ACCOUNTS, CONDUCT, TEXT, make_frame

_UNKNOWN_MS: Final = np.iinfo(np.int64).max
_NO_TIME: Final = np.iinfo(np.int64).min  # as numpy has it


def read_profiles(
    database: Database, *, accounts: AccountNames, hours: pd.DataFrame, since_day: int, until_day: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is known of each account at work in a window of whole UTC days: ``account_profiles``, ``account_conduct``.

    Parameters
    ----------
    accounts : all of the store.
    hours : of the same window, as from :func:`linkage.store.uses.read_hours`.
    since_day, until_day : days since the epoch, since inclusive, until exclusive.

    Returns
    -------
    DataFrames of the shapes ``ACCOUNTS`` and ``CONDUCT``, by account. O(accounts log accounts).
    """
    days, places = {"since_day": since_day, "until_day": until_day}, Names(accounts.numbers)
    totals = _read(database, "account_totals", width=14, **days)
    account = places.places(totals[:, 0])
    order = np.argsort(account)
    account, totals = account[order], totals[order]
    _, first_ms, last_ms, request_count, active_days, failed_count, limited_count, *rest = totals.T
    input_tokens, output_tokens, prompt_count, input_count, log_input_micros, output_count, log_output_micros = rest
    prompts = np.zeros((len(accounts.ids), 2), dtype=np.int64)
    prompted = _read(database, "prompt_totals", width=3, **days)
    prompts[places.places(prompted[:, 0])] = prompted[:, 1:]
    named = {"account_id": accounts.ids.take(account), "request_count": request_count}
    records = _read_records(database, places, account)
    profiles = {**records, "first_at": utc_times(first_ms), "last_at": utc_times(last_ms)}
    conduct = {
        "active_days": active_days,
        "active_hours": np.bincount(hours["account_id"].cat.codes, minlength=len(accounts.ids))[account],
        "failed_count": failed_count,
        "limited_count": limited_count,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "log_input_mean": _mean(log_input_micros, input_count),
        "log_output_mean": _mean(log_output_micros, output_count),
        "templated_count": prompts[account, 1],
        "prompt_count": prompt_count,
        "distinct_prompt_count": prompts[account, 0],
    }
    return make_frame(ACCOUNTS, {**named, **profiles}), make_frame(CONDUCT, {**named, **conduct})


def _read_records(database: Database, places: Names, asked: Ints) -> dict[str, Any]:
    """What records say of some accounts, told by the places of their names; of several records the last by text.

    The organization is what requests say where no record does.
    """
    ids, values = read_names(database, "declared_names")
    names, texts = Names(ids), pd.Index(values)
    account, organization, domain, created_ms, country, plan = _records(database)
    account = places.places(account)
    sent = _read(database, "sent_organizations", width=2)
    count = int(asked.max(initial=-1)) + 1
    declared = _highest(account, names.places(organization), count=count)
    under = _highest(places.places(sent[:, 0]), names.places(sent[:, 1]), count=count)
    told = {
        "organization_id": (np.where(declared >= 0, declared, under), texts),
        "email_domain": (_highest(account, names.places(domain), count=count), texts),
    }
    for name, column in (("country", country), ("plan", plan)):
        code, known = pd.factorize(column, sort=True)
        told[name] = _highest(account, code, count=count), pd.Index(known, dtype=TEXT)
    columns: dict[str, Any] = {
        name: texts.array.take(code[asked], allow_fill=True) for name, (code, texts) in told.items()
    }
    created = -_highest(account, -created_ms, count=count, none=-_UNKNOWN_MS)[asked]
    return {**columns, "created_at": utc_times(np.where(created == _UNKNOWN_MS, _NO_TIME, created))}


def _records(database: Database) -> tuple[Ints, Ints, Ints, Ints, pd.Series[str], pd.Series[str]]:
    """All records by column: account, organization, mail domain, time of creation, country and plan."""
    numbers, texts = [np.empty((4, 0), np.int64)], [pd.DataFrame({"country": [], "plan": []}, dtype=TEXT)]
    for part in database.parts("account_records"):
        _, *whole, country, plan = part.values()
        numbers.append(np.array(whole, dtype=np.int64))
        texts.append(pd.DataFrame({"country": country, "plan": plan}, dtype=TEXT))
    named = pd.concat(texts, ignore_index=True)
    return *np.concatenate(numbers, axis=1), named["country"], named["plan"]


def _highest(account: Ints, code: Ints, *, count: int, none: int = -1) -> Ints:
    """The highest code of each account, from 0; rows of accounts beyond ``count``, and of none, are left out."""
    inside = (account >= 0) & (account < count)
    highest = np.full(count, none, dtype=np.int64)
    np.maximum.at(highest, account[inside], code[inside])
    return highest


def _read(database: Database, name: str, *, width: int, **parameters: int) -> Ints:
    """The whole answer of a named query of whole numbers."""
    return np.concatenate([np.empty((0, width), np.int64), *database.numbers(name, **parameters)])


def _mean(micros: Ints, count: Ints) -> npt.NDArray[np.float64]:
    """Millionths by how many they are the sum of; NaN for none."""
    mean = np.full(len(count), np.nan)
    np.divide(micros / 1e6, count, out=mean, where=count > 0)
    return mean
