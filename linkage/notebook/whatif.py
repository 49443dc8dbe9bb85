"""What would be found if something were otherwise: the published run stays as it is, and nothing is written."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pandas as pd

from linkage.clusters.cases import Decisions
from linkage.clusters.tracking import carry_ids
from linkage.engines.halves import beside_here
from linkage.errors import NoSuchAccountError, UsageError
from linkage.evidence.shared import KINDS_OF_FAMILY
from linkage.notebook.changes import differing, side_by_side
from linkage.notebook.given import AnySettings
from linkage.outputs.html import notebook_table
from linkage.rebuild import decisions_until, digest_of, settle_judged, versions_of
from linkage.settings import Settings, read_settings, settings_from
from linkage.stages import Judged, Step, judge_again, judge_inputs
from linkage.store.inputs import Inputs, Window, read_inputs
from linkage.store.store import Database
from linkage.terms import (
    ACCOUNTS,
    CLUSTERS,
    COUNT,
    FAMILIES,
    FLAG,
    MEMBERS,
    NUMBER,
    TEXT,
    Shape,
    join_words,
    make_frame,
)

CLUSTER_CHANGES: Final[Shape] = {
    "cluster_id": TEXT,
    "change": TEXT,
    "tier_before": TEXT,
    "tier_after": TEXT,
    "accounts_before": COUNT,
    "accounts_after": COUNT,
    "controller_before": NUMBER,
    "controller_after": NUMBER,
    "extraction_before": NUMBER,
    "extraction_after": NUMBER,
    "families_before": TEXT,
    "families_after": TEXT,
}
"""One row per cluster that ``came``, ``went`` or is of another ``tier``, size (``accounts``) or ``probability``;
where it is not, text is null, counts are 0 and probabilities NaN."""

MEMBER_CHANGES: Final[Shape] = {
    "account_id": TEXT,
    "change": TEXT,
    "cluster_before": TEXT,
    "cluster_after": TEXT,
    "tier_before": TEXT,
    "tier_after": TEXT,
    "membership_before": TEXT,
    "membership_after": TEXT,
    "controller_before": NUMBER,
    "controller_after": NUMBER,
    "extraction_before": NUMBER,
    "extraction_after": NUMBER,
    "flagged_before": FLAG,
    "flagged_after": FLAG,
}
"""One row per account that ``came`` into clusters, ``went``, ``moved`` to another, or is of another ``tier``,
``membership`` or ``probability``."""


@dataclasses.dataclass(frozen=True)
class WhatIf:
    """What a run would have found if something were otherwise."""

    change: str
    """What is otherwise, in words."""
    clusters: pd.DataFrame
    """Shape ``CLUSTERS``: what there would be."""
    members: pd.DataFrame
    """Shape ``MEMBERS``: what there would be. ``lk.evaluate`` takes the whole object."""
    cluster_changes: pd.DataFrame
    """Shape ``CLUSTER_CHANGES``: clusters before and after, those that differ."""
    member_changes: pd.DataFrame
    """Shape ``MEMBER_CHANGES``: accounts before and after, those that differ."""
    flagged_before: int
    """Accounts that are flagged as it is."""

    @property
    def flagged_after(self) -> int:
        """Accounts that would be flagged."""
        return int(self.members["flagged"].sum())

    def __repr__(self) -> str:
        return (
            f"<WhatIf {self.change}: {self.flagged_before:,} accounts flagged, then {self.flagged_after:,}; "
            f"{len(self.cluster_changes):,} clusters and {len(self.member_changes):,} accounts differ>"
        )

    def _repr_html_(self) -> str:
        counts = self.member_changes["change"].value_counts().rename_axis("accounts that").reset_index(name="accounts")
        return notebook_table(self.cluster_changes, caption=repr(self).strip("<>")) + notebook_table(counts)


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """What does not count in a what-if: families, single entities and accounts."""

    families: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.families or self.entities or self.accounts)

    def __str__(self) -> str:
        named = [*self.families, *self.entities, *self.accounts]
        shown = [*named[:5], f"{len(named) - 5} more"] if len(named) > 5 else named
        return f"without {join_words(shown)}"

    def thin(self, inputs: Inputs) -> Inputs:
        """The inputs as they would be had these fields, values and accounts never been in the logs."""
        kinds = [kind for family, kinds in KINDS_OF_FAMILY.items() if family in self.families for kind in kinds]
        uses = inputs.uses[~inputs.uses["kind"].isin(kinds) & ~inputs.uses["value"].isin(list(self.entities))]
        accounts, conduct = inputs.accounts, inputs.conduct
        if "registration" in self.families:
            kept = {name: accounts[name].array for name in ACCOUNTS if name not in ("created_at", "email_domain")}
            accounts = make_frame(ACCOUNTS, kept)
        if "conduct" in self.families:
            conduct = conduct.assign(log_input_mean=float("nan"), log_output_mean=float("nan"))
        works = inputs.works[~inputs.works["work"].isin(list(self.entities))]
        if "content" in self.families:
            works = works.iloc[:0]
        if "conduct" in self.families:
            works = works.assign(output_count=0, log_output_micros=0)
        tables = {name: table for name, table in vars(inputs).items() if isinstance(table, pd.DataFrame)}
        tables |= {"uses": uses, "accounts": accounts, "conduct": conduct, "works": works}
        gone = list(self.accounts)
        kept = {name: table[~table["account_id"].isin(gone)].reset_index(drop=True) for name, table in tables.items()}
        return Inputs(**kept, read_digest="")


class Bench:
    """A run's input, read once, to try things on; nothing is ever written.

    Parameters
    ----------
    database : the store.
    row : the run's row, as the query ``one_run`` gives it.
    """

    def __init__(self, database: Database, row: Mapping[str, Any]) -> None:
        self.revision = database.revision()
        self._row = row
        self._inputs = read_inputs(database, Window(row["since_ms"], row["as_of_ms"]))
        self._decided: Decisions = decisions_until(database, None)
        self._members = database.frame("run_members", MEMBERS, run_id=str(row["run_id"]))
        self._clusters = database.frame("run_clusters", CLUSTERS, run_id=str(row["run_id"]))
        self._known_ids = frozenset(database.query("known_cluster_ids")["cluster_id"])

    @property
    def settings(self) -> Settings:
        """The run's own settings."""
        return settings_from(json.loads(self._row["settings"]), name=f"run {self._row['run_id']}")

    @functools.cached_property
    def judged(self) -> Judged:
        """What the stages make of the input as it is."""
        settings, seed = self.settings, int(self._row["seed"])
        return judge_inputs(self._inputs, settings=settings, seed=seed, beside=beside_here(settings))

    @functools.cached_property
    def _before(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Clusters and members as it is: those of the run, or made again where the store has changed since."""
        is_same = digest_of(self._inputs, self._decided) == self._row["input_digest"]
        if is_same and json.loads(self._row["versions"]) == versions_of(self.settings):
            return self._clusters, self._members
        return self._settled(self.judged, self.settings)

    def likely_links(self, account_id: str) -> pd.DataFrame:
        """Links of an account, with ``other_account``, to those with which one controller is likelier than not."""
        linked = self.judged.linked
        is_a, is_b = linked.evidence["account_a"].eq(account_id), linked.evidence["account_b"].eq(account_id)
        own = linked.evidence[is_a | is_b]
        own = own.assign(other_account=own["account_a"].where(is_b, own["account_b"]))
        return own[own.groupby("other_account")["bits"].transform("sum") >= linked.prior_bits]

    def try_out(self, *, settings: Settings, left_out: LeftOut, step: Step | None = None) -> WhatIf:
        """What there would be with these settings and without what is left out; see :meth:`Run.what_if`."""
        self._check(left_out)
        judged = self._judged(settings, left_out, step)
        clusters, members = self._settled(judged, settings)
        changed = _changed_settings(self.settings, settings)
        return WhatIf(
            "; ".join([*([str(left_out)] if left_out else []), *changed]) or "as it is",
            clusters,
            members,
            _cluster_changes(self._before[0], clusters),
            _member_changes(self._before[1], members),
            int(self._before[1]["flagged"].sum()),
        )

    def _judged(self, settings: Settings, left_out: LeftOut, step: Step | None) -> Judged:
        seed = int(self._row["seed"])
        if not left_out and _without_verdicts(settings) == _without_verdicts(self.settings):
            return judge_again(self.judged, self._inputs, settings=settings, seed=seed)
        return judge_inputs(
            left_out.thin(self._inputs),
            settings=settings,
            seed=seed,
            step=step,
            without={*left_out.families, *left_out.entities},
            beside=beside_here(settings),
        )

    def _settled(self, judged: Judged, settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Clusters and members under the ids of the run, as people's decisions leave them."""
        tracked = carry_ids(
            judged.verdicts.clusters,
            judged.verdicts.members,
            self._members,
            known_ids=self._known_ids,
            settings=settings.tracking,
        )
        settled, _ = settle_judged(tracked, judged, self._decided)
        return settled.clusters, settled.members

    def _check(self, left_out: LeftOut) -> None:
        unknown = sorted(set(left_out.families) - set(FAMILIES))
        if unknown:
            raise UsageError(
                f"without_family: wanted {join_words(FAMILIES)}; got {join_words(unknown)}. Choose of them"
            )
        missing = sorted(set(left_out.accounts) - set(self._inputs.accounts["account_id"]))
        if missing:
            raise NoSuchAccountError(
                f"without_account: wanted accounts with a request in the run's window; {missing[0]!r} is none. "
                "List them with: store.query('account_profiles', **days)"
            )
        strange = set(left_out.entities) - set(self._inputs.uses["value"])
        if strange and (strange := strange - {*self.judged.evidence["value"], *self.judged.group_evidence["value"]}):
            raise UsageError(
                f"without_entity: wanted what accounts of the run use, such as an address; {min(strange)!r} is nothing "
                "that any has. Copy a value from run.links_of(account) or cluster.shared"
            )


def changed_settings(base: Settings, change: AnySettings | None) -> Settings:
    """Settings in which single values of another's take their place; whole settings or a file stand for themselves.

    Raises
    ------
    SettingsError : a name that does not exist, or a value out of range.

    Examples
    --------
    >>> changed_settings(Settings(), {"communities": {"seeds": 4}}).communities.seeds
    4
    """
    if change is None:
        return base
    if isinstance(change, Settings):
        return change
    if not isinstance(change, Mapping):
        return read_settings(change)
    tables: dict[str, Any] = base.to_dict()
    for section, values in change.items():
        is_merged = section != "coefficients" and section in tables and isinstance(values, Mapping)
        tables[section] = {**tables[section], **values} if is_merged else values
    return settings_from(tables)


def as_tuple(given: str | Iterable[str]) -> tuple[str, ...]:
    """One name or several, as a tuple.

    Examples
    --------
    >>> as_tuple("network"), as_tuple(["a", "b"])
    (('network',), ('a', 'b'))
    """
    return (given,) if isinstance(given, str) else tuple(given)


def _without_verdicts(settings: Settings) -> Settings:
    """The settings that the stages before the verdicts depend on; the rest of ``[verdicts]`` at its defaults."""
    searches = dataclasses.replace(Settings().verdicts, null_searches=settings.verdicts.null_searches)
    return dataclasses.replace(settings, verdicts=searches, coefficients={})


def _changed_settings(before: Settings, after: Settings) -> list[str]:
    one, other = before.to_dict(), after.to_dict()
    changed = [
        f"{section}.{name} {one[section].get(name)} to {value}"
        for section, values in other.items()
        if section != "coefficients"
        for name, value in values.items()
        if one[section].get(name) != value
    ]
    return [*changed, "other coefficients"] if one["coefficients"] != other["coefficients"] else changed


def _cluster_changes(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    columns = ["tier", "accounts", "controller_probability", "extraction_probability", "families"]
    both = side_by_side(before, after, on="cluster_id", columns=columns)
    for name in ("accounts_before", "accounts_after"):
        both[name] = both[name].fillna(0).astype(COUNT)
    words = {"extraction": "probability", "controller": "probability", "accounts": "accounts", "tier": "tier"}
    marked = differing(both, words)
    return make_frame(CLUSTER_CHANGES, {name: marked[name].array for name in CLUSTER_CHANGES})


def _member_changes(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    columns = ["cluster_id", "tier", "membership", "controller_probability", "extraction_probability", "flagged"]
    both = side_by_side(before, after, on="account_id", columns=columns)
    for name in ("flagged_before", "flagged_after"):
        both[name] = both[name].eq(True)
    words = {"extraction": "probability", "controller": "probability", "membership": "membership", "tier": "tier"}
    marked = differing(both, {**words, "cluster": "moved"})
    return make_frame(MEMBER_CHANGES, {name: marked[name].array for name in MEMBER_CHANGES})
