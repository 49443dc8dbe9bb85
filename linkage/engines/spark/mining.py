"""Templates on Spark: learned in one place from a sample that merges, assigned wherever the prompts are."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from linkage.arrays import Ints
from linkage.engines.spark.folder import FACTS, TABLES
from linkage.engines.spark.merging import PROMPTED, by_bucket, day_ids
from linkage.engines.spark.parts import PACKED, Told, bucket_of, gathered, pack, split, unpack, whole_parts
from linkage.engines.spark.reading import TEXT
from linkage.engines.spark.session import map_batches
from linkage.intake.entities import entity_id
from linkage.intake.mining import Features, assign, describe_template, find_described, learn, tie_templates
from linkage.settings import TemplateSettings

MET: Final = pa.schema([*PROMPTED, ("template_id", pa.int64()), ("items", pa.list_(pa.int64()))])
"""Requests with template (0 for none) and items of their prompts."""

COUNTED: Final = pa.schema([("template_id", pa.int64()), ("prompts", pa.int64())])
EXAMPLE: Final = pa.schema([("template_id", pa.int64()), ("prompt_id", pa.int64())])

ASSIGNED: Final[Mapping[str, Any]] = {"met": MET, "counted": COUNTED, "example": EXAMPLE}
"""What comes of assigning, by part: requests, distinct prompts of templates, prompts to describe templates from."""

Words = tuple[str, int]
"""Readable text of a template, and its slots."""

_PROMPT_SHAPES: Final[Mapping[str, Any]] = {"prompt": FACTS["prompt"], "prompted": PROMPTED, "text": TEXT}
_EXAMPLES: Final = 6
_LAST_ID: Final = 2**63 - 1
_SAMPLE_ROWS: Final = 250_000  # fingerprints that pass through the driver's JVM at once: about 75 MB
_BLOCK_ROWS: Final = 20_000


@dataclasses.dataclass(frozen=True)
class Learned:
    """What templates were learned, and what is asked of the workers that assign them."""

    model: Any
    last_id: int
    """No prompt above it was learned from."""
    known: Ints
    """Templates that need no example, ascending."""


def learn_from(prompts: DataFrame, *, count: int, buckets: int, settings: TemplateSettings) -> tuple[Any, int]:
    """What is learned from the ``learn_prompts`` distinct prompts with the lowest ids, and the last of those ids.

    Ids are hashes, spread evenly, and buckets are ranges of them: the first buckets hold the sample, six standard
    deviations more than asked for. They come to the driver some at a time: at once they do not fit a usual heap.

    Parameters
    ----------
    prompts : packed ``FACTS["prompt"]``, no prompt twice.
    count : how many there are.
    buckets : that they were packed for.
    """
    limit = int(settings.learn_prompts)
    share = min(1.0, (limit + 6 * limit**0.5) / max(count, 1))
    last = min(_LAST_ID, int(share * _LAST_ID))  # a float has 53 bits
    until = int(bucket_of(np.array([last]), buckets)[0]) + 1
    model = learn(_blocks(prompts, until, last, per_bucket=count / buckets), settings=settings)
    learned = model.learned[0]
    return model, int(learned.max(initial=0)) if len(learned) < count else _LAST_ID


def _blocks(prompts: DataFrame, until: int, last: int, *, per_bucket: float) -> Iterator[Features]:
    """Fingerprints of the first buckets, those of a few at a time."""
    step = max(1, int(_SAMPLE_ROWS / max(per_bucket, 1.0)))
    for start in range(0, until, step):
        some = prompts.where(sf.col("bucket").between(start, min(start + step, until) - 1)).toArrow()
        for _, _, table in unpack(some.to_batches(), _PROMPT_SHAPES):
            few = table.filter(pc.less_equal(table["id"], last))
            for row in range(0, len(few), _BLOCK_ROWS):
                yield _features(few.slice(row, _BLOCK_ROWS))


def _features(prompts: Any) -> Features:
    return Features.from_blobs(prompts["id"].to_pylist(), prompts["features"].to_pylist())


def assign_all(packed: DataFrame, *, learned: Learned, buckets: int) -> DataFrame:
    """Requests with the template and items of their prompts, and what is counted of them; packed as ``ASSIGNED``.

    One shuffle, of packed tables. A bucket's prompts are held, its requests pass by: a prompt that half of them ask
    takes no more memory than another.

    Parameters
    ----------
    packed : prompts, requests by their prompts, and words.
    """

    def assign_batches(batches: Iterator[Any]) -> Iterator[Any]:
        parted = itertools.groupby(unpack(batches, _PROMPT_SHAPES), key=lambda told: told[1])
        yield from pack((made for _, told in parted for made in _assign_bucket(told, learned, buckets)), ASSIGNED)

    return map_batches(by_bucket(packed), assign_batches, PACKED)


def _assign_bucket(told: Iterable[Told], learned: Learned, buckets: int) -> Iterator[Told]:
    """What comes of the prompts, requests and words of a bucket, in this order."""
    prompts, templates, items = np.zeros(0, np.int64), np.zeros(0, np.int64), pa.array([], MET.field("items").type)
    at_hand: list[Ints] = []
    for part, rows in itertools.groupby(told, key=lambda each: each[0]):
        if part == "prompt":
            ((_, _, table),) = whole_parts(rows)
            prompts = _ids(table, "id")
            templates, items = _assign(table, learned.model)
            yield gathered("counted", _count(templates))
        elif part == "prompted":
            for _, _, requests in rows:
                yield from _meet(requests, prompts, templates, items, buckets)
        else:
            at_hand += [_ids(texts, "id") for _, _, texts in rows]
    yield gathered("example", _pick(prompts, templates, at_hand, learned))


def _assign(prompts: Any, model: Any) -> tuple[Ints, Any]:
    """Template and items of every prompt; a template that the gateway named goes first."""
    found, parts = [], []
    for start in range(0, len(prompts), _BLOCK_ROWS):
        told = assign(_features(prompts.slice(start, _BLOCK_ROWS)), model)
        found.append(told.template_ids)
        parts.append(pa.ListArray.from_arrays(pa.array(told.item_starts, pa.int32()), pa.array(told.items)))
    templates = np.concatenate(found)
    names = prompts["gateway_template"]
    for row in np.flatnonzero(np.asarray(names.is_valid().to_numpy(), dtype=bool)).tolist():
        templates[row] = entity_id("gateway_template", names[row].as_py())
    return templates, pa.concat_arrays(parts)


def _count(templates: Ints) -> Any:
    """Distinct prompts of each template."""
    return pa.table(list(np.unique(templates[templates != 0], return_counts=True)), schema=COUNTED)


def _meet(requests: Any, prompts: Ints, templates: Ints, items: Any, buckets: int) -> Iterator[Told]:
    rows = np.searchsorted(prompts, _ids(requests, "prompt_id"))
    met = requests.append_column("template_id", pa.array(templates[rows])).append_column("items", items.take(rows))
    days = day_ids(_ids(met, "account_id"), _ids(met, "at_ms"))
    return split("met", met, ids=days, buckets=buckets)


def _pick(prompts: Ints, templates: Ints, at_hand: Sequence[Ints], learned: Learned) -> Any:
    """The first few prompts of each template that were learned from and whose words are at hand."""
    words = np.unique(np.concatenate([np.zeros(0, np.int64), *at_hand]))
    fits = (
        (templates != 0) & (prompts <= learned.last_id) & np.isin(prompts, words) & ~np.isin(templates, learned.known)
    )
    rows = np.flatnonzero(fits)
    table = pa.table([templates[rows], prompts[rows]], schema=EXAMPLE)
    return first_examples(table)


def first_examples(found: Any) -> Any:
    """The first few prompts of each template, by id; of parts and of the whole the same.

    Parameters
    ----------
    found : Arrow table of ``EXAMPLE``.
    """
    prompts, templates = _ids(found, "prompt_id"), _ids(found, "template_id")
    order = np.lexsort((prompts, templates))
    templates = templates[order]
    starts = np.searchsorted(templates, templates)  # where the run of each begins
    return found.take(pa.array(order[np.arange(len(order)) - starts < _EXAMPLES]))


def find_words(texts: DataFrame, *, examples: Any, buckets: int) -> dict[int, list[str]]:
    """Words that templates are described from, by template.

    Parameters
    ----------
    texts : packed words of prompts; of spellings of one prompt the least counts.
    examples : from :func:`first_examples`.
    buckets : that the words were packed for.
    """
    wanted = np.unique(_ids(examples, "prompt_id"))

    def pick(batches: Iterator[Any]) -> Iterator[Any]:
        for _, _, table in unpack(batches, _PROMPT_SHAPES):
            yield from table.filter(np.isin(_ids(table, "id"), wanted)).to_batches()

    among = np.unique(bucket_of(wanted, buckets)).tolist()
    told = map_batches(texts.where(sf.col("bucket").isin(among)), pick, TEXT).toArrow()
    words: dict[int, str] = {}
    for prompt_id, text in zip(told["id"].to_pylist(), told["value"].to_pylist(), strict=True):
        words[prompt_id] = min(text, words.get(prompt_id, text))
    found: dict[int, list[str]] = {}
    pairs = zip(examples["template_id"].to_pylist(), examples["prompt_id"].to_pylist(), strict=True)
    for template_id, prompt_id in pairs:
        found.setdefault(template_id, []).append(words[prompt_id])
    return found


def known_texts(described: Mapping[int, Words], *, named: Sequence[str]) -> dict[int, Words]:
    """Text and slots of the templates that have them before any is described.

    Parameters
    ----------
    described : from folders that are built upon.
    named : names of templates that the gateway gave.
    """
    given = {entity_id("gateway_template", name): (f"(the gateway's template {name})", 0) for name in named}
    return {**described, **given}


def described(known: Mapping[int, Words]) -> list[int]:
    """The templates that need no text made from prompts, ascending."""
    return sorted(find_described({template_id: text for template_id, (text, _) in known.items()}).tolist())


def undescribed(counts: Mapping[int, int], *, known: Mapping[int, Words]) -> list[int]:
    """Those of the templates that need a text made from prompts, ascending."""
    return sorted(set(counts) - set(described(known)))


def tell_templates(
    counts: Mapping[int, int],
    *,
    known: Mapping[int, Words],
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


def _ids(table: Any, name: str) -> Ints:
    return np.asarray(table[name].to_numpy())
