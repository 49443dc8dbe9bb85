"""How far a long call is, where somebody asks for it: a bar in a notebook or on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from markupsafe import Markup

from linkage.engines.progress import Progress
from linkage.stages import Step

Told = TypeVar("Told", Progress, Step)

Tell = Callable[[str, float | None], None]
"""Takes what is being done and how much of it is (0 to 1; None: nobody knows)."""


@contextlib.contextmanager
def progress_shown(asked: Progress | bool | None) -> Iterator[Progress | None]:
    """What to tell how far files and stages are: what was handed in, a bar where ``True`` was, or None."""
    with _asked(asked, lambda tell: lambda path, done, size: tell(Path(path).name, done / max(size, 1))) as told:
        yield told


@contextlib.contextmanager
def steps_shown(asked: Step | bool | None) -> Iterator[Step | None]:
    """What to tell the names of steps: what was handed in, a bar where ``True`` was, or None."""
    with _asked(asked, lambda tell: lambda name: tell(name, None)) as told:
        yield told


@contextlib.contextmanager
def _asked(asked: Told | bool | None, onto_bar: Callable[[Tell], Told]) -> Iterator[Told | None]:
    if not isinstance(asked, bool):
        yield asked
    elif not asked:
        yield None
    else:
        with _bar() as tell:
            yield onto_bar(tell)


class NotebookBar:
    """A bar that shows itself in a notebook; every text in it is escaped.

    Examples
    --------
    >>> bar = NotebookBar()
    >>> bar.tell("logs.ndjson", 0.254)
    >>> bar
    logs.ndjson: 25 %
    """

    def __init__(self, update: Callable[[NotebookBar], Any] | None = None) -> None:
        self._update = update
        self._shown: tuple[str, int | None] = ("", None)

    def tell(self, name: str, share: float | None) -> None:
        """Show what is being done and how much of it is (0 to 1; None: nobody knows)."""
        shown = (name, None if share is None else int(100 * min(share, 1.0)))
        if shown != self._shown:
            self._shown = shown
            if self._update:
                self._update(self)

    def __repr__(self) -> str:
        name, percent = self._shown
        return name if percent is None else f"{name}: {percent} %"

    def _repr_html_(self) -> str:
        _, percent = self._shown
        value = Markup("") if percent is None else Markup(' value="{}"').format(percent)
        return str(Markup('<progress max="100"{}></progress> {}').format(value, repr(self)))


@contextlib.contextmanager
def _bar() -> Iterator[Tell]:
    display = _notebook_display()
    if display is None:
        # Loaded by who asks for a bar on a terminal.
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as TerminalBars

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        with TerminalBars(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task("", total=None)
            yield lambda name, share: bars.update(
                task, description=name, completed=share or 0, total=None if share is None else 1
            )
        return
    handle = display(NotebookBar(), display_id=True)
    bar = NotebookBar(handle.update)
    yield bar.tell
    bar.tell("done", 1.0)


def _notebook_display() -> Callable[..., Any] | None:
    """IPython's ``display`` where a notebook is there to show things."""
    try:
        # IPython is there in every notebook, and nobody else needs it.
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return None
    return display if hasattr(get_ipython(), "kernel") else None
