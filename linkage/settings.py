"""Every threshold of the tool, with its unit, its range and the reason for its default.

Settings come as frozen sections; a TOML file overrides single values::

    [communities]
    resolution = 0.08

A file is checked whole: every unknown name and every value out of range is told in one message.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, cast

from linkage.errors import SettingsError


def _setting(default: int | float, *, unit: str, low: float, high: float, reason: str) -> Any:
    """A dataclass field that knows its unit, its closed range and why its default is what it is."""
    metadata = {"unit": unit, "low": low, "high": high, "reason": reason}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, slots=True)
class IngestSettings:
    """How log files are read."""

    batch_rows: int = _setting(
        20_000, unit="records", low=100, high=1_000_000, reason="bounds memory; larger gains little speed"
    )
    rejected_share: float = _setting(
        0.5, unit="share of a file's lines", low=0, high=1, reason="above it the format was probably mistaken"
    )
    line_bytes: int = _setting(
        16_000_000, unit="bytes", low=1_000, high=1_000_000_000, reason="a longer line is set aside unread"
    )
    batch_bytes: int = _setting(
        64_000_000,
        unit="bytes of log text",
        low=10_000,
        high=4_000_000_000,
        reason="bounds memory where prompts are long; a batch of common records stays far below",
    )
    memory_mb: int = _setting(
        2_100,
        unit="MB",
        low=30,
        high=1_000_000,
        reason="half holds pages of the store, a third ids of a first load, a sixth names that wait to be written",
    )
    unpacked_ratio: int = _setting(
        1_000,
        unit="times the packed size",
        low=2,
        high=1_000_000,
        reason="logs pack 10 to 100 times; far above it the file is a decompression bomb",
    )
    id_chars: int = _setting(
        1_000,
        unit="characters",
        low=16,
        high=100_000,
        reason="ids and addresses are short; a longer value is damage or an attack on the store",
    )
    user_agent_chars: int = _setting(
        2_000,
        unit="characters",
        low=16,
        high=100_000,
        reason="browsers stay below 500; a longer one is dropped",
    )
    tokens_per_request: int = _setting(
        100_000_000,
        unit="tokens",
        low=1_000,
        high=2**53,
        reason="ten times the largest context window; a larger count is damage",
    )
    trusted_proxies: int = _setting(
        0,
        unit="entries of a forwarded-for list",
        low=0,
        high=20,
        reason="the caller writes the left of the list; 0 says no entry is known to be your own proxy's",
    )
    companion_days: int = _setting(
        30,
        unit="days that the newest request is ahead",
        low=1,
        high=3_650,
        reason="a companion log waits so long for its requests; two logs of one night may be loaded weeks apart",
    )
    companions_waiting: int = _setting(
        10_000_000,
        unit="records of companion logs",
        low=0,
        high=1_000_000_000,
        reason="bounds what waits for its request to about a gigabyte of the store; of more the oldest go",
    )


@dataclasses.dataclass(frozen=True, slots=True)
class TemplateSettings:
    """How prompts become templates and items."""

    min_support: int = _setting(
        3,
        unit="distinct prompts",
        low=2,
        high=1_000,
        reason="two prompts alike can be one person trying again",
    )
    min_strength: float = _setting(
        3.0,
        unit="tokens of fixed text",
        low=1,
        high=100,
        reason="fewer are how people open and end questions; rarer than 32 prompts, more are asked for",
    )
    item_share: float = _setting(
        0.3,
        unit="share of a template's prompts",
        low=0.01,
        high=1,
        reason="what so many prompts of a template have in common is boilerplate, not an item",
    )
    learn_prompts: int = _setting(
        1_000_000,
        unit="distinct prompts",
        low=100,
        high=100_000_000,
        reason="bounds memory to about 2.5 GB; of more, those with the lowest ids are learned from",
    )
    family_similarity: float = _setting(
        0.45,
        unit="similarity of fixed texts",
        low=0.05,
        high=1,
        reason="between 0.4 and 0.6 on paraphrases of simulated templates, the most pairs right (2026-11-24)",
    )


@dataclasses.dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """What a shared value is worth and how far the work may go."""

    links_per_use: int = _setting(
        10,
        unit="links per account and value",
        low=1,
        high=1_000,
        reason="bounds the projection under any hub",
    )
    links_per_account: int = _setting(
        100,
        unit="links",
        low=1,
        high=100_000,
        reason="clusters are found through the strongest of each account; enough to hold a group of thousands together",
    )
    signup_hours: float = _setting(
        24.0,
        unit="hours",
        low=0.1,
        high=10_000,
        reason="a batch of sign-ups takes hours to days; the window with mail domain is three times this",
    )
    conduct_requests: int = _setting(
        5, unit="requests", low=1, high=100_000, reason="below it habits cannot be told from chance"
    )
    prior_pairs: float = _setting(
        2_000.0,
        unit="pairs",
        low=0,
        high=1e9,
        reason="how many pairs the shipped weights count for beside the pairs of the data",
    )
    prior_accounts: float = _setting(
        500.0,
        unit="accounts",
        low=0,
        high=1e9,
        reason="unseen accounts a store is taken to be a part of, so that few accounts do not look rare",
    )
    max_bits: float = _setting(14.0, unit="bits", low=1, high=60, reason="bounds what one shared value adds to a pair")


@dataclasses.dataclass(frozen=True, slots=True)
class CommunitySettings:
    """How links become communities."""

    resolution: float = _setting(
        0.15,
        unit="link weight per pair (CPM)",
        low=0.0001,
        high=10,
        reason="lower gives larger communities; at 0.05 two campaigns of 250 came as one, fragments are joined later",
    )
    seeds: int = _setting(
        8,
        unit="partitions",
        low=2,
        high=100,
        reason="enough to tell a stable member (1 in 8) from a loose one",
    )
    link_bits: float = _setting(
        2.0, unit="bits above even odds", low=-20, high=40, reason="lower lets weaker links count"
    )
    merge_share: float = _setting(
        0.7,
        unit="share of the two communities' mean inner cohesion",
        low=0.05,
        high=10,
        reason="at 0.4 campaigns that share one broad template merge (5 of 21), at 0.8 cells of one campaign part",
    )
    merge_bits: float = _setting(
        5.0,
        unit="bits between random accounts of two communities",
        low=0,
        high=60,
        reason="less is what strangers share, unless two communities share hardly more inside",
    )
    pooled_share: float = _setting(
        0.8,
        unit="share of a value's accounts in the communities that hold it",
        low=0.5,
        high=2,
        reason="from here on they are one if they share it, and more: strangers hardly have it; above 1 joins none",
    )
    join_bits: float = _setting(
        4.0,
        unit="bits of hand-overs between two communities",
        low=0,
        high=10,
        reason="cells of one queue gave 4.9 to 10, all other pairs of communities in 11 worlds none",
    )
    min_accounts: int = _setting(
        3, unit="accounts", low=2, high=1_000, reason="a pair alone is a household or a second device"
    )


@dataclasses.dataclass(frozen=True, slots=True)
class VerdictSettings:
    """When a cluster reaches which tier."""

    min_families: int = _setting(
        2,
        unit="evidence families",
        low=2,
        high=8,
        reason="one alone is never enough for enforce; content, contract, client and conduct (a program) count as one",
    )
    linked_bits: float = _setting(
        2.5, unit="bits", low=0.1, high=14, reason="from here on a family links an account to its cluster"
    )
    linked_share: float = _setting(
        0.5, unit="share of members", low=0, high=1, reason="a family counts when it links this many members"
    )
    enforce_controller: float = _setting(
        0.5,
        unit="probability of one controller",
        low=0,
        high=1,
        reason="for tier enforce; extraction, the stricter verdict, was learned on innocents of one hand and many",
    )
    enforce_extraction: float = _setting(
        0.6, unit="probability of extraction", low=0, high=1, reason="for tier enforce; see docs/calibration.md"
    )
    enforce_both: float = _setting(
        1.0,
        unit="sum of both probabilities",
        low=0,
        high=2,
        reason="from here on less than enforce_controller will do: the odds of both together are even; decision 58",
    )
    least_controller: float = _setting(
        0.1,
        unit="probability of one controller",
        low=0,
        high=1,
        reason="for tier enforce, however sure extraction is: many may work alike through one public pipeline",
    )
    declared_share: float = _setting(
        0.8,
        unit="share of members",
        low=0.5,
        high=1,
        reason="so many that declare one organization are one customer; one stray account more does not undo that",
    )
    review_probability: float = _setting(
        0.3,
        unit="probability",
        low=0,
        high=1,
        reason="both verdicts must reach it for tier review; see docs/calibration.md",
    )
    review_extraction: float = _setting(
        0.9,
        unit="probability of extraction",
        low=0,
        high=1,
        reason="for tier review by itself: so clear that a person looks, whatever ties the accounts; decision 61",
    )
    max_q_value: float = _setting(
        0.05, unit="expected share of coincidences", low=0, high=1, reason="of the clusters at tier enforce"
    )
    min_enforce_accounts: int = _setting(
        5, unit="accounts", low=2, high=10_000, reason="fewer give too little to tell work from habit"
    )
    open_accounts: int = _setting(
        10,
        unit="accounts",
        low=0,
        high=10_000,
        reason="fewer that all share one card and one address may be one firm's own: review at most",
    )
    brief_days: float = _setting(
        3.0,
        unit="days",
        low=0,
        high=30,
        reason="work of so few days that no common payment ties may be an event's, a hackathon's: review at most",
    )
    core_share: float = _setting(
        0.5, unit="share of the median member's ties", low=0, high=10, reason="from here on a member is core"
    )
    probable_share: float = _setting(
        0.25, unit="share of the median member's ties", low=0, high=10, reason="below it, a bystander"
    )
    null_searches: int = _setting(
        2,
        unit="searches",
        low=0,
        high=100,
        reason="each finds 40 groups of chance among 3,000 accounts; their law is fitted, so after 500 none follows",
    )
    permutations: int = _setting(
        40, unit="draws", low=10, high=100_000, reason="the tail beyond them is fitted; more move q little"
    )


@dataclasses.dataclass(frozen=True, slots=True)
class TrackingSettings:
    """When a cluster is the same one as in the last run."""

    overlap: float = _setting(
        0.3, unit="Jaccard index of members", low=0.01, high=1, reason="survives churn of half the members"
    )
    dormant_days: int = _setting(
        7, unit="days without a request", low=1, high=3_650, reason="a week covers weekends and most holidays"
    )


@dataclasses.dataclass(frozen=True, slots=True)
class RunSettings:
    """How a rebuild is bounded and what it keeps."""

    window_days: int = _setting(
        90,
        unit="days",
        low=1,
        high=3_650,
        reason="longer than published campaigns ran (45 days), so none is cut in two",
    )
    keep_runs: int = _setting(5, unit="runs", low=1, high=10_000, reason="enough to look back after a bad night")
    processes: int = _setting(
        2,
        unit="processes",
        low=1,
        high=2,
        reason="the second reads half of the input and finds partitions of large graphs",
    )
    memory_mb: int = _setting(
        0,
        unit="MB",
        low=0,
        high=10_000_000,
        reason="0: no bound; a rebuild that would need more is not begun, so that the machine does not run short",
    )
    links_per_account: int = _setting(
        30,
        unit="links",
        low=1,
        high=100_000,
        reason="a run keeps and lists the strongest of each account inside its cluster: more than anybody reads",
    )


@dataclasses.dataclass(frozen=True, slots=True)
class ReportSettings:
    """How much of a cluster a report lists."""

    rows_per_table: int = _setting(
        20_000,
        unit="rows",
        low=1,
        high=1_000_000_000,
        reason="links, shared values and hours of a cluster; of more, each member's strongest: 1.9 GB became 23 MB for "
        "18,000 accounts (2026-11-29), and clusters up to about 100 accounts are listed whole",
    )


@dataclasses.dataclass(frozen=True, slots=True)
class HealthSettings:
    """What counts as unusual about the input; told in the ledger of runs, and by ``linkage doctor``."""

    usual_days: int = _setting(14, unit="days", low=2, high=365, reason="so many earlier days say what is usual")
    least_days: int = _setting(5, unit="days", low=2, high=365, reason="of fewer earlier days nothing is said")
    volume_factor: float = _setting(
        3.0,
        unit="times the usual volume, or times less",
        low=1,
        high=1_000,
        reason="weekends of offices stay within it",
    )
    coverage_share: float = _setting(
        0.5, unit="share of a field's usual coverage", low=0, high=1, reason="a field that comes on less is told"
    )
    least_coverage: float = _setting(
        0.2, unit="share of requests", low=0, high=1, reason="fields that are rarer are not missed"
    )
    stray_gap_days: int = _setting(
        7,
        unit="days",
        low=1,
        high=3_650,
        reason="after so many days without any request, the few that follow come from a clock gone wrong",
    )
    stray_share: float = _setting(
        0.01, unit="share of all requests", low=0, high=1, reason="more than this beyond the gap is no wrong clock"
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """All sections together; what a run records."""

    ingest: IngestSettings = dataclasses.field(default_factory=IngestSettings)
    templates: TemplateSettings = dataclasses.field(default_factory=TemplateSettings)
    evidence: EvidenceSettings = dataclasses.field(default_factory=EvidenceSettings)
    communities: CommunitySettings = dataclasses.field(default_factory=CommunitySettings)
    verdicts: VerdictSettings = dataclasses.field(default_factory=VerdictSettings)
    tracking: TrackingSettings = dataclasses.field(default_factory=TrackingSettings)
    run: RunSettings = dataclasses.field(default_factory=RunSettings)
    health: HealthSettings = dataclasses.field(default_factory=HealthSettings)
    report: ReportSettings = dataclasses.field(default_factory=ReportSettings)
    coefficients: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What ``linkage calibrate`` writes; empty: the shipped coefficients. Checked where they are used."""

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Section name to setting name to value, in declared order."""
        return dataclasses.asdict(self)

    def digest(self) -> str:
        """A hash of all values (16 hex digits); equal settings have equal digests.

        Examples
        --------
        >>> Settings().digest() == settings_from({}).digest()
        True
        """
        return settings_digest(self.to_dict())


def settings_digest(values: Mapping[str, Mapping[str, Any]]) -> str:
    """A hash of settings as :meth:`Settings.to_dict` gives them (16 hex digits)."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def read_settings(path: str | PathLike[str]) -> Settings:
    """Settings from a TOML file; what the file does not name keeps its default.

    Raises
    ------
    SettingsError : the file cannot be read or is not TOML, or any value in it is unknown or out of range.
    """
    file = Path(path)
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{file}: wanted a readable TOML settings file; {why}. Check path and syntax") from error
    return settings_from(tables, name=str(file))


