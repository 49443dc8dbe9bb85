"""One rebuild: from the store's rollups to a published run, all or nothing.

The order of the stages in between is that of :mod:`linkage.stages`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Codes
from linkage.clusters.cases import DECIDED_MEMBERS, DECIDED_VALUES, DECISIONS, Decisions, Settled, settle
from linkage.clusters.coefficients import coefficients_from
from linkage.clusters.explain import explain
from linkage.clusters.payers import find_sole_payers, tell_payers
from linkage.clusters.pivots import measure_pivots, tell_pivots
from linkage.clusters.regrowth import tell_regrowth
from linkage.clusters.slices import tell_slices
from linkage.clusters.tracking import Tracked, carry_ids, quiet_clusters
from linkage.coding import codes_of, count_holders, stack_frames, text_codes, value_keys
from linkage.errors import ClusterError, LinkageError, MemoryBoundError, NoRunError
from linkage.evidence.weights import Linked
from linkage.memory import give_back, keep_apart, rebuild_bytes
from linkage.parallel import Beside, at_once
from linkage.settings import HealthSettings, Settings, TrackingSettings
from linkage.stages import Judged, Step, find_evidence, judge_evidence
from linkage.store.health import Anomaly, find_anomalies, newest_day
from linkage.store.inputs import Inputs, Window, hash_rows, read_inputs
from linkage.store.ledger import RunEntry, StepTimes, add_failure
from linkage.store.runs import RunRecord, RunTables, publish_run
from linkage.store.store import Database
from linkage.store.uses import count_template_uses
from linkage.terms import (
    CLUSTERS,
    DAY_MS,
    EVIDENCE,
    MEMBERS,
    RunId,
    make_frame,
    rows_of,
)

Clock = Callable[[], int]
"""Gives UTC epoch milliseconds."""

_FOREVER_MS: Final = 2**62
_VERSIONED: Final = ("linkage", "igraph", "numpy", "pandas", "scipy")


Reader = Callable[[Database, Window], Inputs]
"""Reads what a rebuild needs of a window."""


@dataclasses.dataclass(frozen=True)
class Rebuilt:
    """The outcome of a rebuild."""

    run_id: RunId
    is_new: bool
    """False when nothing had changed and the published run was left as it is."""


def rebuild_store(
    database: Database,
    *,
    as_of_ms: int | None = None,
    window_days: int | None = None,
    seed: int = 0,
    settings: Settings | None = None,
    wait_s: float = 0.0,
    step: Step | None = None,
    clock: Clock | None = None,
    reader: Reader | None = None,
    beside: Beside | None = None,
) -> Rebuilt:
    """Rebuild the graph and its clusters, and publish them as a new run.

    Readers see the last published run until the new one is whole. With the same input, window, seed and
    settings as the published run nothing is written.

    Parameters
    ----------
    as_of_ms : UTC epoch milliseconds; requests before it count, and decisions that were noted until then. None: all,
        and the window ends with the day of the newest request.
    window_days : how many days before the end of the day of ``as_of_ms`` count; None: ``settings.run.window_days``.
    seed : of every random draw.
    wait_s : how long to wait for another writer, in seconds.
    step : told the name of each step as it begins.
    clock : gives UTC epoch milliseconds, for the ledger alone; None: the ledger has no times.
    reader : reads the input; None: :func:`read_inputs`, which knows whole days only.
    beside : reads a part of the input, and finds partitions while chance is searched, where there is enough to do;
        None: one after the other. What comes out does not depend on it.

    Raises
    ------
    ClusterError : the store has no request inside the window.
    MemoryBoundError : it would take more than ``[run] memory_mb``, or memory ran out.
    StoreBusyError : another process writes.
    """
    chosen, times = settings or Settings(), StepTimes(step, clock)
    known: dict[str, Any] = {
        "seed": seed,
        "settings_digest": chosen.digest(),
        "versions": json.dumps(versions_of(chosen)),
    }
    with database.writing(wait_s=wait_s):
        try:
            window = newest_window(
                database, as_of_ms, window_days or int(chosen.run.window_days), settings=chosen.health
            )
            decided = decisions_until(database, as_of_ms)
            _check_memory(database, window, chosen)
            return _rebuild(database, window, decided, known, chosen, times, reader, beside)
        except Exception as raised:
            error = _in_words(raised, times.current)
            code = error.exit_code if isinstance(error, LinkageError) else 1
            failed = RunEntry(**known, **times.taken(), exit_code=code, error=str(error) or type(error).__name__)
            with contextlib.suppress(LinkageError):  # the failure itself is what must be told
                add_failure(database, failed)
            if error is raised:
                raise
            raise error from raised


def _check_memory(database: Database, window: Window, settings: Settings) -> None:
    """Begin nothing that will not fit."""
    allowed_mb = int(settings.run.memory_mb)
    if not allowed_mb:
        return
    size = database.query("window_size", **window.days).iloc[0]
    needed_mb = rebuild_bytes(int(size["uses"])) // 1_000_000
    if needed_mb > allowed_mb:
        raise MemoryBoundError(
            f"{database.path}: wanted a rebuild within [run] memory_mb = {allowed_mb}; {size['accounts']:,} accounts "
            f"from {_day(window.since_ms)} to {_day(window.as_of_ms)} take about {needed_mb:,} MB. Choose a shorter "
            "--window or raise the setting; the last run stays published"
        )


def _in_words(error: Exception, step: str) -> Exception:
    """The error, or what to do where memory was short."""
    if not isinstance(error, MemoryError) or isinstance(error, LinkageError):
        return error
    return MemoryBoundError(
        f"wanted memory for the step {step!r}; the system had none left ({error or type(error).__name__}). Choose a "
        "shorter --window, [run] processes = 1 or a larger machine (linkage doctor says how large); the last run stays "
        "published"
    )


def _rebuild(
    database: Database,
    window: Window,
    decided: Decisions,
    known: Mapping[str, Any],
    settings: Settings,
    times: StepTimes,
    reader: Reader | None,
    beside: Beside | None,
) -> Rebuilt:
    revision = database.revision()[0]
    plan = {
        "as_of_ms": window.as_of_ms,
        "since_ms": window.since_ms,
        "seed": known["seed"],
        "settings": json.dumps(settings.to_dict()),
        "versions": known["versions"],
    }
    published = _published(database)
    if published and published["input_revision"] == revision and all(published[k] == v for k, v in plan.items()):
        return Rebuilt(RunId(published["run_id"]), is_new=False)
    times.tell("read")
    keep_apart()
    inputs = reader(database, window) if reader else read_inputs(database, window, rest_later=True, beside=beside)
    if inputs.accounts.empty:
        raise ClusterError(
            f"{database.path}: wanted requests between {_day(window.since_ms)} and {_day(window.as_of_ms)}; "
            "found none. Ingest logs of these days, or choose --as-of and --window"
        )
    database.forget_pages()
    give_back(accounts=len(inputs.accounts))
    evidence = find_evidence(inputs, settings=settings, step=times.tell)
    sizes, templates, payers = _sizes(inputs), count_template_uses(inputs.uses), find_sole_payers(inputs.uses)
    inputs = inputs.without_uses()
    give_back(accounts=len(inputs.accounts))
    judged = judge_evidence(evidence, inputs, settings=settings, seed=int(plan["seed"]), step=times.tell, beside=beside)
    inputs = inputs.whole()
    digest = digest_of(inputs, decided)
    previous = _previous(database, _run_id(digest, plan), window.as_of_ms, settings.tracking)
    tracked = _track(judged, previous, as_of_ms=window.as_of_ms, settings=settings.tracking)
    settled, shared = settle_judged(tracked, judged, decided)
    del evidence
    judged = dataclasses.replace(judged, evidence=make_frame(EVIDENCE))  # what follows is told without it
    give_back(accounts=len(inputs.accounts))
    tables, anomalies = at_once(
        functools.partial(_tables, tracked, settled, shared, judged.linked, templates, settings),
        lambda: find_anomalies(database, **window.days, settings=settings.health),
    )
    say = _statements(settled, shared, judged, inputs, decided, settings, payers)
    record = _record(sizes, judged.linked, tables, digest, plan, revision)
    count = len(inputs.accounts)
    del inputs, judged, settled, shared
    give_back(accounts=count)
    times.tell("publish")
    entry = _entry(record, anomalies, known, times)
    publish_run(database, record, tables, keep_runs=int(settings.run.keep_runs), entry=entry, say=say)
    return Rebuilt(record.run_id, is_new=True)


def _entry(record: RunRecord, anomalies: Sequence[Anomaly], known: Mapping[str, Any], times: StepTimes) -> RunEntry:
    return RunEntry(
        run_id=record.run_id,
        as_of_ms=record.as_of_ms,
        since_ms=record.since_ms,
        input_digest=record.input_digest,
        counts=record.counts,
        anomalies=json.dumps([dataclasses.asdict(anomaly) for anomaly in anomalies]),
        **known,
        **times.taken(),
    )


@dataclasses.dataclass(frozen=True)
class _Previous:
    """What of the last published run lives on."""

    members: pd.DataFrame
    dormant: pd.DataFrame
    """Clusters that the last run did not have, as they last were in a run that is kept."""
    quiet: frozenset[str]
    """Clusters of the last run whose members were silent."""
    known_ids: frozenset[str]


def _track(judged: Judged, previous: _Previous, *, as_of_ms: int, settings: TrackingSettings) -> Tracked:
    return carry_ids(
        judged.verdicts.clusters,
        judged.verdicts.members,
        previous.members,
        dormant_members=previous.dormant,
        known_ids=previous.known_ids,
        quiet_now=quiet_clusters(judged.verdicts.clusters, as_of=_moment(as_of_ms), settings=settings),
        quiet_before=previous.quiet,
        settings=settings,
    )


def settle_judged(tracked: Tracked, judged: Judged, decided: Decisions) -> tuple[Settled, pd.DataFrame]:
    """Clusters as decisions leave them, and what each shares: shape ``EVIDENCE`` with ``cluster_id``, categories."""
    accounts = pd.Index(tracked.members["account_id"])
    number, ids = text_codes(tracked.members["cluster_id"])
    frames = (judged.evidence, judged.group_evidence)
    shared = stack_frames([frame.take(_shared_rows(frame, accounts, number))[list(EVIDENCE)] for frame in frames])
    cluster = number[codes_of(shared["account_id"], accounts)]
    shared = shared.assign(cluster_id=pd.Categorical.from_codes(cluster, ids))
    return settle(tracked.clusters, tracked.members, shared, decided=decided), shared


def _shared_rows(evidence: pd.DataFrame, accounts: pd.Index[str], cluster: npt.NDArray[np.integer[Any]]) -> Codes:
    """Rows of evidence whose value two accounts of one cluster have, ascending; no other frame has the same values."""
    account = codes_of(evidence["account_id"], accounts)
    inside = np.flatnonzero(account >= 0)
    account = account[inside]
    key = value_keys(evidence)[inside]
    return inside[count_holders(account, cluster[account].astype(np.int64), key) > 1]


def _tables(
    tracked: Tracked,
    settled: Settled,
    shared: pd.DataFrame,
    linked: Linked,
    templates: pd.DataFrame,
    settings: Settings,
) -> RunTables:
    """The run's tables; of links and shared values only what lies inside one cluster, and no statement but decisions'.

    Parameters
    ----------
    templates : frame of shape ``TEMPLATE_USES``; those that members share are told.
    """
    return RunTables(
        clusters=settled.clusters,
        members=settled.members,
        links=_links_within(tracked.members, linked, settings),
        shared=shared,
        statements=settled.statements,
        events=tracked.events,
        templates=_shared_templates(shared, templates),
    )


def _statements(
    settled: Settled,
    shared: pd.DataFrame,
    judged: Judged,
    inputs: Inputs,
    decided: Decisions,
    settings: Settings,
    payers: pd.Index[str],
) -> Callable[[], pd.DataFrame]:
    """Makes what is said of the clusters; of inputs and what was judged it holds no more than that takes."""
    links, judged_groups = judged.linked.links, {"groups": judged.verdicts.groups, "assigned": judged.verdicts.assigned}
    works, moves, accounts = inputs.works, inputs.moves, inputs.accounts

    def say() -> pd.DataFrame:
        said = explain(
            settled.clusters,
            members=settled.members,
            links=links,
            evidence=shared,
            settings=settings.verdicts,
            links_per_account=int(settings.evidence.links_per_account),
            links_kept=int(settings.run.links_per_account),
        )
        parts = [
            said,
            tell_payers(settled.members, payers),
            tell_slices(settled.members, works, **judged_groups),
            tell_pivots(measure_pivots(settled.members, moves)),
            tell_regrowth(settled.members, accounts, decided=decided),
        ]
        return pd.concat(parts, ignore_index=True)

    return say


def _links_within(members: pd.DataFrame, linked: Linked, settings: Settings) -> pd.DataFrame:
    """What ties links inside one cluster, with ``cluster_id``; texts are categories."""
    number, ids = text_codes(members["cluster_id"])
    accounts = pd.Index(members["account_id"])
    most = int(settings.run.links_per_account)
    links = linked.evidence_within(pd.Series(number, index=accounts), links_per_account=most)
    cluster = number[codes_of(links["account_a"], accounts)]
    return links.assign(cluster_id=pd.Categorical.from_codes(cluster, ids))


def _shared_templates(shared: pd.DataFrame, templates: pd.DataFrame) -> pd.DataFrame:
    """Those rows of ``TEMPLATE_USES`` whose template members of a cluster share."""
    names = shared.loc[shared["kind"] == "template", "value"].unique()
    return templates[templates["template_id"].isin(names)]


def digest_of(inputs: Inputs, decided: Decisions) -> str:
    """A hash of what was read (16 hex digits): of the input alone where nobody decided anything."""
    digest = inputs.digest()
    if decided.decisions.empty:
        return digest
    total = hashlib.sha256(digest.encode())
    for frame in (decided.decisions, decided.members, decided.ties):
        total.update(hash_rows(frame))
    return total.hexdigest()[:16]


def _run_id(digest: str, plan: Mapping[str, Any]) -> RunId:
    identity = json.dumps([digest, *(plan[key] for key in sorted(plan))])
    suffix = hashlib.sha256(identity.encode()).hexdigest()[:8]
    last_day = pd.Timestamp(int(plan["as_of_ms"]) - 1, unit="ms", tz="UTC")
    return RunId(f"r-{last_day:%Y%m%d}-{suffix}")


def _sizes(inputs: Inputs) -> Mapping[str, int]:
    """How much was read."""
    requests = int(inputs.accounts["request_count"].sum())
    return {"accounts": len(inputs.accounts), "requests": requests, "uses": len(inputs.uses)}


def _record(
    sizes: Mapping[str, int],
    linked: Linked,
    tables: RunTables,
    digest: str,
    plan: Mapping[str, Any],
    revision: int,
) -> RunRecord:
    counts = {
        **sizes,
        "links": len(linked.links),
        "clusters": len(tables.clusters),
        "members": len(tables.members),
        "flagged": int(tables.members["flagged"].sum()),
    }
    return RunRecord(
        run_id=_run_id(digest, plan),
        input_digest=digest,
        input_revision=revision,
        counts=json.dumps(counts),
        weights=linked.weights.to_json(orient="records"),
        **plan,
    )


def newest_window(
    database: Database, as_of_ms: int | None, window_days: int, *, settings: HealthSettings | None = None
) -> Window:
    """The window up to ``as_of_ms`` that begins so many days before the end of its day; None: up to the newest day.

    Days that only a clock gone wrong can tell of are not the newest: :func:`linkage.store.health.newest_day`.

    Raises
    ------
    ClusterError : the store has no request.
    """
    if as_of_ms is None:
        newest = newest_day(database, settings or HealthSettings())
        if newest is None:
            raise ClusterError(f"{database.path}: wanted requests; the store has none. Load logs with: linkage ingest")
        as_of_ms = (newest + 1) * DAY_MS
    until = -(-as_of_ms // DAY_MS) * DAY_MS
    return Window(since_ms=until - window_days * DAY_MS, as_of_ms=as_of_ms)


def _published(database: Database) -> dict[str, Any] | None:
    rows = rows_of(database.query("published_run"))
    return rows[0] if rows else None


def published_run(database: Database) -> dict[str, Any]:
    """The row of the published run.

    Raises
    ------
    NoRunError : nothing was published yet.
    """
    row = _published(database)
    if row is None:
        raise NoRunError(f"{database.path}: wanted a run; found none. Make one with: linkage rebuild {database.path}")
    return row


def _previous(database: Database, run_id: RunId, as_of_ms: int, settings: TrackingSettings) -> _Previous:
    """What was known before this run: of runs that tell of a later time nothing, so that a replay ends the same."""
    place: dict[str, int | str] = {"as_of_ms": as_of_ms, "run_id": run_id}
    known = frozenset(database.query("cluster_ids_until", **place)["cluster_id"])
    members, dormant, quiet = make_frame(MEMBERS), [make_frame(MEMBERS)], frozenset[str]()
    seen: set[str] = set()
    for number, (earlier, end_ms) in enumerate(database.query("previous_runs", **place).itertuples(index=False)):
        found = database.frame("run_members", MEMBERS, run_id=earlier)
        if number == 0:
            members = found
            clusters = database.frame("run_clusters", CLUSTERS, run_id=earlier)
            quiet = quiet_clusters(clusters, as_of=_moment(end_ms), settings=settings)
        else:
            dormant.append(found[~found["cluster_id"].isin(seen)])
        seen.update(found["cluster_id"])
    return _Previous(members, pd.concat(dormant, ignore_index=True), quiet, known)


def decisions_until(database: Database, as_of_ms: int | None) -> Decisions:
    """Decisions noted until a time; None: all of them."""
    until = _FOREVER_MS if as_of_ms is None else as_of_ms
    decisions = database.frame("decisions", DECISIONS, until_ms=until)
    members = database.frame("decided_members", DECIDED_MEMBERS)
    values = database.frame("decided_values", DECIDED_VALUES)
    counted = set(decisions["note_id"])
    return Decisions(
        decisions,
        members[members["note_id"].isin(counted)].reset_index(drop=True),
        values[values["note_id"].isin(counted)].reset_index(drop=True),
    )


def versions_of(settings: Settings) -> dict[str, str]:
    """What a run depends on beside its input: the libraries that compute it, and the coefficients in these settings."""
    coefficients = coefficients_from(settings.coefficients)
    libraries = {name: metadata.version(name) for name in _VERSIONED}
    return {"python": platform.python_version(), **libraries, "coefficients": coefficients.version}


def _moment(ms: int) -> pd.Timestamp:
    return pd.Timestamp(ms, unit="ms", tz="UTC")


def _day(ms: int) -> str:
    return f"{_moment(ms):%Y-%m-%d}"
