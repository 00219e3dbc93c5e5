"""The object that an analyst holds: found by its settings, looked at and never changed."""

from __future__ import annotations

import asyncio
import http.server
import inspect
import json
import socket
import sqlite3
import threading
import traceback
import uuid
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pandas as pd
import pytest
import redis
from sqlalchemy import column, literal_column, select, table

import secnb
from secnb import schema
from secnb.bridge import two_faced
from secnb.core import get_engine
from secnb.errors import (
    BadInputError,
    ClosedError,
    DatabaseNotFoundError,
    DegradedWarning,
    NotInitializedError,
    QueryError,
    ReadOnlyError,
    SecnbError,
    SettingsError,
    TruncatedWarning,
    UnknownNameError,
    UnknownQueueError,
    UnreachableError,
)

LIMIT_S = 10
NOWHERE = "redis://127.0.0.1:1/0"
TABLES = """
CREATE TABLE cameras (id TEXT PRIMARY KEY, name TEXT, rtsp_password TEXT, rtsp_url TEXT);
CREATE TABLE detections (id INTEGER PRIMARY KEY, camera_id TEXT, detected_at DATETIME, confidence FLOAT);
CREATE TABLE events (id INTEGER PRIMARY KEY, camera_id TEXT, started_at DATETIME, risk_score INTEGER);
INSERT INTO cameras VALUES ('front', 'Front', 'hidden', 'rtsp://ann:hidden@cam/1');
INSERT INTO cameras VALUES ('back', 'Back', NULL, NULL);
INSERT INTO detections VALUES (1, 'front', '2026-01-15 08:00:00.000000', 0.5);
INSERT INTO events VALUES (1, 'front', '2026-01-15 08:00:00.000000', 75);
"""


@pytest.fixture(autouse=True)
def nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what runs on the default ports of this machine out of the tests."""
    for name in ("RTDETR_URL", "NEMOTRON_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("HSI_RUNTIME_ENV_PATH", "CAMERA_TIMEZONE", "SEVERITY_LOW_MAX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REDIS_URL", NOWHERE)


def make_database(path: Path, name: str = "Front") -> Path:
    """Write a small first-generation database; `name` tells it from another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(TABLES)
        connection.execute("UPDATE cameras SET name = ? WHERE id = 'front'", [name])
    return path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return make_database(tmp_path / "db" / "security.db")


@pytest.fixture
def url(database: Path) -> str:
    return f"sqlite:///{database}"


@pytest.fixture
def site(url: str, redis_url: str) -> Iterator[secnb.Deployment]:
    with secnb.connect(database_url=url, redis_url=redis_url) as site:
        yield site


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    """Return a client that may do everything."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@contextmanager
def serving(database_url: str | None = None, **given) -> Iterator[secnb.Deployment]:
    """Connect without Redis, and without the warning about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegradedWarning)
        site = secnb.connect(database_url=database_url, **given)
    with site:
        yield site


def front(site: secnb.Deployment) -> str:
    """Return the name by which `make_database` tells databases apart."""
    return site.sql("SELECT name FROM cameras WHERE id = 'front'").loc[0, "name"]


def tree(folder: Path) -> set[str]:
    """Return all that is in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# -- finding it ------------------------------------------------------------------------------------


def test_the_env_file_is_looked_for_upward(tmp_path, monkeypatch, redis_url):
    """A kernel starts in the folder of its notebook; a relative path counts from the file."""
    make_database(tmp_path / "data" / "security.db", "Upward")
    (tmp_path / ".env").write_text("DATABASE_URL=sqlite+aiosqlite:///./data/security.db\n")
    (tmp_path / "notebooks" / "deep" / ".env").mkdir(parents=True)  # a folder of that name is no file
    monkeypatch.chdir(tmp_path / "notebooks" / "deep")
    with secnb.connect(redis_url=redis_url) as site:
        assert front(site) == "Upward"
        assert str(tmp_path / "data" / "security.db") in repr(site)


def test_the_nearest_env_file_counts(tmp_path, monkeypatch):
    """That of a folder above is another deployment's."""
    make_database(tmp_path / "near" / "x.db", "Near")
    (tmp_path / ".env").write_text("DATABASE_URL=sqlite:///far.db")
    (tmp_path / "near" / ".env").write_text("DATABASE_URL=sqlite:///x.db")
    monkeypatch.chdir(tmp_path / "near")
    with serving() as site:
        assert front(site) == "Near"


def test_an_env_file_can_be_named(tmp_path):
    """Its own folder is what relative paths count from, the arguments' too."""
    make_database(tmp_path / "there" / "x.db", "There")
    (tmp_path / "there" / "prod.env").write_text("DATABASE_URL=sqlite:///x.db")
    with serving(env_file=Path("there/prod.env")) as site:
        assert front(site) == "There"
    with serving("sqlite:///x.db", env_file="there/prod.env") as site:
        assert front(site) == "There"


