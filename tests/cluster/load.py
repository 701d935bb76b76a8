"""The client of the cluster test: starts uploads, follows each to its end, and records both. Runs on its own host.

`python -m tests.cluster.load URL DIRECTORY`: a JSON line for each task in accepted.jsonl and ended.jsonl, and for each
wrong read in seen.jsonl; ends when DIRECTORY/stop exists. It behaves as a client should: one Idempotency-Key a task,
and retries until there is an answer.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

STARTERS, READERS = 3, 2
PAUSE_SECONDS = 0.4
SIZES = (1, 1, 1, 1, 5, 5, 50, 50, 400, 1200)
ENDED = ("finished", "failed", "canceled", "stopped")
RANK = {"queued": 0, "scheduled": 0, "started": 0, "finished": 1, "failed": 1, "canceled": 1, "stopped": 1}


class Client:
    """The state that the threads share."""

    def __init__(self, url: str, directory: Path) -> None:
        self.address = urlsplit(url).netloc
        self.directory = directory
        self.headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ['LOAD_TOKEN']}"}
        self.open: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()
        self.accepted = (directory / "accepted.jsonl").open("a")
        self.ended = (directory / "ended.jsonl").open("a")
        self.seen = (directory / "seen.jsonl").open("a")

    def should_stop(self) -> bool:
        return (self.directory / "stop").exists()

    def write(self, file: IO[str], **values: Any) -> None:
        with self.lock:
            file.write(json.dumps(values) + "\n")
            file.flush()

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Send one request on its own connection; status 0 without an answer."""
        connection = http.client.HTTPConnection(self.address, timeout=8)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            data = response.read()
            return response.status, json.loads(data) if response.status < 300 else None
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None
        finally:
            connection.close()

    def start_tasks(self) -> None:
        while not self.should_stop():
            records = random.choice(SIZES)
            priority = random.choice(("low", "low", "low", "high"))
            body = {"name": "upload", "params": {"numRecords": records}, "priority": priority}
            began, tries, key = time.time(), 0, str(uuid.uuid4())
            while True:
                tries += 1
                status, task = self.ask("POST", "/tasks", body, {"Idempotency-Key": key})
                if status == 201:
                    break
                if status not in (0, 429, 500, 502, 503, 504):
                    self.write(self.seen, what="refused", status=status, at=time.time())
                if self.should_stop():
                    return
                time.sleep(min(1.0, 0.1 * tries))
            known = {"id": task["id"], "records": records, "at": time.time(), "waited": time.time() - began,
                     "tries": tries, "rank": 0, "done": 0, "lost": 0}  # fmt: skip
            self.write(self.accepted, **known)
            with self.lock:
                self.open[task["id"]] = known
            time.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))

    def read_tasks(self, number: int) -> None:
        """Read every open task repeatedly: it must exist and never go back."""
        while not (self.should_stop() and (self.directory / "quit").exists()):
            with self.lock:
                mine = [task for task_id, task in self.open.items() if hash(task_id) % READERS == number]
            for known in mine:
                status, task = self.ask("GET", f"/tasks/{known['id']}")
                if status == 404:
                    known["lost"] += 1
                    if known["lost"] in (1, 50):
                        self.write(self.seen, what="missing", id=known["id"], at=time.time(), times=known["lost"])
                    if known["lost"] >= 50:
                        self.write(self.ended, id=known["id"], status="lost", at=time.time())
                        self.open.pop(known["id"], None)
                elif status == 200:
                    known["lost"] = 0
                    rank, done = RANK[task["status"]], task["progress"]["done"]
                    if (rank, done) < (known["rank"], known["done"]):
                        self.write(self.seen, what="back", id=known["id"], at=time.time(),
                                   was=[known["rank"], known["done"]], now=[task["status"], done])  # fmt: skip
                    known["rank"], known["done"] = rank, done
                    if task["status"] in ENDED:
                        self.write(self.ended, id=known["id"], status=task["status"], at=time.time())
                        self.open.pop(known["id"], None)
            time.sleep(0.1)


def main() -> None:
    client = Client(sys.argv[1], Path(sys.argv[2]))
    threads = [threading.Thread(target=client.start_tasks) for _ in range(STARTERS)]
    threads += [threading.Thread(target=client.read_tasks, args=(number,)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
