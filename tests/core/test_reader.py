"""Reading a database: everything comes out, nothing goes in, and no trace stays."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from secnb.core.models import Base, Camera
from secnb.core.postgres_reader import OddTime
from secnb.core.reader import DatabaseReader
from secnb.core.sqlite_reader import SQLiteFile
from secnb.core.url import parse_database_url
from secnb.errors import (
    BadInputError,
    DatabaseNotFoundError,
    QueryError,
    QueryTimeoutError,
    ReadOnlyError,
    UnreachableError,
)

SLOW = {
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
}
NUMBERS = {
    "sqlite": "WITH RECURSIVE n(x) AS "
    "(SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < :top) SELECT x FROM n",
    "postgresql": "SELECT generate_series(1, :top) AS x",
}


@pytest.fixture
def database_file(tmp_path) -> Path:
    """Return a WAL database with two cameras, whose service is down."""
    path = tmp_path / "db" / "security.db"
    path.parent.mkdir()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        Base.metadata.create_all(connection)
        connection.execute(insert(Camera), [{"id": "back", "name": "B"}, {"id": "front", "name": "F"}])
    engine.dispose()
    return path


@pytest.fixture
async def postgres_reader(postgres_url):
    engine = create_async_engine(parse_database_url(postgres_url))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(Camera), [{"id": "back", "name": "B"}, {"id": "front", "name": "F"}])
    await engine.dispose()
    reader = DatabaseReader(postgres_url)
    yield reader
    await reader.close()


@pytest.fixture
async def sqlite_reader(database_file):
    reader = DatabaseReader(f"sqlite:///{database_file}")
    yield reader
    await reader.close()


@pytest.fixture(params=["sqlite", "postgres"])
def reader(request):
    """Return a reader of each kind of database, with the same two cameras."""
    return request.getfixturevalue(f"{request.param}_reader")


def trace(path: Path) -> dict[str, tuple]:
    """Return everything that a look could change: names, contents, owners and times."""
    found = {}
    for each in sorted(path.parent.iterdir()):
        stat = each.stat()
        content = hashlib.sha256(each.read_bytes()).hexdigest()
        found[each.name] = (content, stat.st_ino, stat.st_mtime_ns, stat.st_uid, stat.st_mode)
    return found


async def test_rows_come_with_their_columns(reader):
    """The same query reads the same on both databases."""
    rows = await reader.fetch("SELECT id, name FROM cameras WHERE id = :id", {"id": "front"})
    assert (rows.columns, [tuple(row) for row in rows.rows]) == (["id", "name"], [("front", "F")])
    assert (rows.total, rows.is_truncated) == (1, False)


async def test_a_statement_of_sqlalchemy_reads_as_well(reader):
    """Engineers bring their own statements."""
    rows = await reader.fetch(select(Camera.id).order_by(Camera.id), limit=1)
    assert ([tuple(row) for row in rows.rows], rows.total, rows.is_truncated) == ([("back",)], 2, True)


@pytest.mark.parametrize("n_rows", [0, 1, 2, 999, 2500])
@pytest.mark.parametrize("limit", [None, 0, 1, 2, 1000, 5000])
async def test_no_row_is_lost_or_repeated(reader, n_rows, limit):
    """With or without a cap, in whatever batches the driver hands them over."""
    rows = await reader.fetch(
        f"SELECT * FROM ({NUMBERS[reader.dialect]}) AS n WHERE x <= :n",
        {"top": 3000, "n": n_rows},
        limit=limit,
    )
    expected = list(range(1, n_rows + 1))[:limit]
    assert [row[0] for row in rows.rows] == expected
    assert rows.is_truncated is (len(expected) < n_rows)
    assert rows.total == n_rows


async def test_tables_and_columns_are_reflected(reader):
    """As they are, not as they should be."""
    assert {"cameras", "detections", "events"} <= set(await reader.fetch_tables())
    assert (await reader.fetch_columns("cameras"))[:3] == ["id", "name", "folder_path"]
    assert await reader.fetch_columns("nowhere") == []


WRITES = [
    "DELETE FROM cameras",
    "INSERT INTO cameras (id) VALUES ('x')",
    "UPDATE cameras SET name = 'x'",
    "DROP TABLE cameras",
    "CREATE TABLE t (x INT)",
    "CREATE TEMP TABLE t (x INT)",
    "WITH gone AS (DELETE FROM cameras RETURNING *) SELECT * FROM gone",
    "SELECT 1; DELETE FROM cameras",
    "COMMIT; DELETE FROM cameras",
]
SQLITE_WRITES = [
    "ATTACH '{path}' AS again",
    "VACUUM",
    "VACUUM INTO '{folder}/copy.db'",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA user_version = 5",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA writable_schema = 1",
    "REINDEX",
    "ANALYZE",
    "SELECT load_extension('x')",
    "SAVEPOINT s",
]
POSTGRES_WRITES = [
    "COMMIT",
    "SET TRANSACTION READ WRITE",
    "SELECT nextval('detections_id_seq')",
    "SELECT * INTO copied FROM cameras",
    "SELECT * FROM cameras FOR UPDATE",
    "EXPLAIN ANALYZE DELETE FROM cameras",
    "COPY cameras TO STDOUT",
    "LISTEN x",
    "TRUNCATE cameras",
]


async def until(holds) -> None:
    """Wait until `holds()`, for at most 10 s."""
    async with asyncio.timeout(10):
        while not await holds():
            await asyncio.sleep(0.02)


async def assert_refused(reader, query):
    with pytest.raises((ReadOnlyError, QueryError)):
        await reader.fetch(query)
    assert len((await reader.fetch("SELECT id FROM cameras")).rows) == 2


@pytest.mark.parametrize("query", WRITES)
async def test_writes_are_refused(reader, query):
    """In every disguise, and the cameras are still there."""
    await assert_refused(reader, query)


@pytest.mark.parametrize("query", SQLITE_WRITES)
async def test_sqlite_writes_leave_the_folder_as_it_was(sqlite_reader, database_file, query):
    """ATTACH of the same file once emptied a table through a read-only connection."""
    before = trace(database_file)
    await assert_refused(sqlite_reader, query.format(path=database_file, folder=database_file.parent))
    assert trace(database_file) == before


@pytest.mark.parametrize("query", POSTGRES_WRITES)
async def test_postgres_writes_are_refused(postgres_reader, query):
    """A read-only transaction alone does not keep COMMIT out."""
    await assert_refused(postgres_reader, query)


async def test_attached_delete_through_one_connection_is_refused(sqlite_reader, database_file):
    """The attack that mode=ro allows, on the very connection that the reader uses."""
    connection = await sqlite_reader._file.connect()
    try:
        with pytest.raises(sqlite3.DatabaseError, match=r"not authorized|too many attached"):
            await connection.execute(f"ATTACH '{database_file}' AS again")
    finally:
        await connection.close()


async def test_several_statements_are_an_error_of_their_own(reader):
    """The message says what is allowed."""
    with pytest.raises((QueryError, ReadOnlyError), match=r"exactly one statement|only read"):
        await reader.fetch("SELECT 1; SELECT 2")


async def test_unknown_table_shows_the_tables(reader):
    """The nearest help is the list of what there is."""
    with pytest.raises(QueryError, match=r"camras[\s\S]*Hint: the tables are cameras, detections"):
        await reader.fetch("SELECT * FROM camras")


async def test_broken_sql_is_a_query_error_without_the_layers_between(reader):
    """The cause is the driver's own error, without SQLAlchemy's text."""
    with pytest.raises(QueryError, match="syntax error") as caught:
        await reader.fetch("SELEC FROM" if reader.dialect == "sqlite" else "SELECT FROM WHERE")
    assert "sqlalche.me" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("timeout_s", [None, 2.0**31, 1e30, float("inf")])
async def test_a_time_limit_may_be_as_long_as_it_likes(reader, timeout_s):
    assert (await reader.fetch("SELECT 1 AS one", timeout_s=timeout_s)).rows[0][0] == 1


@pytest.mark.parametrize("timeout_s", [0, -1.0, float("nan"), True, "30"])
async def test_a_time_limit_is_a_number_of_seconds(reader, timeout_s):
    with pytest.raises(BadInputError, match=r"timeout_s is .*Allowed: seconds above 0, or None"):
        await reader.fetch("SELECT 1 AS one", timeout_s=timeout_s)


async def test_a_parameter_without_a_value_is_told(reader):
    """Only given names are parameters, so the database meets the colon."""
    with pytest.raises(QueryError, match=r"Hint: what stands as :name in the query needs a value"):
        await reader.fetch("SELECT :x", {})


async def test_a_slow_query_is_stopped(reader):
    """The error holds the query and the seconds, and the next call works."""
    with pytest.raises(QueryTimeoutError, match=r"after 0\.3 s:\n(WITH|SELECT)"):
        await reader.fetch(SLOW[reader.dialect], timeout_s=0.3)
    assert len((await reader.fetch("SELECT id FROM cameras")).rows) == 2


async def test_a_cancelled_query_ends_on_the_server(postgres_reader):
    """No session is left active."""
    task = asyncio.create_task(postgres_reader.fetch(SLOW["postgresql"]))
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'"

    async def is_asleep() -> bool:
        return bool((await postgres_reader.fetch(asleep)).rows[0][0])

    await until(is_asleep)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await is_asleep()


async def test_a_cancelled_sqlite_query_frees_its_thread(sqlite_reader):
    """SQLite would otherwise stay at full load until the query ends."""
    before = set(threading.enumerate())

    async def is_at_work() -> bool:
        return bool(set(threading.enumerate()) - before)

    async def is_idle() -> bool:
        return not await is_at_work()

    task = asyncio.create_task(sqlite_reader.fetch(SLOW["sqlite"], timeout_s=None))
    await until(is_at_work)
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(is_idle)


async def test_postgres_session_is_read_only_and_named(postgres_reader):
    """An operator sees in pg_stat_activity who asks."""
    settings = "current_setting('transaction_read_only'), current_setting('application_name')"
    rows = await postgres_reader.fetch(
        f"SELECT {settings}, current_setting('statement_timeout')", timeout_s=5
    )
    assert tuple(rows.rows[0]) == ("on", "secnb", "8s")


async def test_postgres_json_stays_text(postgres_reader):
    """Parsing is for those who ask."""
    rows = await postgres_reader.fetch("""SELECT '{"a": 1}'::jsonb""")
    assert rows.rows[0][0] == '{"a": 1}'


@pytest.mark.parametrize("bad", [{"limit": -1}, {"limit": 1.5}, {"limit": True}, {"timeout_s": 0}])
async def test_senseless_limits_are_refused(sqlite_reader, bad):
    """With the value seen and those allowed."""
    with pytest.raises(BadInputError, match="Allowed"):
        await sqlite_reader.fetch("SELECT 1", **bad)


def test_a_missing_file_names_its_absolute_path(tmp_path):
    """And neither it nor its folder is created."""
    with pytest.raises(DatabaseNotFoundError, match=str(tmp_path / "none" / "security.db")):
        DatabaseReader(f"sqlite:///{tmp_path}/none/security.db")
    assert not (tmp_path / "none").exists()


def test_another_file_is_no_database(tmp_path):
    """The first bytes tell."""
    (tmp_path / "x.db").write_bytes(b"PK\x03\x04 something else entirely")
    with pytest.raises(UnreachableError, match="not a SQLite database"):
        DatabaseReader(f"sqlite:///{tmp_path}/x.db")


async def test_a_postgres_that_is_not_there_is_unreachable():
    """The message shows the URL without its password."""
    reader = DatabaseReader("postgresql://ann:hidden@127.0.0.1:1/none")
    with pytest.raises(UnreachableError, match=r"ann:\*\*\*@127") as caught:
        await reader.ping()
    assert "hidden" not in str(caught.value)
    await reader.close()


async def test_a_file_at_rest_is_left_without_a_trace(sqlite_reader, database_file):
    """mode=ro would leave -shm and -wal files of the analyst's beside it."""
    before = trace(database_file)
    rows = await sqlite_reader.fetch("SELECT id FROM cameras")
    assert (len(rows.rows), rows.source) == (2, "file at rest")
    assert trace(database_file) == before


