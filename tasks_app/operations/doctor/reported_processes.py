"""Checks the reported processes: all run the same version, and none restarts repeatedly.

Owns these checks. Must not change anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from tasks_app.operations.doctor.findings import OK, WARNING, Finding
from tasks_app.process_monitor.reports import Reported, list_processes
from tasks_app.queues import redis_connection

DEPLOY_SECONDS: Final = 300.0  # a deploy may take this long after the start of the newest process
RECENT_SECONDS: Final = 600.0
RESTARTS: Final = 3


def check_processes() -> Iterator[Finding]:
    found = list_processes(redis_connection.get_connection())
    now = datetime.now(UTC)
    yield from _check_versions(found, now=now)
    for each in found:
        entry = each.entry
        if each.last_exit_at is None or entry.restarts < RESTARTS:
            continue
        seconds = (now - each.last_exit_at).total_seconds()
        if seconds < RECENT_SECONDS:
            yield Finding(
                WARNING,
                "processes: restarts",
                f"{entry.kind} {entry.slot} on {entry.host} has restarted {entry.restarts} times, last "
                f"{max(0.0, seconds):.0f} s ago after {entry.last_exit}",
                "Read its log; python manage.py processes shows how the previous process ended.",
            )
    yield Finding(OK, "processes", f"{len(found)} processes report")


def _check_versions(found: list[Reported], *, now: datetime) -> Iterator[Finding]:
    hosts: dict[str, set[str]] = {}
    for each in found:
        hosts.setdefault(each.entry.version, set()).add(each.entry.host)
    if len(hosts) < 2 or (now - max(each.began_at for each in found)).total_seconds() < DEPLOY_SECONDS:
        return
    places = "; ".join(f"{version} on {', '.join(sorted(names))}" for version, names in sorted(hosts.items()))
    yield Finding(
        WARNING,
        "processes: versions",
        f"processes run {len(hosts)} versions: {places}",
        "Deploy the same version on every host, then run `make reload` on the hosts with the older version.",
    )
