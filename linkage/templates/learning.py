"""Which patterns are templates: every prompt takes its best pattern, and break-offs fall back to their parent.

References
----------
.. [1] J. Zhu et al. (2019), "Tools and benchmarks for automated log parsing",
   doi:10.1109/ICSE-SEIP.2019.00021, for grouping accuracy, which this is tuned to keep at any size.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import numba
import numpy as np
import numpy.typing as npt

from linkage.templates import patterns as kernels
from linkage.templates.features import Features
from linkage.templates.fingerprints import DEPTHS, OPENINGS
from linkage.templates.tables import Table, count_frequent, make_table

Result = TypeVar("Result")

ROUNDS: Final = 6
"""Rounds of choosing; choices hardly change after three."""

_THREADS: Final = 2
_MOST_KEYS: Final = 60_000_000  # pattern keys sorted at a time, to bound memory to half a GB
_STANDS: Final = 0.1  # a pattern stands by itself when this share of its prompts takes it and nothing longer
_COVERED: Final = 0.95  # share of a pattern's rows that longer patterns must hold for it to be hollow
_FEW_PARTS: Final = 3.0  # effective number of longer patterns; more are texts that fill a slot again and again
_PARTS_GROW: Final = 0.35  # and so many times a power of the rows, between the square root and all of them
_PARTS_POWER: Final = 0.75
_CELLS: Final = (kernels.CUTS + 1) ** 2 * kernels.LINE_CHOICES


@dataclasses.dataclass(frozen=True, eq=False)
class Patterns:
    """What was learned about patterns: the counts, and which of them are templates.

    ``direct`` (prompts that take the pattern), ``stands`` (it is a template even if longer ones exist) and
    ``kept`` (it is a template) have one value per pattern.
    """

    pieces: Table
    table: Table
    direct: npt.NDArray[np.int64]
    stands: npt.NDArray[np.bool_]
    kept: npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, eq=False)
class _Cells:
    """The frequent patterns of all rows, as :func:`kernels.cells_of_row` gives them, row after row."""

    starts: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int16]
    places: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class _Cuts:
    """The cuts of all rows, as :func:`kernels.cut_row` gives them."""

    cuts: npt.NDArray[np.uint64]
    tokens: npt.NDArray[np.float32]
    sizes: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]

    def count_most(self) -> npt.NDArray[np.int64]:
        """Patterns that each row can have at most."""
        ends = (self.sizes[:, 0] + 1) * (self.sizes[:, 1] + 1)
        return np.asarray(ends * np.minimum(2 * self.sizes[:, 2] + 1, kernels.LINE_CHOICES))


def count_pieces(features: Features, *, least: int) -> Table:
    """Cuts of ends and openings of lines that at least so many rows have."""
    jobs: list[Any] = []
    for depth in range(len(DEPTHS)):
        jobs.append(lambda depth=depth: kernels.end_keys(features.heads, features.words, False, depth))
        jobs.append(lambda depth=depth: kernels.end_keys(features.tails, features.words, True, depth))
    for size in range(len(OPENINGS)):
        jobs.append(lambda size=size: kernels.line_keys(features.openings, size))
    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(threads.map(lambda job: count_frequent(job(), least=least), jobs))
    return make_table(np.concatenate([keys for keys, _ in found]), np.concatenate([counts for _, counts in found]))


@numba.njit(cache=True, nogil=True)
def _cut_rows(heads, tails, openings, words, pieces, least, cuts, tokens, sizes):
    """Fill the cuts of all rows, their tokens and how many there are."""
    for row in range(words.size):
        found = kernels.cut_row(
            heads[row],
            tails[row],
            openings[row],
            words[row],
            pieces[0],
            pieces[1],
            pieces[2],
            least,
            cuts[row],
            tokens[row],
        )
        sizes[row, 0], sizes[row, 1], sizes[row, 2] = found


def _cut(features: Features, pieces: Table, *, least: int) -> _Cuts:
    rows = len(features)
    made = _Cuts(
        np.zeros((rows, 3, kernels.CUTS), np.uint64),
        np.zeros((rows, 3, kernels.CUTS), np.float32),
        np.zeros((rows, 3), np.int64),
        features.words,
    )

    def work(part: slice) -> None:
        _cut_rows(
            features.heads[part],
            features.tails[part],
            features.openings[part],
            features.words[part],
            (pieces.keys, pieces.slots, pieces.counts),
            least,
            made.cuts[part],
            made.tokens[part],
            made.sizes[part],
        )

    _in_halves(rows, work)
    return made


def _in_halves(rows: int, work: Callable[[slice], Result]) -> list[Result]:
    """The work done on each half of the rows, on both cores."""
    middle = rows // 2
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(work, (slice(0, middle), slice(middle, rows))))


@numba.njit(cache=True, nogil=True)
def _emit(cuts, tokens, sizes, words, part, parts, out):
    """Fill the pattern keys of all rows that belong to one part; how many, also where there is no room."""
    keys = np.empty((kernels.CUTS + 1, kernels.CUTS + 1, kernels.LINE_CHOICES), np.uint64)
    found = 0
    for row in range(words.size):
        kernels.pattern_keys(cuts[row], tokens[row], sizes[row], words[row], keys)
        for i in range(sizes[row, 0] + 1):
            for j in range(sizes[row, 1] + 1):
                for k in range(kernels.LINE_CHOICES):
                    key = keys[i, j, k]
                    if key and key % np.uint64(parts) == np.uint64(part):
                        if found < out.size:
                            out[found] = key
                        found += 1
    return found


def _count_patterns(cuts: _Cuts, *, least: int) -> Table:
    """Patterns that at least so many rows have; counted in parts, to bound memory."""
    most = int(cuts.count_most().sum())
    parts = 1 + most // _MOST_KEYS

    def emit(part: int, rows: slice) -> npt.NDArray[np.uint64]:
        arrays = (cuts.cuts[rows], cuts.tokens[rows], cuts.sizes[rows], cuts.words[rows], part, parts)
        room = _emit(*arrays, np.empty(0, np.uint64)) if parts > 1 else int(cuts.count_most()[rows].sum())
        out = np.empty(room, np.uint64)
        return out[: _emit(*arrays, out)]

    keys: list[npt.NDArray[Any]] = []
    counts: list[npt.NDArray[Any]] = []
    for part in range(parts):
        halves = _in_halves(len(cuts.words), functools.partial(emit, part))
        found = count_frequent(np.concatenate(halves), least=least)
        keys.append(found[0])
        counts.append(found[1])
    return make_table(np.concatenate(keys), np.concatenate(counts))


@numba.njit(cache=True, nogil=True)
def _collect(cuts, tokens, sizes, words, patterns, least, least_strength, starts, codes, places, scores, lengths):
    """Fill the cells of all rows; ``starts`` gets their limits. Returns how many."""
    row_codes, row_places = np.empty(_CELLS, np.int16), np.empty(_CELLS, np.int32)
    strong, long, score = np.empty(_CELLS), np.empty(_CELLS), np.empty(_CELLS)
    room = kernels.make_room()
    at = 0
    for row in range(words.size):
        found = kernels.cells_of_row(
            cuts[row], tokens[row], sizes[row], words[row], patterns, room, row_codes, row_places, strong, long
        )
        kernels.score_cells(row_places[:found], strong, long, patterns[2], least, least_strength, score)
        for cell in range(found):
            codes[at], places[at], scores[at] = row_codes[cell], row_places[cell], score[cell]
            lengths[at] = long[cell]
            at += 1
        starts[row + 1] = at
    return at


def _cells(cuts: _Cuts, table: Table, *, least: int, least_strength: float) -> _Cells:
    most = cuts.count_most()

    def collect(rows: slice) -> _Cells:
        room = int(most[rows].sum())
        made = _Cells(
            starts=np.zeros(rows.stop - rows.start + 1, np.int64),
            codes=np.empty(room, np.int16),
            places=np.empty(room, np.int32),
            scores=np.empty(room, np.float32),
            lengths=np.empty(room, np.float32),
        )
        found = _collect(
            cuts.cuts[rows],
            cuts.tokens[rows],
            cuts.sizes[rows],
            cuts.words[rows],
            (table.keys, table.slots, table.counts),
            least,
            least_strength,
            made.starts,
            made.codes,
            made.places,
            made.scores,
            made.lengths,
        )
        return _Cells(made.starts, made.codes[:found], made.places[:found], made.scores[:found], made.lengths[:found])

    first, second = _in_halves(len(cuts.words), collect)
    return _Cells(
        np.concatenate([first.starts, second.starts[1:] + first.starts[-1]]),
        np.concatenate([first.codes, second.codes]),
        np.concatenate([first.places, second.places]),
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.lengths, second.lengths]),
    )


@numba.njit(cache=True, nogil=True)
def _choose_rows(starts, codes, places, scores, lengths, counts, direct, stands, uses_direct, chosen, taken):
    """Fill place and code of the pattern that each row takes, -1 for none."""
    for row in range(starts.size - 1):
        a, b = starts[row], starts[row + 1]
        at = kernels.choose(codes[a:b], places[a:b], scores[a:b], lengths[a:b], counts, direct, stands, uses_direct)
        chosen[row] = places[a + at] if at >= 0 else -1
        taken[row] = codes[a + at] if at >= 0 else -1


@numba.njit(cache=True, nogil=True)
def _sum_sizes(starts, places, chosen, direct, sums):
    """Add up, for each pattern, over the rows that have it, how many rows take what the row takes."""
    for row in range(starts.size - 1):
        if chosen[row] >= 0:
            for cell in range(starts[row], starts[row + 1]):
                sums[places[cell]] += direct[chosen[row]]


def _choose_all(
    cells: _Cells, table: Table, direct: Any, stands: Any, *, uses_direct: bool
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int16]]:
    rows = len(cells.starts) - 1
    chosen, codes = np.empty(rows, np.int32), np.empty(rows, np.int16)

    def work(part: slice) -> None:
        _choose_rows(
            cells.starts[part.start : part.stop + 1],
            cells.codes,
            cells.places,
            cells.scores,
            cells.lengths,
            table.counts,
            direct,
            stands,
            uses_direct,
            chosen[part],
            codes[part],
        )

    _in_halves(rows, work)
    return chosen, codes


def _find_standing(cells: _Cells, table: Table, chosen: Any, direct: Any) -> npt.NDArray[np.bool_]:
    """Patterns that are templates even where longer ones exist.

    Enough rows take nothing longer; or what they take falls into so many parts (an effective number, the
    inverse Simpson index, above a power of the rows) that the parts are texts which fill a slot.
    """
    sums = np.zeros(len(table), np.int64)
    _sum_sizes(cells.starts, cells.places, chosen, direct, sums)
    parts = table.counts / np.maximum(sums / np.maximum(table.counts, 1), 1e-9)
    is_slot = parts > np.maximum(8.0, _PARTS_GROW * table.counts**_PARTS_POWER)
    return np.asarray((direct >= np.maximum(_STANDS * table.counts, 2)) | is_slot)


@numba.njit(cache=True, nogil=True)
def _sum_parts(starts, codes, places, scores, lengths, counts, chosen, taken, covered, sums):
    """Add up, for each pattern taken, the rows with a longer one that breaks off, and the sizes of those."""
    for row in range(starts.size - 1):
        a, b = starts[row], starts[row + 1]
        at = -1
        for cell in range(a, b):
            if chosen[row] >= 0 and codes[cell] == taken[row]:
                at = cell - a
        if at < 0:
            continue
        part = kernels.best_part(at, codes[a:b], places[a:b], scores[a:b], lengths[a:b], counts)
        if part >= 0:
            covered[chosen[row]] += 1
            sums[chosen[row]] += counts[places[a + part]]


def _find_hollow(cells: _Cells, table: Table, chosen: Any, taken: Any, direct: Any) -> npt.NDArray[np.bool_]:
    """Patterns that only join a few templates: nearly every row has a longer pattern, and those are few."""
    covered, sums = np.zeros(len(table), np.int64), np.zeros(len(table), np.int64)
    _sum_parts(
        cells.starts, cells.codes, cells.places, cells.scores, cells.lengths, table.counts, chosen, taken, covered, sums
    )
    parts = direct / np.maximum(sums / np.maximum(covered, 1), 1e-9)
    is_few = parts <= np.maximum(_FEW_PARTS, _PARTS_GROW * direct**_PARTS_POWER)
    return np.asarray((covered >= _COVERED * direct) & (direct > 0) & is_few)


def learn_patterns(
    features: Features, *, least: int, least_strength: float
) -> tuple[Patterns, npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The patterns of these rows (distinct prompts); and of each row what :func:`choose_patterns` says.

    Parameters
    ----------
    features : one row per distinct prompt, in any order.
    least : fewest prompts of a template.
    least_strength : fewest tokens of fixed text.
    """
    pieces = count_pieces(features, least=least)
    cuts = _cut(features, pieces, least=least)
    table = _count_patterns(cuts, least=least)
    cells = _cells(cuts, table, least=least, least_strength=least_strength)
    stands = np.zeros(len(table), np.bool_)
    direct = np.zeros(len(table), np.int64)
    for step in range(ROUNDS):
        chosen, taken = _choose_all(cells, table, direct, stands, uses_direct=step > 0)
        direct = np.bincount(chosen[chosen >= 0], minlength=len(table))
        stands = _find_standing(cells, table, chosen, direct)
        if step % 2 == 1 and step < ROUNDS - 1:  # those that took a hollow one must choose again
            hollow = _find_hollow(cells, table, chosen, taken, direct)
            cells.scores[hollow[cells.places]] = 0.0
    kept = direct >= least
    cells.scores[~kept[cells.places]] = 0.0
    chosen, taken = _choose_all(cells, table, direct, stands, uses_direct=True)
    return Patterns(pieces, table, direct, stands, kept), chosen, _measure_ends(cuts, taken)


