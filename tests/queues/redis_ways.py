"""The ways in which REDIS_URL and REDIS_SENTINELS lead to Redis, each with servers of the tests' own."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock
from urllib.parse import quote

import django_rq.settings
from django.test import override_settings

from loadtests.started.server import Server
from longtasks.local_stack.child_process import wait_until
from tasks_app.conf.redis import connection_settings
from tasks_app.queues import redis_connection
from tasks_app.queues.queue_names import HIGH
from tests.support.certificates import make_certificates
from tests.support.secured_redis import SecuredRedis, Sentinel
from tests.support.sentinel_config import MASTER_NAME

PASSWORD = "p@ss/word"
DATABASE = 5
Started = TypeVar("Started", bound=Server)


@dataclass(frozen=True, slots=True)
class Way:
    """A running Redis, and the settings that lead to it."""

    server: SecuredRedis
    config: Mapping[str, Any]
    sentinel: Sentinel | None = None
    replica: SecuredRedis | None = None


def _settings(url: str, *, sentinels: tuple[str, ...] = ()) -> dict[str, Any]:
    return connection_settings(
        url=url,
        sentinels=sentinels,
        master_name=MASTER_NAME,
        sentinel_username="",
        sentinel_password=PASSWORD,
        timeout_seconds=1,
    )


@contextmanager
def running(server: Started) -> Iterator[Started]:
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def by_tls(directory: Path) -> Iterator[Way]:
    certificates = make_certificates(directory)
    with running(SecuredRedis(password=PASSWORD, certificates=certificates)) as server:
        login = f":{quote(PASSWORD, safe='')}@127.0.0.1:{server.tls_port}"
        yield Way(server, _settings(f"rediss://{login}/{DATABASE}?ssl_ca_certs={certificates / 'ca.pem'}"))


@contextmanager
def by_socket(directory: Path) -> Iterator[Way]:
    with running(SecuredRedis()) as server:
        yield Way(server, _settings(f"unix://{server.socket_path}?db={DATABASE}"))


@contextmanager
def by_password(directory: Path) -> Iterator[Way]:
    with running(SecuredRedis(password=PASSWORD)) as server:
        yield Way(server, _settings(f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/{DATABASE}"))


@contextmanager
def by_sentinel(directory: Path, *, down_seconds: float = 600) -> Iterator[Way]:
    """A primary, its replica, and a Sentinel that promotes the replica when the primary has been silent for a time."""
    with ExitStack() as opened:
        primary = opened.enter_context(running(SecuredRedis(password=PASSWORD)))
        replica = opened.enter_context(running(SecuredRedis(password=PASSWORD)))
        with replica.client() as client:
            client.replicaof("127.0.0.1", primary.port)
        with primary.client() as client:
            assert wait_until(lambda: client.set("mark", "1") and client.wait(1, 100) == 1, deadline_seconds=30)
        sentinel = opened.enter_context(
            running(Sentinel(primary=primary, password=PASSWORD, down_seconds=down_seconds))
        )
        assert wait_until(sentinel.knows_replica, deadline_seconds=30)
        url = f"redis://:{quote(PASSWORD, safe='')}@/{DATABASE}"
        yield Way(primary, _settings(url, sentinels=(f"127.0.0.1:{sentinel.port}",)), sentinel, replica)


WAYS = {"tls": by_tls, "unix socket": by_socket, "password and database": by_password, "sentinel": by_sentinel}


@contextmanager
def reached(way: Way) -> Iterator[None]:
    """Have `redis_connection.get_connection` take this way, as a process with these settings does."""
    queues = {HIGH: dict(way.config)}
    with override_settings(RQ_QUEUES=queues), mock.patch.object(django_rq.settings, "QUEUES", queues):
        redis_connection._connect.cache_clear()
        try:
            yield
        finally:
            redis_connection.get_connection().close()
            redis_connection._connect.cache_clear()
