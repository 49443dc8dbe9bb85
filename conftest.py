"""The tiny world, for tests, and ``store``, ``run`` and ``cluster`` of it, anew for every docstring of the notebook."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_world import ACCOUNTS, tiny_requests

import linkage as lk


@pytest.fixture(scope="session")
def tiny_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``requests.ndjson`` and ``accounts.csv`` of the tiny world."""
    folder = tmp_path_factory.mktemp("tiny")
    lines = [json.dumps(row) for row in tiny_requests()]
    (folder / "requests.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "accounts.csv").write_text(ACCOUNTS, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def _rebuilt_tiny_store(tiny_logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("doctest") / "tiny.db"
    with lk.open_store(path) as store:
        store.ingest(tiny_logs / "requests.ndjson", accounts=tiny_logs / "accounts.csv")
        lk.rebuild(store)
    return path


@pytest.fixture
def _nouns(_rebuilt_tiny_store: Path, tmp_path: Path, doctest_namespace: dict[str, object]) -> Iterator[None]:
    shutil.copy(_rebuilt_tiny_store, tmp_path / "tiny.db")
    with lk.open_store(tmp_path / "tiny.db") as store:
        run = store.run
        cluster = run.cluster(run.clusters["cluster_id"].iloc[0])
        doctest_namespace.update(lk=lk, store=store, run=run, cluster=cluster)
        yield


@pytest.fixture(autouse=True)
def _nouns_of_docstrings(request: pytest.FixtureRequest) -> None:
    if isinstance(request.node, pytest.DoctestItem) and "linkage/notebook" in request.node.path.as_posix():
        request.getfixturevalue("_nouns")
