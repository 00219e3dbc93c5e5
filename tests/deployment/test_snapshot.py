"""A snapshot answers like the site did; it is whole or not there, holds no secret, and changes nothing."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import asyncpg
import nbformat
import pandas as pd
import pytest
import redis
import zstandard

import secnb
from secnb import schema
from secnb.deployment import snapshots
from secnb.errors import (
    BadInputError,
    CallCancelledError,
    ClosedError,
    DegradedWarning,
    MissingDependencyError,
    SnapshotError,
    TruncatedWarning,
    UnknownDetectionError,
    UnreachableError,
)

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "10_inspect.ipynb"
SERVICES = ("RTDETR_URL", "NEMOTRON_URL")
NOWHERE = "redis://127.0.0.1:1/0"
HIDDEN = "hunter2Zq"
MOVING = ["ttl_s", "latency_ms", "age_s", "idle_s", "closes_in_s", "oldest_age_s", "freshness_s"]
UGLY = """
CREATE TABLE cameras (id TEXT PRIMARY KEY, name TEXT, rtsp_password TEXT, rtsp_url TEXT, notes);
CREATE TABLE detections (id INTEGER PRIMARY KEY, camera_id TEXT, detected_at DATETIME, confidence, bbox_x);
CREATE TABLE events (id INTEGER PRIMARY KEY, camera_id TEXT, started_at DATETIME, risk_score, summary TEXT);
CREATE TABLE "odd / name" ("a ""b"" c" BLOB, "x:y");
CREATE TABLE logs (id INTEGER PRIMARY KEY, timestamp DATETIME, message TEXT);
CREATE VIEW worst AS SELECT * FROM events;
"""


@pytest.fixture(autouse=True)
def nothing_listens(monkeypatch):
    """Keep what runs on the default ports of this machine out of the tests."""
    for name in SERVICES:
        monkeypatch.setenv(name, "http://127.0.0.1:1")


@pytest.fixture(scope="module")
def sample():
    """Return a sandbox, in which nothing runs."""
    with secnb.sandbox(ends_at="2026-03-15 18:00", incident="stuck_reasoner") as site:
        yield site


@pytest.fixture(scope="module")
def folder(sample, tmp_path_factory):
    """Return the folder of a snapshot of all of it."""
    path = tmp_path_factory.mktemp("taken") / "incident" / "first"
    with pytest.MonkeyPatch.context() as patched:
        for name in SERVICES:
            patched.setenv(name, "http://127.0.0.1:1")
        sample.snapshot(path, hours=None)
    return path


@pytest.fixture(scope="module")
def kept(folder):
    """Return the snapshot, opened."""
    with secnb.connect(folder) as site:
        yield site


def make_ugly(path: Path) -> Path:
    """Write a database with what SQLite lets into its columns."""
    with sqlite3.connect(path) as connection:
        connection.executescript(UGLY)
        connection.executemany(
            "INSERT INTO cameras VALUES (?, ?, ?, ?, ?)",
            [
                ("porch", "Porch", HIDDEN, f"rtsp://ann:{HIDDEN}@cam/1", f"see rtsp://ann:{HIDDEN}@cam/1"),
                ("gate", b"\xff\x00", None, None, json.dumps({"auth": {"password": HIDDEN}})),
                ("bin", "B", 12345, "", 2.5),
            ],
        )
        connection.executemany(
            "INSERT INTO detections VALUES (?, ?, ?, ?, ?)",
            [
                (1, "porch", "2026-03-15 08:00:00.000000", 0.5, 1),
                (2, "porch", "2026-03-15 09:00:00.000000", "high", b"\x01"),
                (3, "gate", "0000-00-00", float("inf"), 2**63 - 1),
                (4, None, None, None, None),
                (5, "gate", "9999-12-31 23:59:59", 0.25, -(2**63)),
                (6, "gate", "2026-03-13 09:00:00.000000", 0.75, 0),
            ],
        )
        connection.execute(
            "INSERT INTO events VALUES (1, 'porch', '2026-03-15 08:00:00', '75', CAST(x'e9ff' AS TEXT))"
        )
        connection.execute('INSERT INTO "odd / name" VALUES (?, ?)', [b"\x00", "colon"])
        connection.execute(f"INSERT INTO logs VALUES (1, '2026-03-15 08:00:00', 'API_KEY={HIDDEN} refused')")
    connection.close()
    return path


def fill(url: str) -> None:
    """Write what a queue may hold, and secrets in all places."""
    packed = zstandard.ZstdCompressor().compress(json.dumps({"rtsp_url": f"rtsp://a:{HIDDEN}@b"}).encode())
    with redis.Redis.from_url(url) as client:
        client.rpush("detection_queue", "{", b"\xff\xfe", '{"n": 18446744073709551617}', '"\\ud800"', "")
        client.rpush("analysis_queue", json.dumps({"url": f"http://u:{HIDDEN}@x", "batch_id": "b"}))
        client.rpush("analysis_queue", b"Z:" + base64.b64encode(packed))
        client.set("hsi:cache:cameras", json.dumps([{"id": "porch", "rtsp_password": HIDDEN}]))
        client.set("session:token:1", HIDDEN)
        client.set(b"name\xff", b"\x00\xff")
        client.xadd("detections:stream", {"camera_id": "porch", "password": HIDDEN, "file_path": "/x"})
        client.xgroup_create("detections:stream", "detection-workers", id="0")
        client.hset("hash", "password", HIDDEN)


@pytest.fixture
def ugly(tmp_path, redis_url):
    """Return a deployment with ugly data, and with secrets in its settings too."""
    (tmp_path / "site").mkdir()
    path = make_ugly(tmp_path / "site" / "security.db")
    fill(redis_url)
    with secnb.connect(database_url=f"sqlite:///{path}?password={HIDDEN}", redis_url=redis_url) as site:
        yield site


def execute(url: str, *statements: str) -> None:
    """Run statements as the owner of a PostgreSQL database."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def connect_warned(folder: Path, kind: type[Warning], match: str):
    """Open a snapshot that says what is not in it."""
    with pytest.warns(kind, match=match):
        return secnb.connect(folder)


