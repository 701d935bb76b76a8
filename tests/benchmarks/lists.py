"""Lists with 10,000,000 tasks in MariaDB: the server's time for each combination of filters, for API and admin.

`python -m tests.benchmarks.lists [--records N] [--keep DIR]`. A MariaDB and a Redis of its own, filled by many_tasks;
`--keep` stores the filled database in DIR for the next run. Each combination is read page by page through its cursors,
first from a newly started MariaDB with empty memory (cold), then again (warm). Prints a table in Markdown; exits with 1
if the median page of a combination takes longer than 100 ms.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from loadtests.started.servers import MariaDB, RedisServer

BOUND_MS: Final = 100
PAGES: Final = 6
ADMIN: Final = "/admin/tasks_app/taskrecord/"
OLDER: Final = re.compile(r'rel="next" href="([^"]+)"')
# Of the owner `ann` (40 % of all tasks), `dora` (10 %), `eve` (0.1 %), or of all.
API: Final = (
    ("", ""),
    ("", "limit=200"),
    ("", "status=failed"),
    ("", "status=failed&name=upload&priority=high"),
    ("", "status=canceled&name=purge"),
    ("", "name=purge&priority=high"),
    ("", "name=purge&priority=high&status=finished"),
    ("", "name=reindex&status=finished"),
    ("", "name=report&status=canceled"),
    ("", "priority=high&status=queued"),
    ("", "status=deferred&name=upload"),
    ("", "status=failed&createdBefore={middle}"),
    ("", "status=canceled&priority=high&createdAfter={middle}&createdBefore={later}"),
    ("ann", ""),
    ("ann", "status=finished"),
    ("ann", "status=failed"),
    ("ann", "status=failed&name=purge&priority=low"),
    ("ann", "status=canceled&name=purge"),
    ("ann", "name=report&priority=high&status=finished&limit=200"),
    ("dora", "priority=high"),
    ("dora", "priority=high&status=finished&name=upload&createdBefore={middle}"),
    ("eve", "status=failed"),
    ("eve", "name=upload&priority=high&status=finished"),
)
WORDS: Final = (
    "",
    "status=failed&name=upload&priority=high&owner=ann",
    "owner=dora&priority=high",
    "q=shop+4711",
    "q=nowhere",
    "q=nowhere&owner=ann",
    "q=nowhere&owner=eve",
    "q=nowhere&status=failed",
    "q=nowhere&status=failed&name=purge&priority=low&owner=ben",
    "q=shop&status=canceled&before={middle_minute}",
)


class Kept(MariaDB):
    """MariaDB with deploy/mariadb.cnf, in a directory that can be kept; it does not load a saved buffer pool."""

    def __init__(self, directory: Path | None) -> None:
        super().__init__()
        self.is_kept = directory is not None
        if directory is not None:
            self.directory.rmdir()
            directory.mkdir(exist_ok=True)
            self.directory, self.log_path, self.socket_path = directory, directory / "log", directory / "s"

    def _command(self) -> list[str]:
        more = ("--innodb-buffer-pool-size=1G", "--innodb-buffer-pool-load-at-startup=OFF")
        return [*super()._command(), *more]

    def remove(self) -> None:
        self.stop() if self.is_kept else super().remove()


def ask(client: Any, address: str, headers: dict[str, str]) -> tuple[list[float], int, bool]:
    """Follow a list's cursors for some pages. Returns the time of each in ms, the number of tasks, and whether it ended."""
    times, tasks, following = [], 0, address
    while following and len(times) < PAGES:
        began = time.perf_counter()
        response = client.get(following, headers=headers)
        times.append(1000 * (time.perf_counter() - began))
        assert response.status_code == 200, (following, response.status_code, response.content[:200])
        if address.startswith(ADMIN):
            tasks += response.content.count(b'id="task-')
            link = OLDER.search(response.content.decode())
            following = ADMIN + html.unescape(link[1]) if link else ""
        else:
            page = response.json()
            tasks += len(page["tasks"])
            following = page["next"]
    return times, tasks, not following


