"""tasks_app/webhooks/callback_addresses.py: which callback URLs a start accepts, and which addresses are public."""

import http.client
import io
import ipaddress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from tasks_app.webhooks import callback_addresses
from tests.api.conftest import Post, assert_problem, wrong_fields
from tests.webhooks.addresses import INNER, INNER_6, OUTER


@pytest.mark.parametrize("address", [*INNER, *INNER_6])
def test_inner_addresses_are_not_public(address: str) -> None:
    assert not callback_addresses.is_public(address)


@pytest.mark.parametrize("form", ["::ffff:{}", "::{}", "64:ff9b::{}", "2002:{hex}::", "2002:{hex}:1::7"])
def test_an_ipv6_address_that_embeds_an_inner_one_is_not_public(form: str) -> None:
    for address in INNER:
        number = int(ipaddress.IPv4Address(address))
        inside = form.format(address, hex=f"{number >> 16:x}:{number & 0xFFFF:x}")
        assert not callback_addresses.is_public(inside), inside


@pytest.mark.parametrize("address", OUTER)
def test_outer_addresses_are_public(address: str) -> None:
    assert callback_addresses.is_public(address)


@settings_of_hypothesis(max_examples=3000, deadline=None)
@given(st.ip_addresses() | st.ip_addresses(v=6, network="2000::/3") | st.ip_addresses(v=6, network="2001::/16"))
def test_addresses_that_python_calls_private_are_not_public(address: Any) -> None:
    """Our list is the longer one, so no version of Python refuses more."""
    leads_to_ipv4 = any(address in network for network, _ in callback_addresses._EMBEDDING)
    if callback_addresses.is_public(str(address)) and not leads_to_ipv4:
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


def test_the_check_does_not_use_pythons_properties(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their values change with Python's patch version (192.0.0.9, 64:ff9b:1::/48, 3fff::/20 …)."""
    for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address):
        for name in ("is_global", "is_private", "is_reserved"):
            monkeypatch.setattr(kind, name, property(lambda address: pytest.fail("Python's property was used")))
    for address in [*INNER, *INNER_6, *OUTER]:
        callback_addresses.is_public(address)


PORTS = [("http://example.com:22/", 22), ("https://example.com:6379/", 6379), ("http://example.com:8443/x", 8443)]


@pytest.mark.parametrize(("url", "port"), PORTS)
def test_other_ports_are_refused_at_the_start(post: Post, redis: Any, settings: Any, url: str, port: int) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, webhook_allow_private=False)
    for path, body in (("/tasks", {"name": "upload", "callbackUrl": url}), ("/tasks/bulk", None)):
        response = post(path, body or {"tasks": [{"name": "upload", "callbackUrl": url}]})
        (error,) = assert_problem(response, 400)["errors"]
        assert error["field"].endswith("callbackUrl")
        assert f"The port is {port}" in error["message"]
    assert redis.keys("rq:*") == []


@pytest.mark.parametrize(
    "url",
    [
        "", "hook", "ftp://example.com/", "http://localhost/", "http://127.0.0.1/", "http://0x7f.1/", "http://2130706433/",
        "http://[::1]/", "http://user@example.com/", "http://user:pw@example.com/", "http://127.1/", "http://0177.0.0.1/",
        "http://0x7f000001/", "http://0x7f.0.0.0x1/", "http://8.8.8.8/", "http://[2606:4700::1111]/", "http://[fe80::1%25eth0]/",
        "http://192.0.0.192/", "http://168.63.129.16/metadata", "http://[fec0::1]/", "http://[::ffff:7f00:1]/",
        "http://example.com#x", "http://example.com/#x", "http://exa mple.com/",
        "http://example.com:0/", "http://example.com:65536/", "http://example.com:/", "https://ñandu.example.com/",
        "http://example.com/\n", "http://example.com\\@evil.com/", "http:///x", "http://example.com./", "http://-a.com/",
        "http://example.com/" + "x" * 500, 5, None, ["http://example.com/"],
    ],
)  # fmt: skip
def test_invalid_callbacks_are_refused(post: Post, redis: Any, settings: Any, url: Any) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, webhook_allow_private=False)
    response = post("/tasks", {"name": "upload", "callbackUrl": url})
    assert wrong_fields(assert_problem(response, 400)) == {"callbackUrl"}
    assert redis.keys("rq:*") == []


@pytest.mark.parametrize(
    "url",
    [
        "http://[::::]/", "http://[1.2.3.4]/", "http://[:]/", "http://[::1", "http://a..b/", "http://.a/", "http://../",
        f"http://{'a' * 64}/", f"http://{'a' * 64}.b/x", "http://[12345::]/", "http://[::1.2.3]/",
    ],
)  # fmt: skip
def test_invalid_callbacks_are_refused_where_private_addresses_are_allowed(post: Post, redis: Any, url: str) -> None:
    response = post("/tasks", {"name": "upload", "callbackUrl": url})
    assert wrong_fields(assert_problem(response, 400)) == {"callbackUrl"}
    good = {"name": "upload", "callbackUrl": "http://127.0.0.1/"}
    assert post("/tasks/bulk", {"tasks": [good, {"name": "upload", "callbackUrl": url}]}).status_code == 400
    assert redis.keys("rq:*") == []


_HOSTS = st.one_of(
    st.text("abc019.-[]:ABCDEFf", max_size=70),
    st.from_regex(r"\[[0-9A-Fa-f:.]{1,20}\]", fullmatch=True),
    st.from_regex(r"([a-z0-9-]{1,66}\.){0,3}[a-z]{1,66}", fullmatch=True),
    st.ip_addresses().map(lambda address: f"[{address}]" if address.version == 6 else str(address)),
)


@settings_of_hypothesis(max_examples=3000, deadline=None)
@given(
    st.builds("{}://{}{}{}".format, st.sampled_from(["http", "https"]), _HOSTS, st.sampled_from(["", ":1", ":65535", ":0"]),
              st.one_of(st.just(""), st.text(min_size=1, max_size=20).map("/{}".format))),
    st.booleans(),
)  # fmt: skip
def test_accepted_urls_can_be_requested(url: str, allow_private: bool) -> None:
    """No step raises ValueError; no name is resolved."""
    if not callback_addresses.is_acceptable(url, allow_private=allow_private):
        return
    target = callback_addresses.parse(url)
    assert target.host
    assert 1 <= target.port <= 65535
    target.host.encode("idna")
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = io.BytesIO()  # type: ignore[assignment]
    connection.putrequest("POST", target.path, skip_host=True)
    connection.putheader("Host", target.host_header)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://a.b.example.com:8443/hook/x?y=z&u=http://v@w",
        "http://a.example.com:80",
        "HTTPS://EXAMPLE.COM/".lower(),
    ],
)
def test_valid_callbacks_are_accepted(post: Post, settings: Any, url: str) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, webhook_allow_private=False, webhook_ports=(80, 443, 8443))
    assert post("/tasks", {"name": "upload", "callbackUrl": url}).status_code == 201
    assert post("/tasks/bulk", {"tasks": [{"name": "upload", "callbackUrl": url}]}).status_code == 201


def test_without_a_secret_callbacks_are_refused(post: Post, settings: Any) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, webhook_secret="")
    response = post("/tasks", {"name": "upload", "callbackUrl": "http://example.com"})
    assert "WEBHOOK_SECRET" in assert_problem(response, 400)["errors"][0]["message"]
