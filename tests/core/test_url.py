from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import create_async_engine

from secnb.core.url import connect_args, is_cut_short, mask_url, parse_database_url, sqlite_path
from secnb.errors import SettingsError


@pytest.mark.parametrize(
    ("url", "driver", "database"),
    [
        ("sqlite://", "sqlite+aiosqlite", None),
        ("sqlite:///a/b.db", "sqlite+aiosqlite", "a/b.db"),
        ("sqlite:////a/b.db", "sqlite+aiosqlite", "/a/b.db"),
        ("sqlite+aiosqlite:///a/b.db", "sqlite+aiosqlite", "a/b.db"),
        ("sqlite://./a/b.db", "sqlite+aiosqlite", "./a/b.db"),
        ("sqlite://:memory:", "sqlite+aiosqlite", ":memory:"),
        ("postgres://h/d", "postgresql+asyncpg", "d"),
        ("postgresql://h/d", "postgresql+asyncpg", "d"),
        ("postgresql+asyncpg://h/d", "postgresql+asyncpg", "d"),
        (" POSTGRESQL://h/d ", "postgresql+asyncpg", "d"),
        ("postgresql://h?dbname=d", "postgresql+asyncpg", "d"),
    ],
)
def test_every_form_gets_its_async_driver(url: str, driver: str, database: str | None) -> None:
    parsed = parse_database_url(url)
    assert (parsed.drivername, parsed.database) == (driver, database)


@pytest.mark.parametrize("key", ["ssl", "sslmode"])
@pytest.mark.parametrize("mode", ["disable", "prefer", "require", "verify-full"])
def test_ssl_and_sslmode_are_the_same(key: str, mode: str) -> None:
    assert dict(parse_database_url(f"postgresql://h/d?{key}={mode}").query) == {"ssl": mode}


def test_libpq_options_reach_asyncpg_through_its_dsn() -> None:
    query = parse_database_url("postgresql://h/d?application_name=my app&sslrootcert=/ca.pem").query
    assert query["dsn"] == "postgresql://?application_name=my+app&sslrootcert=%2Fca.pem"


def test_connect_timeout_becomes_a_number_for_asyncpg() -> None:
    assert connect_args(parse_database_url("postgresql://h/d?connect_timeout=7")) == {"timeout": 7.0}


def test_connect_timeout_zero_means_no_limit_as_in_libpq() -> None:
    assert connect_args(parse_database_url("postgresql://h/d?connect_timeout=0")) == {"timeout": None}


def test_user_and_password_of_the_query_become_those_of_the_url() -> None:
    parsed = parse_database_url("postgresql://h/d?user=ann&password=secret")
    assert (parsed.username, parsed.password, dict(parsed.query)) == ("ann", "secret", {})


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://h/d?channel_binding=require", "'channel_binding' .* is not an option of the driver"),
        ("postgresql://h/d?sslmode=maybe", "'sslmode' .* cannot be 'maybe'"),
        ("postgresql://h/d?ssl=require&sslmode=disable", "given more than once"),
        ("postgresql://h/d?connect_timeout=soon", "'connect_timeout' .* cannot be 'soon'"),
        ("postgresql://h/d?connect_timeout=nan", "cannot be 'nan'"),
        ("mysql://h/d", "no driver for 'mysql'"),
        ("no url", r"cannot be read\. Seen: \*\*\*"),
        ("", "cannot be read"),
        ("sqlite://user:secret@host/d", "cannot be read"),
    ],
)
def test_what_cannot_be_honoured_is_refused(url: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_database_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:secret",
        "postgresql://ann:x/secret@host:port/d",
        "postgresql://ann:x@secret@host/d",
        "ann:secret@host",
        "mysql://ann:secret@host/d",
        "postgresql://h/d?sslmode=x&password=secret",
    ],
)
def test_an_error_about_a_url_neither_shows_nor_chains_the_secret(url: str) -> None:
    with pytest.raises(SettingsError, match=r"URL|driver") as caught:
        parse_database_url(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("password", ["a@b", "a@b/c", "a@1/c", "1@b/2", "a@b?c", "a@b#c", "@", "/@?", "a@[b"])
def test_a_password_that_is_not_encoded_is_told(password: str) -> None:
    """Its first @ ends it, and what follows would be a host, a name or an option."""
    for rest in ("db:5432/security", "db/security?ssl=require", "db"):
        with pytest.raises(SettingsError, match=r"ann:\*\*\*@db(.|\n)*write @ as %40"):
            parse_database_url(f"postgresql://ann:{password}@{rest}")


@pytest.mark.parametrize("password", ["a/b", "a?b", "a#b", "a:b", "a%b", "a[b]", "/", "1/2?x=1#3"])
def test_what_does_not_end_a_password_needs_no_encoding(password: str) -> None:
    parsed = parse_database_url(f"postgresql://ann:{password}@db:5432/security")
    assert (parsed.password, parsed.host, parsed.database) == (password, "db", "security")


@given(st.text(min_size=1), st.sampled_from(["postgresql", "redis"]))
def test_an_encoded_password_is_never_taken_for_a_cut_one(password: str, scheme: str) -> None:
    url = f"{scheme}://ann:{quote(password, safe='', errors='replace')}@db:5432/0?client_name=a@b"
    assert not is_cut_short(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:12/ab@h:6379/0",
        "redis://ann:12?ab@h",
        "rediss://ann:#ab@h/0",
        "redis://:a@b/c@h",
        "unix://:a/b@/run/redis.sock",
        " POSTGRES://ann:a@b/c@db/x",
    ],
)
def test_a_password_that_was_cut_short(url: str) -> None:
    assert is_cut_short(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://:a@b@h:6379/0",
        "redis://h:6379?password=a@b",
        "unix:///home/ann@work/redis.sock",
        "unix://ann:secret@/home/ann@work/redis.sock",
        "postgresql://db/x",
        "postgresql://ann@db/x@y",
        "postgresql://ann:secret@db/x?application_name=a@b",
        "postgresql://[::1]:5432/x",
    ],
)
def test_an_ordinary_url_is_not_cut_short(url: str) -> None:
    """Redis ends a user and a password at the last @ before the path."""
    assert not is_cut_short(url)


