"""A stub of the task API: answers by the HTTP contract and stores the requests. Must not: run a task."""

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(slots=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    at: float  # seconds, monotonic


@dataclass(slots=True)
class StubApi:
    url: str = ""
    requests: list[Received] = field(default_factory=list)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    delay_seconds: float = 0.0  # how long an answer takes
    slow_from_rate: float = 0.0  # answers are late at this rate or more in the last second; 0: never
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self) -> Counter[str]:
        return Counter(received.method for received in self.requests)

    def receive(self, received: Received) -> float:
        """Store a request; returns the seconds to delay its answer."""
        with self.lock:
            self.requests.append(received)
            rate = sum(1 for earlier in self.requests[-1000:] if earlier.at > received.at - 1)
        return self.delay_seconds + (0.5 if 0 < self.slow_from_rate <= rate else 0)

    def create_task(self, body: Any) -> dict[str, Any]:
        now = datetime.now(UTC)
        task = {
            "success": True,
            "id": str(uuid.uuid4()),
            "name": body["name"],
            "priority": body.get("priority", "low"),
            "status": "finished",
            "insertedRecords": {"users": 0, "products": 0, "order_items": 0},
            "createdAt": now.isoformat(),
            "startedAt": (now + timedelta(milliseconds=20)).isoformat(),
            "endedAt": (now + timedelta(milliseconds=50)).isoformat(),
        }
        with self.lock:
            self.tasks[task["id"]] = task
        return task


def handler_of(api: StubApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            """Log nothing: the tests read `requests`."""

        def handle_any(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            is_json = self.headers.get("Content-Type", "").startswith("application/json")
            body = json.loads(raw) if raw and is_json else raw.decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            time.sleep(api.receive(Received(self.command, self.path, headers, body, time.monotonic())))
            path = self.path.partition("?")[0].rstrip("/")
            if self.command == "POST" and path == "/tasks":
                task = api.create_task(body)
                self.answer(201, task, {"Location": f"/tasks/{task['id']}"})
            elif path == "/away":
                self.answer(302, {}, {"Location": "http://192.0.2.1/"})
            elif path == "/echo":
                self.answer(
                    200, {"method": self.command, "path": self.path, "body": body, "list": [{"id": 1}, {"id": 2}]}
                )
            elif path.removeprefix("/tasks/") in api.tasks:
                task = dict(api.tasks[path.removeprefix("/tasks/")])
                del task["success"]
                self.answer(200, task)
            else:
                self.answer(
                    404, {"type": "about:blank", "title": "Not Found", "status": 404, "detail": f"no {self.path}"}
                )

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextmanager
def running_stub() -> Iterator[StubApi]:
    api = StubApi()
    server = QuietServer(("127.0.0.1", 0), handler_of(api))
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
