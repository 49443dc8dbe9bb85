"""Which tests run in one process where the suite runs in several."""

import functools
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

JUDGING = ("test_bounds", "test_framing", "test_verdicts")
"""Modules that judge without a store. As one group they are the second largest and begin at once: what judging needs is
compiled in one process while the other, whose first tests fill a store, compiles what that needs."""


class Together(LoadScopeScheduling):
    """Hands out groups of tests, the largest first, and then the others one by one to whoever is free.

    Not ``--dist loadgroup``: pytest-xdist 3.8 writes groups into ids in a way that pytest 9.2 does not see, so that all
    tests go one by one.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid, root=self.config.rootpath)


def group_of(nodeid: str, *, root: Path) -> str:
    """The group of a test: its module, where a fixture makes something for all of it, else itself alone."""
    path = Path(nodeid.split("::")[0])
    if path.parts[:2] == ("tests", "spark"):
        return "spark"  # one session for all
    if path.stem in JUDGING:
        return "judging"
    return str(path) if _makes_for_all(root / path) else nodeid


@functools.cache
def _makes_for_all(path: Path) -> bool:
    return 'scope="module"' in path.read_text(encoding="utf-8")
