"""The manifest of a report: every file with its hash, and what the report was made from and by."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import Any, Final

import pandas as pd

from linkage.errors import OutputError
from linkage.outputs.files import sha256
from linkage.outputs.tables import REPORT_FORMAT, plain_value

MANIFEST: Final = "manifest.json"

_SEAL: Final = "seal"
_DRAWN_BY: Final = ("linkage", "igraph", "jinja2", "matplotlib", "markupsafe", "numpy", "pandas", "scipy")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What the manifest of a report folder says."""

    content: Mapping[str, Any]
    is_intact: bool
    """Whether every byte is as it was written: the seal is the hash of all the rest."""

    @property
    def run_id(self) -> str:
        """The run that was reported."""
        return str(self.content["run"]["run_id"])

    @property
    def clusters(self) -> list[str]:
        """Ids of the clusters that have pages, in the order of the pages."""
        return [str(name) for name in self.content["clusters"]]

    @property
    def listed(self) -> list[str]:
        """Ids of the clusters on the overview page."""
        return [str(name) for name in self.content["listed"]]

    @property
    def hashes(self) -> dict[str, str]:
        """File name to SHA-256."""
        return {str(entry["name"]): str(entry["sha256"]) for entry in self.content["files"]}

    @property
    def printed(self) -> dict[str, str]:
        """Name of each PDF to SHA-256; no two prints of one page are the same, so only this can be compared."""
        return {str(entry["name"]): str(entry["sha256"]) for entry in self.content.get("printed", [])}

    @property
    def sources(self) -> list[tuple[str, str]]:
        """Name and SHA-256 of every input file."""
        return [(str(entry["name"]), str(entry["sha256"])) for entry in self.content.get("sources", [])]

    @property
    def includes_personal_data(self) -> bool:
        """Whether addresses, payment instruments and keys are shown raw."""
        return bool(self.content["include_personal_data"])

    @property
    def is_drawn_by_these_versions(self) -> bool:
        """Whether the libraries installed here draw the same pages, byte for byte."""
        return bool(self.content["drawn_by"] == drawing_versions())


def file_entry(name: str, content: bytes) -> dict[str, Any]:
    """Name, size and SHA-256 of a file.

    Examples
    --------
    >>> file_entry("a.csv", b"")["bytes"]
    0
    """
    return {"name": name, "bytes": len(content), "sha256": sha256(content)}


def drawing_versions() -> dict[str, str]:
    """Versions of the libraries that decide how the same report looks, and the kind of processor.

    Another kind of processor rounds otherwise, and three hundred rounds of springs make much of little.
    """
    return {name: metadata.version(name) for name in _DRAWN_BY} | {"machine": platform.machine()}


def manifest_content(
    entries: Sequence[Mapping[str, Any]],
    run: Mapping[str, Any],
    *,
    clusters: Sequence[str],
    listed: Sequence[str],
    sources: pd.DataFrame | None,
    include_personal_data: bool,
    printed: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """What a manifest says.

    Parameters
    ----------
    entries : see :func:`file_entry`.
    run : as in :class:`~linkage.terms.ClusterDetail`; settings, versions and the digest of the input are in it.
    clusters : ids of the clusters with pages, in order.
    listed : ids of the clusters on the overview page, in order.
    sources : the input files, with ``path``, ``size`` and ``sha256``; only names are kept, no folders.
    include_personal_data : whether anything is shown raw.
    printed : like ``entries``, of pages as PDF.
    """
    return {
        "format": REPORT_FORMAT,
        "include_personal_data": include_personal_data,
        "run": plain_value(run),
        "sources": source_entries(sources),
        "drawn_by": drawing_versions(),
        "clusters": plain_value(list(clusters)),
        "listed": plain_value(list(listed)),
        "files": list(entries),
        "printed": list(printed),
    }


def source_entries(sources: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Name, size and SHA-256 of every input file, sorted."""
    if sources is None:
        return []
    rows = zip(sources["path"], sources["size"], sources["sha256"], strict=True)
    entries = {(Path(str(path)).name, int(size), str(digest)) for path, size, digest in rows}
    return [
        {"name": plain_value(name), "bytes": size, "sha256": digest}
        for name, size, digest in sorted(entries, key=lambda entry: (entry[2], entry[0]))
    ]


def manifest_bytes(content: Mapping[str, Any]) -> bytes:
    """The manifest as a file, sealed: its last entry is the hash of all the others."""
    return _dump({**content, _SEAL: sha256(_dump(content))})


def _dump(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def read_manifest(folder: str | PathLike[str]) -> Manifest:
    """The manifest in a report folder.

    Raises
    ------
    OutputError : there is none, or it cannot be read as one.
    """
    path = Path(folder) / MANIFEST
    try:
        raw = path.read_bytes()
        content = {name: value for name, value in json.loads(raw).items() if name != _SEAL}
        manifest = Manifest(content, is_intact=manifest_bytes(content) == raw)
        _ = (
            manifest.run_id,
            manifest.clusters,
            manifest.listed,
            manifest.hashes,
            manifest.printed,
            manifest.sources,
            manifest.includes_personal_data,
        )
        _ = manifest.is_drawn_by_these_versions
    except OSError as error:
        raise OutputError(
            f"{path}: wanted the manifest of a report; {error.strerror or error}. "
            "Name a folder that linkage report has written"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OutputError(
            f"{path}: wanted the manifest of a report; it cannot be read ({error!r}). "
            "Write the report again with: linkage report"
        ) from error
    return manifest
