"""An open live stream, as the tests read it. Must not: know pytest."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tests.acceptance.conftest import Guarded

DEADLINE_SECONDS = 60.0


@dataclass
class Message:
    id: str
    event: str
    data: Any


class Stream:
    """One open stream."""

    def __init__(self, guarded: Guarded, path: str, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", guarded.stack.port, timeout=DEADLINE_SECONDS)
        self._connection.request("GET", path, headers=headers)
        self.response = self._connection.getresponse()

    def close(self) -> None:
        self._connection.close()

    def wait_up_to(self, seconds: float) -> None:
        """Set the time after which a read raises."""
        self._connection.sock.settimeout(seconds)

    def messages(self) -> Iterator[Message]:
        """Yield every message until the stream ends; comments are skipped."""
        fields: dict[str, str] = {}
        for line in iter(self.response.readline, b""):
            text = line.decode().rstrip("\n")
            if text:
                name, _, value = text.partition(": ")
                fields[name] = value
            elif "data" in fields:
                yield Message(fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"]))
                fields = {}

    def until(self, status: str, *, task_id: str) -> list[Message]:
        seen = []
        for message in self.messages():
            seen.append(message)
            if (message.data.get("taskId"), message.data.get("status")) == (task_id, status):
                return seen
        raise AssertionError(f"the stream ended without {status} of {task_id}: {seen}")


def watch(guarded: Guarded, path: str, headers: dict[str, str], *, last_id: str | None = None) -> Stream:
    return Stream(guarded, path, headers if last_id is None else {**headers, "Last-Event-ID": last_id})


def wait_for_stream(guarded: Guarded) -> None:
    def answers() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", guarded.stack.port), timeout=1):
                return True
        except OSError:
            return False

    guarded.stack.wait_for(answers, deadline_seconds=30, what="stream answers")


def wait_until_known(guarded: Guarded, headers: dict[str, str]) -> None:
    """Tokens that a process of web has not met are looked for once a second."""

    def is_known() -> bool:
        with closing(watch(guarded, "/stream", headers)) as stream:
            return bool(stream.response.status == 200)

    guarded.stack.wait_for(is_known, deadline_seconds=10, what="the token is known")
