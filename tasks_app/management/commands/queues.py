"""`manage.py queues [--watch]`: a table of the queues: depth, oldest wait, rates, workers. Read-only."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from tasks_app.api.json_rendering import to_json
from tasks_app.api.response_serializers import queue_data
from tasks_app.errors import LongtasksError
from tasks_app.queues import redis_connection
from tasks_app.read_model import mirror_lag, queue_overview
from tasks_app.read_model.queue_overview import QueueView

UNAVAILABLE: Final = 6
PIPE_WIDTH: Final = 160


class Command(BaseCommand):
    help = "Show the queues. Exit codes: 0 shown, 6 Redis or the database does not answer."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--watch", action="store_true", help="refresh until Ctrl-C")
        parser.add_argument(
            "--interval", type=float, default=1.0, metavar="SECONDS", help="seconds between refreshes (1)"
        )
        parser.add_argument("--json", action="store_true", help="print JSON, one line per refresh")

    def handle(self, *args: Any, watch: bool, interval: float, json: bool, **options: Any) -> None:
        if interval <= 0:
            raise CommandError(f"--interval is {interval:g}: give more than 0 seconds.", returncode=2)
        try:
            if json:
                self._print_json(watch=watch, interval=interval)
            elif watch:
                self._watch(interval=interval)
            else:
                Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH).print(_draw())
        except LongtasksError as error:
            raise CommandError(str(error), returncode=UNAVAILABLE) from error
        except KeyboardInterrupt:
            return

    def _print_json(self, *, watch: bool, interval: float) -> None:
        while True:
            views = queue_overview.list_queues()
            line: dict[str, Any] = {"queues": [queue_data(view) for view in views]}
            if any(view.is_redis_alone for view in views):
                line["source"] = "redis"
            self.stdout.write(to_json(line).decode())
            self.stdout.flush()
            if not watch:
                return
            time.sleep(interval)

    def _watch(self, *, interval: float) -> None:
        with Live(_draw(), console=Console(file=sys.stdout), auto_refresh=False) as live:
            while True:
                time.sleep(interval)
                try:
                    live.update(_draw(), refresh=True)
                except LongtasksError as error:
                    live.update(f"{error}", refresh=True)


def _draw() -> Group:
    views = queue_overview.list_queues()
    with redis_connection.mapped_errors():
        lag_seconds = mirror_lag.get_lag_seconds(redis_connection.get_connection())
    table = Table("queue", "waiting", "running", "scheduled", "oldest wait", "ended/s", "workers", "", box=None)
    for column in table.columns[1:7]:
        column.justify = "right"
    for view in views:
        table.add_row(
            view.name,
            f"{view.depth:,}",
            f"{view.started:,}",
            f"{view.scheduled:,}",
            "" if view.oldest_wait_seconds is None else f"{view.oldest_wait_seconds:.1f} s",
            f"{view.ended_per_second:,.1f}",
            str(len(view.workers)),
            _pause(view),
        )
    workers = Table("worker", "state", "task", "rows", "last sign", box=None)
    for worker in sorted({worker.name: worker for view in views for worker in view.workers}.values(), key=str):
        sign = f"{worker.beaten_at:%H:%M:%S} UTC" if worker.beaten_at else "?"
        workers.add_row(worker.name, worker.state, worker.task_id, f"{worker.rows:,}", sign)
    last = [f"mirror: {lag_seconds:.1f} s behind"]
    if any(view.is_redis_alone for view in views):
        last.append("The database does not answer: the reason of a paused queue is unknown.")
    return Group(table, "", workers, "", *last)


def _pause(view: QueueView) -> str:
    words = ["suspended by `rq suspend`"] if view.is_suspended else []
    if view.paused_at is not None:
        words.append(f"paused by {view.paused_by or '?'}" + (f": {view.reason}" if view.reason else ""))
    return "; ".join(words)
