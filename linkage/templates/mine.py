"""Prompts to templates: which fixed text many prompts share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from linkage.settings import TemplateSettings
from linkage.templates.features import DEPTHS, Features, extract_features
from linkage.terms import TemplateId

_DEPTH = int(np.flatnonzero(DEPTHS == 4)[0])

Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """Known templates: sorted ids."""

    template_ids: Ints


@dataclasses.dataclass(frozen=True, eq=False)
class Assignment:
    """Template of each prompt (0: none) and its items."""

    template_ids: Ints
    item_starts: Ints
    items: Ints


@dataclasses.dataclass(frozen=True)
class TemplateText:
    """Readable text of a template."""

    text: str
    slots: int


def template_name(template_id: int) -> TemplateId:
    """The id as text."""
    return TemplateId(f"t-{template_id:016x}")


def _keys(features: Features) -> Ints:
    heads = features.heads[:, _DEPTH].astype(np.uint64)
    tails = features.tails[:, _DEPTH].astype(np.uint64)
    keys = ((heads << np.uint64(31)) ^ tails).astype(np.int64) & np.int64(2**62 - 1)
    return np.where((heads > 0) & (features.words > 10), keys, 0)


def learn(blocks: Iterable[Features], *, settings: TemplateSettings) -> Model:
    """Templates of all prompts."""
    keys = np.concatenate([np.zeros(0, dtype=np.int64), *(_keys(block) for block in blocks)])
    found, counts = np.unique(keys[keys > 0], return_counts=True)
    return Model(found[counts >= settings.min_support])


def assign(features: Features, model: Model) -> Assignment:
    """Template and items of each prompt."""
    keys = _keys(features)
    known = np.isin(keys, model.template_ids)
    return Assignment(np.where(known, keys, 0), features.item_starts, features.items)


def describe(template_id: int, texts: Sequence[str]) -> TemplateText:
    """Readable text."""
    words = texts[0].split()
    return TemplateText(" ".join([*words[:4], "<*>", *words[-4:]]), 1)


def mine_templates(prompts: Iterable[str]) -> Assignment:
    """Templates of the prompts."""
    features = extract_features(list(prompts))
    return assign(features, learn([features], settings=TemplateSettings()))
