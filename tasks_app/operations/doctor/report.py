"""The doctor: checks settings, Redis, database, processes and clocks, and reports each fault with its fix.

Owns the list of checks. Must not change anything: a check only returns findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import redis
from django.db import DatabaseError, InterfaceError

from tasks_app.errors import LongtasksError
from tasks_app.operations.doctor.database_checks import check_database, check_migrations
from tasks_app.operations.doctor.findings import FAULT, OK, WARNING, Finding, one_line
from tasks_app.operations.doctor.process_checks import check_clocks, check_mirror, check_workers
from tasks_app.operations.doctor.redis_checks import check_redis
from tasks_app.operations.doctor.reported_processes import check_processes
from tasks_app.operations.doctor.settings_checks import check_settings, check_versions
from tasks_app.operations.doctor.task_checks import (
    check_outbox,
    check_removed_queues,
    check_served_types,
    check_set_aside,
    check_task_types,
)


def examine() -> list[Finding]:
    """Run every check and return the findings, faults first. A check whose store is unavailable becomes a fault."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += check()
        except (redis.RedisError, LongtasksError, DatabaseError, InterfaceError) as error:
            subject = check.__name__.removeprefix("check_").replace("_", " ")
            findings.append(
                Finding(FAULT, subject, f"can't be examined: {one_line(error)}", "Fix the other findings first.")
            )
    order = (FAULT, WARNING, OK)
    return sorted(findings, key=lambda finding: order.index(finding.level))


CHECKS: Final[tuple[Callable[[], Iterator[Finding]], ...]] = (
    check_settings,
    check_versions,
    check_redis,
    check_database,
    check_migrations,
    check_clocks,
    check_workers,
    check_served_types,
    check_removed_queues,
    check_task_types,
    check_mirror,
    check_outbox,
    check_set_aside,
    check_processes,
)
