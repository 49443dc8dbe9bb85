"""One rebuild: from the store's rollups to a published run, all or nothing.

This is the one room that knows the order of the stages.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import platform
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import metadata
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.clusters.cases import DECIDED_MEMBERS, DECIDED_VALUES, DECISIONS, Decisions, Settled, settle
from linkage.clusters.cells import join_cells
from linkage.clusters.coefficients import coefficients_from
from linkage.clusters.communities import find_communities
from linkage.clusters.explain import explain
from linkage.clusters.pivots import measure_pivots, tell_pivots
from linkage.clusters.regrowth import tell_regrowth
from linkage.clusters.significance import find_null_cohesion
from linkage.clusters.slices import tell_slices
from linkage.clusters.tracking import Tracked, carry_ids, quiet_clusters
from linkage.clusters.verdicts import Verdicts, judge
from linkage.coding import codes_of, count_holders, stack_frames, text_codes, value_keys
from linkage.errors import ClusterError, LinkageError, NoRunError
from linkage.evidence.alignment import permute_evidence
from linkage.evidence.groups import gather_group_evidence
from linkage.evidence.rhythm import relate_groups
from linkage.evidence.table import gather_evidence
from linkage.evidence.weights import Linked, link_accounts
from linkage.settings import HealthSettings, Settings, TrackingSettings
from linkage.store.health import find_anomalies, newest_day
from linkage.store.inputs import Inputs, Window, hash_rows, read_inputs
from linkage.store.ledger import RunEntry, StepTimes, add_failure
from linkage.store.runs import RunRecord, RunTables, publish_run
from linkage.store.store import Database
from linkage.terms import (
    CLUSTERS,
    DAY_MS,
    EVIDENCE,
    GROUP_RELATIONS,
    GROUPS,
    HOURS,
    ITEMS,
    MEMBERS,
    RunId,
    make_frame,
)

Step = Callable[[str], None]
"""Called with the name of each step as it begins."""

Clock = Callable[[], int]
"""Gives UTC epoch milliseconds."""

_FOREVER_MS: Final = 2**62
_VERSIONED: Final = ("linkage", "igraph", "numpy", "pandas", "scipy")


Beside = Callable[[Callable[..., Any], Mapping[str, Any]], AbstractContextManager[Callable[[], Any]]]
"""Starts a function with these arguments beside what is done meanwhile; what it hands out waits for the value."""

BESIDE_ACCOUNTS: Final = 20_000
"""Accounts from which on a search through chance is worth a process of its own, which takes a second or two to start
and memory of its own."""

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
    beside : runs the search through evidence of chance while the real one is run, where there are
        :data:`BESIDE_ACCOUNTS`; None: one after the other. What comes out does not depend on it.

    Raises
    ------
    ClusterError : the store has no request inside the window.
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
            return _rebuild(database, window, decided, known, chosen, times, reader or read_inputs, beside)
        except Exception as error:
            code = error.exit_code if isinstance(error, LinkageError) else 1
            failed = RunEntry(**known, **times.taken(), exit_code=code, error=str(error) or type(error).__name__)
            with contextlib.suppress(LinkageError):  # the failure itself is what must be told
                add_failure(database, failed)
            raise


def _rebuild(
    database: Database,
    window: Window,
    decided: Decisions,
    known: Mapping[str, Any],
    settings: Settings,
    times: StepTimes,
    reader: Reader,
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
    inputs = reader(database, window)
    if inputs.accounts.empty:
        raise ClusterError(
            f"{database.path}: wanted requests between {_day(window.since_ms)} and {_day(window.as_of_ms)}; "
            "found none. Ingest logs of these days, or choose --as-of and --window"
        )
    digest = digest_of(inputs, decided)
    run_id = _run_id(digest, plan)
    previous = _previous(database, run_id, window.as_of_ms, settings.tracking)
    judged = judge_inputs(inputs, settings=settings, seed=int(plan["seed"]), step=times.tell, beside=beside)
    record, tables = _compute(inputs, judged, previous, decided, digest, plan, revision, settings)
    times.tell("publish")
    entry = _entry(database, record, window, known, times, settings.health)
    publish_run(database, record, tables, keep_runs=int(settings.run.keep_runs), entry=entry)
    return Rebuilt(record.run_id, is_new=True)


def _entry(
    database: Database,
    record: RunRecord,
    window: Window,
    known: Mapping[str, Any],
    times: StepTimes,
    settings: HealthSettings,
) -> RunEntry:
    anomalies = find_anomalies(database, **window.days, settings=settings)
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
class Judged:
    """What the stages after the store made of its inputs; cluster ids are provisional."""

    evidence: pd.DataFrame
    linked: Linked
    communities: pd.DataFrame
    group_evidence: pd.DataFrame
    null_cohesion: npt.NDArray[np.float64]
    verdicts: Verdicts


def judge_inputs(
    inputs: Inputs,
    *,
    settings: Settings,
    seed: int,
    step: Step | None = None,
    without: Collection[str] = (),
    beside: Beside | None = None,
) -> Judged:
    """Evidence, links, communities and verdicts of these inputs; nothing is written.

    Parameters
    ----------
    seed : of every random draw.
    step : told the name of each step as it begins.
    without : evidence families, and shared values by name, that do not count.
    beside : as for :func:`rebuild_store`.
    """
    tell = step or (lambda _name: None)
    tell("evidence")
    tables = {name: getattr(inputs, name) for name in ("uses", "accounts", "conduct", "items", "hours")}
    evidence = _leave_out(gather_evidence(**tables, settings=settings.evidence), without)
    start = beside if beside is not None and len(inputs.accounts) >= BESIDE_ACCOUNTS else _afterwards
    chance = {"inputs": _searched(inputs), "evidence": evidence, "settings": settings, "seed": seed}
    with start(search_by_chance, chance) as null_search:
        linked, communities = _search(inputs, evidence, settings, seed, tell)
        tell("group evidence")
        communities, group_evidence = _look_at_groups(inputs, evidence, linked, communities, settings, seed, without)
        tell("null searches")
        null_cohesion = null_search()
    tell("verdicts")
    known = (evidence, linked, communities, group_evidence, null_cohesion)
    return Judged(*known, _verdicts(inputs, *known, settings=settings, seed=seed))


@contextlib.contextmanager
def _afterwards(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Nothing beside: the function is run when its value is asked for."""
    yield lambda: function(**arguments)


