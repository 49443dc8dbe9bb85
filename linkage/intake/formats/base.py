"""What a log format is: how to know it, and how one of its records becomes a canonical one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, Literal, Protocol

from linkage.intake.trees import parse_text
from linkage.intake.values import is_absent, moment_from_number

RecordKind = Literal["requests", "accounts", "companions"]
"""What records are: requests, account records, or what a second log tells of requests that another one has."""

COMPANION_FIELDS: Final = (
    "timestamp",
    "request_id",
    "account_id",
    "ip",
    "user_agent",
    "tls_fingerprint",
    "prompt",
    "system_prompt",
    "input_tokens",
    "output_tokens",
)
"""What a companion may tell: of which request, when and by whom it was made, and what its own log may lack."""

Record = Mapping[str, Any]
Convert = Callable[[Record], Record | None]

Placed = tuple[int, Record]
"""A record and the line it stands on."""


class Joiner(Protocol):
    """Makes records of what several lines of one file say together."""

    def add(self, line: int, record: Record) -> Iterable[Placed]:
        """The records that a line completes."""

    def rest(self) -> Iterable[Placed]:
        """The records that are still incomplete at the end of the file."""


ABSENT: Final[Record] = {}

NO_MODEL: Final = "left out: no request to a model in it"
"""What formats say of what is beside requests to models in their logs."""


@dataclasses.dataclass(frozen=True)
class Format:
    """A log format: its name, how to know it, and how to read it."""

    name: str
    """What ``--format`` takes."""
    title: str
    """What people call it."""
    kind: RecordKind
    marks: tuple[tuple[str, ...], ...]
    """A record is of this format when it has one field of every tuple and none of ``never``."""
    convert: Convert
    """Raw record to canonical fields (values not yet checked); None leaves the record out on purpose."""
    never: tuple[str, ...] = ()
    left_out: str = "left out on purpose"
    """What is told of records that ``convert`` leaves out."""
    looked_in: tuple[tuple[str, str], ...] = ()
    """Required fields and, in words, where they are looked for: told where one is missing."""
    split: Callable[[Record], Iterable[Record]] | None = None
    """One raw object to its records, where a line holds several."""
    join: Callable[[], Joiner] | None = None
    """Makes what joins the lines of one file, where a record stands on several."""
    completes: str = ""
    """Of companions, the format whose requests they complete."""

    @property
    def source(self) -> str:
        """The name of the system inside which the records' request ids are unique, where nobody gives another."""
        return self.completes or self.name

    def missing_marks(self, fields: Collection[str]) -> list[str]:
        """Marks that the fields do not satisfy, as ``a or b``; empty when a record is of this format."""
        missing = [" or ".join(mark) for mark in self.marks if not any(name in fields for name in mark)]
        return missing + [f"no {name}" for name in self.never if name in fields]


def shown_name(name: str) -> str:
    r"""A field name fit for a message: the file chose it, so it may hold escape codes or be endless.

    Examples
    --------
    >>> shown_name("ti\x1b[31mme")
    'ti?[31mme'
    """
    return "".join(mark if mark.isprintable() else "?" for mark in name[:60])


def first_present(*values: Any) -> Any:
    """The first value that is not an absent form; None where all are."""
    return next((value for value in values if not is_absent(value)), None)


def moment_of(value: Any, *, micros_per_unit: float) -> Any:
    """The moment of an epoch number in a known unit; any other value as it is, for the check to refuse it.

    Parameters
    ----------
    micros_per_unit : as of :func:`~linkage.intake.values.moment_from_number`.
    """
    found = moment_from_number(value, micros_per_unit=micros_per_unit)
    return value if found is None else found


def object_in(record: Record, name: str) -> Record:
    """The object in a field, also where it is JSON text; an empty one where there is none."""
    value = record.get(name)
    if isinstance(value, str):
        value = parse_text(value)
    return value if isinstance(value, dict) else ABSENT


def list_in(record: Record, name: str) -> list[Any]:
    """The list in a field, also where it is JSON text; an empty one where there is none."""
    value = record.get(name)
    if isinstance(value, str):
        value = parse_text(value)
    return value if isinstance(value, list) else []


def messages_in(record: Record, name: str) -> Any:
    """Messages in a field: JSON text of a list or object is opened, other text is the prompt itself."""
    value = record.get(name)
    if isinstance(value, str) and value[:1] in ("[", "{"):
        opened = parse_text(value)
        return value if opened is None else opened
    return value
