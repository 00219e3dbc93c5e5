"""The README keeps what it promises: its example prints what it shows, its first screen is in order."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import redis
from sqlalchemy import NullPool, insert
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

import secnb
from secnb.bridge import two_faced
from secnb.core.models import Base, Camera
from secnb.core.reader import DatabaseReader
from secnb.core.url import parse_database_url
from secnb.deployment import Deployment

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
PYTHON = [text for kind, text in BLOCKS if kind == "python"]


def test_example_prints_what_the_readme_shows():
    """Run as a newcomer would, in a process of its own."""
    shown = next(text for kind, text in BLOCKS if kind == "text")
    done = subprocess.run([sys.executable, "-c", PYTHON[0]], capture_output=True, text=True, timeout=120)
    assert done.stdout == shown, done.stderr


def test_example_has_at_most_twelve_lines():
    """It fits on the first screen."""
    assert len(PYTHON[0].splitlines()) <= 12


def test_first_screen_is_sentence_picture_example_and_the_two_commands():
    """In this order, and the picture is there."""
    picture = re.search(r"!\[.+\]\((.+\.png)\)", README)
    assert (ROOT / picture.group(1)).stat().st_size > 10_000
    order = [
        README.index(part) for part in ("See what a", picture.group(), "```python", "make lab", "make test")
    ]
    assert order == sorted(order)


def test_service_example_answers():
    """From start to end, on the database of its settings."""
    asking = """
from fastapi.testclient import TestClient

with TestClient(app) as client:
    answer = client.get("/cameras")
    print(answer.status_code, answer.json())
"""
    done = subprocess.run(
        [sys.executable, "-c", PYTHON[1] + asking], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout == "200 []\n"


@pytest.mark.parametrize("name", re.findall(r"`site\.(\w+)\(|`\.(\w+)\(\)`", README))
def test_every_helper_named_exists(name):
    """A helper that the README names can be called."""
    assert hasattr(Deployment, "".join(name))


def test_every_helper_is_named():
    """A helper that the README does not name cannot be found."""
    faces = [name for name in dir(Deployment) if isinstance(getattr(Deployment, name), two_faced)]
    assert faces
    for name in faces:
        assert re.search(rf"\.{name}\(", README), name


def test_redis_user_of_the_readme_can_look_and_not_touch(start_redis_server):
    """The ACL line is enough for every helper, and for nothing else."""
    (line,) = re.findall(r"^ACL SETUSER analyst .*$", README, re.MULTILINE)
    server = start_redis_server()
    with redis.Redis.from_url(server.url) as owner:
        owner.rpush("detection_queue", '{"camera_id": "front", "file_path": "/x.jpg"}')
        owner.execute_command(*line.replace("…", "secret-word").split())
    url = server.url.replace("redis://", "redis://analyst:secret-word@")
    with sqlite3.connect("empty.db") as database:
        database.execute("CREATE TABLE cameras (id)")
    database.close()
    with secnb.connect(database_url="sqlite:///empty.db", redis_url=url) as site:
        assert site.queues().set_index("queue").loc["detection_queue", "length"] == 1
        assert site.peek("detection_queue")["ok"].all()
        assert site.keys()["size_bytes"].notna().all()
        for look in (site.cache, site.open_batches, site.dead_letters):
            assert look().empty
        assert site.tail("events", 0.1).empty
        assert (site.health().set_index("component").loc["redis", "status"]) == "up"
    with redis.Redis.from_url(url) as analyst, pytest.raises(redis.exceptions.NoPermissionError):
        analyst.lpop("detection_queue")


async def test_postgres_role_of_the_readme_can_look_and_not_touch(postgres_url):
    """It reads tables that are made later too, and cannot write even where a session would let it."""
    grants = next(text for kind, text in BLOCKS if kind == "sql")
    name, service = (f"{each}_{uuid.uuid4().hex}" for each in ("analyst", "service"))
    grants = grants.replace("analyst", name).replace("service", service).replace("…", "secret-word")
    owner = create_async_engine(parse_database_url(postgres_url))
    async with owner.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(Camera), {"id": "front", "name": "Front"})
        made_first = f"CREATE ROLE {service}; GRANT CREATE ON SCHEMA public TO {service}"
        made_later = f"SET LOCAL ROLE {service}; CREATE TABLE {service} (id int)"
        for statement in f"{made_first};\n{grants.strip()}\n{made_later}".replace("; ", ";\n").split(";\n"):
            await connection.exec_driver_sql(statement)
    role = parse_database_url(postgres_url).set(username=name, password="secret-word")
    reader = DatabaseReader(role.render_as_string(hide_password=False))
    assert len((await reader.fetch("SELECT id FROM cameras")).rows) == 1
    assert (await reader.fetch(f"SELECT id FROM {service}")).rows == []
    await reader.close()
    analyst = create_async_engine(role, poolclass=NullPool)
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with analyst.begin() as connection:
            await connection.exec_driver_sql("DELETE FROM cameras")
    async with owner.begin() as connection:
        await connection.exec_driver_sql(f"DROP OWNED BY {name}, {service}")
        await connection.exec_driver_sql(f"DROP ROLE {name}, {service}")
    await owner.dispose()
