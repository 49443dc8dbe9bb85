"""How far an ingest or a report is: bytes of each file, and stages one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from linkage.store.facts import Prompts

T = TypeVar("T")

Progress = Callable[[str, int, int], None]
"""Called, by the thread that began, with what is gone through, how much of it is done, and how much there is in all:
the bytes of a file by its path, all files being told of before the first is read; or parts of one of the stages."""

COUNTING: Final = "counts"
"""Requests are counted by account and day."""

INDEXING: Final = "indexes"
"""The first load of a store makes its indexes at the end."""

MINING: Final = "templates"
"""Templates are learned from prompts, and found in them."""

FOLLOWING: Final = "uses of templates"
"""Who uses which template is stored."""

READING: Final = "clusters"
"""A report looks up what it tells of each cluster."""

WRITING: Final = "pages"
"""The pages of a report are drawn and written."""

INGEST_STAGES: Final = (COUNTING, INDEXING, MINING, FOLLOWING)
REPORT_STAGES: Final = (READING, WRITING)
STAGES: Final = (*INGEST_STAGES, *REPORT_STAGES)
"""In their order; not every ingest has all of its own."""

ALL: Final = 100
_ID_BITS: Final = 63


def untold(_name: str, _done: int, _all: int) -> None:
    """The progress that nobody asks for."""


def tell_accounts(progress: Progress, stage: str, parts: Iterable[tuple[int, T]]) -> Iterator[T]:
    """What is made of a stage's parts, which are gone through by ascending ranges of accounts.

    Parameters
    ----------
    parts : the greatest account id of each, and what is made of it. Ids are hashes of 63 bits, evenly spread, so they
        say how far it is.
    """
    progress(stage, 0, ALL)
    for last, made in parts:
        yield made
        progress(stage, (ALL * last) >> _ID_BITS, ALL)
    progress(stage, ALL, ALL)


def tell_each(progress: Progress, stage: str, made: Iterable[T], *, count: int) -> Iterator[T]:
    """What is made of so many values, told as each comes."""
    progress(stage, 0, count)
    for done, each in enumerate(made, 1):
        yield each
        progress(stage, done, count)


class Meter:
    """How far mining is, which may go on in another thread: prompts are gone through, learned from, gone through again.

    Parameters
    ----------
    progress : told at once, by whoever goes through prompts.
    """

    def __init__(self, progress: Progress = untold) -> None:
        self._progress, self._prompts, self._done, self._all = progress, 0, 0, 0

    def begin(self, prompts: int) -> None:
        """Note how many prompts there are."""
        self._prompts = prompts

    def read(self, blocks: Iterable[Prompts], each: int = 1) -> Iterator[Prompts]:
        """The blocks, noted when the next one is asked for; each stands for so many that are gone through at once."""
        for block in blocks:
            yield block
            size = block.features.size
            self._all = self._all or 3 * max(size, size * self._prompts // len(block.ids))
            self._note(self._done + each * size)

    def learned(self) -> None:
        """Note that learning is over."""
        self._note(2 * self._all // 3)

    def tell(self, progress: Progress) -> None:
        """Tell how far it is."""
        if self._all:
            progress(MINING, ALL * self._done // self._all, ALL)

    def _note(self, done: int) -> None:
        self._done = min(done, self._all)
        self.tell(self._progress)
