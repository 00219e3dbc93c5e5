"""Large results come from the reader process, by themselves, and nothing else about them changes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

import secnb
from secnb.core.bulk_process import missing_part
from secnb.errors import CallCancelledError, DegradedWarning, QueryError, QueryTimeoutError, TruncatedWarning

pytest.importorskip("adbc_driver_sqlite", reason="the extra bulk is missing")
pytestmark = pytest.mark.skipif(missing_part("sqlite") is not None, reason="no file can be handed over")

N_ROWS = 30_000
MAKE = f"""
CREATE TABLE detections (id INTEGER PRIMARY KEY, camera_id TEXT, file_path TEXT, detected_at DATETIME,
    object_type TEXT, confidence FLOAT, bbox_x INTEGER, thumbnail_path TEXT, api_key TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {N_ROWS})
    INSERT INTO detections SELECT i, 'c' || (i % 2), '/export/' || i || '.jpg',
        datetime(1767225600 + i, 'unixepoch') || '.000000', 'person', (i % 1000) / 1000.0,
        CASE WHEN i % 5 THEN i % 640 END, CASE WHEN i > 20000 THEN '/t/' || i END, 'topsecret' FROM n;
CREATE TABLE events (id INTEGER PRIMARY KEY, batch_id TEXT, camera_id TEXT, started_at DATETIME,
    ended_at DATETIME, risk_score INTEGER, risk_level TEXT, summary TEXT, reasoning TEXT, reviewed BOOLEAN);
INSERT INTO events SELECT id, 'b' || id, camera_id, detected_at, NULL, id % 100, 'low', 'x', NULL, id % 2
    FROM detections;
"""
# Half of the rows come at once; the next one takes very long.
SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i FROM n WHERE i < 20000 OR i < 0",
    "postgres": "SELECT i, CASE WHEN i > 20000 THEN (SELECT 'x' FROM pg_sleep(60)) END AS x "
    "FROM generate_series(1, 30000) AS i",
}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def shared(kind, request, tmp_path_factory):
    """Return a deployment with large tables, which are only read."""
    if kind == "sqlite":
        path = tmp_path_factory.mktemp("bulk") / "security.db"
        with closing(sqlite3.connect(path)) as database, database:
            database.executescript("PRAGMA journal_mode = WAL; CREATE TABLE cameras (id TEXT PRIMARY KEY);")
            database.executescript("INSERT INTO cameras VALUES ('c0'), ('c1');" + MAKE)
        with connected(f"sqlite:///{path}") as opened:
            yield opened
        return
    server = request.getfixturevalue("postgres_server")
    numbers = f"FROM generate_series(1, {N_ROWS}) AS i"
    server.psql(
        "CREATE DATABASE bulk;\n\\c bulk\n"
        "CREATE TABLE cameras (id text); INSERT INTO cameras VALUES ('c0'), ('c1');"
        "CREATE TABLE detections AS SELECT i AS id, 'c' || i % 2 AS camera_id, '/' || i AS file_path, "
        "timestamptz '2026-01-01Z' + i * interval '1 s' AS detected_at, 'person' AS object_type, "
        "i % 1000 / 1000.0::float8 AS confidence, CASE WHEN i % 5 > 0 THEN i % 640 END AS bbox_x, "
        f"CASE WHEN i > 20000 THEN '/t' END AS thumbnail_path, 'topsecret' AS api_key {numbers};"
        "CREATE TABLE events AS SELECT i AS id, 'b' || i AS batch_id, 'c' || i % 2 AS camera_id, "
        "timestamptz '2026-01-01Z' + i * interval '1 s' AS started_at, NULL::timestamptz AS ended_at, "
        f"i % 100 AS risk_score, 'low' AS risk_level, 'x' AS summary, i % 2 = 0 AS reviewed {numbers};"
    )
    with connected(server.get_uri(database="bulk")) as opened:
        yield opened
    server.psql("DROP DATABASE bulk WITH (FORCE);")


@pytest.fixture
def site(shared):
    """Return that deployment when its reader process runs."""
    warm(shared)
    return shared


def connected(url: str) -> secnb.Deployment:
    """Return a deployment without Redis."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegradedWarning)
        return secnb.connect(database_url=url, redis_url="unix:///nowhere")


def warm(site) -> None:
    """Wait until the reader process of a deployment runs."""

    async def started():
        return site._database._bulk.why_not() is None

    for _ in range(1000):
        if site.bridge.run(started()):
            return
        time.sleep(0.01)
    pytest.fail("the reader process did not start within 10 s")


@contextlib.contextmanager
def without_bulk(site):
    """Let the kernel read everything."""
    site._database._bulk._failure = "switched off"
    yield
    site._database._bulk._failure = None


