"""Whether a report folder still is what was written, and still is what the store says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

import pandas as pd

from linkage.outputs import tables
from linkage.outputs.files import sha256
from linkage.outputs.html import Spread, report_files
from linkage.outputs.manifest import MANIFEST, Manifest, manifest_content, source_entries
from linkage.outputs.masking import mask_detail
from linkage.outputs.text import file_stem, one_line
from linkage.terms import ClusterDetail, counted

_MOST_NAMED: Final = 3


@dataclasses.dataclass(frozen=True)
class Difference:
    """One file of a report that is not as it should be."""

    file: str
    how: str


@dataclasses.dataclass(frozen=True)
class Verification:
    """What a check of a report folder found."""

    run_id: str
    files: int
    """How many files were compared, the manifest included."""
    differences: tuple[Difference, ...]
    remarks: tuple[str, ...]
    """What a reader should know and what is no fault."""

    @property
    def is_true(self) -> bool:
        """Whether every file is as it was written and as the store says."""
        return not self.differences


def verify_files(folder: str | PathLike[str], manifest: Manifest) -> Verification:
    """Compare the files of a folder with its manifest alone, when the store cannot say more."""
    place = Path(folder)
    differences = [] if manifest.is_intact else [_broken_seal()]
    differences += _hash_differences(place, {**manifest.hashes, **manifest.printed})
    return Verification(
        manifest.run_id,
        len(manifest.hashes) + len(manifest.printed) + 1,
        tuple(differences),
        _strangers(place, manifest),
    )


def verify_report(
    folder: str | PathLike[str],
    manifest: Manifest,
    *,
    details: Sequence[ClusterDetail],
    clusters: pd.DataFrame,
    run: Mapping[str, Any],
    sources: pd.DataFrame | None = None,
    kept_runs: Sequence[str] = (),
    spread: Spread = map,
) -> Verification:
    """Make the report again from what the store says and compare every file with it.

    Case notes made since are no difference; nor is the history in runs that the store no longer keeps. Both are
    remarks. Pages drawn by other versions of the libraries are compared with their hash alone, and that is a remark.
    A PDF is compared with its hash too, since no two prints of one page are the same.

    Parameters
    ----------
    folder : the report.
    manifest : its manifest; see :func:`~linkage.outputs.manifest.read_manifest`.
    details : what the store says of the clusters that have pages, in the manifest's order.
    clusters : ``CLUSTERS``, the ones that the overview lists.
    run : what the store says of the run.
    sources : the input files that the store knows; those loaded since the report are no difference.
    kept_runs : ids of the runs up to this one that the store keeps.
    spread : as for :func:`~linkage.outputs.html.write_report`.
    """
    place = Path(folder)
    remarks = list(_strangers(place, manifest))
    told = [_as_told(place, detail, manifest, kept_runs, remarks) for detail in details]
    differences = [*_manifest_differences(manifest, run, sources)]
    if not manifest.is_drawn_by_these_versions:
        remarks.append("pages were drawn by other versions of the libraries: compared with their hashes alone")
    made = 1
    personal = manifest.includes_personal_data
    for name, wanted in report_files(told, clusters, run, include_personal_data=personal, spread=spread):
        made += 1
        differences += _file_differences(place, name, wanted, manifest)
    if made != len(manifest.hashes) + 1:
        differences.append(Difference(MANIFEST, f"lists {len(manifest.hashes)} files; the store makes {made - 1}"))
    differences += _hash_differences(place, manifest.printed)
    return Verification(manifest.run_id, made + len(manifest.printed), tuple(differences), tuple(remarks))


def _hash_differences(folder: Path, hashes: Mapping[str, str]) -> Iterator[Difference]:
    for name, digest in hashes.items():
        content = _read(folder, name)
        if content is None:
            yield Difference(name, "missing")
        elif sha256(content) != digest:
            yield Difference(name, "changed since the report was written")


def _broken_seal() -> Difference:
    return Difference(MANIFEST, "changed since the report was written: its seal does not fit")


def _read(folder: Path, name: str) -> bytes | None:
    """The bytes of a file of the folder; None when there is none to be read, or when its name leads elsewhere."""
    path = folder / name
    try:
        return path.read_bytes() if Path(name).name == name and path.is_file() else None
    except OSError:  # also of a name that no file can have
        return None


def _strangers(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    known = {*manifest.hashes, *manifest.printed, MANIFEST}
    others = sorted(one_line(path.name) for path in folder.iterdir() if path.name not in known)
    return (f"not part of the report: {', '.join(others)}",) if others else ()


def _as_told(
    folder: Path, detail: ClusterDetail, manifest: Manifest, kept_runs: Sequence[str], remarks: list[str]
) -> ClusterDetail:
    """The detail with case notes and history cut to what there was when the report was written."""
    cluster_id = str(detail.cluster["cluster_id"])
    told = _told(folder, cluster_id)
    notes, events = told.get("case_notes", []), told.get("events", [])
    own_notes = (detail if manifest.includes_personal_data else mask_detail(detail)).case_notes
    is_told = pd.Series([note in notes for note in tables.records(own_notes)], dtype=bool)
    if not is_told.all():
        remarks.append(f"{cluster_id}: {counted((~is_told).sum(), 'case note')} added since the report")
    own = detail.events
    if "run_id" in own.columns:
        own = own[own["run_id"].isin(list(kept_runs))]
        past = [event for event in events if event.get("run_id") not in kept_runs]
        if past:
            remarks.append(f"{cluster_id}: {counted(len(past), 'event')} of runs that the store no longer keeps")
            own = pd.concat([_events(past, like=own), own], ignore_index=True)
    return dataclasses.replace(detail, events=own, case_notes=detail.case_notes[is_told])


def _told(folder: Path, cluster_id: str) -> dict[str, list[dict[str, Any]]]:
    """Case notes and events in the JSON of a report; empty where that cannot be read."""
    try:
        told = json.loads((folder / f"{file_stem(cluster_id)}.json").read_bytes())
        lists = {name: told[name] for name in ("case_notes", "events")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    is_whole = all(isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in lists.values())
    return lists if is_whole else {}


def _events(rows: list[dict[str, Any]], *, like: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({name: [row.get(name) for row in rows] for name in like.columns})


def _manifest_differences(
    manifest: Manifest, run: Mapping[str, Any], sources: pd.DataFrame | None
) -> Iterator[Difference]:
    if not manifest.is_intact:
        yield _broken_seal()
    wanted = manifest_content(
        [], run, clusters=[], listed=[], sources=None, include_personal_data=manifest.includes_personal_data
    )
    for name in ("format", "run"):
        for how in _value_differences(manifest.content.get(name), wanted[name], name):
            yield Difference(MANIFEST, how)
    known = {entry["sha256"] for entry in source_entries(sources)}
    for name, digest in manifest.sources:
        if digest not in known:
            yield Difference(MANIFEST, f"input {one_line(name)} is not in the store (any more)")


def _file_differences(folder: Path, name: str, wanted: bytes, manifest: Manifest) -> Iterator[Difference]:
    found = _read(folder, name)
    if found is None:
        yield Difference(name, "missing")
        return
    is_as_written = manifest.hashes.get(name) == sha256(found)
    if not is_as_written:
        yield Difference(name, "changed since the report was written (its hash is not the manifest's)")
    if found == wanted or (name.endswith(".html") and not manifest.is_drawn_by_these_versions):
        return
    yield Difference(name, f"not what the store says: {_content_difference(name, found, wanted)}")


def _content_difference(name: str, found: bytes, wanted: bytes) -> str:
    if name.endswith(".json"):
        try:
            ways = list(_value_differences(json.loads(found), json.loads(wanted), ""))
        except (ValueError, RecursionError):
            return "it is no JSON, or nested without end"
        more = f"; {len(ways) - _MOST_NAMED} more" if len(ways) > _MOST_NAMED else ""
        return "; ".join(ways[:_MOST_NAMED]) + more if ways else "the same values, written in another way"
    pairs = zip(found.splitlines(), wanted.splitlines(), strict=False)
    shorter = min(found.count(b"\n"), wanted.count(b"\n")) + 1
    line = next((number for number, (a, b) in enumerate(pairs, 1) if a != b), shorter)
    return f"from line {line} on, {len(found):,} bytes here and {len(wanted):,} from the store"


def _value_differences(found: Any, wanted: Any, where: str) -> Iterator[str]:
    """Where two JSON values part, in words; a list of another length is told as such and not gone into."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in sorted({*found, *wanted}):
            inner = f"{where}.{name}" if where else str(name)
            yield from _value_differences(found.get(name), wanted.get(name), one_line(inner))
    elif isinstance(found, list) and isinstance(wanted, list):
        if len(found) != len(wanted):
            yield f"{where} has {len(found)} rows here and {len(wanted)} in the store"
            return
        for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
            yield from _value_differences(one, other, f"{where}[{place}]")
    elif found != wanted or type(found) is not type(wanted):
        shown = [one_line(json.dumps(tables.plain_value(value)), longest=60) for value in (found, wanted)]
        yield f"{where} is {shown[0]} here and {shown[1]} in the store"
