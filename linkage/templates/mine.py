"""Prompts to templates: which fixed text many prompts share, and what filled its slots.

Mining is a function of the set of distinct prompts: one pass over their fingerprints learns, a second assigns.
New prompts are assigned by what was learned. Ids are hashes of the fixed text, so they last.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Ints
from linkage.coding import GOLDEN, is_run_start, run_starts
from linkage.errors import TemplateError
from linkage.settings import TemplateSettings
from linkage.templates.choosing import choose_patterns
from linkage.templates.describe import TemplateText, describe
from linkage.templates.families import tie_families
from linkage.templates.features import Features, extract_features, hash_slots, join_features
from linkage.templates.learning import Patterns, learn_patterns
from linkage.templates.splits import Splits, find_splits, name_rows
from linkage.templates.tables import Keys, enter_all, find_places
from linkage.terms import COUNT, NUMBER, TEXT, TIME, Shape, TemplateId, make_frame

__all__ = [
    "Assignment",
    "Features",
    "MinedTemplates",
    "Model",
    "TemplateText",
    "assign",
    "describe",
    "extract_features",
    "learn",
    "mine_templates",
    "template_name",
]

EXAMPLES: Final = 8
"""Prompts of a template that its readable text is made from."""

MINED_TEMPLATES: Final[Shape] = {
    "template": COUNT,
    "template_id": TEXT,
    "text": TEXT,
    "slots": COUNT,
    "prompts": COUNT,
    "requests": COUNT,
    "accounts": COUNT,
    "first_at": TIME,
    "last_at": TIME,
    "family_id": TEXT,
    "similarity": NUMBER,
    "contract": TEXT,
}
"""One row per template, most requests first; ``template`` is the label, ``prompts`` counts distinct prompts.
``accounts`` is 0 and times are null where they were not given; ``family_id`` and ``similarity`` (0 to 1, to the
nearest template of the family) are null for a template without family."""

_SAMPLE: Final = 128  # rows of a template whose items are compared to find the wrapper's own
_LEAST_SEEN: Final = 3
_FIXED_SHARE: Final = 0.6  # of the prompts with an item have a template it is common in: fixed text, not a text reused


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """What was learned from a set of prompts; assigns templates to these and to new ones."""

    patterns: Patterns
    splits: Splits
    boilerplate: Ints
    """Hashes of (template, item) for items that belong to the wrapper, ascending."""
    settings: TemplateSettings
    learned: tuple[Ints, Ints, Ints]
    """Of the prompts learned from, ascending by id: id, template id, tokens of fixed text at start and end."""

    @functools.cached_property
    def boilerplate_entries(self) -> Keys:
        """``boilerplate``, to look items up: nine of each prompt."""
        return enter_all(self.boilerplate)

    @functools.cached_property
    def learned_entries(self) -> Keys:
        """Ids of the prompts learned from, to look prompts up."""
        return enter_all(self.learned[0])

    def __repr__(self) -> str:
        return f"Model({int(self.patterns.kept.sum()):,} patterns)"


@dataclasses.dataclass(frozen=True, eq=False)
class Assignment:
    """What prompts are made of; one row per prompt, in the order of the features."""

    template_ids: Ints
    """63-bit template ids; 0 for none."""
    item_starts: Ints
    """Row ``r`` owns ``items[item_starts[r]:item_starts[r + 1]]``."""
    items: Ints
    """Hashes of word runs that are not the wrapper's, and of the whole slot."""


@dataclasses.dataclass(frozen=True, eq=False)
class MinedTemplates:
    """Templates of a number of prompts."""

    labels: Ints
    """One label per prompt, counted from 0 in the order of ``table``; -1 for a prompt without template."""
    table: pd.DataFrame
    """One row per template; shape ``MINED_TEMPLATES``."""
    items: list[Ints]
    """Item fingerprints of each prompt: two prompts about one item share some of them, whatever wraps it."""

    def __repr__(self) -> str:
        templated = int((self.labels >= 0).sum())
        return f"MinedTemplates({len(self.table):,} templates, {templated:,} of {len(self.labels):,} prompts have one)"

    def _repr_html_(self) -> str:
        shown = self.table[["template_id", "prompts", "accounts", "slots", "text"]].head(20)
        return str(shown.to_html(index=False, escape=True))


