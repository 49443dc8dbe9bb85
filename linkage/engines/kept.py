"""What mining needs of a first load, kept beside the store meanwhile, so that it need not be read back out of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

import numpy as np

from linkage.arrays import Ints
from linkage.engines.prompts import LAST, take_accounts, wait_for_following
from linkage.engines.scratch import Scratch
from linkage.engines.texts import Texts
from linkage.intake.following import Requested
from linkage.parallel import stand_back
from linkage.store.facts import Prompts

T = TypeVar("T")

FOLLOWED_COLUMNS: Final = ("account_id", "prompt_id", "at_ms", "output_tokens")
"""Columns of requests that are kept."""

_WATCHED_S: Final = 0.25


class _Part(NamedTuple):
    start: int
    """Where it begins in the file: ids (ascending), places of the blobs and the end, blobs."""
    rows: int
    after_row: int
    """How many prompts are in the parts before it."""


class Kept(Generic[T]):
    """Texts that templates are described from; and of a store that was empty, all prompts and who asked them.

    A row of SQLite costs Python a microsecond and its lock, and mining reads prompts twice: from a file they are taken
    by two threads at once. Where the store holds more than this, or tells something else, that part is given up, and
    is read from the store. Files without a name, 250 bytes a prompt and 32 a request.

    Parameters
    ----------
    make_ahead : is called with this object in a second thread as soon as all is there; it must not use the store. The
        thread that writes goes before it: it has more to do, and what follows waits for both.

    Raises
    ------
    StoreError : a file cannot be made, written or read.
    """

    def __init__(self, make_ahead: Callable[[Kept[T]], T] | None = None) -> None:
        self._make_ahead = make_ahead
        self._ahead: Future[T] | None = None
        self._is_whole = False
        self._parts: list[_Part] = []
        self._rows = 0
        with contextlib.ExitStack() as files:
            self.texts = files.enter_context(Texts())
            self._prompts = files.enter_context(contextlib.closing(Scratch("prompts until templates are mined")))
            self._requests = files.enter_context(wait_for_following())
            self._pool = files.enter_context(ThreadPoolExecutor(1, "linkage-mine-ahead", initializer=stand_back))
            self._files = files.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_up()
        self._files.close()

    @property
    def is_whole(self) -> bool:
        """Whether these are all prompts and requests that the store has."""
        return self._is_whole

    def begin(self) -> None:
        """Say that the store is empty, so that from now on it has what is added."""
        self._is_whole = True
        self._requests.clear()

    def give_up(self) -> None:
        """Say that the store has, or will have, something else; what is made ahead ends soon, and is forgotten."""
        self._is_whole = False
        if self._ahead:
            wait([self._ahead])
            self._ahead = None

    def complete(self) -> None:
        """Say that all is there, so that something can be made of it while the rest of the store is written."""
        if self._is_whole and self._make_ahead:
            self._ahead = self._pool.submit(self._make_ahead, self)

    def ahead(self, watch: Callable[[], None]) -> T | None:
        """What was made of it meanwhile; None where nothing was. ``watch`` is called while it is waited for."""
        ahead, self._ahead = self._ahead, None
        while ahead and wait([ahead], timeout=_WATCHED_S).not_done:
            watch()
        return ahead.result() if ahead else None

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """What is added in a ``with`` block is forgotten where the block fails."""
        before = self._is_whole, self._rows, len(self._parts), self._prompts.size
        with self.texts.all_or_none():
            try:
                yield
            except BaseException:
                self.give_up()
                self._is_whole, self._rows, count, prompts = before
                del self._parts[count:]
                self._prompts.cut(prompts)
                raise

    def add_prompts(self, ids: Ints, features: Any) -> None:
        """Add distinct prompts, none of them added before: ascending ids, and an Arrow binary array of their blobs."""
        if self._is_whole and len(ids):
            offsets = np.frombuffer(features.buffers()[1], np.int32)[features.offset :][: len(ids) + 1]
            blobs = features.buffers()[2][int(offsets[0]) : int(offsets[-1])]
            start = self._prompts.append(np.ascontiguousarray(ids), (offsets - offsets[0]).astype(np.int64), blobs)
            self._parts.append(_Part(start, len(ids), self._rows))
            self._rows += len(ids)

    def add_requests(self, rows: Ints) -> None:
        """Add requests, none of them added before; columns are ``FOLLOWED_COLUMNS``, -1 for what is not told."""
        if self._is_whole:
            self._requests.add(rows[rows[:, 1] >= 0])

    def count(self) -> int:
        """See :class:`linkage.engines.prompts.Source`."""
        return self._rows

    def last_of_lowest(self, most: int) -> int:
        """See :class:`linkage.engines.prompts.Source`."""
        if self._rows < most:
            return LAST
        ids = np.concatenate([self._numbers(part.start, part.rows) for part in self._parts])
        return int(np.partition(ids, most - 1)[most - 1])

    def blocks(self, *, last_id: int = LAST, after_row: int = 0, until_row: int = LAST) -> Iterator[Prompts]:
        """See :class:`linkage.engines.prompts.Source`."""
        for part in self._parts:
            if self._is_whole and after_row <= part.after_row < until_row:
                ids = self._numbers(part.start, part.rows)
                ids = ids[: np.searchsorted(ids, last_id, side="right")]
                if len(ids):
                    yield self._block(part, ids)

    def _block(self, part: _Part, ids: Ints) -> Prompts:
        head = part.start + 8 * part.rows
        places = self._numbers(head, len(ids) + 1)
        features = self._prompts.read(head + 8 * (part.rows + 1), int(places[-1]))
        return Prompts(ids, features, places, part.after_row + len(ids))

    def _numbers(self, start: int, count: int) -> Ints:
        return self._prompts.read(start, 8 * count).view(np.int64)

    def requested(self) -> Iterator[Requested]:
        """See :class:`linkage.engines.prompts.Source`."""
        return take_accounts(self._requests)
