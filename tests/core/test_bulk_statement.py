"""The query that the reader process runs: examples first, then rows of which each column has one type."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from secnb.core.bulk_statement import examples, first_types, kinds_in, typed_query

MIXED = "SELECT column1 AS x FROM (VALUES ({}), (NULL), ({}))"


def run(query, *params):
    with closing(sqlite3.connect(":memory:")) as connection:
        return connection.execute(query, params).fetchall()


def test_the_examples_come_first_and_the_order_stays():
    query = (
        "SELECT column1 AS a, column2 FROM (VALUES (1, 'c'), (3, 'a'), (2, NULL)) ORDER BY a DESC -- all\n;"
    )
    rows = run(typed_query(query, ["int", "str"]))
    assert rows == [tuple(examples(["int", "str"])), (3, "a"), (2, None), (1, "c")]


@pytest.mark.parametrize("kind", ["str", "float"])
@pytest.mark.parametrize("value", ["1", "0.5", "'1'", "x'31'"])
def test_what_is_not_of_the_kind_is_an_error(kind, value):
    """What ADBC would cast without a word."""
    good = {"str": "'1'", "float": "0.5"}[kind]
    query = typed_query(MIXED.format(good, value), [kind])
    if value == good:
        assert len(run(query)) == 4
    else:
        with pytest.raises(sqlite3.Error, match="overflow"):
            run(query)


def test_the_values_stay_as_they_are():
    values = [1e300, -0.0, float("inf"), None, 0.1]
    assert [row[0] for row in run(typed_query("VALUES (?), (?), (?), (?), (?)", ["float"]), *values)][
        1:
    ] == values


def test_the_types_are_those_of_the_first_row_that_has_any():
    query = "VALUES (1, NULL, NULL), (2, NULL, NULL), (3, 'a', NULL), (4, 5, 6)"
    assert run(first_types(query, [1, 2], 3)) == [("text", "null")]
    assert run(first_types("SELECT 1, NULL", [1], 2)) == []


def test_kinds_leave_out_what_is_missing():
    assert list(kinds_in([(1, None, "a"), (2.5, None, None)])) == [{int, float}, set(), {str}]
