"""The client's address and scheme: which headers of which proxies are trusted."""

from typing import Any

import pytest

from longtasks.http.behind_proxy import apply_proxy_headers
from tasks_app.http import peers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("limited_addresses")]
PEERS = [
    # allowed proxies, REMOTE_ADDR, X-Forwarded-For, the address that counts
    ("127.0.0.1,::1", "198.51.100.7", None, "198.51.100.7"),
    ("127.0.0.1,::1", "198.51.100.7", "203.0.113.5", "198.51.100.7"),
    ("127.0.0.1,::1", "127.0.0.1", None, "127.0.0.1"),
    ("127.0.0.1,::1", "127.0.0.1", "203.0.113.5", "203.0.113.5"),
    ("127.0.0.1,::1", "::1", "1.1.1.1, 203.0.113.5", "203.0.113.5"),
    ("127.0.0.1,10.0.0.0/8", "127.0.0.1", "1.1.1.1, 203.0.113.5, 10.1.2.3", "203.0.113.5"),
    ("127.0.0.1,10.0.0.0/8", "10.1.1.1", "10.1.2.3", "10.1.2.3"),
    ("127.0.0.1", "127.0.0.1", "203.0.113.5, unknown", "127.0.0.1"),
    ("127.0.0.1", "127.0.0.1", "203.0.113.5:4711", "203.0.113.5"),
    ("127.0.0.1", "127.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
    ("127.0.0.1", "127.0.0.1", '"; DROP, ,', "127.0.0.1"),
    ("127.0.0.1", "127.0.0.1", "127.0.0.1," * 5_000, "127.0.0.1"),
    ("*", "10.1.1.1", "1.1.1.1, 203.0.113.5", "203.0.113.5"),
    ("*", "10.1.1.1", None, "10.1.1.1"),
    ("", "127.0.0.1", "203.0.113.5", "127.0.0.1"),
    ("127.0.0.1", "", "1.1.1.1, 203.0.113.5", "203.0.113.5"),
    ("127.0.0.1", "", None, None),
    ("127.0.0.1", "", "nonsense", None),
    ("127.0.0.1", "::ffff:127.0.0.1", "203.0.113.5", "203.0.113.5"),
    ("127.0.0.1", "::ffff:198.51.100.7", "203.0.113.5", "198.51.100.7"),
    ("127.0.0.1", "fe80::1%eth0", None, "fe80::1"),
]


@pytest.mark.parametrize(("allowed", "remote", "forwarded", "expected"), PEERS)
def test_the_clients_address_is_found_behind_trusted_proxies(
    settings: Any, allowed: str, remote: str, forwarded: str | None, expected: Any
) -> None:
    settings.FORWARDED_ALLOW_IPS = allowed
    meta = {"REMOTE_ADDR": remote} | ({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded is not None else {})
    assert peers.find_peer(meta) == (peers.find_peer({"REMOTE_ADDR": expected}) if expected else None)
    if expected and ":" not in expected:
        assert peers.find_peer(meta) == bytes(map(int, expected.split(".")))


SCHEMES = [
    # trusted proxies, REMOTE_ADDR, X-Forwarded-Proto, whether the client came by https
    ("127.0.0.1,::1", "127.0.0.1", "https", True),
    ("127.0.0.1,::1", "127.0.0.1", "HTTPS", True),
    ("127.0.0.1,::1", "127.0.0.1", "http", False),
    ("127.0.0.1,::1", "127.0.0.1", None, False),
    ("127.0.0.1,::1", "127.0.0.1", "", False),
    ("127.0.0.1,::1", "127.0.0.1", "https, https", True),
    ("127.0.0.1,::1", "127.0.0.1", "https, http", False),
    ("127.0.0.1,::1", "127.0.0.1", "http, https", False),
    ("127.0.0.1,::1", "127.0.0.1", "https," * 5_000, False),
    ("127.0.0.1,::1", "198.51.100.7", "https", False),
    ("172.16.0.0/12", "172.18.0.5", "https", True),
    ("172.16.0.0/12", "::ffff:172.18.0.5", "https", True),
    ("172.16.0.0/12", "127.0.0.1", "https", False),
    ("fd00::/8", "fd00::7", "https", True),
    ("*", "198.51.100.7", "https", True),
    ("", "127.0.0.1", "https", False),
    ("", "", "https", True),  # a unix socket
]


@pytest.mark.parametrize(("allowed", "remote", "said", "expected"), SCHEMES)
def test_https_is_believed_of_trusted_proxies_only(
    settings: Any, allowed: str, remote: str, said: str | None, expected: bool
) -> None:
    settings.FORWARDED_ALLOW_IPS = allowed
    meta = {"REMOTE_ADDR": remote} | ({"HTTP_X_FORWARDED_PROTO": said} if said is not None else {})
    assert peers.is_https(meta) is expected
    environ = {**meta, "wsgi.url_scheme": "http"}
    apply_proxy_headers(environ)
    assert environ["wsgi.url_scheme"] == ("https" if expected else "http")


def test_trusting_every_proxy_logs_a_warning(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.FORWARDED_ALLOW_IPS = "*"
    for _ in range(3):
        peers.is_https({"REMOTE_ADDR": "8.8.8.8", "HTTP_X_FORWARDED_PROTO": "https"})
    assert caplog.text.count("trusts every peer") == 1


def test_an_untrusted_proxy_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    peers._warned.clear()
    for _ in range(3):
        peers.find_peer({"REMOTE_ADDR": "10.7.7.7", "HTTP_X_FORWARDED_FOR": "203.0.113.5"})
        peers.find_peer({"REMOTE_ADDR": "8.8.8.8", "HTTP_X_FORWARDED_FOR": "203.0.113.5"})
    assert [record.message.split()[0] for record in caplog.records] == ["10.7.7.7"]
    assert "FORWARDED_ALLOW_IPS" in caplog.text
    for number in range(100):
        peers.find_peer({"REMOTE_ADDR": f"10.8.0.{number}", "HTTP_X_FORWARDED_FOR": "203.0.113.5"})
    assert len(caplog.records) <= peers.HOPS
