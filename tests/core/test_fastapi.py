from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from secnb.core import (
    RedisClient,
    close_db,
    close_redis,
    get_db,
    get_engine,
    get_redis,
    get_settings,
    init_db,
    init_redis,
)
from secnb.core import redis as redis_module
from secnb.core.models import Camera
from secnb.errors import NotInitializedError


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    await init_db()
    await init_redis()
    yield
    await close_db()
    await close_redis()


def make_app() -> FastAPI:
    app = FastAPI(lifespan=lifespan)

    @app.post("/cameras/{camera_id}")
    async def create(
        camera_id: str,
        db: Annotated[AsyncSession, Depends(get_db)],
        redis: Annotated[RedisClient, Depends(get_redis)],
    ) -> dict[str, int]:
        db.add(Camera(id=camera_id, name="Front Door"))
        return {"length": await redis.add_to_queue("new_cameras", {"camera_id": camera_id})}

    @app.post("/refused/{camera_id}")
    async def refuse(camera_id: str, db: Annotated[AsyncSession, Depends(get_db)]) -> None:
        db.add(Camera(id=camera_id, name="Front Door"))
        await db.flush()
        raise HTTPException(status_code=409, detail="on purpose")

    @app.post("/committed/{camera_id}")
    async def commit_first(
        camera_id: str, db: Annotated[AsyncSession, Depends(get_db, scope="function")]
    ) -> dict[str, str]:
        db.add(Camera(id=camera_id, name=None))
        return {"status": "ok"}

    @app.get("/cameras")
    async def names(db: Annotated[AsyncSession, Depends(get_db)]) -> list[str]:
        return list((await db.execute(select(Camera.id).order_by(Camera.id))).scalars())

    @app.get("/queue")
    async def queue(redis: Annotated[RedisClient, Depends(get_redis)]) -> list[dict[str, str]]:
        return await redis.peek_queue("new_cameras")

    return app


@asynccontextmanager
async def running() -> AsyncIterator[httpx.AsyncClient]:
    """Give the client of an application between its startup and its shutdown."""
    app = make_app()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://t") as c,
    ):
        yield c


@pytest.fixture(autouse=True)
def deployment(sqlite_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the settings name a new SQLite file and an empty Redis."""
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    get_settings.cache_clear()


async def test_a_route_commits_when_it_returns() -> None:
    async with running() as client:
        await client.post("/cameras/cam1")
        assert (await client.get("/cameras")).json() == ["cam1"]


async def test_a_route_rolls_back_when_it_raises_an_http_exception() -> None:
    async with running() as client:
        assert (await client.post("/refused/cam1")).status_code == 409
        assert (await client.get("/cameras")).json() == []


async def test_a_failing_commit_is_an_error_response_with_function_scope() -> None:
    async with running() as client:
        assert (await client.post("/committed/cam1")).status_code == 500


async def test_routes_share_the_redis_client() -> None:
    async with running() as client:
        lengths = [(await client.post(f"/cameras/cam{i}")).json()["length"] for i in range(3)]
        assert lengths == [1, 2, 3]
        assert (await client.get("/queue")).json()[0] == {"camera_id": "cam0"}


async def test_the_lifespan_closes_both() -> None:
    async with running():
        assert redis_module._redis_client is not None
    with pytest.raises(NotInitializedError, match="Database not initialized"):
        get_engine()
    assert redis_module._redis_client is None


async def test_an_application_can_start_again() -> None:
    async with running() as client:
        await client.post("/cameras/cam1")
    async with running() as client:
        assert (await client.get("/cameras")).json() == ["cam1"]
