"""Templates on Spark: learned in one place from a sample that merges, assigned and followed wherever the rows are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as sf

from linkage.engines.spark.folder import TABLES
from linkage.engines.spark.parts import as_part, union_of, whole_groups
from linkage.engines.spark.session import map_batches
from linkage.intake.entities import entity_id
from linkage.intake.following import Followed, Requested, follow_templates
from linkage.intake.mining import (
    Assigned,
    assign_templates,
    describe_template,
    find_described,
    learn_templates,
    tie_templates,
)
from linkage.settings import TemplateSettings
from linkage.store.items import pack_items
from linkage.store.works import pack_works

Ints = npt.NDArray[np.int64]

SAMPLE: Final = pa.schema([("id", pa.int64()), ("features", pa.binary())])
"""Prompts that are learned from."""

ASSIGNED: Final = pa.schema([("prompt_id", pa.int64()), ("template_id", pa.int64()), ("items", pa.list_(pa.int64()))])
"""Template (0 for none) and items of each distinct prompt."""

FOLLOWED_ROWS: Final = union_of({name: TABLES[name] for name in ("entity_use", "prompt_day", "item_day", "work_day")})
"""What follows from templates, in one schema, as it leaves the map."""

Told = tuple[str, int]
"""Readable text of a template, and its slots."""

_EXAMPLES: Final = 6
_LAST_ID: Final = 2**63 - 1
_SAMPLE_ROWS: Final = 50_000  # fingerprints that pass through the driver's JVM at once: about 15 MB
_BLOCK_ROWS: Final = 20_000
_GROUP_ROWS: Final = 250_000  # requests with their items at once in a worker: about 100 MB


def choose_sample(prompts: DataFrame, *, count: int, limit: int) -> tuple[DataFrame, int]:
    """At least the ``limit`` prompts with the lowest ids, ascending, and an id that none of them is above.

    Ids are hashes, spread evenly, so a filter gives the sample in one pass: the lowest of all parts are the lowest of
    the whole. Six standard deviations more than asked for come with them.

    Parameters
    ----------
    prompts : rows of ``FACTS["prompt"]``.
    count : how many there are.
    """
    share = min(1.0, (limit + 6 * limit**0.5) / max(count, 1))
    last = min(_LAST_ID, int(share * _LAST_ID))  # a float has 53 bits
    return prompts.where(sf.col("id") <= last).select("id", "features").sort("id"), last


def learn_from(sample: DataFrame, *, count: int, last: int, settings: TemplateSettings) -> tuple[Any, int]:
    """What is learned from distinct prompts, and the last prompt id it was learned from.

    The sample comes to the driver some prompts at a time: all at once they do not fit a JVM with its usual heap.

    Parameters
    ----------
    sample : from :func:`choose_sample`, as it was written, so that a part of it is found without reading the rest.
    count : how many prompts there are in all.
    last : no id of the sample is above it.
    """
    model = learn_templates(_blocks(sample, last), settings=settings)
    learned = model.learned[0]
    return model, int(learned.max(initial=0)) if len(learned) < count else _LAST_ID


def _blocks(sample: DataFrame, last: int) -> Iterator[tuple[list[int], list[bytes]]]:
    """Ids and fingerprints of the sample, about 50 thousand at a time."""
    parts = max(1, sample.count() // _SAMPLE_ROWS)
    edges = [last * part // parts for part in range(parts + 1)]
    for above, until in itertools.pairwise(edges):
        rows = sample.where((sf.col("id") > above) & (sf.col("id") <= until)).toArrow()
        ids, features = rows["id"].to_pylist(), rows["features"].to_pylist()
        for start in range(0, len(ids), _BLOCK_ROWS):
            yield ids[start : start + _BLOCK_ROWS], features[start : start + _BLOCK_ROWS]


def assign_all(prompts: DataFrame, *, model: Any) -> DataFrame:
    """Template and items of every prompt as rows of ``ASSIGNED``; a template that the gateway named goes first."""

    def assign(batches: Iterator[Any]) -> Iterator[Any]:
        for table in whole_groups(batches, keys=(), rows=_BLOCK_ROWS):
            found = assign_templates((table["id"].to_pylist(), table["features"].to_pylist()), model=model)
            named = [
                None if name is None else entity_id("gateway_template", name)
                for name in table["gateway_template"].to_pylist()
            ]
            chosen = [found.template_ids[row] if name is None else name for row, name in enumerate(named)]
            items = pa.ListArray.from_arrays(pa.array(found.item_starts, pa.int32()), pa.array(found.items))
            columns = [table["id"].combine_chunks(), pa.array(chosen, pa.int64()), items]
            yield pa.RecordBatch.from_arrays(columns, schema=ASSIGNED)

    return map_batches(prompts, assign, ASSIGNED)


def count_templates(assigned: DataFrame) -> dict[int, int]:
    """How many distinct prompts each template has, by ascending template id."""
    counted = assigned.where("template_id <> 0").groupBy("template_id").count().toArrow()
    return dict(sorted(zip(counted["template_id"].to_pylist(), counted["count"].to_pylist(), strict=True)))


def find_examples(
    assigned: DataFrame, texts: DataFrame, *, templates: Sequence[int], last_learned: int
) -> dict[int, list[str]]:
    """Texts that templates are described from: of each, those of the first few prompts that were learned from.

    Parameters
    ----------
    assigned : rows of ``ASSIGNED``.
    texts : ``id`` and ``value`` of the prompts whose text is at hand; of spellings of one prompt the least counts.
    templates : those that need a description.
    """
    wanted = assigned.sparkSession.createDataFrame(pa.table({"template_id": pa.array(list(templates), pa.int64())}))
    at_hand = (
        assigned.where(sf.col("prompt_id") <= last_learned)
        .select("template_id", "prompt_id")
        .join(sf.broadcast(wanted), "template_id", "left_semi")
        .join(texts.select(sf.col("id").alias("prompt_id")).distinct(), "prompt_id", "left_semi")
    )
    place = sf.row_number().over(Window.partitionBy("template_id").orderBy("prompt_id"))
    chosen = at_hand.withColumn("place", place).where(sf.col("place") <= _EXAMPLES).select("template_id", "prompt_id")
    few = sf.broadcast(chosen.select("prompt_id"))
    told = texts.withColumnRenamed("id", "prompt_id").join(few, "prompt_id", "left_semi")
    least = told.groupBy("prompt_id").agg(sf.min("value").alias("value"))
    rows = chosen.join(least, "prompt_id").orderBy("template_id", "prompt_id").toArrow()
    examples: dict[int, list[str]] = {}
    for template_id, text in zip(rows["template_id"].to_pylist(), rows["value"].to_pylist(), strict=True):
        examples.setdefault(template_id, []).append(text)
    return examples


def known_texts(described: Mapping[int, Told], *, named: Sequence[str]) -> dict[int, Told]:
    """Text and slots of the templates that have them before any is described.

    Parameters
    ----------
    described : from folders that are built upon.
    named : names of templates that the gateway gave.
    """
    given = {entity_id("gateway_template", name): (f"(the gateway's template {name})", 0) for name in named}
    return {**described, **given}


def undescribed(counts: Mapping[int, int], *, known: Mapping[int, Told]) -> list[int]:
    """Those of the templates that need a text made from prompts, ascending."""
    texts = {template_id: text for template_id, (text, _) in known.items()}
    return sorted(set(counts) - set(find_described(texts).tolist()))


def tell_templates(
    counts: Mapping[int, int],
    *,
    known: Mapping[int, Told],
    examples: Mapping[int, Sequence[str]],
    wanting: Sequence[int],
    settings: TemplateSettings,
) -> Any:
    """The table ``template`` of a folder.

    Parameters
    ----------
    counts : prompts of each template.
    known : from :func:`known_texts`.
    examples : texts that those in ``wanting`` are described from.
    """
    told = {template_id: describe_template(template_id, list(examples.get(template_id, ()))) for template_id in wanting}
    texts = {each: told[each].text if each in told else known[each][0] for each in counts}
    ties = {tie.template_id: tie for tie in tie_templates(texts, settings=settings)}
    rows = [
        {
            "id": each,
            "name": describe_template(each, []).name,
            "text": texts[each],
            "slots": told[each].slots if each in told else known[each][1],
            "prompts": count,
            "contract": ties[each].contract,
            "family_id": ties[each].family_id,
            "family_name": ties[each].family_name,
            "similarity": ties[each].similarity,
        }
        for each, count in counts.items()
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["template"])


def follow_all(requests: DataFrame, assigned: DataFrame) -> DataFrame:
    """Uses of templates, counts of prompts and items per account and day, as rows of ``FOLLOWED_ROWS``.

    Two shuffles: requests meet their prompts, then accounts and days come together; each is in one row of the outcome.
    """
    prompted = requests.where("prompt_id is not null").select("account_id", "prompt_id", "at_ms", "output_tokens")
    met = prompted.join(assigned, "prompt_id")
    with_day = met.withColumn("day", sf.expr("at_ms div 86400000"))
    sorted_rows = with_day.repartition("account_id", "day").sortWithinPartitions("account_id", "day")
    return map_batches(sorted_rows, _follow_sorted, FOLLOWED_ROWS)


def _follow_sorted(batches: Iterator[Any]) -> Iterator[Any]:
    for table in whole_groups(batches, keys=("account_id", "day"), rows=_GROUP_ROWS):
        accounts, prompts, times = (np.asarray(table[name].to_numpy()) for name in ("account_id", "prompt_id", "at_ms"))
        outputs = np.asarray(pc.fill_null(table["output_tokens"].cast(pa.int64()), -1).to_numpy())
        for part in follow_templates(Requested(accounts, prompts, times, outputs), _assigned_in(table, prompts)):
            yield from _followed_rows(part)


def _assigned_in(table: Any, prompts: Ints) -> Assigned:
    """Template and items of the distinct prompts of some requests."""
    ids, rows = np.unique(prompts, return_index=True)
    distinct = table.select(["template_id", "items"]).take(pa.array(rows)).combine_chunks()
    items = distinct["items"].combine_chunks()
    starts = np.asarray(items.offsets.to_numpy(), dtype=np.int64)
    values = np.asarray(items.flatten().to_numpy(), dtype=np.int64)
    starts = starts - starts[0]
    templates = np.asarray(distinct["template_id"].to_numpy(), dtype=np.int64)
    return Assigned(ids, templates, starts[:-1], np.diff(starts), values)


def _followed_rows(part: Followed) -> Iterator[Any]:
    uses = pa.table(list(part.uses), schema=TABLES["entity_use"])
    yield from as_part("entity_use", uses, FOLLOWED_ROWS)
    days = pa.table(list(part.days), schema=TABLES["prompt_day"])
    yield from as_part("prompt_day", days, FOLLOWED_ROWS)
    starts = part.item_starts
    has_items = np.flatnonzero(np.diff(starts))
    packed = [
        pack_items(*(column[starts[row] : starts[row + 1]] for column in part.items)) for row in has_items.tolist()
    ]
    owners = [column[has_items] for column in part.days[:2]]
    items = pa.table([*owners, pa.array(packed, pa.binary())], schema=TABLES["item_day"])
    yield from as_part("item_day", items, FOLLOWED_ROWS)
    has_works = np.flatnonzero(np.diff(part.work_starts))
    blobs = pack_works(part.work_starts, part.works)
    owners = [column[has_works] for column in part.days[:2]]
    works = [*owners, pa.array([blobs[row] for row in has_works.tolist()], pa.binary())]
    yield from as_part("work_day", pa.table(works, schema=TABLES["work_day"]), FOLLOWED_ROWS)