def test_an_env_file_that_is_not_there_is_an_error(tmp_path):
    """With its absolute path."""
    for path in ("none.env", tmp_path):
        with pytest.raises(
            BadInputError, match=rf"no file {tmp_path}[\s\S]*Hint: env_file names a .env file"
        ):
            secnb.connect(path)


def test_the_order_of_sources(tmp_path, monkeypatch):
    """Argument, environment, data/runtime.env, .env, default: the first that names it counts."""
    for name in ("argument", "environment", "runtime", "dotenv"):
        make_database(tmp_path / f"{name}.db", name)
    make_database(tmp_path / "data" / "security.db", "default")
    with serving() as site:
        assert front(site) == "default"
    (tmp_path / ".env").write_text("DATABASE_URL=sqlite:///dotenv.db")
    with serving() as site:
        assert front(site) == "dotenv"
    (tmp_path / "data" / "runtime.env").write_text("DATABASE_URL=sqlite:///runtime.db")
    with serving() as site:
        assert front(site) == "runtime"
    monkeypatch.setenv("DATABASE_URL", "sqlite:///environment.db")
    with serving() as site:
        assert front(site) == "environment"
    with serving("sqlite:///argument.db") as site:
        assert front(site) == "argument"


def test_an_empty_variable_names_nothing(tmp_path, monkeypatch, redis_url):
    """Compose files leave such behind; the default that is then missing is no error while Redis answers."""
    monkeypatch.setenv("DATABASE_URL", "")
    with (
        pytest.warns(
            DegradedWarning, match=rf"without the database: There is no database at {tmp_path}/data"
        ),
        secnb.connect(redis_url=redis_url) as site,
    ):
        assert "no database" in repr(site)


@pytest.mark.parametrize("form", ["sqlite:///{}", "sqlite+aiosqlite:///{}", "sqlite:///{}?cache=private"])
def test_neither_folder_nor_file_is_created(tmp_path, form):
    """The core would create them, an analyst never."""
    for path in ("none/x.db", f"{tmp_path}/none/x.db"):
        with pytest.raises(DatabaseNotFoundError, match=f"no database at {tmp_path}/none/x.db"):
            secnb.connect(database_url=form.format(path))
    assert tree(tmp_path) == set()


def test_looking_leaves_no_trace(database, site):
    """Every helper, and nothing beside the database or in it has changed."""
    before = tree(database.parent), database.read_bytes()
    for call in (site.health, site.settings, site.cameras, site.detections, site.events, site.queues):
        call()
    assert (tree(database.parent), database.read_bytes()) == before


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://h/x", "nonsense"])
def test_a_database_of_another_kind_is_refused(url, redis_url):
    """There is nothing in it to look at."""
    with pytest.raises(SecnbError, match=r"memory|driver for 'mysql'|cannot be read"):
        secnb.connect(database_url=url, redis_url=redis_url)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "Europe", 5, "\x00"])
def test_a_zone_that_does_not_exist_is_refused(url, zone):
    """With the value seen."""
    with pytest.raises(SettingsError, match=r"timezone is .*Allowed: a name such as 'Europe/Berlin'"):
        secnb.connect(database_url=url, timezone=zone)


def test_the_zone_is_the_argument_else_the_setting_else_utc(url, monkeypatch):
    """It stands in the frames and in the repr."""
    with serving(url) as site:
        assert site.timezone == "UTC"
    monkeypatch.setenv("CAMERA_TIMEZONE", "Europe/Berlin")
    with serving(url) as site:
        assert site.timezone == "Europe/Berlin"
        assert site.detections().attrs["timezone"] == "Europe/Berlin"
    with serving(url, timezone="Asia/Tokyo") as site:
        assert "Asia/Tokyo" in repr(site)


def test_naive_queue_times_are_read_in_the_zone(url, raw, redis_url):
    """A service writes its local time."""
    raw.rpush(
        "detection_queue",
        json.dumps({"camera_id": "a", "file_path": "/x", "timestamp": "2026-01-15T08:00:00"}),
    )
    with secnb.connect(database_url=url, redis_url=redis_url, timezone="Europe/Berlin") as site:
        expected = pd.Timestamp("2026-01-15T07:00:00", tz=UTC)
        assert list(site.peek("detection_queue")["enqueued_at"]) == [expected]
        assert site.queues().set_index("queue").loc["detection_queue", "oldest_at"] == expected


# -- in part ---------------------------------------------------------------------------------------


