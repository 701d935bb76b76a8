"""Webhooks: which addresses are taken, what is sent, tried again, given up and remembered. On real sockets."""

import hashlib
import hmac
import http.client
import io
import ipaddress
import json
import socket
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from tasks_app.models import TaskEvent, WebhookDelivery
from tasks_app.webhooks import callback_addresses, deliveries, sender
from tests.api.conftest import Post, assert_problem, wrong_fields

SECRET = "0123456789abcdef0123456789abcdef"


@dataclass
class Receiver:
    """A server that notes what it gets and answers what it is told to."""

    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0
    location: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?a=1"


@pytest.fixture
def receiver() -> Generator[Receiver, None, None]:
    noted = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            noted.got.append(({**dict(self.headers), "path": self.path}, body))
            self.send_response(noted.answers.pop(0) if noted.answers else 204)
            if noted.location:
                self.send_header("Location", noted.location)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        noted.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield noted
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _webhooks(settings: Any) -> None:
    settings.LONGTASKS = replace(
        settings.LONGTASKS,
        webhook_secret=SECRET,
        webhook_allow_private=True,
        webhook_first_seconds=0,
        webhook_timeout_seconds=20,
        webhook_attempts=3,
    )


@pytest.fixture
def start(post: Post, mirror: Callable[[], None]) -> Callable[[str], str]:
    """Start a task with this callbackUrl, and cancel it: it has ended."""

    def start(url: str) -> str:
        response = post("/tasks", {"name": "upload", "callbackUrl": url})
        assert response.status_code == 201, response.content
        task_id: str = response.json()["id"]
        assert post(f"/tasks/{task_id}/cancel").status_code == 200
        mirror()
        return task_id

    return start


def deliver() -> None:
    call_command("webhooks", "--once")


def history(client: Client, task_id: str) -> list[tuple[int, str | None]]:
    events = client.get(f"/tasks/{task_id}/events").json()["events"]
    return [(event["attempt"], event["error"]) for event in events if event["cause"] == "webhook"]


@pytest.mark.django_db(transaction=True)
def test_the_end_is_told_once_signed(client: Client, start: Any, receiver: Receiver, mirror: Any) -> None:
    task_id = start(receiver.url)
    deliver()
    deliver()
    ((headers, body),) = receiver.got
    assert json.loads(body) == client.get(f"/tasks/{task_id}").json()
    assert json.loads(body)["status"] == "canceled"
    assert (headers["path"], headers["Content-Type"]) == ("/hook?a=1", "application/json")
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"
    signed = headers["Longtasks-Timestamp"].encode() + b"." + body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["Longtasks-Signature"] == f"v1={expected}"
    assert abs(time.time() - int(headers["Longtasks-Timestamp"])) < 10
    assert headers["Longtasks-Delivery"].startswith(task_id)
    assert history(client, task_id) == [(1, None)]
    assert not WebhookDelivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_failing_receiver_is_tried_again(client: Client, start: Any, receiver: Receiver) -> None:
    receiver.answers = [500, 404]
    task_id = start(receiver.url)
    for _ in range(4):
        deliver()
    assert len(receiver.got) == 3
    assert len({headers["Longtasks-Delivery"] for headers, _ in receiver.got}) == 1
    assert history(client, task_id) == [(1, "answered 500"), (2, "answered 404"), (3, None)]


