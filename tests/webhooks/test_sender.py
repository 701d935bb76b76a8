"""tasks_app/webhooks/sender.py on real sockets: where it connects, what it refuses, and which error it reports."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from tasks_app.webhooks import callback_addresses, sender
from tests.webhooks.addresses import INNER, INNER_6
from tests.webhooks.receivers import SECRET, Receiver, send


def test_the_checked_address_is_the_one_connected_to(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the name resolves to another address a moment later."""
    asked = []

    getaddrinfo = socket.getaddrinfo

    def resolve(host: str, port: int, *words: Any, **options: Any) -> Any:
        if host != "rebind.example.com":
            return getaddrinfo(host, port, *words, **options)
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.99"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    connected = []
    create_connection = socket.create_connection

    def connect(address: Any, **options: Any) -> Any:
        connected.append(address[0])
        return create_connection(address, **options)

    monkeypatch.setattr(callback_addresses.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(sender.socket, "create_connection", connect)
    outcome = sender.send(
        url=f"http://rebind.example.com:{receiver.port}/",
        body=b"{}",
        delivery_id="d",
        secret=SECRET,
        timeout_seconds=5,
        allow_private=True,
    )
    assert connected == ["127.0.0.1"]
    assert asked == ["rebind.example.com"]
    assert outcome.error is None
    assert receiver.got[0][0]["Host"] == f"rebind.example.com:{receiver.port}"


def test_tls_verifies_the_name_in_the_url(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender connects to the checked address; certificate and Host use the name."""
    named = []

    class Context:
        def wrap_socket(self, sock: socket.socket, *, server_hostname: str) -> socket.socket:
            named.append((sock.getpeername()[0], server_hostname))
            return sock  # the receiver has no TLS

    getaddrinfo = socket.getaddrinfo
    monkeypatch.setattr(
        callback_addresses.socket,
        "getaddrinfo",
        lambda host, *words, **options: getaddrinfo("127.0.0.1", *words, **options),
    )
    monkeypatch.setattr(sender.ssl, "create_default_context", Context)
    assert send(f"https://hook.example.com:{receiver.port}/").error is None
    assert named == [("127.0.0.1", "hook.example.com")]
    assert receiver.got[0][0]["Host"] == f"hook.example.com:{receiver.port}"


def test_no_proxy_of_the_environment_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve the name again and connect to another address."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        assert send(receiver.url).error is None
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()
    assert len(receiver.got) == 1


PORTS = [("http://example.com:22/", 22), ("https://example.com:6379/", 6379), ("http://example.com:8443/x", 8443)]


@pytest.mark.parametrize(("url", "port"), PORTS)
def test_other_ports_are_refused_at_delivery(monkeypatch: pytest.MonkeyPatch, url: str, port: int) -> None:
    """The URL was accepted under an older setting. The name is not resolved."""
    monkeypatch.setattr(callback_addresses.socket, "getaddrinfo", lambda *words, **options: pytest.fail("resolved"))
    outcome = send(url, allow_private=False, ports=(80, 443))
    assert outcome.is_final
    assert outcome.error == f"port {port} is not in WEBHOOK_PORTS (80, 443)"


def test_a_name_that_resolves_to_an_inner_address_is_refused_at_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[Any] = []
    monkeypatch.setattr(sender.socket, "create_connection", lambda *words, **options: connected.append(words))
    for address in (*INNER, *INNER_6):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        found = [(family, socket.SOCK_STREAM, 6, "", (address, 80))]
        monkeypatch.setattr(callback_addresses.socket, "getaddrinfo", lambda *words, found=found, **options: found)
        outcome = send("http://hook.example.com/", allow_private=False)
        assert outcome.is_final
        assert outcome.error == f"hook.example.com resolves to {address}, which is not a public address"
    assert connected == []


@pytest.mark.parametrize(
    "answer",
    [
        b"\x1b[2J\x1b[31mpwned\rHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 2\x1b[31m00 \r\rOK\r\n\r\n",
        b"HTTP/1.1 99999 \x1b[31mred\x9b\r\n\r\n",
        b"HTTP/1.1 500 \x1b[31mred\x07\r\r\n\r\n",
        b"\x00\x01\x02\x9b31m\xe2\x80\xae\r\n",
        b"\x1b" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: \x1b\r\n" * 200 + b"\r\n",
        b"",
    ],
)
def test_the_answer_of_a_receiver_is_stored_printable_and_bounded(
    raw_receiver: Callable[[bytes], str], answer: bytes
) -> None:
    outcome = sender.send(
        url=raw_receiver(answer), body=b"{}", delivery_id="1", secret=SECRET, timeout_seconds=20, allow_private=True
    )
    assert outcome.error
    assert outcome.error.isprintable()
    assert len(outcome.error) <= 200