def _searched(inputs: Inputs) -> Inputs:
    """What of the inputs a search reads beside evidence: accounts, their conduct, and the models they use."""
    models = inputs.uses[inputs.uses["kind"] == "model"]
    if isinstance(models["value"].dtype, pd.CategoricalDtype):
        models = models.assign(value=models["value"].cat.remove_unused_categories())
    return Inputs(models, inputs.accounts, inputs.conduct, make_frame(ITEMS), make_frame(HOURS))


def _search(
    inputs: Inputs, evidence: pd.DataFrame, settings: Settings, seed: int, tell: Step
) -> tuple[Linked, pd.DataFrame]:
    """Links and communities in this evidence."""
    tell("links")
    linked = link_accounts(
        evidence,
        accounts=inputs.accounts,
        conduct=inputs.conduct,
        uses=inputs.uses,
        settings=settings.evidence,
        seed=seed,
    )
    tell("communities")
    communities = find_communities(
        linked.links,
        evidence=evidence,
        values=linked.values,
        accounts=inputs.accounts,
        conduct=inputs.conduct,
        prior_bits=linked.prior_bits,
        settings=settings.communities,
        seed=seed,
    )
    return linked, communities


def search_by_chance(
    inputs: Inputs, evidence: pd.DataFrame, *, settings: Settings, seed: int
) -> npt.NDArray[np.float64]:
    """How firmly the communities hang together that the same search finds where families agree only by chance."""
    found = [np.empty(0)]
    for number in range(settings.verdicts.null_searches):
        permuted = permute_evidence(evidence, inputs.accounts, seed=seed + number)
        linked, communities = _search(inputs, permuted, settings, seed, lambda _name: None)
        found.append(find_null_cohesion(communities, evidence=permuted, values=linked.values, accounts=inputs.accounts))
    return np.concatenate(found)


def _leave_out(evidence: pd.DataFrame, without: Collection[str]) -> pd.DataFrame:
    left = evidence["family"].isin(list(without)) | evidence["value"].isin(list(without))
    return evidence[~left].reset_index(drop=True) if left.any() else evidence


