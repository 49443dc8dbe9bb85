"""A file without a name, for what is needed once more before this process ends."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from linkage.errors import StoreError

Bytes = npt.NDArray[np.uint8]


class Scratch:
    """Bytes that are put one after the other and read in any order, in the system's folder for temporary files.

    Several threads may read at the same time.

    Raises
    ------
    StoreError : the file cannot be made, written or read.
    """

    def __init__(self, holds: str) -> None:
        """``holds`` : what is kept there until when, for a message."""
        self._holds, self._lock, self._size = holds, threading.Lock(), 0
        with self._errors_told():
            self._file = tempfile.TemporaryFile(prefix="linkage-")  # noqa: SIM115 - closed by close()

    def close(self) -> None:
        """Let go of the file; its bytes are gone."""
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes so far, which is where the next ones will begin."""
        return self._size

    def append(self, *parts: Any) -> int:
        """Put buffers behind what is there; where the first of them begins."""
        start = self._size
        with self._errors_told(), self._lock:
            self._file.seek(start)
            for part in parts:
                self._size += self._file.write(part)
            self._file.flush()
        return start

    def cut(self, size: int) -> None:
        """Forget all behind the first bytes."""
        with self._errors_told(), self._lock:
            self._file.truncate(size)
            self._size = size

    def read(self, start: int, size: int) -> Bytes:
        """So many bytes from a place on."""
        room = np.empty(size, np.uint8)
        with self._errors_told(), self._lock:
            self._file.seek(start)
            if self._file.readinto(room.data) < size:
                raise OSError("the file ends too early")
        return room

    @contextlib.contextmanager
    def _errors_told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{tempfile.gettempdir()}: wanted to keep {self._holds} there; {error}. Check disk space and rights, "
                "or set TMPDIR to another folder; what was stored is intact"
            ) from error