def assert_same(mine: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Check equality, with some seconds' play for what counts from now."""
    moving = [name for name in MOVING if name in mine.columns]
    pd.testing.assert_frame_equal(mine.drop(columns=moving), theirs.drop(columns=moving), check_exact=True)
    pd.testing.assert_frame_equal(mine[moving], theirs[moving], check_exact=False, rtol=0, atol=60)


# -- as the site was -------------------------------------------------------------------------------

CALLS = {
    "settings": {},
    "queues": {},
    "open_batches": {},
    "dead_letters": {},
    "keys": {},
    "cache": {},
    "pipeline": {},
    "cameras": {},
    "detections": {},
    "events": {},
    "health": {},
}


@pytest.mark.parametrize("call", CALLS)
def test_a_helper_answers_as_on_the_site(sample, kept, call):
    """The same rows in the same types."""
    assert_same(getattr(kept, call)(), getattr(sample, call)())


@pytest.mark.parametrize("name", ["detection_queue", "analysis_queue", "dlq:detection_queue"])
@pytest.mark.parametrize("side", ["head", "tail"])
def test_messages_are_as_on_the_site(sample, kept, name, side):
    """Poisoned ones too."""
    assert_same(kept.peek(name, 20, side=side), sample.peek(name, 20, side=side))


def test_queries_are_as_on_the_site(sample, kept):
    """With parameters, and with the truth of the sandbox."""
    query = "SELECT camera_id, count(*) AS n FROM detections WHERE id > :n GROUP BY 1 ORDER BY 1"
    assert_same(kept.sql(query, {"n": 100}), sample.sql(query, {"n": 100}))
    pd.testing.assert_frame_equal(kept.truth, sample.truth)


def test_where_the_pipeline_is_stuck_is_as_on_the_site(sample, kept):
    """In the same words."""
    assert "reasoner is stuck" in kept.pipeline().attrs["summary"]
    assert kept.pipeline().attrs["summary"] == sample.pipeline().attrs["summary"]


async def test_the_other_face_answers_too(kept):
    assert len(await kept.queues.aio()) == len(kept.queues())


def test_every_frame_says_that_it_is_from_a_snapshot(kept, folder):
    """And from which moment."""
    taken_at = json.loads((folder / "manifest.json").read_text())["taken_at"]
    for call in CALLS:
        attrs = getattr(kept, call)().attrs
        assert (attrs["source"], attrs["read_at"]) == ("snapshot", taken_at)


def test_it_shows_what_it_is(kept):
    """Where it is from, from when, and that it is synthetic."""
    shown = repr(kept)
    assert shown.startswith("<Snapshot sqlite+aiosqlite:///")
    assert f"taken at {kept.taken_at:%Y-%m-%d %H:%M:%S} UTC>\nSynthetic" in shown


def test_ages_count_from_the_moment_of_the_snapshot(tmp_path, redis_url, database):
    """However much later it is opened."""
    with redis.Redis.from_url(redis_url) as client:
        client.rpush("detection_queue", json.dumps({"timestamp": 1_700_000_000, "camera_id": "c"}))
    with secnb.connect(database_url=f"sqlite:///{database}", redis_url=redis_url) as site:
        site.snapshot(tmp_path / "s")
    manifest = json.loads((tmp_path / "s" / "manifest.json").read_text())
    manifest["taken_at"] = datetime.fromtimestamp(1_700_000_060, UTC).isoformat()
    (tmp_path / "s" / "manifest.json").write_text(json.dumps(manifest))
    with secnb.connect(tmp_path / "s") as kept:
        assert kept.peek("detection_queue")["age_s"].tolist() == [60.0]
        assert kept.pipeline().attrs["as_of"] == manifest["taken_at"]
        assert kept.pipeline().set_index("stage").loc["detection_queue", "oldest_age_s"] == 60.0


def test_the_notebook_of_an_incident_runs_on_it(folder):
    """From top to bottom, with one line changed."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    assert "secnb.connect()" in code
    given = {"display": lambda _: None}
    exec(code.replace("secnb.connect()", f"secnb.connect({str(folder)!r})"), given)  # noqa: S102 - our own
    assert given["waiting"]["ok"].any()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda site: site.tail("events", 1), "Nothing is published in a snapshot"),
        (lambda site: site.queues(watch_s=1), "one moment, in which nothing moves"),
        (lambda site: site.show(1, embed=True), "No image is in a snapshot"),
        (lambda site: site.snapshot("again"), "This is a snapshot already"),
    ],
)
def test_what_only_a_live_site_can_do_is_refused(kept, call, match):
    with pytest.raises(SnapshotError, match=rf"{match}[\s\S]*Hint: "):
        call(kept)


def test_a_detection_is_shown_without_its_image(kept):
    assert "No image: the image is off" in repr(kept.show(1))


# -- what is written -------------------------------------------------------------------------------


def test_the_frame_lists_what_was_written(sample, tmp_path):
    """With size and number of rows, and from when on."""
    frame = sample.snapshot(tmp_path / "s")
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema.SNAPSHOT)
    assert set(frame["file"]) == {path.name for path in (tmp_path / "s").iterdir()}
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "s").iterdir()}
    assert dict(zip(frame["file"], frame["size_bytes"], strict=True)) == sizes
    assert not frame["truncated"].any()
    assert frame.attrs["folder"] == str(tmp_path / "s")
    why = frame.set_index("file")["why"]
    assert why["detections.parquet"].startswith("from 2026-03-14 ")
    assert pd.isna(why["cameras.parquet"])


def test_the_default_is_the_last_day_of_the_history(sample, tmp_path):
    """Counted from the newest record, not from today."""
    why = sample.snapshot(tmp_path / "s").set_index("file")["why"]["detections.parquet"]
    with secnb.connect(tmp_path / "s") as kept:
        since = why.removeprefix("from ").removesuffix(" UTC on")
        assert_same(kept.detections(), sample.detections(since=since))
        assert_same(kept.events(), sample.events(since=since))
        assert kept.detections().attrs["left_out"]["table detections"] == why


def test_the_last_day_is_that_day_whatever_the_form_of_times(database, site, tmp_path):
    """As text, a time with an offset to the west is before its day."""
    west = timezone(timedelta(hours=-12))
    stamps = [datetime(2026, 1, 15, tzinfo=west) + timedelta(hours=n) for n in range(72)]
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute(
            "CREATE TABLE detections (id INTEGER PRIMARY KEY, camera_id TEXT, detected_at TEXT)"
        )
        rows = [("c0", each.isoformat()) for each in stamps]
        connection.executemany("INSERT INTO detections (camera_id, detected_at) VALUES (?, ?)", rows)
        connection.commit()
    site.snapshot(tmp_path / "s")
    with secnb.connect(tmp_path / "s") as kept:
        assert kept.detections()["detected_at"].tolist() == stamps[-25:]


def test_a_row_cap_keeps_the_newest_and_says_so(sample, tmp_path):
    """How many there are is counted."""
    with pytest.warns(TruncatedWarning, match=r"Not all is in the snapshot: table detections \(700 of "):
        frame = sample.snapshot(tmp_path / "s", hours=None, limit=700).set_index("file")
    n_all = int(sample.sql("SELECT count(*) AS n FROM detections")["n"][0])
    row = frame.loc["detections.parquet"]
    assert (row["rows"], row["truncated"]) == (700, True)
    assert row["why"] == f"700 of {n_all:,} rows, the newest by id"
    with connect_warned(tmp_path / "s", TruncatedWarning, "table detections") as kept:
        newest = sample.sql("SELECT * FROM detections ORDER BY id DESC LIMIT 700").iloc[::-1]
        assert_same(kept.sql("SELECT * FROM detections"), newest.reset_index(drop=True))


def test_ugly_data_comes_back_as_it_was(ugly, tmp_path):
    """Types that drift, bytes, text that is not UTF-8, impossible times; each poison message is a row."""
    frame = ugly.snapshot(tmp_path / "s", hours=None)
    with secnb.connect(tmp_path / "s") as kept:
        for table in ("detections", "events", '"odd / name"'):
            query = f"SELECT * FROM {table}"
            assert_same(kept.sql(query), ugly.sql(query))
            types = f"SELECT {', '.join(f'typeof({c})' for c in ('id', 'camera_id'))} FROM events"
            assert_same(kept.sql(types), ugly.sql(types))
        for call in ("detections", "events", "queues", "keys"):
            assert_same(getattr(kept, call)(), getattr(ugly, call)())
        assert_same(kept.peek("detection_queue"), ugly.peek("detection_queue"))
    said = frame.set_index("what")["why"]
    assert said["table detections"] == "several types in confidence, bbox_x, as JSON text"


def test_postgres_comes_back_in_the_same_vocabulary(postgres_url, redis_url, tmp_path):
    """Also what Python has no time for, and types that SQLite does not have."""
    execute(
        postgres_url,
        "CREATE TABLE cameras (id text PRIMARY KEY, name text, created_at timestamptz, settings jsonb)",
        "CREATE TABLE detections (id bigserial PRIMARY KEY, camera_id text, detected_at timestamptz,"
        " confidence float8, labels jsonb, tags text[], size numeric)",
        "CREATE TABLE events (id serial PRIMARY KEY, batch_id text, camera_id text, started_at timestamp,"
        " risk_score int, reviewed boolean)",
        'CREATE TABLE old ("when" timestamptz, n int)',
        "CREATE TABLE odd (id uuid PRIMARY KEY, a inet, b interval, c numeric, d date)",
        "INSERT INTO cameras VALUES ('porch', 'P', '2026-01-01', '{\"password\": \"" + HIDDEN + "\"}')",
        "INSERT INTO detections (camera_id, detected_at, confidence, labels, tags, size) VALUES"
        " ('porch', '2026-03-15 08:00+00', 0.5, '[1]', '{a,b}', 5), ('porch', '2026-03-15 09:00+00',"
        " 'NaN', NULL, NULL, 12345678901234567890)",
        "INSERT INTO events (batch_id, camera_id, started_at, risk_score, reviewed) VALUES"
        " ('b', 'porch', '2026-03-15 08:00', 75, true)",
        "INSERT INTO old VALUES ('0044-03-15 BC', 1), ('infinity', 2)",
        "INSERT INTO odd VALUES (gen_random_uuid(), '10.0.0.1', '1 hour', 1.5, '2026-03-15')",
    )
    with secnb.connect(database_url=postgres_url, redis_url=redis_url) as site:
        frame = site.snapshot(tmp_path / "s").set_index("what")
        assert frame.loc["table old", "why"] == "several types in when, as JSON text"
        with secnb.connect(tmp_path / "s") as kept:
            for call in ("events", "queues"):
                assert_same(getattr(kept, call)(), getattr(site, call)())
            assert kept.cameras()["settings"].tolist() == ['{"password": "***"}']
            # SQLite has neither arrays nor numbers of such a length: they are text.
            assert kept.detections()["tags"][0] == '["a", "b"]'
            assert kept.detections()["size"].tolist() == [5, "12345678901234567890"]
            names = [name for name in site.detections() if name not in ("tags", "size")]
            assert_same(kept.detections(columns=names), site.detections(columns=names))
            assert kept.health()["version"][0] == site.health()["version"][0]
            assert kept.sql('SELECT "when" FROM old ORDER BY n')["when"].tolist()[0].endswith("BC")
            found = kept.sql("SELECT a, b, c, d FROM odd").iloc[0].tolist()
            assert found == ["10.0.0.1", 3600.0, 1.5, "2026-03-15"]


def test_no_byte_holds_a_secret(ugly, tmp_path):
    """Neither in a file nor in what the files are packed from; the site shows what it showed."""
    ugly.snapshot(tmp_path / "s", hours=None)
    kept = secnb.connect(tmp_path / "s")
    frames = [kept.sql(f'SELECT * FROM "{name}"') for name in ("cameras", "detections", "logs")]
    frames += [kept.cache("*"), kept.peek("analysis_queue"), kept.peek("detections:stream"), kept.health()]
    shown = "".join(str(frame.to_dict("list")) for frame in frames) + repr(kept)
    kept.close()
    for path in (tmp_path / "s").iterdir():
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += str(pd.read_parquet(path).to_dict("list")).encode()
        assert HIDDEN.encode() not in content, path
        assert base64.b64encode(HIDDEN.encode()) not in content, path
    assert HIDDEN not in shown
    assert "rtsp://ann:***@cam/1" in shown


def test_nothing_on_the_site_is_changed(ugly, tmp_path, redis_url):
    """Neither the database nor what lies beside it, nor a key."""
    before = {path.name: path.read_bytes() for path in (tmp_path / "site").iterdir()}
    with redis.Redis.from_url(redis_url) as client:
        keys = {key: client.dump(key) for key in client.scan_iter()}
        ugly.snapshot(tmp_path / "s")
        assert {key: client.dump(key) for key in client.scan_iter()} == keys
    assert {path.name: path.read_bytes() for path in (tmp_path / "site").iterdir()} == before


# -- parts that are missing ------------------------------------------------------------------------


def test_a_site_without_redis(database, tmp_path):
    """The database is served, and Redis says what it said then."""
    with pytest.warns(DegradedWarning, match="without Redis"):
        site = secnb.connect(database_url=f"sqlite:///{database}", redis_url=NOWHERE)
    with site, pytest.warns(DegradedWarning, match=r"Not all is in the snapshot: keys of Redis \(Redis at"):
        frame = site.snapshot(tmp_path / "s").set_index("what")
    assert (pd.isna(frame.loc["keys of Redis", "file"]), frame.loc["keys of Redis", "truncated"]) == (
        True,
        True,
    )
    assert "does not answer" in frame.loc["keys of Redis", "why"]
    with pytest.warns(DegradedWarning, match="without Redis: When the snapshot was taken: Redis at"):
        kept = secnb.connect(tmp_path / "s")
    with kept:
        assert len(kept.cameras()) == 2
        assert kept.health()["status"].tolist() == ["up", "down", "down", "down"]
        assert kept.pipeline().set_index("stage").loc["detection_queue", "status"] == "unknown"
        with pytest.raises(UnreachableError, match=r"snapshot was taken: Redis at .* does not answer"):
            kept.queues()


def test_a_site_without_a_database(redis_url, tmp_path):
    """Redis is served, and the database says what it said then."""
    fill(redis_url)
    with pytest.warns(DegradedWarning, match="without the database"):
        site = secnb.connect(redis_url=redis_url)
    with site, pytest.warns(DegradedWarning, match=r"tables of the database \(There is no database"):
        frame = site.snapshot(tmp_path / "s").set_index("what")
    row = frame.loc["tables of the database"]
    assert (pd.isna(row["file"]), row["truncated"], pd.isna(row["rows"])) == (True, True, True)
    with pytest.warns(DegradedWarning, match="without the database: When"):
        kept = secnb.connect(tmp_path / "s")
    with kept:
        assert len(kept.peek("detection_queue")) == 5
        with pytest.raises(UnreachableError, match="When the snapshot was taken: There is no database at"):
            kept.cameras()


def test_a_site_that_is_gone(database, redis_url, start_redis_server, tmp_path):
    """Nothing is left behind."""
    server = start_redis_server()
    with secnb.connect(database_url=f"sqlite:///{database}", redis_url=server.url) as site:
        server.process.kill()
        server.process.wait()
        database.unlink()
        with pytest.raises(UnreachableError, match=r"Nothing answers: There is no database.*Redis at"):
            site.snapshot(tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_table_that_may_not_be_read_is_said(postgres_url, redis_url, tmp_path):
    """The others are there."""
    execute(
        postgres_url,
        "CREATE TABLE cameras (id text PRIMARY KEY)",
        "INSERT INTO cameras VALUES ('porch')",
        "CREATE TABLE api_keys (id int, key_hash text)",
        "CREATE TABLE hidden (id int)",
        "DROP ROLE IF EXISTS reader_of_snapshots",
        "CREATE ROLE reader_of_snapshots LOGIN",
        "GRANT SELECT ON cameras TO reader_of_snapshots",
        "CREATE FUNCTION refuse() RETURNS bool LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION ''not for you''; END'",
        "ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY nobody ON api_keys USING (refuse())",
        "INSERT INTO api_keys VALUES (1, 'x')",
        "GRANT SELECT ON api_keys TO reader_of_snapshots",
    )
    url = postgres_url.replace("postgres:@", "reader_of_snapshots:@")
    assert url != postgres_url
    with (
        secnb.connect(database_url=url, redis_url=redis_url) as site,
        pytest.warns(DegradedWarning, match=r"table api_keys \(.*not for you.*table hidden \(this role may"),
    ):
        frame = site.snapshot(tmp_path / "s").set_index("what")
    execute(postgres_url, "DROP OWNED BY reader_of_snapshots; DROP ROLE reader_of_snapshots")
    assert frame.loc["table cameras", "rows"] == 1
    row = frame.loc["table api_keys"]
    assert (pd.isna(row["file"]), row["truncated"]) == (True, True)
    assert "not for you" in row["why"]
    assert frame.loc["table hidden", "why"] == "this role may not read it"
    with connect_warned(tmp_path / "s", DegradedWarning, "table api_keys") as kept:
        assert kept.cameras()["camera_id"].tolist() == ["porch"]


def test_a_database_that_goes_away_meanwhile(site, database, tmp_path, monkeypatch):
    """What could not be read is said, by table; Redis is there."""
    read = snapshots.read_recent

    async def read_too_late(reader, table, **options):
        database.unlink()
        return await read(reader, table, **options)

    monkeypatch.setattr(snapshots, "read_recent", read_too_late)
    with pytest.warns(DegradedWarning, match=r"table cameras \(There is no database"):
        frame = site.snapshot(tmp_path / "s").set_index("what")
    assert "There is no database" in frame.loc["table cameras", "why"]
    assert frame.loc["keys of Redis", "file"] == "redis.jsonl"


def test_a_locked_database_is_said(tmp_path, make_database, redis_url, monkeypatch):
    """Redis is there."""
    monkeypatch.setattr("secnb.core.sqlite_reader._BUSY_S", 0.2)
    path = make_database(tmp_path / "old.db", journal="delete")
    with (
        secnb.connect(database_url=f"sqlite:///{path}", redis_url=redis_url) as site,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as service,
    ):
        service.execute("BEGIN EXCLUSIVE")
        with pytest.warns(DegradedWarning, match=r"tables of the database \(.*locked"):
            frame = site.snapshot(tmp_path / "s").set_index("what")
    assert pd.isna(frame.loc["tables of the database", "file"])
    assert frame.loc["keys of Redis", "file"] == "redis.jsonl"


def damage(path: Path, table: str, *, leaf: int) -> None:
    """Overwrite one page of a table, counted from the end of its file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", [table]).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        children = file.read(size)
        n_cells = int.from_bytes(children[3:5], "big")
        at = int.from_bytes(children[12 + 2 * leaf : 14 + 2 * leaf], "big")
        assert leaf < n_cells
        file.seek((int.from_bytes(children[at : at + 4], "big") - 1) * size)
        file.write(b"\xff" * size)


def test_a_damaged_page_costs_what_is_on_it_and_before(database, site, tmp_path):
    """Newer rows of that table and all other tables are there; which rows are lost is said."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE alerts (id INTEGER PRIMARY KEY, words TEXT)")
        connection.execute("CREATE TABLE zones (id INTEGER PRIMARY KEY)")
        connection.executemany("INSERT INTO alerts (words) VALUES (?)", [("x" * 100,)] * 2000)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(database, "alerts", leaf=10)
    with pytest.warns(DegradedWarning, match=r"table alerts \(.*next rows cannot be read: .*malformed"):
        frame = site.snapshot(tmp_path / "s", hours=None).set_index("what")
    assert frame.loc[["table cameras", "table zones"], "truncated"].tolist() == [False, False]
    n_rows = frame.loc["table alerts", "rows"]
    assert 0 < n_rows < 2000
    with connect_warned(tmp_path / "s", DegradedWarning, "table alerts") as kept:
        assert kept.sql("SELECT id FROM alerts")["id"].tolist() == list(range(2001 - n_rows, 2001))


def test_a_table_that_is_damaged_does_not_cost_the_others(database, site, tmp_path):
    """The newest page of detections, from which the time of the history is counted."""
    stamps = [datetime(2026, 1, 15, tzinfo=UTC) + timedelta(minutes=n) for n in range(2000)]
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE detections (id INTEGER PRIMARY KEY, detected_at TEXT, camera_id)")
        rows = [(each.isoformat(" "), "c0") for each in stamps]
        connection.executemany("INSERT INTO detections (detected_at, camera_id) VALUES (?, ?)", rows)
        connection.execute("CREATE TABLE zones (id INTEGER PRIMARY KEY)")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(database, "detections", leaf=0)
    with pytest.warns(DegradedWarning, match=r"table detections \(.*malformed"):
        frame = site.snapshot(tmp_path / "s").set_index("what")
    assert pd.isna(frame.loc["table detections", "file"])
    assert frame.loc[["table cameras", "table zones"], "rows"].tolist() == [2, 0]


# -- more keys than are taken ----------------------------------------------------------------------


@pytest.fixture
def crowded(redis_url, database, monkeypatch):
    """Return a deployment whose queues, batches and letters are few among its keys."""
    monkeypatch.setattr("secnb.core.redis_recording.MAX_KEYS", 200)
    with redis.Redis.from_url(redis_url) as client:
        client.mset({f"dedupe:{n}": "x" for n in range(3000)})
        client.rpush("detection_queue", *[json.dumps({"camera_id": "c", "file_path": "/x"})] * 7)
        client.rpush("hsi:queue:analysis_queue", json.dumps({"camera_id": "c", "batch_id": "b"}))
        client.rpush("dlq:detection_queue", *[json.dumps({"original_job": "{}"})] * 14)
        client.xadd("detections:stream", {"camera_id": "c"})
        client.set("analysis_queue", "no queue")
        client.set("hsi:cache:cameras", "[]")
        for n in range(20):
            client.set(f"batch:c{n}:current", f"b{n}")
            client.mset({f"batch:b{n}:camera_id": f"c{n}", f"batch:b{n}:started_at": "1773000000"})
    with secnb.connect(database_url=f"sqlite:///{database}", redis_url=redis_url) as site:
        yield site


def test_queues_come_first_of_many_keys(crowded, tmp_path):
    """Nothing that a helper looks for is missing; what is missing is said, then and later."""
    with pytest.warns(TruncatedWarning, match=r"keys of Redis \(200 keys: queues and batches, then"):
        frame = crowded.snapshot(tmp_path / "s").set_index("what")
    assert frame.loc["keys of Redis", ["rows", "truncated"]].tolist() == [200, True]
    with connect_warned(tmp_path / "s", TruncatedWarning, "keys of Redis") as kept:
        for call in ("queues", "open_batches", "dead_letters"):
            assert_same(getattr(kept, call)(), getattr(crowded, call)())
        assert len(kept.peek("detection_queue")) == 7
        assert (len(kept.keys()), kept.keys().attrs["truncated"]) == (200, True)
        assert (len(kept.cache()), kept.cache().attrs["truncated"]) == (1, False)
        with pytest.raises(SnapshotError, match=r"not say whether there was a key 'foo'[\s\S]*Hint"):
            kept.peek("foo")


def test_a_queue_that_nobody_looked_at_is_not_empty(crowded, tmp_path, monkeypatch):
    """Such as one that comes after the server has gone."""
    asked = snapshots.KeyRecorder._names

    async def gone(self):
        names, done = await anext(asked(self))
        yield names[:3], done[:3]
        raise UnreachableError("Redis does not answer: it has gone.")

    monkeypatch.setattr(snapshots.KeyRecorder, "_names", gone)
    with pytest.warns(DegradedWarning, match="the next ones cannot be read: Redis does not answer"):
        crowded.snapshot(tmp_path / "s")
    with connect_warned(tmp_path / "s", DegradedWarning, "keys of Redis") as kept:
        queues = kept.queues().set_index("queue")
        row = queues.loc["dlq:detection_queue"]
        assert (row["type"], pd.isna(row["length"]), pd.isna(row["backlog"])) == ("unknown", True, True)
        assert queues.loc["detection_queue", "length"] == 7
        assert pd.isna(queues.loc["detection_queue", "n_dead_letters"])
        why = kept.pipeline().set_index("stage").loc["analysis_queue", "why"]
    assert "the snapshot does not say whether there was a key analysis:stream" in why


# -- odd tables ------------------------------------------------------------------------------------


def test_a_view_that_helpers_read_is_kept(database, site, tmp_path):
    """Another one is named, and not missed."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.executescript(
            "ALTER TABLE cameras RENAME TO devices; CREATE VIEW cameras AS SELECT * FROM devices;"
            "CREATE VIEW costly AS SELECT a.id FROM devices a, devices b, devices c"
        )
    frame = site.snapshot(tmp_path / "s").set_index("what")
    assert frame.loc["view costly", "why"] == "a view that no helper reads; what it shows is in its tables"
    assert not frame["truncated"].any()
    with secnb.connect(tmp_path / "s") as kept:
        assert_same(kept.cameras(), site.cameras())


