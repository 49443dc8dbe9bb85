"""The nouns people type: a store, a run, its clusters, one cluster; and what is done with them."""

from __future__ import annotations

import pandas as pd

from linkage.notebook.given import AnyPath, Moment, given_days, given_moment, given_settings
from linkage.notebook.runs import Cluster, Clusters, Run
from linkage.notebook.stores import IngestResult, Store, open_store
from linkage.rebuild import Step, Window, published_run, rebuild_store
from linkage.settings import Settings
from linkage.terms import ACCOUNTS, MEMBERS
from linkage.worlds.evaluate import Evaluation, detection_delays, read_truth
from linkage.worlds.evaluate import evaluate as evaluate_members

__all__ = ["Cluster", "Clusters", "IngestResult", "Run", "Store", "delays", "evaluate", "open_store", "rebuild"]


def rebuild(
    store: Store,
    *,
    as_of: Moment | None = None,
    window: str | int | None = None,
    seed: int = 0,
    settings: Settings | AnyPath | None = None,
    wait_s: float = 0.0,
    step: Step | None = None,
) -> Run:
    """Rebuild the graph of a store, publish the run and return it; with nothing new, the published run.

    Parameters
    ----------
    as_of : requests up to the end of this UTC day count (midnight ends the window there); None: the newest day.
    window : how far back, as ``30d`` or a number of days; None: the setting ``[run] window_days``.
    seed : of every random draw.
    settings : settings or the path of a settings file.
    wait_s : how long to wait for another writer, in seconds.
    step : told the name of each step as it begins.

    Raises
    ------
    ClusterError : no request lies inside the window.
    UsageError : ``as_of`` or ``window`` cannot be read.
    """
    rebuild_store(
        store._database,
        as_of_ms=None if as_of is None else given_moment(as_of),
        window_days=None if window is None else given_days(window),
        seed=seed,
        settings=given_settings(settings),
        wait_s=wait_s,
        step=step,
    )
    return store.run


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
    known = truth if isinstance(truth, pd.DataFrame) else read_truth(truth)
    return detection_delays(runs, known, database.frame("account_profiles", ACCOUNTS, **window.days))


def evaluate(run: Run | Store, truth: AnyPath | pd.DataFrame) -> Evaluation:
    """Score the members of a run against a truth file (``account_id, campaign``, empty for innocents).

    Raises
    ------
    WorldError : the truth cannot be read.
    """
    chosen = run.run if isinstance(run, Store) else run
    return evaluate_members(chosen.members, truth if isinstance(truth, pd.DataFrame) else read_truth(truth))
