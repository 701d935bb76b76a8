"""The settings' addresses of database and Redis: comma-separated hosts, Sentinels, TLS, and refused values."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from settings.database import database_settings, replica_settings
from tasks_app.conf.redis import connection_settings


def database(url: str) -> dict:
    return database_settings(url=url, data_dir=Path("/nowhere"), local_infile=False)


def redis_settings(*, url: str = "", sentinels: tuple[str, ...] = ()) -> dict:
    return connection_settings(
        url=url,
        sentinels=sentinels,
        master_name="main",
        sentinel_username="watcher",
        sentinel_password="hidden",
        timeout_seconds=1.5,
    )


def test_several_hosts_are_a_choice() -> None:
    config = database("mysql://user:p%40ss@one:3307,two,[fd00::1]:3308/longtasks?read_timeout=5")
    assert config["ENGINE"] == "longtasks.mysql_failover"
    assert config["OPTIONS"]["hosts"] == [("one", 3307), ("two", 3306), ("fd00::1", 3308)]
    assert config["OPTIONS"]["takes_writes"] is True
    assert config["OPTIONS"]["read_timeout"] == 5
    assert (config["NAME"], config["USER"], config["PASSWORD"]) == ("longtasks", "user", "p@ss")


def test_one_host_is_djangos_own_backend() -> None:
    config = database("mysql://user:secret@one:3307/longtasks")
    assert config["ENGINE"] == "django.db.backends.mysql"
    assert "hosts" not in config["OPTIONS"]


def test_a_replica_need_not_accept_writes() -> None:
    assert replica_settings(url="mysql://one,two/longtasks")["OPTIONS"]["takes_writes"] is False


def test_tls_options_are_collected_and_verified_by_default() -> None:
    options = database("mysql://one/longtasks?ssl_ca=/ca.pem&ssl_cert=/cert.pem&ssl_key=/key.pem")["OPTIONS"]
    assert options["ssl"] == {"ca": "/ca.pem", "cert": "/cert.pem", "key": "/key.pem"}
    assert options["ssl_mode"] == "VERIFY_IDENTITY"
    assert not [name for name in options if name in ("ssl_ca", "ssl_cert", "ssl_key")]
    assert database("mysql://one/longtasks?ssl_mode=REQUIRED")["OPTIONS"]["ssl_mode"] == "REQUIRED"
    assert database("mysql://one/x?ssl_ca=/ca.pem&ssl_mode=VERIFY_CA")["OPTIONS"]["ssl_mode"] == "VERIFY_CA"


def test_a_wrong_host_is_refused_without_the_password() -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        database("mysql://user:hidden@one:x,two/longtasks")
    assert "a port is not a number" in str(refusal.value)
    assert "hidden" not in str(refusal.value)


def test_without_sentinels_the_url_is_used_as_it_is() -> None:
    assert redis_settings(url="redis://:p@one/3") == {
        "URL": "redis://:p@one:6379/3?socket_timeout=1.5&socket_connect_timeout=1.5"
    }


def test_sentinels_take_password_and_database_from_the_url() -> None:
    config = redis_settings(
        url="rediss://app:p%40ss@/3?ssl_ca_certs=/ca.pem", sentinels=("one:26380", "two", "[fd00::1]:26379")
    )
    assert config["SENTINELS"] == [("one", 26380), ("two", 26379), ("fd00::1", 26379)]
    assert (config["MASTER_NAME"], config["DB"], config["PASSWORD"]) == ("main", 3, "p@ss")
    assert config["CONNECTION_KWARGS"]["username"] == "app"
    assert config["CONNECTION_KWARGS"]["ssl"] is True
    assert config["CONNECTION_KWARGS"]["ssl_ca_certs"] == "/ca.pem"
    assert config["CONNECTION_KWARGS"]["socket_timeout"] == 1.5
    assert config["SENTINEL_KWARGS"]["password"] == "hidden"
    assert config["SENTINEL_KWARGS"]["username"] == "watcher"
    assert config["SENTINEL_KWARGS"]["ssl"] is True


@pytest.mark.parametrize("sentinel", ["one:x", ":26379"])
def test_a_wrong_sentinel_is_refused(sentinel: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="REDIS_SENTINELS"):
        redis_settings(sentinels=(sentinel,))