def test_views_of_postgres_are_kept(postgres_url, redis_url, tmp_path):
    """The rows of a partition come with its table."""
    execute(
        postgres_url,
        "CREATE TABLE devices (id text PRIMARY KEY)",
        "INSERT INTO devices VALUES ('porch')",
        "CREATE VIEW cameras AS SELECT * FROM devices",
        "CREATE TABLE events (id int, started_at timestamptz) PARTITION BY RANGE (id)",
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (9)",
        "INSERT INTO events VALUES (1, '2026-03-15')",
        "CREATE VIEW detections AS SELECT id, started_at AS detected_at FROM events",
        "CREATE MATERIALIZED VIEW daily AS SELECT count(*) FROM events",
    )
    with secnb.connect(database_url=postgres_url, redis_url=redis_url) as site:
        frame = site.snapshot(tmp_path / "s").set_index("what")
    tables = {f"table {name}": 1 for name in ("cameras", "detections", "devices", "events")}
    assert frame["rows"].dropna().to_dict() == tables | {"keys of Redis": 0}
    assert frame.loc["view daily", "why"].startswith("a view that no helper reads")
    with secnb.connect(tmp_path / "s") as kept:
        assert kept.cameras()["camera_id"].tolist() == ["porch"]


def test_times_that_are_numbers_are_taken_by_id(database, site, tmp_path):
    """They cannot be compared with the last day."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE detections (id INTEGER PRIMARY KEY, detected_at DATETIME)")
        rows = [(1_773_000_000 + n,) for n in range(100)]
        connection.executemany("INSERT INTO detections (detected_at) VALUES (?)", rows)
        connection.commit()
    with pytest.warns(TruncatedWarning, match="table detections"):
        frame = site.snapshot(tmp_path / "s", limit=60).set_index("what")
    assert frame.loc["table detections", "why"] == (
        "detected_at holds numbers, which are not read as times: rows of all times; "
        "60 of 100 rows, the newest by id"
    )
    with connect_warned(tmp_path / "s", TruncatedWarning, "table detections") as kept:
        assert kept.detections()["detection_id"].tolist() == list(range(41, 101))


def test_a_detection_that_is_not_in_the_snapshot(sample, tmp_path):
    """It was not deleted: the snapshot is of one day."""
    sample.snapshot(tmp_path / "s")
    with secnb.connect(tmp_path / "s") as kept:
        match = r"no detection 1\. Known: from \d+ to [\s\S]*the snapshot has of that table: from 2026-03-14 "
        with pytest.raises(UnknownDetectionError, match=match):
            kept.show(1)


# -- whole, or not there ---------------------------------------------------------------------------


def test_nothing_is_overwritten(site, tmp_path):
    """Neither a file nor a folder with something in it; an empty folder is taken."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    for path in (tmp_path / "full", tmp_path / "full" / "x"):
        with pytest.raises(BadInputError, match=r"something is there\. Allowed: a folder that is empty"):
            site.snapshot(path)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["x"]
    (tmp_path / "empty").mkdir()
    site.snapshot(tmp_path / "empty")
    with pytest.raises(BadInputError, match="nothing is ever overwritten"):
        site.snapshot(tmp_path / "empty")