def say(times: list[float]) -> str:
    return f"{statistics.median(times):.0f} | {max(times):.0f}"


def measure(name: str, call: Callable[[], tuple[list[float], int, bool]], restart: Callable[[], None]) -> float:
    """Print one line of the table; returns the higher median."""
    restart()
    cold, _, _ = call()
    warm, tasks, is_all = call()
    print(f"| `{name}` | {tasks}{'' if is_all else ' …'} | {len(warm)} | {say(cold)} | {say(warm)} |", flush=True)
    return max(statistics.median(cold), statistics.median(warm))


def run(records: int, database: Kept) -> int:
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client

    from tasks_app.auth import api_tokens
    from tasks_app.models import TaskRecord
    from tests.benchmarks.many_tasks import fill

    settings.ALLOWED_HOSTS.append("testserver")
    call_command("migrate", verbosity=0)
    if not TaskRecord.objects.exists():
        began = time.perf_counter()
        fill(records)
        print(f"{records:,} tasks made in {time.perf_counter() - began:.0f} s", flush=True)
    newest, oldest = (
        TaskRecord.objects.order_by(order).values_list("created_at", flat=True)[0] for order in ("-pk", "pk")
    )
    middle, later = oldest + (newest - oldest) / 2, oldest + (newest - oldest) * 0.6
    times = {
        "middle": f"{middle:%Y-%m-%dT%H:%M:%SZ}",
        "later": f"{later:%Y-%m-%dT%H:%M:%SZ}",
        "middle_minute": f"{middle:%Y-%m-%dT%H:%M}",
    }
    headers = {
        owner: {"Authorization": f"Bearer {api_tokens.create_token(owner=owner or 'root', scope=scope)[1]}"}
        for owner, scope in (("", "admin"), ("ann", "read"), ("dora", "read"), ("eve", "read"))
    }
    client, operator = Client(), Client()
    operator.force_login(
        User.objects.get_or_create(username="ada", is_superuser=True, is_staff=True, is_active=True)[0]
    )

    def restart() -> None:
        connection.close()
        database.restart()
        # As in a running process: the connection and the tables are open.
        operator.get("/admin/tasks_app/auditentry/")
        client.get("/tasks?limit=1", headers=headers[""])

    restart()
    ask(operator, ADMIN, {})  # compiles the templates
    print("| filters | tasks found | pages | cold: median ms | longest | warm: median ms | longest |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    medians = {}
    for owner, query in API:
        address = f"/tasks?{query.format(**times)}"
        name = f"{owner}: {query}" if owner else query or "none"
        medians[name] = measure(name, lambda: ask(client, address, headers[owner]), restart)  # noqa: B023 (called at once)
    for query in WORDS:
        address = f"{ADMIN}?{query.format(**times)}"
        medians[f"admin: {query}"] = measure(f"admin: {query or 'none'}", lambda: ask(operator, address, {}), restart)  # noqa: B023
    slow = [name for name, median in medians.items() if median > BOUND_MS]
    print(f"above {BOUND_MS} ms: {', '.join(slow) or 'none'}; load {os.getloadavg()[0]:.1f}")
    return 1 if slow else 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the filled database stays, and is looked for")
    options = parser.parse_args()
    database, redis_server = Kept(options.keep), RedisServer()
    try:
        for server in (database, redis_server):
            server.start()
        os.environ |= {
            "ENV_FILE": "",
            "DJANGO_SETTINGS_MODULE": "settings.test",
            "DATA_DIR": tempfile.mkdtemp(prefix="longtasks-benchmark-"),
            "DATABASE_URL": database.url("longtasks") + "&read_timeout=600",
            "REDIS_URL": redis_server.url(),
        }
        if not database.query("", "SHOW DATABASES LIKE 'longtasks'"):
            database.create_database("longtasks")
        return run(options.records, database)
    finally:
        database.remove()
        redis_server.remove()


if __name__ == "__main__":
    sys.exit(main())
