"""The vocabulary of the tool and the shapes of the tables its stages hand to each other.

A shape is a mapping from column name to pandas dtype, in column order. A stage checks what it is
handed with :func:`check_frame` and hands on frames built with :func:`make_frame`, so an empty table
has the same columns and dtypes as a full one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NewType, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.errors import ShapeError

ClusterId = NewType("ClusterId", str)
"""A community with a lasting id, such as ``c-7f3a91``."""

RunId = NewType("RunId", str)
"""One rebuild, such as ``r-20261120-5d1c02``."""

TemplateId = NewType("TemplateId", str)
"""A prompt template, such as ``t-09ab34cd56ef7812``; derived from its fixed text alone."""

Tier = Literal["enforce", "review", "watch"]
"""How sure the tool is that a cluster needs a decision, strongest first."""

Membership = Literal["core", "probable", "bystander"]
"""How firmly an account belongs to its cluster, strongest first."""

Family = Literal[
    "network",
    "payment",
    "content",
    "contract",
    "client",
    "registration",
    "conduct",
    "rhythm",
    "partition",
    "succession",
]
"""The kinds of reason to tie two accounts."""

Exclusion = Literal["families", "share", "copyable", "work", "overturned"]
"""Why an account that was found with the others is a bystander: fewer than two families tie it; too small a share of
what ties the median member; what ties it could be taken over from others, and what could not be does not tie it; it is
tied less firmly than most and sends none of the members' own work; a decision freed it, and nothing is new since."""

EventKind = Literal["born", "grew", "shrank", "split", "merged", "dormant", "revived", "ended"]
"""What happened to a cluster between two runs."""

CaseState = Literal["open", "cleared", "watched", "enforced", "appealed", "overturned"]
"""What people decided about a cluster; ``overturned`` frees its accounts, or one of them."""

Lack = Literal["operator", "extraction", "chance", "accounts", "evidence"]
"""What a cluster has too little of for tier ``enforce``: signs of one operator, of extraction, or against chance;
accounts; independent kinds of evidence."""

Hold = Literal["unpaid", "one_payment", "open", "own_domain", "hosted", "brief", "organization", "cleared"]
"""The rule or decision that holds a cluster back, whatever else it shows: only its own work reads as extraction, and no
payment ties half of it, or one pays for all; a customer in the open with few accounts, or with a mail domain of its
own; customers of one program that calls for them; a brief event; a declared organization; people cleared it."""

Bar = Literal[Lack, Hold]

TIERS: Final[tuple[Tier, ...]] = get_args(Tier)
MEMBERSHIPS: Final[tuple[Membership, ...]] = get_args(Membership)
EXCLUSIONS: Final[tuple[Exclusion, ...]] = get_args(Exclusion)
BARS: Final[tuple[Bar, ...]] = get_args(Bar)
FAMILIES: Final[tuple[Family, ...]] = get_args(Family)
EVENT_KINDS: Final[tuple[EventKind, ...]] = get_args(EventKind)
CASE_STATES: Final[tuple[CaseState, ...]] = get_args(CaseState)

FLAGGED_TIER: Final[Tier] = "enforce"
FLAGGED_MEMBERSHIPS: Final[tuple[Membership, ...]] = ("core", "probable")

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000

Shape = Mapping[str, str]

TEXT: Final = "str"
COUNT: Final = "int64"
SMALL: Final = "int32"
NUMBER: Final = "float64"
TIME: Final = "datetime64[ms, UTC]"
FLAG: Final = "bool"

REQUEST_FIELDS: Final[tuple[str, ...]] = (
    "timestamp",
    "request_id",
    "account_id",
    "api_key_id",
    "ip",
    "payment_method",
    "user_agent",
    "tls_fingerprint",
    "model",
    "endpoint",
    "prompt",
    "input_tokens",
    "output_tokens",
    "status",
    "latency_ms",
    "organization_id",
    "prompt_template",
    "params",
    "system_prompt",
    "end_user",
    "forwarded_for",
)
"""Fields of the canonical request record; ``end_user`` and ``forwarded_for`` are the caller's word, never trusted."""

REQUIRED_REQUEST_FIELDS: Final[tuple[str, ...]] = ("timestamp", "account_id")

ACCOUNT_FIELDS: Final[tuple[str, ...]] = (
    "account_id",
    "organization_id",
    "created_at",
    "email_domain",
    "payment_method",
    "country",
    "plan",
)
"""Fields of the canonical account record."""

