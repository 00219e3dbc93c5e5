from __future__ import annotations

import asyncio
import gc
import socket
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import NullPool, StaticPool, func, inspect, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from secnb.core import (
    Base,
    close_db,
    database,
    get_db,
    get_engine,
    get_session,
    get_session_factory,
    get_settings,
    init_db,
)
from secnb.core.models import Camera, Detection, Event, EventFeedback
from secnb.core.url import sqlite_path
from secnb.errors import NotInitializedError, UnreachableError

TABLES = {"cameras", "detections", "events", "event_feedback", "gpu_stats"}


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty database of each kind."""
    name = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
async def db(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Initialize the core on an empty database of each kind."""
    use(database_url, monkeypatch)
    await init_db()
    yield
    await close_db()


@pytest.fixture
async def sqlite_db(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """Initialize the core on a SQLite file and return its path."""
    use(sqlite_url, monkeypatch)
    await init_db()
    path = sqlite_path(sqlite_url)
    assert path is not None
    yield path
    await close_db()


def use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    get_settings.cache_clear()


async def count_cameras() -> int:
    async with get_session() as session:
        return await session.scalar(select(func.count()).select_from(Camera)) or 0


async def pragma(name: str) -> object:
    async with get_engine().connect() as connection:
        return (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()


async def test_init_db_creates_the_tables_of_all_models(db: None) -> None:
    async with get_engine().connect() as connection:
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert set(names) == TABLES == set(Base.metadata.tables)


async def test_a_session_commits_at_its_end(db: None) -> None:
    async with get_session() as session:
        session.add(Camera(id="cam1", name="Front Door"))
    assert await count_cameras() == 1


async def test_a_session_rolls_back_on_an_error(db: None) -> None:
    async def work() -> None:
        async with get_session() as session:
            session.add(Camera(id="cam1", name="Front Door"))
            await session.flush()
            raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        await work()
    assert await count_cameras() == 0


async def test_a_session_rolls_back_when_its_commit_fails(db: None) -> None:
    with pytest.raises(IntegrityError):
        async with get_session() as session:
            session.add(Detection(camera_id="nobody", file_path="/x.jpg"))
    assert await count_cameras() == 0


async def test_a_cancelled_session_rolls_back(db: None) -> None:
    is_flushed = asyncio.Event()

    async def work() -> None:
        async with get_session() as session:
            session.add(Camera(id="cam1", name="Front Door"))
            await session.flush()
            is_flushed.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await is_flushed.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count_cameras() == 0


async def test_a_session_is_closed_in_every_case(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[AsyncSession] = []
    close = AsyncSession.close

    async def spy(self: AsyncSession) -> None:
        closed.append(self)
        await close(self)

    monkeypatch.setattr(AsyncSession, "close", spy)
    async with get_session() as good:
        pass
    with pytest.raises(LookupError, match="on purpose"):
        async with get_session() as bad:
            raise LookupError("on purpose")
    assert closed == [good, bad]


async def test_get_db_commits_when_its_user_is_done(db: None) -> None:
    async for session in get_db():
        session.add(Camera(id="cam1", name="Front Door"))
    assert await count_cameras() == 1


async def test_get_db_rolls_back_when_its_user_fails(db: None) -> None:
    dependency = get_db()
    session = await anext(dependency)
    session.add(Camera(id="cam1", name="Front Door"))
    await session.flush()
    with pytest.raises(LookupError, match="on purpose"):
        await dependency.athrow(LookupError("on purpose"))
    assert await count_cameras() == 0


async def test_objects_stay_usable_after_a_commit(db: None) -> None:
    async with get_session() as session:
        camera = Camera(id="cam1", name="Front Door")
        session.add(camera)
        await session.commit()
        assert camera.name == "Front Door"


async def test_nothing_is_flushed_before_a_query(db: None) -> None:
    async with get_session() as session:
        session.add(Camera(id="cam1", name="Front Door"))
        assert (await session.execute(select(Camera))).all() == []


async def test_a_refreshed_record_holds_its_defaults(db: None) -> None:
    async with get_session() as session:
        camera = Camera(id="cam1", name="Front Door")
        session.add(camera)
        await session.commit()
        await session.refresh(camera)
    assert (camera.status, camera.folder_path, camera.created_at.tzinfo) == ("online", "", UTC)


async def test_a_record_can_be_changed_and_deleted(db: None) -> None:
    async with get_session() as session:
        session.add(Camera(id="cam1", name="Front Door"))
    async with get_session() as session:
        camera = await session.get_one(Camera, "cam1")
        camera.status = "offline"
        await session.commit()
        await session.delete(camera)
    assert await count_cameras() == 0


async def test_times_come_back_aware_and_in_utc(db: None) -> None:
    at = datetime(2026, 1, 15, 10, 30, tzinfo=timezone(timedelta(hours=2)))
    async with get_session() as session:
        session.add(Camera(id="cam1", name="Front Door", last_seen_at=at))
    async with get_session() as session:
        seen = (await session.get_one(Camera, "cam1")).last_seen_at
    assert seen is not None
    assert (seen, seen.utcoffset()) == (at, timedelta(0))


async def test_deleting_a_camera_deletes_what_hangs_on_it(db: None) -> None:
    async with get_session() as session:
        session.add(Camera(id="cam1", name="Front Door"))
        await session.flush()
        event = Event(batch_id="b1", camera_id="cam1", started_at=datetime.now(UTC))
        session.add_all([event, Detection(camera_id="cam1", file_path="/x.jpg")])
        await session.flush()
        session.add(EventFeedback(event_id=event.id, feedback_type="false_positive"))
    async with get_session() as session:
        await session.execute(text("DELETE FROM cameras"))
        left = [await session.scalar(select(func.count()).select_from(m)) for m in (Event, EventFeedback)]
    assert left == [0, 0]


async def test_an_event_has_at_most_one_feedback(db: None) -> None:
    async with get_session() as session:
        session.add(Camera(id="cam1", name="Front Door"))
        await session.flush()
        session.add(Event(id=1, batch_id="b1", camera_id="cam1", started_at=datetime.now(UTC)))
    with pytest.raises(IntegrityError):
        async with get_session() as session:
            session.add_all(EventFeedback(event_id=1, feedback_type="accurate") for _ in range(2))


async def test_init_db_again_keeps_the_data_and_replaces_the_engine(db: None) -> None:
    async with get_session() as session:
        session.add(Camera(id="cam1", name="Front Door"))
    earlier = get_engine()
    await init_db()
    assert get_engine() is not earlier
    assert await count_cameras() == 1


async def test_many_sessions_at_once_all_commit(db: None) -> None:
    async def add(i: int) -> None:
        async with get_session() as session:
            session.add(Camera(id=f"cam{i}", name="Front Door"))

    await asyncio.gather(*(add(i) for i in range(30)))
    assert await count_cameras() == 30


@pytest.mark.parametrize("function", [get_engine, get_session_factory])
async def test_before_init_db_there_is_nothing_to_get(function: object) -> None:
    assert callable(function)
    with pytest.raises(RuntimeError, match="Database not initialized"):
        function()


async def test_a_session_before_init_db_is_refused() -> None:
    with pytest.raises(NotInitializedError, match="Database not initialized"):
        async with get_session():
            pass


async def test_after_close_db_there_is_nothing_to_get(db: None) -> None:
    await close_db()
    with pytest.raises(RuntimeError, match="Database not initialized"):
        get_engine()
    with pytest.raises(RuntimeError, match="Database not initialized"):
        get_session_factory()


async def test_close_db_twice_is_harmless(db: None) -> None:
    await close_db()
    await close_db()
    assert database._engine is None


async def test_init_db_works_again_after_close_db(db: None) -> None:
    await close_db()
    await init_db()
    assert await count_cameras() == 0


async def test_a_failed_init_db_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.db").write_bytes(b"this is no database" * 100)
    use(f"sqlite:///{tmp_path}/broken.db", monkeypatch)
    with pytest.raises(Exception, match="not a database"):
        await init_db()
    with pytest.raises(NotInitializedError, match="Database not initialized"):
        get_engine()


async def test_a_failed_init_db_keeps_the_engine_that_works(
    sqlite_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(f"sqlite:///{sqlite_db.parent}", monkeypatch)
    with pytest.raises(OperationalError, match="unable to open"):
        await init_db()
    assert await count_cameras() == 0


def test_init_db_works_on_a_new_event_loop(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(database_url, monkeypatch)

    async def once() -> int:
        await init_db()
        try:
            return await count_cameras()
        finally:
            await close_db()

    assert [asyncio.run(once()), asyncio.run(once())] == [0, 0]


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_engine_left_open_on_a_closed_loop_is_replaced(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use(database_url, monkeypatch)
    asyncio.run(init_db())

    async def again() -> int:
        await init_db()
        n = await count_cameras()
        await close_db()
        return n

    assert asyncio.run(again()) == 0
    assert "Exception" not in caplog.text
    # What was left open is reported here, not in a later test.
    gc.collect()


@pytest.mark.parametrize(
    ("name", "value"),
    [("foreign_keys", 1), ("busy_timeout", 30000), ("synchronous", 1), ("journal_mode", "wal")],
)
async def test_a_sqlite_connection_has_its_pragmas(sqlite_db: Path, name: str, value: object) -> None:
    assert await pragma(name) == value


async def test_a_sqlite_file_that_was_there_keeps_its_journal_mode(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(sqlite_url, monkeypatch)
    path = sqlite_path(get_settings().database_url)
    assert path is not None
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE old (x)")
    connection.close()
    await init_db()
    mode = await pragma("journal_mode")
    await close_db()
    assert mode == "delete"


async def test_sqlite_files_are_not_pooled(sqlite_db: Path) -> None:
    assert isinstance(get_engine().sync_engine.pool, NullPool)


async def test_sqlite_refuses_a_row_without_its_camera(sqlite_db: Path) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        async with get_session() as session:
            session.add(Detection(camera_id="nobody", file_path="/x.jpg"))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite+aiosqlite:///:memory:"])
async def test_sessions_share_a_database_in_memory(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(url, monkeypatch)
    await init_db()
    try:
        async with get_session() as session:
            session.add(Camera(id="cam1", name="Front Door"))
        assert await count_cameras() == 1
        assert isinstance(get_engine().sync_engine.pool, StaticPool)
    finally:
        await close_db()


@pytest.mark.parametrize("is_debug", [False, True])
async def test_debug_logs_statements_and_shows_parameters(
    is_debug: bool, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBUG", str(is_debug))
    use(sqlite_url, monkeypatch)
    await init_db()
    engine = get_engine().sync_engine
    await close_db()
    assert (bool(engine.echo), engine.hide_parameters) == (is_debug, not is_debug)


async def test_libpq_options_work_on_a_real_server(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "sslmode=disable&connect_timeout=5&application_name=night+watch"
    use(f"{postgres_url}&{options}", monkeypatch)
    await init_db()
    async with get_session() as session:
        name = await session.scalar(text("SHOW application_name"))
    await close_db()
    assert name == "night watch"


async def test_an_unknown_option_is_refused_by_the_server(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(f"{postgres_url}&no_such_option=1", monkeypatch)
    with pytest.raises(Exception, match="no_such_option"):
        await init_db()


async def test_a_server_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever calls it learns which server that is, and no password."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    use(f"postgresql://ann:hidden@127.0.0.1:{port}/security", monkeypatch)
    with pytest.raises(UnreachableError, match=rf"ann:\*\*\*@127\.0\.0\.1:{port}/security does not answer"):
        await init_db()


async def test_init_at_the_same_time_makes_one_database(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    get_settings.cache_clear()
    await asyncio.gather(*(init_db() for _ in range(8)))
    async with get_session() as session:
        assert (await session.execute(select(Camera))).all() == []
    await close_db()