def test_a_stopped_snapshot_is_removed(tmp_path, make_database, redis_url, in_thread, running, monkeypatch):
    """Also the folders that were made for it; the next one works."""
    monkeypatch.setattr("secnb.core.sqlite_reader._BUSY_S", 1.0)
    path = make_database(tmp_path / "old.db", journal="delete")
    service = sqlite3.connect(path, isolation_level=None)
    with secnb.connect(database_url=f"sqlite:///{path}", redis_url=redis_url) as site:
        service.execute("BEGIN EXCLUSIVE")
        outcome, thread = in_thread(site.snapshot, tmp_path / "a" / "b")
        number = running(site, progress=True)
        while not (tmp_path / "a" / "b" / "redis.jsonl").exists():
            assert thread.is_alive()
        site.cancel(number)
        thread.join(10)
        assert isinstance(outcome[0], CallCancelledError), outcome
        assert not (tmp_path / "a").exists()
        service.execute("ROLLBACK")
        service.close()
        assert len(site.snapshot(tmp_path / "a" / "b")) == 3


def test_what_was_killed_is_no_snapshot(folder, tmp_path):
    """The manifest comes last."""
    shutil.copytree(folder, tmp_path / "s", ignore=shutil.ignore_patterns("manifest.json"))
    (tmp_path / "s" / "manifest.json.partial").touch()
    with pytest.raises(BadInputError, match=r"There is no file [\s\S]*or a whole snapshot"):
        secnb.connect(tmp_path / "s")


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs to mount a small disk")
def test_a_full_disk_leaves_nothing(sample, tmp_path):
    """A clear error, and with room the next one works."""
    (disk := tmp_path / "disk").mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mounting, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        for path in (disk, disk / "s"):
            with pytest.raises(SnapshotError, match=r"cannot be written to .*No space left on device"):
                sample.snapshot(path)
            assert list(disk.iterdir()) == []
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        sample.snapshot(disk)
        with secnb.connect(disk) as kept:
            assert len(kept.cameras()) == 6
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_place_where_nobody_may_write(site, tmp_path):
    """What the system says, as an error of ours."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "s", Path("/proc/s/t")):
        with pytest.raises(SnapshotError, match="cannot be written to"):
            site.snapshot(path)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"hours": 0}, "hours is 0"),
        ({"hours": "day"}, "hours is 'day'"),
        ({"hours": float("nan")}, "hours is nan"),
        ({"limit": 0}, "limit is 0"),
        ({"limit": None}, "limit is None"),
        ({"limit": 2_000_000}, "limit is 2000000"),
    ],
)
def test_other_arguments_are_refused(site, tmp_path, options, match):
    with pytest.raises(BadInputError, match=rf"{match}\. Allowed: "):
        site.snapshot(tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_a_closed_deployment_takes_none(site, tmp_path):
    site.close()
    with pytest.raises(ClosedError, match="closed"):
        site.snapshot(tmp_path / "s")


def test_without_pyarrow_nothing_is_written(site, folder, tmp_path, monkeypatch):
    """The hint is the line that installs it, for reading too."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'secnb\[bulk\]'"):
        site.snapshot(tmp_path / "s")
    assert not (tmp_path / "s").exists()
    with pytest.raises(MissingDependencyError, match=r"pip install 'secnb\[bulk\]'"):
        secnb.connect(folder)


