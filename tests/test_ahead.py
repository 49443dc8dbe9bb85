"""Reading ahead: the same values, one made while the one before is in use."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from linkage.engines.ahead import map_ahead, read_ahead
from linkage.parallel import in_threads, stand_back


def test_the_next_value_is_made_while_this_one_is_in_use() -> None:
    is_made = [threading.Event() for _ in range(3)]

    def values() -> Iterator[int]:
        for at, event in enumerate(is_made):
            event.set()
            yield at

    found = []
    for value in read_ahead(values()):
        if value < 2:
            assert is_made[value + 1].wait(timeout=60), "nobody works ahead"
        found.append(value)
    assert found == [0, 1, 2]


def test_a_failure_comes_after_the_values_before_it() -> None:
    def values() -> Iterator[int]:
        yield 1
        raise ValueError("the disk is gone")

    found = read_ahead(values())
    assert next(found) == 1
    with pytest.raises(ValueError, match="the disk is gone"):
        next(found)


def test_false_values_are_values() -> None:
    assert list(read_ahead([0, None, ""])) == [0, None, ""]
    assert list(read_ahead([])) == []


def test_results_come_with_their_values_and_the_next_value_is_made_before() -> None:
    log: list[str] = []

    def values() -> Iterator[int]:
        for value in range(3):
            log.append(f"made {value}")
            yield value

    for value, result in map_ahead(lambda value: value * 10, values()):
        log.append(f"used {value}")
        assert result == 10 * value
    assert log == ["made 0", "made 1", "used 0", "made 2", "used 1", "used 2"]
    assert list(map_ahead(str, [])) == []


def test_a_failure_of_the_function_is_raised_where_its_value_is_due() -> None:
    found = map_ahead(lambda value: 1 // value, [1, 0, 1])
    assert next(found) == (1, 1)
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_with_more_threads_more_values_are_in_work_and_results_come_in_order() -> None:
    both = threading.Barrier(2, timeout=60)

    def meet(value: int) -> int:
        both.wait()  # broken, and raised, where one value is made after the other
        return value

    assert list(map_ahead(meet, range(4), threads=2)) == [(value, value) for value in range(4)]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own elsewhere")
def test_a_thread_that_stands_back_goes_after_the_others_with_all_it_begins() -> None:
    def priority(_: object = None) -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    usual = priority()
    with ThreadPoolExecutor(1, initializer=stand_back) as pool:
        own, begun = pool.submit(lambda: (priority(), list(in_threads(priority, range(4))))).result()
    assert own == min(usual + 5, 19)
    assert set(begun) == {own}
    assert priority() == usual
