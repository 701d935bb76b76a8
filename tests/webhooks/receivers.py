"""Fixtures of the webhook tests: receivers on real sockets, settings with a secret, ended tasks."""

import socket
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tasks_app.webhooks import sender
from tests.api.conftest import Post

SECRET = "0123456789abcdef0123456789abcdef"


@dataclass
class Receiver:
    """A server that records its requests and answers with the given statuses."""

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
            """Log nothing."""

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
    """Start a task with this callbackUrl and cancel it; return its id."""

    def start(url: str) -> str:
        response = post("/tasks", {"name": "upload", "callbackUrl": url})
        assert response.status_code == 201, response.content
        task_id: str = response.json()["id"]
        assert post(f"/tasks/{task_id}/cancel").status_code == 200
        mirror()
        return task_id

    return start


def send(url: str, **options: Any) -> sender.Outcome:
    defaults = {"delivery_id": "d", "secret": SECRET, "timeout_seconds": 5, "allow_private": True}
    return sender.send(url=url, body=b"{}", **{**defaults, **options})


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