USES: Final[Shape] = {
    "account_id": TEXT,
    "kind": TEXT,
    "value": TEXT,
    "request_count": COUNT,
    "first_at": TIME,
    "last_at": TIME,
}
"""One row per account, kind and value: which account used which entity, how often and when."""

ACCOUNTS: Final[Shape] = {
    "account_id": TEXT,
    "organization_id": TEXT,
    "created_at": TIME,
    "email_domain": TEXT,
    "country": TEXT,
    "plan": TEXT,
    "request_count": COUNT,
    "first_at": TIME,
    "last_at": TIME,
}
"""One row per account with a request inside the window, sorted by id; unknown text is null (NaN)."""

CONDUCT: Final[Shape] = {
    "account_id": TEXT,
    "request_count": COUNT,
    "active_days": COUNT,
    "active_hours": COUNT,
    "failed_count": COUNT,
    "limited_count": COUNT,
    "input_tokens": COUNT,
    "output_tokens": COUNT,
    "log_input_mean": NUMBER,
    "log_output_mean": NUMBER,
    "templated_count": COUNT,
    "prompt_count": COUNT,
    "distinct_prompt_count": COUNT,
}
"""One row per account: how it works. Logs are ``log1p`` of tokens, averaged over requests that tell them;
``limited_count`` counts status 429; null where no request carried the field."""

ITEMS: Final[Shape] = {
    "account_id": TEXT,
    "item": SMALL,
    "first_at": TIME,
}
"""One row per account and item (what filled a template's slots); items are numbered from 0. Those that one account
alone has need not be listed: :data:`OWN_ITEMS` counts those that are not."""

OTHER_ITEMS: Final[Shape] = {
    "account_id": TEXT,
    "item": SMALL,
}
"""One row per item and account that has it, of accounts that ``ITEMS`` does not list and of items that it does, under
the same number; -1: some other item."""

OWN_ITEMS: Final[Shape] = {
    "account_id": TEXT,
    "item_count": COUNT,
    "first_at": TIME,
    "last_at": TIME,
}
"""One row per account with items that neither ``ITEMS`` nor ``OTHER_ITEMS`` lists, since nobody who is asked for shares
them: how many, and when the first of them and the last of them came first."""

WORKS: Final[Shape] = {
    "account_id": TEXT,
    "day": COUNT,
    "kind": TEXT,
    "work": TEXT,
    "request_count": COUNT,
    "output_count": COUNT,
    "log_output_micros": COUNT,
    "hours": COUNT,
}
"""One row per account, UTC day (since the epoch) and work, which is a family of templates, or a template that has none
(``kind`` says which), and which another account has, too: requests, those whose output length is known, the sum of
ln(1 + output tokens) in millionths, and the hours of the day with a request as bits (bit 0: the first)."""

MODEL_MOVES: Final[Shape] = {
    "account_id": TEXT,
    "model": TEXT,
    "first_at": TIME,
    "day": COUNT,
    "to_model": COUNT,
    "request_count": COUNT,
}
"""One row per new model and account at work on its first whole day (UTC days since the epoch): requests to it, and
in all. ``first_at`` is when anybody first used it."""

HOURS: Final[Shape] = {
    "account_id": TEXT,
    "hour_at": TIME,
    "request_count": COUNT,
    "limited_count": COUNT,
}
"""One row per account and clock hour (UTC) with a request in it."""

EVIDENCE: Final[Shape] = {
    "account_id": TEXT,
    "family": TEXT,
    "kind": TEXT,
    "value": TEXT,
    "request_count": COUNT,
    "first_at": TIME,
    "last_at": TIME,
    "accounts": COUNT,
    "unrelated_accounts": COUNT,
}
"""The shared shape of all evidence: one row per account and shared value, only values that two or more
accounts share. ``accounts`` share the value; ``unrelated_accounts`` counts the ones with no organization, and no
payment instrument or address of at most ``HARD_ACCOUNTS``, in common with another (an estimate, at least 0)."""

HARD_ACCOUNTS: Final = 30
"""A payment instrument or address on more accounts than this says nothing about who is related."""

UNRELATED: Final = (
    "Otherwise unrelated are accounts that declare no organization in common, and besides what is told share no "
    f"payment instrument or address of at most {HARD_ACCOUNTS} accounts."
)

