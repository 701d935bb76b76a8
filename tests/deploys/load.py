"""An open load: a fixed rate of POSTs, each sent when it is due, whether or not earlier ones were answered.

Owns the requests and their outcomes. Each request is sent once, because a retry would hide a failure.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.clients import Accepted

THREADS = 32
REQUEST_SECONDS = 20.0
SIZES = (1, 1, 1, 2, 5)  # records; small, as most tasks of such a load are


@dataclass(frozen=True, slots=True)
class Sent:
    """One POST: the seconds from its due time to its answer, and its error ("" for a 201)."""

    seconds: float
    fault: str


class OpenLoad:
    """`with OpenLoad(port=…, rate=200) as load:` POSTs uploads until the block ends."""

    def __init__(self, *, port: int, rate: float) -> None:
        self._port, self._rate = port, rate
        self._stop = threading.Event()
        self._due: Iterator[tuple[int, float]] = iter(())
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(THREADS)]
        self.accepted: list[Accepted] = []
        self.sent: list[Sent] = []

    def __enter__(self) -> OpenLoad:
        began = time.monotonic()
        self._due = ((number, began + number / self._rate) for number in itertools.count())
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(REQUEST_SECONDS + 5)

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                number, due_at = next(self._due)
            if self._stop.wait(max(0.0, due_at - time.monotonic())):
                return
            records = SIZES[number % len(SIZES)]
            fault = self._post(records=records, priority="high" if number % 4 == 0 else "low")
            self.sent.append(Sent(time.monotonic() - due_at, fault))

    def _post(self, *, records: int, priority: str) -> str:
        """Start one upload on its own connection; return its error."""
        body = json.dumps({"name": "upload", "params": {"numRecords": records}, "priority": priority})
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=REQUEST_SECONDS)
        try:
            connection.request("POST", "/tasks", body, {"Content-Type": "application/json", "Connection": "close"})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            connection.close()
        if response.status != 201:
            return f"{response.status} {content[:200].decode(errors='replace')}"
        self.accepted.append(Accepted(json.loads(content)["id"], "upload", records, time.time()))
        return ""