# -- opening it ------------------------------------------------------------------------------------


@pytest.fixture
def copied(folder, tmp_path):
    """Return a copy of the snapshot under another name, as a colleague gets one."""
    shutil.copytree(folder, tmp_path / "from a colleague")
    return tmp_path / "from a colleague"


def test_a_copy_under_another_name_is_as_good(copied, kept):
    with secnb.connect(str(copied)) as site:
        assert_same(site.queues(), kept.queues())
        assert_same(site.events(), kept.events())


def test_it_is_not_written_into(copied):
    """A colleague may have it on a disk that cannot be written to."""
    before = {path.name: path.stat().st_mtime_ns for path in (copied, *copied.iterdir())}
    with secnb.connect(copied) as site:
        assert len(site.cameras()) == len(site.sql("SELECT * FROM cameras")) == 6
    assert {path.name: path.stat().st_mtime_ns for path in (copied, *copied.iterdir())} == before


def change(folder: Path, **values: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_manifest_of_a_newer_secnb_is_refused(copied):
    change(copied, format=2)
    with pytest.raises(SnapshotError, match=r"has format 2, and this secnb reads [\s\S]*--upgrade"):
        secnb.connect(copied)


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_a_cut_manifest_is_refused(copied, cut):
    path = copied / "manifest.json"
    path.write_text(path.read_text()[:cut])
    with pytest.raises(SnapshotError, match=r"manifest\.json is not"):
        secnb.connect(copied)


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"format": 1}', '{"format": "x"}', "[" * 100_000])
def test_another_manifest_is_refused(copied, content):
    (copied / "manifest.json").write_text(content)
    with pytest.raises(SnapshotError, match=r"manifest\.json is not"):
        secnb.connect(copied)


