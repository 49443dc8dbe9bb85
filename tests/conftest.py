"""Stores that tests share: a tiny one, readable on one screen, and a simulated one with a campaign in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import linkage as lk


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What hands out tests where they run in several processes."""
    from together import Together

    return Together(config, log)


@pytest.fixture
def tiny_store(tiny_logs: Path, tmp_path: Path) -> Iterator[lk.Store]:
    """A store of the tiny world, without a run."""
    with lk.open_store(tmp_path / "tiny.db") as store:
        store.ingest(tiny_logs / "requests.ndjson", accounts=tiny_logs / "accounts.csv")
        yield store


@pytest.fixture(scope="session")
def planted_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a simulated world of about 400 accounts: innocents, and one campaign (E1)."""
    folder = tmp_path_factory.mktemp("planted")
    lk.simulate(folder, accounts=400, days=14, scenarios=["E1"], seed=7)
    return folder


@pytest.fixture(scope="session")
def planted_path(planted_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store of the planted world, with a published run."""
    path = tmp_path_factory.mktemp("planted_store") / "planted.db"
    with lk.open_store(path) as store:
        store.ingest(planted_world / "requests.ndjson.gz", accounts=planted_world / "accounts.csv")
        lk.rebuild(store)
    return path


@pytest.fixture
def planted(planted_path: Path) -> Iterator[lk.Store]:
    """The store of the planted world; tests read it and do not write to it."""
    with lk.open_store(planted_path, create=False) as store:
        yield store
