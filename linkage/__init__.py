"""Find coordinated accounts in LLM API logs, spare the innocent look-alikes, and say why in both cases.

Names are imported when they are first used, so that ``linkage --help`` does not wait for pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from linkage.compiled import keep_compiled

if TYPE_CHECKING:
    from linkage.errors import LinkageError
    from linkage.notebook import Cluster, Clusters, IngestResult, Run, Store, Templates, evaluate, open_store, rebuild
    from linkage.notebook import spark as spark  # lk.spark; no name of __all__, so that PySpark stays an extra
    from linkage.settings import Settings
    from linkage.templates.mine import mine_templates
    from linkage.worlds.simulate import simulate

keep_compiled()  # before numba is loaded by any of the rooms

__version__ = "0.1.0"

__all__ = [
    "Cluster",
    "Clusters",
    "IngestResult",
    "LinkageError",
    "Run",
    "Settings",
    "Store",
    "Templates",
    "evaluate",
    "mine_templates",
    "open_store",
    "rebuild",
    "simulate",
]

_ROOMS = {
    "LinkageError": "linkage.errors",
    "Settings": "linkage.settings",
    "mine_templates": "linkage.templates.mine",
    "simulate": "linkage.worlds.simulate",
}


def __getattr__(name: str) -> Any:
    if name == "spark":
        return importlib.import_module("linkage.notebook.spark")
    if name not in __all__:
        raise AttributeError(f"module 'linkage' has no attribute {name!r}. It has: {', '.join(__all__)}")
    # All at once: loading the notebook also binds the room linkage.rebuild under the name of the function.
    for each in __all__:
        globals()[each] = getattr(importlib.import_module(_ROOMS.get(each, "linkage.notebook")), each)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