def template_name(template_id: int) -> TemplateId:
    """The id of a template as text.

    Examples
    --------
    >>> template_name(255)
    't-00000000000000ff'
    """
    return TemplateId(f"t-{template_id:016x}")


def learn(blocks: Iterable[Features], *, settings: TemplateSettings) -> Model:
    """The templates of a set of prompts; neither order nor repeats nor the split into blocks matter.

    Of more than ``learn_prompts`` distinct prompts, those with the lowest ids are learned from: a random
    sample, ids being hashes, which does not depend on order either. Memory is bounded by it: about 2.5 KB a
    prompt, never the text. O(prompts log prompts) on two cores.
    """
    distinct = _gather(blocks, limit=int(settings.learn_prompts))
    patterns, chosen, ends = learn_patterns(
        distinct, least=int(settings.min_support), least_strength=float(settings.min_strength)
    )
    splits = find_splits(distinct.openings, chosen, distinct.prompt_ids)
    template_ids = _name(distinct, patterns, splits, chosen)
    boilerplate = _find_boilerplate(distinct, template_ids, share=float(settings.item_share))
    order = np.argsort(distinct.prompt_ids)
    learned = (distinct.prompt_ids[order], template_ids[order], ends[order])
    return Model(patterns, splits, boilerplate, settings, learned)


def _gather(blocks: Iterable[Features], *, limit: int) -> Features:
    """The distinct prompts with the lowest ids, in any order."""
    parts: list[Features] = []
    waiting = 0
    for block in blocks:
        parts.append(block)
        waiting += len(block)
        if waiting > 2 * limit:
            parts = [_lowest(join_features(parts), limit)]
            waiting = len(parts[0])
    return _lowest(join_features(parts), limit)


def _lowest(features: Features, limit: int) -> Features:
    ids, rows = np.unique(features.prompt_ids, return_index=True)
    kept = rows[ids != 0][:limit]
    return features if len(kept) == len(features) else features.take(np.sort(kept))


def assign(features: Features, model: Model) -> Assignment:
    """Template and items of each prompt."""
    template_ids, ends = _recall(features, model)
    counts = np.diff(features.item_starts)
    keys = _item_keys(np.repeat(template_ids, counts), features.items)
    kept = find_places(model.boilerplate_entries, keys) < 0
    slots = hash_slots(features, ends)
    owners = np.concatenate([np.repeat(np.arange(len(features)), counts)[kept], np.flatnonzero(slots)])
    items = np.concatenate([features.items[kept], slots[slots != 0]])
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(features)))]).astype(np.int64)
    return Assignment(template_ids, starts, items[np.argsort(owners, kind="stable")])


def _recall(features: Features, model: Model) -> tuple[Ints, Ints]:
    """Template id and fixed ends of each prompt: those it was learned with, else those of its best pattern."""
    _, known_templates, known_ends = model.learned
    template_ids, ends = np.zeros(len(features), np.int64), np.zeros((len(features), 2), np.int64)
    places = find_places(model.learned_entries, features.prompt_ids)
    is_known = places >= 0
    template_ids[is_known], ends[is_known] = known_templates[places[is_known]], known_ends[places[is_known]]
    new = np.flatnonzero(~is_known & (features.prompt_ids != 0))
    if len(new):
        rows = features.take(new)
        chosen, ends[new] = choose_patterns(
            rows,
            model.patterns,
            least=int(model.settings.min_support),
            least_strength=float(model.settings.min_strength),
        )
        template_ids[new] = _name(rows, model.patterns, model.splits, chosen)
    return template_ids, ends


