"""Prompts to fingerprints: a few hundred bytes from which templates and items can be mined without the text.

Of each prompt we keep hashes of its first and last words at fixed depths, of lines, and of six-word runs picked
by winnowing. Everything is a function of the normalised text.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from linkage.arrays import Ints
from linkage.errors import TemplateError
from linkage.kernels import inner_kernel, kernel
from linkage.parallel import in_threads
from linkage.templates.fingerprints import DEPTHS, LINES, MAX_ITEMS, OPENINGS, fill_slots, fingerprint
from linkage.templates.normalize import fold_table

Hashes = npt.NDArray[np.uint32]

_PRESENT: Final = 5  # bytes that say which openings of every other place there are
_HEADER: Final = 23  # bytes: words 4, runs 1, whole 4, numbers 4, which openings 10
_DENSE: Final = 1 << 31  # set in the number of words where most of them are characters of scripts without spaces
_BATCH: Final = 4_096  # prompts that a thread takes at a time


@inner_kernel
def _put(target, at, value, width):
    """Write an unsigned number, low byte first; the place after it."""
    for step in range(width):
        target[at + step] = (value >> np.uint64(8 * step)) & np.uint64(0xFF)
    return at + width


@inner_kernel
def _get(source, at, width):
    """Read an unsigned number, low byte first."""
    value = np.uint64(0)
    for step in range(width):
        value |= np.uint64(source[at + step]) << np.uint64(8 * step)
    return value


@kernel
def _pack(rows, sizes, wholes, heads, tails, openings, starts, items, places, target):
    """Fill the blobs of these rows, one after the other."""
    present = np.empty(2, np.uint64)
    for place in range(rows.size):
        row = rows[place]
        present[0], present[1] = 0, 0
        for slot in range(openings.shape[1]):
            if openings[row, slot]:
                present[slot % 2] |= np.uint64(1) << np.uint64(slot // 2)
        at = _put(target, places[place], np.uint64(sizes[row, 0]) | np.uint64(_DENSE * sizes[row, 2]), 4)
        at = _put(target, at, np.uint64(sizes[row, 1]), 1)
        at = _put(target, at, np.uint64(wholes[row, 0]), 4)
        at = _put(target, at, np.uint64(wholes[row, 1]), 4)
        at = _put(target, at, present[0], _PRESENT)
        at = _put(target, at, present[1], _PRESENT)
        for depth in range(DEPTHS.size):
            if DEPTHS[depth] <= sizes[row, 0]:
                at = _put(target, at, np.uint64(heads[row, depth]), 4)
                at = _put(target, at, np.uint64(tails[row, depth]), 4)
        for slot in range(openings.shape[1]):
            if openings[row, slot]:
                at = _put(target, at, np.uint64(openings[row, slot]), 4)
        for item in range(starts[row], starts[row + 1]):
            at = _put(target, at, np.uint64(items[item]), 5)


@kernel
def _unpack(source, places, sizes, wholes, heads, tails, openings, starts, items):
    """Fill all rows from their blobs; whether each blob had the length it should."""
    present = np.empty(2, np.uint64)
    for row in range(sizes.shape[0]):
        at = places[row] + 5
        wholes[row, 0] = _get(source, at, 4)
        wholes[row, 1] = _get(source, at + 4, 4)
        present[0], present[1] = _get(source, at + 8, _PRESENT), _get(source, at + 8 + _PRESENT, _PRESENT)
        at += 8 + 2 * _PRESENT
        for depth in range(DEPTHS.size):
            if DEPTHS[depth] <= sizes[row, 0]:
                heads[row, depth] = _get(source, at, 4)
                tails[row, depth] = _get(source, at + 4, 4)
                at += 8
        for slot in range(openings.shape[1]):
            if present[slot % 2] >> np.uint64(slot // 2) & np.uint64(1):
                openings[row, slot] = _get(source, at, 4)
                at += 4
        if places[row + 1] - at != 5 * sizes[row, 1]:
            return False
        for item in range(starts[row], starts[row + 1]):
            items[item] = _get(source, at, 5)
            at += 5
    return True


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """What is kept of a number of prompts; one row per prompt, in the order given.

    Attributes
    ----------
    prompt_ids : int64, 63-bit hashes of the normalised texts; 0 for a prompt without any word.
    words : int64, words of each prompt.
    dense : bool, whether most of its words are characters of a script without spaces.
    wholes : uint32, shape (prompts, 2): hash of all words with numbers alike, and of the numbers.
    heads, tails : uint32, shape (prompts, depths): hash of the first (last) words at each of
        :data:`DEPTHS`; 0 past the end.
    openings : uint32, shape (prompts, lines x openings): hashes of the first words of lines; 0 for none.
    item_starts : int64, shape (prompts + 1): row ``r`` owns ``items[item_starts[r]:item_starts[r + 1]]``.
    items : int64, 40-bit hashes of picked word runs.
    """

    prompt_ids: Ints
    words: Ints
    dense: npt.NDArray[np.bool_]
    wholes: Hashes
    heads: Hashes
    tails: Hashes
    openings: Hashes
    item_starts: Ints
    items: Ints

    def __len__(self) -> int:
        return len(self.prompt_ids)

    def __repr__(self) -> str:
        return f"Features({len(self):,} prompts, {len(self.items):,} word runs)"

    def to_blobs(self) -> list[bytes]:
        """One blob per prompt, at most 1 KB whatever the length of the prompt (typically 200 to 350 bytes)."""
        packed, places = self.pack(np.arange(len(self)))
        data, cuts = packed.tobytes(), places.tolist()
        return [data[a:b] for a, b in itertools.pairwise(cuts)]

    def pack(self, rows: Ints) -> tuple[npt.NDArray[np.uint8], Ints]:
        """The bytes of some rows' blobs, one after the other, and where each begins, the end of the last included."""
        sizes = np.column_stack([self.words, np.diff(self.item_starts), self.dense])
        ends = np.searchsorted(DEPTHS, self.words, side="right")
        lengths = _HEADER + 8 * ends + 4 * np.count_nonzero(self.openings, axis=1) + 5 * sizes[:, 1]
        places = np.concatenate([[0], np.cumsum(lengths[rows])])
        target = np.empty(places[-1], dtype=np.uint8)
        _pack(
            rows,
            sizes,
            self.wholes,
            self.heads,
            self.tails,
            self.openings,
            self.item_starts,
            self.items,
            places,
            target,
        )
        return target, places

    @classmethod
    def from_blobs(cls, prompt_ids: Sequence[int] | Ints, blobs: Sequence[bytes]) -> Features:
        """The features that were packed into these blobs.

        Raises
        ------
        TemplateError : a blob that :meth:`to_blobs` did not make, or another number of ids than of blobs.
        """
        if len(prompt_ids) != len(blobs):
            raise TemplateError(
                f"wanted one id per blob; got {len(prompt_ids)} ids, {len(blobs)} blobs. Read both from one query"
            )
        places = np.concatenate([[0], np.cumsum([len(blob) for blob in blobs], dtype=np.int64)])
        return cls.from_packed(prompt_ids, np.frombuffer(b"".join(blobs), dtype=np.uint8), places)

    @classmethod
    def from_packed(cls, prompt_ids: Sequence[int] | Ints, source: npt.NDArray[np.uint8], places: Ints) -> Features:
        """The features in bytes that :meth:`pack` gave; raises as :meth:`from_blobs` does."""
        source, places = source.view(), places.view()
        for array in (source, places):
            array.setflags(write=False)  # of one type for the compiler, wherever they come from
        _check(bool(np.all(np.diff(places) >= _HEADER)))
        told = source[places[:-1, None] + np.arange(4)].view(np.uint32)[:, 0].astype(np.int64)
        words, dense = told & (_DENSE - 1), told >= _DENSE
        counts = source[places[:-1] + 4].astype(np.int64)
        ends = np.searchsorted(DEPTHS, words, side="right")
        _check(bool(np.all(np.diff(places) >= _HEADER + 8 * ends + 5 * counts)))
        made = cls._blank(len(counts), counts)
        sizes = np.column_stack([words, counts])
        _check(
            _unpack(
                source,
                places,
                sizes,
                made.wholes,
                made.heads,
                made.tails,
                made.openings,
                made.item_starts,
                made.items,
            )
        )
        ids = np.asarray(prompt_ids, dtype=np.int64)
        return dataclasses.replace(made, prompt_ids=ids, words=words, dense=dense)

    @classmethod
    def _blank(cls, rows: int, counts: Ints) -> Features:
        starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        return cls(
            prompt_ids=np.zeros(rows, dtype=np.int64),
            words=np.zeros(rows, dtype=np.int64),
            dense=np.zeros(rows, dtype=np.bool_),
            wholes=np.zeros((rows, 2), dtype=np.uint32),
            heads=np.zeros((rows, DEPTHS.size), dtype=np.uint32),
            tails=np.zeros((rows, DEPTHS.size), dtype=np.uint32),
            openings=np.zeros((rows, LINES * OPENINGS.size), dtype=np.uint32),
            item_starts=starts,
            items=np.zeros(int(starts[-1]), dtype=np.int64),
        )

    def take(self, rows: Ints) -> Features:
        """The features of these rows, in this order."""
        counts = np.diff(self.item_starts)[rows]
        starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        places = np.repeat(self.item_starts[rows] - starts[:-1], counts) + np.arange(starts[-1])
        return Features(
            prompt_ids=self.prompt_ids[rows],
            words=self.words[rows],
            dense=self.dense[rows],
            wholes=self.wholes[rows],
            heads=self.heads[rows],
            tails=self.tails[rows],
            openings=self.openings[rows],
            item_starts=starts,
            items=self.items[places],
        )


