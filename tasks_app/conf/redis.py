"""Turns REDIS_URL and REDIS_SENTINELS into the connection part of RQ_QUEUES: one server, or the Sentinels' primary.

Owns the options of the connections. Must not read the environment (settings/env.py).
"""

import re
from dataclasses import replace
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks_app.conf.service_url import RefusedUrl, ServiceUrl, parse_address, parse_url

SENTINEL_PORT = 26379
# The options that may follow the ? of a URL.
OPTIONS = ("db", "socket_timeout", "socket_connect_timeout")
TLS_OPTIONS = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
CHOICES = {"ssl_cert_reqs": ("none", "optional", "required"), "ssl_check_hostname": ("true", "false")}


def connection_settings(
    *,
    url: str,
    sentinels: tuple[str, ...],
    master_name: str,
    sentinel_username: str,
    sentinel_password: str,
    timeout_seconds: float,
) -> dict[str, Any]:
    """Return the connection part of RQ_QUEUES. With Sentinels the URL gives only user, password, database and TLS.

    Raises ImproperlyConfigured: one line with the variable's name and without any part of its value.
    """
    parsed = _parse_url(url, wants_host=not sentinels) if url or not sentinels else ServiceUrl(scheme="redis")
    if not sentinels:
        return {"URL": _with_timeouts(parsed, timeout_seconds)}
    if parsed.scheme == "unix":
        raise ImproperlyConfigured("REDIS_URL is refused: unix:// and REDIS_SENTINELS are both set. Unset one.")
    if not master_name:
        raise ImproperlyConfigured("REDIS_MASTER_NAME is empty: with REDIS_SENTINELS give the primary's name.")
    connection_options = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        # redis-py must not resend a command: only the caller knows which commands are idempotent.
        "retry": Retry(NoBackoff(), 0),
    }
    if parsed.scheme == "rediss":
        tls: dict[str, Any] = {name: value for name, value in parsed.query.items() if name.startswith("ssl_")}
        if "ssl_check_hostname" in tls:
            tls["ssl_check_hostname"] = tls["ssl_check_hostname"] == "true"
        connection_options |= {"ssl": True} | tls
    return {
        "SENTINELS": [_address(sentinel) for sentinel in sentinels],
        "MASTER_NAME": master_name,
        "DB": int(parsed.query.get("db") or parsed.path.strip("/") or 0),
        "PASSWORD": parsed.password or None,
        "CONNECTION_KWARGS": connection_options | ({"username": parsed.user} if parsed.user else {}),
        "SENTINEL_KWARGS": connection_options
        | ({"username": sentinel_username} if sentinel_username else {})
        | ({"password": sentinel_password} if sentinel_password else {}),
    }


def _parse_url(url: str, *, wants_host: bool) -> ServiceUrl:
    try:
        parsed = parse_url(url)
    except RefusedUrl as refusal:
        raise ImproperlyConfigured(f"REDIS_URL is refused: {refusal}.") from None
    is_unix = parsed.scheme == "unix"
    known = (*OPTIONS, *TLS_OPTIONS) if parsed.scheme == "rediss" else OPTIONS
    if not parsed.query.keys() <= set(known):
        raise ImproperlyConfigured(
            f"REDIS_URL is refused: it has an unknown option. The known options of {parsed.scheme}:// are "
            f"{', '.join(known)}."
        )
    numbers = [parsed.query.get("db", "")] if is_unix else [parsed.query.get("db", ""), parsed.path.removeprefix("/")]
    if not all(re.fullmatch(r"[0-9]{0,5}", number) for number in numbers):
        raise ImproperlyConfigured("REDIS_URL is refused: the database is not a number, as in redis://host:6379/0.")
    for name in ("socket_timeout", "socket_connect_timeout"):
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", parsed.query.get(name, "1")):
            raise ImproperlyConfigured(f"REDIS_URL is refused: its option {name} is not a number of seconds.")
    for name, choices in CHOICES.items():
        if parsed.query.get(name, choices[0]) not in choices:
            raise ImproperlyConfigured(f"REDIS_URL is refused: its option {name} is not one of {', '.join(choices)}.")
    if is_unix and not parsed.path.strip("/"):
        raise ImproperlyConfigured("REDIS_URL is refused: it names no socket. Write unix:///path/of/the/socket.")
    if not is_unix and (len(parsed.hosts) > 1 or (wants_host and not parsed.hosts)):
        raise ImproperlyConfigured("REDIS_URL is refused: it names no host, or several. Give one host:port.")
    return parsed


def _with_timeouts(url: ServiceUrl, seconds: float) -> str:
    """Return the URL with the socket timeouts in its query: django-rq passes timeouts on only in this form."""
    timeouts = {"socket_timeout": f"{seconds:g}", "socket_connect_timeout": f"{seconds:g}"}
    return str(replace(url, query=timeouts | url.query))


def _address(sentinel: str) -> tuple[str, int]:
    try:
        if "@" in sentinel:
            raise RefusedUrl("user and password go into REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD")
        return parse_address(sentinel, default_port=SENTINEL_PORT)
    except RefusedUrl as refusal:
        raise ImproperlyConfigured(
            f"REDIS_SENTINELS is refused: {refusal}. Give one or more host:port, comma-separated."
        ) from None