def _name(features: Features, patterns: Patterns, splits: Splits, chosen: npt.NDArray[np.int32]) -> Ints:
    ids = np.empty(len(features), np.int64)
    name_rows(features.openings, chosen, patterns.table.keys, splits.places, splits.marks, splits.parts, ids)
    return ids


def _item_keys(template_ids: Ints, items: Ints) -> Ints:
    """One number per (template, item); prompts without template share the template 0."""
    mixed = template_ids.astype(np.uint64) * GOLDEN ^ items.astype(np.uint64)
    return np.asarray(mixed.view(np.int64))


def _find_boilerplate(features: Features, template_ids: Ints, *, share: float) -> Ints:
    """Items that are fixed text of a template: three prompts and a share of the template's have them.

    Texts that fill slots again and again are spared: most of the prompts that have such an item have a
    template in which it is not that common. Of each template a sample is looked at, lowest prompt ids first.
    """
    order = np.lexsort((features.prompt_ids, template_ids))
    ordered = template_ids[order]
    rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    rows = np.sort(order[(rank < _SAMPLE) & (ordered > 0)])
    sample = features.take(rows)
    names, template, sizes = np.unique(template_ids[rows], return_inverse=True, return_counts=True)
    at, items, seen = _count_prompts(template, sample)
    is_common = seen >= np.maximum(_LEAST_SEEN, share * sizes[at])
    item = np.unique(items, return_inverse=True)[1]
    everywhere, in_common = np.bincount(item, weights=seen), np.bincount(item, weights=np.where(is_common, seen, 0))
    fixed = is_common & (in_common >= _FIXED_SHARE * everywhere)[item]
    return np.sort(_item_keys(names[at[fixed]], items[fixed]))


def _count_prompts(template: Ints, sample: Features) -> tuple[Ints, Ints, Ints]:
    """Template (a number per row of the sample), item, and how many of the rows have both; each pair once."""
    counts = np.diff(sample.item_starts)
    owners, rows = np.repeat(template, counts), np.repeat(np.arange(len(sample)), counts)
    order = np.lexsort((sample.items, owners))
    owners, items, rows = owners[order], sample.items[order], rows[order]
    starts = run_starts(owners, items)
    is_row = is_run_start(owners, items, rows)  # the sort is stable: an item twice in one prompt stands side by side
    seen = np.add.reduceat(is_row.astype(np.int64), starts) if len(starts) else np.zeros(0, np.int64)
    return owners[starts], items[starts], seen


def mine_templates(
    prompts: Iterable[str | None],
    *,
    account_ids: Sequence[str] | None = None,
    timestamps: Sequence[Any] | None = None,
    settings: TemplateSettings | None = None,
) -> MinedTemplates:
    """The templates of prompts: labels, readable texts with ``<*>`` for slots, and item fingerprints.

    Parameters
    ----------
    prompts : texts; None and empty ones get no template.
    account_ids : who sent each prompt, to count accounts.
    timestamps : when each was sent, for first and last seen.
    settings : default ``TemplateSettings()``.

    Raises
    ------
    TemplateError : ``account_ids`` or ``timestamps`` are not as many as the prompts; or the prompts are one text.

    Examples
    --------
    >>> cities = ["Oslo", "Lima", "Rome", "Cairo", "Quito"]
    >>> mined = mine_templates([f"Tell me three facts about the city of {city} today." for city in cities])
    >>> mined.labels.tolist(), mined.table["text"].tolist()
    ([0, 0, 0, 0, 0], ['Tell me three facts about the city of <*> today.'])
    """
    if isinstance(prompts, str):
        raise TemplateError(f"wanted several prompts; got one text of {len(prompts):,} characters. Give a list of them")
    texts = [prompt if isinstance(prompt, str) else "" for prompt in prompts]
    for name, values in (("account_ids", account_ids), ("timestamps", timestamps)):
        if values is not None and len(values) != len(texts):
            raise TemplateError(f"wanted one of {name} per prompt; got {len(values)} for {len(texts)} prompts")
    chosen = settings or TemplateSettings()
    features = extract_features(texts)
    assignment = assign(features, learn([features], settings=chosen))
    labels, ids = _number(assignment.template_ids)
    table = _tabulate(texts, features.prompt_ids, labels, ids, account_ids, timestamps, chosen)
    limits = assignment.item_starts.tolist()
    items = [assignment.items[a:b] for a, b in itertools.pairwise(limits)]
    return MinedTemplates(labels, table, items)


