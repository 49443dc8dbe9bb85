"""One Spark session on two cores for all tests here, and one small world read by both engines."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import linkage as lk
from linkage.engines.spark.folder import Manifest

HAS_JAVA = bool(os.environ.get("JAVA_HOME") or shutil.which("java"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Java none of the tests that need it runs, and the report says so."""
    for item in items:
        if not HAS_JAVA and "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason="no Java runtime: install default-jre-headless"))


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A session whose tasks may fail three times, with few partitions."""
    from linkage.engines.spark.session import make_session

    # Tables of a few rows: compiling for speed costs more than it gives.
    os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    session = make_session("local[2, 4]")
    for name, value in {
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }.items():
        session.conf.set(name, value)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a simulated world of about 200 accounts and one campaign, its log split in two by day."""
    import gzip

    folder = tmp_path_factory.mktemp("spark_world")
    lk.simulate(folder, accounts=150, days=5, scenarios=["E1"], seed=11)
    lines = gzip.decompress((folder / "requests.ndjson.gz").read_bytes()).splitlines(keepends=True)
    lines.sort()
    (folder / "all.ndjson").write_bytes(b"".join(lines))
    (folder / "early.ndjson").write_bytes(b"".join(lines[: len(lines) // 2]))
    (folder / "late.ndjson").write_bytes(b"".join(lines[len(lines) // 2 :]))
    return folder


@pytest.fixture(scope="session")
def made(spark: Any, world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """An incidence folder of the world and its manifest."""
    folder = tmp_path_factory.mktemp("incidence") / "all"
    manifest = lk.spark.incidence(spark, world / "all.ndjson", out=folder, accounts=world / "accounts.csv")
    return folder, manifest


@pytest.fixture(scope="session")
def local_path(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store that the local engine filled from the same logs, with a run."""
    path = tmp_path_factory.mktemp("local_store") / "local.db"
    with lk.open_store(path) as store:
        store.ingest(world / "all.ndjson", accounts=world / "accounts.csv")
        lk.rebuild(store)
    return path
