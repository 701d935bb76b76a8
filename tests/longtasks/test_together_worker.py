"""longtasks/together_worker.py: a response is sent at once; the rest for a slow client follows without blocking."""

import socket
import threading
from pathlib import Path

import pytest

from longtasks.together_worker import QUICK, AnsweringSocket, send_rest

HEAD, BODY = b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 2_000_000
ID = b"0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"


def make_pair(*written: bytes) -> tuple[AnsweringSocket, socket.socket]:
    """A client's socket that buffers what is written to it, and the client's own end."""
    accepted, theirs = socket.socketpair()
    ours = AnsweringSocket(fileno=accepted.detach())
    hold(ours, *written)
    return ours, theirs


def hold(ours: AnsweringSocket, *written: bytes) -> None:
    ours.hold()
    ours.setblocking(True)  # gunicorn does this for each request; the event loop must still not wait
    ours.settimeout(5)
    for part in written:
        ours.sendall(part)


def test_head_and_body_leave_together() -> None:
    ours, theirs = make_pair(HEAD, b"body")
    with ours, theirs:
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(65536)
        assert ours.send_held() == b""
        assert theirs.recv(65536) == HEAD + b"body"
        ours.sendall(b"more")  # no longer held
        assert theirs.recv(65536) == b"more"


def test_bytes_that_do_not_fit_the_socket_are_returned_and_sent_later() -> None:
    ours, theirs = make_pair(HEAD, BODY)
    with ours, theirs:
        rest = ours.send_held()
        assert 0 < len(rest) < len(BODY)
        assert (HEAD + BODY).endswith(rest)
        kept: list[bool] = []
        sending = threading.Thread(target=lambda: kept.append(send_rest(ours, rest, True)))
        sending.start()
        theirs.settimeout(20)
        read = b""
        while len(read) < len(HEAD + BODY):
            read += theirs.recv(1 << 20)
        sending.join()
        assert read == HEAD + BODY
        assert kept == [True]


def test_the_event_loop_does_not_wait_for_socket_space() -> None:
    ours, theirs = make_pair(BODY)
    with ours, theirs:
        ours.send_held()
        hold(ours, b"more")
        assert ours.send_held() == b"more"


def test_a_disconnected_clients_connection_is_closed() -> None:
    ours, theirs = make_pair(HEAD)
    with ours:
        theirs.close()
        with pytest.raises(OSError):
            ours.send_held()
        assert send_rest(ours, BODY, True) is False


def test_a_client_that_does_not_read_counts_as_disconnected(tmp_path: Path) -> None:
    """gunicorn would log a timeout with its traceback."""
    path = tmp_path / "file"
    path.write_bytes(BODY)
    accepted, theirs = socket.socketpair()
    with theirs, AnsweringSocket(fileno=accepted.detach()) as ours, path.open("rb") as file:
        ours.settimeout(0.1)
        with pytest.raises(BrokenPipeError):
            ours.sendall(BODY)
        with pytest.raises(BrokenPipeError):
            ours.sendfile(file)


@pytest.mark.parametrize(
    ("request_line", "is_quick"),
    [
        (b"POST /tasks HTTP/1.1\r\n", True),
        (b"GET /tasks/%b HTTP/1.1\r\n" % ID, True),
        (b"HEAD /tasks/%b HTTP/1.1\r\n" % ID, True),
        (b"GET /tasks/%b?wait=20 HTTP/1.1\r\n" % ID, True),
        (b"POST /tasks?wait=5 HTTP/1.1\r\n", True),
        (b"POST /tasks?wait=5&wait=6 HTTP/1.1\r\n", False),
        (b"GET /tasks HTTP/1.1\r\n", False),
        (b"GET /tasks/%b/events HTTP/1.1\r\n" % ID, False),
        (b"POST /tasks/bulk HTTP/1.1\r\n", False),
        (b"POST /tasks/%b/cancel HTTP/1.1\r\n" % ID, False),
        (b"GET /admin/ HTTP/1.1\r\n", False),
    ],
)
def test_quick_requests_are_those_with_one_redis_command(request_line: bytes, is_quick: bool) -> None:
    assert bool(QUICK.match(request_line)) is is_quick
