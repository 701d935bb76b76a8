"""The embedded Valkey is private, syncs its writes, locks its directory and ends with its stack."""

from pathlib import Path

import pytest
import redis as redis_package

from longtasks.local_stack.embedded_valkey import EmbeddedError, EmbeddedValkey


def client(server: EmbeddedValkey) -> "redis_package.Redis":
    return redis_package.Redis.from_url(server.url)


def test_every_write_is_synced_and_survives_a_stop(tmp_path: Path) -> None:
    server = EmbeddedValkey(data_dir=tmp_path / "data")
    server.start()
    try:
        with client(server) as connection:
            settings = connection.config_get("append*")
            assert (settings["appendonly"], settings["appendfsync"]) == ("yes", "always")
            assert connection.config_get("port") == {"port": "0"}
            connection.set("key", "value")
        server.stop()
        assert server.pid is None
        assert not server.socket_path.exists()
        server.start()
        with client(server) as connection:
            assert connection.get("key") == b"value"
    finally:
        server.stop()


def test_two_servers_on_one_directory_are_refused(tmp_path: Path) -> None:
    server = EmbeddedValkey(data_dir=tmp_path)
    server.start()
    try:
        with pytest.raises(EmbeddedError, match="another stack runs on"):
            EmbeddedValkey(data_dir=tmp_path).start()
        with client(server) as connection:
            assert connection.ping()
    finally:
        server.stop()


def test_a_path_too_long_for_a_socket_gets_a_socket_elsewhere(tmp_path: Path) -> None:
    server = EmbeddedValkey(data_dir=tmp_path / ("d" * 120))
    server.start()
    try:
        assert len(str(server.socket_path)) < 108
        with client(server) as connection:
            assert connection.ping()
    finally:
        server.stop()
    assert not server.socket_path.parent.exists()
