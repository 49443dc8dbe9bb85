"""From the fingerprints of all prompts to templates and items, in passes that hold one block at a time.

The engine streams blocks out of the store; everything here is a pure function of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from linkage.intake.entities import entity_id
from linkage.settings import TemplateSettings
from linkage.templates.describe import describe
from linkage.templates.families import tie_families
from linkage.templates.features import Features
from linkage.templates.mine import Model, assign, learn, template_name
from linkage.terms import TemplateId

Block = tuple[list[int], list[bytes]]
"""Prompt ids and their feature blobs, in one order."""


@dataclasses.dataclass(frozen=True)
class Assigned:
    """What mining says of one block of prompts."""

    templates: list[tuple[int, int | None]]
    """(prompt id, template id or None), in the block's order."""
    items: list[tuple[int, int]]
    """(prompt id, item)."""


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


def assign_templates(blocks: Iterable[Block], *, model: Model) -> Iterator[Assigned]:
    """Template and items of every prompt, block by block."""
    for ids, blobs in blocks:
        assignment = assign(Features.from_blobs(ids, blobs), model)
        chosen = assignment.template_ids.tolist()
        owners = np.repeat(np.asarray(ids, dtype=np.int64), np.diff(assignment.item_starts))
        yield Assigned(
            templates=[(prompt, template or None) for prompt, template in zip(ids, chosen, strict=True)],
            items=list(zip(owners.tolist(), assignment.items.tolist(), strict=True)),
        )


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