def _measure_ends(cuts: _Cuts, codes: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    """How many tokens of each row's head and tail are in its pattern (code, -1 for none)."""
    both = np.maximum(codes, 0).astype(np.int64) // kernels.LINE_CHOICES
    rows = np.arange(len(codes))
    ends = np.zeros((len(codes), 2), np.int64)
    for side, at in enumerate((both // (kernels.CUTS + 1), both % (kernels.CUTS + 1))):
        ends[:, side] = np.where(at > 0, cuts.tokens[rows, side, np.maximum(at - 1, 0)], 0)
    return ends


def choose_patterns(
    features: Features, learned: Patterns, *, least: int, least_strength: float
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The pattern that each row takes, of those that were learned, and how much of its ends is fixed.

    Parameters
    ----------
    features : any prompts, also ones that nothing was learned from.
    least, least_strength : as when learning.

    Returns
    -------
    Place of each row's pattern (-1: none); and tokens of fixed text at its start and at its end, shape
    (rows, 2).
    """
    cuts = _cut(features, learned.pieces, least=least)
    cells = _cells(cuts, learned.table, least=least, least_strength=least_strength)
    cells.scores[~learned.kept[cells.places]] = 0.0
    chosen, codes = _choose_all(cells, learned.table, learned.direct, learned.stands, uses_direct=True)
    return chosen, _measure_ends(cuts, codes)
