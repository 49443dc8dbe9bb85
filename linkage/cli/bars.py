"""Bars on a terminal: what is being done, how much of it is, how fast, and how long it will take."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from linkage.engines.progress import STAGES
from linkage.outputs.text import one_line

_COMPILING: Final = "compiling inner loops, once on a machine"


class _File(NamedTuple):
    number: int
    """Its place in the order in which files are read, from 1."""
    done: int = 0
    size: int = 0


class Bars:
    """One bar for all files, and one for each stage or step, while a ``with`` block lasts.

    They are there before what they tell of has begun: pandas and its like take a second or two to load.
    """

    def __init__(self, begin: str) -> None:
        """``begin`` : what is said until something else is told."""
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _OfBytes(DownloadColumn(), otherwise=TextColumn("{task.percentage:>3.0f} %")),
            _OfBytes(TransferSpeedColumn()),
            TimeElapsedColumn(),
            _LeftColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._begun: TaskID | None = self._add(begin)
        self._compiling = self._add(_COMPILING, visible=False)
        self._tasks: dict[str, TaskID] = {}
        self._files: dict[str, _File] = {}
        self._done = self._size = 0  # of all files
        self._compiles, self._listening = 0, contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()
        self._bars.stop()

    def tell(self, name: str, done: int, size: int) -> None:
        """Tell how much of a file or stage is done, as :data:`~linkage.engines.progress.Progress` has it."""
        if name in STAGES:
            self._bars.update(self._task(name), completed=done, total=size)
        else:
            self._tell_file(name, done, size)

    def _tell_file(self, path: str, done: int, size: int) -> None:
        file = self._files.setdefault(path, _File(len(self._files) + 1))
        self._done, self._size = self._done + done - file.done, self._size + size - file.size
        self._files[path] = _File(file.number, done, size)
        of_all = f" ({file.number:,} of {len(self._files):,} files)" if len(self._files) > 1 else ""
        name = f"{one_line(Path(path).name, longest=48)}{of_all}"
        self._bars.update(
            self._task("files", in_bytes=True),
            description=name if done or file.number == 1 else None,  # None: as it is
            completed=self._done,
            total=self._size,
        )

    def tell_step(self, name: str) -> None:
        """Tell that a step begins, of which nobody knows how long it takes; the one before it is over."""
        for task in self._tasks.values():
            self._bars.update(task, total=1, completed=1)
        self._task(name)

    def _add(self, name: str, *, in_bytes: bool = False, visible: bool = True) -> TaskID:
        return self._bars.add_task(name, total=None, visible=visible, in_bytes=in_bytes)

    def _task(self, name: str, *, in_bytes: bool = False) -> TaskID:
        if self._begun is not None:
            self._bars.remove_task(self._begun)
            self._begun = None
            self._watch_compiler()
        if name not in self._tasks:
            self._tasks[name] = self._add(name, in_bytes=in_bytes)
        return self._tasks[name]

    def _watch_compiler(self) -> None:
        """Say that functions are compiled, as the first of all runs does for most of a minute, while it does."""
        # Loaded by who has something to tell; the bars must be there before.
        from numba.core import event

        bars = self

        class Compiling(event.Listener):
            """Told by the compiler, in whichever thread it runs."""

            def on_start(self, event: object) -> None:
                bars._note_compiling(1)

            def on_end(self, event: object) -> None:
                bars._note_compiling(-1)

        self._listening.enter_context(event.install_listener("numba:compile", Compiling()))

    def _note_compiling(self, more: int) -> None:
        self._compiles += more
        self._bars.update(self._compiling, visible=self._compiles > 0)


class _OfBytes(ProgressColumn):
    """A column that only files have; stages may have another in its place."""

    def __init__(self, column: ProgressColumn, *, otherwise: ProgressColumn | None = None) -> None:
        super().__init__()
        self._column, self._otherwise = column, otherwise

    def render(self, task: Task) -> RenderableType:
        column = self._column if task.fields["in_bytes"] else self._otherwise if task.total else None
        return Text() if column is None else column.render(task)


class _LeftColumn(TimeRemainingColumn):
    """The time that is left, while somebody knows."""

    def render(self, task: Task) -> Text:
        is_known = bool(task.total) and not task.finished and task.time_remaining is not None
        return super().render(task).append(" left") if is_known else Text()
