"""URLs of database and Redis: every form is read correctly, or refused without repeating a part of it."""

import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured

from settings.database import database_settings
from tasks_app.conf.redis import connection_settings
from tasks_app.conf.service_url import RefusedUrl, ServiceUrl, parse_url

ODD = "/@:#?&=+% \"'\\[]{}|^~`<>;,$!*()\u00e4\u6f22"


def mysql(url: str) -> dict[str, Any]:
    return database_settings(url=url, data_dir=Path("/nowhere"), local_infile=False)


def redis_url(url: str, *, sentinels: tuple[str, ...] = ()) -> dict[str, Any]:
    return connection_settings(
        url=url, sentinels=sentinels, master_name="m", sentinel_username="", sentinel_password="", timeout_seconds=1
    )


def test_an_encoded_password_arrives_whole() -> None:
    for password in (ODD, *ODD, "a+b", "100%25", "[::1]"):
        encoded = quote(password, safe="")
        config = mysql(f"mysql://u%40x:{encoded}@host/name")
        assert (config["USER"], config["PASSWORD"], config["HOST"], config["NAME"]) == ("u@x", password, "host", "name")
        client = redis.Redis.from_url(redis_url(f"redis://u%40x:{encoded}@host:6380/3")["URL"])
        kwargs = client.connection_pool.connection_kwargs
        assert (kwargs["username"], kwargs["password"], kwargs["host"], kwargs["db"]) == ("u@x", password, "host", 3)
        sentinels = redis_url(f"redis://u:{encoded}@/3", sentinels=("one",))
        assert (sentinels["PASSWORD"], sentinels["DB"]) == (password, 3)


@pytest.mark.parametrize("odd", ODD)
def test_an_unencoded_password_is_read_correctly_or_refused(odd: str) -> None:
    """Never with another host or another password (but %34 is a 4, by the standard)."""
    for password in (
        f"m4rk{odd}m4rk",
        f"12{odd}{'zz' if odd == '%' else '34'}",
        f"{odd}m4rk",
        f"m4rk{odd}",
        odd,
        odd * 3,
    ):
        for scheme, path in (("mysql", "name"), ("redis", "0")):
            url = f"{scheme}://u:{password}@host:3307/{path}"
            if refusal := refusal_of(parse_url, url):
                assert "m4rk" not in refusal
                assert odd in "/#?% "
                continue
            expected = ServiceUrl(scheme=scheme, user="u", password=password, hosts=(("host", 3307),), path=f"/{path}")
            assert parse_url(url) == expected


def refusal_of(read: Callable[[str], object], url: str) -> str:
    """Return the message of the refusal, or an empty text; any other error fails the test."""
    try:
        read(url)
    except (ImproperlyConfigured, RefusedUrl) as refusal:
        return str(refusal)
    return ""


def test_no_url_causes_a_traceback() -> None:
    drawn = random.Random(56)
    letters = string.ascii_letters[:4] + string.digits[:3] + ODD + "\0\n\u00a0\udcff%/:@?#,[]" * 2
    for _ in range(3000):
        rest = "".join(drawn.choices(letters, k=drawn.randrange(20)))
        for scheme in ("mysql", "mariadb", "sqlite", "redis", "rediss", "unix", "http", ""):
            url = f"{scheme}://{rest}"
            said = [refusal_of(read, url) for read in (parse_url, mysql, redis_url)]
            assert not [each for each in said if "\n" in each]
            if not said[0]:
                assert parse_url(str(parse_url(url))) == parse_url(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://u:m4rk@host", "one database name"),
        ("mysql://u:m4rk@host/", "one database name"),
        ("mysql://u:m4rk@host/a/b", "one database name"),
        ("mysql://u:m4rk@/name", "names no host"),
        ("mysql://u:m4rk@host/name?unix_socket=/s", "a host and a unix_socket"),
        ("mysql://u:m4rk@host:0/name", "a port is not a number"),
        ("mysql://u:m4rk@host:65536/name", "a port is not a number"),
        ("mysql://u:m4rk@host:/name", "a port is not a number"),
        ("mysql://u:m4rk@host,/name", "a host is missing"),
        ("mysql://u:m4rk@ho st/name", "holds spaces"),
        ("mysql://u:m4rk@[host]/name", "not an IPv6 address"),
        ("mysql://u:m4rk@fd00::1/name", "a host is missing or not a host name"),
        ("mysql://u:m4rk@host/name?m4rk=1", "an unknown option"),
        ("mysql://u:m4rk@host/name?read_timeout=m4rk", "option read_timeout needs a whole number"),
        ("mysql://u:m4rk@host/name?read_timeout=1&read_timeout=2", "given twice"),
        ("mysql://u:m4rk@host/name?m4rk", "not name=value"),
        ("mysql://u:m4rk%@host/name", "a % that is not encoded"),
        ("mysql://u:m4rk%ff@host/name", "not UTF-8"),
        ("mysql://u:m4rk%00@host/name", "non-printable characters"),
        ("sqlite://u:m4rk@host/name", "has no host"),
        ("sqlite://", "names no file"),
        ("m4rk", "does not begin with"),
    ],
)
def test_invalid_database_urls_are_refused(url: str, why: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^DATABASE_URL is refused: .*{why}") as refusal:
        mysql(url)
    assert "m4rk" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://:m4rk@", "names no host"),
        ("redis://:m4rk@one,two", "names no host, or several"),
        ("redis://:m4rk@host/m4rk", "is not a number"),
        ("redis://:m4rk@host/0?db=m4rk", "is not a number"),
        ("redis://host/0?password=m4rk", "an unknown option"),
        ("redis://host/0?ssl_ca_certs=m4rk", "options of redis://"),
        ("redis://host/0?socket_timeout=m4rk", "is not a number of seconds"),
        ("rediss://host/0?ssl_cert_reqs=m4rk", "is not one of"),
        ("unix://:m4rk@", "names no socket"),
        ("unix:///s?db=m4rk", "is not a number"),
        ("mysql://:m4rk@host/x?x", "not name=value"),
    ],
)
def test_invalid_redis_urls_are_refused(url: str, why: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^REDIS_URL is refused: .*{why}") as refusal:
        redis_url(url)
    assert "m4rk" not in str(refusal.value)


def test_a_url_is_shown_without_its_secrets() -> None:
    assert parse_url("redis://user:secret@host:6379/0").shown == "redis://host:6379/0"
    assert parse_url("rediss://:secret@[fd00::1]/0?ssl_cert_reqs=none").shown == "rediss://[fd00::1]:6379/0"
    assert parse_url("unix:///run/valkey.sock?db=0").shown == "unix:///run/valkey.sock"
    assert "secret" not in repr(parse_url("redis://user:secret@host:6379/0"))


def test_ipv6_and_sockets_are_understood() -> None:
    assert (mysql("mysql://u@[fd00::1]:3307/x")["HOST"], mysql("mysql://u@[fd00::1]:3307/x")["PORT"]) == (
        "fd00::1",
        3307,
    )
    client = redis.Redis.from_url(redis_url("redis://[fd00::1]:6380/0")["URL"])
    assert client.connection_pool.connection_kwargs["host"] == "fd00::1"
    client = redis.Redis.from_url(redis_url("unix:///run/a%20b%23.sock?db=2")["URL"])
    assert client.connection_pool.connection_kwargs["path"] == "/run/a b#.sock"