GROUPS: Final[Shape] = {"account_id": TEXT, "group": COUNT}
"""One row per account of a candidate group: accounts that weak ties suggest belong together."""

GROUP_EVIDENCE: Final[Shape] = {
    "group": COUNT,
    **EVIDENCE,
    "bits": NUMBER,
}
"""One row per account and pattern that only shows in a group. ``accounts`` of the group take part in it, of which
``unrelated_accounts`` are otherwise unrelated; ``bits`` (above 0) is how improbable the account's part in it is
under the null of the pattern's room, every candidate group counted as one more try."""

GROUP_RELATIONS: Final[Shape] = {
    "group_a": COUNT,
    "group_b": COUNT,
    "hand_overs": COUNT,
    "bits": NUMBER,
}
"""One row per pair of candidate groups (``group_a < group_b``) that hand work over to each other: how often, and
``bits`` (above 0), how improbable that is by chance."""

LINK_EVIDENCE: Final[Shape] = {
    "account_a": TEXT,
    "account_b": TEXT,
    "family": TEXT,
    "kind": TEXT,
    "value": TEXT,
    "accounts": COUNT,
    "unrelated_accounts": COUNT,
    "bits": NUMBER,
    "first_at": TIME,
    "last_at": TIME,
}
"""One row per linked pair and family: the rarest shared value and what it is worth in bits (log2 of the
match odds, Fellegi and Sunter 1969); ``account_a < account_b``. A run keeps of each account its strongest links inside
its cluster (setting ``[run] links_per_account``), which in small clusters are all."""

LINKS: Final[Shape] = {
    "account_a": TEXT,
    "account_b": TEXT,
    "bits": NUMBER,
    "families": COUNT,
}
"""One row per linked pair: total bits over its families and how many families give any."""

COMMUNITIES: Final[Shape] = {
    "account_id": TEXT,
    "community": COUNT,
    "stability": NUMBER,
}
"""One row per account in a community of two or more; ``stability`` (0 to 1) is how often the account
stays with its fellows over seeds."""

CLUSTERS: Final[Shape] = {
    "cluster_id": TEXT,
    "tier": TEXT,
    "accounts": COUNT,
    "requests": COUNT,
    "controller_probability": NUMBER,
    "extraction_probability": NUMBER,
    "q_value": NUMBER,
    "families": TEXT,
    "first_seen": TIME,
    "last_seen": TIME,
    "stability": NUMBER,
    "expected_wrong": NUMBER,
    "organizations": COUNT,
    "strongest": TEXT,
    "readings": TEXT,
    "whole_probability": NUMBER,
    "barred_by": TEXT,
}
"""One row per cluster. ``families`` is a ``+``-joined list, strongest first; ``strongest`` one sentence;
``readings`` the innocent readings that remain, ``; ``-joined; ``expected_wrong`` how many of ``accounts`` would be
wronged were all acted on: run by somebody else, or not extracting (the sum over them of 1 less the product of both
probabilities); ``whole_probability`` that all they send is extraction, where ``extraction_probability`` may be that of
their own work alone; ``barred_by`` a ``+``-joined list of ``BARS``, empty in tier ``enforce``; both null in runs of
stores before version 12."""

MEMBERS: Final[Shape] = {
    "account_id": TEXT,
    "cluster_id": TEXT,
    "membership": TEXT,
    "tier": TEXT,
    "controller_probability": NUMBER,
    "extraction_probability": NUMBER,
    "q_value": NUMBER,
    "reasons": TEXT,
    "flagged": FLAG,
    "stability": NUMBER,
    "requests": COUNT,
    "left_out_by": TEXT,
}
"""One row per account in any cluster. ``flagged``: tier ``enforce``, membership ``core`` or ``probable``;
``left_out_by`` a ``+``-joined list of ``EXCLUSIONS``, empty for all but bystanders; null in runs of stores before
version 14."""

EVENTS: Final[Shape] = {
    "cluster_id": TEXT,
    "event": TEXT,
    "other_id": TEXT,
    "accounts_before": COUNT,
    "accounts_after": COUNT,
    "accounts_shared": COUNT,
}
"""One row per thing that happened to a cluster since the run before; ``other_id`` names the other party of
a split or merge, else null."""

