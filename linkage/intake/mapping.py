"""Mapping files: TOML that says where the canonical fields are in a log of any other format.

``docs/formats.md`` is the reference. A file is checked whole: all its faults come in one error.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path as FilePath
from typing import Any, Final, cast, get_args

from linkage import terms
from linkage.errors import MappingError, RecordError
from linkage.intake.formats.base import COMPANION_FIELDS, Format, Record, RecordKind
from linkage.intake.prompts import flatten_messages
from linkage.intake.trees import Path, follow, parse_path, parse_text
from linkage.intake.values import is_absent, moment_from_number, number_of, read_moment

TIME_UNITS: Final = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3, "ticks": 0.1}
"""Microseconds in one unit of an epoch number; ``ticks`` are .NET's, counted from the year 1."""

DURATION_UNITS: Final = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4}
"""Milliseconds in one unit of a duration."""

MATCHED_CHARS: Final = 20_000
"""Patterns see no more of a text: one with nested repeats could take forever on a long one."""

_REQUIRED: Final[dict[RecordKind, tuple[str, ...]]] = {
    "requests": terms.REQUIRED_REQUEST_FIELDS,
    "accounts": ("account_id",),
    "companions": ("timestamp", "request_id"),
}
_KNOWN: Final[dict[RecordKind, tuple[str, ...]]] = {
    "requests": terms.REQUEST_FIELDS,
    "accounts": terms.ACCOUNT_FIELDS,
    "companions": COMPANION_FIELDS,
}
_TICKS_BEFORE_EPOCH: Final = 621_355_968_000_000_000
_TIME_FIELDS: Final = ("timestamp", "created_at")
_ZONE: Final = re.compile(r"UTC|Z|[+-]\d\d:\d\d")
_RULE_KEYS: Final = (
    "path", "first", "value", "between", "time", "zone", "unit", "match", "hop", "values", "otherwise", "else"
)  # fmt: skip
_IDLE_BESIDE: Final = {"value": ("match",), "between": ("match", "hop", "values", "otherwise", "unit")}
"""What a rule cannot use beside the key that says where its value is."""

_FILE_KEYS: Final = ("name", "title", "kind", "completes", "records", "marks", "line", "other_lines")

Rule = Callable[[Record], Any]
_Kept = tuple[Sequence[Path], frozenset[str]]
"""Paths, any of which must lead to one of these values."""


@dataclasses.dataclass(frozen=True, repr=False)
class Mapping:
    """A mapping file, ready to use."""

    digest: str
    """A hash of what the file says (16 hex digits); two files that say the same read the same."""

    format: Format
    line_pattern: re.Pattern[str] | None
    """How a line of a text log reads; None for JSON, CSV and Parquet."""
    skips_other_lines: bool
    """Whether lines that the pattern does not match are left out instead of set aside."""

    def __repr__(self) -> str:
        return f"Mapping({self.format.name!r}, digest={self.digest!r})"


def read_mapping(path: str | PathLike[str]) -> Mapping:
    """The mapping in a TOML file.

    Raises
    ------
    MappingError : the file cannot be read or is not TOML, or anything in it cannot be used; lists all faults.
    """
    file = FilePath(path)
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MappingError(f"{file}: wanted a readable TOML mapping file; {error}. Check path and syntax") from error
    return mapping_from(tables, name=file.name)


def mapping_from(tables: dict[str, Any], *, name: str) -> Mapping:
    """The mapping that the tables of a mapping file describe.

    Parameters
    ----------
    tables : ``file`` (optional), ``keep`` (optional) and ``fields``, as parsed from TOML.
    name : what to call the file in messages, and the format where the file does not name it.

    Raises
    ------
    MappingError : lists every unknown name, unreadable path or pattern and missing required field at once.

    Examples
    --------
    >>> mapping = mapping_from({"fields": {"account_id": "who.id", "timestamp": {"path": "t", "time": "ms"}}}, name="m")
    >>> mapping.format.convert({"who": {"id": "007"}, "t": 1795499548104})
    {'account_id': '007', 'timestamp': 1795499548104000}
    """
    checked = _Checked(name)
    about = checked.about_file(tables)
    kind = cast(RecordKind, about.get("kind", "requests"))
    rules = checked.rules(tables.get("fields"), kind)
    kept = checked.kept(tables.get("keep", {}))
    split = checked.path_or_none(about.get("records"), "[file] records")
    pattern = checked.pattern_or_none(about.get("line"), "[file] line")
    marks = checked.marks(about.get("marks", []))
    checked.raise_faults()
    form = Format(
        name=str(about.get("name", name)),
        title=str(about.get("title", f"records mapped by {name}")),
        kind=kind,
        marks=marks,
        convert=_converter(rules, kept),
        left_out=f"left out by [keep] of {name} ({', '.join(map(str, tables.get('keep', {})))})",
        looked_in=tuple((field, _where(tables["fields"][field])) for field in _REQUIRED[kind]),
        split=_splitter(split) if split else None,
        completes=str(about.get("completes", "")),
    )
    said = json.dumps([name, tables], sort_keys=True, default=str)
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    return Mapping(digest, form, pattern, about.get("other_lines") == "skip")


