"""What a rebuild reads of the store: rollups of a window, and a hash of all that was read."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.memory import give_back
from linkage.parallel import BESIDE_ACCOUNTS, Beside, stand_back, worth_beside
from linkage.store.items import ItemLog
from linkage.store.names import AccountNames, read_account_names
from linkage.store.profiles import read_profiles
from linkage.store.store import Database
from linkage.store.uses import read_hours, read_uses
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
    ask_rest: Callable[[], Rest] | None = None
    """Waits for what is still being read; None: all of it is here."""

    def whole(self) -> Inputs:
        """The same once all is read that goes on beside: moves, where items are, and the digest."""
        if self.ask_rest is None:
            return self
        rest = self.ask_rest()
        return dataclasses.replace(
            self, moves=rest.moves, item_log=rest.item_log, read_digest=rest.digest, ask_rest=None
        )

    def digest(self) -> str:
        """A hash of all rows (16 hex digits); the same on every machine and in any order of loading."""
        if self.ask_rest is not None:
            return self.whole().digest()
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
        if self.ask_rest is not None:
            return self.whole().with_items_of(accounts)
        if self.item_log is None:
            return self
        items = self.item_log.read(accounts)
        return dataclasses.replace(
            self, items=items.asked, other_items=items.others, own_items=items.own, item_log=None
        )

    def without_uses(self) -> Inputs:
        """What the stages after evidence read: of uses, the models alone; the digest is that of all of them still."""
        digest = self.digest() if self.ask_rest is None else ""
        models = self.uses[self.uses["kind"] == "model"]
        if isinstance(models["value"].dtype, pd.CategoricalDtype):
            models = models.assign(value=models["value"].cat.remove_unused_categories())
        return dataclasses.replace(self, uses=models, read_digest=digest)


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


class Rest(NamedTuple):
    """What is read last: nobody asks for it before evidence is gathered."""

    moves: pd.DataFrame
    item_log: ItemLog
    digest: str
    """:meth:`Inputs.digest` of all that was read."""


def read_inputs(
    database: Database, window: Window, *, rest_later: bool = False, beside: Beside | None = None
) -> Inputs:
    """Everything the stages after the store need, of one state of the store.

    Parameters
    ----------
    rest_later : items are hashed, but only read when it is known of whom (:meth:`Inputs.with_items_of`). Where there
        are many accounts, hashing and moves of models go on in a thread (:meth:`Inputs.whole`). Nothing may be written
        to the store until then.
    beside : reads half of what is read at first, where there are many accounts; only for whoever keeps others from
        writing meanwhile.
    """
    with database.snapshot(), contextlib.ExitStack() as stack:
        names = read_account_names(database)
        is_settled = rest_later and len(names.ids) >= BESIDE_ACCOUNTS
        if is_settled:
            stack.enter_context(database.settled())
        aside = worth_beside(beside, accounts=len(names.ids))
        if aside is None:
            used, known = _read_used(database, window, names), _read_known(database, window, names)
        else:
            with aside(read_known_of, {"path": database.path, "window": window}) as ask:
                used = _read_used(database, window, names)
                known = ask()
        inputs = Inputs(used.uses, known.accounts, known.conduct, make_frame(ITEMS), known.hours, works=known.works)
        read = functools.partial(_read_rest, window=window, names=names, used=used.digest, known=known.digests)
        if is_settled:
            return dataclasses.replace(inputs, ask_rest=_begin(read, database.path))
        inputs = dataclasses.replace(inputs, ask_rest=functools.partial(read, database, is_settled=False)).whole()
        return inputs if rest_later else inputs.with_items_of(None)


class _Used(NamedTuple):
    """Uses, with a digest."""

    uses: pd.DataFrame
    digest: bytes


def _read_used(database: Database, window: Window, names: AccountNames) -> _Used:
    uses = read_uses(database, accounts=names, **window.days)
    _let_go(database, accounts=len(names.ids))
    used = _Used(uses, _digest(uses))
    _let_go(database, accounts=len(names.ids))
    return used


class _Known(NamedTuple):
    """Who the accounts are and how they work, which takes as long to read as uses."""

    accounts: pd.DataFrame
    conduct: pd.DataFrame
    hours: pd.DataFrame
    works: pd.DataFrame
    digests: Sequence[bytes]
    """Of each."""


def read_known_of(path: Path, window: Window) -> _Known:
    """What is known of accounts, in a process that has the store still to open."""
    with contextlib.closing(Database(path)) as database, database.snapshot(), database.settled():
        return _read_known(database, window, read_account_names(database))


def _read_known(database: Database, window: Window, names: AccountNames) -> _Known:
    hours = read_hours(database, accounts=names, **window.days)
    accounts, conduct = read_profiles(database, accounts=names, hours=hours, **window.days)
    _let_go(database, accounts=len(names.ids))
    works = read_works(database, accounts=names, **window.days)
    frames = (accounts, conduct, hours, works)
    known = _Known(*frames, [_digest(frame) for frame in frames])
    _let_go(database, accounts=len(names.ids))
    return known


def _begin(read: Callable[..., Rest], path: Path) -> Callable[[], Rest]:
    """Read in a thread, from a connection of its own; what is handed out waits for the outcome."""

    def read_settled() -> Rest:
        with contextlib.closing(Database(path)) as database, database.snapshot(), database.settled():
            return read(database, is_settled=True)

    pool = ThreadPoolExecutor(1, initializer=stand_back)
    begun = pool.submit(read_settled)
    pool.shutdown(wait=False)
    return begun.result


def _read_rest(
    database: Database,
    *,
    window: Window,
    names: AccountNames,
    used: bytes,
    known: Sequence[bytes],
    is_settled: bool,
) -> Rest:
    """Read the rest, and join the digests of all."""
    log = ItemLog(database, accounts=names, days=window.days, is_settled=is_settled)
    moves = database.frame("model_moves", MODEL_MOVES, max_models=MOST_NEW_MODELS, **window.days)
    accounts, conduct, hours, works = known
    digest = _joint_digest([used, accounts, conduct, log.marked.digest, hours, _digest(moves), works])
    return Rest(moves, log, digest)


def _let_go(database: Database, *, accounts: int) -> None:
    """Hand back what reading has left before more is read: both processes hold half of it at a time."""
    database.forget_pages()
    give_back(accounts=accounts)
