"""Templates that share both ends: told apart by labels, and by lines that tell enough.

A pattern may hold prompts of several templates that differ only behind a long slot. It is split by the labels
(line openings up to a colon) that part of its prompts have, when nearly every prompt is clearly one or the
other; then each part by whole lines and longer openings, when nearly every prompt has one of them.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from linkage.kernels import inlined, inner_kernel, kernel
from linkage.sorting import find_place, sort_up
from linkage.templates.fingerprints import LABEL_BIT, OPENINGS, opening_tokens
from linkage.templates.words import mix

MARKS = 8
"""Labels, lines and openings that may tell the parts of one pattern apart."""

PARTS = 6
"""Parts of one pattern."""

SAMPLE = 256
"""Rows looked at per pattern, those with the lowest prompt ids."""

_SHARE = 0.25  # least share of a part
_FEWEST = 6  # rows that are split
_MARK_TOKENS = 5  # fewest tokens of a line or opening that is no label
_COVER = 0.95  # of the rows must be clearly of one part


@dataclasses.dataclass(frozen=True, eq=False)
class Splits:
    """How patterns are split; one row per split pattern, ascending.

    ``marks`` (uint32, shape (rows, MARKS), 0 for none) are labels, lines or openings; ``parts`` (int32, shape
    (rows, PARTS), -1 for none) say, as bits, which of them a part has.
    """

    places: npt.NDArray[np.int32]
    marks: npt.NDArray[np.uint32]
    parts: npt.NDArray[np.int32]


@inner_kernel
def _list_candidates(openings, takes_labels):
    """Hashes of labels, or of lines and openings of several tokens, of all rows; ascending, with repeats."""
    listed = np.empty(openings.size, np.int64)
    count = 0
    for row in range(openings.shape[0]):
        for column in range(openings.shape[1]):
            value, size = np.uint64(openings[row, column]), column % OPENINGS.size
            is_label = bool(size == 0 and value & LABEL_BIT)
            if value and is_label == takes_labels and (is_label or opening_tokens(value, size) >= _MARK_TOKENS):
                listed[count] = value
                count += 1
    listed = listed[:count]
    sort_up(listed)
    return listed


@inner_kernel
def _add_marks(openings, takes_labels, marks):
    """Fill the marks that part of the rows have, anywhere; how many."""
    rows = openings.shape[0]
    listed = _list_candidates(openings, takes_labels)
    having = np.empty((MARKS, rows), np.bool_)
    found, start = 0, 0
    for at in range(1, listed.size + 1):
        if at < listed.size and listed[at] == listed[start]:
            continue
        mark, repeats, start = listed[start], at - start, at
        if found == MARKS or repeats < _SHARE * rows:
            continue
        has_it = 0
        for row in range(rows):
            having[found, row] = _has(openings[row], mark)
            has_it += having[found, row]
        is_new = _SHARE * rows <= has_it <= (1 - _SHARE) * rows
        for other in range(found):
            is_same = True
            for row in range(rows):
                is_same = is_same and having[other, row] == having[found, row]
            is_new = is_new and not is_same
        if is_new:
            marks[found] = mark
            found += 1
    return found


@inner_kernel
def _take_rows(openings, rows):
    taken = np.empty((rows.size, openings.shape[1]), np.uint32)
    for at in range(rows.size):
        for column in range(openings.shape[1]):
            taken[at, column] = openings[rows[at], column]
    return taken


@inlined
def _fill(target, value):
    for at in range(target.size):
        target[at] = value


@inlined
def _count_parts(parts):
    found = 0
    for part in parts:
        found += part >= 0
    return found


@inner_kernel
def _has(openings, mark):
    found = False
    for value in openings:
        found = found or value == mark
    return found


@inner_kernel
def bits_of(openings, marks):
    """Which of the marks a row has, as bits."""
    bits = 0
    for at in range(marks.size):
        if marks[at] and _has(openings, marks[at]):
            bits |= 1 << at
    return bits


@inner_kernel
def _nearest(bits, parts):
    """The part that differs from the bits in the fewest marks, the first of equals."""
    best, best_distance = -1, MARKS + 1
    for part in parts:
        if part < 0:
            continue
        distance, rest = 0, bits ^ part
        while rest:
            distance, rest = distance + (rest & 1), rest >> 1
        if distance < best_distance:
            best, best_distance = part, distance
    return best


@inner_kernel
def _parts_of(openings, marks, least_bits, parts):
    """Fill the parts that the marks make; whether they are few and hold nearly all rows."""
    rows = openings.shape[0]
    counts = np.zeros(1 << MARKS, np.int64)
    for row in range(rows):
        counts[bits_of(openings[row], marks)] += 1
    _fill(parts, -1)
    found, covered = 0, 0
    for bits in range(least_bits, counts.size):
        if counts[bits] >= max(_SHARE * rows, 3):
            if found == PARTS:
                return False
            parts[found] = bits
            found, covered = found + 1, covered + counts[bits]
    return found > 1 and covered >= _COVER * rows


@inlined
def _split_part(openings, part, found, count, marks, parts):
    """Split one part further by marks that are no labels; how many parts and marks there are then.

    Having no label at all is a part; having none of these marks is not, or a text that fills the slot of many
    prompts would be told apart from the rest.
    """
    own_marks, own_parts = np.zeros(MARKS, np.uint32), np.zeros(PARTS, np.int32)
    more = _add_marks(openings, np.bool_(False), own_marks)
    if more == 0 or count + more > MARKS or not _parts_of(openings, own_marks, np.int64(1), own_parts):
        return found, count
    more_parts = _count_parts(own_parts)
    if found + more_parts - 1 > PARTS:
        return found, count
    before = parts[part]
    for at in range(more_parts):
        parts[part if at == 0 else found + at - 1] = before | own_parts[at] << count
    for at in range(more):
        marks[count + at] = own_marks[at]
    return found + more_parts - 1, count + more


@inlined
def _find_split(openings, marks, parts):
    """Fill marks and parts of one pattern's rows: by labels, and then each part by other openings; whether any."""
    count = _add_marks(openings, np.bool_(True), marks)
    if count == 0 or not _parts_of(openings, marks, np.int64(0), parts):
        count = 0
        _fill(marks, 0)
        _fill(parts, -1)
        parts[0] = 0
    found = _count_parts(parts)
    owners, own = np.empty(openings.shape[0], np.int32), np.empty(openings.shape[0], np.int64)
    for row in range(owners.size):
        owners[row] = _nearest(bits_of(openings[row], marks), parts)
    for part in range(found):
        size = 0
        for row in range(owners.size):
            own[size] = row
            size += owners[row] == parts[part]
        if size >= _FEWEST:
            found, count = _split_part(_take_rows(openings, own[:size]), part, found, count, marks, parts)
    return found > 1


