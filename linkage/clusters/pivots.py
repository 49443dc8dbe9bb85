"""Pivots: a cluster that moves to a new model at once, while everybody else takes their time."""

from __future__ import annotations

from typing import Final

import pandas as pd

from linkage.terms import (
    CLUSTER_STATEMENTS,
    COUNT,
    DAY_MS,
    MEMBERS,
    MODEL_MOVES,
    NUMBER,
    TEXT,
    TIME,
    Shape,
    check_frame,
    make_frame,
)

PIVOTS: Final[Shape] = {
    "cluster_id": TEXT,
    "model": TEXT,
    "first_at": TIME,
    "day_at": TIME,
    "requests": COUNT,
    "moved_share": NUMBER,
    "others_share": NUMBER,
}
"""One row per cluster and new model: requests of the cluster's firm members on the model's first whole day, the share
of them that went to it, and the share of everybody else's requests that did; shares from 0 to 1, ``nan`` where nobody
else made one."""

LEAST_REQUESTS: Final = 20
"""Of fewer requests on the day a share says nothing."""
LEAST_LEAD: Final = 0.2
"""A cluster is told to have moved when its share is so much above everybody else's."""


def measure_pivots(members: pd.DataFrame, moves: pd.DataFrame) -> pd.DataFrame:
    """How much of each cluster's traffic moved to each new model at once, and how much of everybody else's.

    Parameters
    ----------
    members : frame of shape ``MEMBERS``; bystanders count as everybody else.
    moves : frame of shape ``MODEL_MOVES``.

    Returns
    -------
    DataFrame of shape ``PIVOTS``, sorted by cluster and model; clusters with fewer than ``LEAST_REQUESTS`` requests
    on the day are left out.

    Examples
    --------
    >>> measure_pivots(make_frame(MEMBERS), make_frame(MODEL_MOVES)).empty
    True
    """
    check_frame(members, MEMBERS, name="members")
    check_frame(moves, MODEL_MOVES, name="moves")
    firm = members[members["membership"] != "bystander"].set_index("account_id")["cluster_id"]
    named = moves.assign(cluster_id=moves["account_id"].map(firm))
    keys = ["model", "first_at", "day"]
    everybody = named.groupby(keys, as_index=False)[["to_model", "request_count"]].sum()
    own = named.dropna(subset="cluster_id").groupby(["cluster_id", *keys], as_index=False)
    both = own[["to_model", "request_count"]].sum().merge(everybody, on=keys, suffixes=("", "_all"))
    both = both[both["request_count"] >= LEAST_REQUESTS].sort_values(["cluster_id", "model"])
    others = both["request_count_all"] - both["request_count"]
    columns = {
        **{name: both[name].array for name in ("cluster_id", "model", "first_at")},
        "day_at": pd.to_datetime(both["day"] * DAY_MS, unit="ms", utc=True).array,
        "requests": both["request_count"].array,
        "moved_share": (both["to_model"] / both["request_count"]).array,
        "others_share": ((both["to_model_all"] - both["to_model"]) / others.where(others > 0)).array,
    }
    return make_frame(PIVOTS, columns if len(both) else None)


def tell_pivots(pivots: pd.DataFrame) -> pd.DataFrame:
    """A sentence per pivot in which a cluster was ``LEAST_LEAD`` ahead of everybody else, of whom there is somebody.

    Parameters
    ----------
    pivots : frame of shape ``PIVOTS``.

    Returns
    -------
    DataFrame of shape ``CLUSTER_STATEMENTS``; topic ``extraction``.
    """
    ahead = pivots[pivots["moved_share"] >= pivots["others_share"] + LEAST_LEAD]
    columns = {
        "cluster_id": ahead["cluster_id"].array,
        "topic": ["extraction"] * len(ahead),
        "sentence": [
            f"On {row.day_at:%Y-%m-%d}, the day after model {row.model} first came up, {row.moved_share:.0%} of its "
            f"{row.requests} requests went to it; of everybody else's requests, {row.others_share:.0%} did."
            for row in ahead.itertuples(index=False)
        ],
        "query": ["model_moves"] * len(ahead),
        "rows": [f"model={model}" for model in ahead["model"]],
    }
    return make_frame(CLUSTER_STATEMENTS, columns if len(ahead) else None)
