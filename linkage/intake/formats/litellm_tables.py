"""The LiteLLM tables that tell about accounts: LiteLLM_UserTable and LiteLLM_VerificationToken."""

from __future__ import annotations

from typing import Any, Final

from linkage.intake.formats.base import Format, Record
from linkage.intake.formats.litellm import billed_account, moment


def _read_owner(record: Record) -> Record:
    return {
        "account_id": record.get("user_id"),
        "organization_id": record.get("organization_id"),
        "created_at": moment(record.get("created_at")),
        "email_domain": _domain(record.get("user_email")),
        "plan": record.get("budget_id"),
    }


def _domain(email: Any) -> Any:
    """What follows the last ``@``; a text without one names no domain."""
    return email.rpartition("@")[2] if isinstance(email, str) and "@" in email else None


def _read_key(record: Record) -> Record:
    # The age of a key says nothing about the age of its account, so `created_at` stays unknown.
    return {
        "account_id": billed_account(record.get("user_id"), team=record.get("team_id"), key=record.get("token")),
        "organization_id": record.get("organization_id"),
        "plan": record.get("budget_id"),
    }


USERS: Final = Format(
    name="litellm-users",
    title="LiteLLM_UserTable",
    kind="accounts",
    marks=(("user_id",), ("user_email", "user_role", "sso_user_id")),
    never=("token", "startTime"),
    convert=_read_owner,
)

KEYS: Final = Format(
    name="litellm-keys",
    title="LiteLLM_VerificationToken",
    kind="accounts",
    marks=(("token",), ("user_id",), ("key_name", "key_alias", "rotation_count", "last_active")),
    never=("startTime",),
    convert=_read_key,
)
