"""Prompts assigned in two processes: the same store, whatever becomes of the other one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_local import dump, write

from linkage.engines import assigning
from linkage.engines.assigning import Told, assign_rows
from linkage.engines.local import ingest_files
from linkage.settings import Settings, TemplateSettings
from linkage.store import facts
from linkage.store.store import Database

CITIES = ["Oslo", "Lima", "Rome", "Cairo", "Quito", "Delhi", "Dakar", "Paris", "Sofia", "Tunis", "Accra", "Minsk"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    asked = [f"Tell me three facts about the {what} of {city} today." for city in CITIES for what in ("city", "lakes")]
    rows = [
        {"timestamp": f"2026-03-02T00:00:{at:02}Z", "account_id": f"a{at % 3}", "prompt": prompt}
        | ({"prompt_template": f"gw-{at}"} if at % 10 == 9 else {})
        for at, prompt in enumerate(asked)
    ]
    return write(tmp_path / "log.ndjson", rows)


def mined(path: Path, log: Path) -> dict[str, list[tuple[object, ...]]]:
    """The store of a log when half of its prompts are learned from."""
    settings = Settings(templates=TemplateSettings(learn_prompts=len(CITIES)))
    with Database(path) as database:
        ingest_files(database, [log], settings=settings)
    return dump(path)


def assign_then_die(path: Path, model: Any, after_row: int) -> Iterator[Told]:
    """In a process of its own: the first few rows, and then as if memory ran out."""
    facts._BLOCK_ROWS = 3  # type: ignore[misc]
    yield next(assign_rows(path, model, after_row))
    os.kill(os.getpid(), signal.SIGKILL)


def die(path: Path, model: Any, after_row: int) -> Iterator[Told]:
    os.kill(os.getpid(), signal.SIGKILL)
    yield from assign_rows(path, model, after_row)


def test_half_is_assigned_beside_and_the_store_is_the_same(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = mined(tmp_path / "here.db", log)
    assert len(wanted["prompt_template"]) == 2 * len(CITIES)
    rows = list[int]()
    read = facts.prompt_blocks

    def watched(*given: Any, **how: Any) -> Iterator[facts.Prompts]:
        for block in read(*given, **how):
            rows.extend(block.ids)
            yield block

    monkeypatch.setattr(assigning, "_BESIDE_PROMPTS", 1)
    monkeypatch.setattr("linkage.engines.prompts.facts.prompt_blocks", watched)
    assert mined(tmp_path / "beside.db", log) == wanted
    assert len(rows) == 2 * len(CITIES)  # half for learning, half for assigning


@pytest.mark.parametrize("make", [die, assign_then_die])
def test_what_a_process_that_dies_has_not_told_is_assigned_here(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    wanted = mined(tmp_path / "here.db", log)
    monkeypatch.setattr(assigning, "_BESIDE_PROMPTS", 1)
    monkeypatch.setattr(assigning, "assign_rows", make)
    assert mined(tmp_path / "beside.db", log) == wanted


def test_a_failure_here_ends_the_process_beside_and_leaves_what_was_stored(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    wanted = mined(tmp_path / "here.db", log)
    monkeypatch.setattr(assigning, "_BESIDE_PROMPTS", 1)
    with monkeypatch.context() as patched:
        patched.setattr(assigning, "_gather", fail)
        with pytest.raises(KeyboardInterrupt):
            mined(tmp_path / "beside.db", log)
    found = dump(tmp_path / "beside.db")
    assert found["request"] == wanted["request"]
    assert not found["prompt_template"]
