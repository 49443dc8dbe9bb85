"""From logs to an incidence folder, in the order it is done; see :func:`write_incidence`."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from linkage.engines.local import Reading
from linkage.engines.spark import following, merging, mining, reading
from linkage.engines.spark.folder import FACTS, MANIFEST, TABLES, Manifest, digest_text, manifest_from
from linkage.engines.spark.parts import PACKED, PART, unpack
from linkage.engines.spark.session import Place, records_at_once, tuned
from linkage.errors import RejectedShareError, StoreError, UsageError
from linkage.intake.batches import account_batch
from linkage.intake.files import read_raw
from linkage.intake.raw import RawBatch
from linkage.intake.records import check_accounts
from linkage.intake.rollups import merge_coverage
from linkage.settings import Settings

_PARSED: Final = "_parsed"
_DISTINCT: Final = "_distinct"
_ASSIGNED: Final = "_assigned"
_ROLLED: Final = "_rolled"
_STAGED: Final = (_PARSED, _DISTINCT, _ASSIGNED, _ROLLED)
"""What is written on the way and deleted at the end, packed; prompts' words are in the first."""

_BUCKET_BYTES: Final = 64_000_000  # of log for each bucket: 80 thousand requests of 800 bytes
_REQUEST_BYTES: Final = 800  # of log, where only requests were counted
_MOST_BUCKETS: Final = 4_096  # so that packets of a bucket do not get too small
_LINES_AT_ONCE: Final = 10_000


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

    buckets: int
    """That ids are spread over."""

    def packed(self, stage: str, *parts: str) -> DataFrame:
        """Some parts of what a stage made."""
        return self.place.read_packed(stage).where(sf.col(PART).isin(list(parts))).select(*PACKED.names)

    def gathered(self, stage: str, part: str, shapes: Mapping[str, Any]) -> Any:
        """The rows of one part of what a stage made, as an Arrow table here."""
        packed = self.packed(stage, part).toArrow()
        return pa.concat_tables(
            [shapes[part].empty_table(), *(table for _, _, table in unpack(packed.to_batches(), shapes))]
        )


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
            inputs = [reading.recognise_input(spark, path, reading=chosen) for path in logs]
            buckets = count_buckets(spark, inputs, kept=sum(manifest.kept for manifest in before))
            work = _Work(spark, place, tuple(earlier.values()), buckets)
            _parse(work, inputs, chosen, limits)
            manifest = _make(work, inputs, declared, before, limits)
            for name in _STAGED:
                place.delete(name)
            place.write_text(MANIFEST, manifest.to_json())
        except BaseException:
            place.give_up()
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
        pa.concat_tables([merging.ENTITY.empty_table(), *(each.cast(merging.ENTITY) for each in entities)]),
        tuple(sorted((path, reason, count) for (path, reason), count in rejected.items())),
        notes,
        tuple(inputs),
    )


