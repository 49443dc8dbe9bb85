"""Which patterns are templates: every prompt takes its best pattern, and break-offs fall back to their parent.

References
----------
.. [1] J. Zhu et al. (2019), "Tools and benchmarks for automated log parsing",
   doi:10.1109/ICSE-SEIP.2019.00021, for grouping accuracy, which this is tuned to keep at any size.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from linkage.kernels import kernel
from linkage.parallel import in_halves, in_threads
from linkage.templates import patterns as kernels
from linkage.templates.features import Features
from linkage.templates.fingerprints import DEPTHS, OPENINGS
from linkage.templates.tables import Table, count_frequent, count_weighted, enter_all, enter_some, make_table
from linkage.templates.words import mix

ROUNDS: Final = 6
"""Rounds of choosing; choices hardly change after three."""

_MOST_KEYS: Final = 40_000_000  # pattern keys counted at a time, to bound memory to half a GB
_BUCKET_KEYS: Final = 30_000  # pattern keys of a bucket, so that counting them stays in the processor's cache
_MOST_BUCKETS: Final = 2_048
_STANDS: Final = 0.1  # a pattern stands by itself when this share of its prompts takes it and nothing longer
_COVERED: Final = 0.95  # share of a pattern's rows that longer patterns must hold for it to be hollow
_FEW_PARTS: Final = 3.0  # effective number of longer patterns; more are texts that fill a slot again and again
_PARTS_GROW: Final = 0.35  # and so many times a power of the rows, between the square root and all of them
_PARTS_POWER: Final = 0.75
_TEXT_HELD: Final = 8.0  # what longer patterns add to one of so many tokens is a text in its slot where they add more
_TEXT_ADDED: Final = 24.0  # than it holds and more than this, as many as an instruction has; or where it holds as many


@dataclasses.dataclass(frozen=True, eq=False)
class Patterns:
    """What was learned about patterns: the counts, and which of them are templates.

    ``direct`` (prompts that take the pattern), ``stands`` (it is a template even if longer ones exist) and
    ``kept`` (it is a template) have one value per pattern; ``known_cuts`` (hashes, ascending), ``known_places`` and
    ``known_codes`` say what prompts with the cuts of learned ones take.
    """

    pieces: Table
    worths: npt.NDArray[np.float64]
    """What the count of each piece says."""
    table: Table
    direct: npt.NDArray[np.int64]
    stands: npt.NDArray[np.bool_]
    kept: npt.NDArray[np.bool_]
    kept_entries: npt.NDArray[np.uint64]
    """Those of the table that are templates, few of all: what is asked for first."""
    known_cuts: npt.NDArray[np.uint64]
    known_places: npt.NDArray[np.int32]
    known_codes: npt.NDArray[np.int16]

    @functools.cached_property
    def known_entries(self) -> npt.NDArray[np.uint64]:
        """``known_cuts``, to look groups of new prompts up."""
        return enter_all(self.known_cuts)


@dataclasses.dataclass(frozen=True, eq=False)
class _Cells:
    """The frequent patterns of all rows, as :func:`kernels.cells_of_row` gives them, row after row."""

    starts: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int16]
    places: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class Cuts:
    """The cuts of all rows, as :func:`kernels.cut_row` gives them.

    ``sizes`` has numbers of cuts at the start, at the end and of lines, and whether most words are characters.
    """

    cuts: npt.NDArray[np.uint64]
    tokens: npt.NDArray[np.float32]
    sizes: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]

    def count_most(self) -> npt.NDArray[np.int64]:
        """Patterns that each row can have at most."""
        ends = (self.sizes[:, 0] + 1) * (self.sizes[:, 1] + 1)
        return np.asarray(ends * np.minimum(2 * self.sizes[:, 2] + 1, kernels.LINE_CHOICES))

    def part(self, rows: slice) -> tuple[Any, Any, Any, Any]:
        """The four columns of some rows."""
        return self.cuts[rows], self.tokens[rows], self.sizes[rows], self.words[rows]

    def take(self, rows: npt.NDArray[np.int64]) -> Cuts:
        """The cuts of these rows, in this order."""
        return Cuts(self.cuts[rows], self.tokens[rows], self.sizes[rows], self.words[rows])


def count_pieces(features: Features, *, least: int) -> Table:
    """Cuts of ends and openings of lines that at least so many rows have."""
    jobs: list[Any] = []
    for depth in range(len(DEPTHS)):
        jobs.append(lambda depth=depth: kernels.end_keys(features.heads, features.words, False, depth))
        jobs.append(lambda depth=depth: kernels.end_keys(features.tails, features.words, True, depth))
    for size in range(len(OPENINGS)):
        jobs.append(lambda size=size: kernels.line_keys(features.openings, size))
    found = list(in_threads(lambda job: count_frequent(job(), least=least), jobs))
    return make_table(np.concatenate([keys for keys, _ in found]), np.concatenate([counts for _, counts in found]))


@kernel
def _cut_rows(heads, tails, openings, words, pieces, worths, cuts, tokens, sizes):
    """Fill the cuts of all rows, their tokens and how many there are."""
    room = np.empty((2, kernels.CUTS))
    for row in range(words.size):
        found = kernels.cut_row(
            heads[row],
            tails[row],
            openings[row],
            words[row],
            pieces,
            worths,
            room,
            cuts[row],
            tokens[row],
        )
        sizes[row, 0], sizes[row, 1], sizes[row, 2] = found


def cut_rows(features: Features, pieces: Table, worths: npt.NDArray[np.float64]) -> Cuts:
    """The cuts of all rows; ``worths`` is what the counts of the pieces say."""
    rows = len(features)
    made = Cuts(
        np.zeros((rows, 3, kernels.CUTS), np.uint64),
        np.zeros((rows, 3, kernels.CUTS), np.float32),
        np.column_stack([np.zeros((rows, 3), np.int64), features.dense]),
        features.words,
    )

    def work(part: slice) -> None:
        _cut_rows(
            features.heads[part],
            features.tails[part],
            features.openings[part],
            features.words[part],
            pieces.entries,
            worths,
            made.cuts[part],
            made.tokens[part],
            made.sizes[part],
        )

    in_halves(rows, work)
    return made


@kernel
def _hash_cuts(cuts, tokens, sizes, words, hashes):
    """Fill a hash of what decides which patterns a row has: its cuts, and whether its ends overlap."""
    for row in range(words.size):
        first, last = tokens[row, 0, 0], tokens[row, 1, 0]
        for at in range(1, kernels.CUTS):
            first, last = max(first, tokens[row, 0, at]), max(last, tokens[row, 1, at])
        longest = first + last
        value = np.uint64(min(longest, np.float32(words[row]))) | np.uint64(sizes[row, 3]) << np.uint64(32)
        for side in range(3):
            value = mix(value ^ np.uint64(sizes[row, side]))
            for at in range(sizes[row, side]):
                value = mix(value + cuts[row, side, at])
        hashes[row] = value


@dataclasses.dataclass(frozen=True, eq=False)
class Groups:
    """Rows with the same cuts: they have the same patterns, and take the same one.

    Groups that begin and end alike stand side by side: the same patterns are looked up for them, which halves the
    misses of the processor's cache (2026-11-24).
    """

    cuts: Cuts
    """One row per group."""
    hashes: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.int64]
    """How many rows each has."""
    of_row: npt.NDArray[np.int64]
    """The group of each row."""


def group_rows(cuts: Cuts) -> Groups:
    """Rows with the same cuts together."""
    hashes = np.empty(len(cuts.words), np.uint64)
    _hash_cuts(cuts.cuts, cuts.tokens, cuts.sizes, cuts.words, hashes)
    found, firsts, of_row, rows = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((cuts.cuts[firsts, 1, 0], cuts.cuts[firsts, 0, 0]))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return Groups(cuts.take(firsts[order]), found[order], rows[order], rank[of_row])


@kernel
def _tally(cuts, tokens, sizes, words, shift, sums):
    """Add up how many pattern keys of all rows fall into each bucket."""
    keys = np.empty((kernels.CUTS + 1, kernels.CUTS + 1, kernels.LINE_CHOICES), np.uint64)
    for row in range(words.size):
        kernels.pattern_keys(cuts[row], tokens[row], sizes[row], words[row], keys)
        for i in range(sizes[row, 0] + 1):
            for j in range(sizes[row, 1] + 1):
                for k in range(kernels.LINE_CHOICES):
                    if keys[i, j, k]:
                        sums[keys[i, j, k] >> shift] += 1


@kernel
def _scatter(cuts, tokens, sizes, words, rows, shift, first, places, out, weights):
    """Put the pattern keys of all rows, and how many rows have each, into buckets from the first on.

    ``places`` says where the next key of each bucket goes.
    """
    keys = np.empty((kernels.CUTS + 1, kernels.CUTS + 1, kernels.LINE_CHOICES), np.uint64)
    for row in range(words.size):
        kernels.pattern_keys(cuts[row], tokens[row], sizes[row], words[row], keys)
        for i in range(sizes[row, 0] + 1):
            for j in range(sizes[row, 1] + 1):
                for k in range(kernels.LINE_CHOICES):
                    bucket = np.int64(keys[i, j, k] >> shift) - first
                    if keys[i, j, k] and 0 <= bucket < places.size:
                        out[places[bucket]], weights[places[bucket]] = keys[i, j, k], rows[row]
                        places[bucket] += 1


def _count_patterns(groups: Groups, *, least: int) -> Table:
    """Patterns that at least so many rows have; counted bucket by bucket, so that memory and cache suffice."""
    cuts = groups.cuts
    wanted = int(cuts.count_most().sum()) // _BUCKET_KEYS
    bits = max(1, min(wanted, _MOST_BUCKETS).bit_length())

    def tally(part: slice) -> npt.NDArray[np.int64]:
        sums = np.zeros(1 << bits, np.int64)
        _tally(*cuts.part(part), np.uint64(64 - bits), sums)
        return sums

    sums = np.array(in_halves(len(cuts.words), tally))
    passes = np.cumsum(sums.sum(axis=0)) // _MOST_KEYS
    found = [_count_buckets(groups, sums, np.flatnonzero(passes == each), bits, least) for each in np.unique(passes)]
    return make_table(*(np.concatenate([part[column] for part in found]) for column in (0, 1)))


def _count_buckets(
    groups: Groups, sums: npt.NDArray[np.int64], buckets: npt.NDArray[np.int64], bits: int, least: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    """Frequent keys of some buckets and their counts; ``sums`` are the keys of each half of the rows by bucket."""
    first, cuts = int(buckets[0]), groups.cuts
    sizes = sums[:, buckets]
    limits = np.concatenate([[0], np.cumsum(sizes.sum(axis=0))])
    keys, weights = np.empty(limits[-1], np.uint64), np.empty(limits[-1], np.int32)

    def scatter(part: slice) -> None:
        places = limits[:-1] + (sizes[0] if part.start else 0)
        _scatter(*cuts.part(part), groups.rows[part], np.uint64(64 - bits), first, places, keys, weights)

    def count(part: slice) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
        return count_weighted(keys, weights, limits[part.start : part.stop + 1], least=least)

    in_halves(len(cuts.words), scatter)
    halves = in_halves(len(buckets), count)
    return np.concatenate([half[0] for half in halves]), np.concatenate([half[1] for half in halves])


@kernel
def _collect(cuts, tokens, sizes, words, patterns, least, least_strength, starts, codes, places, scores, lengths):
    """Fill the cells of all rows; ``starts`` gets their limits. Returns how many."""
    most = np.int64(kernels.CELLS)
    row_codes, row_places, seen = np.empty(most, np.int16), np.empty(most, np.int32), np.empty(most, np.int64)
    strong, long, score = np.empty(most), np.empty(most), np.empty(most)
    room, scales = kernels.make_room(), kernels.make_scales(least)
    at = 0
    for row in range(words.size):
        found = kernels.cells_of_row(
            cuts[row],
            tokens[row],
            sizes[row],
            words[row],
            patterns,
            patterns,
            False,
            room,
            row_codes,
            row_places,
            seen,
            strong,
            long,
        )
        kernels.score_cells(seen[:found], strong, long, scales, least, least_strength, score)
        for cell in range(found):
            codes[at], places[at], scores[at] = row_codes[cell], row_places[cell], score[cell]
            lengths[at] = long[cell]
            at += 1
        starts[row + 1] = at
    return at


def _cells(cuts: Cuts, table: Table, *, least: int, least_strength: float) -> _Cells:
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
            *cuts.part(rows),
            table.entries,
            least,
            least_strength,
            made.starts,
            made.codes,
            made.places,
            made.scores,
            made.lengths,
        )
        return _Cells(made.starts, made.codes[:found], made.places[:found], made.scores[:found], made.lengths[:found])

    first, second = in_halves(len(cuts.words), collect)
    return _Cells(
        np.concatenate([first.starts, second.starts[1:] + first.starts[-1]]),
        np.concatenate([first.codes, second.codes]),
        np.concatenate([first.places, second.places]),
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.lengths, second.lengths]),
    )


@kernel
def _choose_rows(starts, codes, places, scores, lengths, counts, direct, stands, uses_direct, chosen, taken):
    """Fill place and code of the pattern that each row takes, -1 for none."""
    for row in range(starts.size - 1):
        a, b = starts[row], starts[row + 1]
        at = kernels.choose(codes[a:b], places[a:b], scores[a:b], lengths[a:b], counts, direct, stands, uses_direct)
        chosen[row] = places[a + at] if at >= 0 else -1
        taken[row] = codes[a + at] if at >= 0 else -1


@kernel
def _sum_sizes(starts, places, chosen, rows, direct, sums):
    """Add up, for each pattern, over the rows that have it, how many rows take what the row takes."""
    for group in range(starts.size - 1):
        if chosen[group] >= 0:
            size = rows[group] * direct[chosen[group]]
            for cell in range(starts[group], starts[group + 1]):
                sums[places[cell]] += size


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

    in_halves(rows, work)
    return chosen, codes


def _find_standing(
    cells: _Cells, table: Table, rows: npt.NDArray[np.int64], chosen: Any, direct: Any
) -> npt.NDArray[np.bool_]:
    """Patterns that are templates even where longer ones exist.

    Enough rows take nothing longer; or what they take falls into so many parts (an effective number, the
    inverse Simpson index, above a power of the rows) that the parts are texts which fill a slot.
    """

    def add_up(part: slice) -> npt.NDArray[np.int64]:
        sums = np.zeros(len(table), np.int64)
        starts = cells.starts[part.start : part.stop + 1]
        _sum_sizes(starts, cells.places, chosen[part], rows[part], direct, sums)
        return sums

    first, second = in_halves(len(rows), add_up)
    sums = first + second
    parts = table.counts / np.maximum(sums / np.maximum(table.counts, 1), 1e-9)
    is_slot = parts > np.maximum(8.0, _PARTS_GROW * table.counts**_PARTS_POWER)
    return np.asarray((direct >= np.maximum(_STANDS * table.counts, 2)) | is_slot)


@kernel
def _sum_parts(cells, counts, tokens, sizes, rows, chosen, taken, is_asked, sums):
    """Add up, for each pattern asked for, the rows with a longer one that breaks off, the sizes of those, and texts."""
    starts, codes, places, scores, lengths = cells
    room = np.empty(np.int64(kernels.CELLS), np.int64)
    for group in range(starts.size - 1):
        if chosen[group] < 0 or not is_asked[chosen[group]]:
            continue
        a, b = starts[group], starts[group + 1]
        at = a
        while codes[at] != taken[group]:
            at += 1
        of_row = (codes[a:b], places[a:b], scores[a:b], lengths[a:b])
        part, held, added, is_common = kernels.best_part(at - a, *of_row, counts, tokens[group], sizes[group], room)
        if part >= 0:
            sums[0, chosen[group]] += rows[group]
            sums[1, chosen[group]] += rows[group] * counts[places[a + part]]
            is_text = held >= _TEXT_ADDED or (held >= _TEXT_HELD and added > max(held, _TEXT_ADDED))
            if is_text and not (is_common and added > held):
                sums[2, chosen[group]] += rows[group]


@kernel
def _add_twins(starts, places, counts, chosen, hollow, found):
    """Mark what the same rows have as a hollow pattern that is taken: it would be taken next, and is as hollow."""
    for group in range(starts.size - 1):
        if chosen[group] >= 0 and hollow[chosen[group]]:
            for cell in range(starts[group], starts[group + 1]):
                if counts[places[cell]] == counts[chosen[group]]:
                    found[places[cell]] = True


def _find_hollow(
    cells: _Cells, table: Table, groups: Groups, chosen: Any, taken: Any, direct: Any, is_asked: Any
) -> npt.NDArray[np.bool_]:
    """Patterns that only join a few templates: nearly every row has a longer pattern, and those are few.

    Of those that ``is_asked`` is true for. Long texts behind a pattern that tells enough by itself fill its slot, and
    so does anything behind one as long as an instruction, unless they are no more than a handful; but what is longer
    than the pattern and comes with many others is an instruction itself, and the pattern a question that it is asked.
    """
    rows = groups.rows

    def add_up(part: slice) -> npt.NDArray[np.int64]:
        sums = np.zeros((3, len(table)), np.int64)
        starts = cells.starts[part.start : part.stop + 1]
        of_rows = (starts, cells.codes, cells.places, cells.scores, cells.lengths)
        _, tokens, sizes, _ = groups.cuts.part(part)
        _sum_parts(of_rows, table.counts, tokens, sizes, rows[part], chosen[part], taken[part], is_asked, sums)
        return sums

    first, second = in_halves(len(rows), add_up)
    own = np.flatnonzero(is_asked & (direct > 0))
    size, (covered, sums, texts) = direct[own], first[:, own] + second[:, own]
    parts = size / np.maximum(sums / np.maximum(covered, 1), 1e-9)
    most = np.where(2 * texts > covered, 0.0, _PARTS_GROW * size**_PARTS_POWER)
    hollow = np.zeros(len(table), np.bool_)
    hollow[own] = (covered >= _COVERED * size) & (parts <= np.maximum(_FEW_PARTS, most))
    found = hollow.copy()
    _add_twins(cells.starts, cells.places, table.counts, chosen, hollow, found)
    return found


def learn_patterns(
    features: Features, *, least: int, least_strength: float
) -> tuple[Patterns, npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The patterns of these rows (distinct prompts); and of each row what it takes, and how much of its ends is fixed.

    See :func:`linkage.templates.choosing.choose_patterns`.

    Parameters
    ----------
    features : one row per distinct prompt, in any order.
    least : fewest prompts of a template.
    least_strength : fewest tokens of fixed text.
    """
    pieces = count_pieces(features, least=least)
    worths = kernels.find_worths(pieces.counts, least)
    groups = group_rows(cut_rows(features, pieces, worths))
    table = _count_patterns(groups, least=least)
    cells = _cells(groups.cuts, table, least=least, least_strength=least_strength)
    stands = np.zeros(len(table), np.bool_)
    direct = asked = np.zeros(len(table), np.int64)
    for step in range(ROUNDS):
        chosen, taken = _choose_all(cells, table, direct, stands, uses_direct=step > 0)
        direct = _count_direct(groups, table, chosen)
        stands = _find_standing(cells, table, groups.rows, chosen, direct)
        if 0 < step < ROUNDS - 1:  # those that took a hollow one must choose again
            hollow = _find_hollow(cells, table, groups, chosen, taken, direct, asked != direct)
            asked = direct  # a pattern is asked for again when another number of rows takes it
            cells.scores[hollow[cells.places]] = 0.0
    kept = direct >= least
    cells.scores[~kept[cells.places]] = 0.0
    chosen, taken = _choose_all(cells, table, direct, stands, uses_direct=True)
    ends = measure_ends(groups.cuts, taken)
    order = np.argsort(groups.hashes)
    known = (groups.hashes[order], chosen[order], taken[order])
    learned = Patterns(pieces, worths, table, direct, stands, kept, enter_some(table, np.flatnonzero(kept)), *known)
    return learned, chosen[groups.of_row], ends[groups.of_row]


def _count_direct(groups: Groups, table: Table, chosen: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """How many rows take each pattern."""
    takes = chosen >= 0
    return np.bincount(chosen[takes], weights=groups.rows[takes], minlength=len(table)).astype(np.int64)


def measure_ends(cuts: Cuts, codes: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    """How many tokens of each row's head and tail are in its pattern (code, -1 for none)."""
    both = np.maximum(codes, 0).astype(np.int64) // kernels.LINE_CHOICES
    rows = np.arange(len(codes))
    ends = np.zeros((len(codes), 2), np.int64)
    for side, at in enumerate((both // (kernels.CUTS + 1), both % (kernels.CUTS + 1))):
        ends[:, side] = np.where(at > 0, cuts.tokens[rows, side, np.maximum(at - 1, 0)], 0)
    return ends
