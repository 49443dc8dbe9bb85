"""Prompts to ids and fingerprints: the one place where intake asks the templates wing."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from linkage.intake.entities import Ids, entity_ids
from linkage.templates.features import extract_features


class PromptIds(NamedTuple):
    """Which prompt each record has, and the distinct prompts."""

    ids: Any
    """Arrow int64 array, one id per record; null where a record has neither words nor a gateway template."""
    table: Any
    """Arrow table ``id`` (int64), ``text`` (large_string), ``gateway_template`` (string), ``features`` (binary),
    distinct, sorted by id. Where only the gateway's template is known, ``text`` is null and ``features`` are those of
    an empty text."""


def identify_prompts(texts: Any, gateway_templates: Any) -> PromptIds:
    """The prompts of a batch.

    The id of a prompt is a hash of its normalised text. Prompts that normalise alike are one: the table holds
    the least of their texts and the least of their gateway templates, so that batches merge in any order.
    A record without a text is known by its gateway template alone.

    Parameters
    ----------
    texts : Arrow column of prompt texts.
    gateway_templates : Arrow column of template ids that the gateway told.
    """
    encoded = texts.combine_chunks().dictionary_encode()
    distinct: list[str] = encoded.dictionary.to_pylist()
    features = extract_features(distinct)
    per_text = np.asarray(features.prompt_ids, dtype=np.int64)
    by_text = pc.take(pa.array(per_text, mask=per_text == 0), encoded.indices)
    names = gateway_templates.combine_chunks()
    ids = pc.coalesce(by_text, _template_only_ids(names))
    rows = _least_rows(per_text, distinct)
    blobs = features.take(rows).to_blobs() if len(rows) else []
    with_text = {
        "id": pa.array(per_text[rows], type=pa.int64()),
        "text": pa.array([distinct[row] for row in rows], type=pa.large_string()),
        "features": pa.array(blobs, type=pa.binary()),
    }
    return PromptIds(ids, _prompt_table(with_text, ids, names))


def _template_only_ids(names: Any) -> Any:
    """Ids of prompts known by their gateway template alone; null where there is none."""
    encoded = names.dictionary_encode()
    ids = entity_ids("gateway_template", encoded.dictionary.to_pylist())
    return pc.take(pa.array(ids, type=pa.int64()), encoded.indices)


@functools.cache
def _features_of_nothing() -> Any:
    return pa.scalar(extract_features([""]).to_blobs()[0], type=pa.binary())


def _least_rows(ids: Ids, texts: Sequence[str]) -> Ids:
    """For each distinct id but 0, in ascending order, the row of the least text that has it."""
    least: dict[int, int] = {}
    for row, prompt_id in enumerate(ids.tolist()):
        held = least.get(prompt_id)
        if prompt_id and (held is None or texts[row] < texts[held]):
            least[prompt_id] = row
    return np.array([least[prompt_id] for prompt_id in sorted(least)], dtype=np.int64)


def _prompt_table(with_text: dict[str, Any], ids: Any, names: Any) -> Any:
    """All prompts that records have, each with its least gateway template."""
    prompts = pa.table(with_text)
    if names.null_count == len(names):
        return prompts.add_column(2, "gateway_template", pa.nulls(len(prompts), pa.string()))
    used = pa.table({"id": ids, "gateway_template": names}).filter(pc.is_valid(ids))
    least = used.group_by("id").aggregate([("gateway_template", "min")])
    joined = least.join(prompts, "id", join_type="left outer").sort_by("id")
    return pa.table(
        {
            "id": joined["id"],
            "text": joined["text"].cast(pa.large_string()),
            "gateway_template": joined["gateway_template_min"].cast(pa.string()),
            "features": pc.fill_null(joined["features"].cast(pa.binary()), _features_of_nothing()),
        }
    ).combine_chunks()
