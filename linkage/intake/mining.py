"""From the fingerprints of all prompts to templates and items, in passes that hold one block at a time.

The engine streams blocks out of the store; everything here is a pure function of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from linkage.arrays import Ints
from linkage.intake.entities import entity_id
from linkage.settings import TemplateSettings
from linkage.templates.describe import describe, is_described
from linkage.templates.families import tie_families
from linkage.templates.features import Features as Features
from linkage.templates.mine import Assignment as Assignment
from linkage.templates.mine import Model as Model
from linkage.templates.mine import assign as assign
from linkage.templates.mine import learn as learn
from linkage.templates.mine import template_name as template_name
from linkage.terms import TemplateId

_GROWTH_ROWS: Final = 65_536
_GROWTH_SHARE: Final = 5  # grows by a fifth


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


@dataclasses.dataclass(frozen=True)
class Naming:
    """What templates are named from."""

    texts: Mapping[int, str]
    """Readable texts of the templates that have one, by ascending id."""
    examples: Mapping[int, Sequence[str]]
    """Prompts of those that are new or have none."""


@dataclasses.dataclass(frozen=True)
class Named:
    """Templates as people read them, and what ties them."""

    described: Sequence[Described]
    """Those that had no text."""
    tied: Sequence[Tied]
    """All, by ascending id."""


class Growing:
    """Whole numbers that come a part at a time, in one array that grows where it lies.

    Parts that are joined at the end stand in memory twice for a moment, which at sixteen million prompts is the
    greatest moment of all.

    Examples
    --------
    >>> numbers = Growing()
    >>> for part in ([1, 2], [], [3]):
    ...     numbers.add(np.array(part, dtype=np.int64))
    >>> numbers.take().tolist()
    [1, 2, 3]
    """

    def __init__(self) -> None:
        self._held = np.zeros(_GROWTH_ROWS, np.int64)
        self._size = 0

    def add(self, values: Ints) -> None:
        """Put values behind those before them."""
        end = self._size + len(values)
        if end > len(self._held):
            self._held.resize(end + max(_GROWTH_ROWS, end // _GROWTH_SHARE), refcheck=False)
        self._held[self._size : end] = values
        self._size = end

    def take(self) -> Ints:
        """All values so far; nothing more can be added."""
        held, self._held = self._held, np.zeros(0, np.int64)
        held.resize(self._size, refcheck=False)
        return held


class Assigning:
    """Gathers what is assigned block by block; about 100 bytes a prompt."""

    def __init__(self) -> None:
        self._ids, self._templates, self._counts, self._items = Growing(), Growing(), Growing(), Growing()

    def add(self, prompt_ids: Sequence[int] | Ints, template_ids: Ints, part: Assignment) -> None:
        """Add a block.

        Parameters
        ----------
        template_ids : what stands at last: a template that the gateway named goes before a mined one.
        part : the block's assignment, in the order of the ids.
        """
        self._ids.add(np.asarray(prompt_ids, dtype=np.int64))
        self._templates.add(template_ids)
        self._counts.add(np.diff(part.item_starts))
        self._items.add(part.items)

    def finish(self) -> Assigned:
        """Everything assigned, ascending by prompt id."""
        ids, counts = self._ids.take(), self._counts.take()
        order = np.argsort(ids, kind="stable")
        begins = np.cumsum(counts) - counts
        return Assigned(ids[order], self._templates.take()[order], begins[order], counts[order], self._items.take())


def find_changed(assigned: Assigned, *, known: Ints, before: Ints) -> tuple[Ints, Ints]:
    """Rows of the prompts that have another template than before, and ids of those that had another than now.

    Parameters
    ----------
    known, before : prompts that had a template, ascending by id, and these templates.
    """
    stored, are_there = _templates_before(assigned, known, before)
    is_other = assigned.template_ids != stored
    outdated = np.append(known[~are_there], assigned.prompt_ids[is_other & (stored != 0)])
    return np.flatnonzero(is_other & (assigned.template_ids != 0)), outdated


def _templates_before(assigned: Assigned, known: Ints, before: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """The template that each prompt had before, 0 for none; and which of the known prompts are still there."""
    are_there = _are_among(known, assigned.prompt_ids)
    stored = np.zeros(len(assigned.prompt_ids), np.int64)
    stored[np.searchsorted(assigned.prompt_ids, known[are_there])] = before[are_there]
    return stored, are_there


def find_heirs(assigned: Assigned, *, known: Ints, before: Ints, described: Ints) -> dict[int, int]:
    """Templates without a readable text that are, in all but their id, one that has been there with one.

    What the other prompts do decides by which of its fixed pieces a template is told, and so its id: one more day gave
    221 of 6,000 templates another id for the very same prompts, three quarters of all prompts that moved (2026-11-30).
    Texts are not kept, so what is not new must not be described anew.

    Parameters
    ----------
    known, before : prompts that had a template, ascending by id, and these templates.
    described : ids of templates that have a readable text, ascending.

    Returns
    -------
    Template id now to the one before: of the prompts that had a template and have one, each has most of the other's.
    """
    stored, _ = _templates_before(assigned, known, before)
    was, now = stored[stored != 0], assigned.template_ids[stored != 0]
    moved = (now != 0) & (now != was) & ~_are_among(now, described) & _are_among(was, described)
    pairs, shared = np.unique(np.column_stack([now[moved], was[moved]]), axis=0, return_counts=True)
    sizes_now, sizes_before = _sizes(now), _sizes(was)
    return {
        heir: left
        for (heir, left), count in zip(pairs.tolist(), shared.tolist(), strict=True)
        if 2 * count > max(sizes_now[heir], sizes_before[left])
    }


def _sizes(template_ids: Ints) -> dict[int, int]:
    ids, counts = np.unique(template_ids, return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))


def find_described(texts: Mapping[int, str]) -> Ints:
    """Ids of the templates whose readable text was made from prompts, in the order given.

    A run that died between loading and mining leaves a template without: later prompts of it give it one.
    """
    return np.array([template_id for template_id, text in texts.items() if is_described(text)], dtype=np.int64)


def pick_examples(assigned: Assigned, *, known: Ints, at_hand: Ints, limit: int) -> dict[int, list[int]]:
    """Prompts to describe templates from: for each template that is not known yet, the first by prompt id.

    Parameters
    ----------
    known : ids of templates that need no description, ascending.
    at_hand : ids of the prompts whose text is at hand, ascending.
    limit : prompts per template.

    Returns
    -------
    Template id to prompt ids, both ascending; a template without a text at hand has none.
    """
    used = np.unique(assigned.template_ids)
    chosen: dict[int, list[int]] = {int(each): [] for each in np.setdiff1d(used, np.append(known, 0))}
    rows = np.searchsorted(assigned.prompt_ids, at_hand[_are_among(at_hand, assigned.prompt_ids)])
    rows = rows[_are_among(assigned.template_ids[rows], np.array(list(chosen), dtype=np.int64))]
    rows = rows[np.argsort(assigned.template_ids[rows], kind="stable")]
    templates = assigned.template_ids[rows]
    is_early = np.arange(len(rows)) - np.searchsorted(templates, templates) < limit
    picked = zip(templates[is_early].tolist(), assigned.prompt_ids[rows[is_early]].tolist(), strict=True)
    for template_id, prompt_id in picked:
        chosen[template_id].append(prompt_id)
    return chosen


def _are_among(values: Ints, ascending: Ints) -> npt.NDArray[np.bool_]:
    """Whether each value is one of the others; those are distinct and ascending."""
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    places = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.asarray(ascending[places] == values)


def describe_template(template_id: int, texts: Sequence[str]) -> Described:
    """The readable text of a template, from a few prompts that have it; without any, its name stands for it."""
    told = describe(template_id, texts)
    return Described(template_id, str(template_name(template_id)), told.text, told.slots)


def name_templates(naming: Naming, *, settings: TemplateSettings) -> Named:
    """Texts of new templates, and contracts and families of all; about a millisecond a template."""
    described = [describe_template(template_id, texts) for template_id, texts in naming.examples.items()]
    texts = {**naming.texts, **{each.template_id: each.text for each in described}}
    return Named(described, tie_templates(texts, settings=settings))


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
