"""The search through chance in a process beside a rebuild: the same run, whatever becomes of that process."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pandas as pd
import pytest
from linking_frames import World

from linkage.errors import ClusterError
from linkage.notebook.beside import run_beside
from linkage.rebuild import BESIDE_ACCOUNTS, judge_inputs
from linkage.settings import Settings
from linkage.store.inputs import Inputs
from linkage.terms import HOURS, ITEMS, make_frame


def die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def refuse() -> int:
    raise ClusterError("wanted links; found none. Load logs first")


def own_id() -> int:
    return os.getpid()


def survive(parent: int) -> int:
    """The number of the process that comes to an end; any other is killed."""
    return os.getpid() if os.getpid() == parent else die()


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


def test_a_failure_here_ends_the_process_over_there() -> None:
    with pytest.raises(KeyError), run_beside(own_id, {}):
        raise KeyError("meanwhile")


def test_the_search_through_chance_finds_the_same_beside(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("linkage.rebuild"), "BESIDE_ACCOUNTS", 1)
    asked: list[str] = []

    def start(function: Callable[..., Any], arguments: Mapping[str, Any]) -> AbstractContextManager[Callable[[], Any]]:
        asked.append(function.__name__)
        return run_beside(function, arguments)

    alone = judge_inputs(inputs, settings=Settings(), seed=3)
    beside = judge_inputs(inputs, settings=Settings(), seed=3, beside=start)
    assert asked == ["search_by_chance"]
    assert len(alone.null_cohesion) > 0
    np.testing.assert_array_equal(beside.null_cohesion, alone.null_cohesion)
    pd.testing.assert_frame_equal(beside.verdicts.members, alone.verdicts.members)


def test_small_stores_start_no_process(inputs: Inputs) -> None:
    def start(function: Callable[..., Any], arguments: Mapping[str, Any]) -> AbstractContextManager[Callable[[], Any]]:
        raise AssertionError(f"{function} of {list(arguments)} was started")

    assert len(inputs.accounts) < BESIDE_ACCOUNTS
    assert not judge_inputs(inputs, settings=Settings(), seed=3, beside=start).verdicts.members.empty