TEMPLATES: Final[Shape] = {
    "template_id": TEXT,
    "text": TEXT,
    "slots": COUNT,
    "prompts": COUNT,
    "requests": COUNT,
    "accounts": COUNT,
    "first_at": TIME,
    "last_at": TIME,
    "family_id": TEXT,
    "contract": TEXT,
}
"""One row per template; ``text`` marks slots with ``<*>``; ``prompts`` counts distinct prompts."""

TEMPLATE_USES: Final[Shape] = {
    "template_id": TEXT,
    "requests": COUNT,
    "accounts": COUNT,
    "first_at": TIME,
    "last_at": TIME,
}
"""One row per template: how often, by how many accounts and when it is used in a window."""

TEMPLATE_LIST: Final[Shape] = {**TEMPLATES, "unrelated_accounts": COUNT, "follows_id": TEXT}
"""``TEMPLATES`` with how common each is among accounts that share no address, payment instrument or organization
with another account of it, and the earlier version from which its accounts moved (null for none)."""


STATEMENTS: Final[Shape] = {
    "topic": TEXT,
    "sentence": TEXT,
    "query": TEXT,
    "rows": TEXT,
}
"""Plain sentences about a cluster. ``topic``: ``why`` (ties), ``rare``, ``extraction``, ``free`` (what would
free it), ``for`` (what speaks for its members), ``since`` (what became of it after it was acted on); ``query`` and
``rows`` name the rows behind the sentence."""

CLUSTER_STATEMENTS: Final[Shape] = {"cluster_id": TEXT, **STATEMENTS}
"""Plain sentences of several clusters."""

ACTIVITY: Final[Shape] = {
    "account_id": TEXT,
    "hour_at": TIME,
    "request_count": COUNT,
}
"""Requests of the accounts of one cluster per clock hour, for timelines."""


CASE_NOTES: Final[Shape] = {
    "cluster_id": TEXT,
    "state": TEXT,
    "note": TEXT,
    "author": TEXT,
    "noted_at": TIME,
}
"""One row per decision that a person noted about a cluster, oldest first; never changed, only added to."""