def _where(written: Any) -> str:
    """Where a rule looks, in words."""
    if not isinstance(written, dict):
        return str(written)
    return ", ".join(map(str, written.get("first", [written.get("path", "")])))


def _splitter(path: Path) -> Callable[[Record], Iterator[Record]]:
    def split(record: Record) -> Iterator[Record]:
        # Without the wrapper an object is a record itself: exports come both ways.
        if path[0].key is not None and path[0].key not in record:
            return iter((record,))
        return (item for item in follow(record, path) if isinstance(item, dict))

    return split


def _converter(rules: dict[str, Rule], kept: Sequence[_Kept]) -> Callable[..., Record | None]:
    def convert(record: Record) -> Record | None:
        for paths, wanted in kept:
            if not any(_as_text(value) in wanted for path in paths for value in follow(record, path)):
                return None
        made = {field: rule(record) for field, rule in rules.items()}
        if "prompt" in made:
            flat = flatten_messages(_opened(made["prompt"]), system=_opened(made.get("system_prompt")))
            made |= {"prompt": flat.text, "system_prompt": flat.system}
        return made

    return convert


def _opened(value: Any) -> Any:
    """JSON text of messages as the list or object it holds; anything else as it is."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        inner = parse_text(value)
        return value if inner is None else inner
    return value


def _as_text(value: Any) -> str:
    """How a value reads in the keys of a ``values`` or ``keep`` table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class _Checked:
    """Turns written rules into functions and gathers what is wrong with them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._faults: list[str] = []

    def fault(self, where: str, message: str) -> None:
        self._faults.append(f"{self._name}: {where}: {message}")

    def raise_faults(self) -> None:
        if self._faults:
            raise MappingError("\n".join(self._faults))

    def about_file(self, tables: dict[str, Any]) -> dict[str, Any]:
        self._refuse_unknown(tables, ("file", "keep", "fields"), "sections")
        about = tables.get("file", {})
        if not isinstance(about, dict):
            self.fault("[file]", f"wanted a table; found {about!r}")
            return {}
        self._refuse_unknown(about, _FILE_KEYS, "[file]")
        self._refuse_other(about, "kind", get_args(RecordKind), "[file]")
        if (about.get("kind") == "companions") != ("completes" in about):
            self.fault(
                "[file]", 'kind = "companions" and completes = "the format, or --source, of the requests" go together'
            )
        self._refuse_other(about, "other_lines", ("reject", "skip"), "[file]")
        if "other_lines" in about and "line" not in about:
            self.fault("[file]", "other_lines says what lines do that `line` does not match; give `line` too")
        return about

    def rules(self, fields: Any, kind: RecordKind) -> dict[str, Rule]:
        known = _KNOWN.get(kind, terms.REQUEST_FIELDS)
        required = _REQUIRED.get(kind, terms.REQUIRED_REQUEST_FIELDS)
        if not isinstance(fields, dict):
            self.fault("[fields]", f"wanted a table that says where {terms.join_words(required)} are")
            return {}
        self._refuse_unknown(fields, known, "[fields]")
        for name in required:
            if name not in fields:
                self.fault("[fields]", f'{name} is required; add {name} = "path.to.it"')
        return {name: self._rule(name, written) for name, written in fields.items() if name in known}

    def kept(self, keep: Any) -> list[_Kept]:
        if not isinstance(keep, dict):
            self.fault("[keep]", f"wanted a table of path = [values]; found {keep!r}")
            return []
        return [self._kept_by(name, written) for name, written in keep.items()]

    def _kept_by(self, name: str, written: Any) -> _Kept:
        paths: Any = [name]
        wanted: Any = written
        if isinstance(written, dict):
            self._refuse_unknown(written, ("first", "is"), f"[keep] {name}")
            paths, wanted = written.get("first"), written.get("is")
            if not isinstance(paths, list) or not paths or wanted is None:
                self.fault(f"[keep] {name}", "wanted first = [paths] and is = [values]")
                return (), frozenset()
        listed = wanted if isinstance(wanted, list) else [wanted]
        return [self._path(path, "[keep]") for path in paths], frozenset(map(_as_text, listed))

    def marks(self, written: Any) -> tuple[tuple[str, ...], ...]:
        """Fields by which a record is known to be of this format; of a list within the list any one will do."""
        if not isinstance(written, list):
            self.fault("[file] marks", f"wanted a list of fields; found {written!r}")
            return ()
        return tuple(tuple(map(str, mark)) if isinstance(mark, list) else (str(mark),) for mark in written)

    def path_or_none(self, written: Any, where: str) -> Path | None:
        return None if written is None else self._path(written, where)

    def pattern_or_none(self, written: Any, where: str) -> re.Pattern[str] | None:
        if written is None:
            return None
        try:
            return re.compile(written)
        except (re.error, TypeError, RecursionError) as error:
            self.fault(where, f"wanted a regular expression; found {written!r} ({error})")
            return None

    def _path(self, written: Any, where: str) -> Path:
        if not isinstance(written, str) or not written:
            self.fault(where, f"wanted a path as text; found {written!r}")
            return ()
        try:
            return parse_path(written)
        except MappingError as error:
            self.fault(where, str(error))
            return ()

    def _rule(self, name: str, written: Any, where: str = "") -> Rule:
        where = where or f"[fields] {name}"
        if isinstance(written, str):
            written = {"path": written}
        if not isinstance(written, dict):
            self.fault(where, f"wanted a path or a table; found {written!r}")
            return _nothing
        self._refuse_unknown(written, _RULE_KEYS, where)
        if sum(key in written for key in ("path", "first", "value", "between")) != 1:
            self.fault(where, "wanted exactly one of path, first, value and between")
            return _nothing
        self._refuse_idle(written, where)
        if "between" in written:
            take = self._between(written, where)
        else:
            take = functools.reduce(_then, self._steps(name, written, where), self._taker(written, where))
        return _or_else(take, self._rule(name, written["else"], f"{where} else")) if "else" in written else take

    def _refuse_idle(self, written: dict[str, Any], where: str) -> None:
        for taken, idle in _IDLE_BESIDE.items():
            for key in idle:
                if taken in written and key in written:
                    self.fault(where, f"{key} does nothing beside {taken}")
        if "otherwise" in written and "values" not in written:
            self.fault(where, "otherwise says what becomes of values that `values` does not list; give `values` too")

    def _taker(self, written: dict[str, Any], where: str) -> Rule:
        if "value" in written:
            return _constant(written["value"])
        listed = written.get("first", [written.get("path")])
        if not isinstance(listed, list) or not listed:
            self.fault(where, f"first wants a list of paths; found {listed!r}")
            return _nothing
        paths = [self._path(path, where) for path in listed]
        return _first_of(paths, self.pattern_or_none(written.get("match"), where))

    def _between(self, written: dict[str, Any], where: str) -> Rule:
        ends = written["between"]
        if not isinstance(ends, list) or len(ends) != 2:
            self.fault(where, f"between wants two paths, start and end; found {ends!r}")
            return _nothing
        read = self._time_step(written, where)
        start, end = (_then(_first_of([self._path(path, where)], None), read) for path in ends)
        return _difference(start, end)

    def _steps(self, name: str, written: dict[str, Any], where: str) -> Iterator[Callable[[Any], Any]]:
        if "hop" in written:
            hop = written["hop"]
            if not isinstance(hop, int) or isinstance(hop, bool) or hop < 1:
                self.fault(where, f"hop wants how many entries from the right, from 1; found {hop!r}")
            else:
                yield _hop_from_right(hop)
        if "values" in written:
            yield self._translation(written, where)
        if "time" in written or "zone" in written or name in _TIME_FIELDS:
            yield self._time_step(written, where)
        if "unit" in written:
            self._refuse_other(written, "unit", tuple(DURATION_UNITS), where)
            yield _scaled(DURATION_UNITS.get(str(written["unit"]), 1.0))

    def _translation(self, written: dict[str, Any], where: str) -> Callable[[Any], Any]:
        table = written["values"]
        if not isinstance(table, dict):
            self.fault(where, f"values wants a table; found {table!r}")
            table = {}
        return _translated(table, written.get("otherwise"))

    def _time_step(self, written: dict[str, Any], where: str) -> Callable[[Any], Any]:
        self._refuse_other(written, "time", ("iso", *TIME_UNITS), where)
        zone = written.get("zone")
        if zone is not None and not (isinstance(zone, str) and _ZONE.fullmatch(zone)):
            self.fault(where, f"zone wants UTC or an offset such as +02:00; found {zone!r}")
            zone = None
        return _timed(str(written.get("time", "iso")), zone)

    def _refuse_unknown(self, table: dict[str, Any], known: Sequence[str], where: str) -> None:
        for key in table:
            if key not in known:
                self.fault(where, f"no {key!r}. Known: {', '.join(known)}")

    def _refuse_other(self, table: dict[str, Any], key: str, known: Sequence[str], where: str) -> None:
        if key in table and table[key] not in known:
            self.fault(where, f"{key} must be one of {', '.join(known)}; found {table[key]!r}")


def _nothing(record: Record) -> None:
    """The rule of a field whose written rule cannot be used; the error is raised before it runs."""


def _constant(value: Any) -> Rule:
    return lambda record: value


def _then(take: Rule, step: Callable[[Any], Any]) -> Rule:
    return lambda record: step(take(record))


def _or_else(take: Rule, other: Rule) -> Rule:
    def rule(record: Record) -> Any:
        found = take(record)
        return other(record) if is_absent(found) else found

    return rule


def _first_of(paths: Sequence[Path], pattern: re.Pattern[str] | None) -> Rule:
    """The first present value under any of the paths; with a pattern, what it captures in the first text it fits."""

    def take(record: Record) -> Any:
        for path in paths:
            for value in follow(record, path):
                found = _captured(value, pattern) if pattern else value
                if not is_absent(found):
                    return found
        return None

    return take


def _captured(value: Any, pattern: re.Pattern[str]) -> str | None:
    match = pattern.search(value[:MATCHED_CHARS]) if isinstance(value, str) else None
    return match.group(min(1, pattern.groups)) if match else None


def _hop_from_right(hop: int) -> Callable[[Any], Any]:
    def step(value: Any) -> Any:
        entries = value.split(",") if isinstance(value, str) else value
        if not isinstance(entries, list) or len(entries) < hop:
            return None
        return entries[-hop].strip() if isinstance(entries[-hop], str) else entries[-hop]

    return step


def _translated(table: dict[str, Any], otherwise: Any) -> Callable[[Any], Any]:
    def step(value: Any) -> Any:
        if value is None:
            return otherwise
        return table.get(_as_text(value), value if otherwise is None else otherwise)

    return step


def _scaled(factor: float) -> Callable[[Any], Any]:
    def step(value: Any) -> Any:
        number = number_of(value)
        return value if number is None else round(number * factor, 6)

    return step


def _timed(unit: str, zone: str | None) -> Callable[[Any], Any]:
    """Values as moments; what is no such time stays as it is, for the check to refuse with a reason."""

    def step(value: Any) -> Any:
        number = None if unit == "iso" else number_of(value)
        if number is not None:
            number = number - _TICKS_BEFORE_EPOCH if unit == "ticks" else number
            return moment_from_number(number, micros_per_unit=TIME_UNITS[unit])
        return _zoned(value, zone) if zone else value

    return step


def _zoned(value: Any, zone: str) -> Any:
    """ISO text (or a typed time) as a moment, in the given zone where it names none."""
    text = value.isoformat() if isinstance(value, datetime) else value
    if not isinstance(text, str):
        return value
    try:
        return read_moment(text, zone=zone)
    except RecordError:
        return value


def _difference(start: Rule, end: Rule) -> Rule:
    """Milliseconds from one time to another; absent where either is."""

    def take(record: Record) -> float | None:
        try:
            first, last = (read_moment(rule(record)) for rule in (start, end))
        except RecordError:
            return None
        return float(last - first) / 1000

    return take
