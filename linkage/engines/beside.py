"""A process of its own that makes values while this one uses those before them.

Threads share Python's lock: where making a value runs Python code, a thread that writes many small rows waits for it
again and again. A process does not; it costs a second or two to start.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, TypeVar, cast

import pyarrow as pa

from linkage.errors import SourceError
from linkage.memory import give_back, keep_apart, seldom_collected

T = TypeVar("T")

_START: Final = "import sys; sys.path[:] = sys.argv[1:]; from linkage.engines.beside import serve; serve()"
_PIPE_BYTES: Final = 1 << 20
_ALIGNED: Final = 64  # bytes, as Arrow wants its buffers
_VALUE, _END, _ERROR = "value", "end", "error"


def has_two_cores() -> bool:
    """Whether this process may use two cores at least, so that one beside it takes nothing from it."""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) > 1


class Worker:
    """Runs one generator at a time in a process of its own, which starts when it is first needed.

    Not :mod:`multiprocessing`: its processes run the caller's main module again, so a plain script or a notebook that
    loads a file would have to guard its own code. The process ends with this object, and when this process dies its
    next value finds nobody and it ends too; Ctrl-C reaches only this process.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"Worker({f'process {self._process.pid}' if self._process else 'not started'})"

    @property
    def is_started(self) -> bool:
        """Whether the process is there, so that asking it costs no start."""
        return self._process is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process at once, whatever it does; calling it twice does nothing more."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.communicate()

    def stream(self, make: Callable[..., Iterable[T]], arguments: Mapping[str, Any], *, about: str) -> Generator[T]:
        """The values of ``make(**arguments)``, in their order, made over there one or two ahead.

        Parameters
        ----------
        make : a function that stands in a module; its arguments and values can be pickled.
        about : what the values are of, for a message.

        Raises
        ------
        SourceError : the process cannot be started or ended before the last value. What ``make`` raises comes as it is.
        """
        try:
            process = self._started()
        except OSError as error:
            raise SourceError(
                f"{about}: wanted a process beside this one; {error.strerror or error}. Nothing of it was stored: "
                "allow this user another process, or more memory, and load it again"
            ) from error
        is_over = False
        try:
            _send(cast(BinaryIO, process.stdin), (make, dict(arguments)))
            while not is_over:
                kind, value = _receive(cast(BinaryIO, process.stdout))
                is_over = kind != _VALUE
                if kind == _ERROR:
                    raise value
                if kind == _VALUE:
                    yield value
        except (EOFError, BrokenPipeError) as error:
            code = self._process.wait() if self._process else None
            raise SourceError(
                f"{about}: wanted its records from a process beside this one; it ended with code {code}. Nothing of "
                "the file was stored: look for what ended it (memory?), or lower [ingest] batch_rows, and load it again"
            ) from error
        finally:
            if not is_over:
                self.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            try:
                self._process = _start(pipesize=_PIPE_BYTES)
            except OSError:  # a user who is not root may have only so much in pipes, all processes taken together
                self._process = _start(pipesize=-1)
        return self._process


def _start(*, pipesize: int) -> subprocess.Popen[bytes]:
    command, pipe = [sys.executable, "-c", _START, *sys.path], subprocess.PIPE
    return subprocess.Popen(  # noqa: S603 - this very Python, with our own code
        command, stdin=pipe, stdout=pipe, pipesize=pipesize, start_new_session=True
    )


def serve() -> None:
    """What the process does: run what stdin asks for, hand the values to stdout; ends when nobody is there."""
    with os.fdopen(os.dup(1), "wb") as target, seldom_collected(), contextlib.suppress(EOFError, BrokenPipeError):
        os.dup2(2, 1)  # whatever is printed must not stand between the values
        keep_apart()
        while True:
            _run(target, *_receive(sys.stdin.buffer))


def _run(target: BinaryIO, make: Callable[..., Iterable[Any]], arguments: Mapping[str, Any]) -> None:
    try:
        for value in make(**arguments):
            _send(target, (_VALUE, value))
    except BrokenPipeError:
        raise
    except Exception as error:  # whatever it is, it is raised where the values are used
        _send(target, (_ERROR, error))
    else:
        _send(target, (_END, None))
    del arguments  # as large as a model
    give_back()


def _send(target: BinaryIO, value: Any) -> None:
    """Write a value: how many parts, their sizes, then the pickle and the buffers, each aligned."""
    buffers: list[pickle.PickleBuffer] = []
    parts: list[Any] = [pickle.dumps(value, protocol=5, buffer_callback=buffers.append)]
    parts += [buffer.raw() for buffer in buffers]
    for number in (len(parts), *map(len, parts)):
        target.write(number.to_bytes(8, "little"))
    for part in parts:
        target.write(part)
        target.write(bytes(-len(part) % _ALIGNED))
    target.flush()


def _receive(source: BinaryIO) -> Any:
    """Read a value that :func:`_send` wrote; ``EOFError`` where the other side is gone."""
    sizes = [_number(source) for _ in range(_number(source))]
    places = [0]
    for size in sizes:
        places.append(places[-1] + size + -size % _ALIGNED)
    whole = memoryview(pa.allocate_buffer(places[-1])).cast("B")
    room = whole
    while len(room):
        got = source.readinto(room)  # type: ignore[attr-defined]
        if not got:
            raise EOFError
        room = room[got:]
    # Arrays that can be written: numba compiles anew for others.
    parts = [whole[at : at + size] for at, size in zip(places, sizes, strict=False)]
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301 - our own process wrote it


def _number(source: BinaryIO) -> int:
    data = source.read(8)
    if len(data) < 8:
        raise EOFError
    return int.from_bytes(data, "little")
