"""What a rebuild reads of the store: rollups of a window, and a hash of all that was read."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.memory import give_back
from linkage.parallel import BESIDE_ACCOUNTS, Beside, worth_beside
from linkage.store.items import ItemLog, Marked
from linkage.store.profiles import read_profiles
from linkage.store.store import Database
from linkage.store.uses import Ints, read_account_names, read_hours, read_uses
from linkage.store.works import read_works
from linkage.terms import (
    DAY_MS,
    ITEMS,
    MODEL_MOVES,
    OTHER_ITEMS,
    OWN_ITEMS,
    WORKS,
    make_frame,
)

_HASH_KEY: Final = "linkage-input-v1"
_NULL_HASH: Final = np.uint64(2**64 - 1)  # of a category that is null
_PART_ROWS: Final = 250_000

MOST_NEW_MODELS: Final = 20
"""New models that pivots are measured for: callers may make names up, and each costs a row per account at work."""


@dataclasses.dataclass(frozen=True)
class Window:
    """``since_ms`` inclusive, a UTC midnight; ``as_of_ms`` exclusive, a time of any day."""

    since_ms: int
    as_of_ms: int

    @property
    def days(self) -> Mapping[str, int]:
        """The window as the parameters of the named queries: whole UTC days, the day of ``as_of_ms`` included."""
        return {"since_day": self.since_ms // DAY_MS, "until_day": -(-self.as_of_ms // DAY_MS)}


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a rebuild reads, in the shapes of :mod:`linkage.terms`."""

    uses: pd.DataFrame
    accounts: pd.DataFrame
    conduct: pd.DataFrame
    items: pd.DataFrame
    hours: pd.DataFrame
    moves: pd.DataFrame = dataclasses.field(default_factory=lambda: make_frame(MODEL_MOVES))
    other_items: pd.DataFrame = dataclasses.field(default_factory=lambda: make_frame(OTHER_ITEMS))
    own_items: pd.DataFrame = dataclasses.field(default_factory=lambda: make_frame(OWN_ITEMS))
    works: pd.DataFrame = dataclasses.field(default_factory=lambda: make_frame(WORKS))
    read_digest: str = ""
    """:meth:`digest` of what was read, where not all of it is here; frames made from these inputs do not have it."""
    item_log: ItemLog | None = None
    """Where items are still to be read; None: they are here."""

    def digest(self) -> str:
        """A hash of all rows (16 hex digits); the same on every machine and in any order of loading."""
        if self.read_digest:
            return self.read_digest
        frames = (self.uses, self.accounts, self.conduct, self.items, self.hours, self.moves, self.works)
        return _joint_digest(map(_digest, frames))

    def with_items_of(self, accounts: Iterable[str] | None) -> Inputs:
        """The same with the items that tests of groups of these accounts ask for, read now if they are not here.

        Parameters
        ----------
        accounts : their ids; None: of all accounts.
        """
        if self.item_log is None:
            return self
        items = self.item_log.read(accounts)
        return dataclasses.replace(
            self, items=items.asked, other_items=items.others, own_items=items.own, item_log=None
        )

    def without_uses(self) -> Inputs:
        """What the stages after evidence read: of uses, the models alone."""
        models = self.uses[self.uses["kind"] == "model"]
        if isinstance(models["value"].dtype, pd.CategoricalDtype):
            models = models.assign(value=models["value"].cat.remove_unused_categories())
        return dataclasses.replace(self, uses=models)


def hash_rows(frame: pd.DataFrame) -> bytes:
    """Eight bytes per row, the same on every machine; categories of text count as the text they stand for."""
    return b"".join(_hash_parts(frame))


def _hash_parts(frame: pd.DataFrame) -> Iterator[bytes]:
    """What ``pandas.util.hash_pandas_object`` gives, some rows at a time, so that they stay in the processor's cache.

    Categories are hashed once, not for every part.
    """
    columns = [_hasher(frame[name]) for name in frame]
    for start in range(0, len(frame), _PART_ROWS):
        total: npt.NDArray[np.uint64] = np.full(1, 0x345678, dtype=np.uint64)
        factor = 1_000_003
        for place, hashes in enumerate(columns):
            total = (total ^ hashes(slice(start, start + _PART_ROWS))) * np.uint64(factor)
            factor += 82_520 + 2 * (len(columns) - place)
        yield (total + np.uint64(97_531)).tobytes()


