"""Freed memory: handed back at once, or kept for who asks next; and memory that is not there."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import linkage as lk
from linkage.errors import MemoryBoundError
from linkage.memory import machine_bytes, rebuild_bytes

SCRIPT = """
import resource, sys
from linkage import memory

getattr(memory, sys.argv[1])()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    block = b"x" * (8 << 20)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the C library of Linux is asked")
def test_pages_of_freed_arrays_are_touched_anew_only_where_they_went_back() -> None:
    faults = {
        name: int(subprocess.run([sys.executable, "-c", SCRIPT, name], check=True, capture_output=True).stdout)
        for name in ("keep_apart", "keep_near")
    }
    assert faults["keep_apart"] > 4 * faults["keep_near"]


def test_a_rebuild_that_would_need_more_than_is_allowed_is_not_begun(tiny_store: lk.Store) -> None:
    run = lk.rebuild(tiny_store)
    with pytest.raises(MemoryBoundError, match=r"memory_mb = 100; 12 accounts from .* take about 400 MB.*--window"):
        lk.rebuild(tiny_store, seed=9, settings={"run": {"memory_mb": 100}})
    assert tiny_store.run.run_id == run.run_id
    assert "memory_mb = 100" in str(tiny_store.ledger["error"].iloc[-1])
    assert lk.rebuild(tiny_store, seed=9, settings={"run": {"memory_mb": 500}}).run_id != run.run_id


def test_memory_that_ran_out_is_told_with_the_step(tiny_store: lk.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = lk.rebuild(tiny_store)

    def fail(*_given: object, **_named: object) -> None:
        np.empty(10**18, np.uint8)

    monkeypatch.setattr("linkage.stages.link_accounts", fail)
    with pytest.raises(MemoryBoundError, match=r"the step 'links'.*Unable to allocate.*the last run stays"):
        lk.rebuild(tiny_store, seed=9)
    assert tiny_store.run.run_id == run.run_id
    assert "'links'" in str(tiny_store.ledger["error"].iloc[-1])


def test_a_machine_too_small_for_a_rebuild_is_told_by_the_doctor(
    tiny_store: lk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("300000000\n")
    assert machine_bytes(limit) == 300_000_000
    limit.write_text("max\n")
    assert machine_bytes(limit) == machine_bytes(tmp_path / "none")
    assert "memory" not in set(tiny_store.examine()["check"])
    monkeypatch.setattr("linkage.store.doctor.machine_bytes", lambda: 300_000_000)
    told = tiny_store.examine().set_index("check").loc["memory"]
    assert told["level"] == "note"
    assert "takes about 0.4 GB; here are 0.3 GB" in told["found"]
    assert rebuild_bytes(30_000_000) == pytest.approx(6.4e9)


def test_arrow_asks_the_c_library_once_freed_memory_is_kept() -> None:
    code = "import pyarrow as pa; from linkage import memory; memory.keep_near(); print(pa.default_memory_pool())"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    assert b"backend_name=system" in said
