"""Where the helpers of a deployment run."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading

import pytest

import secnb
from secnb.bridge import shared_bridge
from secnb.errors import BadInputError, BridgeError, MissingDependencyError, SettingsError, UnreachableError


def test_the_notebook_loop_needs_a_running_loop(database, redis_url):
    """There is none in a script."""
    with pytest.raises(BridgeError, match='loop="background" works anywhere'):
        secnb.connect(database_url=f"sqlite:///{database}", redis_url=redis_url, loop="notebook")


@pytest.mark.parametrize("loop", ["mine", "", None, asyncio])
def test_other_loops_are_refused(loop):
    """With the values that are allowed."""
    with pytest.raises(BadInputError, match="Allowed: 'background' and 'notebook'"):
        secnb.connect(loop=loop)


async def test_the_notebook_loop_needs_its_extra(monkeypatch):
    """The hint is the line that installs it."""
    monkeypatch.setitem(sys.modules, "nest_asyncio2", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'secnb\[nested\]'"):
        secnb.connect(loop="notebook")


async def test_a_loop_that_cannot_be_patched_is_refused(monkeypatch):
    """Such as that of uvloop."""

    def refuse(loop):
        raise ValueError(f"Can't patch loop of type {type(loop)}")

    monkeypatch.setattr(pytest.importorskip("nest_asyncio2"), "apply", refuse)
    with pytest.raises(BridgeError, match="Can't patch loop"):
        secnb.connect(loop="notebook")


@pytest.mark.parametrize("source", ["argument", "environment", "data/runtime.env", ".env"])
def test_a_password_that_is_not_encoded_is_told(tmp_path, monkeypatch, source):
    """Wherever the URL stands, what is wrong is said, and nothing of the password is shown."""
    url = "postgresql://ann:hid@den/gem@db/security"
    (tmp_path / "data").mkdir()
    (tmp_path / ".env").touch()
    if source == "environment":
        monkeypatch.setenv("DATABASE_URL", url)
    elif source != "argument":
        (tmp_path / source).write_text(f"DATABASE_URL={url}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"ann:\*\*\*@db/security(.|\n)*write @ as %40") as caught:
        secnb.connect(tmp_path / ".env", database_url=url if source == "argument" else None)
    assert not any(part in str(caught.value) for part in ("hid", "den", "gem"))


def test_a_connect_that_takes_long_is_shown_by_its_name():
    """Not by that of a method which nobody knows."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}/0"

        def connect() -> None:
            with contextlib.suppress(UnreachableError):
                secnb.connect(database_url=f"postgresql://ann@{place}", redis_url=f"redis://{place}")

        thread = threading.Thread(target=connect)
        thread.start()
        asked, _ = silent.accept()
        names = [each.name for each in shared_bridge().running(None)]
        asked.close()
    thread.join(30)
    assert names == ["connect"]