@pytest.mark.parametrize(
    "values",
    [
        {"taken_at": "yesterday"},
        {"files": [{}]},
        {"files": [None]},
        {"database": {}},
        {"redis": {"failure": None}},
        {"settings": [{"name": "x"}]},
        {"health": [{}]},
    ],
)
def test_a_manifest_with_holes_is_refused(copied, values):
    """Before anything is served, and nothing temporary is left."""
    change(copied, **values)
    with pytest.raises(SnapshotError, match="snapshot"):
        secnb.connect(copied)


def test_files_outside_of_the_folder_are_not_read(copied):
    """A snapshot comes from somebody else."""
    rows = [{"file": "../manifest.json", "table": "t", "size_bytes": 1}]
    change(copied, files=rows)
    with pytest.raises(SnapshotError, match="outside of its folder"):
        secnb.connect(copied)


@pytest.mark.parametrize("name", ["redis.jsonl", "events.parquet"])
def test_a_file_that_is_missing_or_cut_is_named(copied, name):
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[:-1])
    with pytest.raises(SnapshotError, match=rf"is not whole: {name} has .* bytes, not [\d,]+"):
        secnb.connect(copied)
    (copied / name).unlink()
    with pytest.raises(SnapshotError, match=f"is not whole: {name}: No such file"):
        secnb.connect(copied)