async def test_a_live_file_shows_what_was_just_committed(sqlite_reader, database_file):
    """The service's -wal is read, and stays as it was."""
    service = sqlite3.connect(database_file)
    service.execute(
        "INSERT INTO cameras (id, name, folder_path, status, created_at) VALUES ('new', '', '', '', '')"
    )
    service.commit()
    before = trace(database_file)
    rows = await sqlite_reader.fetch("SELECT id FROM cameras")
    assert (len(rows.rows), rows.source) == (3, "live file")
    # The reader's place is noted in shared memory, which is how SQLite protects what it reads.
    assert trace(database_file).keys() == before.keys()
    assert trace(database_file)["security.db-wal"] == before["security.db-wal"]
    service.execute("DELETE FROM cameras")
    service.commit()
    service.close()
    assert (await sqlite_reader.fetch("SELECT id FROM cameras")).rows == []


def crash(path: Path) -> None:
    """Write a row and end without closing, as a killed service does."""
    code = f"""
import os, sqlite3
c = sqlite3.connect({str(path)!r})
c.execute("INSERT INTO cameras (id, name, folder_path, status, created_at) VALUES ('late', '', '', '', '')")
c.commit()
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


async def test_what_a_crash_left_is_read_and_left(sqlite_reader, database_file):
    """The rows of the -wal are there; its repair is the service's business."""
    crash(database_file)
    before = trace(database_file)
    assert {"security.db-wal", "security.db-shm"} <= before.keys()
    rows = await sqlite_reader.fetch("SELECT id FROM cameras")
    assert (len(rows.rows), rows.source) == (3, "live file")
    assert trace(database_file) == before


