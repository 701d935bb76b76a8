"""Measures the CPU time of one POST /tasks stage by stage, in this process, with a real Redis.

`python -m loadtests.bench.post_stages ROUNDS CALLS` does it once, inside Django's settings. The stages receive
the values of a real request; the rest of the total is middleware, routing and DRF's dispatch. No greenlet, no event loop.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from loadtests.bench.context import BODY, Bench

WARM_CALLS = 300


def measure(bench: Bench) -> dict[str, Any]:
    runs = []
    with bench.ground.stack() as stack:
        for run in range(bench.scale.runs):
            stack.empty()
            before = redis_cpu_seconds(stack)
            output = stack.run_inside(
                "loadtests.bench.post_stages", str(bench.scale.stage_rounds), str(bench.scale.stage_calls)
            )
            figures: dict[str, Any] = json.loads(output)
            enqueued = figures.pop("enqueued")
            figures["redis_cpu_us"] = (redis_cpu_seconds(stack) - before) / enqueued * 1e6
            bench.say(f"POST stages run {run + 1}: {figures['whole']['cpu_us']:.0f} µs CPU a request")
            runs.append(figures)
    return {"runs": runs}


def redis_cpu_seconds(stack: Any) -> float:
    with stack.redis() as client:
        shown = client.info("cpu")
    return float(shown["used_cpu_user"]) + float(shown["used_cpu_sys"])


def measure_stages(*, rounds: int, calls: int) -> dict[str, Any]:
    from tasks_app.api.json_rendering import OrjsonParser, respond
    from tasks_app.api.request_serializers import read_new_task
    from tasks_app.api.response_serializers import started_data
    from tasks_app.domain import task_snapshot
    from tasks_app.services import start_tasks

    body = BODY.encode()
    parser, data = OrjsonParser(), json.loads(body)
    task = read_new_task(data)
    snapshot = start_tasks.start_task(task=task).snapshot
    post = api_post()
    stages: dict[str, Callable[[], Any]] = {
        "whole": post,
        "parse": lambda: parser.parse(io.BytesIO(body)),
        "validate": lambda: read_new_task(dict(data)),
        "start": lambda: start_tasks.start_task(task=task),
        "encode": lambda: task_snapshot.encode(snapshot),
        "answer": lambda: respond(started_data(snapshot), status=201, headers={"Location": f"/tasks/{snapshot.id}"}),
    }
    figures: dict[str, Any] = {name: measure_call(call, rounds=rounds, calls=calls) for name, call in stages.items()}
    parts = sum(figures[name]["cpu_us"] for name in ("parse", "validate", "start", "answer"))
    figures["dispatch"] = {"cpu_us": figures["whole"]["cpu_us"] - parts}
    return figures | {"enqueued": 1 + 2 * (WARM_CALLS + rounds * calls)}


def measure_call(call: Callable[[], Any], *, rounds: int, calls: int) -> dict[str, float]:
    """Return the medians over the rounds, in microseconds per call."""
    for _ in range(WARM_CALLS):
        call()
    cpu, wall = [], []
    for _ in range(rounds):
        cpu_started, wall_started = time.process_time(), time.perf_counter()
        for _ in range(calls):
            call()
        cpu.append((time.process_time() - cpu_started) / calls * 1e6)
        wall.append((time.perf_counter() - wall_started) / calls * 1e6)
    return {"cpu_us": median(cpu), "wall_us": median(wall)}


def api_post() -> Callable[[], Any]:
    """Send a POST of the original's body through the API's whole chain, as `longtasks/asgi.py` does."""
    from longtasks.http.api_handler import ApiHandler
    from longtasks.http.bounded_request import BoundedRequest
    from longtasks.http.exchange import build_environ, encode

    handler = ApiHandler()
    headers = [(name.lower(), (name.encode(), value.encode())) for name, value in handler.constant_headers]
    body = BODY.encode()
    scope = {
        "method": "POST",
        "raw_path": b"/tasks",
        "query_string": b"",
        "http_version": "1.1",
        "server": ("127.0.0.1", 3000),
        "client": ("127.0.0.1", 50000),
        "headers": [
            (b"host", b"127.0.0.1:3000"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ],
    }

    def post() -> tuple[int, bytes]:
        status, _, content = encode(handler.respond(BoundedRequest(build_environ(scope, body))), headers)
        return status, content

    status, content = post()
    if status != 201:
        raise SystemExit(f"POST /tasks answered {status}: {content[:500]!r}")
    return post


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.development")
    django.setup()
    rounds, calls = sys.argv[1:]
    sys.stdout.write(json.dumps(measure_stages(rounds=int(rounds), calls=int(calls))))


if __name__ == "__main__":
    main()
