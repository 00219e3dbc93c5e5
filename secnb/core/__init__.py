"""The core layer: settings, the async database and the Redis client, as in the core guide.

It knows neither pandas nor notebooks; what comes out are plain rows and plain Python values. Names are
loaded on first use, so that the reader process, a module of this package, starts without SQLAlchemy.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secnb.core.config import Settings as Settings
    from secnb.core.config import get_settings as get_settings
    from secnb.core.database import Base as Base
    from secnb.core.database import close_db as close_db
    from secnb.core.database import get_db as get_db
    from secnb.core.database import get_engine as get_engine
    from secnb.core.database import get_session as get_session
    from secnb.core.database import get_session_factory as get_session_factory
    from secnb.core.database import init_db as init_db
    from secnb.core.redis import RedisClient as RedisClient
    from secnb.core.redis import close_redis as close_redis
    from secnb.core.redis import get_redis as get_redis
    from secnb.core.redis import init_redis as init_redis

_HOMES = {
    "Base": "secnb.core.database",
    "RedisClient": "secnb.core.redis",
    "Settings": "secnb.core.config",
    "close_db": "secnb.core.database",
    "close_redis": "secnb.core.redis",
    "get_db": "secnb.core.database",
    "get_engine": "secnb.core.database",
    "get_redis": "secnb.core.redis",
    "get_session": "secnb.core.database",
    "get_session_factory": "secnb.core.database",
    "get_settings": "secnb.core.config",
    "init_db": "secnb.core.database",
    "init_redis": "secnb.core.redis",
}

__all__ = [
    "Base",
    "RedisClient",
    "Settings",
    "close_db",
    "close_redis",
    "get_db",
    "get_engine",
    "get_redis",
    "get_session",
    "get_session_factory",
    "get_settings",
    "init_db",
    "init_redis",
]


def __getattr__(name: str) -> object:
    # %autoreload empties a module that changed, submodules included.
    if (submodule := sys.modules.get(f"{__name__}.{name}")) is not None:
        return submodule
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
