"""What the LiteLLM formats have in common: accounts, models, statuses, user agents and times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from linkage.errors import RecordError
from linkage.intake.formats.base import Record, first_present
from linkage.intake.values import Moment, hide_raw_key, is_absent, moment_from_number, number_of, read_moment

_USER_AGENT_TAG: Final = "User-Agent:"

_PROXY_ADMIN: Final = "default_user_id"
"""Whom LiteLLM writes for the master key, and for every key that was made in its pages by whoever runs the proxy."""


def billed_account(*users: Any, team: Any, key: Any) -> Any:
    """The key's user; a key without one, or of whoever runs the proxy, bills its team, or only itself.

    What the caller claims (``end_user``) is no account.
    """
    owners = (user for user in users if user != _PROXY_ADMIN)
    return first_present(*owners, team, hide_raw_key(key))


def requested_model(record: Record) -> Any:
    """The model group, else the model without its provider prefix."""
    group, model = record.get("model_group"), record.get("model")
    if not is_absent(group):
        return group
    if not isinstance(model, str):
        return model
    provider = record.get("custom_llm_provider")
    if is_absent(provider):
        return model.partition("/")[2] or model
    return model.removeprefix(f"{provider}/")


def user_agent_tag(tags: Iterable[Any]) -> str | None:
    """The longest user agent among request tags (LiteLLM writes the product alone and with its version)."""
    agents = [
        tag.removeprefix(_USER_AGENT_TAG).strip()
        for tag in tags
        if isinstance(tag, str) and tag.startswith(_USER_AGENT_TAG)
    ]
    return max(agents, key=len, default=None)


def forwarded_list(address: Any) -> str | None:
    """An address that is a forwarded-for list, as the proxy logs it where it is told to use that header."""
    return address if isinstance(address, str) and "," in address else None


def http_status(status: Any, error: Record) -> Any:
    """200 for success; the error code, else 0, for failure; other texts unchanged."""
    if status != "failure":
        return status
    code = number_of(error.get("error_code"))
    return code if code is not None and 100 <= code <= 599 else 0


def moment(value: Any) -> Any:
    """A LiteLLM time: epoch seconds, also as the text of a CSV export, or ISO text (or a typed time), else UTC."""
    found = moment_from_number(value, micros_per_unit=1e6)
    if found is not None or is_absent(value):
        return value if found is None else found
    try:
        return read_moment(value)
    except RecordError:
        return value


def milliseconds_between(start: Any, end: Any) -> float | None:
    """The time from one moment to another; None where either is not known or they are in the wrong order."""
    if not isinstance(start, Moment) or not isinstance(end, Moment) or end < start:
        return None
    return (end - start) / 1000
