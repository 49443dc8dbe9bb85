"""From the fingerprints of all prompts to templates and items, in passes that hold one block at a time.

The engine streams blocks out of the store; everything here is a pure function of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from linkage.intake.entities import entity_id
from linkage.settings import TemplateSettings
from linkage.templates.describe import describe
from linkage.templates.families import tie_families
from linkage.templates.features import Features
from linkage.templates.mine import Assignment, Model, assign, learn, template_name
from linkage.terms import TemplateId

Ints = npt.NDArray[np.int64]

Block = tuple[Sequence[int], Sequence[bytes]]
"""Prompt ids and their feature blobs, in one order."""


@dataclasses.dataclass(frozen=True, eq=False)
class Assigned:
    """What mining says of distinct prompts, ascending by prompt id."""

    prompt_ids: Ints
    template_ids: Ints
    """0 for none."""
    item_begins: Ints
    item_counts: Ints
    """Prompt ``r`` has ``items[item_begins[r]:item_begins[r] + item_counts[r]]``."""
    items: Ints


@dataclasses.dataclass(frozen=True)
class Described:
    """A template as people read it."""

    template_id: int
    name: str
    text: str
    slots: int


@dataclasses.dataclass(frozen=True)
class Tied:
    """What a template has in common with others, and what it asks for."""

    template_id: int
    family_id: int | None
    family_name: str | None
    similarity: float | None
    contract: str | None


def learn_templates(blocks: Iterable[Block], *, settings: TemplateSettings) -> Model:
    """The templates of all prompts; one pass over the blocks, in any order."""
    return learn((Features.from_blobs(ids, blobs) for ids, blobs in blocks), settings=settings)


def assign_templates(block: Block, *, model: Model) -> Assignment:
    """Template and items of every prompt of a block, in its order."""
    ids, blobs = block
    return assign(Features.from_blobs(ids, blobs), model)


def join_assigned(prompt_ids: Sequence[int], template_ids: Ints, parts: Sequence[Assignment]) -> Assigned:
    """Everything assigned, ascending by prompt id.

    Parameters
    ----------
    prompt_ids : of all blocks, one after the other.
    template_ids : what stands at last: a template that the gateway named goes before a mined one.
    parts : the blocks' assignments, in the same order.
    """
    ids = np.asarray(prompt_ids, dtype=np.int64)
    order = np.argsort(ids, kind="stable")
    lengths = np.concatenate([np.zeros(0, np.int64), *(np.diff(part.item_starts) for part in parts)])
    items = np.concatenate([np.zeros(0, np.int64), *(part.items for part in parts)])
    begins = np.cumsum(lengths) - lengths
    return Assigned(ids[order], template_ids[order], begins[order], lengths[order], items)


def spread(begins: Ints, lengths: Ints) -> Ints:
    """Indexes of runs: for each run its begin and what follows, run after run.

    Examples
    --------
    >>> spread(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    shift = begins - (np.cumsum(lengths) - lengths)
    return np.asarray(np.repeat(shift, lengths) + np.arange(int(lengths.sum())), dtype=np.int64)


def pick_examples(assigned: Assigned, *, known: Ints, at_hand: Ints, limit: int) -> dict[int, list[int]]:
    """Prompts to describe templates from: for each template that is not known yet, the first by prompt id.

    Parameters
    ----------
    known : ids of templates that need no description, ascending.
    at_hand : ids of the prompts whose text is at hand.
    limit : prompts per template.

    Returns
    -------
    Template id to prompt ids, both ascending; a template without a text at hand has none.
    """
    used = np.unique(assigned.template_ids)
    chosen: dict[int, list[int]] = {int(each): [] for each in np.setdiff1d(used, np.append(known, 0))}
    rows = np.flatnonzero(np.isin(assigned.template_ids, list(chosen)) & np.isin(assigned.prompt_ids, at_hand))
    for template_id, prompt_id in zip(
        assigned.template_ids[rows].tolist(), assigned.prompt_ids[rows].tolist(), strict=True
    ):
        if len(chosen[template_id]) < limit:
            chosen[template_id].append(prompt_id)
    return chosen


def describe_template(template_id: int, texts: Sequence[str]) -> Described:
    """The readable text of a template, from a few prompts that have it; without any, its name stands for it."""
    told = describe(template_id, texts)
    return Described(template_id, str(template_name(template_id)), told.text, told.slots)


def tie_templates(texts: Mapping[int, str], *, settings: TemplateSettings) -> list[Tied]:
    """Family, similarity and contract of every template, by ascending id; a template alone has no family."""
    names = {template_name(template_id): template_id for template_id in sorted(texts)}
    ties = tie_families({name: texts[template_id] for name, template_id in names.items()}, settings=settings)
    sizes = ties["family_id"].value_counts()
    rows = ties.astype(object).where(ties.notna(), None).itertuples(index=False)
    return [
        _tied(names[TemplateId(str(row.template_id))], row, has_family=sizes.get(row.family_id, 0) > 1) for row in rows
    ]


def _tied(template_id: int, row: Any, *, has_family: bool) -> Tied:
    if not has_family:
        return Tied(template_id, None, None, None, row.contract)
    return Tied(
        template_id=template_id,
        family_id=entity_id("template_family", row.family_id),
        family_name=row.family_id,
        similarity=row.similarity,
        contract=row.contract,
    )
