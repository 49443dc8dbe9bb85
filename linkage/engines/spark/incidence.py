"""From logs to an incidence folder, in the order it is done; see :func:`write_incidence`."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from linkage.engines.local import Reading
from linkage.engines.spark import merging, mining, reading
from linkage.engines.spark.folder import (
    FACTS,
    KEYS,
    MANIFEST,
    TABLES,
    Manifest,
    digest_text,
    manifest_from,
    row_digest,
)
from linkage.engines.spark.session import Place, map_batches, tuned
from linkage.errors import RejectedShareError, UsageError
from linkage.intake.batches import account_batch
from linkage.intake.files import read_raw
from linkage.intake.raw import RawBatch
from linkage.intake.records import check_accounts
from linkage.settings import Settings

_PARSED: Final = "_parsed"
_ROLLED: Final = "_rolled"
_SAMPLE: Final = "_sample"
_ASSIGNED: Final = "_assigned"
_FOLLOWED: Final = "_followed"
_STAGED: Final = (_PARSED, _ROLLED, _SAMPLE, _ASSIGNED, _FOLLOWED)
"""What is written on the way and deleted at the end; prompts' words are in the first."""

_DIGEST: Final = pa.schema([("rows", pa.int64()), ("low", pa.int64()), ("high", pa.int64())])


@dataclasses.dataclass(frozen=True)
class Declared:
    """Account records and the names in them, read on this machine: there is one row per account, not per request."""

    records: Any
    """Arrow table as ``TABLES["account_record"]``."""
    entities: Any
    """Arrow table ``id``, ``kind``, ``value``."""
    rejected: tuple[tuple[str, str, int], ...]
    notes: Counter[str]
    inputs: tuple[dict[str, str], ...]


@dataclasses.dataclass(frozen=True)
class _Work:
    """What all steps of one call share."""

    spark: SparkSession
    place: Place
    earlier: tuple[Place, ...]
    """Folders this one is built upon."""

    def joined(self, name: str, fresh: DataFrame, schema: Any) -> DataFrame:
        """New rows and those that the earlier folders have."""
        for place in self.earlier:
            fresh = fresh.unionByName(place.read(name, schema).select(*schema.names))
        return fresh

    def parsed(self, part: str) -> DataFrame:
        """The rows of one part of what was parsed."""
        return self._part(_PARSED, part, reading.PARSED_ROWS, reading.PARSED[part])

    def _part(self, name: str, part: str, whole: Any, schema: Any) -> DataFrame:
        return self.place.read(name, whole).where(sf.col("part") == part).select(*schema.names)

    def rolled(self) -> DataFrame:
        """Parts of all rollups."""
        return self.place.read(_ROLLED, merging.ROLLED_ROWS)

    def followed(self, part: str) -> DataFrame:
        """The rows of one table of what follows from templates."""
        return self._part(_FOLLOWED, part, mining.FOLLOWED_ROWS, TABLES[part])


def write_incidence(
    spark: SparkSession,
    paths: Sequence[str],
    *,
    out: str,
    accounts: Sequence[str] = (),
    how: Reading | None = None,
    settings: Settings | None = None,
) -> Manifest:
    """Everything a rebuild needs of some logs, as a folder; all or nothing.

    The outcome depends on the set of records alone: not on their order, on files, partitions or failed tasks.

    Parameters
    ----------
    paths : logs (JSON lines, Parquet, text with a mapping), each by any path Spark can read, and incidence folders
        that are built upon: their requests and prompts count as if their logs were read again.
    out : a new folder, by any path Spark can write.
    accounts : files of account records on this machine.
    how : format, mapping, source and pseudonyms; prompts' text is never kept.

    Raises
    ------
    UsageError : ``out`` has something in it.
    FormatError, SourceError : an input cannot be used, or Spark failed.
    RejectedShareError : more lines of an input were set aside than the settings allow.
    StoreError : two values have one id.
    """
    chosen, limits = how or Reading(), settings or Settings()
    with tuned(spark):
        place = Place(spark, out)
        if not place.is_empty():
            raise UsageError(f"{out}: wanted a new folder; found something in it. Name another, or delete it first")
        folders = {path: Place(spark, path) for path in paths}
        earlier = {path: folder for path, folder in folders.items() if folder.has(MANIFEST)}
        before = [manifest_from(folder.read_text(MANIFEST), where=path) for path, folder in earlier.items()]
        logs = [path for path in paths if path not in earlier]
        try:
            declared = read_declared(accounts, how=chosen, settings=limits)
            work = _Work(spark, place, tuple(earlier.values()))
            inputs = _parse(work, logs, chosen, limits)
            manifest = _make(work, inputs, declared, before, limits)
            for name in _STAGED:
                place.delete(name)
            place.write_text(MANIFEST, manifest.to_json())
        except BaseException:
            place.delete()
            raise
    return manifest