@pytest.mark.django_db(transaction=True)
def test_it_is_given_up(client: Client, start: Any, receiver: Receiver) -> None:
    receiver.answers = [500] * 9
    task_id = start(receiver.url)
    for _ in range(5):
        deliver()
    assert history(client, task_id)[-1] == (3, "answered 500; given up")
    assert len(receiver.got) == 3
    assert not WebhookDelivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_redirect_is_not_followed(client: Client, start: Any, receiver: Receiver) -> None:
    receiver.answers, receiver.location = [302], f"http://127.0.0.1:{receiver.port}/other"
    task_id = start(receiver.url)
    deliver()
    assert len(receiver.got) == 1
    assert history(client, task_id) == [(1, "answered 302")]


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_drips_is_cut_off(client: Client, start: Any, settings: Any) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, webhook_timeout_seconds=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(b"HTTP/1.1 200 OK\r\n")
                for _ in range(200):
                    try:
                        sock.sendall(b"X")
                    except OSError:
                        return
                    threading.Event().wait(0.1)

        thread = threading.Thread(target=drip)
        thread.start()
        task_id = start(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        began = time.monotonic()
        deliver()
        assert time.monotonic() - began < 5
        assert history(client, task_id) == [(1, "no answer after 1 s")]
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_a_sender_that_died_has_lost_nothing(start: Any, receiver: Receiver, settings: Any) -> None:
    start(receiver.url)
    (dequeued,) = deliveries.claim_due(limit=5)
    assert deliveries.claim_due(limit=5) == []  # it may still be under way
    WebhookDelivery.objects.update(due_at=dequeued.due_at)
    deliver()
    assert len(receiver.got) == 1


@pytest.mark.django_db(transaction=True)
def test_a_private_address_is_refused_when_it_is_told(
    client: Client, start: Any, receiver: Receiver, settings: Any
) -> None:
    task_id = start(receiver.url)
    settings.LONGTASKS = replace(settings.LONGTASKS, webhook_allow_private=False, webhook_ports=(receiver.port,))
    deliver()
    assert receiver.got == []
    ((attempt, error),) = history(client, task_id)
    assert (attempt, error) == (1, "127.0.0.1 resolves to 127.0.0.1, which is not a public address; given up")


def test_the_checked_address_is_the_one_connected_to(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the name leads elsewhere a moment later."""
    asked = []

    getaddrinfo = socket.getaddrinfo

    def check_interruption(host: str, port: int, *words: Any, **options: Any) -> Any:
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

    monkeypatch.setattr(callback_addresses.socket, "getaddrinfo", check_interruption)
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


def test_tls_asks_for_the_name_that_was_given(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the address that was judged; certificate and Host are of the name."""
    named = []

    class Context:
        def wrap_socket(self, sock: socket.socket, *, server_hostname: str) -> socket.socket:
            named.append((sock.getpeername()[0], server_hostname))
            return sock  # the receiver speaks plainly

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
    """A proxy would look the name up again, and connect to what it leads to by then."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        assert send(receiver.url).error is None
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()
    assert len(receiver.got) == 1


def send(url: str, **options: Any) -> sender.Outcome:
    defaults = {"delivery_id": "d", "secret": SECRET, "timeout_seconds": 5, "allow_private": True}
    return sender.send(url=url, body=b"{}", **{**defaults, **options})


# An example of each network; nothing here is ever connected to.
INNER = [
    "0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.9.9.9",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.9", "192.0.0.192",
    "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
]  # fmt: skip
INNER_6 = [
    "::", "::1", "::2", "100::1", "64:ff9b:1::1", "64:ff9b:1:ffff::808:808", "2001::1", "2001:0:808:808::1",
    "2001:0:4136:e378:8000:63bf:f7f7:f7f7", "2001:1::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff::1",
    "2001:db8::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd12::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1",
    "fe80::1%eth0", "fe80::1%1", "2606:4700::1111%eth0", "fec0::1", "feff::1", "ff02::1", "ff0e::1",
]  # fmt: skip


@pytest.mark.parametrize("address", [*INNER, *INNER_6])
def test_inner_addresses(address: str) -> None:
    assert not callback_addresses.is_public(address)


@pytest.mark.parametrize("form", ["::ffff:{}", "::{}", "64:ff9b::{}", "2002:{hex}::", "2002:{hex}:1::7"])
def test_an_ipv6_address_is_no_way_round(form: str) -> None:
    for address in INNER:
        number = int(ipaddress.IPv4Address(address))
        inside = form.format(address, hex=f"{number >> 16:x}:{number & 0xFFFF:x}")
        assert not callback_addresses.is_public(inside), inside


OUTER = ["93.184.216.34", "8.8.8.8", "1.1.1.1", "168.63.129.15", "168.63.129.17", "172.32.0.1", "100.128.0.1",
         "192.0.1.1", "11.0.0.1", "2606:4700::1111", "2001:4860:4860::8888", "2001:200::1", "2a00:1450::1",
         "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]  # fmt: skip


@pytest.mark.parametrize("address", OUTER)
def test_outer_addresses(address: str) -> None:
    assert callback_addresses.is_public(address)


@settings_of_hypothesis(max_examples=3000, deadline=None)
@given(st.ip_addresses() | st.ip_addresses(v=6, network="2000::/3") | st.ip_addresses(v=6, network="2001::/16"))
def test_what_python_calls_inner_is_inner(address: Any) -> None:
    """Ours is the longer list, so no version of Python could refuse more than it."""
    leads_to_ipv4 = any(address in network for network, _ in callback_addresses._EMBEDDING)
    if callback_addresses.is_public(str(address)) and not leads_to_ipv4:
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


def test_the_judgement_asks_python_for_no_opinion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer changes with the patch version (192.0.0.9, 64:ff9b:1::/48, 3fff::/20 …)."""
    for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address):
        for name in ("is_global", "is_private", "is_reserved"):
            monkeypatch.setattr(kind, name, property(lambda address: pytest.fail("Python was asked")))
    for address in [*INNER, *INNER_6, *OUTER]:
        callback_addresses.is_public(address)


PORTS = [("http://example.com:22/", 22), ("https://example.com:6379/", 6379), ("http://example.com:8443/x", 8443)]


@pytest.mark.parametrize(("url", "port"), PORTS)
def test_other_ports_are_refused(post: Post, redis: Any, settings: Any, url: str, port: int) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, webhook_allow_private=False)
    for path, body in (("/tasks", {"name": "upload", "callbackUrl": url}), ("/tasks/bulk", None)):
        response = post(path, body or {"tasks": [{"name": "upload", "callbackUrl": url}]})
        (error,) = assert_problem(response, 400)["errors"]
        assert error["field"].endswith("callbackUrl")
        assert f"The port is {port}" in error["message"]
    assert redis.keys("rq:*") == []


