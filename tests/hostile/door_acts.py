"""Door: what task types do to their connection and their process. After each act, canaries check for traces."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from loadtests.started.servers import IS_EMBEDDED
from longtasks.local_stack.child_process import wait_until
from tests.chaos.faults import list_workers
from tests.hostile.odd_tasks import EITHER, FAILS, FINISHES, Ends, OddTask, OddTasks
from tests.hostile.world import World

DOOR = "task acts"
ROWS = 3
SETTLED_SECONDS = 6.0
_EXACT = Ends(frozenset({"finished"}), rows=ROWS)
_EXACT_OR_FAILED = Ends(frozenset({"finished", "failed"}))

# Acts that end the engine's transaction: a failed attempt that leaves nothing.
_ENDS_TRANSACTION = [
    "commit",
    "rollback",
    "close",
    "driver_commit",
    "driver_rollback",
    "driver_close",
    "autocommit",
    "raw_commit",
    "raw_rollback",
    "raw_rollback_comment",
    "raw_commit_begin",
    "set_rollback",
]
_ENDS_TRANSACTION_ON_MYSQL = ["raw_begin", "raw_autocommit", "ddl", "truncate", "lock_tables"]
_HARMLESS = ["nothing", "swallow_duplicate_key", "savepoint_left", "cursor_left_open", "connection_in_thread"]
_UNCLEAR = ["swallow_duplicate_key_bare", "swallow_wrong_statement", "open_atomic"]
_SESSION_ON_MYSQL = [
    "user_lock",
    "sql_mode",
    "isolation",
    "session_time_zone",
    "foreign_keys_off",
    "read_only",
    "names",
    "lock_wait",
    "other_database",
    "temporary_table",
]
_PROCESS = [
    "handlers",
    "alarm",
    "raise_by_alarm",
    "directory",
    "environment",
    "threads",
    "children",
    "killed_child",
    "standard_files",
    "streams",
    "umask",
    "locale",
    "log_long",
    "logging_off",
    "python",
    "trace",
    "path",
]
_DEADLY = ["segfault", "exit_0", "exit_3", "sigkill", "sigterm", "sigabrt", "fork_returns"]


def run(world: World, *, times: int, canaries: int) -> int:
    """Do each act `times` times, followed by `canaries` canaries; return the number of values."""
    acts: list[tuple[str, Ends]] = [(name, _fails(name)) for name in _ENDS_TRANSACTION]
    acts += [(name, _EXACT) for name in _HARMLESS] + [(name, _EXACT_OR_FAILED) for name in _UNCLEAR]
    if IS_EMBEDDED:
        acts += [("raw_begin", FAILS), ("ddl", EITHER), ("pragma", EITHER)]
    else:
        acts += [(name, FAILS) for name in _ENDS_TRANSACTION_ON_MYSQL]
        acts += [(name, EITHER) for name in _SESSION_ON_MYSQL] + [("kill_own_connection", Ends(may_wait=True))]
    acts += [(name, EITHER) for name in _PROCESS]
    runs = OddTasks(world.stack, world.tally, DOOR)
    for _ in range(times):
        for name, ends in acts:
            runs.run([_act(name, ends)], end_seconds=10 if ends.may_wait else 20)
            runs.run([OddTask("odd_canary", None, FINISHES)] * canaries, end_seconds=20)
    return times * len(acts) * (1 + canaries)


def run_slow(world: World, *, seconds: float) -> None:
    """Run chunks that take longer than the lease, one at a time, because the others need the second worker."""
    runs = OddTasks(world.stack, world.tally, DOOR)
    slow = [
        _act("sleep", _EXACT, seconds),
        _act("sleep_in_database", _EXACT, seconds),
        OddTask("odd_impatient", 4, Ends(words=("1",))),
    ]
    for task in slow:
        runs.run([task], end_seconds=6 * seconds + 20)


def run_deadly(world: World, *, is_quick: bool) -> None:
    """Run tasks that kill their worker: the task fails in the end, and the next worker continues.

    Workers that die one after the other restart with growing pauses, during which the ordinary tasks wait: a run that
    is not quick waits between two acts until the new workers count as stable.
    """
    runs = OddTasks(world.stack, world.tally, DOOR)
    ends = Ends(frozenset({"failed", "finished"}), may_die=True)
    with world.watch.expecting("worker"):
        for name in _DEADLY:
            runs.run([_act(name, ends)], end_seconds=45)
            if not is_quick:
                wait_until(lambda: _count_settled(world) >= 2, deadline_seconds=30, pause_seconds=0.2)


def _count_settled(world: World) -> int:
    """Count the workers that have lived long enough to be restarted at once."""
    now = time.time()
    ages = []
    for pid in list_workers(world.stack).values():
        with contextlib.suppress(OSError):
            ages.append(now - Path(f"/proc/{pid}").stat().st_ctime)
    return sum(age > SETTLED_SECONDS for age in ages)


def _fails(name: str) -> Ends:
    """Return how an act that ends the transaction must end. Methods of sqlite3's connection can only be detected."""
    return Ends(may_leave_rows=IS_EMBEDDED and name.startswith("driver_"))


def _act(name: str, ends: Ends, *arguments: Any) -> OddTask:
    return OddTask("odd_act", [name, *arguments], ends)
