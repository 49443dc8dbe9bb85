"""Whether a report folder still is what the store says."""

from __future__ import annotations

import dataclasses

import pandas as pd

from linkage.engines.beside import Worker
from linkage.errors import NoRunError
from linkage.notebook.given import AnyPath
from linkage.notebook.ledger import kept_run
from linkage.notebook.runs import spread_pages
from linkage.outputs.manifest import MANIFEST, Manifest, read_manifest
from linkage.outputs.verify import Difference, Verification, verify_files, verify_report
from linkage.store.store import Database


def verify_folder(database: Database, folder: AnyPath) -> Verification:
    """Compare a report folder, byte for byte, with what the store says of the same run now.

    A run that the store no longer keeps, or a cluster that this run does not have, is a difference; the files are then
    compared with the manifest alone.

    Raises
    ------
    OutputError : the folder has no manifest that can be read.
    """
    manifest = read_manifest(folder)
    with database.snapshot():
        try:
            run = kept_run(database, manifest.run_id)
        except NoRunError:
            return _without_run(folder, manifest, f"run {manifest.run_id} is no longer in the store")
        clusters = pd.DataFrame(run.clusters).set_index("cluster_id", drop=False).rename_axis(None)
        unknown = sorted({*manifest.clusters, *manifest.listed} - set(clusters["cluster_id"]))
        if unknown:
            return _without_run(folder, manifest, f"the run has no cluster {', '.join(unknown)}")
        kept = database.query("runs")
        own = kept.loc[kept["run_id"] == run.run_id, "sequence"].iloc[0]
        with Worker() as worker:
            details = run._briefs(manifest.clusters, worker)
            return verify_report(
                folder,
                manifest,
                details=details,
                clusters=clusters.loc[manifest.listed].reset_index(drop=True),
                run=run.info,
                sources=database.query("source_files"),
                spread=spread_pages(details, worker),
                kept_runs=list(kept.loc[kept["sequence"] <= own, "run_id"]),
            )


def _without_run(folder: AnyPath, manifest: Manifest, why: str) -> Verification:
    found = verify_files(folder, manifest)
    told = f"{why}: files could be compared with the manifest alone"
    return dataclasses.replace(found, differences=(Difference(MANIFEST, told), *found.differences))