def test_a_database_without_redis_is_served(url):
    """With a warning; what needs Redis raises when it is asked for."""
    with pytest.warns(
        DegradedWarning, match="Serving without Redis: Redis at redis://127.0.0.1:1/0 does not"
    ):
        site = secnb.connect(database_url=url)
    with site:
        assert len(site.detections()) == 1
        assert "no redis" in repr(site)
        for call in (site.queues, lambda: site.peek("detection_queue")):
            with pytest.raises(UnreachableError, match="does not answer"):
                call()


def test_redis_without_a_database_is_served(tmp_path, redis_url):
    """Whichever way the database is missing."""
    (tmp_path / "x.db").write_bytes(b"PK\x03\x04 something else entirely")
    with pytest.warns(DegradedWarning, match=r"Serving without the database: .*not a SQLite database"):
        site = secnb.connect(database_url="sqlite:///x.db", redis_url=redis_url)
    with site:
        assert set(site.queues()["queue"]) == set(schema.QUEUE_FIELDS)
        for call in (
            site.cameras,
            site.detections,
            site.events,
            lambda: site.sql("SELECT 1"),
            lambda: site.truth,
        ):
            with pytest.raises(UnreachableError, match="not a SQLite database"):
                call()
        assert list(site.health()["status"][:2]) == ["down", "up"]


def test_a_database_that_comes_later_is_found(tmp_path, redis_url):
    """What needs it tries again."""
    with pytest.warns(DegradedWarning):
        site = secnb.connect(redis_url=redis_url)
    with site:
        make_database(tmp_path / "data" / "security.db", "Late")
        assert front(site) == "Late"
        assert list(site.health()["status"][:2]) == ["up", "up"]


def test_nothing_at_all_is_an_error(tmp_path):
    """It names the database, with its absolute path."""
    with pytest.raises(DatabaseNotFoundError, match=f"{tmp_path}/data/security.db"):
        secnb.connect()


def test_a_database_server_that_hangs_is_given_up(redis_url):
    """Within its limit, in words about the server and not about a query."""

    async def connect(listener) -> None:
        url = f"postgresql://ann:hidden@127.0.0.1:{listener.getsockname()[1]}/x"
        with pytest.warns(DegradedWarning, match=r"without the database: .*ann:\*\*\*@127.*does not answer"):
            site = await asyncio.to_thread(secnb.connect, database_url=url, redis_url=redis_url)
        async with site, asyncio.timeout(LIMIT_S):
            with pytest.raises(UnreachableError, match="no answer within 3 s"):
                await site.sql.aio("SELECT 1")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        asyncio.run(connect(listener))


# -- secrets ---------------------------------------------------------------------------------------


