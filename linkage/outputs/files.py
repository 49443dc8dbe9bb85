"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from os import PathLike
from pathlib import Path

from linkage.errors import OutputFileError


def write_whole(content: bytes, *, out: str | PathLike[str]) -> Path:
    """Writes the bytes under a temporary name beside ``out``, then renames: readers never see half a file.

    A device or pipe, such as ``/dev/null``, is written to: a file in its place would be everybody's loss.

    Raises
    ------
    OutputFileError : the folder is missing, full or may not be written; what stood there before stays.
    """
    path = Path(out)
    try:
        if _is_stream(path):
            with path.open("wb") as stream:
                stream.write(content)
        else:
            _replace(path, content)
    except OSError as error:
        raise OutputFileError(
            f"{path}: wanted to write {len(content):,} bytes; {error.strerror or error}. "
            "Check that the folder exists, may be written and has room"
        ) from error
    return path


def _is_stream(path: Path) -> bool:
    """Whether a path is a device or a pipe."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _replace(path: Path, content: bytes) -> None:
    if path.is_symlink() and path.absolute().is_relative_to("/dev"):
        raise OSError("it leads to a file that a program has open")
    handle, temporary = tempfile.mkstemp(prefix=".linkage-", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _umask() -> int:
    # mkstemp makes files only their owner may read; reports are meant to be shared like any other file.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def make_folder(out: str | PathLike[str]) -> Path:
    """The folder, made with its parents where it was missing.

    Raises
    ------
    OutputFileError : the folder cannot be made, or a file of that name stands in the way.
    """
    path = Path(out)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFileError(
            f"{path}: wanted a folder for the report; {error.strerror or error}. Choose another folder"
        ) from error
    return path


def sha256(content: bytes) -> str:
    """The SHA-256 hash of the bytes, as 64 hex digits.

    Examples
    --------
    >>> sha256(b"")[:16]
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(content).hexdigest()