async def test_a_wal_without_shared_memory_is_read_as_a_private_copy(sqlite_reader, database_file):
    """Copied once, again when it changes, and removed in the end."""
    crash(database_file)
    (database_file.parent / "security.db-shm").unlink()
    before = trace(database_file)
    rows = await sqlite_reader.fetch("SELECT id FROM cameras")
    assert (len(rows.rows), rows.source) == (3, "private copy")
    copied = sqlite_reader._file._copy_folder
    await sqlite_reader.fetch("SELECT 1")
    assert sqlite_reader._file._copy_folder == copied
    assert trace(database_file) == before
    await sqlite_reader.close()
    assert not copied.exists()


async def test_a_rollback_journal_database_is_read_live(tmp_path):
    """Not every service uses WAL."""
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as service:
        service.execute("CREATE TABLE t (x)")
        service.execute("INSERT INTO t VALUES (1)")
    service.close()
    reader = DatabaseReader(f"sqlite:///{path}")
    before = trace(path)
    rows = await reader.fetch("SELECT x FROM t")
    assert ([tuple(row) for row in rows.rows], rows.source) == ([(1,)], "live file")
    assert trace(path) == before
    await reader.close()


async def test_a_hot_journal_is_read_as_a_private_copy(tmp_path):
    """A crashed writer's journal has to be rolled back, but not by us."""
    path = tmp_path / "old.db"
    code = f"""
import os, sqlite3
c = sqlite3.connect({str(path)!r}, isolation_level=None)
c.execute("CREATE TABLE t (x)")
c.execute("INSERT INTO t VALUES (1)")
c.execute("PRAGMA cache_size = 1")
c.execute("BEGIN")
for n in range(2000):
    c.execute("INSERT INTO t VALUES (zeroblob(2000))")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    assert (tmp_path / "old.db-journal").stat().st_size > 0
    before = trace(path)
    reader = DatabaseReader(f"sqlite:///{path}")
    rows = await reader.fetch("SELECT count(*) FROM t")
    assert ([tuple(row) for row in rows.rows], rows.source) == ([(1,)], "private copy")
    assert trace(path) == before
    await reader.close()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)
def test_another_user_leaves_no_file_behind(database_file):
    """The service, as its own user, can still write afterwards."""
    # Outside of pytest's folder, which other users cannot enter.
    folder = Path(tempfile.mkdtemp(prefix="secnb-test-"))
    path = Path(shutil.copy(database_file, folder / "security.db"))
    folder.chmod(0o777)
    for each in (folder, path):
        os.chown(each, 65533, 65533)
    code = f"""