def said(error: BaseException) -> str:
    """Return all that is shown of an error, with its causes."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error)


SECRET = "p4ss"
SECRET_URLS = [
    f"postgresql://ann:{SECRET}@127.0.0.1:1/x",
    f"postgresql://ann:{SECRET}%40word@127.0.0.1:1/x",
    f"postgresql://127.0.0.1:1/x?user=ann&password={SECRET}",
    f"postgresql://ann:{SECRET}/@127.0.0.1:1/x",
    f"postgresql://ann:{SECRET}@127.0.0.1:port/x",
    f"mysql://ann:{SECRET}@127.0.0.1/x",
]


@pytest.mark.parametrize("url", SECRET_URLS)
@pytest.mark.parametrize("has_redis", [True, False])
def test_the_password_of_a_database_never_shows(url, redis_url, has_redis):
    """Neither in errors and their causes nor in warnings, reprs and frames."""
    shown = ""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            site = secnb.connect(database_url=url, redis_url=redis_url if has_redis else NOWHERE)
        with site:
            shown += repr(site) + str(site) + site.health().to_string() + str(site.health().attrs)
            with pytest.raises(UnreachableError, match="does not answer") as error:
                site.sql("SELECT 1")
            shown += said(error.value)
        shown += "".join(str(each.message) for each in caught)
    except SecnbError as exc:
        shown += said(exc)
    assert shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    "redis_url",
    [
        f"redis://ann:{SECRET}@127.0.0.1:1/0",
        f"redis://:{SECRET}@127.0.0.1:1/0",
        f"rediss://127.0.0.1:1/0?password={SECRET}",
        f"unix:///nowhere.sock?password={SECRET}",
        f"redis://:{SECRET}@127.0.0.1:port/0",
        f"redis://:{SECRET}@127.0.0.1:1/0?nonsense=1",
    ],
)
def test_the_password_of_a_redis_never_shows(url, redis_url):
    """Neither in errors and their causes nor in warnings, reprs and frames."""
    shown = ""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            site = secnb.connect(database_url=url, redis_url=redis_url)
        with site:
            shown += repr(site) + site.health().to_string() + str(site.health().attrs)
            with pytest.raises(UnreachableError, match="does not answer") as error:
                site.queues()
            shown += said(error.value)
        shown += "".join(str(each.message) for each in caught)
    except SettingsError as exc:
        shown += said(exc)
    assert shown
    assert SECRET not in shown


def test_a_wrong_password_shows_neither(url, start_redis_server):
    """Nor does the right one."""
    server = start_redis_server("--requirepass", "r1ght")
    wrong = server.url.replace("redis://", f"redis://:{SECRET}@")
    with pytest.warns(DegradedWarning, match="does not let us in") as caught:
        site = secnb.connect(database_url=url, redis_url=wrong)
    with site:
        shown = str(caught[0].message) + repr(site) + site.health().to_string()
    assert SECRET not in shown
    assert "r1ght" not in shown


@pytest.mark.parametrize(
    "query", ["SELECT * FROM cameras", "SELECT a.rtsp_url, b.rtsp_url FROM cameras a, cameras b"]
)
def test_secret_columns_are_masked_in_a_query(site, query):
    """The second of a join too; a missing one stays missing."""
    frame = site.sql(query)
    assert "hidden" not in frame.to_string() + frame.to_html()
    assert "***" in frame.to_string()


def test_secret_columns_can_be_asked_for_by_name(site):
    """Whoever needs to see them says so."""
    assert list(site.cameras()["rtsp_password"].dropna()) == ["***"]
    assert list(site.cameras(columns=["rtsp_password"])["rtsp_password"].dropna()) == ["hidden"]


def test_secret_parameters_are_masked_in_attrs(site):
    """A frame is saved with its attrs."""
    frame = site.sql("SELECT :api_key AS x, :n AS n", {"api_key": SECRET, "n": 1})
    assert frame.attrs["params"] == {"api_key": "***", "n": 1}


# -- its life --------------------------------------------------------------------------------------

HELPERS = sorted(
    name for name in dir(secnb.Deployment) if isinstance(getattr(secnb.Deployment, name), two_faced)
)


@pytest.mark.parametrize("name", HELPERS)
def test_a_closed_deployment_serves_nothing(site, name):
    """Each helper says so, in both faces."""
    site.close()
    helper = getattr(site, name)
    needed = [each for each in inspect.signature(helper).parameters.values() if each.default is each.empty]
    arguments = ["x" for _ in needed]
    with pytest.raises(ClosedError, match=r"was closed[\s\S]*Hint: open it again with secnb.connect"):
        helper(*arguments)
    with pytest.raises(ClosedError, match="was closed"):
        asyncio.run(helper.aio(*arguments))


def test_a_closed_deployment_has_no_truth(site):
    """Also where it was looked at before."""
    assert len(site.truth) == 0
    site.close()
    with pytest.raises(ClosedError, match="was closed"):
        _ = site.truth
    assert "closed" in repr(site)


def test_closing_is_idempotent(site):
    """In every order of ways to close."""
    with site:
        site.close()
    site.close()

    async def again() -> None:
        async with site:
            pass

    asyncio.run(again())


async def test_it_is_an_async_context_manager(url, redis_url):
    """Both faces work within; it is closed afterwards."""
    async with secnb.connect(database_url=url, redis_url=redis_url) as site:
        assert len(await site.detections.aio()) == 1
        assert len(site.detections()) == 1
    with pytest.raises(ClosedError, match="was closed"):
        await site.cameras.aio()


def test_an_error_within_closes_it_too(url):
    """And comes through."""
    with pytest.raises(ZeroDivisionError, match="of the analyst"), serving(url) as site:
        raise ZeroDivisionError("of the analyst")
    with pytest.raises(ClosedError, match="was closed"):
        site.cameras()


async def test_two_deployments_at_once(tmp_path, redis_url):
    """No global holds either; both read at the same time, and one outlives the other."""
    paths = [make_database(tmp_path / name / "x.db", name) for name in ("one", "two")]
    one, two = (secnb.connect(database_url=f"sqlite:///{path}", redis_url=redis_url) for path in paths)
    query = "SELECT name FROM cameras WHERE id = 'front'"
    frames = await asyncio.gather(*(site.sql.aio(query) for site in (one, two) for _ in range(5)))
    assert [frame.loc[0, "name"] for frame in frames] == ["one"] * 5 + ["two"] * 5
    one.close()
    assert front(two) == "two"
    two.close()


def test_connecting_uses_no_global_of_the_core(site):
    """A notebook may use the core beside it."""
    with pytest.raises(NotInitializedError, match="Database not initialized"):
        get_engine()


# -- queries ---------------------------------------------------------------------------------------


def test_a_query_returns_integers_times_and_the_rest(site):
    """Ids exact, columns that end in _at as UTC, what fits no dtype as it is."""
    frame = site.sql(
        "SELECT 9007199254740993 AS id, NULL AS parent_id, '2026-01-15 08:00' AS seen_at, 0.5 AS x, "
        "x'ff' AS b UNION ALL SELECT 1, 2, NULL, 1, NULL"
    )
    dtypes = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert dtypes == {
        "id": "Int64",
        "parent_id": "Int64",
        "seen_at": schema.TIME,
        "x": "float64",
        "b": "object",
    }
    assert frame["id"][0] == 2**53 + 1
    assert frame["seen_at"][0] == pd.Timestamp("2026-01-15 08:00", tz=UTC)


def test_a_query_without_rows_has_its_columns(site):
    """And times are times."""
    frame = site.sql("SELECT id, detected_at FROM detections WHERE 0")
    assert (list(frame.columns), len(frame)) == (["id", "detected_at"], 0)
    assert str(frame["detected_at"].dtype) == schema.TIME


def test_columns_of_one_name_are_all_there(site):
    """A join has two ids."""
    frame = site.sql("SELECT a.id, b.id, 5 AS id_2 FROM cameras a JOIN cameras b ON a.id < b.id")
    assert frame.to_dict("records") == [{"id": "back", "id_3": "front", "id_2": 5}]


def test_a_query_takes_parameters(site):
    """Only the names that are given; lists expand."""
    frame = site.sql("SELECT id, ':x' AS text FROM cameras WHERE id IN :ids", {"ids": ["front", "gone"]})
    assert frame.to_dict("records") == [{"id": "front", "text": ":x"}]
    assert frame.attrs["params"] == {"ids": ["front", "gone"]}
    assert len(site.sql("SELECT 1 FROM cameras WHERE id IN :ids", {"ids": []})) == 0


def test_a_time_parameter_finds_what_is_stored(site):
    """Aware ones are moved to UTC."""
    at = datetime(2026, 1, 15, 8, tzinfo=UTC)
    for each in (at, pd.Timestamp(at), at.astimezone().astimezone(UTC), at.replace(tzinfo=None)):
        assert len(site.sql("SELECT 1 FROM detections WHERE detected_at = :at", {"at": each})) == 1
    assert (
        len(
            site.sql(
                "SELECT 1 FROM detections WHERE detected_at > :at", {"at": datetime(999, 1, 1, tzinfo=UTC)}
            )
        )
        == 1
    )


def test_a_statement_of_sqlalchemy_is_a_query(site):
    """Engineers bring their own."""
    statement = select(column("id")).select_from(table("cameras")).order_by(literal_column("1"))
    with pytest.warns(TruncatedWarning, match="showing 1 of 2 rows"):
        assert list(site.sql(statement, limit=1)["id"]) == ["back"]


def test_a_cap_says_what_it_left_out(site):
    """With the exact number, and in the attrs."""
    with pytest.warns(TruncatedWarning, match=r"showing 1 of 2 rows[\s\S]*Hint: limit=None shows all"):
        frame = site.sql("SELECT * FROM cameras", limit=1)
    assert (frame.attrs["truncated"], frame.attrs["total"], frame.attrs["rows"]) == (True, 2, 1)
    assert json.loads(json.dumps(frame.attrs))["query"] == "SELECT * FROM cameras"


@pytest.mark.parametrize("query", ["DELETE FROM cameras", "PRAGMA user_version = 5", "VACUUM INTO 'x.db'"])
def test_a_write_is_refused(site, query):
    """The deployment stays as it was."""
    with pytest.raises(ReadOnlyError, match=r"not run[\s\S]*Hint: "):
        site.sql(query)
    assert len(site.cameras()) == 2


def test_broken_sql_says_what_is_wrong(site):
    """In the words of the database."""
    with pytest.raises(QueryError, match="syntax error"):
        site.sql("SELEC * FORM cameras")


def test_risk_levels_follow_the_settings(url, monkeypatch):
    """And are missing where the cuts do not rise; the events still come."""
    with serving(url) as site:
        assert list(site.events()["risk_level_now"]) == ["high"]
        assert site.events().attrs["risk_cuts"] == [29, 59, 84]
        monkeypatch.setenv("SEVERITY_HIGH_MAX", "74")
        assert list(site.events()["risk_level_now"]) == ["critical"]
        monkeypatch.setenv("SEVERITY_HIGH_MAX", "nonsense")
        assert list(site.events()["risk_level_now"]) == ["high"]
        monkeypatch.setenv("SEVERITY_LOW_MAX", "70")
        with pytest.warns(DegradedWarning, match="are 70, 59 and 84; they must rise"):
            frame = site.events()
        assert frame["risk_level_now"].isna().all()
        assert (frame["risk_score"].tolist(), frame.attrs["risk_cuts"]) == ([75], None)


# -- health ----------------------------------------------------------------------------------------


class Service(http.server.BaseHTTPRequestHandler):
    """An AI service, which answers with the status that its path begins with; 0 hangs."""

    released: threading.Event

    def do_GET(self) -> None:
        """Answer, or hang until the test is over."""
        status = int(self.path.split("/")[1])
        if status == 0:
            self.released.wait(LIMIT_S)
            return
        self.send_response(status if self.path.endswith("/health") else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    """Return the URL of a service."""
    handler = type("Handler", (Service,), {"released": threading.Event()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        handler.released.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/200", "up", "HTTP 200"),
        ("/200/", "up", "HTTP 200"),
        ("/404", "up", "HTTP 404"),
        ("/503", "down", "HTTP 503"),
        ("/0", "down", "no answer within 2 s|timed out"),
    ],
)
def test_a_service_is_up_below_500(site, service, monkeypatch, path, status, detail):
    """One that hangs is given up after its limit; the others are asked all the same."""
    monkeypatch.setenv("RTDETR_URL", service + path)
    frame = site.health().set_index("component")
    assert frame.loc["detector", "status"] == status
    assert pd.Series(frame.loc["detector", "detail"]).str.contains(detail).all()
    assert list(frame.loc[["database", "redis", "reasoner"], "status"]) == ["up", "up", "down"]


def test_health_has_fixed_columns(site):
    """Versions of the servers, the generation by the database; nothing that is not JSON in the attrs."""
    frame = site.health()
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema.HEALTH)
    assert list(frame["component"]) == ["database", "redis", "detector", "reasoner"]
    assert frame["version"][0] == sqlite3.sqlite_version
    assert frame["latency_ms"].notna().tolist() == [True, True, False, False]
    json.dumps(frame.attrs)


@pytest.mark.parametrize(
    "service_url",
    [
        *("http://[::1", "ftp://h", "nonsense", "", "http://"),
        f"http://ann:{SECRET}/x@h",
        f"http://ann:{SECRET}@127.0.0.1:1",
        f"http://h:99999/x?password={SECRET}",
        f"http://h:1/x y?token={SECRET}",
    ],
)
def test_a_service_url_of_any_kind_is_a_row(site, monkeypatch, service_url):
    """Without the password in it."""
    monkeypatch.setenv("RTDETR_URL", service_url)
    frame = site.health()
    assert list(frame["status"]) == ["up", "up", "down", "down"]
    assert SECRET not in frame.to_string()


# -- queues ----------------------------------------------------------------------------------------


def message(i: int = 0, **more) -> bytes:
    """Return a message as a service writes it, `i` minutes after eight."""
    at = datetime(2026, 1, 15, 8, tzinfo=UTC) + timedelta(minutes=i)
    return json.dumps(
        {"camera_id": "front", "file_path": f"/x/{i}.jpg", "timestamp": at.isoformat(), **more}
    ).encode()


def test_the_known_queues_are_always_there(site):
    """With length 0 where the server has none."""
    frame = site.queues()
    assert set(frame["queue"]) == set(schema.QUEUE_FIELDS)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema.QUEUES)
    assert list(frame["length"]) == list(frame["backlog"]) == [0] * len(schema.QUEUE_FIELDS)
    assert frame["oldest_at"].isna().all()


def test_queues_say_how_long_they_are_and_since_when(site, raw):
    """Other lists and streams too, but no batch; a poisoned head has no age."""
    raw.rpush("detection_queue", message(0), message(1))
    raw.rpush("dlq:detection_queue", b"\xff")
    raw.rpush("batch:abc:detections", "1")
    raw.rpush(b"odd\xff", "x")
    raw.xadd("detections:stream", {"a": "b"})
    raw.set("text", "x")
    frame = site.queues().set_index("queue")
    (odd,) = set(frame.index) - {*schema.QUEUE_FIELDS, "detections:stream"}
    row = frame.loc["detection_queue"]
    assert row[["type", "length", "backlog", "n_dead_letters"]].tolist() == ["list", 2, 2, 1]
    assert frame.loc["detection_queue", "oldest_at"] == pd.Timestamp("2026-01-15 08:00", tz=UTC)
    assert frame.loc["detection_queue", "oldest_age_s"] > 0
    assert pd.isna(frame.loc["dlq:detection_queue", "oldest_age_s"])
    assert (odd[:3], frame.loc[odd, "length"], odd.encode().isascii()) == ("odd", 1, True)


def test_peek_takes_nothing_out(site, raw):
    """From either side, with positions from the head."""
    raw.rpush("detection_queue", *(message(i) for i in range(5)))
    assert list(site.peek("detection_queue", 2)["file_path"]) == ["/x/0.jpg", "/x/1.jpg"]
    tail = site.peek("detection_queue", 2, side="tail")
    assert (list(tail["pos"]), list(tail["file_path"])) == ([3, 4], ["/x/3.jpg", "/x/4.jpg"])
    assert (tail.attrs["total"], tail.attrs["truncated"], tail.attrs["moved"]) == (5, True, False)
    assert len(site.peek("detection_queue", None)) == 5
    assert raw.llen("detection_queue") == 5
    json.dumps(tail.attrs)


def test_a_message_that_was_just_written_is_not_ahead_of_the_server(site, raw):
    """The server is asked for its time after its messages."""
    for _ in range(20):
        raw.rpush(
            "detection_queue",
            json.dumps({"camera_id": "a", "file_path": "/x", "timestamp": datetime.now(UTC).isoformat()}),
        )
        assert site.peek("detection_queue", 1, side="tail")["error"].isna().all()


def test_peek_of_nothing_keeps_its_columns(site):
    """A known queue that is empty, or no messages wanted."""
    for frame in (site.peek("analysis_queue"), site.peek("detection_queue", 0)):
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema.MESSAGES)


@pytest.mark.parametrize("n", [-1, 1.5, True, "5"])
def test_a_number_of_messages_without_sense_is_refused(site, n):
    """With the value seen."""
    with pytest.raises(BadInputError, match=r"n is .* Allowed: a whole number from 0, or None"):
        site.peek("detection_queue", n)


@pytest.mark.parametrize("side", ["left", "", None, "HEAD"])
def test_a_side_that_is_none_is_refused(site, side):
    """With those that there are."""
    with pytest.raises(BadInputError, match=r"side is .* Allowed: 'head' \(next in turn\) or 'tail'"):
        site.peek("detection_queue", side=side)


def test_an_unknown_queue_shows_the_near_ones(site, raw):
    """Those of the server too; a name that cannot be printed is no obstacle."""
    raw.rpush("detections_extra", "x")
    raw.rpush(b"bad\xff", "x")
    with pytest.raises(
        UnknownQueueError, match=r"no queue 'detection_que'[\s\S]*Hint: did you mean 'detection_queue'"
    ) as caught:
        site.peek("detection_que")
    assert "detections_extra" in str(caught.value)
    str(caught.value).encode()


@pytest.mark.parametrize("kind", ["string", "hash", "zset", "set"])
def test_another_type_of_key_is_no_queue(site, raw, kind):
    """With the type that it has, also under the name of a known queue."""
    {
        "string": lambda: raw.set("detection_queue", "x"),
        "hash": lambda: raw.hset("detection_queue", "a", "b"),
        "zset": lambda: raw.zadd("detection_queue", {"a": 1}),
        "set": lambda: raw.sadd("detection_queue", "a"),
    }[kind]()
    with pytest.raises(
        BadInputError, match=rf"'detection_queue' is a {kind}, and a queue is[\s\S]*Hint: site.queues"
    ):
        site.peek("detection_queue")
    assert "detection_queue" in set(site.queues()["queue"])


# -- settings, truth, note -------------------------------------------------------------------------


def test_settings_are_those_in_force(site, monkeypatch):
    """One row each, in fixed columns."""
    monkeypatch.setenv("DETECTION_CONFIDENCE_THRESHOLD", "0.7")
    frame = site.settings()
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema.SETTINGS)
    assert list(frame["setting"]) == list(schema.TUNABLE)
    row = frame.set_index("setting").loc["detection_confidence_threshold"]
    assert (row["value"], row["default"], row["source"], row["is_in_force"]) == (
        0.7,
        0.5,
        "environment",
        True,
    )
    json.dumps(frame.attrs)


def test_a_real_deployment_has_no_truth_and_no_note(site):
    """Nobody knows it."""
    assert {name: str(dtype) for name, dtype in site.truth.dtypes.items()} == dict(schema.TRUTH)
    assert (len(site.truth), site.note) == (0, None)


def test_a_sandbox_shows_its_note_and_its_truth(database, url):
    """Ids stay integers, objects that were never recorded have none."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "CREATE TABLE secnb_truth (detection_id INTEGER, is_true INTEGER, object_id INTEGER)"
        )
        connection.execute(
            "INSERT INTO secnb_truth VALUES (9007199254740993, 1, 7), (NULL, 1, 8), (2, NULL, NULL)"
        )
        connection.execute("CREATE TABLE secnb_sandbox (note TEXT)")
        connection.execute("INSERT INTO secnb_sandbox VALUES ('Synthetic.')")
    with serving(url) as site:
        assert site.note == "Synthetic."
        assert repr(site).endswith("\nSynthetic.")
        truth = site.truth
        assert {name: str(dtype) for name, dtype in truth.dtypes.items()} == dict(schema.TRUTH)
        assert truth["detection_id"][0] == 2**53 + 1
        truth["is_true"] = False
        assert site.truth["is_true"][0]


