"""A service is asked at its own host, with the user, the password and the query of its URL."""

from __future__ import annotations

import asyncio
import base64
import http.server
import socket
import threading
from collections.abc import Iterator

import pytest

from secnb.core.health import fetch_health


class _Service(http.server.BaseHTTPRequestHandler):
    """Notes what it was asked; below /away it sends to the other host in the header that it was made with."""

    asked: list[tuple[str, str | None, str | None]]
    other: str = ""

    def do_GET(self) -> None:
        """Answer."""
        self.asked.append((self.path, self.headers["Host"], self.headers["Authorization"]))
        self.send_response(302 if self.path.startswith("/away") else 200)
        self.send_header("Location", f"{self.other}/landed")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[type[_Service]]:
    """Return a running service, with its ``port``; the other host is the same by another name."""
    handler = type("Service", (_Service,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.port, handler.other = server.server_port, f"http://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield handler
        server.shutdown()
        thread.join()


def ask(url):
    """Return the answer."""
    return asyncio.run(fetch_health(url))


@pytest.mark.parametrize(
    ("userinfo", "pair"),
    [("adm:pw", "adm:pw"), ("adm", "adm:"), (":pw", ":pw"), ("a%40b:p%3Aw%C3%A4:x", "a@b:p:wä:x")],
)
def test_user_and_password_are_a_header(service, userinfo, pair):
    """Not a piece of the host's name."""
    assert ask(f"http://{userinfo}@127.0.0.1:{service.port}").is_up
    expected = f"Basic {base64.b64encode(pair.encode()).decode()}"
    assert service.asked == [("/health", f"127.0.0.1:{service.port}", expected)]


def test_no_name_server_is_asked_for_a_password(service, monkeypatch):
    """It would travel in the clear."""
    hosts = []
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: [hosts.append(host), real(host, *a, **k)][1]
    )
    ask(f"http://adm:pw@localhost:{service.port}")
    ask(f"http://adm:12/pw@localhost:{service.port}")
    assert set(hosts) == {"localhost"}


@pytest.mark.parametrize(
    ("rest", "path"),
    [
        ("", "/health"),
        ("/", "/health"),
        ("/v1", "/v1/health"),
        ("/v1/?token=x&a=/", "/v1/health?token=x&a=/"),
        ("?api_key=x", "/health?api_key=x"),
        ("/v1#part", "/v1/health"),
    ],
)
def test_the_query_stays_behind_the_path(service, rest, path):
    assert ask(f" http://127.0.0.1:{service.port}{rest} ").is_up
    assert service.asked == [(path, f"127.0.0.1:{service.port}", None)]


def test_a_redirect_carries_no_password_elsewhere(service):
    assert ask(f"http://adm:pw@127.0.0.1:{service.port}/away").detail == "HTTP 200"
    (first, second) = service.asked
    assert first[2] is not None
    assert second == ("/landed", f"localhost:{service.port}", None)


def test_a_password_that_is_cut_short_is_not_asked_for(service):
    """Its first piece would be the port, and the rest the path."""
    answer = ask(f"http://adm:{service.port}/secret@127.0.0.1")
    assert (answer.is_up, answer.detail) == (False, "http://adm:***@127.0.0.1 is no usable URL")
    assert service.asked == []
