"""The nouns people type: a store, a run, its clusters, one cluster; and what is done with them."""

from __future__ import annotations

import pandas as pd

from linkage.engines.cut import store_until
from linkage.engines.halves import beside_here
from linkage.errors import UsageError
from linkage.notebook.cluster import Cluster
from linkage.notebook.given import AnyPath, AnySettings, Moment, given_days, given_moment, given_seed, given_settings
from linkage.notebook.progress import steps_shown
from linkage.notebook.runs import Clusters, Run
from linkage.notebook.stores import IngestResult, Store, open_store
from linkage.notebook.templates import Templates
from linkage.notebook.whatif import WhatIf
from linkage.rebuild import Clock, Reader, published_run, rebuild_store
from linkage.settings import Settings
from linkage.stages import Step
from linkage.store.incidence import need_requests
from linkage.store.inputs import Inputs, Window, read_inputs
from linkage.store.store import Database
from linkage.terms import ACCOUNTS, DAY_MS, MEMBERS
from linkage.worlds.evaluate import Evaluation, detection_delays, read_truth
from linkage.worlds.evaluate import evaluate as evaluate_members

__all__ = [
    "Cluster",
    "Clusters",
    "IngestResult",
    "Run",
    "Store",
    "Templates",
    "WhatIf",
    "delays",
    "evaluate",
    "open_store",
    "rebuild",
]


def rebuild(
    store: Store,
    *,
    as_of: Moment | None = None,
    window: str | int | None = None,
    seed: int = 0,
    settings: AnySettings | None = None,
    exact: bool = False,
    wait_s: float = 0.0,
    step: Step | bool | None = None,
    clock: Clock | None = None,
) -> Run:
    """Rebuild the graph of a store, publish the run and return it; with nothing new, the published run.

    Parameters
    ----------
    as_of : requests before this time count, and decisions until then; None: all, up to the end of the newest day.
    window : how far back, as ``30d`` or a number of days; None: the setting ``[run] window_days``.
    seed : of every random draw.
    settings : settings, the path of a settings file, or single values as ``{"run": {"keep_runs": 30}}``.
    exact : mine the templates from the prompts before ``as_of`` alone, as they were mined then: what was exported at
        that time comes out again, byte for byte. Takes a copy of the store. Always so for a time inside a day.
    wait_s : how long to wait for another writer, in seconds.
    step : told the name of each step as it begins; True shows a bar.
    clock : gives UTC epoch milliseconds for the ledger of runs; None: it has no times.

    Raises
    ------
    ClusterError : no request lies inside the window.
    UsageError : ``as_of``, ``window`` or ``seed`` cannot be used, ``exact`` without ``as_of``, or no :class:`Store`.

    Examples
    --------
    >>> lk.rebuild(store)
    <Run r-20260902-...: 1 clusters, 4 members, 0 flagged of 12 accounts>
    """
    if not isinstance(store, Store):
        raise UsageError(f"wanted a store; got {store!r}. Open one: lk.open_store(path)")
    if exact and as_of is None:
        raise UsageError("exact: wanted as_of with it; got none. Say as of when")
    as_of_ms = None if as_of is None else given_moment(as_of)
    chosen = given_settings(settings)
    with steps_shown(step) as tell:
        rebuild_store(
            store._database,
            as_of_ms=as_of_ms,
            window_days=None if window is None else given_days(window),
            seed=given_seed(seed),
            settings=chosen,
            wait_s=wait_s,
            step=tell,
            clock=clock,
            beside=beside_here(chosen or Settings()),
            reader=_exact_reader(chosen) if as_of_ms is not None and (exact or as_of_ms % DAY_MS) else None,
        )
    return store.run


def _exact_reader(settings: Settings) -> Reader:
    def read(database: Database, window: Window) -> Inputs:
        need_requests(
            database,
            wanted="templates as they were at that time",
            instead="Rebuild with an --as-of at midnight, without --exact",
        )
        with store_until(database, window.as_of_ms, settings=settings.templates) as then:
            return read_inputs(then, window)

    return read


def delays(store: Store, truth: AnyPath | pd.DataFrame) -> pd.DataFrame:
    """How soon the runs that are kept flagged each campaign, counted from its 20th account.

    Returns
    -------
    DataFrame of shape :data:`linkage.worlds.evaluate.DELAYS`. Rebuild with ``as_of`` day by day for delays in days.

    Raises
    ------
    NoRunError : nothing was rebuilt yet.
    WorldError : the truth cannot be read.
    """
    database = store._database
    published_run(database)
    kept = store.runs
    window = Window(int(kept["since"].min().timestamp() * 1000), int(kept["as_of"].max().timestamp() * 1000))
    runs = [
        (as_of, database.frame("run_members", MEMBERS, run_id=str(run_id)))
        for run_id, as_of in zip(kept["run_id"], kept["as_of"], strict=True)
    ]
    return detection_delays(runs, read_truth(truth), database.frame("account_profiles", ACCOUNTS, **window.days))


def evaluate(run: Run | Store | WhatIf, truth: AnyPath | pd.DataFrame) -> Evaluation:
    """Score the members of a run or what-if against a truth file (``account_id, campaign``, empty for innocents).

    A table with these columns will do, as ``pd.read_csv(path, dtype="str")`` reads it.

    Raises
    ------
    WorldError : the truth cannot be read.
    """
    chosen = run.run if isinstance(run, Store) else run
    return evaluate_members(chosen.members, read_truth(truth))