@pytest.mark.parametrize(("url", "port"), PORTS)
def test_other_ports_are_refused_when_it_is_told(monkeypatch: pytest.MonkeyPatch, url: str, port: int) -> None:
    """The URL is from a time when the setting allowed it. The name is not even looked up."""
    monkeypatch.setattr(callback_addresses.socket, "getaddrinfo", lambda *words, **options: pytest.fail("looked up"))
    outcome = send(url, allow_private=False, ports=(80, 443))
    assert outcome.is_final
    assert outcome.error == f"port {port} is not in WEBHOOK_PORTS (80, 443)"


def test_a_name_that_leads_inside_is_refused_when_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_refused_callbacks(post: Post, redis: Any, settings: Any, url: Any) -> None:
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
def test_refused_callbacks_where_private_addresses_are_allowed(post: Post, redis: Any, url: str) -> None:
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
def test_what_is_accepted_can_be_used(url: str, allow_private: bool) -> None:
    """Without a ValueError at any step; no name is looked up."""
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
def test_accepted_callbacks(post: Post, settings: Any, url: str) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, webhook_allow_private=False, webhook_ports=(80, 443, 8443))
    assert post("/tasks", {"name": "upload", "callbackUrl": url}).status_code == 201
    assert post("/tasks/bulk", {"tasks": [{"name": "upload", "callbackUrl": url}]}).status_code == 201


def test_without_a_secret_there_are_no_webhooks(post: Post, settings: Any) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, webhook_secret="")
    response = post("/tasks", {"name": "upload", "callbackUrl": "http://example.com"})
    assert "WEBHOOK_SECRET" in assert_problem(response, 400)["errors"][0]["message"]


@pytest.mark.django_db
def test_a_task_without_callback_notes_nothing(post: Post, mirror: Any) -> None:
    task_id = post("/tasks", {"name": "upload"}).json()["id"]
    post(f"/tasks/{task_id}/cancel")
    mirror()
    assert not WebhookDelivery.objects.exists()
    assert TaskEvent.objects.filter(task_id=task_id).count() == 2


@pytest.fixture
def raw_receiver() -> Generator[Callable[[bytes], str], None, None]:
    """`raw_receiver(answer)`: the URL of a server that answers with exactly these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []

        def serve(answer: bytes) -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(answer)

        def answering(answer: bytes) -> str:
            threads.append(threading.Thread(target=serve, args=(answer,)))
            threads[-1].start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}/"

        yield answering
        for thread in threads:
            thread.join()


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
def test_what_a_receiver_answers_is_stored_printable_and_bounded(
    raw_receiver: Callable[[bytes], str], answer: bytes
) -> None:
    outcome = sender.send(
        url=raw_receiver(answer), body=b"{}", delivery_id="1", secret=SECRET, timeout_seconds=20, allow_private=True
    )
    assert outcome.error
    assert outcome.error.isprintable()
    assert len(outcome.error) <= 200
