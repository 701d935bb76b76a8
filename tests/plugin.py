"""Starts the test servers before Django's settings read DATABASE_URL and REDIS_URL, and removes them at the end.

It is loaded by `-p tests.plugin`: a conftest.py is loaded too late, after pytest-django has read the settings.
"""

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Sequence

import pytest

from loadtests.started.servers import Database, RedisServer, Server, ServerError, create_servers

DATABASE_NAME = "longtasks"
servers_key = pytest.StashKey[tuple[Database, RedisServer]]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    # A terminated run cleans up as an interrupted one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # xdist's processes ignore SIGINT, and their children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    servers = create_servers()
    early_config.stash[servers_key] = servers
    data_dir = tempfile.mkdtemp(prefix="longtasks-data-")
    atexit.register(_remove, servers, data_dir)
    database, redis_server = servers
    os.environ |= {
        "ENV_FILE": "",
        "DATA_DIR": data_dir,
        "DATABASE_URL": database.url(DATABASE_NAME),
        "REDIS_URL": redis_server.url(),
    }
    options = parser.parse_known_args(args)
    # With -n each process starts servers of its own, except the one that only distributes the tests.
    hands_out = bool(options.numprocesses) and "PYTEST_XDIST_WORKER" not in os.environ
    if not (options.help or options.version or options.collectonly or hands_out):
        try:
            for server in servers:
                server.start()
        except ServerError as error:
            raise pytest.UsageError(str(error)) from error
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than ten seconds")
    config.addinivalue_line("markers", "newman: runs the Postman collection; needs npm")
    config.addinivalue_line("markers", "browser: drives Chromium against the running stack")


def pytest_report_header(config: pytest.Config) -> str:
    return "servers: " + ", ".join(server.name for server in config.stash[servers_key])


def pytest_unconfigure(config: pytest.Config) -> None:
    for server in config.stash.get(servers_key, ()):
        server.remove()


def _remove(servers: Sequence[Server], data_dir: str) -> None:
    """Remove the servers of runs that end before pytest_unconfigure."""
    for server in servers:
        server.remove()
    shutil.rmtree(data_dir, ignore_errors=True)
