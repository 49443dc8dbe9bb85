"""The stages after the store, in their order: evidence, links, communities, group evidence, verdicts.

Nothing is read but inputs and nothing is written: a rebuild, a what-if and a calibration run the same stages.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.clusters.cells import join_cells
from linkage.clusters.coefficients import coefficients_from
from linkage.clusters.communities import Partitioned, find_communities, partition_links, weightless_bits
from linkage.clusters.parting import part_left_out
from linkage.clusters.significance import ENOUGH_NULL_GROUPS, find_null_cohesion
from linkage.clusters.verdicts import Verdicts, judge
from linkage.evidence.alignment import permute_evidence
from linkage.evidence.groups import gather_group_evidence
from linkage.evidence.rhythm import find_passed_items, relate_groups
from linkage.evidence.table import gather_evidence
from linkage.evidence.weights import MARGIN_BITS, Linked, link_accounts
from linkage.memory import give_back
from linkage.parallel import Beside
from linkage.settings import Settings
from linkage.store.inputs import Inputs
from linkage.terms import GROUP_RELATIONS, GROUPS, OTHER_ITEMS, make_frame

Step = Callable[[str], None]
"""Called with the name of each step as it begins."""


@dataclasses.dataclass(frozen=True)
class Judged:
    """What the stages after the store made of its inputs; cluster ids are provisional."""

    evidence: pd.DataFrame
    linked: Linked
    communities: pd.DataFrame
    group_evidence: pd.DataFrame
    null_cohesion: npt.NDArray[np.float64]
    verdicts: Verdicts


def judge_inputs(
    inputs: Inputs,
    *,
    settings: Settings,
    seed: int,
    step: Step | None = None,
    without: Collection[str] = (),
    beside: Beside | None = None,
) -> Judged:
    """Evidence, links, communities and verdicts of these inputs; nothing is written.

    Parameters
    ----------
    seed : of every random draw.
    step : told the name of each step as it begins.
    without : evidence families, and shared values by name, that do not count.
    beside : finds the partitions of a large graph while chance is searched (:func:`partition_links`); None: one after
        the other. What comes out does not depend on it.
    """
    evidence = find_evidence(inputs, settings=settings, step=step, without=without)
    return judge_evidence(evidence, inputs, settings=settings, seed=seed, step=step, without=without, beside=beside)


def find_evidence(
    inputs: Inputs, *, settings: Settings, step: Step | None = None, without: Collection[str] = ()
) -> pd.DataFrame:
    """The evidence in these inputs, in the shape ``EVIDENCE``; parameters as for :func:`judge_inputs`."""
    tell = step or (lambda _name: None)
    tell("evidence")
    tables = {name: getattr(inputs, name) for name in ("uses", "accounts", "conduct", "items", "hours")}
    return _leave_out(gather_evidence(**tables, settings=settings.evidence), without)


def judge_evidence(
    evidence: pd.DataFrame,
    inputs: Inputs,
    *,
    settings: Settings,
    seed: int,
    step: Step | None = None,
    without: Collection[str] = (),
    beside: Beside | None = None,
) -> Judged:
    """Links, communities and verdicts from evidence; of uses only the models are read (:meth:`Inputs.without_uses`).

    Parameters
    ----------
    evidence : from :func:`find_evidence` of these inputs.
    seed, step, without, beside : as for :func:`judge_inputs`.
    """
    tell = step or (lambda _name: None)
    tell("links")
    linked = _link(inputs, evidence, settings, seed)
    with _partition(linked, settings, seed, beside) as partitioned:
        tell("null searches")
        null_cohesion = search_by_chance(inputs, evidence, settings=settings, seed=seed)
        tell("communities")
        communities = _find_communities(partitioned, inputs, evidence, linked, settings)
    tell("group evidence")
    give_back(accounts=len(inputs.accounts))
    inputs = inputs.with_items_of(communities["account_id"])
    give_back(accounts=len(inputs.accounts))
    communities, group_evidence = _look_at_groups(inputs, evidence, linked, communities, settings, seed, without)
    tell("verdicts")
    # Verdicts do not ask who else has items, and when they came.
    inputs = dataclasses.replace(inputs, other_items=make_frame(OTHER_ITEMS), items=inputs.items[list(OTHER_ITEMS)])
    give_back(accounts=len(inputs.accounts))
    known = (evidence, linked, communities, group_evidence, null_cohesion)
    return Judged(*known, _verdicts(inputs, *known, settings=settings, seed=seed))


def _link(inputs: Inputs, evidence: pd.DataFrame, settings: Settings, seed: int) -> Linked:
    linked = link_accounts(
        evidence,
        accounts=inputs.accounts,
        conduct=inputs.conduct,
        uses=inputs.uses,
        settings=settings.evidence,
        margin_bits=max(MARGIN_BITS, weightless_bits(settings.communities)),
        seed=seed,
    )
    give_back(accounts=len(inputs.accounts))
    return linked


def _partition(
    linked: Linked, settings: Settings, seed: int, beside: Beside | None = None
) -> AbstractContextManager[Partitioned]:
    chosen = settings.communities
    return partition_links(linked.links, prior_bits=linked.prior_bits, settings=chosen, seed=seed, beside=beside)


def _find_communities(
    partitioned: Partitioned, inputs: Inputs, evidence: pd.DataFrame, linked: Linked, settings: Settings
) -> pd.DataFrame:
    return find_communities(
        partitioned,
        evidence=evidence,
        values=linked.values,
        accounts=inputs.accounts,
        conduct=inputs.conduct,
        settings=settings.communities,
    )


def search_by_chance(
    inputs: Inputs, evidence: pd.DataFrame, *, settings: Settings, seed: int
) -> npt.NDArray[np.float64]:
    """How firmly the communities hang together that the same search finds where families agree only by chance.

    It is repeated ``null_searches`` times, or until it has found :data:`ENOUGH_NULL_GROUPS`.
    """
    found = [np.empty(0)]
    for number in range(settings.verdicts.null_searches):
        if sum(map(len, found)) >= ENOUGH_NULL_GROUPS:
            break
        permuted = permute_evidence(evidence, inputs.accounts, seed=seed + number)
        give_back(accounts=len(inputs.accounts))
        linked = _link(inputs, permuted, settings, seed)
        with _partition(linked, settings, seed) as partitioned:
            communities = _find_communities(partitioned, inputs, permuted, linked, settings)
        found.append(find_null_cohesion(communities, evidence=permuted, values=linked.values, accounts=inputs.accounts))
    return np.concatenate(found)


def _leave_out(evidence: pd.DataFrame, without: Collection[str]) -> pd.DataFrame:
    left = evidence["family"].isin(list(without)) | evidence["value"].isin(list(without))
    return evidence[~left].reset_index(drop=True) if left.any() else evidence


def _look_at_groups(
    inputs: Inputs,
    evidence: pd.DataFrame,
    linked: Linked,
    communities: pd.DataFrame,
    settings: Settings,
    seed: int,
    without: Collection[str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Communities after parting those left out and joining cells of one queue, and what they show as groups."""
    parted = part_left_out(
        communities,
        evidence=evidence,
        values=linked.values,
        accounts=inputs.accounts,
        conduct=inputs.conduct,
        settings=settings.verdicts,
    )
    listed = {"items": inputs.items, "other_items": inputs.other_items, "hours": inputs.hours}
    passed = find_passed_items(_groups(parted), **listed)
    related = make_frame(GROUP_RELATIONS)
    if "rhythm" not in without:
        related = relate_groups(_groups(parted), passed=passed)
    joined = join_cells(
        parted,
        related,
        evidence=evidence,
        values=linked.values,
        accounts=inputs.accounts,
        conduct=inputs.conduct,
        settings=settings.communities,
    )
    found = gather_group_evidence(
        _groups(joined),
        evidence=evidence,
        accounts=inputs.accounts,
        conduct=inputs.conduct,
        **listed,
        own_items=inputs.own_items,
        passed=passed,
        seed=seed,
    )
    return joined, _leave_out(found, without)


