"""One writer at a time, told apart from readers; a dead holder's lock frees itself."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from linkage.errors import StoreBusyError, StoreError
from linkage.store.places import LOCK, beside

_POLL_S = 0.05


@contextlib.contextmanager
def writer_lock(store_path: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the store's writer lock for the length of a ``with`` block.

    The lock is the kernel's (``flock``) on a file beside the store, so it ends with the process that holds it. A link
    to a store is the store.

    Parameters
    ----------
    store_path : the store; the lock file is the same name with ``.lock`` added.
    wait_s : how long to wait for another writer, in seconds.

    Raises
    ------
    StoreBusyError : another process holds it; the message has its pid and for how long.
    StoreError : the lock file cannot be written, or the file system has no locks.
    """
    path = beside(store_path, LOCK)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)  # what a link leads to is nobody's lock
    except OSError as error:
        raise StoreError(
            f"{path}: wanted to write the lock file; {error.strerror}. Check the rights of the folder, and of "
            "that file where it is there"
        ) from error
    try:
        _give_to_owner(handle, store_path)
        _acquire(handle, store_path, wait_s)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _give_to_owner(handle: int, store_path: Path) -> None:
    """Let the store's owner have the lock file, too, where root writes: what runs at night could not write any more.

    SQLite does so with what it keeps beside a store. A file that may have another name somewhere is left alone.
    """
    made = os.fstat(handle)
    if os.geteuid() == made.st_uid == 0 and made.st_nlink == 1:
        with contextlib.suppress(OSError):
            owner = store_path.stat()
            os.fchown(handle, owner.st_uid, owner.st_gid)


def _acquire(handle: int, store_path: Path, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except (BlockingIOError, PermissionError) as error:  # some network file systems tell the one by the other
            if time.monotonic() < deadline:
                time.sleep(_POLL_S)
                continue
            raise StoreBusyError(
                f"{store_path}: wanted to write; {_holder(handle)}. Wait for it to end, or say --wait 600"
            ) from error
        except OSError as error:
            raise StoreError(
                f"{store_path}: wanted a lock, so that one process writes at a time; {error.strerror or error}. Put "
                "the store on a file system that has locks, such as a local disk"
            ) from error


def _holder(handle: int) -> str:
    """Who holds the lock, and since when: the holder writes its pid as it takes it."""
    pid = os.pread(handle, 32, 0).decode(errors="replace") or "unknown"
    # The one use of the clock in this wing: it is told to people and decides nothing.
    seconds = max(time.time() - os.fstat(handle).st_mtime, 0)
    age = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return f"process {pid} is writing, for {age} now"
