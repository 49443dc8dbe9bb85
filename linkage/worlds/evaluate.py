"""Scores a run against a truth file: what was found, in how many pieces, and who was wronged."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from linkage.arrays import Numbers
from linkage.errors import ShapeError, WorldError
from linkage.terms import COUNT, FLAG, NUMBER, TEXT, TIERS, TIME, Shape, check_frame, counted, make_frame

TRUTH: Final[Shape] = {
    "account_id": TEXT,
    "campaign": TEXT,
    "role": TEXT,
    "kind": TEXT,
    "controller_id": TEXT,
    "purpose": TEXT,
}
"""One row per account; ``campaign`` is empty for innocents; ``role`` names the recipe or kind of account;
``controller_id`` says who runs it; ``purpose`` is ``normal``, ``resale`` or ``extraction``."""

NEEDED: Final[Shape] = {
    "account_id": TEXT,
    "cluster_id": TEXT,
    "tier": TEXT,
    "flagged": FLAG,
    "controller_probability": NUMBER,
    "extraction_probability": NUMBER,
}
"""The columns of the members table that the scores need."""

CAMPAIGN_SCORES: Final[Shape] = {
    "campaign": TEXT,
    "role": TEXT,
    "accounts": COUNT,
    "flagged": COUNT,
    "flag_recall": NUMBER,
    "review_recall": NUMBER,
    "watch_recall": NUMBER,
    "fragments": NUMBER,
    "main_cluster": TEXT,
    "innocent_share": NUMBER,
    "is_merged": FLAG,
    "is_swallowed": FLAG,
}
"""One row per campaign. Recalls are shares of its accounts that are flagged, in a cluster of tier ``review`` or
stronger, and in any cluster. ``fragments``: effective number of clusters, 0 where none of its accounts is in one.
``innocent_share`` of its main cluster; merged: a cluster holds at least a third of it and of another campaign;
swallowed: most of its main cluster is innocent."""

INNOCENT_SCORES: Final[Shape] = {
    "role": TEXT,
    "accounts": COUNT,
    "clustered": COUNT,
    "flagged": COUNT,
    "flagged_share": NUMBER,
}
"""One row per role among innocents."""

CALIBRATION: Final[Shape] = {
    "verdict": TEXT,
    "low": NUMBER,
    "high": NUMBER,
    "accounts": COUNT,
    "mean_probability": NUMBER,
    "observed_share": NUMBER,
}
"""One row per verdict and bin of probability that has accounts: the reliability curve."""

DELAYS: Final[Shape] = {
    "campaign": TEXT,
    "accounts": COUNT,
    "grown_at": TIME,
    "detected_at": TIME,
    "delay_days": NUMBER,
}
"""One row per campaign: when its 20th account (the last one of a smaller campaign) was first seen, and the first run
after which one of its accounts was flagged; null and ``nan`` where none was. A delay below 0 came before that."""

GROWN_ACCOUNTS: Final = 20
"""From this account of a campaign on its detection delay counts."""
LEAST_INNOCENTS: Final = 10
"""Of fewer accounts of a kind, a share says nothing."""
BINS: Final = 10
_MERGED_SHARE: Final = 1 / 3


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How a run compares with the truth; shares are 0 to 1, ``nan`` where nothing could be counted.

    Attributes
    ----------
    flag_precision : share of flagged accounts (known to the truth) that belong to a campaign.
    flag_recall : share of campaign accounts that are flagged.
    pairwise_precision, pairwise_recall, pairwise_f1 : over pairs of campaign accounts, same cluster against same
        campaign; an account in no cluster is alone.
    bcubed_precision, bcubed_recall, bcubed_f1 : the same question averaged over campaign accounts.
    review_recall, watch_recall : shares of campaign accounts in clusters of tier review or stronger, and in any.
    worst_innocent_share : flagged share of the kind of innocents that is flagged most, of kinds with
        :data:`LEAST_INNOCENTS` accounts or more.
    fragments : mean effective number of clusters over the campaigns that are in any: the exponential of the Shannon
        entropy of a campaign's clustered accounts over clusters, so 1.0 is one piece.
    controller_error, extraction_error : expected calibration error over accounts in clusters, 10 equal bins.
    unknown_flagged : flagged accounts that the truth does not know; in no other figure.
    campaigns, innocents, calibration : tables of shape :data:`CAMPAIGN_SCORES`, :data:`INNOCENT_SCORES` and
        :data:`CALIBRATION`.
    """

    accounts: int
    campaign_accounts: int
    flagged: int
    flag_precision: float
    flag_recall: float
    pairwise_precision: float
    pairwise_recall: float
    pairwise_f1: float
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f1: float
    campaigns_found: int
    campaigns_merged: int
    campaigns_swallowed: int
    fragments: float
    review_recall: float
    watch_recall: float
    innocents_flagged: int
    worst_innocent_share: float
    unknown_flagged: int
    controller_error: float
    extraction_error: float
    campaigns: pd.DataFrame
    innocents: pd.DataFrame
    calibration: pd.DataFrame

    def table(self) -> pd.DataFrame:
        """The single figures, one a row: columns ``figure`` (text) and ``value`` (object: counts are whole numbers)."""
        figures = self._figures()
        values = [int(value) if isinstance(value, int | np.integer) else float(value) for value in figures.values()]
        return pd.DataFrame({"figure": list(figures), "value": pd.Series(values, dtype=object)})

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON; tables as lists of rows, ``nan`` as None."""
        figures: dict[str, Any] = {name: _plain(value) for name, value in self._figures().items()}
        for name in ("campaigns", "innocents", "calibration"):
            rows = getattr(self, name).to_dict("records")
            figures[name] = [{column: _plain(value) for column, value in row.items()} for row in rows]
        return figures

    def _figures(self) -> dict[str, int | float]:
        tables = ("campaigns", "innocents", "calibration")
        names = [field.name for field in dataclasses.fields(self) if field.name not in tables]
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        found = f"{self.campaigns_found} of {counted(len(self.campaigns), 'campaign')} found"
        return (
            f"Evaluation(precision {_shown(self.flag_precision)}, recall {_shown(self.flag_recall)}, pairwise F1 "
            f"{_shown(self.pairwise_f1)}; {found if len(self.campaigns) else 'no campaign to find'}, "
            f"{self.innocents_flagged} innocents flagged)"
        )

    def _repr_html_(self) -> str:
        parts = [self.table(), self.campaigns, self.innocents, self.calibration]
        return "".join(
            str(part.to_html(index=False, float_format=_shown, na_rep=_NOTHING, formatters={"value": _shown}))
            for part in parts
        )


_NOTHING: Final = "-"
"""Stands where nothing could be counted."""


def _shown(value: Any) -> str:
    if isinstance(value, int):
        return str(value)
    return _NOTHING if np.isnan(value) else f"{value:.3f}"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return None if np.isnan(value) else float(value)
    return value.item() if isinstance(value, np.generic) else value


def read_truth(truth: str | PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    """The truth of a world from a CSV file, or from a table with the columns of one.

    Only ``account_id`` and ``campaign`` must be there. Where they are missing, ``role`` is ``campaign`` or
    ``innocent``, ``kind`` is the role, the controller of a campaign account is its campaign and everybody else
    runs one account, and the purpose of a campaign is ``extraction``, of others ``normal``.

    Parameters
    ----------
    truth : the file, or a table as pandas reads it, in which nulls are empty.

    Returns
    -------
    DataFrame of shape :data:`TRUTH`, sorted by account; other columns are left out.

    Raises
    ------
    WorldError : the file cannot be read; or it lacks a column, has an account twice, a row without an account, or ids
        that are numbers.
    """
    if isinstance(truth, pd.DataFrame):
        _need_columns("truth", list(truth.columns))
        texts = truth[[name for name in TRUTH if name in truth.columns]].astype(object)
        return _complete("truth, row", 0, texts.where(texts.notna(), "").to_dict("records"))
    file = Path(truth)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines)
            columns = list(table.fieldnames or ())
            rows = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WorldError(
            f"{file}: wanted a readable CSV truth file with columns account_id and campaign; {error}. Check the path"
        ) from error
    _need_columns(str(file), columns)
    return _complete(f"{file}, line", 2, rows)


def _need_columns(where: str, columns: Sequence[str]) -> None:
    missing = [name for name in ("account_id", "campaign") if name not in columns]
    if missing:
        raise WorldError(
            f"{where}: a truth file has the columns account_id and campaign; no {', '.join(missing)}. Found: "
            f"{', '.join(map(str, columns)) or 'nothing'}. Rename or add the column; campaign is empty for innocents"
        )


def _complete(where: str, first: int, rows: Iterable[Mapping[Any, Any]]) -> pd.DataFrame:
    """Rows with all that can be left out; ``first`` is the number of the first of them."""
    seen: dict[str, int] = {}
    made: dict[str, list[str]] = {name: [] for name in TRUTH}
    for line, row in enumerate(rows, first):
        if not isinstance(row["account_id"] or "", str):
            raise WorldError(
                f"{where} {line}: wanted account ids as text; found {row['account_id']!r}. Read them so: dtype=str"
            )
        account = (row["account_id"] or "").strip()
        if not account or account in seen:
            fault = f"account {account!r} is there twice, first in line {seen[account]}" if account else "no account_id"
            raise WorldError(f"{where} {line}: a truth file has one row per account; {fault}. Keep one row")
        seen[account] = line
        campaign = str(row["campaign"] or "").strip()
        role = row.get("role") or ("campaign" if campaign else "innocent")
        values = (
            account,
            campaign,
            role,
            row.get("kind") or role,
            row.get("controller_id") or campaign or account,
            row.get("purpose") or ("extraction" if campaign else "normal"),
        )
        for name, value in zip(TRUTH, values, strict=True):
            made[name].append(str(value))
    frame = make_frame(TRUTH, made)
    return frame.sort_values("account_id", ignore_index=True)


def evaluate(members: pd.DataFrame, truth: pd.DataFrame) -> Evaluation:
    """Scores the members table of a run against the truth.

    Parameters
    ----------
    members : one row per account in any cluster, with at least the columns :data:`NEEDED`.
    truth : of shape :data:`TRUTH`, from :func:`read_truth`.

    Raises
    ------
    ShapeError : a table lacks a column or has one of another dtype, or an account is in two clusters.

    References
    ----------
    Bagga and Baldwin 1998, "Algorithms for scoring coreference chains" (B-cubed). Jost 2006, "Entropy and
    diversity", doi:10.1111/j.2006.0030-1299.14714.x (effective number, order 1). Naeini, Cooper and Hauskrecht 2015,
    "Obtaining well calibrated probabilities using Bayesian binning" (expected calibration error).
    """
    check_frame(members, NEEDED, name="members")
    check_frame(truth, TRUTH, name="truth")
    if members["account_id"].duplicated().any():
        twice = members.loc[members["account_id"].duplicated(), "account_id"].iloc[0]
        raise ShapeError(f"members: one row per account; {twice!r} has several. Keep the strongest cluster of each")
    joined = truth.merge(members[list(NEEDED)], on="account_id", how="left")
    joined["flagged"] = joined["flagged"].eq(True)
    known = members["account_id"].isin(truth["account_id"])
    inside = joined[joined["campaign"] != ""]
    outside = joined[joined["campaign"] == ""]
    campaigns = _score_campaigns(joined)
    calibration = _calibrate(joined)
    innocents = _score_innocents(outside)
    flagged = int(joined["flagged"].sum())
    return Evaluation(
        accounts=len(truth),
        campaign_accounts=len(inside),
        flagged=flagged,
        flag_precision=_ratio(int(inside["flagged"].sum()), flagged),
        flag_recall=_ratio(int(inside["flagged"].sum()), len(inside)),
        **_pairwise(inside),
        **_bcubed(inside),
        campaigns_found=int((campaigns["flagged"] > 0).sum()),
        campaigns_merged=int(campaigns["is_merged"].sum()),
        campaigns_swallowed=int(campaigns["is_swallowed"].sum()),
        fragments=float(campaigns.loc[campaigns["fragments"] > 0, "fragments"].mean()),
        review_recall=_ratio(int(inside["tier"].isin(TIERS[:2]).sum()), len(inside)),
        watch_recall=_ratio(int(inside["cluster_id"].notna().sum()), len(inside)),
        innocents_flagged=int(outside["flagged"].sum()),
        worst_innocent_share=float(innocents.loc[innocents["accounts"] >= LEAST_INNOCENTS, "flagged_share"].max()),
        unknown_flagged=int((members["flagged"] & ~known).sum()),
        controller_error=_calibration_error(calibration, "controller"),
        extraction_error=_calibration_error(calibration, "extraction"),
        campaigns=campaigns,
        innocents=innocents,
        calibration=calibration,
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _harmonic(precision: float, recall: float) -> float:
    return _ratio(2 * precision * recall, precision + recall)


def _with_singletons(inside: pd.DataFrame) -> pd.DataFrame:
    """Campaign and cluster of each campaign account; one in no cluster is a cluster of its own."""
    alone = "\0" + inside["account_id"]
    return pd.DataFrame({"campaign": inside["campaign"], "cluster": inside["cluster_id"].fillna(alone)})


def _pairwise(inside: pd.DataFrame) -> dict[str, float]:
    pairs = _with_singletons(inside)

    def count(columns: list[str]) -> int:
        sizes = pairs.groupby(columns).size()
        return int((sizes * (sizes - 1) // 2).sum())

    both = count(["campaign", "cluster"])
    precision, recall = _ratio(both, count(["cluster"])), _ratio(both, count(["campaign"]))
    f1 = 0.0 if both == 0 and count(["campaign"]) else _harmonic(precision, recall)
    return {"pairwise_precision": precision, "pairwise_recall": recall, "pairwise_f1": f1}


def _bcubed(inside: pd.DataFrame) -> dict[str, float]:
    pairs = _with_singletons(inside)
    both = pairs.groupby(["campaign", "cluster"])["cluster"].transform("size")
    precision = float((both / pairs.groupby("cluster")["cluster"].transform("size")).mean())
    recall = float((both / pairs.groupby("campaign")["cluster"].transform("size")).mean())
    f1 = _harmonic(precision, recall)
    return {"bcubed_precision": precision, "bcubed_recall": recall, "bcubed_f1": f1}


def _score_campaigns(joined: pd.DataFrame) -> pd.DataFrame:
    inside = joined[joined["campaign"] != ""]
    sizes = joined.groupby("cluster_id").size()
    innocent = joined[joined["campaign"] == ""].groupby("cluster_id").size()
    merged = _merged_campaigns(inside)
    rows: list[dict[str, Any]] = []
    for campaign, accounts in inside.groupby("campaign", sort=True):
        parts = accounts["cluster_id"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
        main = str(parts.index[0]) if len(parts) else None
        innocent_share = float(innocent.get(main, 0) / sizes[main]) if main else float("nan")
        rows.append(
            {
                "campaign": campaign,
                "role": str(accounts["role"].iloc[0]),
                "accounts": len(accounts),
                "flagged": int(accounts["flagged"].sum()),
                "flag_recall": float(accounts["flagged"].mean()),
                "review_recall": float(accounts["tier"].isin(TIERS[:2]).mean()),
                "watch_recall": float(accounts["cluster_id"].notna().mean()),
                "fragments": effective_number(np.asarray(parts, dtype=np.float64)),
                "main_cluster": main,
                "innocent_share": innocent_share,
                "is_merged": campaign in merged,
                "is_swallowed": innocent_share > 0.5,
            }
        )
    return make_frame(CAMPAIGN_SCORES, {name: [row[name] for row in rows] for name in CAMPAIGN_SCORES})


def detection_delays(
    runs: Iterable[tuple[pd.Timestamp, pd.DataFrame]], truth: pd.DataFrame, accounts: pd.DataFrame
) -> pd.DataFrame:
    """How long each campaign worked at size before a run flagged one of its accounts.

    Parameters
    ----------
    runs : ``as_of`` (UTC) and members table of each run over the growing logs, in any order.
    truth : of shape :data:`TRUTH`.
    accounts : ``account_id`` and ``first_at``, as :data:`linkage.terms.ACCOUNTS` has them, at the end of the logs.

    Returns
    -------
    DataFrame of shape :data:`DELAYS`, sorted by campaign; campaigns of which no account was seen are left out.
    """
    check_frame(truth, TRUTH, name="truth")
    check_frame(accounts, {"account_id": TEXT, "first_at": TIME}, name="accounts")
    inside = truth[truth["campaign"] != ""].merge(accounts[["account_id", "first_at"]], on="account_id")
    inside = inside.sort_values(["campaign", "first_at", "account_id"], ignore_index=True)
    flagged = [(as_of, set(members.loc[members["flagged"], "account_id"])) for as_of, members in runs]
    rows: list[dict[str, Any]] = []
    for campaign, group in inside.groupby("campaign", sort=True):
        grown_at = group["first_at"].iloc[min(GROWN_ACCOUNTS, len(group)) - 1]
        ids = set(group["account_id"])
        found = min((as_of for as_of, accounts_flagged in flagged if ids & accounts_flagged), default=pd.NaT)
        delay = float((found - grown_at) / pd.Timedelta(days=1))
        values = (campaign, len(group), grown_at, found, delay)
        rows.append(dict(zip(DELAYS, values, strict=True)))
    return make_frame(DELAYS, {name: [row[name] for row in rows] for name in DELAYS})


def effective_number(sizes: Numbers) -> float:
    """How many equal parts are as diverse as parts of these sizes: the exponential of the Shannon entropy.

    Returns
    -------
    1.0 for one part, n for n equal parts, 0.0 for none.

    Examples
    --------
    >>> round(effective_number(np.array([5.0, 5.0])), 6)
    2.0
    """
    if not sizes.sum():
        return 0.0
    shares = sizes[sizes > 0] / sizes.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _merged_campaigns(inside: pd.DataFrame) -> set[str]:
    """Campaigns of which a cluster holds at least a third, beside a third of another campaign."""
    held = inside.groupby(["cluster_id", "campaign"]).size().rename("held").reset_index()
    whole = held["campaign"].map(inside.groupby("campaign").size()).astype(np.float64)
    big = held[held["held"] >= _MERGED_SHARE * whole]
    return set(big.loc[big["cluster_id"].duplicated(keep=False), "campaign"])


def _score_innocents(outside: pd.DataFrame) -> pd.DataFrame:
    marked = outside.assign(clustered=outside["cluster_id"].notna())
    groups = marked.groupby("role", sort=True)
    accounts, flagged = groups.size(), groups["flagged"].sum()
    columns = {
        "role": [str(role) for role in accounts.index],
        "accounts": accounts.to_numpy(),
        "clustered": groups["clustered"].sum().to_numpy(),
        "flagged": flagged.to_numpy(),
        "flagged_share": (flagged / accounts).to_numpy(),
    }
    return make_frame(INNOCENT_SCORES, columns)


def _calibrate(joined: pd.DataFrame) -> pd.DataFrame:
    """Reliability over accounts in clusters.

    The controller verdict is right for an account that the main controller of its cluster runs, if that one runs
    two or more members; the extraction verdict for an account whose purpose is extraction.
    """
    found = joined[joined["cluster_id"].notna()]
    same = found.groupby(["cluster_id", "controller_id"])["account_id"].transform("size")
    most = same.groupby(found["cluster_id"]).transform("max")
    outcomes = {"controller": (same == most) & (same >= 2), "extraction": found["purpose"] == "extraction"}
    parts = [
        _reliability(name, *(np.asarray(values, np.float64) for values in (found[f"{name}_probability"], right)))
        for name, right in outcomes.items()
    ]
    return make_frame(CALIBRATION, {name: [row[name] for part in parts for row in part] for name in CALIBRATION})


def _reliability(verdict: str, probability: Numbers, right: Numbers) -> list[dict[str, Any]]:
    told = ~np.isnan(probability)
    probability, right = probability[told], right[told]
    bins = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    return [
        {
            "verdict": verdict,
            "low": number / BINS,
            "high": (number + 1) / BINS,
            "accounts": int((bins == number).sum()),
            "mean_probability": float(probability[bins == number].mean()),
            "observed_share": float(right[bins == number].mean()),
        }
        for number in range(BINS)
        if (bins == number).any()
    ]


def _calibration_error(calibration: pd.DataFrame, verdict: str) -> float:
    curve = calibration[calibration["verdict"] == verdict]
    gaps = (curve["mean_probability"] - curve["observed_share"]).abs() * curve["accounts"]
    return _ratio(float(gaps.sum()), float(curve["accounts"].sum()))