def _groups(communities: pd.DataFrame) -> pd.DataFrame:
    columns = {"account_id": communities["account_id"].array, "group": communities["community"].array}
    return make_frame(GROUPS, columns)


def _verdicts(
    inputs: Inputs,
    evidence: pd.DataFrame,
    linked: Linked,
    communities: pd.DataFrame,
    group_evidence: pd.DataFrame,
    null_cohesion: npt.NDArray[np.float64],
    *,
    settings: Settings,
    seed: int,
) -> Verdicts:
    return judge(
        communities,
        group_evidence=group_evidence,
        null_cohesion=null_cohesion,
        evidence=evidence,
        values=linked.values,
        accounts=inputs.accounts,
        conduct=inputs.conduct,
        items=inputs.items,
        own_items=inputs.own_items,
        works=inputs.works,
        hours=inputs.hours,
        settings=settings.verdicts,
        seed=seed,
        coefficients=coefficients_from(settings.coefficients),
    )


def judge_again(judged: Judged, inputs: Inputs, *, settings: Settings, seed: int) -> Judged:
    """The same communities under other verdict settings or coefficients; the costly stages are not run again.

    Those left out were parted from their communities under the settings of then.
    """
    known = (judged.evidence, judged.linked, judged.communities, judged.group_evidence, judged.null_cohesion)
    verdicts = _verdicts(inputs, *known, settings=settings, seed=seed)
    return dataclasses.replace(judged, verdicts=verdicts)
