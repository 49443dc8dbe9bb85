"""Plants campaigns into somebody's own traffic: records that fit it, to be loaded beside it.

The planted accounts work in the same days, with the models and clients that are seen there, so a run over both
shows what it would find *there*. Nothing of the host's records is copied.
"""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Sequence
from os import PathLike

import orjson
import pandas as pd

from linkage.errors import UsageError, WorldError
from linkage.terms import DAY_MS
from linkage.worlds.campaigns import CAMPAIGNS
from linkage.worlds.population import Draft
from linkage.worlds.simulate import World, read_scenarios, write_world
from linkage.worlds.traffic import Client

SURVEYED = ("timestamp", "account_id", "model", "user_agent", "tls_fingerprint")
"""Columns of the host's requests that :func:`survey` looks at; the last three may be missing."""


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """What planted campaigns must fit.

    Parameters
    ----------
    accounts, requests : how many there are.
    start_ms : UTC epoch milliseconds of the first midnight.
    days : from the first to the last day, both included.
    models : by popularity; empty where requests tell none.
    clients : user agent and TLS fingerprint, by popularity; empty where requests tell none.
    missing : fields the host's records never carry; planted ones do not carry them either.
    """

    accounts: int
    requests: int
    start_ms: int
    days: int
    models: tuple[str, ...] = ()
    clients: tuple[Client, ...] = ()
    missing: tuple[str, ...] = ()


def survey(requests: pd.DataFrame) -> Host:
    """What there is to fit in a sample of, or all of, the host's requests.

    Parameters
    ----------
    requests : one row per request, columns :data:`SURVEYED`; ``timestamp`` is a time or ISO 8601 text.

    Raises
    ------
    WorldError : no request, or no column ``timestamp`` or ``account_id``.
    """
    missing = [name for name in SURVEYED[:2] if name not in requests.columns]
    if missing or requests.empty:
        raise WorldError(
            f"a survey needs requests with timestamp and account_id; found {len(requests)} rows without "
            f"{', '.join(missing) or 'any request'}. Hand over canonical request records"
        )
    times = pd.to_datetime(requests["timestamp"], utc=True)
    first = times.min().normalize()
    return Host(
        accounts=int(requests["account_id"].nunique()),
        requests=len(requests),
        start_ms=int(first.timestamp()) * 1000,
        days=int((times.max().normalize() - first) / pd.Timedelta(milliseconds=DAY_MS)) + 1,
        models=_by_popularity(requests, "model"),
        clients=_clients(requests),
    )


def _by_popularity(requests: pd.DataFrame, column: str) -> tuple[str, ...]:
    if column not in requests.columns:
        return ()
    sizes = requests.groupby(column).size().sort_index().sort_values(ascending=False, kind="stable")
    return tuple(str(value) for value in sizes.index)


def _clients(requests: pd.DataFrame) -> tuple[Client, ...]:
    if "user_agent" not in requests.columns:
        return ()
    seen = requests.reindex(columns=["user_agent", "tls_fingerprint"]).dropna(subset=["user_agent"])
    sizes = seen.fillna("").value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    return tuple(Client(str(agent), str(print_) or None) for agent, print_ in sizes.index)


def inject(directory: str | PathLike[str], host: Host, *, scenarios: Sequence[str] = ("E1",), seed: int = 0) -> World:
    """Campaigns that fit a host's traffic, written as a world of their own: ingest it beside the host's logs.

    The truth lists the planted accounts only, so accounts of the host that are flagged count as unknown.

    Parameters
    ----------
    directory : made where missing.
    host : from :func:`survey`.
    scenarios : ``NAME`` or ``NAME:STRENGTH`` of campaigns; counts are scaled as for a world of the host's size.
    seed : draws everything; plant several to see a spread.

    Raises
    ------
    UsageError : a scenario that does not exist or is not a campaign, or E14, which frames simulated accounts.
    WorldError : a host of less than two days.
    """
    chosen = read_scenarios([*scenarios, "none"])
    others = [name for name, _ in chosen if name not in CAMPAIGNS or name == "E14"]
    if others or not chosen:
        able = ", ".join(name for name in CAMPAIGNS if name != "E14")
        raise UsageError(f"inject plants campaigns; got {', '.join(others) or 'none'}. Campaigns: {able}")
    if host.days < 2:
        raise WorldError(f"campaigns need a host of 2 days or more; got {host.days}. Survey more of the logs")
    draft = Draft(accounts=host.accounts, days=host.days, start_ms=host.start_ms, seed=seed)
    draft.budget = float(host.requests)
    draft.models = host.models or draft.models
    draft.new_model = draft.models[0] if host.models else draft.new_model
    draft.clients = list(host.clients) or draft.clients
    for name, strength in chosen:
        CAMPAIGNS[name](draft, strength, f"planted-{name}-{seed}")
    parameters = {
        "planted": True,
        "seed": seed,
        "scenarios": [f"{name}:{strength:g}" for name, strength in chosen],
        "host": {"accounts": host.accounts, "requests": host.requests, "days": host.days},
        "habits": dataclasses.asdict(draft.habits),
    }
    return _without_fields(write_world(draft, directory, parameters=parameters), host.missing)


def _without_fields(world: World, missing: Sequence[str]) -> World:
    """The same world without these fields, in requests and account records."""
    gone = set(missing) - {"timestamp", "account_id", "request_id"}
    if gone:
        with gzip.open(world.requests) as lines:
            rows = [orjson.loads(line) for line in lines]
        with gzip.GzipFile(world.requests, "wb", mtime=0) as file:
            file.writelines(
                orjson.dumps({name: value for name, value in row.items() if name not in gone}) + b"\n" for row in rows
            )
        records = pd.read_csv(world.accounts, dtype="str")
        records.drop(columns=[name for name in records.columns if name in gone]).to_csv(world.accounts, index=False)
    return world
