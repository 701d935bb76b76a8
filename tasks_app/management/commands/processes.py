"""`manage.py processes`: all processes of all hosts, with their use of CPU and memory and the last exit.

Owns the table and the JSON. Must not write to a store.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console, Group
from rich.table import Table

from tasks_app.api.json_rendering import to_json
from tasks_app.errors import QueueUnavailable
from tasks_app.process_monitor.reports import Reported, list_processes
from tasks_app.queues import redis_connection

UNAVAILABLE: Final = 6
PIPE_WIDTH: Final = 160
WATCH_SECONDS: Final = 2.0


class Command(BaseCommand):
    help = "Show the processes of all hosts. Exit codes: 0 shown, 6 Redis does not answer."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--watch", action="store_true", help="refresh every 2 seconds until Ctrl-C")
        parser.add_argument("--json", action="store_true", help="print JSON, one line per refresh")

    def handle(self, *args: Any, watch: bool, json: bool, **options: Any) -> None:
        is_terminal = sys.stdout.isatty()
        console = Console(file=sys.stdout, width=None if is_terminal else PIPE_WIDTH)
        try:
            while True:
                try:
                    found = _read_processes()
                except QueueUnavailable as error:
                    if not watch:
                        raise CommandError(str(error), returncode=UNAVAILABLE) from error
                    console.print(str(error))
                else:
                    if watch and is_terminal and not json:
                        console.clear()
                    self._print(found, console=console, as_json=json)
                if not watch:
                    return
                sys.stdout.flush()
                time.sleep(WATCH_SECONDS)
        except KeyboardInterrupt:
            return

    def _print(self, found: list[Reported], *, console: Console, as_json: bool) -> None:
        if as_json:
            self.stdout.write(to_json({"processes": [_data(each) for each in found]}).decode())
        else:
            console.print(_draw(found))


def _read_processes() -> list[Reported]:
    with redis_connection.mapped_redis_errors():
        return list_processes(redis_connection.get_connection())


def _data(reported: Reported) -> dict[str, Any]:
    return asdict(reported.entry) | {"silent_seconds": reported.silent_seconds}


def _draw(found: list[Reported]) -> Group:
    tables = []
    for host, group in groupby(found, key=lambda each: each.entry.host):
        table = Table(title=host, title_justify="left", box=None)
        for name in ("process", "pid", "CPU", "memory", "restarts", "uptime"):
            table.add_column(name, justify="left" if name == "process" else "right")
        table.add_column("version")
        table.add_column("last exit")
        for each in group:
            entry = each.entry
            table.add_row(
                f"{entry.kind} {entry.slot}",
                str(entry.pid),
                f"{entry.cpu_percent:.1f} %",
                f"{entry.rss_bytes / 2**20:,.1f} MiB",
                str(entry.restarts),
                describe_seconds((datetime.now(UTC) - each.began_at).total_seconds()),
                entry.version,
                f"{entry.last_exit}, {each.last_exit_at:%Y-%m-%d %H:%M:%S} UTC" if each.last_exit_at else "",
            )
        tables.append(table)
    return Group(*tables) if tables else Group("No process has reported: none is running, or Redis has lost its data.")


def describe_seconds(seconds: float) -> str:
    """Return a duration in its two largest units, such as `3 h 20 min`."""
    left = max(0, int(seconds))
    words: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, length)
        if number or (unit == "s" and not words):
            words.append(f"{number} {unit}")
    return " ".join(words[:2])