def read_declared(paths: Sequence[str], *, how: Reading, settings: Settings) -> Declared:
    """The account records of files on this machine.

    Raises
    ------
    FormatError, SourceError : a file cannot be used.
    """
    records, entities, inputs = [], [], []
    rejected: Counter[tuple[str, str]] = Counter()
    notes: Counter[str] = Counter()
    for path in paths:
        raw = read_raw(path, kind="accounts", settings=settings.ingest)
        inputs.append({"path": path, "took_for": raw.took_for})
        for part in raw.batches:
            if not isinstance(part, RawBatch):
                continue
            batch = account_batch(
                check_accounts(part, raw.format, settings=settings.ingest), pseudonymizer=how.pseudonymizer
            )
            records.append(batch.accounts.select(TABLES["account_record"].names).cast(TABLES["account_record"]))
            entities += [
                pa.table({"id": table["id"], "kind": [kind] * len(table), "value": table["value"]})
                for kind, table in sorted(batch.entities.items())
            ]
            rejected.update((path, reason) for reason in batch.rejected["reason"].to_pylist())
            notes.update({f"{n['field']}: {n['reason']}": n["count"] for n in batch.notes.to_pylist()})
    return Declared(
        pa.concat_tables([TABLES["account_record"].empty_table(), *records]),
        pa.concat_tables(
            [reading.PARSED["entity"].empty_table(), *(each.cast(reading.PARSED["entity"]) for each in entities)]
        ),
        tuple(sorted((path, reason, count) for (path, reason), count in rejected.items())),
        notes,
        tuple(inputs),
    )


def _parse(work: _Work, logs: Sequence[str], how: Reading, settings: Settings) -> list[reading.LogInput]:
    """Parse every input, once, into the staged facts."""
    inputs = [reading.recognise_input(work.spark, path, reading=how) for path in logs]
    parsed = work.spark.createDataFrame(reading.PARSED_ROWS.empty_table())
    for number, given in enumerate(inputs):
        parsed = parsed.unionByName(
            reading.parse_input(work.spark, given, number=number, reading=how, settings=settings)
        )
    work.place.write(_PARSED, parsed, by_part=True)
    return inputs


def _make(
    work: _Work,
    inputs: Sequence[reading.LogInput],
    declared: Declared,
    before: Sequence[Manifest],
    settings: Settings,
) -> Manifest:
    """All tables, and what to tell of them."""
    rejected = _count_rejected(work, inputs, settings)
    _write_facts(work)
    _write_names(work, declared)
    template_uses = _write_templates(work, settings)
    _write_rollups(work, template_uses)
    sizes = _measure(work)
    kept, repeats, conflicts = _count_requests(work)
    prompts = work.place.read("prompt", FACTS["prompt"]).count()
    told = ({"path": given.path, "took_for": given.took_for} for given in inputs)
    return Manifest(
        inputs=(*(source for each in before for source in each.inputs), *told, *declared.inputs),
        includes=tuple(sorted({digest for each in before for digest in (each.digest, *each.includes)})),
        kept=kept,
        seen_before=repeats,
        conflicting=conflicts,
        rejected=tuple(sorted([*(row for each in before for row in each.rejected), *rejected, *declared.rejected])),
        notes=_count_notes(work, declared, before),
        rows={**{name: rows for name, (rows, _) in sizes.items()}, "request": kept, "prompt": prompts},
        digests={name: digest for name, (_, digest) in sizes.items()},
    )


def _count_rejected(work: _Work, inputs: Sequence[reading.LogInput], settings: Settings) -> list[tuple[str, str, int]]:
    """Input, reason and number of lines set aside.

    Raises
    ------
    RejectedShareError : too many of an input.
    """
    usable = dict(work.parsed("read").groupBy("input").agg(sf.sum("count")).collect())
    counted = work.parsed("rejected").groupBy("input", "value").agg(sf.sum("count")).collect()
    most = settings.ingest.rejected_share
    for number, given in enumerate(inputs):
        reasons = Counter({reason: count for place, reason, count in counted if place == number})
        share = reasons.total() / max(1, reasons.total() + usable.get(number, 0))
        if share > most:
            common = ", ".join(reason for reason, _ in reasons.most_common(3))
            raise RejectedShareError(
                f"{given.path}: wanted at most {most:.0%} of lines set aside as {given.took_for}; found {share:.0%} "
                f"({common}). Nothing was written: choose the format with --format or --map, or raise [ingest] "
                "rejected_share in the settings"
            )
    return [(inputs[number].path, reason, count) for number, reason, count in counted]


def _count_notes(work: _Work, declared: Declared, before: Sequence[Manifest]) -> dict[str, int]:
    notes = Counter(declared.notes)
    for field, reason, count in work.parsed("note").groupBy("kind", "value").agg(sf.sum("count")).collect():
        notes[f"{field}: {reason}"] += count
    for manifest in before:
        notes.update(manifest.notes)
    return dict(sorted(notes.items()))


