"""Freed memory: handed back at once, or kept for who asks next."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

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