def _hasher(column: pd.Series[Any]) -> Callable[[slice], npt.NDArray[np.uint64]]:
    """Hands out the hashes of parts of a column."""
    values = column.array
    if not isinstance(values, pd.Categorical):
        return lambda part: _plain_hashes(column.iloc[part])
    texts = values.categories.to_numpy(dtype=object)
    known = np.append(pd.util.hash_array(texts, hash_key=_HASH_KEY, categorize=False), _NULL_HASH)
    return lambda part: known[values.codes[part]]


def _plain_hashes(values: pd.Series[Any]) -> npt.NDArray[np.uint64]:
    hashes = pd.util.hash_pandas_object(values, index=False, hash_key=_HASH_KEY)
    return np.asarray(hashes.to_numpy(), dtype=np.uint64)


def _digest(frame: pd.DataFrame) -> bytes:
    total = hashlib.sha256()
    for part in _hash_parts(frame):
        total.update(part)
    return total.digest()


def _joint_digest(digests: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(digests)).hexdigest()[:16]


def read_inputs(
    database: Database, window: Window, *, items_later: bool = False, beside: Beside | None = None
) -> Inputs:
    """Everything the stages after the store need, of one state of the store.

    Parameters
    ----------
    items_later : items are hashed, but only read when it is known of whom (:meth:`Inputs.with_items_of`); nothing may
        be written to the store until then.
    beside : reads half of it, where there are many accounts; only for whoever keeps others from writing meanwhile.
    """
    with database.snapshot(), contextlib.ExitStack() as stack:
        names = read_account_names(database)
        aside = worth_beside(beside, accounts=len(names[0]))
        is_settled = items_later and len(names[0]) >= BESIDE_ACCOUNTS
        if is_settled:
            stack.enter_context(database.settled())
        if aside is None:
            used = _read_used(database, window, names)
            rest = _read_rest(database, window, names)
        else:
            with aside(read_rest_of, {"path": database.path, "window": window}) as ask:
                used = _read_used(database, window, names)
                rest = ask()
        log = ItemLog(database, accounts=names, days=window.days, marked=rest.marked, is_settled=is_settled)
        inputs = _join(used, rest, log)
        return inputs if items_later else inputs.with_items_of(None)


class _Rest(NamedTuple):
    """All that is read but uses and works: about half of the time it takes."""

    accounts: pd.DataFrame
    conduct: pd.DataFrame
    hours: pd.DataFrame
    moves: pd.DataFrame
    marked: Marked
    digests: Sequence[bytes]
    """Of accounts, conduct, items, hours and moves."""


def read_rest_of(path: Path, window: Window) -> _Rest:
    """The rest of what :func:`read_inputs` reads, in a process that has the store still to open."""
    with contextlib.closing(Database(path)) as database, database.snapshot(), database.settled():
        return _read_rest(database, window, read_account_names(database))


def _read_rest(database: Database, window: Window, names: tuple[Ints, pd.Index[str]]) -> _Rest:
    hours = read_hours(database, accounts=names, **window.days)
    accounts, conduct = read_profiles(database, accounts=names, hours=hours, **window.days)
    moves = database.frame("model_moves", MODEL_MOVES, max_models=MOST_NEW_MODELS, **window.days)
    accounts_digest, conduct_digest, hours_digest, moves_digest = map(_digest, (accounts, conduct, hours, moves))
    _let_go(database, accounts=len(names[0]))
    marked = ItemLog(database, accounts=names, days=window.days).marked
    digests = [accounts_digest, conduct_digest, marked.digest, hours_digest, moves_digest]
    return _Rest(accounts, conduct, hours, moves, marked, digests)


class _Used(NamedTuple):
    """The other half, with a digest of each."""

    uses: pd.DataFrame
    works: pd.DataFrame
    uses_digest: bytes
    works_digest: bytes


def _read_used(database: Database, window: Window, names: tuple[Ints, pd.Index[str]]) -> _Used:
    uses = read_uses(database, accounts=names, **window.days)
    _let_go(database, accounts=len(names[0]))
    uses_digest = _digest(uses)
    _let_go(database, accounts=len(names[0]))
    works = read_works(database, accounts=names, **window.days)
    used = _Used(uses, works, uses_digest, _digest(works))
    _let_go(database, accounts=len(names[0]))
    return used


def _let_go(database: Database, *, accounts: int) -> None:
    """Hand back what reading has left before more is read: both processes hold half of it at a time."""
    database.forget_pages()
    give_back(accounts=accounts)


def _join(used: _Used, rest: _Rest, log: ItemLog) -> Inputs:
    return Inputs(
        used.uses,
        rest.accounts,
        rest.conduct,
        make_frame(ITEMS),
        rest.hours,
        rest.moves,
        works=used.works,
        read_digest=_joint_digest([used.uses_digest, *rest.digests, used.works_digest]),
        item_log=log,
    )
