"""What a rebuild reads of the store: rollups of a window, and a hash of all that was read."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import pandas as pd

from linkage.store.items import AccountItems, ItemLog
from linkage.store.store import Database
from linkage.store.uses import read_account_names, read_hours, read_uses
from linkage.store.works import read_works
from linkage.terms import ACCOUNTS, CONDUCT, DAY_MS, ITEMS, MODEL_MOVES, OWN_ITEMS, WORKS, Shape, make_frame

_HASH_KEY: Final = "linkage-input-v1"

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
        total = hashlib.sha256()
        for frame in (self.uses, self.accounts, self.conduct, self.items, self.hours, self.moves, self.works):
            total.update(hash_rows(frame))
        return total.hexdigest()[:16]

    def with_items_of(self, accounts: Iterable[str]) -> Inputs:
        """The same with the items that tests of groups of these accounts ask for, read now if they are not here."""
        if self.item_log is None:
            return self
        items = self.item_log.read(accounts)
        return dataclasses.replace(self, items=items.shared, own_items=items.own, item_log=None)

    def without_uses(self) -> Inputs:
        """What the stages after evidence read: of uses, the models alone."""
        models = self.uses[self.uses["kind"] == "model"]
        if isinstance(models["value"].dtype, pd.CategoricalDtype):
            models = models.assign(value=models["value"].cat.remove_unused_categories())
        return dataclasses.replace(self, uses=models)


def hash_rows(frame: pd.DataFrame) -> bytes:
    """Eight bytes per row, the same on every machine; categories of text count as the text they stand for."""
    return pd.util.hash_pandas_object(frame, index=False, hash_key=_HASH_KEY).to_numpy().tobytes()


def read_inputs(database: Database, window: Window, *, items_later: bool = False) -> Inputs:
    """Everything the stages after the store need, of one state of the store.

    Parameters
    ----------
    items_later : items are hashed, but only read when it is known of whom (:meth:`Inputs.with_items_of`); nothing may
        be written to the store until then.
    """
    total = hashlib.sha256()

    def told(frame: pd.DataFrame) -> pd.DataFrame:
        total.update(hash_rows(frame))
        return frame

    def read(name: str, shape: Shape, **more: int) -> pd.DataFrame:
        return told(database.frame(name, shape, **window.days, **more))

    with database.snapshot():
        names = read_account_names(database)
        uses = told(read_uses(database, accounts=names, **window.days))
        accounts, conduct = read("account_profiles", ACCOUNTS), read("account_conduct", CONDUCT)
        log = ItemLog(database, **window.days, each=lambda part: total.update(hash_rows(part)))
        items = AccountItems(make_frame(ITEMS), make_frame(OWN_ITEMS)) if items_later else log.read()
        hours = told(read_hours(database, accounts=names, **window.days))
        moves = read("model_moves", MODEL_MOVES, max_models=MOST_NEW_MODELS)
        works = told(read_works(database, accounts=names, **window.days))
    digest = total.hexdigest()[:16]
    found = Inputs(uses, accounts, conduct, items.shared, hours, moves, items.own, works, read_digest=digest)
    return dataclasses.replace(found, item_log=log) if items_later else found