def test_no_text_of_an_engine_shows_a_secret() -> None:
    pytest.importorskip("asyncpg")
    url = parse_database_url("postgresql://ann:secret@h/d?sslpassword=secret&passfile=secret")
    engine = create_async_engine(url, connect_args=connect_args(url))
    assert "secret" not in f"{engine!r} {engine.url} {engine.url!r} {mask_url(engine.url)}"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://ann:secret@db/x", "postgresql://ann:***@db/x"),
        ("postgresql://db:5432/x", "postgresql://db:5432/x"),
        ("postgresql://[::1]:5432/x", "postgresql://[::1]:5432/x"),
        ("postgresql://ann@db:5432/x", "postgresql://ann@db:5432/x"),
        ("postgresql://ann@:/x?host=/run", "postgresql://ann@:/x?host=/run"),
        ("postgresql://ann@db:secret/x", "postgresql://ann@db:***/x"),
        ("redis://:secret@h:6379/0", "redis://:***@h:6379/0"),
        ("rediss://ann:secret@h/0?ssl_cert_reqs=none", "rediss://ann:***@h/0?ssl_cert_reqs=none"),
        ("unix:///run/redis.sock?db=1&PassWord=secret", "unix:///run/redis.sock?db=1&PassWord=***"),
        ("redis://h/0?TOKEN=secret&db=1", "redis://h/0?TOKEN=***&db=1"),
        ("postgresql://h/d?pass%77ord=secret", "postgresql://h/d?pass%77ord=***"),
        ("postgresql://h/d?sslpassword=s?e@cret&x=1", "postgresql://h/d?sslpassword=***&x=1"),
        ("sqlite:////home/me@work/c:d.db", "sqlite:////home/me@work/c:d.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("http://ann:secret@h:8001", "http://ann:***@h:8001"),
        ("http://h/v1?api_key=secret&n=1", "http://h/v1?api_key=***&n=1"),
        ("http://cam:88/x.fcgi?cmd=snap&usr=ann&pwd=secret", "http://cam:88/x.fcgi?cmd=snap&usr=ann&pwd=***"),
        ("http://h/x#access_token=secret", "http://h/x#access_token=***"),
        ("http://h/x?a=1;token=secret", "http://h/x?a=1;token=***"),
        ("http://h/token/a=b?author=ann&passed=1&keys=2", "http://h/token/a=b?author=ann&passed=1&keys=2"),
    ],
)
def test_a_masked_url_keeps_all_but_its_secrets(url: str, masked: str) -> None:
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "access_token",
        "secret",
        "apikey",
        "pwd",
        "sig",
        "signature",
        "auth",
        "x-functions-key",
        "userPass",
    ],
)
def test_options_that_are_secrets_by_their_name(name: str) -> None:
    assert mask_url(f"http://h/v1?{name}=hidden&n=1") == f"http://h/v1?{name}=***&n=1"


@given(st.text(), st.sampled_from(["", "redis://", "postgresql://ann:", "://", "sqlite://"]))
def test_masking_never_raises(text: str, start: str) -> None:
    assert isinstance(mask_url(start + text), str)


@example("=?", "redis")
@example("=@?", "redis")
@example("=@b?", "postgresql")
@given(st.text(alphabet="ab:/?#@&=% [", max_size=12), st.sampled_from(["redis", "postgresql"]))
def test_no_password_survives_masking_whatever_characters_it_holds(noise: str, scheme: str) -> None:
    assert "SECRET" not in mask_url(f"{scheme}://ann:{noise}SECRET{noise}@host:1/0")


@pytest.mark.parametrize("text", ["ann:secret@h", "secret", "postgresql:/ann:secret@h", "", "\n"])
def test_text_that_is_no_url_is_masked_as_a_whole(text: str) -> None:
    assert mask_url(text) == "***"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///a/b.db", "a/b.db"),
        ("sqlite:////a/b.db", "/a/b.db"),
        ("sqlite://a/b.db", "a/b.db"),
        ("sqlite:///a/b.db?timeout=5", "a/b.db"),
        ("sqlite:///a%20b.db", "a b.db"),
        ("sqlite:///file:a/b.db?uri=true", "a/b.db"),
        ("sqlite:///file:/a/b.db?mode=ro&uri=true", "/a/b.db"),
        ("sqlite:///file:///a/b.db?uri=true", "/a/b.db"),
        ("sqlite:///file://localhost/a/b.db?uri=true", "/a/b.db"),
        ("sqlite:///file:a%2520b.db?uri=true", "a b.db"),
    ],
)
def test_the_file_of_a_sqlite_url(url: str, path: str) -> None:
    assert sqlite_path(url) == Path(path)
    assert sqlite_path(parse_database_url(url)) == Path(path)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://:memory:",
        "sqlite+aiosqlite:///file::memory:?uri=true&cache=shared",
        "sqlite:///file:a.db?mode=memory&uri=true",
        "sqlite:///file:/a.db?vfs=memdb&uri=true",
        "postgresql://h/d",
        "mysql://h/d",
    ],
)
def test_no_file_behind_memory_and_other_databases(url: str) -> None:
    assert sqlite_path(url) is None