def _write_facts(work: _Work) -> None:
    """The distinct requests and prompts."""
    fresh = work.parsed("request").withColumns({"repeats": sf.lit(0).cast("long"), "conflicts": sf.lit(0).cast("long")})
    schema = FACTS["request"]
    work.place.write("request", merging.distinct_requests(work.joined("request", fresh, schema)))
    prompts = work.joined("prompt", work.parsed("prompt"), FACTS["prompt"])
    work.place.write("prompt", merging.distinct_prompts(prompts))


def _count_requests(work: _Work) -> tuple[int, int, int]:
    """Requests that are kept, their repeats and their contradictions."""
    sums = [sf.coalesce(sf.sum(name), sf.lit(0)) for name in ("repeats", "conflicts")]
    kept, repeats, conflicts = work.place.read("request", FACTS["request"]).agg(sf.count("*"), *sums).collect()[0]
    return kept, repeats, conflicts


def _write_names(work: _Work, declared: Declared) -> None:
    """Dictionaries and account records."""
    spark, schema = work.spark, TABLES["entity"]
    fresh = work.parsed("entity").unionByName(spark.createDataFrame(declared.entities))
    for place in work.earlier:
        accounts = place.read("account", TABLES["account"]).withColumn("kind", sf.lit("account"))
        fresh = fresh.unionByName(accounts)
    named = merging.distinct_entities(work.joined("entity", fresh, schema))
    work.place.write("account", named.where("kind = 'account'").select("id", "value"))
    work.place.write("entity", named.where("kind <> 'account'").select(*schema.names))
    schema = TABLES["account_record"]
    records = work.joined("account_record", spark.createDataFrame(declared.records), schema)
    work.place.write("account_record", records.dropDuplicates(["content"]))


def _write_templates(work: _Work, settings: Settings) -> DataFrame:
    """Templates and what follows from them; gives the uses of templates."""
    place = work.place
    prompts = place.read("prompt", FACTS["prompt"])
    count = prompts.count()
    sample, last = mining.choose_sample(prompts, count=count, limit=int(settings.templates.learn_prompts))
    place.write(_SAMPLE, sample)
    sample = place.read(_SAMPLE, mining.SAMPLE)
    model, last_learned = mining.learn_from(sample, count=count, last=last, settings=settings.templates)
    place.write(_ASSIGNED, mining.assign_all(prompts, model=model))
    assigned = place.read(_ASSIGNED, mining.ASSIGNED)
    counts = mining.count_templates(assigned)
    described: dict[int, mining.Told] = {}
    for earlier in work.earlier:
        rows = earlier.read("template", TABLES["template"]).select("id", "text", "slots").collect()
        described |= {each: (text, slots) for each, text, slots in rows}
    named = [
        row[0] for row in prompts.select("gateway_template").where("gateway_template is not null").distinct().collect()
    ]
    known = mining.known_texts(described, named=named)
    wanting = mining.undescribed(counts, known=known)
    examples = mining.find_examples(assigned, work.parsed("text"), templates=wanting, last_learned=last_learned)
    table = mining.tell_templates(counts, known=known, examples=examples, wanting=wanting, settings=settings.templates)
    place.write("template", work.spark.createDataFrame(table).coalesce(1))
    requests = place.read("request", FACTS["request"])
    place.write(_FOLLOWED, mining.follow_all(requests, assigned), by_part=True)
    for name in ("prompt_day", "item_day", "work_day"):
        place.write(name, work.followed(name))
    return work.followed("entity_use")


def _write_rollups(work: _Work, template_uses: DataFrame) -> None:
    requests = work.place.read("request", FACTS["request"])
    work.place.write(_ROLLED, merging.roll_up_all(requests), by_part=True)
    for name in KEYS:
        merged = merging.merge_rolled(work.rolled().where(sf.col("part") == name), name)
        work.place.write(name, merged.unionByName(template_uses) if name == "entity_use" else merged)


def _measure(work: _Work) -> dict[str, tuple[int, str]]:
    """Rows and digest of every table that was written, by one pass."""
    frames = [
        map_batches(work.place.read(name, TABLES[name]), _digest_some, _DIGEST).withColumn("name", sf.lit(name))
        for name in TABLES
    ]
    rows, totals = Counter[str](), Counter[str]()
    for count, low, high, name in functools.reduce(DataFrame.unionAll, frames).collect():
        rows[name] += count
        totals[name] += low + (high << 32)
    return {name: (rows[name], digest_text(totals[name])) for name in TABLES}


def _digest_some(batches: Iterator[Any]) -> Iterator[Any]:
    """Rows and digest of a task's rows, as two halves: Spark has no unsigned numbers."""
    rows = total = 0
    for batch in batches:
        rows += len(batch)
        total += row_digest(pa.Table.from_batches([batch]))
    total %= 2**64
    columns = [pa.array([number], pa.int64()) for number in (rows, total & 0xFFFFFFFF, total >> 32)]
    yield pa.RecordBatch.from_arrays(columns, schema=_DIGEST)
