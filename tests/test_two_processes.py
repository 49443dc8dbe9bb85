"""Work in a process beside this one: the same run and the same report, whatever becomes of that process."""

from __future__ import annotations

import dataclasses
import importlib
import os
import queue
import types
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pandas as pd
import pytest
from beside_work import die_reading, own_id, refuse, square, square_here, stop_at_five, survive
from linking_frames import World

import linkage as lk
from linkage.engines.beside import has_two_cores
from linkage.engines.halves import SPREAD_VALUES, _merge, beside_here, run_beside, spread
from linkage.errors import ClusterError
from linkage.notebook.listed import Listed, list_strongest
from linkage.parallel import BESIDE_ACCOUNTS
from linkage.rebuild import newest_window
from linkage.settings import Settings, settings_from
from linkage.stages import find_evidence, judge_inputs, search_by_chance
from linkage.store.inputs import Inputs, read_inputs
from linkage.store.store import Database
from linkage.terms import HOURS, ITEMS, ClusterDetail, make_frame


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    world = World(seed=82)
    world.add_strangers(150)
    world.add_campaign(12)
    frames = world.frames()
    known = {name: frames[name] for name in ("uses", "accounts", "conduct")}
    return Inputs(**known, items=make_frame(ITEMS), hours=make_frame(HOURS))


def test_the_value_comes_from_another_process() -> None:
    with run_beside(own_id, {}) as ask:
        assert ask() != os.getpid()


def test_where_the_process_dies_the_value_is_computed_here() -> None:
    with run_beside(survive, {"parent": os.getpid()}) as ask:
        assert ask() == os.getpid()


def test_what_a_function_raises_comes_as_it_is() -> None:
    with run_beside(refuse, {}) as ask, pytest.raises(ClusterError, match="found none"):
        ask()


def test_own_values_are_made_while_one_of_the_other_process_is_waited_for() -> None:
    made, order = queue.Queue[tuple[Any, BaseException | None]](), list[int]()

    def make(value: int) -> int:
        order.append(value)
        if value == 4:
            made.put((-2, None))
        return -value

    def give() -> tuple[Any, BaseException | None]:
        return made.get_nowait()

    made_there = types.SimpleNamespace(empty=made.empty, get=give)
    assert list(_merge(make, [1, 2, 3, 4, 5], {1}, made_there)) == [-1, -2, -3, -4, -5]  # type: ignore[arg-type]
    assert order == [1, 3, 4, 5]


def test_a_failure_here_ends_the_process_over_there() -> None:
    with pytest.raises(KeyError), run_beside(own_id, {}):
        raise KeyError("meanwhile")


def test_partitions_found_beside_are_the_same(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("linkage.clusters.communities"), "BESIDE_LINKS", 1)
    asked: list[str] = []

    def start(function: Callable[..., Any], arguments: Mapping[str, Any]) -> AbstractContextManager[Callable[[], Any]]:
        asked.append(function.__name__)
        return run_beside(function, arguments)

    alone = judge_inputs(inputs, settings=Settings(), seed=3)
    beside = judge_inputs(inputs, settings=Settings(), seed=3, beside=start)
    assert asked == ["count_together"]
    assert len(alone.null_cohesion) > 0
    np.testing.assert_array_equal(beside.null_cohesion, alone.null_cohesion)
    pd.testing.assert_frame_equal(beside.communities, alone.communities)
    pd.testing.assert_frame_equal(beside.verdicts.members, alone.verdicts.members)