# -- PostgreSQL ------------------------------------------------------------------------------------


@pytest.fixture
def postgres_site(postgres_url: str, redis_url: str) -> Iterator[secnb.Deployment]:
    """Return a deployment whose database is a server."""

    async def fill() -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(TABLES.replace("DATETIME", "TIMESTAMPTZ"))
        await connection.close()

    asyncio.run(fill())
    with secnb.connect(database_url=postgres_url, redis_url=redis_url) as site:
        yield site


def test_postgres_serves_the_same_frames(postgres_site):
    """Records, health, and no truth."""
    assert list(postgres_site.cameras()["camera_id"]) == ["back", "front"]
    assert list(postgres_site.detections(camera_id="front", since="2026-01-15")["detection_id"]) == [1]
    assert list(postgres_site.events()["risk_level_now"]) == ["high"]
    assert list(postgres_site.health()["status"][:2]) == ["up", "up"]
    assert postgres_site.health()["generation"][0] == "postgres"
    assert (len(postgres_site.truth), postgres_site.note) == (0, None)


def test_postgres_queries_return_integers_times_and_decimals(postgres_site):
    """A sum of integers is a decimal there, and an integer here; JSON is text."""
    frame = postgres_site.sql(
        "SELECT sum(id + 9007199254740992) AS total, avg(id) AS mean, max(detected_at) AS last_at, "
        "'{\"a\": 1}'::jsonb AS j, ARRAY[1] AS a, 'NaN'::numeric AS n FROM detections"
    )
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "total": "Int64",
        "mean": "float64",
        "last_at": schema.TIME,
        "j": "str",
        "a": "object",
        "n": "object",
    }
    assert (frame["total"][0], frame["mean"][0], frame["j"][0]) == (2**53 + 1, 1.0, '{"a": 1}')