def _look_at_groups(
    inputs: Inputs,
    evidence: pd.DataFrame,
    linked: Linked,
    communities: pd.DataFrame,
    settings: Settings,
    seed: int,
    without: Collection[str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Communities after joining cells of one queue, and what they show as groups."""
    related = make_frame(GROUP_RELATIONS)
    if "rhythm" not in without:
        related = relate_groups(_groups(communities), items=inputs.items, hours=inputs.hours)
    joined = join_cells(
        communities,
        related,
        evidence=evidence,
        values=linked.values,
        accounts=inputs.accounts,
        conduct=inputs.conduct,
        settings=settings.communities,
    )
    found = gather_group_evidence(
        _groups(joined),
        evidence=evidence,
        accounts=inputs.accounts,
        conduct=inputs.conduct,
        items=inputs.items,
        own_items=inputs.own_items,
        hours=inputs.hours,
        seed=seed,
    )
    return joined, _leave_out(found, without)


def _groups(communities: pd.DataFrame) -> pd.DataFrame:
    columns = {"account_id": communities["account_id"].array, "group": communities["community"].array}
    return make_frame(GROUPS, columns)


def _verdicts(
    inputs: Inputs,
    evidence: pd.DataFrame,
    linked: Linked,
    communities: pd.DataFrame,
    group_evidence: pd.DataFrame,
    null_cohesion: npt.NDArray[np.float64],
    *,
    settings: Settings,
    seed: int,
) -> Verdicts:
    return judge(
        communities,
        group_evidence=group_evidence,
        null_cohesion=null_cohesion,
        evidence=evidence,
        values=linked.values,
        accounts=inputs.accounts,
        conduct=inputs.conduct,
        items=inputs.items,
        own_items=inputs.own_items,
        works=inputs.works,
        hours=inputs.hours,
        settings=settings.verdicts,
        seed=seed,
        coefficients=coefficients_from(settings.coefficients),
    )


def judge_again(judged: Judged, inputs: Inputs, *, settings: Settings, seed: int) -> Judged:
    """The same communities under other verdict settings or coefficients; the costly stages are not run again."""
    known = (judged.evidence, judged.linked, judged.communities, judged.group_evidence, judged.null_cohesion)
    verdicts = _verdicts(inputs, *known, settings=settings, seed=seed)
    return dataclasses.replace(judged, verdicts=verdicts)


@dataclasses.dataclass(frozen=True)
class _Previous:
    """What of the last published run lives on."""

    members: pd.DataFrame
    dormant: pd.DataFrame
    """Clusters that the last run did not have, as they last were in a run that is kept."""
    quiet: frozenset[str]
    """Clusters of the last run whose members were silent."""
    known_ids: frozenset[str]


def _compute(
    inputs: Inputs,
    judged: Judged,
    previous: _Previous,
    decided: Decisions,
    digest: str,
    plan: Mapping[str, Any],
    revision: int,
    settings: Settings,
) -> tuple[RunRecord, RunTables]:
    tracked = carry_ids(
        judged.verdicts.clusters,
        judged.verdicts.members,
        previous.members,
        dormant_members=previous.dormant,
        known_ids=previous.known_ids,
        quiet_now=quiet_clusters(
            judged.verdicts.clusters, as_of=_moment(int(plan["as_of_ms"])), settings=settings.tracking
        ),
        quiet_before=previous.quiet,
        settings=settings.tracking,
    )
    tables = _tables(tracked, judged, decided, inputs, settings)
    return _record(inputs, judged.linked, tables, digest, plan, revision), tables


def settle_judged(tracked: Tracked, judged: Judged, decided: Decisions) -> tuple[Settled, pd.DataFrame]:
    """Clusters as decisions leave them, and what each shares: shape ``EVIDENCE`` with ``cluster_id``, categories."""
    accounts = pd.Index(tracked.members["account_id"])
    number, ids = text_codes(tracked.members["cluster_id"])
    frames = (judged.evidence, judged.group_evidence)
    inside = [frame.loc[frame["account_id"].isin(accounts), list(EVIDENCE)] for frame in frames]
    shared = stack_frames(inside)
    account = codes_of(shared["account_id"], accounts)
    cluster = number[account]
    shared = shared.assign(cluster_id=pd.Categorical.from_codes(cluster, ids))
    shared = shared[count_holders(account, cluster, value_keys(shared)) > 1]
    return settle(tracked.clusters, tracked.members, shared, decided=decided), shared


def _tables(tracked: Tracked, judged: Judged, decided: Decisions, inputs: Inputs, settings: Settings) -> RunTables:
    """The run's tables; of links and shared values only what lies inside one cluster."""
    settled, shared = settle_judged(tracked, judged, decided)
    number, ids = text_codes(tracked.members["cluster_id"])
    accounts = pd.Index(tracked.members["account_id"])
    links = judged.linked.evidence_within(pd.Series(number, index=accounts))
    cluster = number[codes_of(links["account_a"], accounts)]
    links = links.assign(cluster_id=pd.Categorical.from_codes(cluster, ids))
    said = explain(
        settled.clusters,
        members=settled.members,
        link_evidence=links,
        evidence=shared,
        settings=settings.verdicts,
    )
    statements = [settled.statements, said]
    judged_groups = {"groups": judged.verdicts.groups, "assigned": judged.verdicts.assigned}
    statements.append(tell_slices(settled.members, inputs.works, **judged_groups))
    statements.append(tell_pivots(measure_pivots(settled.members, inputs.moves)))
    statements.append(tell_regrowth(settled.members, inputs.accounts, decided=decided))
    return RunTables(
        clusters=settled.clusters,
        members=settled.members,
        links=links,
        shared=shared,
        statements=pd.concat(statements, ignore_index=True),
        events=tracked.events,
    )


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


def _record(
    inputs: Inputs, linked: Linked, tables: RunTables, digest: str, plan: Mapping[str, Any], revision: int
) -> RunRecord:
    counts = {
        "accounts": len(inputs.accounts),
        "requests": int(inputs.accounts["request_count"].sum()),
        "uses": len(inputs.uses),
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
    rows = database.query("published_run").to_dict("records")
    return {str(key): value for key, value in rows[0].items()} if rows else None


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
