"""The core layer: settings, the async database and the Redis client, as in the core guide.

It knows neither pandas nor notebooks; what comes out are plain rows and plain Python values.
"""

from __future__ import annotations

from secnb.core.config import Settings, get_settings
from secnb.core.database import (
    Base,
    close_db,
    get_db,
    get_engine,
    get_session,
    get_session_factory,
    init_db,
)
from secnb.core.redis import RedisClient, close_redis, get_redis, init_redis

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