def test_chance_is_searched_until_enough_groups_are_found(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = find_evidence(inputs, settings=Settings())
    twice = search_by_chance(inputs, evidence, settings=Settings(), seed=3)
    monkeypatch.setattr(importlib.import_module("linkage.stages"), "ENOUGH_NULL_GROUPS", 1)
    once_only = search_by_chance(inputs, evidence, settings=Settings(), seed=3)
    assert 0 < len(once_only) < len(twice)
    np.testing.assert_array_equal(once_only, twice[: len(once_only)])


def test_what_is_read_beside_is_what_is_read_here(tiny_store: lk.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("linkage.parallel", "linkage.store.inputs"):
        monkeypatch.setattr(importlib.import_module(room), "BESIDE_ACCOUNTS", 1)
    database = tiny_store._database
    window = newest_window(database, None, 30)
    alone, beside = (read_inputs(database, window, rest_later=True, beside=how) for how in (None, run_beside))
    assert beside.digest() == alone.digest() == read_inputs(database, window).digest()
    ids = alone.accounts["account_id"]
    assert alone.ask_rest is not None
    assert alone.moves.empty
    one, other = alone.with_items_of(ids), beside.with_items_of(ids)
    assert not one.items.empty
    for name in ("uses", "accounts", "conduct", "items", "hours", "moves", "other_items", "own_items", "works"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


def test_without_uses_the_digest_is_still_that_of_all_that_was_read(inputs: Inputs) -> None:
    handed_in = dataclasses.replace(inputs, read_digest="")
    thinned = handed_in.without_uses()
    assert len(thinned.uses) < len(handed_in.uses)
    assert thinned.digest() == handed_in.digest()


def test_one_process_is_enough_where_no_more_are_allowed() -> None:
    assert beside_here(settings_from({"run": {"processes": 1}})) is None
    assert beside_here(Settings()) is (run_beside if has_two_cores() else None)


def test_small_stores_start_no_process(inputs: Inputs) -> None:
    def start(function: Callable[..., Any], arguments: Mapping[str, Any]) -> AbstractContextManager[Callable[[], Any]]:
        raise AssertionError(f"{function} of {list(arguments)} was started")

    assert len(inputs.accounts) < BESIDE_ACCOUNTS
    assert not judge_inputs(inputs, settings=Settings(), seed=3, beside=start).verdicts.members.empty


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two clusters are enough to be read in two processes; which of them this one reads."""
    if not has_two_cores():
        pytest.skip("all is read here on one core")
    monkeypatch.setattr(importlib.import_module("linkage.engines.halves"), "SPREAD_VALUES", 0)
    read: list[str] = []

    def note(database: Database, members: pd.DataFrame, *, own: Mapping[str, str], **more: Any) -> Listed | None:
        read.append(own["cluster_id"])
        return list_strongest(database, members, own=own, **more)

    monkeypatch.setattr("linkage.notebook.cluster.list_strongest", note)
    return read


def briefs_of(run: lk.Run) -> list[ClusterDetail]:
    """What a report that names the first cluster three times reads."""
    with run._database.snapshot():
        return run._briefs([run.clusters["cluster_id"].iloc[0]] * 3)


def assert_same(found: ClusterDetail, wanted: ClusterDetail) -> None:
    for field in dataclasses.fields(ClusterDetail):
        told, known = getattr(found, field.name), getattr(wanted, field.name)
        if isinstance(known, pd.DataFrame):
            pd.testing.assert_frame_equal(told, known)
        else:
            assert told == known


def test_clusters_read_in_another_process_are_those_read_here(planted: lk.Store, read_here: list[str]) -> None:
    here, there, again = briefs_of(planted.run)
    assert len(read_here) == 2
    assert_same(there, here)
    assert_same(again, here)


def test_clusters_are_read_here_where_the_other_process_dies(
    planted: lk.Store, read_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linkage.notebook.runs.read_briefs", die_reading)
    here, there, _ = briefs_of(planted.run)
    assert len(read_here) == 3
    assert_same(there, here)


def test_a_store_that_is_written_meanwhile_is_read_here(tiny_store: lk.Store, read_here: list[str]) -> None:
    run = lk.rebuild(tiny_store)
    cluster = run.cluster(run.clusters["cluster_id"].iloc[0])
    with run._database.snapshot():
        assert cluster.case_notes.empty  # from now on this state is read
        with lk.open_store(tiny_store.path) as other:
            other.run.cluster(cluster.cluster_id).confirm(note="seen since", author="ana")
        found = run._briefs([cluster.cluster_id] * 3)
    assert len(read_here) == 3
    assert [len(detail.case_notes) for detail in found] == [0, 0, 0]
    assert len(cluster.case_notes) == 1


def test_every_other_value_is_made_in_another_process_and_the_order_stays() -> None:
    found = list(spread(square, range(2 * SPREAD_VALUES)))
    assert [value for value, _ in found] == [number * number for number in range(2 * SPREAD_VALUES)]
    assert {process for _, process in found[::2]} == {os.getpid()}
    if has_two_cores():
        others = {process for _, process in found[1::2]}
        assert len(others) == 1
        assert os.getpid() not in others


def test_what_takes_longest_goes_where_there_is_less_to_do() -> None:
    found = list(spread(square, range(4), costs=[1.0, 2.0, 9.0, 5.0]))
    assert [value for value, _ in found] == [0, 1, 4, 9]
    is_here = [process == os.getpid() for _, process in found]
    assert is_here == ([False, False, True, False] if has_two_cores() else [True] * 4)


def test_a_few_values_are_made_here() -> None:
    assert {process for _, process in spread(square, range(SPREAD_VALUES - 1))} == {os.getpid()}


def test_where_the_other_process_dies_all_values_are_made_here() -> None:
    values = [(number, os.getpid()) for number in range(SPREAD_VALUES)]
    assert list(spread(square_here, values)) == [number * number for number in range(SPREAD_VALUES)]


def test_what_is_raised_over_there_is_raised_in_its_place() -> None:
    found = spread(stop_at_five, range(SPREAD_VALUES))
    assert [next(found) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ClusterError, match="found five"):
        next(found)


def test_nobody_needs_to_take_all_values() -> None:
    found = spread(square, range(100 * SPREAD_VALUES))
    assert next(found)[0] == 0
    found.close()
