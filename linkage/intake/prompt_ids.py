"""Prompts to ids and fingerprints: the one place where intake asks the templates wing."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from linkage.arrays import Ints
from linkage.coding import is_run_start
from linkage.intake.entities import entity_ids
from linkage.intake.letters import letters_of
from linkage.templates.features import Features, extract_features, extract_packed


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
    distinct = encoded.dictionary.cast(pa.large_string())
    features = extract_packed(*letters_of(distinct))
    per_text = np.asarray(features.prompt_ids, dtype=np.int64)
    by_text = pc.take(pa.array(per_text, mask=per_text == 0), encoded.indices)
    names = gateway_templates.combine_chunks()
    ids = pc.coalesce(by_text, _template_only_ids(names))
    rows = _least_rows(per_text, distinct)
    with_text = {
        "id": pa.array(per_text[rows], type=pa.int64()),
        "text": distinct.take(pa.array(rows)),
        "features": _blobs(features, rows),
    }
    return PromptIds(ids, _prompt_table(with_text, ids, names))


def _blobs(features: Features, rows: Ints) -> Any:
    """The packed features of some rows as an Arrow binary array."""
    if not len(rows):
        return pa.array([], type=pa.binary())
    data, places = features.pack(rows)
    buffers = [None, pa.py_buffer(places.astype(np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(rows), buffers)


def _template_only_ids(names: Any) -> Any:
    """Ids of prompts known by their gateway template alone; null where there is none."""
    encoded = names.dictionary_encode()
    ids = entity_ids("gateway_template", encoded.dictionary)
    return pc.take(pa.array(ids, type=pa.int64()), encoded.indices)


@functools.cache
def _features_of_nothing() -> Any:
    return pa.scalar(extract_features([""]).to_blobs()[0], type=pa.binary())


def _least_rows(ids: Ints, texts: Any) -> Ints:
    """For each distinct id but 0, in ascending order, the row of the least text (Arrow strings) that has it."""
    order = np.argsort(ids, kind="stable")
    order = order[ids[order] != 0]
    ordered = ids[order]
    is_first = is_run_start(ordered)
    rows = order[is_first].copy()
    groups = np.cumsum(is_first) - 1
    for at in np.flatnonzero(~is_first).tolist():  # few: texts that differ only in what is folded away
        held, row = rows[groups[at]], order[at]
        if texts[int(row)].as_py() < texts[int(held)].as_py():
            rows[groups[at]] = row
    return np.asarray(rows, dtype=np.int64)


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
