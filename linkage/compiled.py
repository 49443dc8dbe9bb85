"""Where compiled functions are kept from one run to the next."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

_NAMED: Final = "NUMBA_CACHE_DIR"  # of numba's own settings

_for_this_run: list[str] = []
"""The folder that goes with this process, where there is none that stays."""


def keep_compiled() -> None:
    """Give numba a folder for this run where it would find none that it may write to.

    It keeps what it compiles beside the package, else in the user's cache, and refuses to load where it can do neither:
    in a container whose file system is read-only, or for a user without a home, no verb would work.
    """
    if _NAMED in os.environ or any(map(_is_writable, _folders())):
        return
    folder = tempfile.mkdtemp(prefix="linkage-compiled-")  # nobody else may put code there
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[_NAMED] = folder  # for processes beside this one, too
    if "numba" in sys.modules:  # it reads its settings once
        sys.modules["numba"].config.CACHE_DIR = folder
    _for_this_run.append(folder)


def is_kept() -> bool:
    """Whether the next run finds what this one compiles, which takes up to a minute."""
    return not _for_this_run


def _folders() -> tuple[Path, Path]:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - there may be no home
    return Path(__file__).parent / "__pycache__", Path(home) / "numba"


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