import asyncio, os
from secnb.core.reader import DatabaseReader
async def look(url):
    reader = DatabaseReader(url)
    print((await reader.fetch("SELECT count(*) FROM cameras")).rows[0][0])
    await reader.close()
asyncio.run(look("sqlite:///{database_file}"))  # imports everything while it may
os.setgid(65534); os.setuid(65534)
asyncio.run(look("sqlite:///{path}"))
"""
    try:
        before = trace(path)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.stdout.split() == ["2", "2"], done.stderr
        assert trace(path) == before
        service = (
            "import os, sqlite3; os.setgid(65533); os.setuid(65533)\n"
            f"with sqlite3.connect('{path}') as service: service.execute('DELETE FROM cameras')"
        )
        done = subprocess.run([sys.executable, "-c", service], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    finally:
        shutil.rmtree(folder)


async def test_a_locked_file_is_said_to_be_locked(sqlite_reader, tmp_path, monkeypatch):
    """An exclusive lock is a state, not a broken query."""
    monkeypatch.setattr("secnb.core.sqlite_reader._BUSY_S", 0.1)
    path = tmp_path / "locked.db"
    service = sqlite3.connect(path, isolation_level=None)
    service.execute("CREATE TABLE t (x)")
    service.execute("BEGIN EXCLUSIVE")
    reader = DatabaseReader(f"sqlite:///{path}")
    with pytest.raises(UnreachableError, match=r"locked[\s\S]*Hint: try again; .* `fuser <file>` says who"):
        await reader.fetch("SELECT x FROM t")
    service.close()
    await reader.close()


async def test_a_damaged_file_is_told_how_to_be_saved(tmp_path):
    """The pages of one table are overwritten; the hint names what reads the others."""
    path = tmp_path / "damaged.db"
    with sqlite3.connect(path) as service:
        service.execute("CREATE TABLE t (x)")
        service.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 200)
    service.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    reader = DatabaseReader(f"sqlite:///{path}")
    with pytest.raises(UnreachableError, match=r"malformed\.\n\nHint: .*backup.*sqlite3 copy\.db \.recover"):
        await reader.fetch("SELECT x FROM t")
    await reader.close()


async def test_a_connection_that_is_cancelled_while_it_opens_is_closed(database_file, monkeypatch):
    """The file would stay open: aiosqlite forgets it."""
    opened, go_on = [], threading.Event()

    def open_slowly(*_):
        go_on.wait(10)
        opened.append(sqlite3.connect(database_file, check_same_thread=False))
        return opened[0]

    monkeypatch.setattr(SQLiteFile, "_open", open_slowly)
    opening = asyncio.create_task(SQLiteFile(database_file).connect())
    await asyncio.sleep(0.05)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    go_on.set()

    async def is_closed() -> bool:
        try:
            opened[0].execute("SELECT 1")
        except (IndexError, sqlite3.ProgrammingError):
            return bool(opened)
        return False

    await until(is_closed)


async def test_json_functions_work(sqlite_reader):
    """Event to detection membership is JSON, so table functions have to be allowed."""
    rows = await sqlite_reader.fetch("SELECT value FROM json_each('[1,2]')")
    assert [row[0] for row in rows.rows] == [1, 2]


async def test_special_characters_in_a_path(tmp_path):
    """A URI must not mistake them for its own."""
    path = tmp_path / "a b?c#d%20é.db"
    with sqlite3.connect(path) as service:
        service.execute("CREATE TABLE t (x)")
    service.close()
    connection = await SQLiteFile(path).connect()
    cursor = await connection.execute("SELECT name FROM sqlite_schema")
    assert [tuple(row) for row in await cursor.fetchall()] == [("t",)]
    await connection.close()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT nextval('detections_id_seq')",
        "WITH x AS (DELETE FROM cameras RETURNING *) SELECT * FROM x",
        "SELECT lo_create(0)",
        "SELECT query_to_xml('delete from cameras', true, false, '')",
    ],
)
async def test_refusals_while_rows_are_fetched_are_errors_of_ours(postgres_reader, query):
    """A capped read fetches through a cursor, whose errors come past SQLAlchemy."""
    with pytest.raises((ReadOnlyError, QueryError)):
        await postgres_reader.fetch(query, limit=10)
    assert len((await postgres_reader.fetch("SELECT id FROM cameras")).rows) == 2


async def test_text_objects_are_checked_like_text(postgres_reader):
    """A statement does not escape the check by its type."""
    with pytest.raises(ReadOnlyError, match="COMMIT"):
        await postgres_reader.fetch(text("COMMIT"))


@pytest.mark.parametrize("value", [2**70, "\ud800"])
async def test_values_that_cannot_be_sent_are_query_errors(sqlite_reader, value):
    """Not raw errors of Python."""
    with pytest.raises(QueryError, match="beyond what can be"):
        await sqlite_reader.fetch("SELECT :x", {"x": value})


def test_a_named_pipe_is_no_database(tmp_path):
    """Opening it would wait for ever."""
    os.mkfifo(tmp_path / "pipe.db")
    with pytest.raises(UnreachableError, match="no regular file"):
        DatabaseReader(f"sqlite:///{tmp_path}/pipe.db")


@pytest.mark.parametrize("limit", [None, 0, 1, 2499, 2500])
@pytest.mark.parametrize("form", [str, text])
async def test_pages_hold_every_row_once(reader, monkeypatch, limit, form):
    """Whoever takes them is told the columns first; nothing else keeps the rows."""
    monkeypatch.setattr("secnb.core.stoppable._PAGE", 1000)
    pages, names = [], []

    def begin(columns):
        names.append(columns)
        return pages.append

    numbers = NUMBERS[reader.dialect].replace(":top", "2500")
    rows = await reader.fetch(form(numbers), limit=limit, into=begin)
    assert names == [["x"]]
    assert [row[0] for page in pages for row in page] == list(range(1, 2501))[:limit]
    assert max(map(len, pages)) <= 1000
    assert (list(rows.rows), rows.total, rows.is_truncated) == ([], 2500, limit not in (None, 2500))


async def test_pages_of_a_statement_of_sqlalchemy(reader):
    """Its types make the values."""
    pages = []
    rows = await reader.fetch(
        select(Camera.id, Camera.created_at).order_by(Camera.id), into=lambda _: pages.append
    )
    found = [row for page in pages for row in page]
    assert ([row[0] for row in found], rows.total) == (["back", "front"], 2)
    assert all(row[1].tzinfo is not None for row in found)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("timestamptz", "0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00+00 BC"),
        ("timestamp", "20000-01-01 00:00:00", "20000-01-01 00:00:00"),
        ("date", "0044-03-15 BC", "0044-03-15 BC"),
        ("time", "24:00", "24:00:00"),
        ("timetz", "24:00+00", "24:00:00+00"),
        ("interval", "100000000 years 2 days", "1200000000 mons 2 days 0.0 secs"),
    ],
)
async def test_times_that_python_cannot_hold_come_as_text(postgres_reader, kind, value, expected):
    """The driver alone fails on them; the others in the same rows are times, whatever the server's style."""
    others = "timestamptz '2026-01-15 08:00:00.25+02', date '2026-01-15', timestamp 'infinity'"
    rows = await postgres_reader.fetch(f"SELECT {kind} '{value}', {others}")
    odd, at, on, last = rows.rows[0]
    assert (odd, type(odd)) == (expected, OddTime)
    assert (str(at), str(on), last.year) == ("2026-01-15 06:00:00.250000+00:00", "2026-01-15", 9999)
    assert (await postgres_reader.fetch("SELECT 1")).rows[0][0] == 1


@pytest.mark.parametrize(
    ("sign", "expected"), [("", timedelta.max), ("-", timedelta.min)], ids=["infinity", "-infinity"]
)
async def test_spans_beside_an_infinite_one(postgres_reader, sign, expected):
    """A time that is infinite less one that is not; the driver alone fails on it."""
    spans = "'-1 year -14 mons'", "'3 days -00:00:01.5'", "'1 year 2 mons 3 days'"
    odd = f"timestamptz '{sign}infinity' - timestamptz '2026-01-15'"
    rows = await postgres_reader.fetch(f"SELECT {odd}, {', '.join(f'interval {span}' for span in spans)}")
    ordinary = timedelta(days=-790), timedelta(days=3, seconds=-1.5), timedelta(days=428)
    assert tuple(rows.rows[0]) == (expected, *ordinary)
    assert (await postgres_reader.fetch(f"SELECT interval {spans[0]}")).rows[0][0] == ordinary[0]
    sent = await postgres_reader.fetch("SELECT :span = interval '3 days -00:00:01.5'", {"span": ordinary[1]})
    assert sent.rows[0][0]
