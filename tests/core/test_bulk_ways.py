"""The way of the reader process to a database."""

from __future__ import annotations

import pytest

from secnb.core.bulk_ways import conninfo, postgres_way
from secnb.core.url import parse_database_url

BASE = "user='ann' password='p' "
REST = {
    "postgresql://ann:p@db:5433/sec": "host='db' port='5433' dbname='sec' connect_timeout='3'",
    "postgresql://ann:p@/sec?host=/run/pg": "host='/run/pg' dbname='sec' connect_timeout='3'",
    "postgresql+asyncpg://ann:p@db/sec?ssl=verify-full&sslrootcert=/a b.crt": "host='db' dbname='sec' "
    "connect_timeout='3' sslmode='verify-full' sslrootcert='/a b.crt'",
    "postgresql://ann:p@db/sec?connect_timeout=2.5": "host='db' dbname='sec' connect_timeout='3'",
    "postgresql://ann:p@db/sec?prepared_statement_cache_size=0": "host='db' dbname='sec' connect_timeout='3'",
    "postgresql://ann:p@db/sec?search_path=a b&application_name=x": "host='db' dbname='sec' "
    "connect_timeout='3' application_name='x' options='-c search_path=a\\\\ b'",
}


@pytest.mark.parametrize(("url", "rest"), REST.items(), ids=range(len(REST)))
def test_a_url_becomes_what_libpq_takes(url, rest):
    assert conninfo(parse_database_url(url)) == BASE + rest


def test_quotes_and_backslashes_are_kept():
    url = parse_database_url("postgresql://ann:it's%5C@db/sec")
    assert "password='it\\'s\\\\'" in conninfo(url)


def test_a_password_is_no_part_of_the_repr():
    way = postgres_way(parse_database_url("postgresql://ann:secret@db/sec"), 30.0)
    assert "secret" in way.uri
    assert "secret" not in repr(way)
