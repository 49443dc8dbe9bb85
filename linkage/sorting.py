"""Order and rank inside of compiled functions.

What numpy sorts by is compiled anew for every kind of sort and type of number, a second or two each in a first run on a
machine (2026-11-30). What is here is compiled once, for one type, and kept for all who sort: numbers of other types are
written into an array of that one first.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from linkage.arrays import Ints
from linkage.kernels import inner_kernel

SIGN: Final = np.uint64(1 << 63)
"""Numbers without a sign (uint64) come in the same order as int64 when this bit of each is turned."""


@inner_kernel
def order_of(numbers: Ints) -> Ints:
    """The places of whole numbers (int64) in ascending order, those of equal ones ascending."""
    return np.argsort(numbers, kind="mergesort")


@inner_kernel
def sort_up(numbers: Any) -> None:
    """Sort numbers in place, some thousands at most.

    By insertion at falling distances (Shell's sort), which is compiled in a tenth of the time that merging takes.
    """
    gap = 1
    while 3 * gap < numbers.size:
        gap = 3 * gap + 1
    while gap > 0:
        for end in range(gap, numbers.size):
            number, at = numbers[end], end
            while at >= gap and numbers[at - gap] > number:
                numbers[at] = numbers[at - gap]
                at -= gap
            numbers[at] = number
        gap //= 3


@inner_kernel
def find_place(numbers: Any, wanted: int) -> int:
    """Where a whole number belongs among ascending ones: how many are below it."""
    low, high = 0, numbers.size
    while low < high:
        middle = (low + high) // 2
        if numbers[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@inner_kernel
def put_in_order(values: Any, rank: int) -> None:
    """Move numbers (float64, none of them NaN) so that those before a rank are no greater, and those behind no less.

    What stands at the rank then is the number of that rank, from 0. Hoare's selection, with the middle one of three as
    pivot: O(numbers) unless they are laid out against it.
    """
    low, high = 0, values.size - 1
    while low < high:
        one, other = values[low], values[high]
        pivot = max(min(one, other), min(max(one, other), values[(low + high) // 2]))
        left, right = low, high
        while left <= right:
            while values[left] < pivot:
                left += 1
            while values[right] > pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left, right = left + 1, right - 1
        if rank <= right:
            high = right
        elif rank >= left:
            low = left
        else:
            return