def test_postgres_secrets_and_writes(postgres_site):
    """Masked, and refused."""
    assert "hidden" not in postgres_site.sql("SELECT * FROM cameras").to_string()
    with pytest.raises(ReadOnlyError, match="DELETE is not run here"):
        postgres_site.sql("DELETE FROM cameras")
    assert len(postgres_site.cameras()) == 2


def test_a_wrong_postgres_password_does_not_show(postgres_url, redis_url, postgres_server):
    """Where the server asks for one, its refusal is a warning like any other."""
    secret = postgres_url.replace("postgresql://postgres", f"postgresql://nobody:{SECRET}", 1)
    with pytest.warns(DegradedWarning, match="without the database") as caught:
        site = secnb.connect(database_url=secret, redis_url=redis_url)
    with site:
        assert SECRET not in str(caught[0].message) + repr(site) + site.health().to_string()


def test_a_role_that_sees_no_schema_is_told_what_it_lacks(
    postgres_site, postgres_server, postgres_url, redis_url
):
    """Nor may it read a table that it sees."""
    name = f"stranger_{uuid.uuid4().hex}"
    postgres_server.psql(f"CREATE ROLE {name} LOGIN;")

    async def change(statement: str) -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(change("REVOKE ALL ON SCHEMA public FROM PUBLIC"))
    url = postgres_url.replace("postgresql://postgres", f"postgresql://{name}", 1)
    with secnb.connect(database_url=url, redis_url=redis_url) as site:
        said = r"no table 'cameras'\. Known: none(.|\n)*GRANT USAGE ON SCHEMA(.|\n)*GRANT SELECT"
        with pytest.raises(UnknownNameError, match=said):
            site.cameras()
        with pytest.raises(QueryError, match=r"no table is seen; .*GRANT USAGE ON SCHEMA"):
            site.sql("SELECT * FROM cameras")
        asyncio.run(change(f"GRANT USAGE ON SCHEMA public TO {name}"))
        with pytest.raises(QueryError, match=r"permission denied[\s\S]*GRANT SELECT"):
            site.sql("SELECT * FROM cameras")
    asyncio.run(change(f"DROP OWNED BY {name}"))
    postgres_server.psql(f"DROP ROLE {name};")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux lists open files there")
def test_nothing_is_left_open(url, redis_url):
    """Neither file nor connection."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with secnb.connect(database_url=url, redis_url=redis_url) as site:
        site.detections()
        site.queues()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
