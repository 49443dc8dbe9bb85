"""Named queries: found, read and refused."""

import pytest

from linkage.errors import QueryError
from linkage.store.queries import load_query, parse_query, query_names


def test_every_query_file_can_be_read() -> None:
    assert [load_query(name).name for name in query_names()] == query_names()


def test_a_path_is_not_a_name() -> None:
    with pytest.raises(QueryError, match="wanted a query named"):
        load_query("../pyproject")


def test_a_file_must_carry_its_own_name() -> None:
    with pytest.raises(QueryError, match="wanted the first line '-- mine'"):
        parse_query("mine", "-- other\nselect 1")


def test_a_header_gives_parameters_columns_and_order() -> None:
    query = parse_query(
        "q",
        "-- q\n-- What?\n-- parameters: since_ms, until_ms  UTC\n--             cap  count\n"
        "-- columns:    a, b (a < b), c\n-- order:      a, b\n-- index:      none\nselect 1",
    )
    assert query.question == "What?"
    assert query.parameters == ("since_ms", "until_ms", "cap")
    assert query.columns == ("a", "b", "c")
    assert query.order == ("a", "b")
    assert query.sql == "select 1"
