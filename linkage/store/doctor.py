"""What a store can tell about itself: coverage of fields, possible evidence, and what needs attention."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Final

import pandas as pd

from linkage.memory import machine_bytes, rebuild_bytes
from linkage.settings import HealthSettings
from linkage.store.companions import count_companions
from linkage.store.facts import storable_path
from linkage.store.health import find_ahead, find_stray
from linkage.store.store import Database
from linkage.terms import COUNT, FAMILIES, FLAG, NUMBER, TEXT, Family, Shape, counted, make_frame

FIELD_COVERAGE: Final[Shape] = {"field": TEXT, "source": TEXT, "present": COUNT, "total": COUNT, "share": NUMBER}
"""One row per canonical field; ``source`` is ``requests`` or ``accounts``; ``share`` from 0 to 1, ``nan`` where
there is none of them to carry it."""

FAMILY_COVERAGE: Final[Shape] = {"family": TEXT, "possible": FLAG, "best_field": TEXT, "share": NUMBER, "note": TEXT}
"""One row per evidence family: whether the input carries any of its fields at all, and how often."""

FINDINGS: Final[Shape] = {"level": TEXT, "check": TEXT, "found": TEXT, "advice": TEXT}
"""One row per check; ``level`` is ``ok``, ``note`` or ``problem``."""

_FIELDS_OF_FAMILY: Final[Mapping[Family, tuple[str, ...]]] = {
    "network": ("ip",),
    "payment": ("payment_method",),
    "content": ("prompt",),
    "contract": ("params",),
    "client": ("user_agent", "tls_fingerprint"),
    "registration": ("created_at",),
    "conduct": ("output_tokens",),
    "rhythm": ("timestamp",),
    "partition": ("prompt",),
    "succession": ("timestamp",),
}
"""A family is impossible when none of its fields is ever present (requests or account records)."""

_PLAIN_NAMES: Final = {"client": ("user_agent", "tls_fingerprint")}
_LOW_SHARE: Final = 0.2
_RECORDED_SHARE: Final = 0.8
_ALWAYS: Final = 1_000_000  # days
_FAILED_TOLD: Final = 5

Finding = tuple[str, str, str, str]


def field_coverage(database: Database) -> pd.DataFrame:
    """How many stored requests and accounts carry each field; shape ``FIELD_COVERAGE``."""
    requests = database.query("field_coverage").assign(source="requests")
    accounts = database.query("account_field_coverage").assign(source="accounts")
    both = pd.concat([requests, accounts], ignore_index=True)
    both["present"] = both["present"].astype("int64")
    both["total"] = both["total"].astype("int64")
    both["share"] = (both["present"] / both["total"].where(both["total"] > 0)).astype("float64")
    return make_frame(FIELD_COVERAGE, {column: both[column] for column in FIELD_COVERAGE})


def family_coverage(coverage: pd.DataFrame) -> pd.DataFrame:
    """Which evidence an input of this coverage (:func:`field_coverage`) allows and which it rules out.

    Returns
    -------
    DataFrame of shape ``FAMILY_COVERAGE``.
    """
    always = make_frame(FIELD_COVERAGE, {"field": ["timestamp"], "source": ["requests"], "share": [1.0]})
    fields = pd.concat([coverage, always], ignore_index=True)
    rows = [_family_row(family, fields) for family in FAMILIES]
    return make_frame(FAMILY_COVERAGE, dict(zip(FAMILY_COVERAGE, zip(*rows, strict=True), strict=True)))


def _family_row(family: Family, fields: pd.DataFrame) -> tuple[str, bool, str, float, str]:
    names = _FIELDS_OF_FAMILY[family]
    stored = [*names, *(kind for kind, parts in _PLAIN_NAMES.items() if set(parts) & set(names))]
    own = fields[fields["field"].isin(stored)].fillna({"share": 0.0})
    own = own.sort_values("share", ascending=False, kind="stable")
    share = float(own["share"].max()) if len(own) else 0.0
    best = str(own["field"].iloc[0]) if len(own) else names[0]
    if share == 0:
        return family, False, best, 0.0, f"impossible: no {' or '.join(names)} in this input"
    note = f"thin: {best} on {share:.0%}" if share < _LOW_SHARE else f"{best} on {share:.0%}"
    return family, True, best, share, note


def examine(database: Database, *, now_ms: int | None = None, settings: HealthSettings | None = None) -> pd.DataFrame:
    """What needs attention in this store, worst first; shape ``FINDINGS``. Reads the whole file once.

    Parameters
    ----------
    now_ms : UTC epoch milliseconds, to find requests of the future; None: only those far after all others are found.
    settings : from where on requests lie far after all others; None: the defaults.
    """
    findings = [*_file_findings(database)]
    if findings[0][0] != "problem":  # of a damaged file nothing else can be said
        findings += _input_findings(database)
        findings += _failed_file_findings(database)
        findings += _companion_findings(database)
        findings += _clock_findings(database, now_ms, settings or HealthSettings())
        findings += _memory_findings(database, machine_bytes())
        findings += _run_findings(database)
    order = {"problem": 0, "note": 1, "ok": 2}
    findings.sort(key=lambda finding: order[finding[0]])
    return make_frame(FINDINGS, dict(zip(FINDINGS, zip(*findings, strict=True), strict=True)))


def _name(database: Database) -> str:
    """The store as a command line has it, to be copied from advice; what of its name is no UTF-8 as escapes."""
    return shlex.quote(storable_path(database.path))


def _file_findings(database: Database) -> Iterator[Finding]:
    damage = database.check_integrity()
    if damage:
        yield (
            "problem",
            "file",
            f"SQLite finds damage: {damage[0]}",
            "restore a backup and ingest the newer files again; with none, load the logs into a new store",
        )
    else:
        yield "ok", "file", "SQLite finds no damage", ""


def _input_findings(database: Database) -> Iterator[Finding]:
    counts = database.query("store_counts").iloc[0]
    if counts["requests"] == 0:
        yield "problem", "requests", "no request is stored", f"load logs: linkage ingest {_name(database)} FILE..."
        return
    span = f"{counts['first_at']:%Y-%m-%d} to {counts['last_at']:%Y-%m-%d}"
    found = f"{counted(counts['requests'], 'request')} of {counted(counts['accounts'], 'account')}, {span}"
    yield "ok", "requests", found, ""
    if counts["set_aside"]:
        reason = database.query("rejected_reasons").iloc[0]
        found = f"{counted(counts['set_aside'], 'line')} set aside, mostly: {reason['reason']}"
        yield "note", "set aside", found, f"list them: linkage doctor {_name(database)} --set-aside"
    recorded = int(counts["recorded_accounts"])
    if recorded < _RECORDED_SHARE * counts["accounts"]:
        found = f"{recorded:,} of {counts['accounts']:,} accounts have an account record"
        yield (
            "note",
            "account records",
            found,
            "load them with --accounts: cards, organizations and sign-ups come from there",
        )
    for row in family_coverage(field_coverage(database)).itertuples():
        if not row.possible:
            yield "note", f"{row.family} evidence", str(row.note), "verdicts go without it"


def _failed_file_findings(database: Database) -> Iterator[Finding]:
    """Files that the last ingest that was given them could not load: nobody may have seen it end."""
    failed = database.query("failed_files")
    for file in failed.head(_FAILED_TOLD).itertuples():
        found = f"{file.path} was not loaded (exit code {file.exit_code}): {file.reason}"
        why = f"linkage ingest {_name(database)} {shlex.quote(str(file.path))}"
        yield "problem", "files", found, f"see why: {why}; mend it, or take it away"
    if len(failed) > _FAILED_TOLD:
        more = len(failed) - _FAILED_TOLD
        found = f"{counted(more, 'more file')} {'was' if more == 1 else 'were'} not loaded"
        yield "problem", "files", found, "the next ingest tells which"


def _companion_findings(database: Database) -> Iterator[Finding]:
    """Records of companion logs that have not met the request they tell of."""
    counts = count_companions(database)
    if counts.waiting:
        found = f"{_records(counts.waiting)} of companion logs (CloudTrail, API Management) wait for a request"
        yield "note", "companions", found, "load the log their requests are in, with the same --source as them"
    if counts.aged_out:
        found = f"{_records(counts.aged_out)} of companion logs were let go: no request of theirs came"
        advice = "should their requests still come, raise [ingest] companion_days and load the files again"
        yield "note", "companions", found, advice


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count:,} records"


def _clock_findings(database: Database, now_ms: int | None, settings: HealthSettings) -> Iterator[Finding]:
    stray = find_stray(database, settings)
    if stray:
        yield "problem", "clock", stray.found, "they end no window; find the machine whose clock is wrong"
    elif now_ms is not None and (ahead := find_ahead(database, now_ms)):
        yield "problem", "clock", ahead.found, "find the machine whose clock is wrong; rebuild with --as-of meanwhile"


def _memory_findings(database: Database, here: int | None) -> Iterator[Finding]:
    always = {"since_day": -_ALWAYS, "until_day": _ALWAYS}
    needed = rebuild_bytes(int(database.query("window_size", **always)["uses"].iloc[0]))
    if here is not None and needed > here:
        found = f"a rebuild of all takes about {needed / 1e9:,.1f} GB; here are {here / 1e9:,.1f} GB"
        yield "note", "memory", found, "rebuild with a shorter --window; [run] memory_mb stops what is too large"


def _run_findings(database: Database) -> Iterator[Finding]:
    published = database.query("published_run")
    revision, mined = database.revision()
    is_behind = published.empty or bool(published["input_revision"].iloc[0] < revision)
    yield from _failure_findings(database, is_behind=is_behind)
    if mined < revision and revision:  # a store that nothing was loaded into has nothing to mine
        yield (
            "problem",
            "templates",
            "the last ingest was cut off before its templates were mined",
            "ingest any file again",
        )
    if published.empty:
        yield "note", "run", "no run was published yet", f"rebuild: linkage rebuild {_name(database)}"
    elif is_behind:
        found = f"run {published['run_id'].iloc[0]} is older than the newest records"
        yield "note", "run", found, f"rebuild: linkage rebuild {_name(database)}"
    else:
        yield "ok", "run", f"run {published['run_id'].iloc[0]} has all records", ""


def _failure_findings(database: Database, *, is_behind: bool) -> Iterator[Finding]:
    """The last rebuild, if it failed; a problem only where records wait for it: with nothing new none is remembered."""
    ledger = database.query("run_ledger")
    if ledger.empty or ledger["exit_code"].iloc[-1] == 0:
        return
    last = ledger.iloc[-1]
    when = "" if pd.isna(last["began_at"]) else f" of {last['began_at']:%Y-%m-%d %H:%M} UTC"
    found = f"the last rebuild{when} failed with exit code {last['exit_code']}: {last['error']}"
    advice = f"mend what it names and rebuild: linkage rebuild {_name(database)}; the run before it stays published"
    yield "problem" if is_behind else "note", "last rebuild", found, advice
