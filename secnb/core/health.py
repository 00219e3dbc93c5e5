"""Whether an AI service answers: one GET of its health page, within two seconds."""

from __future__ import annotations

import asyncio
import base64
import http.client
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

from secnb.core.url import is_cut_short, mask_url

_LIMIT_S = 2.0
_FIRST_FAILURE = 500


@dataclass(frozen=True)
class Answer:
    """What came back: whether the service is up, after how many milliseconds, and what it said."""

    is_up: bool
    latency_ms: float | None
    detail: str


async def fetch_health(url: str) -> Answer:
    """Return whether ``<url>/health`` answers with a status below 500; never raises.

    Parameters
    ----------
    url : str
        ``http://`` or ``https://``. A user and a password in it go out as basic authentication, to its own
        host alone; its query stays.
    """
    started = time.perf_counter()
    try:
        request = _request(url)
        if request is None:
            return Answer(False, None, f"{mask_url(url)} is no http or https URL")
        async with asyncio.timeout(_LIMIT_S):
            status = await asyncio.to_thread(_status, request)
    except TimeoutError:
        return Answer(False, None, f"no answer within {_LIMIT_S:g} s")
    except (ValueError, http.client.InvalidURL):
        # Its text quotes pieces of the URL, perhaps of a password.
        return Answer(False, None, f"{mask_url(url)} is no usable URL")
    except (OSError, http.client.HTTPException) as exc:
        return Answer(False, None, str(getattr(exc, "reason", None) or exc))
    return Answer(status < _FIRST_FAILURE, (time.perf_counter() - started) * 1000, f"HTTP {status}")


def _request(url: str) -> urllib.request.Request | None:
    """Return what asks for the health page; None where the scheme is another. Raises ValueError."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https"):
        return None
    if is_cut_short(url):
        # What follows would be asked of a host that is a piece of the password.
        raise ValueError
    # urllib would look the user and the password up as a part of the host's name.
    userinfo, at, host = parts.netloc.rpartition("@")
    path = parts.path.rstrip("/") + "/health"
    request = urllib.request.Request(urlunsplit((parts.scheme, host, path, parts.query, "")))  # noqa: S310
    if at:
        user, _, password = userinfo.partition(":")
        pair = base64.b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode()
        # A redirect may lead to another host, which is not to have it.
        request.add_unredirected_header("Authorization", f"Basic {pair}")
    return request


def _status(request: urllib.request.Request) -> int:
    # The scheme was checked, and a local service is not asked through a proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_LIMIT_S) as response:
            return int(response.status)
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code
