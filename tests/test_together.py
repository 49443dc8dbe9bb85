"""Tests that share something run in one process; all others run wherever there is room."""

from pathlib import Path

import pytest

pytest.importorskip("xdist", reason="pytest-xdist is not installed: all tests run in one process")
from together import group_of

ROOT = Path(__file__).resolve().parent.parent


def groups_of(*names: str) -> set[str]:
    return {group_of(name, root=ROOT) for name in names}


def test_a_module_whose_fixture_makes_something_for_all_stays_together() -> None:
    assert len(groups_of("tests/test_campaigns.py::test_a", "tests/test_campaigns.py::test_b[1-::x]")) == 1
    assert len(groups_of("tests/test_campaigns.py::test_a", "tests/test_innocents.py::test_a")) == 2


def test_all_of_spark_stays_together() -> None:
    assert len(groups_of("tests/spark/test_spark_graph.py::test_a", "tests/spark/test_spark_parts.py::test_b")) == 1


def test_tests_that_share_nothing_go_one_by_one() -> None:
    assert len(groups_of("tests/test_docs.py::test_a", "tests/test_docs.py::test_b", "linkage/coding.py::x")) == 3