CALLS = {
    "sql": lambda site: site.sql("SELECT * FROM detections ORDER BY id DESC", limit=None),
    "detections": lambda site: site.detections(),
    "detections since": lambda site: site.detections(since="2026-01-01 02:00", camera_id=["c1", "c0"]),
    "events": lambda site: site.events(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_large_result_is_the_same_by_either_path(site, call):
    large = call(site)
    with without_bulk(site):
        plain = call(site)
    pd.testing.assert_frame_equal(large, plain)
    assert (large.attrs["path"], large.attrs.get("why_rows")) == ("arrow", None)
    assert plain.attrs["path"] == "rows"
    assert plain.attrs["why_rows"] == "switched off"
    assert "why_rows" not in large.attrs
    differ = {"path", "why_rows", "seconds", "read_at"}
    assert {k: v for k, v in large.attrs.items() if k not in differ} == {
        k: v for k, v in plain.attrs.items() if k not in differ
    }


def test_a_small_result_needs_no_other_process(site):
    with pytest.warns(TruncatedWarning):
        frame = site.sql("SELECT * FROM detections")
    assert (frame.attrs["path"], "why_rows" in frame.attrs) == ("rows", False)


def test_a_cap_above_the_first_rows_counts_what_it_leaves_out(site):
    with pytest.warns(TruncatedWarning, match="showing 25 000 of 30 000 rows"):
        frame = site.sql("SELECT * FROM detections", limit=25_000)
    assert (frame.attrs["path"], len(frame), frame.attrs["total"]) == ("arrow", 25_000, N_ROWS)
    with pytest.warns(TruncatedWarning, match="showing 25 000 of 30 000 detections"):
        newest = site.detections(limit=25_000)
    assert (newest.attrs["path"], newest["detection_id"].iloc[0]) == ("arrow", 5_001)


@pytest.mark.parametrize("n_rows", [10_000, 10_001, 10_002])
@pytest.mark.parametrize("limit", [10_000, 10_001, None])
def test_a_result_just_around_the_limits_is_whole_and_counted(site, n_rows, limit):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncatedWarning)
        frame = site.sql("SELECT id FROM detections WHERE id <= :n ORDER BY id", {"n": n_rows}, limit=limit)
    n_shown = min(n_rows, limit or n_rows)
    assert frame["id"].tolist() == list(range(1, n_shown + 1))
    assert (frame.attrs["total"], frame.attrs["truncated"]) == (n_rows, n_shown < n_rows)
    assert frame.attrs["path"] == ("arrow" if n_shown > 10_000 else "rows")


def test_a_full_disk_is_said_and_the_kernel_reads(site, monkeypatch):
    with Path("/dev/full").open("r+b", buffering=0) as full:
        monkeypatch.setattr("secnb.core.bulk_process._nameless_file", lambda: contextlib.nullcontext(full))
        frame = site.detections()
    assert (len(frame), frame.attrs["path"]) == (N_ROWS, "rows")
    assert "No space left on device" in frame.attrs["why_rows"]
    monkeypatch.undo()
    assert site.detections().attrs["path"] == "arrow"


def test_no_place_for_a_file_is_said_and_the_kernel_reads(site, monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    frame = site.detections()
    assert (len(frame), frame.attrs["path"]) == (N_ROWS, "rows")
    assert "no place for a temporary file: No such file" in frame.attrs["why_rows"]


def test_secrets_are_masked(site):
    assert set(site.sql("SELECT * FROM detections", limit=None)["api_key"]) == {"***"}
    assert set(site.detections()["api_key"]) == {"***"}


def test_progress_counts_the_rows(site, monkeypatch):
    told = []
    monkeypatch.setattr("secnb.deployment.records.report_rows", told.append)
    site.sql("SELECT * FROM detections", limit=None)
    assert (told[0], told[-1]) == (1, N_ROWS)


def test_a_query_that_fails_late_fails_as_in_the_kernel(site):
    query = "SELECT id, CASE WHEN id < 25000 THEN 1 ELSE {} END AS x FROM detections ORDER BY id"
    bad = {"sqlite": "json_extract('{', '$')", "postgresql": "1 / (id - id)"}[site._database.dialect]
    with pytest.raises(QueryError, match=r"malformed JSON|division by zero"):
        site.sql(query.format(bad), limit=None)
    assert site.sql("SELECT * FROM detections", limit=None).attrs["path"] == "arrow"


def test_a_process_that_was_killed_is_replaced(site):
    os.kill(site._database._bulk._process.pid, signal.SIGKILL)
    frame = site.sql("SELECT * FROM detections", limit=None)
    assert (len(frame), frame.attrs["path"]) in [(N_ROWS, "rows"), (N_ROWS, "arrow")]
    warm(site)
    assert site.sql("SELECT * FROM detections", limit=None).attrs["path"] == "arrow"


def active(request) -> str:
    """Return how many queries of ours the server works on."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)%'"
    server = request.getfixturevalue("postgres_server")
    return server.psql(f"COPY ({query} AND pid <> pg_backend_pid()) TO STDOUT;").strip()


def test_cancel_ends_the_query_on_the_server_and_the_process(site, kind, request, in_thread, running):
    pid = site._database._bulk._process.pid
    outcome, thread = in_thread(site.sql, SLOW[kind], limit=None, timeout_s=None)
    number = running(site, progress=True)
    time.sleep(0.3)
    if kind == "postgres":
        assert active(request) == "1"
    site.cancel(number)
    thread.join(5)
    assert isinstance(outcome[0], CallCancelledError)
    assert not Path(f"/proc/{pid}").exists()
    if kind == "postgres":
        assert active(request) == "0"
    warm(site)
    assert site.sql("SELECT * FROM detections", limit=None).attrs["path"] == "arrow"


def test_a_time_limit_holds(site, kind, request):
    with pytest.raises(QueryTimeoutError, match=r"stopped after 0\.7 s"):
        site.sql(SLOW[kind], limit=None, timeout_s=0.7)
    if kind == "postgres":
        assert active(request) == "0"


def test_a_killed_kernel_leaves_no_query_on_the_server(postgres_url, request):
    code = f"""
        import secnb, time, warnings
        warnings.simplefilter("ignore")
        site = secnb.connect(database_url={postgres_url!r}, redis_url="unix:///nowhere")
        while site.sql("SELECT generate_series(1, 20000)", limit=None).attrs["path"] != "arrow":
            time.sleep(0.01)
        print("ready", flush=True)
        site.sql({SLOW["postgres"]!r}, limit=None, timeout_s=None)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as kernel:
        assert kernel.stdout.readline() == "ready\n"
        wait_until(lambda: active(request) == "1")
        time.sleep(0.3)
        kernel.kill()
    wait_until(lambda: active(request) == "0")


@pytest.mark.parametrize("is_reading", [False, True], ids=["idle", "reading"])
def test_the_end_of_the_interpreter_is_silent(site, kind, is_reading):
    """Nobody has to close, and nothing waits for what still runs."""
    code = f"""
        import secnb, secnb.errors, threading, time, warnings
        warnings.simplefilter("ignore", secnb.errors.DegradedWarning)
        site = secnb.connect(database_url={str(site._hidden_url)!r}, redis_url="unix:///nowhere")
        while site.sql("SELECT * FROM detections", limit=None).attrs["path"] != "arrow":
            time.sleep(0.01)
        print(site._database._bulk._process.pid, flush=True)
        def slow():
            site.sql({SLOW[kind]!r}, limit=None, timeout_s=None)
        if {is_reading}:
            threading.Thread(target=slow, daemon=True).start()
            time.sleep(0.5)
    """
    command = [sys.executable, "-W", "default", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    # A busy machine may show progress.
    assert (done.returncode, re.findall("Traceback|Error|Warning", done.stderr)) == (0, [])
    wait_until(lambda: not Path(f"/proc/{done.stdout.strip()}").exists())


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def wait_until(holds) -> None:
    for _ in range(100):
        if holds():
            return
        time.sleep(0.05)
    pytest.fail("it did not come to that within 5 s")


def test_the_extra_is_not_needed(site, monkeypatch):
    monkeypatch.setattr(
        "secnb.core.bulk_reader.missing_part", lambda _: "pyarrow is not installed (extra bulk)"
    )
    with connected(site._hidden_url) as other:
        frame = other.detections()
    assert (len(frame), frame.attrs["why_rows"]) == (N_ROWS, "pyarrow is not installed (extra bulk)")


WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("PRAGMA wal_autocheckpoint = 20")
print("ready", flush=True)
began, n = time.monotonic(), 0
while time.monotonic() - began < float(sys.argv[2]):
    connection.execute("INSERT INTO detections (camera_id, file_path) VALUES ('w', 'written')")
    n += 1
    time.sleep(0.001)
print(n, flush=True)
sys.stdin.read()
"""


def test_no_row_of_a_writer_is_lost_and_no_lock_dropped(tmp_path, make_database):
    """A service writes and checkpoints while the file is read whole, again and again, by both libraries."""
    path = make_database(tmp_path / "security.db")
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(MAKE)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), "4"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as service:
        assert service.stdout.readline() == "ready\n"
        paths, counts = set(), []
        with connected(f"sqlite:///{path}") as site:
            warm(site)
            ends = time.monotonic() + 3.5
            while time.monotonic() < ends:
                frame = site.sql("SELECT id, camera_id FROM detections", limit=None)
                paths.add((frame.attrs["path"], frame.attrs["source"]))
                counts.append(len(frame))
                # Each read is one statement: no row twice, none missing between two others.
                assert frame["id"].tolist() == list(range(1, len(frame) + 1))
            n_written = int(service.stdout.readline())
            last = site.sql("SELECT id FROM detections", limit=None)
        assert (counts, paths) == (sorted(counts), {("arrow", "live file")})
        assert len(last) == N_ROWS + n_written
        assert names(tmp_path) == ["security.db", "security.db-shm", "security.db-wal"]
        service.stdin.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM detections").fetchone() == (N_ROWS + n_written,)
    assert names(tmp_path) == ["security.db"]


SECOND_USER = """
import os, sys, time, warnings, secnb
warnings.simplefilter("ignore")
def read():
    with secnb.connect(database_url=sys.argv[1], redis_url="unix:///nowhere") as site:
        for _ in range(500):
            frame = site.sql("SELECT * FROM detections", limit=None)
            why = frame.attrs.get("why_rows", "")
            if frame.attrs["path"] == "arrow" or "Permission" in why:
                break
            time.sleep(0.01)
        print(frame.attrs["path"], frame.attrs["source"], len(frame), why, flush=True)
# What is imported late may lie in a folder that the other user cannot read.
read()
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
read()
"""


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become somebody else"
)
def test_a_second_user_reads_beside_the_service_and_leaves_nothing(make_database):
    """Somebody who may read the file and nothing else, while its service has it open."""
    # pytest's own folder is not for others.
    with tempfile.TemporaryDirectory(prefix="secnb-second-") as folder:
        Path(folder).chmod(0o755)
        path = make_database(Path(folder) / "security.db")
        with closing(sqlite3.connect(path)) as service:
            service.executescript(MAKE)
            before = [(each.name, each.stat().st_uid) for each in sorted(Path(folder).iterdir())]
            command = [sys.executable, "-c", SECOND_USER, f"sqlite:///{path}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)
            assert done.returncode == 0, done.stderr
            first, second = done.stdout.splitlines()
            assert first == f"arrow live file {N_ROWS} "
            # Where others may not run this Python, the kernel reads and says why.
            assert second.startswith((f"arrow live file {N_ROWS}", f"rows live file {N_ROWS} [Errno 13]"))
            assert [(each.name, each.stat().st_uid) for each in sorted(Path(folder).iterdir())] == before
            service.execute("DELETE FROM events")


def test_a_file_at_rest_gets_no_company(tmp_path, make_database):
    path = make_database(tmp_path / "security.db")
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(MAKE)
    with connected(f"sqlite:///{path}") as site:
        warm(site)
        frame = site.detections()
        assert (frame.attrs["path"], frame.attrs["source"]) == ("arrow", "file at rest")
    assert names(tmp_path) == ["security.db"]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_file_that_wakes_up_meanwhile_gives_each_row_once(tmp_path, make_database, monkeypatch, call):
    """What was read of a file at rest counts only if nobody wrote to it; then it is read anew."""
    path = make_database(tmp_path / "security.db")
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(MAKE)
    with connected(f"sqlite:///{path}") as site:
        warm(site)
        expected = call(site)
        touched = []

        def touch(n_rows):
            if n_rows > 20_000 and not touched:
                touched.append(n_rows)
                os.utime(path)

        monkeypatch.setattr("secnb.deployment.records.report_rows", touch)
        pd.testing.assert_frame_equal(call(site), expected)
        assert touched


def test_what_only_a_private_copy_can_show_is_shown(tmp_path, make_database):
    """A service that ended without tidying up; its last rows are in the -wal, and -shm is gone."""
    path = make_database(tmp_path / "security.db")
    crashed = tmp_path / "crashed" / "security.db"
    crashed.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        with database:
            database.executescript(MAKE)
        for suffix in ("", "-wal"):
            crashed.with_name(f"security.db{suffix}").write_bytes(
                path.with_name(f"security.db{suffix}").read_bytes()
            )
    with connected(f"sqlite:///{crashed}") as site:
        warm(site)
        frame = site.detections()
        assert (frame.attrs["path"], frame.attrs["source"], len(frame)) == ("arrow", "private copy", N_ROWS)
    assert names(crashed.parent) == ["security.db", "security.db-wal"]
