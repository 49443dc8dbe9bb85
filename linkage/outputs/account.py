"""What is told of one account: as tables, masked, and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from linkage.outputs.masking import Masks
from linkage.outputs.tables import plain_value, records
from linkage.terms import COUNT, FLAG, NUMBER, TEXT, TIME, Shape

ACCOUNT_USES: Final[Shape] = {
    "family": TEXT,
    "kind": TEXT,
    "noun": TEXT,
    "value": TEXT,
    "request_count": COUNT,
    "first_at": TIME,
    "last_at": TIME,
    "accounts": COUNT,
    "is_all": FLAG,
    "bits": NUMBER,
}
"""One row per value that an account has in the window of a run, whether or not others have it. ``noun`` is what people
call its ``kind``; ``accounts`` have it, the account itself counted, or at least so many where ``is_all`` is false;
``bits`` is what it was worth in the run to a pair that shares it, 0 where nobody does."""

ACCOUNT_LINKS: Final[Shape] = {
    "other_account": TEXT,
    "total_bits": NUMBER,
    "family": TEXT,
    "kind": TEXT,
    "noun": TEXT,
    "value": TEXT,
    "accounts": COUNT,
    "bits": NUMBER,
    "cluster_id": TEXT,
    "tier": TEXT,
}
"""One row per account that another shares values with and family of evidence, the surest first; ``cluster_id`` and
``tier`` are those of the other account, null outside clusters."""

ACCOUNT_HISTORY: Final[Shape] = {
    "run_id": TEXT,
    "since": TIME,
    "as_of": TIME,
    "requests": COUNT,
    "cluster_id": TEXT,
    "tier": TEXT,
    "membership": TEXT,
    "flagged": FLAG,
}
"""One row per run that is kept, oldest first: how many ``requests`` an account made in its window, and where it was;
texts are null where it was in no cluster."""

ACCOUNT_NOTES: Final[Shape] = {
    "cluster_id": TEXT,
    "account_id": TEXT,
    "state": TEXT,
    "note": TEXT,
    "author": TEXT,
    "noted_at": TIME,
}
"""One row per decision about an account (``account_id``), or about a cluster with it in it (empty)."""


@dataclasses.dataclass(frozen=True, eq=False)
class AccountDetail:
    """Everything that is told of one account; plain tables, no way back to the store."""

    account: Mapping[str, Any]
    """``account_id``, what is declared of it, and ``requests, active_days, first_at, last_at`` in the window;
    ``all_requests, earliest_at, latest_at`` of the whole store."""
    run: Mapping[str, Any]
    """As of :class:`~linkage.terms.ClusterDetail`."""
    member: Mapping[str, Any] | None
    """Its row of ``MEMBERS``; None: in no cluster."""
    cluster: Mapping[str, Any] | None
    """Its cluster's row of ``CLUSTERS``."""
    uses: pd.DataFrame
    """``ACCOUNT_USES``."""
    links: pd.DataFrame
    """``ACCOUNT_LINKS``: of a member those that the run kept, which hold habits, too; of others what their values give
    together."""
    history: pd.DataFrame
    """``ACCOUNT_HISTORY``."""
    case_notes: pd.DataFrame
    """``ACCOUNT_NOTES``, oldest first."""
    accounts: int
    """How many the run looked at."""
    habit_bits: float
    """What the most alike habits are worth in the run."""
    templates: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """How those templates read that tie it or are its most telling, by id."""
    held_by: tuple[str, ...] = ()
    """Families of evidence that tie a member."""
    lacking: tuple[str, ...] = ()
    """Families that tie most members of its cluster and that nobody can take over from others, where ``copyable`` is
    among what leaves this bystander out."""
    missing: tuple[str, ...] = ()
    """Families that nothing in the logs of this account speaks of."""
    related: int = 0
    """Accounts of the organization it declares that share values with it; they count as no links."""
    is_cut: bool = False
    """More accounts share values with it than were compared: ``related`` and the closest are at least so many."""
    is_behind: bool = False
    """Records came in after the run."""

    @property
    def chance_bits(self) -> float:
        """A match that chance alone gives to every second account at most.

        A stranger comes to ``b`` bits with a chance of at most ``2**-b``, since they are how much likelier than chance.
        """
        return math.log2(max(self.accounts, 2)) + 1

    @property
    def status(self) -> str:
        """``flagged``, ``in cluster``, ``in no cluster`` or ``not seen`` (no request in the window)."""
        if self.member is not None:
            return "flagged" if self.member["flagged"] else "in cluster"
        return "in no cluster" if self.account["requests"] else "not seen"


def mask_account(detail: AccountDetail) -> AccountDetail:
    """The same without raw addresses, payment instruments and keys; see :func:`linkage.outputs.masking.mask_detail`."""
    masks = Masks([detail.uses, detail.links])
    return dataclasses.replace(
        detail,
        member=detail.member and masks.row(detail.member),
        cluster=detail.cluster and masks.row(detail.cluster),
        templates=masks.row(detail.templates),
        uses=masks.values(detail.uses),
        links=masks.values(detail.links),
        case_notes=masks.sentences(detail.case_notes, "note"),
    )


def account_json(detail: AccountDetail) -> dict[str, Any]:
    """Everything that is told of one account as plain JSON values, keys as in :class:`AccountDetail`."""
    tables = {name: records(getattr(detail, name)) for name in ("uses", "links", "history", "case_notes")}
    plain = (
        "account",
        "member",
        "cluster",
        "accounts",
        "chance_bits",
        "habit_bits",
        "templates",
        "held_by",
        "lacking",
        "missing",
        "related",
        "is_cut",
        "is_behind",
    )
    run = {name: detail.run[name] for name in ("run_id", "since", "as_of")}
    told = {name: plain_value(getattr(detail, name)) for name in plain}
    return {"status": detail.status, "run": plain_value(run), **told, **tables}