def settings_from(tables: Mapping[str, Any], *, name: str = "settings") -> Settings:
    """Settings from section name to setting name to value.

    Parameters
    ----------
    tables : only what differs from the defaults.
    name : what to call the source in a message.

    Raises
    ------
    SettingsError : lists every unknown section or setting and every value out of range at once.

    Examples
    --------
    >>> settings_from({"communities": {"seeds": 4}}).communities.seeds
    4
    >>> settings_from({"communities": {"resolution": 0.0}}, name="s.toml")
    Traceback (most recent call last):
    ...
    linkage.errors.SettingsError: s.toml [communities]: resolution must be at least 0.0001 and at most ...
    """
    faults: list[str] = []
    sections: dict[str, Any] = {}
    known = {field.name: field for field in dataclasses.fields(Settings)}
    for section, values in tables.items():
        if section not in known:
            faults.append(f"{name}: no section [{section}]. Sections: {', '.join(known)}")
        elif not isinstance(values, Mapping):
            faults.append(f"{name}: [{section}] must be a table of settings; got {values!r}")
        elif section == "coefficients":
            sections[section] = (dict, values)
        else:
            kind = cast(type[Any], known[section].default_factory)
            faults += _section_faults(kind, values, where=f"{name} [{section}]")
            sections[section] = (kind, values)
    if faults:
        raise SettingsError("\n".join(faults))
    return Settings(**{section: kind(**values) for section, (kind, values) in sections.items()})


def _section_faults(kind: type[Any], values: Mapping[str, Any], *, where: str) -> Iterator[str]:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key, value in values.items():
        if key not in fields:
            yield f"{where}: no setting {key!r}. Settings: {', '.join(fields)}"
            continue
        field = fields[key]
        low, high, unit = field.metadata["low"], field.metadata["high"], field.metadata["unit"]
        wanted = int if isinstance(field.default, int) else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted):
            yield f"{where}: {key} must be a number ({unit}); got {value!r}"
        elif not low <= value <= high:
            wanted_range = f"{key} must be at least {low} and at most {high} ({unit})"
            yield f"{where}: {wanted_range}; got {value}. The default: {field.metadata['reason']}"
