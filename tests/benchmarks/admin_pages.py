"""The dashboard's pages with 1,000,000 tasks in MariaDB: prints the median of the server's time for each.

`python -m tests.benchmarks.admin_pages [TASKS]`. A MariaDB and a Redis of its own; the requests use the whole of
Django (middleware, session, permissions, templates), without a network. Exits with 1 if a median is above 100 ms; on a
busy machine, the time in Python is the better figure.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from loadtests.started.servers import create_servers

BOUND_MS = 100
ROUNDS = 15

# UUIDv7 in SQL: 48 bits of milliseconds, version, variant; one task each 40 ms, the newest now. One in a thousand
# waits, a few have failed; one in fifty has another task type.
FILL = """
INSERT INTO tasks_app_taskrecord (id, name, description, params, owner, request_id, callback_url, created_at, priority,
  status, done, total, counts, attempts, error, worker, epoch, started_at, ended_at, next_attempt_at, cancel_requested,
  updated_at)
SELECT
  INSERT(INSERT(CONCAT(LPAD(HEX(ROUND(@now * 1000) - (%s - seq) * 40), 12, '0'), '7', LPAD(HEX(seq MOD 4096), 3, '0'),
    '8', LPAD(HEX(seq), 15, '0')), 9, 0, '-'), 14, 0, '-'),
  IF(seq MOD 50 = 0, 'purge', 'upload'), CONCAT('import of shop ', seq MOD 5000), '{"numRecords": 100}',
  CONCAT('owner', seq MOD 40), '', '', FROM_UNIXTIME(@now - (%s - seq) * 0.04), IF(seq MOD 10 = 0, 'high', 'low'),
  CASE WHEN seq MOD 1000 = 1 THEN 'queued' WHEN seq MOD 997 = 2 THEN 'failed' ELSE 'finished' END,
  100, 100, '{"users": 100, "products": 100, "order_items": 100}', 1,
  IF(seq MOD 997 = 2, REPEAT('Traceback (most recent call last): ', 40), NULL), 'host-1a2b3c4d', 1,
  FROM_UNIXTIME(@now - (%s - seq) * 0.04 + 1), FROM_UNIXTIME(@now - (%s - seq) * 0.04 + 3), NULL, 0,
  FROM_UNIXTIME(@now - (%s - seq) * 0.04 + 3)
FROM seq_1_to_{last} WHERE seq >= {first}
"""


def fill(tasks: int) -> None:
    from django.db import connection

    step = 100_000
    with connection.cursor() as cursor:
        cursor.execute("SET @now = UNIX_TIMESTAMP(NOW(3))")
        cursor.execute("SET unique_checks = 0")
        for first in range(1, tasks + 1, step):
            statement = FILL.replace("{last}", str(min(tasks, first + step - 1))).replace("{first}", str(first))
            cursor.execute(statement, [tasks] * statement.count("%s"))
        cursor.execute(
            "INSERT INTO tasks_app_taskminute (minute, queue, name, accepted, started, finished, failed, canceled,"
            " stopped, `rows`, waits, runs) SELECT FROM_UNIXTIME(FLOOR(@now / 60) * 60 - seq * 60), q.queue, t.name, 750,"
            ' 750, 740, 10, 0, 0, 225000, \'{"40": 500, "44": 250}\', \'{"44": 700, "52": 50}\' FROM seq_0_to_1440,'
            " (SELECT 'high' AS queue UNION SELECT 'low') q, (SELECT 'upload' AS name UNION SELECT 'purge') t"
        )
        cursor.execute("ANALYZE TABLE tasks_app_taskrecord, tasks_app_taskminute")


def measure(name: str, call: Callable[[], Any]) -> float:
    times, cpu_times = [], []
    for _ in range(ROUNDS):
        began, cpu_began = time.perf_counter(), time.process_time()
        answer = call()
        times.append(1000 * (time.perf_counter() - began))
        cpu_times.append(1000 * (time.process_time() - cpu_began))
        assert answer.status_code == 200, (name, answer.status_code)
    median = statistics.median(times)
    cpu = statistics.median(cpu_times)
    print(
        f"{name:<46} median {median:6.1f} ms   slowest {max(times):6.1f} ms   of it in Python {cpu:6.1f} ms",
        flush=True,
    )
    return median


def main(tasks: int) -> int:
    database, redis_server = create_servers()
    try:
        for server in (database, redis_server):
            server.start()
        os.environ |= {
            "ENV_FILE": "",
            "DJANGO_SETTINGS_MODULE": "settings.test",
            "DATA_DIR": tempfile.mkdtemp(prefix="longtasks-benchmark-"),
            "DATABASE_URL": database.url("longtasks"),
            "REDIS_URL": redis_server.url(),
        }
        database.create_database("longtasks")
        return run(tasks)
    finally:
        database.remove()
        redis_server.remove()


def run(tasks: int) -> int:
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    from tasks_app.models import TaskRecord

    settings.ALLOWED_HOSTS.append("testserver")
    call_command("migrate", verbosity=0)
    began = time.perf_counter()
    fill(tasks)
    print(f"{TaskRecord.objects.count():,} TaskRecords made in {time.perf_counter() - began:.0f} s", flush=True)
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    ids = list(TaskRecord.objects.order_by("pk").values_list("pk", flat=True)[tasks // 2 : tasks // 2 + 1])
    base, one = "/admin/tasks_app/taskrecord/", str(ids[0])
    pages = {
        "list": base,
        "list, a page in the middle": f"{base}?cursor={ids[0].hex}",
        "filtered list (failed)": f"{base}?status=failed",
        "filtered list (failed, purge, high, an owner)": f"{base}?status=failed&name=purge&priority=high&owner=owner0",
        "search by id": f"{base}?q={one}",
        "search by the beginning of an id": f"{base}?q={one[:13]}",
        "search by description (found)": f"{base}?q=shop+4711",
        "search by description (nothing like it)": f"{base}?q=nowhere",
        "task page": f"{base}{one}/",
        "task page, live parts": f"{base}{one}/live/",
        "overview": "/admin/",
        "overview, live parts": f"{base}overview/live/",
        "audit": "/admin/tasks_app/auditentry/",
    }
    for address in pages.values():
        client.get(address)  # compiles the templates and fills the buffer pool
    medians = {name: measure(name, lambda address=address: client.get(address)) for name, address in pages.items()}  # type: ignore[misc]
    slow = [name for name, median in medians.items() if median > BOUND_MS]
    print(f"above {BOUND_MS} ms: {', '.join(slow) or 'none'}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
