"""A part of a rebuild in a process of its own, while the rest of it goes on here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from linkage.engines.beside import Worker
from linkage.errors import SourceError


@contextlib.contextmanager
def run_beside(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Run a function in another process for the length of a ``with`` block.

    Parameters
    ----------
    function : stands in a module; its arguments and its value can be pickled.

    Returns
    -------
    What waits for the value. Where the process cannot be started or dies (memory?), the value is computed here. What
    the function raises comes as it is.
    """
    with Worker() as worker, ThreadPoolExecutor(1) as pool:
        about = f"{function.__module__}.{function.__qualname__}"
        values = worker.stream(once, {"function": function, "arguments": dict(arguments)}, about=about)
        found = pool.submit(list, values)

        def ask() -> Any:
            try:
                return found.result()[0]
            except SourceError:
                return function(**arguments)

        try:
            yield ask
        finally:
            worker.close()  # so that nobody waits for a value that is not asked for any more


def once(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Iterator[Any]:
    """The value of a function, as the only one of a stream."""
    yield function(**arguments)