def hash_slots(features: Features, ends: Ints) -> Ints:
    """Hash (63 bits) of what stands between the fixed ends of each prompt; 0 where it is very short or long.

    The same text under another template, or bare, has the same hash, unless the fixed text has numbers.

    Parameters
    ----------
    features : the prompts.
    ends : tokens of fixed text at start and end of each, shape (prompts, 2).
    """
    slots = np.zeros(len(features), np.int64)
    fill_slots(features.words, features.wholes, features.heads, features.tails, ends, slots)
    return slots


def _check(is_whole: bool) -> None:
    if not is_whole:
        raise TemplateError(
            "wanted blobs as Features.to_blobs makes them; found one of another length. "
            "The store was written by another version: load the logs into a new store"
        )


def join_features(parts: Iterable[Features]) -> Features:
    """The rows of all parts, one part after the other."""
    rows = list(parts) or [Features._blank(0, np.zeros(0, dtype=np.int64))]
    if len(rows) == 1:
        return rows[0]
    shifts = np.cumsum([0, *(len(part.items) for part in rows)])
    starts = [part.item_starts[:-1] + shift for part, shift in zip(rows, shifts, strict=False)]
    return Features(
        prompt_ids=np.concatenate([part.prompt_ids for part in rows]),
        words=np.concatenate([part.words for part in rows]),
        dense=np.concatenate([part.dense for part in rows]),
        wholes=np.concatenate([part.wholes for part in rows]),
        heads=np.concatenate([part.heads for part in rows]),
        tails=np.concatenate([part.tails for part in rows]),
        openings=np.concatenate([part.openings for part in rows]),
        item_starts=np.concatenate([*starts, shifts[-1:]]),
        items=np.concatenate([part.items for part in rows]),
    )


