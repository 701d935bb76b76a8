"""TLS to MariaDB and Redis with a private certificate authority: the right one is accepted, another is refused."""

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from loadtests.started.servers import IS_EMBEDDED, MariaDB
from longtasks.local_stack.procfile import PROJECT_DIR, free_port
from tests.support.certificates import make_certificates
from tests.support.secured_redis import SecuredRedis

pytestmark = pytest.mark.skipif(IS_EMBEDDED, reason="the embedded stack has no network")
ASK = """
import django; django.setup()
from django.db import connection
from tasks_app.queues import redis_connection
with connection.cursor() as cursor:
    cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    print("cipher", cursor.fetchone()[1] or "none")
print("redis", redis_connection.get_connection().ping())
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls"))


class TlsMariaDB(MariaDB):
    def __init__(self, certificates: Path) -> None:
        super().__init__()
        self.port = free_port()
        self._certificates = certificates

    def _command(self) -> list[str]:
        options = [option for option in super()._command() if option != "--skip-networking"]
        tls = [f"--ssl-{kind}={self._certificates / name}" for kind, name in
               (("ca", "ca.pem"), ("cert", "server.pem"), ("key", "server.key"))]  # fmt: skip
        return [*options, "--bind-address=127.0.0.1", f"--port={self.port}", *tls]


@pytest.fixture(scope="module")
def tls_servers(certificates: Path) -> Generator[tuple[TlsMariaDB, SecuredRedis], None, None]:
    pair = TlsMariaDB(certificates), SecuredRedis(certificates=certificates)
    try:
        for server in pair:
            server.start()
        pair[0].create_database("longtasks")
        pair[0].query("", "CREATE USER safe IDENTIFIED BY 'p' REQUIRE SSL")
        pair[0].query("", "GRANT ALL ON longtasks.* TO safe")
        yield pair
    finally:
        for server in pair:
            server.remove()


def ask(
    servers: tuple[TlsMariaDB, SecuredRedis], *, database_ca: Path, redis_ca: Path, hosts: str = "127.0.0.1:{port}"
) -> subprocess.CompletedProcess[str]:
    mariadb, redis_server = servers
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "settings.test",
        "DATABASE_URL": f"mysql://safe:p@{hosts.format(port=mariadb.port)}/longtasks?ssl_ca={database_ca}",
        "REDIS_URL": f"rediss://127.0.0.1:{redis_server.tls_port}/0?ssl_ca_certs={redis_ca}",
    }
    return subprocess.run(
        [sys.executable, "-c", ASK], cwd=PROJECT_DIR, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("hosts", ["127.0.0.1:{port}", "127.0.0.1:1,127.0.0.1:{port}"])
def test_the_right_authority_is_accepted(
    tls_servers: tuple[TlsMariaDB, SecuredRedis], certificates: Path, hosts: str
) -> None:
    done = ask(tls_servers, database_ca=certificates / "ca.pem", redis_ca=certificates / "ca.pem", hosts=hosts)
    assert done.returncode == 0, done.stderr
    assert "cipher TLS_" in done.stdout
    assert "redis True" in done.stdout


def test_another_authority_is_refused_by_the_databases_client(
    tls_servers: tuple[TlsMariaDB, SecuredRedis], certificates: Path
) -> None:
    done = ask(tls_servers, database_ca=certificates / "stranger.pem", redis_ca=certificates / "ca.pem")
    assert done.returncode != 0
    assert "certificate" in done.stderr.lower()


def test_another_authority_is_refused_by_redis_client(
    tls_servers: tuple[TlsMariaDB, SecuredRedis], certificates: Path
) -> None:
    done = ask(tls_servers, database_ca=certificates / "ca.pem", redis_ca=certificates / "stranger.pem")
    assert "cipher TLS_" in done.stdout
    assert done.returncode != 0
    assert "certificate" in done.stderr.lower()
