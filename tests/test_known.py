"""Ids in memory and texts beside the store: what a first load knows without an index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.engines.texts import Texts
from linkage.errors import StoreError
from linkage.store.known import KnownIds


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 9), max_size=40), max_size=12))
def test_ids_are_numbered_as_they_first_appear(batches: list[list[int]]) -> None:
    known, wanted = KnownIds(), dict[int, int]()
    for batch in batches:
        found = known.number(np.array(batch, np.int64))
        assert found.tolist() == [wanted.setdefault(each, len(wanted)) for each in batch]
    assert len(known) == len(wanted)
    assert known.places(np.array(list(wanted), np.int64)).tolist() == list(wanted.values())


def test_many_ids_are_numbered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linkage.store.known._CHUNK_IDS", 1_000)
    ids = np.random.default_rng(6).integers(0, 30_000, 50_000)
    wanted = dict[int, int]()
    assert KnownIds().number(ids).tolist() == [wanted.setdefault(each, len(wanted)) for each in ids.tolist()]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**63 - 1), max_size=40), max_size=12))
def test_known_ids_say_what_a_dictionary_says(batches: list[list[int]]) -> None:
    known, wanted = KnownIds(), dict[int, int]()
    for batch in batches:
        ids = np.array(batch, dtype=np.int64)
        assert known.places(ids).tolist() == [wanted.get(each, -1) for each in batch]
        new = [each for each in dict.fromkeys(batch) if each not in wanted]
        known.add(np.array(new, dtype=np.int64))
        wanted |= {each: len(wanted) + at for at, each in enumerate(new)}
    assert len(known) == len(wanted)


def test_known_ids_grow() -> None:
    known, ids = KnownIds(), np.random.default_rng(5).permutation(100_000)
    small = known.nbytes
    for part in np.array_split(ids, 7):
        known.add(part)
    assert known.places(ids).tolist() == list(range(100_000))
    assert small < known.nbytes <= 24 * len(ids)


def prompts(rows: dict[int, str | None]) -> pa.Table:
    return pa.table({"id": pa.array(rows.keys(), pa.int64()), "text": pa.array(rows.values(), pa.large_string())})


def fail(_: object) -> None:
    raise TypeError


def test_of_spellings_of_one_prompt_the_least_is_read_and_a_failed_file_leaves_no_text() -> None:
    with Texts() as texts:
        texts.add(prompts({3: "Name a bird", 9: None}))
        with pytest.raises(TypeError), texts.all_or_none():
            fail(texts.add(prompts({1: "of a file that fails"})))
        with texts.all_or_none():
            texts.add(prompts({3: "NAME a bird", 7: "A cat"}))
        assert texts.ids(last=9).tolist() == [3, 7]
        assert texts.ids(last=6).tolist() == [3]
        assert texts.read([7, 3, 1]) == {3: "NAME a bird", 7: "A cat"}


def test_a_folder_that_takes_no_texts_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(StoreError, match="set TMPDIR to another folder; what was stored is intact"):
        Texts()
