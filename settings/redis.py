"""Turns REDIS_URL and REDIS_SENTINELS into django-rq's entry of a queue: one server, or whichever Sentinels say is primary.

Must not read the environment: env.py does.
"""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

SENTINEL_PORT = 26379


def connection_settings(
    *,
    url: str,
    sentinels: tuple[str, ...],
    master_name: str,
    sentinel_username: str,
    sentinel_password: str,
    timeout_seconds: float,
) -> dict[str, Any]:
    """What of RQ_QUEUES says where Redis is. With Sentinels the URL gives user, password, database and TLS alone."""
    if not sentinels:
        return {"URL": _with_timeouts(url, timeout_seconds)}
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    speaking = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        # No command is sent twice unseen; who waits for a failover knows what bears repeating.
        "retry": Retry(NoBackoff(), 0),
    }
    if parts.scheme == "rediss":
        speaking |= {"ssl": True} | {name: value for name, value in query.items() if name.startswith("ssl_")}
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return {
        "SENTINELS": [_address(sentinel) for sentinel in sentinels],
        "MASTER_NAME": master_name,
        "DB": _database(parts.path, query),
        "PASSWORD": password or None,
        "CONNECTION_KWARGS": speaking | ({"username": user} if user else {}),
        "SENTINEL_KWARGS": speaking
        | ({"username": sentinel_username} if sentinel_username else {})
        | ({"password": sentinel_password} if sentinel_password else {}),
    }


def _with_timeouts(url: str, seconds: float) -> str:
    """The URL with socket timeouts in its query, the only form in which django-rq hands them on."""
    address, _, query = url.partition("?")
    timeouts = {"socket_timeout": f"{seconds:g}", "socket_connect_timeout": f"{seconds:g}"}
    return f"{address}?{urlencode(timeouts | dict(parse_qsl(query)))}"


def _address(sentinel: str) -> tuple[str, int]:
    host, colon, port = sentinel.rpartition(":")
    if not colon or sentinel.endswith("]"):
        host, port = sentinel, str(SENTINEL_PORT)
    if not host or not port.isdigit():
        shown = sentinel.rpartition("@")[2]  # a password has its own variable, but may stand here
        raise ImproperlyConfigured(f"REDIS_SENTINELS={shown!r} is refused: give host:port, several by comma.")
    return host.strip("[]"), int(port)


def _database(path: str, query: dict[str, str]) -> int:
    number = query.get("db") or path.strip("/") or "0"
    if not number.isdigit():
        raise ImproperlyConfigured(f"REDIS_URL with the database {number!r} is refused: give its number.")
    return int(number)
