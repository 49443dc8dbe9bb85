"""A package and a home that cannot be written to do not keep anybody from working."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import linkage
from linkage import compiled

READ_ONLY = """
import sys
from pathlib import Path
from numba.core import caching

for name in dir(caching):
    if name.startswith("InTree"):
        getattr(caching, name).from_function = classmethod(lambda cls, function, file: None)
import linkage.compiled

linkage.compiled._folders = lambda: [Path("/dev/null/numba")]
linkage.compiled.keep_compiled()
from linkage.__main__ import main

sys.exit(main(sys.argv[1:]))
"""


def test_a_read_only_package_and_no_home_are_told_and_no_obstacle(tiny_logs: Path, tmp_path: Path) -> None:
    left_out = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME")
    env = {name: value for name, value in os.environ.items() if name not in left_out}
    env |= {"HOME": "/dev/null", "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(linkage.__file__).parents[1])}
    command = [sys.executable, "-c", READ_ONLY, "runs", str(tmp_path / "s.db")]
    with linkage.open_store(tmp_path / "s.db"):
        pass
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "NUMBA_CACHE_DIR" in done.stderr
    assert not list(tmp_path.glob("linkage-compiled-*")), "what is for this run goes with it"


def test_a_folder_that_is_named_or_can_be_written_is_left_to_numba(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_folders", lambda: [Path("/dev/null/numba"), tmp_path / "home" / "numba"])
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    compiled.keep_compiled()
    assert compiled.is_kept()
    assert "NUMBA_CACHE_DIR" not in os.environ
    monkeypatch.setattr(compiled, "_folders", lambda: [Path("/dev/null/numba")])
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiled.keep_compiled()
    assert compiled.is_kept()
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path)
