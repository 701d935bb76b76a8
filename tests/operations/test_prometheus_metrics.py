"""/metrics is correct with several gunicorn processes, cheap for a request, and reports unavailable stores."""

import math
import re
import shutil
import subprocess
import threading
import time
from collections import Counter
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from loadtests.started.stack import ProcfileStack
from tasks_app.api.request_metrics import RequestMetricsMiddleware
from tasks_app.queues import redis_connection
from tests.conftest import MakeStack
from tests.support.redis_commands import watched_commands

MIDDLEWARE_BOUND_SECONDS = 15e-6
MIDDLEWARE_BOUND_CALLS = 110  # the same result on a slow machine


def scrape(stack: ProcfileStack) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = stack.get("/metrics")
    assert answer.status == 200
    return parse(answer.body.decode())


def parse(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: dict[Any, float], name: str, **labels: str) -> float:
    wanted = set(labels.items())
    return sum(value for (each, have), value in samples.items() if each == name and wanted <= set(have))


def test_the_counts_of_four_processes_add_up_to_the_requests_sent(make_stack: MakeStack) -> None:
    stack = make_stack(workers=1, environment={"WEB_WORKERS": "4"})
    stack.wait_for(lambda: len(stack.child_pids("web")) >= 4, deadline_seconds=30, what="four processes serve")
    before = scrape(stack)
    sent: Counter[tuple[str, str]] = Counter()
    lock = threading.Lock()

    def send(number: int) -> None:
        for index in range(40):
            if index % 4 == 3:
                answer = stack.get(f"/tasks/{number}-{index}")
                key = ("/tasks/<str:id>", str(answer.status))
            elif index % 4 == 2:
                answer = stack.post("/tasks", {"name": "nothing"})
                key = ("/tasks", str(answer.status))
            else:
                answer = stack.post("/tasks", {"name": "upload", "params": {"numRecords": 2}})
                key = ("/tasks", str(answer.status))
            with lock:
                sent[key] += 1

    threads = [threading.Thread(target=send, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    after = scrape(stack)
    assert sent == {("/tasks", "201"): 120, ("/tasks", "400"): 60, ("/tasks/<str:id>", "404"): 60}
    for (route, code), number in sent.items():
        labels = {"route": route, "code": code}
        counted = total(after, "longtasks_http_requests_total", **labels)
        assert counted - total(before, "longtasks_http_requests_total", **labels) == number, (route, code)
    assert total(after, "longtasks_http_request_seconds_count", route="/tasks") == 180
    assert total(after, "longtasks_http_request_seconds_bucket", route="/tasks", le="+Inf") == 180

    def all_told() -> bool:
        return total(scrape(stack), "longtasks_tasks_ended_total", status="finished") == 120

    stack.wait_for(all_told, deadline_seconds=60, what="all tasks have ended")
    scraped = scrape(stack)
    labels = {"queue": "low", "type": "upload"}
    assert total(scraped, "longtasks_tasks_accepted_total", **labels) == 120
    assert total(scraped, "longtasks_task_wait_seconds_count", **labels) == 120
    assert total(scraped, "longtasks_task_run_seconds_count", **labels) == 120
    assert total(scraped, "longtasks_task_run_seconds_bucket", **labels, le="+Inf") == 120
    assert total(scraped, "longtasks_rows_committed_total", type="upload", table="users") == 240
    assert total(scraped, "longtasks_workers") == 1
    assert total(scraped, "longtasks_queue_depth") == 0
    assert total(scraped, "longtasks_up") == 2

    # A rolling restart of web loses no count.
    counted = total(scraped, "longtasks_http_requests_total", route="/tasks")
    pids = set(stack.child_pids("web"))
    stack.hang_up("web")
    stack.wait_for(lambda: not pids & set(stack.child_pids("web")), deadline_seconds=60, what="web has new processes")
    stack.wait_for(lambda: stack.get("/health/live").status == 200, deadline_seconds=30, what="web answers")
    assert total(scrape(stack), "longtasks_http_requests_total", route="/tasks") == counted


def test_progress_failures_retries_and_rows_of_a_canceled_task_are_counted(make_stack: MakeStack) -> None:
    stack = make_stack(workers=1, environment={"PAUSE_MS": "50"})
    task_id = stack.start_upload(records=200_000)
    stack.wait_for(lambda: stack.task(task_id)["progress"]["done"] > 0, deadline_seconds=30, what="it has started")
    high = stack.start_upload(records=3000, priority="high")
    stack.wait_for_end(high, deadline_seconds=60)
    stack.post(f"/tasks/{task_id}/cancel")
    task = stack.wait_for_end(task_id, deadline_seconds=30)

    # The mirror counts after its commit, a moment after the task shows its end.
    def is_counted() -> bool:
        return total(scrape(stack), "longtasks_tasks_ended_total", status="canceled") == 1

    stack.wait_for(is_counted, deadline_seconds=10, what="the end is counted")
    samples = scrape(stack)

    rows = task["insertedRecords"]["users"] + 3000
    assert total(samples, "longtasks_rows_committed_total", type="upload", table="users") == rows
    assert total(samples, "longtasks_tasks_preempted_total", queue="low", type="upload") >= 1


@pytest.mark.django_db
def test_an_unavailable_redis_is_reported_as_down(client: Client) -> None:
    queues = {name: {**each, "URL": "redis://127.0.0.1:1/0"} for name, each in settings.RQ_QUEUES.items()}
    with override_settings(RQ_QUEUES=queues):
        answer = client.get("/metrics")
    assert answer.status_code == 200
    samples = parse(answer.content.decode())
    assert samples["longtasks_up", (("store", "redis"),)] == 0
    assert samples["longtasks_up", (("store", "database"),)] == 1
    assert not any(name.startswith("longtasks_queue") for name, _ in samples)


@pytest.mark.django_db
def test_made_up_addresses_and_methods_share_one_label(client: Client) -> None:
    for path in ("/nothing", "/nothing/else", "/x"):
        client.get(path)
    client.generic("BREW", "/tasks")
    text = client.get("/metrics").content.decode()
    assert "nothing" not in text
    assert "BREW" not in text
    assert re.search(r'longtasks_http_requests_total\{code="404",method="GET",route="\(unknown\)"\} \d', text)


@pytest.mark.django_db
def test_scraping_neither_scans_nor_writes(client: Client, redis: Redis) -> None:
    client.get("/metrics")
    with watched_commands(redis) as commands:
        client.get("/metrics")
    used = {command.name for command in commands}
    assert "XRANGE" in used
    assert used <= {
        "HGETALL", "XRANGE", "TIME", "INFO", "LLEN", "ZCARD", "LINDEX", "GET", "SMEMBERS", "HGET", "CLIENT", "HELLO",
        "SELECT", "AUTH", "PING", "EXISTS", "TYPE",
        "HSCAN",  # a page of the one hash of processes
    }  # fmt: skip
    assert [command.name for command in commands].count("HSCAN") == 1
    assert redis_connection.get_connection().dbsize() == 0


def test_the_middleware_costs_little() -> None:
    response = HttpResponse()
    request = RequestFactory().get("/tasks")

    class Match:
        route = "tasks"

    request.resolver_match = Match()  # type: ignore[assignment]
    middleware = RequestMetricsMiddleware(lambda _: response)
    seconds = []
    for _ in range(30):
        began = time.perf_counter()
        for _ in range(200):
            middleware(request)
        seconds.append((time.perf_counter() - began) / 200)
    # The fastest of many rounds, which excludes the load of a busy machine.
    assert min(seconds) < max(MIDDLEWARE_BOUND_SECONDS, MIDDLEWARE_BOUND_CALLS * seconds_of_a_call()), seconds


def seconds_of_a_call() -> float:
    """Return the time of Python's shortest call, as a measure of this machine's speed."""

    def nothing(_: object) -> None: ...

    fastest = math.inf
    for _ in range(30):
        began = time.perf_counter()
        for number in range(1000):
            nothing(number)
        fastest = min(fastest, (time.perf_counter() - began) / 1000)
    return fastest


# As in `promtool check metrics`: forbidden suffixes by type, and the units that must be base units.
RESERVED = ("_total", "_count", "_sum", "_bucket")
ODD_UNITS = re.compile(
    r"_(?:milli|micro|nano|kilo|mega|giga)?"
    r"(?:milliseconds|microseconds|nanoseconds|minutes|hours|days|kilobytes|megabytes|gigabytes|bits|percent|ms)(?:_|$)"
)
TYPE_IN_NAME = re.compile(r"(?:^|_)(?:counter|gauge|histogram|summary|metric)(?:_|$)")


def complaints_of(text: str) -> list[str]:
    """Return promtool's complaints about an exposition, and the names that are not ours."""
    found = []
    names = [family.name for family in text_string_to_metric_families(text)]
    found += [f"{name}: twice" for name, times in Counter(names).items() if times > 1]
    for family in text_string_to_metric_families(text):
        written = f"{family.name}_total" if family.type == "counter" else family.name
        if not family.name.startswith("longtasks_"):
            found.append(f"{written}: not ours")
        if not family.documentation:
            found.append(f"{written}: no help text")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", family.name):
            found.append(f"{written}: not in snake_case")
        if family.name.endswith(RESERVED):
            found.append(f"{written}: a {family.type} must not end so")
        if family.name.endswith("_info") and any(sample.value != 1 for sample in family.samples):
            found.append(f"{written}: an info is 1")
        if family.type == "counter" and f"# TYPE {written} counter" not in text:
            found.append(f"{written}: a counter ends with _total")
        if ODD_UNITS.search(family.name):
            found.append(f"{written}: not in the base unit")
        if TYPE_IN_NAME.search(family.name):
            found.append(f"{written}: its type in its name")
    return found


@pytest.mark.django_db
def test_names_and_types_follow_the_prometheus_conventions(stack: ProcfileStack, client: Client) -> None:
    """With several processes and with one, each family has our prefix and promtool, if installed, reports nothing."""
    task_id = stack.start_upload(records=10)
    stack.wait_for_end(task_id, deadline_seconds=30)
    client.get("/health/live")
    for text in (stack.get("/metrics").body.decode(), client.get("/metrics").content.decode()):
        assert "longtasks_http_requests_total" in text
        assert complaints_of(text) == []
        if shutil.which("promtool"):
            checked = subprocess.run(
                ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
            )
            assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_breaches_of_the_conventions_are_found() -> None:
    text = (
        "# HELP rq_request_processing_seconds_total Time.\n# TYPE rq_request_processing_seconds_total summary\n"
        "rq_request_processing_seconds_total_count 0.0\nrq_request_processing_seconds_total_sum 0.0\n"
        "# TYPE longtasks_queue_gauge gauge\nlongtasks_queue_gauge 1\n"
        "# HELP longtasks_wait_ms Wait.\n# TYPE longtasks_wait_ms gauge\nlongtasks_wait_ms 1\n"
        "# HELP longtasks_x_info X.\n# TYPE longtasks_x_info gauge\nlongtasks_x_info 2\n"
    )
    assert complaints_of(text) == [
        "rq_request_processing_seconds_total: not ours",
        "rq_request_processing_seconds_total: a summary must not end so",
        "longtasks_queue_gauge: no help text",
        "longtasks_queue_gauge: its type in its name",
        "longtasks_wait_ms: not in the base unit",
        "longtasks_x_info: an info is 1",
    ]