def extract_features(prompts: Sequence[str]) -> Features:
    """Fingerprints of the prompts, a row each; a pure function of each normalised text.

    Examples
    --------
    >>> features = extract_features(["Name a bird.", "name a BIRD!", ""])
    >>> len(set(features.prompt_ids.tolist())), features.words.tolist()
    (2, [3, 3, 0])
    """
    # Lone surrogates, which JSON can spell, have no UTF-8 form; "?" is as good as any mark.
    texts = [prompt.encode("utf-8", "replace") for prompt in prompts]
    places = np.cumsum([0, *(len(text) for text in texts)], dtype=np.int64)
    return extract_packed(np.frombuffer(b"".join(texts), dtype=np.uint8), places)


def extract_packed(data: npt.NDArray[np.uint8], places: Ints) -> Features:
    """Fingerprints of prompts that stand in UTF-8 one after the other; see :func:`extract_features`.

    Both cores work; about 6 microseconds of one core per prompt of 900 bytes (2026-11-24).

    Parameters
    ----------
    data : all bytes.
    places : where each prompt begins, the end of the last one included.
    """
    rows = len(places) - 1
    blank = Features._blank(rows, np.zeros(rows, dtype=np.int64))
    data, places = data.view(), places.view()
    for array in (data, places):
        array.setflags(write=False)  # of one type for the compiler, wherever they come from
    parts = [slice(at, min(at + _BATCH, rows)) for at in range(0, rows, _BATCH)]
    found = list(in_threads(lambda part: _fingerprint_part(data, places, blank, part), parts))
    counts = [np.zeros(1, dtype=np.int64), *(counts for counts, _ in found)]
    items = [np.zeros(0, dtype=np.int64), *(items for _, items in found)]
    return dataclasses.replace(blank, item_starts=np.cumsum(np.concatenate(counts)), items=np.concatenate(items))


def _fingerprint_part(data: npt.NDArray[np.uint8], places: Ints, target: Features, part: slice) -> tuple[Ints, Ints]:
    """Fill the rows of some prompts; their numbers of items, and the items one prompt after the other."""
    table: Any = fold_table()
    rows = part.stop - part.start
    sizes = np.zeros((rows, 3), dtype=np.int64)
    items = np.empty((rows, MAX_ITEMS), dtype=np.int64)
    fingerprint(
        data,
        places[part.start : part.stop + 1],
        table.codes,
        table.expansions,
        table.starts,
        target.prompt_ids[part],
        sizes,
        target.wholes[part],
        target.heads[part],
        target.tails[part],
        target.openings[part],
        items,
    )
    target.words[part], target.dense[part] = sizes[:, 0], sizes[:, 2]
    return sizes[:, 1], items[np.arange(MAX_ITEMS) < sizes[:, 1, None]]