def _number(template_ids: Ints) -> tuple[Ints, Ints]:
    """Labels, and the template id of each: most prompts first, then by id."""
    ids, inverse, counts = np.unique(template_ids, return_inverse=True, return_counts=True)
    counts[ids == 0] = -1
    order = np.lexsort((ids, -counts))
    rank = np.empty(len(ids), np.int64)
    rank[order] = np.arange(len(ids))
    labels = np.where(template_ids == 0, -1, rank[inverse])
    return labels, ids[order][ids[order] != 0]


def _pick_texts(texts: Sequence[str], prompt_ids: Ints, labels: Ints) -> list[list[str]]:
    """Of each label, the texts of the distinct prompts with the lowest ids; of spellings of one, the first in order."""
    order = np.lexsort((prompt_ids, labels))
    order = order[np.searchsorted(labels[order], 0) :]
    picked: list[list[str]] = [[] for _ in range(int(labels.max(initial=-1)) + 1)]
    last = -1
    for row in order[_is_early(labels[order], prompt_ids[order])].tolist():
        chosen = picked[labels[row]]
        if last >= 0 and prompt_ids[row] == prompt_ids[last] and labels[row] == labels[last]:
            chosen[-1] = min(chosen[-1], texts[row])
        else:
            chosen.append(texts[row])
        last = row
    return picked


def _is_early(labels: Ints, prompt_ids: Ints) -> npt.NDArray[np.bool_]:
    """Which rows, sorted by label and prompt, are of the first few distinct prompts of their label."""
    ordinal = np.cumsum(is_run_start(labels, prompt_ids))
    return np.asarray(ordinal - ordinal[np.searchsorted(labels, labels)] < EXAMPLES)


def _tabulate(
    texts: Sequence[str],
    prompt_ids: Ints,
    labels: Ints,
    ids: Ints,
    account_ids: Sequence[str] | None,
    timestamps: Sequence[Any] | None,
    settings: TemplateSettings,
) -> pd.DataFrame:
    rows = pd.DataFrame({"template": labels, "prompt": prompt_ids})
    rows["account"] = list(account_ids) if account_ids is not None else None
    rows["at"] = pd.to_datetime(pd.Series(list(timestamps)), utc=True) if timestamps is not None else pd.NaT
    groups = rows[rows["template"] >= 0].groupby("template", sort=True)
    examples = _pick_texts(texts, prompt_ids, labels)
    told = [describe(int(template), some) for template, some in zip(ids, examples, strict=True)]
    names = [template_name(int(each)) for each in ids]
    shown = dict(zip(names, (each.text for each in told), strict=True))
    ties = tie_families(shown, settings=settings).set_index("template_id").reindex(names)
    return make_frame(
        MINED_TEMPLATES,
        {
            "template": np.arange(len(ids)),
            "template_id": names,
            "text": [each.text for each in told],
            "slots": [each.slots for each in told],
            "prompts": groups["prompt"].nunique().to_numpy(),
            "requests": groups.size().to_numpy(),
            "accounts": groups["account"].nunique().to_numpy(),
            "first_at": groups["at"].min(),
            "last_at": groups["at"].max(),
            **{name: ties[name] for name in ("family_id", "similarity", "contract")},
        },
    )