def test_a_broken_line_is_a_clear_error(copied):
    """Of the length that it should have."""
    path = copied / "redis.jsonl"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(SnapshotError, match=r"The snapshot in .* cannot be read"):
        secnb.connect(copied)


def test_a_table_that_is_broken_is_said(copied):
    """The others are served."""
    path = copied / "events.parquet"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.warns(DegradedWarning, match="Serving without a table: The table 'events'"):
        site = secnb.connect(copied)
    with site:
        assert len(site.cameras()) == 6


def test_a_snapshot_and_urls_are_one_too_many(copied):
    for url in ({"database_url": "sqlite:///x.db"}, {"redis_url": NOWHERE}):
        with pytest.raises(BadInputError, match="Allowed: a snapshot, or URLs, and not both"):
            secnb.connect(copied, **url)


def test_the_zone_may_be_another(copied):
    with secnb.connect(copied, timezone="Europe/Berlin") as site:
        assert site.peek("detection_queue").attrs["timezone"] == "Europe/Berlin"


def test_nothing_is_left_when_it_is_closed(copied, tmp_path, monkeypatch):
    """Its private database goes; closed twice is closed; it does not answer any more."""
    (own := tmp_path / "own").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(own))
    with secnb.connect(copied) as site:
        assert len(list(own.iterdir())) == 1
    site.close()
    assert list(own.iterdir()) == []
    with pytest.raises(ClosedError, match="closed"):
        site.health()
    change(copied, settings=[{}])
    with pytest.raises(SnapshotError, match="snapshot"):
        secnb.connect(copied)
    assert list(own.iterdir()) == []


def test_the_end_of_the_interpreter_removes_it_too(copied, tmp_path):
    (own := tmp_path / "own").mkdir()
    code = f"import secnb; site = secnb.connect({str(copied)!r}); print(len(site.cameras()))"
    environment = os.environ | {"TMPDIR": str(own)}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (found.stdout, list(own.iterdir())) == ("6\n", []), found.stderr
