"""Order and rank in compiled functions are those of numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.kernels import kernel
from linkage.sorting import SIGN, order_of, put_in_order, sort_up

WHOLE = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), max_size=80)
FLOATS = st.lists(st.floats(allow_nan=False) | st.integers(-3, 3).map(float), min_size=1, max_size=80)


@kernel
def _order(numbers):
    return order_of(numbers)


@kernel
def _sort(numbers):
    sort_up(numbers)


@kernel
def _put(numbers, rank):
    put_in_order(numbers, rank)


@settings(deadline=None)  # the first call compiles
@given(WHOLE)
def test_order_is_that_of_a_stable_sort(values: list[int]) -> None:
    numbers = np.array(values, dtype=np.int64)
    assert _order(numbers).tolist() == np.argsort(numbers, kind="stable").tolist()
    _sort(numbers)
    assert numbers.tolist() == sorted(values)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_numbers_without_a_sign_keep_their_order(values: list[int]) -> None:
    numbers = np.array(values, dtype=np.uint64)
    signed = (numbers ^ SIGN).astype(np.int64)
    assert numbers[_order(signed)].tolist() == sorted(values)


@settings(deadline=None)
@given(FLOATS, st.data())
def test_what_stands_at_a_rank_is_the_number_of_that_rank(values: list[float], data: st.DataObject) -> None:
    rank = data.draw(st.integers(0, len(values) - 1))
    numbers = np.array(values)
    _put(numbers, rank)
    assert sorted(numbers.tolist()) == sorted(values)
    assert numbers[rank] == sorted(values)[rank]
    assert numbers[:rank].max(initial=-np.inf) <= numbers[rank] <= numbers[rank:].min()


@pytest.mark.parametrize("values", [np.arange(2_000.0), np.arange(2_000.0)[::-1].copy(), np.zeros(2_000)])
def test_numbers_that_are_in_order_already_are_put_in_order(values: np.ndarray) -> None:
    wanted = np.sort(values)[[0, 700, 1_999]]
    for rank, value in zip((0, 700, 1_999), wanted, strict=True):
        numbers = values.copy()
        _put(numbers, rank)
        assert numbers[rank] == value
