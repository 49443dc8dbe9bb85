"""The canonical records: NDJSON, CSV or Parquet with the tool's own field names."""

from __future__ import annotations

from typing import Final

from linkage import terms
from linkage.intake.formats.base import Format, Record
from linkage.intake.prompts import flatten_messages


def _read_request(record: Record) -> Record:
    prompt = record.get("prompt")
    if not isinstance(prompt, list):
        return record
    flat = flatten_messages(prompt, system=record.get("system_prompt"))
    return {**record, "prompt": flat.text, "system_prompt": flat.system}


def _read_account(record: Record) -> Record:
    return record


REQUESTS: Final = Format(
    name="canonical",
    title="canonical request records",
    kind="requests",
    marks=(("timestamp",), ("account_id",)),
    convert=_read_request,
)

ACCOUNTS: Final = Format(
    name="canonical-accounts",
    title="canonical account records",
    kind="accounts",
    marks=(("account_id",), terms.ACCOUNT_FIELDS[1:]),
    never=("timestamp",),
    convert=_read_account,
)
