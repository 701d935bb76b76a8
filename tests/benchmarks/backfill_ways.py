"""The ways to change a column of every order item without longtasks, each in a process of its own.

`python -m tests.benchmarks.backfill_ways WAY [--rows N]` prints JSON: rows, seconds, CPU, and the process's memory before and at
its highest. Started by tests.benchmarks.backfill, in the environment of its stack.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

BATCH: Final = 500


def save(rows: int) -> int:
    """Save each row alone."""
    from catalog.models import OrderItem

    number = 0
    for item in islice(OrderItem.objects.order_by("pk").iterator(), rows):
        item.quantity = item.quantity % 9 + 1
        item.save(update_fields=["quantity"])
        number += 1
    return number


def bulk_update(rows: int) -> int:
    """Read with iterator(), write with bulk_update(), BATCH rows at a time."""
    from catalog.models import OrderItem

    number = 0
    found = islice(OrderItem.objects.order_by("pk").iterator(), rows)
    while items := list(islice(found, BATCH)):
        for item in items:
            item.quantity = item.quantity % 9 + 1
        OrderItem.objects.bulk_update(items, ["quantity"])
        number += len(items)
    return number


def update(rows: int) -> int:
    """Change all rows with one statement."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE order_items SET quantity = quantity %% 9 + 1", [])
        return int(cursor.rowcount)


WAYS: Final[dict[str, Callable[[int], int]]] = {"save": save, "bulk_update": bulk_update, "update": update}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    import django

    django.setup()
    before = _get_peak_mib()
    began, began_cpu = time.perf_counter(), time.process_time()
    rows = WAYS[options.way](options.rows)
    seconds = time.perf_counter() - began
    used = time.process_time() - began_cpu
    figures: dict[str, Any] = {
        "rows": rows,
        "seconds": seconds,
        "cpu_seconds": used,
        "mib_before": before,
        "mib_peak": _get_peak_mib(),
    }
    print(json.dumps(figures))


def _get_peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