def count_buckets(spark: SparkSession, inputs: Sequence[reading.LogInput], *, kept: int) -> int:
    """How many buckets ids are spread over: enough for all cores, and each small enough for a worker.

    Parameters
    ----------
    kept : requests of earlier folders.
    """
    size = _REQUEST_BYTES * kept + sum(reading.input_bytes(spark, given) for given in inputs)
    cores = int(spark.sparkContext.defaultParallelism)
    return min(_MOST_BUCKETS, max(2 * cores, -(-size // _BUCKET_BYTES)))


def _parse(work: _Work, inputs: Sequence[reading.LogInput], how: Reading, settings: Settings) -> None:
    """Parse every input, once, into packed facts."""
    parsed = work.spark.createDataFrame(PACKED.empty_table())
    for number, given in enumerate(inputs):
        parsed = parsed.unionByName(
            reading.parse_input(work.spark, given, number=number, buckets=work.buckets, reading=how, settings=settings)
        )
    with records_at_once(work.spark, _LINES_AT_ONCE):
        work.place.write_packed(_PARSED, parsed)


def _make(
    work: _Work,
    inputs: Sequence[reading.LogInput],
    declared: Declared,
    before: Sequence[Manifest],
    settings: Settings,
) -> Manifest:
    """All tables, and what to tell of them."""
    rejected, notes = _count_lines(work, inputs, [declared.notes, *(manifest.notes for manifest in before)], settings)
    _write_distinct(work, declared)
    sums = work.gathered(_DISTINCT, "sum", merging.DISTINCT)
    kept, repeats, conflicts, prompts = (pc.sum(sums[name]).as_py() or 0 for name in sums.column_names)
    digests = [work.gathered(_DISTINCT, "digest", merging.DISTINCT)]
    digests.append(_write_templates(work, prompts, settings))
    digests += _write_rollups(work)
    digests += _write_small(work, declared)
    sizes = _sizes(digests)
    for facts in FACTS:
        if not work.place.move(f"{_DISTINCT}/{PART}={facts}", facts):
            work.place.write(facts, work.packed(_DISTINCT, facts).drop(PART))
    told = ({"path": given.path, "took_for": given.took_for} for given in inputs)
    return Manifest(
        inputs=(*(source for each in before for source in each.inputs), *told, *declared.inputs),
        includes=tuple(sorted({digest for each in before for digest in (each.digest, *each.includes)})),
        kept=kept,
        seen_before=repeats,
        conflicting=conflicts,
        rejected=tuple(sorted([*(row for each in before for row in each.rejected), *rejected, *declared.rejected])),
        notes=notes,
        rows={**{name: rows for name, (rows, _) in sizes.items()}, "request": kept, "prompt": prompts},
        digests={name: digest for name, (_, digest) in sizes.items()},
    )


def _count_lines(
    work: _Work, inputs: Sequence[reading.LogInput], earlier: Sequence[Mapping[str, int]], settings: Settings
) -> tuple[list[tuple[str, str, int]], dict[str, int]]:
    """Input, reason and number of lines set aside; and fields dropped or repaired.

    Raises
    ------
    RejectedShareError : too many lines of an input.
    """
    counted: Counter[tuple[str, int, str]] = Counter()
    for row in work.gathered(_PARSED, "count", reading.PARSED).to_pylist():
        counted[row["what"], row["input"], row["value"]] += row["count"]
    notes: Counter[str] = Counter()
    for each in earlier:
        notes.update(each)
    for (what, _, value), count in counted.items():
        if what == "note":
            notes[value] += count
    rejected = []
    for number, given in enumerate(inputs):
        usable = counted["read", number, None]  # type: ignore[index]
        reasons = {value: count for (what, at, value), count in counted.items() if (what, at) == ("rejected", number)}
        _refuse_mistaken(given, Counter(reasons), usable, settings)
        rejected += [(given.path, reason, count) for reason, count in reasons.items()]
    return rejected, dict(sorted(notes.items()))


def _refuse_mistaken(given: reading.LogInput, reasons: Counter[str], usable: int, settings: Settings) -> None:
    share = reasons.total() / max(1, reasons.total() + usable)
    if share > settings.ingest.rejected_share:
        common = ", ".join(reason for reason, _ in reasons.most_common(3))
        raise RejectedShareError(
            f"{given.path}: wanted at most {settings.ingest.rejected_share:.0%} of lines set aside as "
            f"{given.took_for}; found {share:.0%} ({common}). Nothing was written: choose the format with --format or "
            "--map, or raise [ingest] rejected_share in the settings"
        )


def _write_distinct(work: _Work, declared: Declared) -> None:
    """Requests, prompts and names, each once, and what is made of them one by one.

    Raises
    ------
    StoreError : two values have one id (a collision of 63-bit hashes).
    """
    spark, buckets = work.spark, work.buckets
    facts = work.packed(_PARSED, "request", "prompt", "entity")
    declared_names = pa.Table.from_batches(merging.pack_names(declared.entities, buckets=buckets), schema=PACKED)
    facts = facts.unionByName(spark.createDataFrame(declared_names))
    names = []
    for place in work.earlier:
        for name in FACTS:
            packed = place.read(name, PACKED.remove(PACKED.get_field_index(PART))).withColumn(PART, sf.lit(name))
            facts = facts.unionByName(merging.spread_again(packed.select(*PACKED.names), buckets=buckets))
        names.append(place.read("account", TABLES["account"]).withColumn("kind", sf.lit("account")))
        names.append(place.read("entity", TABLES["entity"]))
    for some in names:
        facts = facts.unionByName(merging.spread_names(some, buckets=buckets))
    work.place.write_packed(_DISTINCT, merging.distinct_facts(facts, buckets=buckets))
    for row in work.gathered(_DISTINCT, "collision", merging.DISTINCT).to_pylist()[:1]:
        raise StoreError(
            f"wanted one name under id {row['id']}; found {row['kind']} {row['value']!r} and another one. Please "
            "report this collision"
        )
    for name in ("account", "entity"):
        work.place.write(name, merging.rows_of(work.packed(_DISTINCT, name), merging.DISTINCT, name))


def _write_templates(work: _Work, count: int, settings: Settings) -> Any:
    """Templates; requests meet theirs on the way. Gives the table's digest."""
    limits, buckets = settings.templates, work.buckets
    prompts = work.packed(_DISTINCT, "prompt")
    model, last_id = mining.learn_from(prompts, count=count, buckets=buckets, settings=limits)
    described: dict[int, mining.Words] = {}
    for earlier in work.earlier:
        rows = earlier.read("template", TABLES["template"]).select("id", "text", "slots").collect()
        described |= {each: (text, slots) for each, text, slots in rows}
    named = work.gathered(_DISTINCT, "named", merging.DISTINCT)["value"].unique().to_pylist()
    known = mining.known_texts(described, named=named)
    learned = mining.Learned(model, last_id, np.array(mining.described(known), dtype=np.int64))
    texts = work.packed(_PARSED, "text")
    facts = work.packed(_DISTINCT, "prompt", "prompted").unionByName(texts)
    work.place.write_packed(_ASSIGNED, mining.assign_all(facts, learned=learned, buckets=buckets))
    counted = (
        work.gathered(_ASSIGNED, "counted", mining.ASSIGNED).group_by("template_id").aggregate([("prompts", "sum")])
    )
    counts = dict(sorted(zip(counted["template_id"].to_pylist(), counted["prompts_sum"].to_pylist(), strict=True)))
    examples = mining.first_examples(work.gathered(_ASSIGNED, "example", mining.ASSIGNED))
    table = mining.tell_templates(
        counts,
        known=known,
        examples=mining.find_words(texts, examples=examples, buckets=buckets),
        wanting=mining.undescribed(counts, known=known),
        settings=limits,
    )
    work.place.write("template", work.spark.createDataFrame(table).coalesce(1))
    return merging.digest_of("template", table)


def _write_rollups(work: _Work) -> list[Any]:
    """What accounts did, day by day; gives digests."""
    requests = work.packed(_DISTINCT, "by_account").unionByName(work.packed(_ASSIGNED, "met"))
    work.place.write_packed(_ROLLED, following.roll_up_all(requests))
    for name in following.NAMES:
        work.place.write(name, merging.rows_of(work.packed(_ROLLED, name), following.ROLLED, name))
    return [work.gathered(_ROLLED, "digest", following.ROLLED)]


def _write_small(work: _Work, declared: Declared) -> list[Any]:
    """Account records, of which there is about one an account, and the coverage of days; gives digests."""
    spark, schema = work.spark, TABLES["account_record"]
    records = spark.createDataFrame(declared.records)
    for place in work.earlier:
        records = records.unionByName(place.read("account_record", schema).select(*schema.names))
    work.place.write("account_record", records.dropDuplicates(["content"]))
    written = work.place.read("account_record", schema).toArrow()
    parts = work.gathered(_DISTINCT, "coverage_day", merging.DISTINCT)
    coverage = merge_coverage(parts)
    work.place.write("coverage_day", spark.createDataFrame(coverage).coalesce(1))
    return [merging.digest_of("account_record", written), merging.digest_of("coverage_day", coverage)]


def _sizes(digests: Sequence[Any]) -> dict[str, tuple[int, str]]:
    """Rows and digest of every table, out of those of its parts."""
    rows, totals = Counter[str](), Counter[str]()
    for row in pa.concat_tables(digests).to_pylist():
        rows[row["name"]] += row["rows"]
        totals[row["name"]] += row["digest"]
    return {name: (rows[name], digest_text(totals[name])) for name in TABLES}
