"""What is fuzzed: each target takes any bytes and raises only when a promise is broken.

Promises: a failure is announced by a ``LinkageError``, the ways into the store agree, and what leaves is text that does
nothing.
"""

import contextlib
import csv
import dataclasses
import html.parser
import io
import json
import re
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest import mock

from details import make_detail

from linkage.errors import LinkageError
from linkage.intake.files import read_raw
from linkage.intake.mapping import mapping_from
from linkage.intake.records import check_accounts, check_companions, check_requests
from linkage.outputs.html import cluster_page
from linkage.outputs.tables import detail_json, to_csv
from linkage.outputs.text import file_stem, one_line, visible
from linkage.settings import IngestSettings, settings_from
from linkage.templates.normalize import normalize

LIMITS: Final = IngestSettings(line_bytes=2_000, batch_rows=100, batch_bytes=10_000)
HIDDEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
RISKY: Final = re.compile(r"^[=+\-@\t\r＝＋－＠]")
_SAMPLE: Final = {
    "timestamp": "2026-11-24T05:52:28Z",
    "account_id": "a",
    "usage": {"in": 3},
    "messages": [{"role": "user", "content": "x"}],
    "list": [1, None, "x"],
}
_DETAIL: Final = make_detail(3)
_CHECKS: Final[dict[str, Callable[..., Any]]] = {
    "requests": check_requests,
    "accounts": check_accounts,
    "companions": check_companions,
}


def _read(data: bytes, **how: Any) -> tuple[Any, ...]:
    """What a file of these bytes comes to: notes, lines set aside, rows; or that it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(data)
        notes: Counter[tuple[str, str]] = Counter()
        rejected: list[tuple[int, str]] = []
        rows: list[Any] = []
        try:
            raw = read_raw(path, settings=LIMITS, **how)
            for batch in raw.batches:
                checked = _CHECKS[raw.kind](batch, raw.format, settings=LIMITS)
                notes += checked.notes
                rejected += [(line.line, line.reason) for line in checked.rejected]
                rows += zip(checked.lines.to_pylist(), map(repr, checked.table.to_pylist()), strict=True)
        except LinkageError as error:
            return ("refused", type(error).__name__)
    return dict(notes), sorted(rejected), rows


def json_lines(data: bytes) -> None:
    """Columns and single values give the same outcome, and no good neighbour is lost."""
    good = json.dumps({"timestamp": "2026-11-24T05:52:28Z", "account_id": "neighbour"}).encode()
    whole = good + b"\n" + data + b"\n" + good + b"\n"
    one = _read(whole, format_name="canonical")
    other = _read(whole, format_name="canonical", as_columns=True)
    assert one == other, (one, other)
    assert sum("neighbour" in row for _, row in one[2]) >= 2


def any_file(data: bytes) -> None:
    """Whatever the bytes, a file is read, or refused in words."""
    _read(data)


def csv_file(data: bytes) -> None:
    """A CSV file behind a good header."""
    _read(b"timestamp,account_id,ip,prompt,input_tokens\n2026-11-24T05:52:28Z,a,203.0.113.7,x,1\n" + data)


def mapping_file(data: bytes) -> None:
    """A mapping file is a mapping or a list of faults, and maps a record without another failure."""
    try:
        tables = tomllib.loads(data.decode("utf-8", "replace"))
    except tomllib.TOMLDecodeError:
        return
    with contextlib.suppress(LinkageError):
        mapping = mapping_from(tables, name="fuzz")
        line = json.dumps(_SAMPLE).encode() + b"\n"
        _read(line, mapping=mapping)


def settings_file(data: bytes) -> None:
    """Settings are settings or a list of faults."""
    try:
        tables = tomllib.loads(data.decode("utf-8", "replace"))
    except tomllib.TOMLDecodeError:
        return
    with contextlib.suppress(LinkageError):
        settings_from(tables)


def prompt(data: bytes) -> None:
    """A text that is normalised stays as it is when normalised again."""
    once = normalize(data.decode("utf-8", "replace"))
    assert normalize(once) == once, once


def text_that_leaves(data: bytes) -> None:
    """Texts are shown whole but do nothing: no hidden characters, no formulas, no way out of a folder."""
    text = data.decode("utf-8", "surrogatepass" if data[:1] == b"s" else "replace") if _decodes(data) else "?"
    assert not HIDDEN.search(visible(text))
    assert "\n" not in one_line(text)
    stem = file_stem(text)
    assert "/" not in stem
    assert stem not in ("", ".", "..")
    frame = _DETAIL.members.assign(account_id=text.encode("utf-8", "replace").decode())
    for row in csv.reader(io.StringIO(to_csv(frame))):
        assert not [cell for cell in row if RISKY.match(cell)]


def _decodes(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data[:1] != b"s"
    return True


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        self.seen.update(f"{tag} {name}" for name, _ in attrs if name.startswith("on"))


def _page_tags(text: str) -> Counter[str]:
    """Tags of the page of a cluster whose ids, values and sentences are this text."""
    detail = dataclasses.replace(
        _DETAIL,
        cluster=_DETAIL.cluster | {"strongest": text, "readings": text},
        statements=_DETAIL.statements.assign(sentence=text, rows=text),
        templates=_DETAIL.templates.assign(text=text),
        case_notes=_DETAIL.case_notes,
    )
    parser = _Tags()
    with mock.patch("linkage.outputs.html._pictures", return_value=_PICTURES):  # a second each; no text of ours
        page = cluster_page(detail)
    json.dumps(detail_json(detail))
    assert not HIDDEN.search(page)
    parser.feed(page)
    return parser.seen


_PICTURES: Final = dict.fromkeys(("cluster", "timeline", "evidence_matrix"), "")
_PLAIN_TAGS: list[Counter[str]] = []


def report_page(data: bytes) -> None:
    """No text adds an element or a handler to a page: scripts, frames, images and handlers are those of plain words."""
    if not _PLAIN_TAGS:
        _PLAIN_TAGS.append(_page_tags("words"))
    found = _page_tags(data.decode("utf-8", "replace"))
    active = {"script", "iframe", "object", "embed", "img", "link", "base", "form", "meta"}
    for tag in {*found, *_PLAIN_TAGS[0]}:
        if tag in active or " on" in tag:
            assert found[tag] == _PLAIN_TAGS[0][tag], tag


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        json_lines,
        any_file,
        csv_file,
        mapping_file,
        settings_file,
        prompt,
        text_that_leaves,
        report_page,
    )
}
