"""One rolling deploy: the roles are replaced one after the other under load, as `reload` does, then judged.

Owns the sequence, and what counts as lost, duplicated, failed or late.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from loadtests.started.stack import ProcfileStack
from tests.chaos.oracle import Oracle, Verdict
from tests.deploys.load import OpenLoad, Sent

ROLES = ("web", "worker", "mirror")
CALM_SECONDS = 2.0  # of load before, between and after
UNDISTURBED_SECONDS = 10.0  # of load without a deploy, for comparison
REPLACE_SECONDS = 120.0
END_SECONDS = 120.0
# An answer is late a second after its request was due, a task is late if it starts more than three seconds after it
# was accepted: a deploy may cost moments, never a timeout or a lease.
LATE_ANSWER_SECONDS = 1.0
LATE_START_SECONDS = 3.0


@dataclass(slots=True)
class Outcome:
    """The effects of one rolling deploy on the load."""

    order: Sequence[str]
    rate: float
    seconds: float
    accepted: int
    records: int  # tasks in the database
    sent: list[Sent]
    starts: list[float]  # seconds from acceptance to the first start
    verdict: Verdict
    faults: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        return [sent.fault for sent in self.sent if sent.fault]

    @property
    def doubled(self) -> int:
        """Return the rows written twice, and the tasks without an answer although each request was answered."""
        return len(self.verdict.duplicated) + (0 if self.failed else max(0, self.records - self.accepted))

    @property
    def late_answers(self) -> int:
        return sum(sent.seconds > LATE_ANSWER_SECONDS for sent in self.sent)

    @property
    def late_starts(self) -> int:
        return sum(seconds > LATE_START_SECONDS for seconds in self.starts)

    @property
    def is_late(self) -> bool:
        return bool(self.late_answers or self.late_starts)

    @property
    def is_whole(self) -> bool:
        """Nothing was lost, duplicated or failed. Lateness depends on the machine and does not count."""
        return bool(self.accepted) and self.verdict.is_well and not self.failed and not self.doubled

    def describe(self) -> str:
        """Return the faults, some of each kind."""
        verdict = self.verdict
        wrong = [*verdict.lost, *verdict.duplicated, *verdict.disagreeing, *verdict.leftovers]
        return "\n".join([*sorted(set(self.failed))[:5], *wrong[:10]])


def deploy(stack: ProcfileStack, *, order: Sequence[str], rate: float) -> Outcome:
    """Replace the roles in this order under a load of `rate` POSTs a second, and judge each task.

    An empty order replaces nothing, for comparison.
    """
    oracle = Oracle(stack)
    [(before,)] = stack.sql("SELECT COUNT(*) FROM tasks_app_taskrecord")
    began = time.monotonic()
    with OpenLoad(port=stack.port, rate=rate) as load:
        time.sleep(CALM_SECONDS if order else UNDISTURBED_SECONDS)
        for role in order:
            replace(stack, role)
            time.sleep(CALM_SECONDS)
    seconds = time.monotonic() - began
    accepted = list(load.accepted)
    deadline = time.monotonic() + END_SECONDS
    while oracle.list_open(accepted) and time.monotonic() < deadline:
        time.sleep(0.25)
    verdict = oracle.judge(accepted)
    verdict.leftovers += oracle.find_leftovers()
    rows = stack.sql("SELECT created_at, started_at FROM tasks_app_taskrecord ORDER BY id")[before:]
    starts = [_seconds_between(created, started) for created, started in rows if started is not None]
    return Outcome(order, rate, seconds, len(accepted), len(rows), load.sent, starts, verdict)


def replace(stack: ProcfileStack, role: str) -> None:
    """Send SIGHUP to one role, as `manage.py reload` does; return when its old processes have ended."""
    parent, old = stack.parent_pid(role), set(stack.child_pids(role))
    image = _image(parent)
    stack.hang_up(role)
    if role == "mirror":  # the same process executes the new code
        stack.wait_for(lambda: _image(parent) != image, deadline_seconds=REPLACE_SECONDS, what="the mirror is new")
        return
    assert old, f"{role} has no processes to replace"
    stack.wait_for(
        lambda: not old & set(stack.child_pids(role)), deadline_seconds=REPLACE_SECONDS, what=f"{role} is new"
    )
    assert stack.parent_pid(role) == parent
    assert stack.is_running(role), stack.log_tail(role)


def to_table(outcomes: Iterable[Outcome]) -> str:
    """Return one line for each order."""
    head = (
        "order",
        "seconds",
        "tasks",
        "lost",
        "doubled",
        "failed",
        "late answers",
        "p99",
        "latest",
        "late starts",
        "p99",
        "latest",
    )
    widths = (-24, 8, 8, 6, 9, 8, 14, 8, 8, 13, 8, 8)
    lines = [
        (
            f"late: an answer {LATE_ANSWER_SECONDS:g} s after its request was due; "
            f"a start {LATE_START_SECONDS:g} s after the task was accepted"
        ),
        _to_line(head, widths),
    ]
    for each in outcomes:
        answers = [sent.seconds for sent in each.sent]
        lost = len(each.verdict.lost) + len(each.verdict.disagreeing) + len(each.verdict.leftovers)
        values = (
            ", ".join(each.order) or "nothing replaced",
            f"{each.seconds:.0f}",
            each.accepted,
            lost,
            each.doubled,
            len(each.failed),
            each.late_answers,
            *(f"{seconds:.3f}" for seconds in (_p99(answers), max(answers, default=0))),
            each.late_starts,
            *(f"{seconds:.3f}" for seconds in (_p99(each.starts), max(each.starts, default=0))),
        )
        lines.append(_to_line(values, widths))
    return "\n".join(lines)


def _to_line(values: Sequence[object], widths: Sequence[int]) -> str:
    """Return the values in columns; a negative width aligns to the left."""
    return "".join(
        f"{value!s:<{-width}}" if width < 0 else f"{value!s:>{width}}"
        for value, width in zip(values, widths, strict=True)
    )


def _image(pid: int) -> str:
    """Return the address of the process's program, which changes with each exec."""
    return Path(f"/proc/{pid}/maps").read_text().partition("-")[0]


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)] if values else 0.0


def _seconds_between(first: object, second: object) -> float:
    return (_to_time(second) - _to_time(first)).total_seconds()


def _to_time(value: object) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))  # SQLite holds text
