"""Watches a run from outside: the CPU of each role from /proc, backlog and mirror lag from Redis. Must not: change it."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from loadtests.bench.figures import percentile
from tasks_app.domain import stream_ids
from tasks_app.queues import snapshot_stream

PARKED_KEY = "longtasks:parked"  # as in tasks_app/queues/parked_tasks.py, which needs Django's settings
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return user and system time of living processes, all threads included."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_SECOND


class CpuWatch:
    """`with CpuWatch(roles) as watch:`; afterwards `watch.seconds` and `watch.shares` (1.0 is one core) by role."""

    def __init__(self, roles: Mapping[str, Callable[[], Iterable[int]]]) -> None:
        self._pids = {role: list(find()) for role, find in roles.items()}
        self.seconds: dict[str, float] = {}
        self.elapsed_seconds = 0.0

    @property
    def shares(self) -> dict[str, float]:
        return {role: round(seconds / self.elapsed_seconds, 4) for role, seconds in self.seconds.items()}

    def __enter__(self) -> "CpuWatch":
        self._before = {role: cpu_seconds(pids) for role, pids in self._pids.items()}
        self._started = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.elapsed_seconds = time.monotonic() - self._started
        self.seconds = {role: cpu_seconds(pids) - self._before[role] for role, pids in self._pids.items()}


class QueueWatch:
    """`with QueueWatch(redis) as watch:` reads the backlog and the mirror's lag twenty times a second."""

    def __init__(self, connection: Any, *, every_seconds: float = 0.05) -> None:
        self._redis = connection
        self._every_seconds = every_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._failure: Exception | None = None
        self.backlog: list[tuple[float, float]] = []  # seconds since the start; tasks that wait, run or are parked
        self.lag_ms: list[float] = []

    def __enter__(self) -> "QueueWatch":
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._failure and error is None:
            raise self._failure

    def lag_figures(self) -> dict[str, float | None]:
        return {
            "lag_median_ms": percentile(self.lag_ms, 0.5),
            "lag_p99_ms": percentile(self.lag_ms, 0.99),
            "lag_max_ms": max(self.lag_ms, default=None),
        }

    def _look(self) -> None:
        try:
            while not self._ended.wait(self._every_seconds):
                waiting, running, oldest, (seconds, microseconds) = self._ask()
                self.backlog.append((time.monotonic() - self._started, waiting + running))
                written_at = stream_ids.get_time_of(oldest[0][0].decode()).timestamp() if oldest else None
                lag = seconds + microseconds / 1e6 - written_at if written_at is not None else 0.0
                self.lag_ms.append(max(0.0, lag * 1000))
        except Exception as failure:
            self._failure = failure

    def _ask(self) -> Any:
        pipeline = self._redis.pipeline(transaction=False)
        for name in ("high", "low"):
            pipeline.llen(f"rq:queue:{name}")
            pipeline.zcard(f"rq:wip:{name}")
        pipeline.xrange(snapshot_stream.STREAM_KEY, count=1)
        pipeline.time()
        pipeline.smembers(PARKED_KEY)
        high, high_running, low, low_running, oldest, now, parked = pipeline.execute()
        lists = (f"{PARKED_KEY}:{name.decode()}" for name in parked)
        return high + low + sum(map(self._redis.llen, lists)), high_running + low_running, oldest, now
