"""Whether an AI service answers: one GET of its health page, within two seconds."""

from __future__ import annotations

import asyncio
import http.client
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

from secnb.core.url import mask_url

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
        ``http://`` or ``https://``.
    """
    started = time.perf_counter()
    try:
        if urlsplit(url).scheme not in ("http", "https"):
            return Answer(False, None, f"{mask_url(url)} is no http or https URL")
        async with asyncio.timeout(_LIMIT_S):
            status = await asyncio.to_thread(_status, url.rstrip("/") + "/health")
    except TimeoutError:
        return Answer(False, None, f"no answer within {_LIMIT_S:g} s")
    except (ValueError, http.client.InvalidURL):
        # Its text quotes pieces of the URL, perhaps of a password.
        return Answer(False, None, f"{mask_url(url)} is no usable URL")
    except (OSError, http.client.HTTPException) as exc:
        return Answer(False, None, str(getattr(exc, "reason", None) or exc))
    return Answer(status < _FIRST_FAILURE, (time.perf_counter() - started) * 1000, f"HTTP {status}")


def _status(url: str) -> int:
    # The scheme was checked, and a local service is not asked through a proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_LIMIT_S) as response:
            return int(response.status)
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code