@dataclasses.dataclass(frozen=True, eq=False)
class WholeCluster:
    """What is told of all of a cluster, counted once, whatever its tables list."""

    value_ties: pd.DataFrame
    """The values that tie members, those that tell most first: ``SHARED_VALUES`` of ``outputs.ties``."""
    family_ties: pd.DataFrame
    """``FAMILY_TIES`` of ``outputs.ties``."""
    account_bits: pd.DataFrame
    """The strongest bits of each member (index, in their order) in each family that links (columns)."""
    member_ties: pd.DataFrame
    """``MEMBER_TIES`` of ``outputs.ties``, in the order of the members."""
    activity: pd.DataFrame
    """``ACTIVITY`` of all members; ids may be categories."""
    held_from: npt.NDArray[np.int64]
    """Where in ``held_by`` the holders of each row of ``value_ties`` begin, and where those of the last end."""
    held_by: npt.NDArray[np.int32]
    """Places of members, ascending for each value."""
    rows: Mapping[str, int]
    """How many rows each table has that may list fewer: ``links``, ``shared``, ``activity``."""

    def holders(self, row: int) -> npt.NDArray[np.int32]:
        """Places of the members that have the value in this row of ``value_ties``, ascending."""
        return self.held_by[self.held_from[row] : self.held_from[row + 1]]

    def holders_of_any(self, rows: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Places of the members that have any of the values in these rows of ``value_ties``, ascending."""
        is_asked = np.zeros(len(self.value_ties), dtype=bool)
        is_asked[np.asarray(rows, dtype=np.int64)] = True
        is_holder = np.zeros(len(self.account_bits), dtype=bool)
        is_holder[self.held_by[np.repeat(is_asked, np.diff(self.held_from))]] = True
        return np.flatnonzero(is_holder)


@dataclasses.dataclass(frozen=True, eq=False)
class ClusterDetail:
    """Everything an output needs to show one cluster; plain tables, no way back to the store.

    One is equal to itself alone, so that what was worked out of it can be kept beside it.
    """

    run: Mapping[str, Any]
    """``run_id, as_of, since, seed, window_days, settings, settings_digest, versions, inputs``."""
    cluster: Mapping[str, Any]
    """One row of ``CLUSTERS``."""
    members: pd.DataFrame
    """``MEMBERS`` of this cluster."""
    links: pd.DataFrame
    """``LINK_EVIDENCE`` among its members."""
    shared: pd.DataFrame
    """``EVIDENCE`` of its members: the values that two or more of them share."""
    activity: pd.DataFrame
    """``ACTIVITY`` of its members."""
    templates: pd.DataFrame
    """``TEMPLATES`` its members use."""
    statements: pd.DataFrame
    """``STATEMENTS`` about it."""
    events: pd.DataFrame
    """``EVENTS`` of this cluster, newest run last."""
    case_notes: pd.DataFrame = dataclasses.field(default_factory=lambda: make_frame(CASE_NOTES))
    """``CASE_NOTES`` of this cluster."""
    whole: WholeCluster | None = None
    """What is told of all of it, where ``links``, ``shared`` or ``activity`` list only the strongest of each member;
    None: they are whole."""


def make_frame(shape: Shape, columns: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """A frame of exactly this shape, from columns in any order.

    Parameters
    ----------
    shape : column names to dtypes.
    columns : column name to values, all of one length; missing columns are filled with nulls (0 for
        counts). None gives an empty frame.

    Returns
    -------
    DataFrame with the columns of ``shape``, in its order and dtypes, and a fresh ``RangeIndex``.

    Raises
    ------
    ShapeError : a column that ``shape`` does not have, or a value its dtype cannot hold.

    Examples
    --------
    >>> make_frame({"account_id": TEXT, "request_count": COUNT}, {"account_id": ["a", "b"]})
      account_id  request_count
    0          a              0
    1          b              0
    """
    given = dict(columns or {})
    unknown = sorted(set(given) - set(shape))
    if unknown:
        raise ShapeError(f"wanted columns {', '.join(shape)}; found also {', '.join(unknown)}. Drop them first")
    rows = max((len(values) for values in given.values()), default=0)
    made = {name: _make_column(name, dtype, given.get(name), rows) for name, dtype in shape.items()}
    return pd.DataFrame(made, index=pd.RangeIndex(rows))


def _make_column(name: str, dtype: str, values: Any, rows: int) -> pd.Series[Any]:
    if values is None:
        blank: Any = {COUNT: 0, SMALL: 0, FLAG: False, TIME: pd.NaT, NUMBER: float("nan")}.get(dtype)
        values = [blank] * rows
    plain = values.array if isinstance(values, pd.Series) else values
    try:
        if dtype == TIME:
            return pd.Series(pd.to_datetime(pd.Series(plain), utc=True)).astype(TIME)
        return pd.Series(plain, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ShapeError(f"column {name!r}: wanted {dtype}; {error}. Convert the column first") from error


def check_frame(frame: pd.DataFrame, shape: Shape, *, name: str) -> pd.DataFrame:
    """The frame itself, once it is known to have the columns and dtypes of the shape.

    Parameters
    ----------
    frame : any frame; extra columns are left alone.
    shape : wanted columns and dtypes; text may be categories of text, which is how long columns of ids stay small.
    name : what to call the frame in the message.

    Raises
    ------
    ShapeError : names every missing column and every wrong dtype at once.

    Examples
    --------
    >>> check_frame(make_frame(LINKS), LINKS, name="links").empty
    True
    """
    missing = [column for column in shape if column not in frame.columns]
    wrong = [
        f"{column} is {frame[column].dtype}, wanted {dtype}"
        for column, dtype in shape.items()
        if column in frame.columns and not _is_of(frame[column].dtype, dtype)
    ]
    if missing or wrong:
        found = ", ".join(map(str, frame.columns)) or "no columns"
        faults = "; ".join([*(f"no column {column!r}" for column in missing), *wrong])
        raise ShapeError(f"{name}: {faults}. Found: {found}. Build the frame with make_frame")
    return frame


def _is_of(found: Any, wanted: str) -> bool:
    kind = found.categories.dtype if isinstance(found, pd.CategoricalDtype) and wanted == TEXT else found
    return str(kind) == wanted


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as dicts by column name."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def counted(number: float, noun: str) -> str:
    """A number and its noun, in the plural where it must be.

    Examples
    --------
    >>> counted(1, "account"), counted(24_000, "account")
    ('1 account', '24,000 accounts')
    """
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def join_words(words: Sequence[str]) -> str:
    """Words as an English list: ``a``, ``a and b``, ``a, b and c``.

    Examples
    --------
    >>> join_words(["network", "payment", "content"])
    'network, payment and content'
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
