"""One statement of an analyst: its parameters and its kind."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import column, create_engine, delete, insert, select, table, text, update
from sqlalchemy.dialects import postgresql

from secnb.core.models import Camera
from secnb.core.statement import check_reads, to_count, to_statement
from secnb.errors import QueryError, ReadOnlyError


def run(query, params=None):
    """Run a query on an empty SQLite database and return its first row."""
    engine = create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            return connection.execute(to_statement(query, params, dialect="sqlite")).fetchone()
    finally:
        engine.dispose()


@given(st.text(alphabet=st.characters(exclude_characters="'\0", exclude_categories=["Cs"])))
def test_text_in_a_query_stays_as_it_is(words):
    """Colons and backslashes in a literal are no parameters."""
    assert run(f"SELECT '{words}'")[0] == words


@given(st.text(alphabet=":\\$a1 "))
def test_colons_in_a_query_stay_as_they_are(words):
    """However many, and whatever is between them."""
    assert run(f"SELECT '{words}', :given", {"given": 1}) == (words, 1)


def test_only_given_names_are_parameters():
    """JSON needs no escaping beside a real parameter."""
    assert run("""SELECT :a, '{"b":1, "c" :x}', '12:30:45'""", {"a": 5}) == (5, '{"b":1, "c" :x}', "12:30:45")


def test_a_name_may_occur_twice_and_prefix_another():
    """:id does not eat into :id_2."""
    assert run("SELECT :id, :id_2, :id", {"id": 1, "id_2": 2}) == (1, 2, 1)


def test_a_cast_may_follow_a_parameter():
    """As PostgreSQL writes it; SQLAlchemy by itself takes ``:a::int`` for text."""
    statement = to_statement(
        "SELECT :a::int, :ab::text, x::int, ':b::int'", {"a": 1, "ab": 2}, dialect="postgresql"
    )
    compiled = statement.compile(dialect=postgresql.dialect(paramstyle="named"))
    assert compiled.params == {"a": 1, "ab": 2}
    assert str(compiled).endswith("::text, x::int, ':b::int'")


def test_a_list_expands():
    """IN takes a list."""
    assert run("SELECT 2 IN :some, 5 IN :some", {"some": [1, 2]}) == (1, 0)


@pytest.mark.parametrize("some", [np.array([1, 2]), pd.Series([1, 2]), pd.Index([1, 2]), pd.array([1, 2])])
def test_a_column_of_a_frame_expands(some):
    """As the list that it holds."""
    assert run("SELECT 2 IN :some, 5 IN :some", {"some": some}) == (1, 0)


def test_an_empty_list_matches_nothing():
    """IN () is no syntax error."""
    assert run("SELECT 1 IN :some", {"some": []}) == (0,)


@pytest.mark.parametrize(
    ("given_value", "bound"),
    [
        (np.int64(3), 3),
        (np.float64(0.5), 0.5),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01 00:00:00.000000"),
        (pd.Timestamp("2026-01-01 02:00", tz="Europe/Berlin"), "2026-01-01 01:00:00.000000"),
        (datetime(2026, 1, 1).date(), "2026-01-01"),  # noqa: DTZ001
        (np.datetime64("2026-01-01T00:00:00", "ns"), "2026-01-01 00:00:00.000000"),
        (pd.NaT, None),
        (pd.NA, None),
        (np.datetime64("NaT", "us"), None),
    ],
)
def test_values_of_frames_bind_as_the_database_stores_them(given_value, bound):
    """Times compare with SQLAlchemy's text, numpy scalars are plain numbers."""
    assert run("SELECT :value", {"value": given_value}) == (bound,)


def test_a_parameter_that_does_not_occur_is_an_error():
    """A misspelt name must not be ignored."""
    with pytest.raises(QueryError, match=r"\['b'\] do not occur.*Found there: \['a'\]"):
        to_statement("SELECT :a", {"a": 1, "b": 2}, dialect="sqlite")


@pytest.mark.parametrize("empty", ["", "  \n", ";"])
def test_an_empty_query_is_an_error(empty):
    """SQLite would return nothing and say nothing."""
    with pytest.raises(QueryError, match="empty"):
        to_statement(empty, None, dialect="sqlite")


def test_another_type_is_an_error():
    """A frame is no query."""
    with pytest.raises(QueryError, match="not int"):
        to_statement(5, None, dialect="sqlite")


@pytest.mark.parametrize("writing", [delete(Camera), insert(Camera), update(Camera)])
def test_writing_statements_are_refused(writing):
    """The kind is known without asking the database."""
    with pytest.raises(ReadOnlyError, match="only read"):
        to_statement(writing, None, dialect="sqlite")


def test_sqlalchemy_statements_and_text_take_parameters():
    """Statements of SQLAlchemy are as good as text."""
    assert run(text("SELECT :a"), {"a": 1}) == (1,)
    assert to_statement(select(table("t", column("x"))), None, dialect="sqlite") is not None


READING = [
    "select 1",
    "  -- note\n/* more */ (SELECT 1) UNION (SELECT 2)",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "values (1)",
    "TABLE cameras",
    "show server_version",
    "EXPLAIN SELECT 1",
    "EXPLAIN (VERBOSE, COSTS off) SELECT 1",
]
OTHER = [
    "delete from cameras",
    "/* select */ insert into cameras values (1)",
    "COPY cameras TO PROGRAM 'cat'",
    "commit",
    "SET transaction_read_only = off",
    "call f()",
    "do $$ begin end $$",
    "explain analyze delete from cameras",
    "EXPLAIN (FORMAT json, ANALYZE) SELECT 1",
    "explain verbose analyse select 1",
    "\x00select",
]


@pytest.mark.parametrize("query", READING)
def test_reading_kinds_pass(query):
    """Comments, brackets and case do not matter."""
    check_reads(query)


@pytest.mark.parametrize("query", OTHER)
def test_other_kinds_are_refused(query):
    """Whatever is not known to read."""
    with pytest.raises(ReadOnlyError):
        check_reads(query)


@pytest.mark.parametrize("query", ["SELECT 1 -- end", "SELECT 1;", " SELECT 1 ; "])
def test_counting_survives_comments_and_semicolons(query):
    """What ends a query must not swallow what is put around it."""
    assert run(to_count(query)) == (1,)


@pytest.mark.parametrize(
    "query",
    [
        "/**/ EXPLAIN/**/ANALYZE SELECT 1",
        "explain -- no\n analyze select 1",
        "EXPLAIN (/* a ( */ ANALYZE) SELECT 1",
        "/* /* nested */ select */ delete from cameras",
        "-- /*\n delete from cameras where ''='*/ select 1'",
    ],
)
def test_comments_hide_nothing(query):
    """What stands between the words does not change the kind."""
    with pytest.raises(ReadOnlyError):
        check_reads(query)


@pytest.mark.parametrize("query", ["-- only this", "/* and this */ ;", "/* /* nested */ */"])
def test_comments_alone_are_empty(query):
    """On both databases."""
    with pytest.raises(QueryError, match="empty"):
        check_reads(query)
    with pytest.raises(QueryError, match="empty"):
        to_statement(query, None, dialect="sqlite")


def test_params_of_another_kind_are_an_error():
    """A list has no names."""
    with pytest.raises(QueryError, match="params is of type list"):
        to_statement("SELECT ?", [1], dialect="sqlite")