@kernel
def _find_all(openings, order, starts, places, marks, parts):
    """Fill marks and parts of each pattern; rows of pattern ``p`` are ``order[starts[p]:starts[p + 1]]``."""
    is_split = np.zeros(places.size, np.bool_)
    for at in range(places.size):
        rows = order[starts[at] : min(starts[at + 1], starts[at] + SAMPLE)]
        is_split[at] = rows.size >= _FEWEST and _find_split(_take_rows(openings, rows), marks[at], parts[at])
    return is_split


def find_splits(
    openings: npt.NDArray[np.uint32], chosen: npt.NDArray[np.int32], prompt_ids: npt.NDArray[np.int64]
) -> Splits:
    """The splits of the patterns that rows take.

    Parameters
    ----------
    openings, prompt_ids : of the rows, in any order.
    chosen : place of the pattern of each row, -1 for none.
    """
    order = np.lexsort((prompt_ids, chosen))
    order = order[np.searchsorted(chosen[order], 0) :]
    places, starts = np.unique(chosen[order], return_index=True)
    marks = np.zeros((len(places), MARKS), np.uint32)
    parts = np.full((len(places), PARTS), -1, np.int32)
    is_split = _find_all(openings, order, np.append(starts, len(order)), places, marks, parts)
    return Splits(places.astype(np.int32)[is_split], marks[is_split], parts[is_split])


@kernel
def name_rows(openings, chosen, keys, places, marks, parts, ids):
    """Fill the 63-bit template id of each row: a hash of its pattern and part; 0 for none."""
    for row in range(chosen.size):
        ids[row] = 0
        if chosen[row] < 0:
            continue
        value = keys[chosen[row]]
        at = find_place(places, chosen[row])
        if at < places.size and places[at] == chosen[row]:
            part = _nearest(bits_of(openings[row], marks[at]), parts[at])
            for mark in range(MARKS):
                if part >> mark & 1:
                    value = mix(value + np.uint64(marks[at, mark]))
        ids[row] = np.int64(mix(value) >> np.uint64(1)) | 1
