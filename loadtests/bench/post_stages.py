"""Measures the CPU time of one POST /tasks stage by stage, in this process, with a real Redis.

`python -m loadtests.bench.post_stages ROUNDS CALLS` does it once, inside Django's settings. The stages receive
the values of a real request; the rest of the total is middleware, routing and DRF's dispatch.
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
    post = wsgi_post()
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


def wsgi_post() -> Callable[[], bytes]:
    """Send a POST of the original's body through the whole application, as a server passes it."""
    from longtasks.wsgi import application

    body = BODY.encode()
    seen: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], object]:
        seen[:] = [status]
        return lambda _: None

    def post() -> bytes:
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/tasks",
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "3000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_HOST": "127.0.0.1:3000",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http",
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        response = application(environ, start_response)
        content = b"".join(response)
        response.close()
        return content

    content = post()
    if seen != ["201 Created"]:
        raise SystemExit(f"POST /tasks answered {seen}: {content[:500]!r}")
    return post


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.development")
    django.setup()
    rounds, calls = sys.argv[1:]
    sys.stdout.write(json.dumps(measure_stages(rounds=int(rounds), calls=int(calls))))


if __name__ == "__main__":
    main()
