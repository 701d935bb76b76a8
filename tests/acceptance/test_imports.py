"""Imports while workers are killed: each record of the file once, whatever the format."""

from __future__ import annotations

import gzip
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from loadtests.started.stack import ProcfileStack
from tests.conftest import MakeStack

RECORDS = 30_000
KILL_SECONDS = 0.7


def make_csv() -> bytes:
    lines = [f'S{number},"Größe\r\n{number}, ""x""",{number}.25,{number % 9}\r\n' for number in range(RECORDS)]
    return ("sku;name;price;stock\r\n" + "".join(lines).replace(",", ";")).encode("utf-16")


def make_json_lines() -> bytes:
    return b"".join(
        json.dumps({"sku": f"S{number}", "name": "é", "price": f"{number}.25", "stock": number % 9}).encode() + b"\n\n"
        for number in range(RECORDS)
    )


FILES = {
    "products.csv": make_csv(),
    "products.jsonl": make_json_lines(),
    "products.csv.gz": gzip.compress(make_csv(), compresslevel=1),
}


def upload(stack: ProcfileStack, name: str, data: bytes) -> str:
    answer = stack.post(f"/files?name={name}", data, headers={"Content-Type": "application/octet-stream"})
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


@contextmanager
def killing(stack: ProcfileStack, kills: list[int]) -> Iterator[None]:
    """Kill one worker process after the other."""
    done = threading.Event()

    def kill() -> None:
        for index in itertools.count():
            if done.wait(KILL_SECONDS):
                return
            if stack.child_pids("worker"):
                kills.append(stack.kill_child("worker", index=index % len(stack.child_pids("worker"))))

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        done.set()
        killer.join()


@pytest.mark.slow
def test_an_import_writes_each_record_once_while_workers_are_killed(make_stack: MakeStack) -> None:
    stack = make_stack(workers=2, environment={"CHUNK_SECONDS": "0.2", "RETRY_ATTEMPTS": "50"})
    bodies: list[dict[str, Any]] = [
        {"name": "import_products", "params": {"file": upload(stack, name, data)}} for name, data in FILES.items()
    ]
    kills: list[int] = []
    with killing(stack, kills):
        ids = [stack.post("/tasks", body).json["id"] for body in bodies]
        tasks = [stack.wait_for_end(task_id, deadline_seconds=180) for task_id in ids]
    assert len(kills) > 5, "hardly anything was killed: the test proves nothing"
    for task_id, task in zip(ids, tasks, strict=True):
        assert task["status"] == "finished", task
        assert task["insertedRecords"] == {"products": RECORDS}
        assert stack.row_counts(task_id)["products"] == stack.position_counts(task_id)["products"] == RECORDS
        statement = "SELECT SUM(price), SUM(stock), COUNT(DISTINCT sku), SUM(position) FROM products WHERE task_id = %s"
        [(prices, stocks, skus, positions)] = stack.sql(statement, task_id.replace("-", ""))
        assert float(prices) == sum(number + 0.25 for number in range(RECORDS))
        assert int(stocks) == sum(number % 9 for number in range(RECORDS))
        assert (int(skus), int(positions)) == (RECORDS, sum(range(RECORDS)))
