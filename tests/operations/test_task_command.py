"""`manage.py task`, `queues` and `queue` as scripts use them: arguments, JSON and exit codes, on real processes."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import call_command

from loadtests.started.stack import TABLES, ProcfileStack
from settings.env import ROOT
from tasks_app.models import TaskRecord
from tests.conftest import MakeStack

NOBODY = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"


def test_start_wait_reports_the_end_and_verify_counts_the_rows(stack: ProcfileStack) -> None:
    done = stack.run_manage("task", "start", "upload", "--records", "321", "--priority", "high", "--wait", "--json")
    assert done.returncode == 0, done.stdout
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["status"] == "finished"
    assert lines[-1]["insertedRecords"] == dict.fromkeys(TABLES, 321)
    task_id = lines[-1]["id"]
    stack.wait_for_record(task_id)

    verdict = json.loads(stack.manage("task", "verify", task_id, "--json"))
    assert verdict["verdict"] == "equal"
    assert verdict["rows"] == verdict["checkpoint"] == verdict["record"] == dict.fromkeys(TABLES, 321)
    assert "321 users" in stack.manage("task", "status", task_id)
    assert json.loads(stack.manage("task", "status", task_id, "--json")) == stack.task(task_id)
    listed = json.loads(stack.manage("task", "list", "--name", "upload", "--priority", "high", "--json"))["tasks"]
    assert task_id in [task["id"] for task in listed]
    assert task_id in stack.manage("task", "list", "--limit", "500")


def test_a_failed_attempt_is_shown_with_its_traceback(transactional_db: None) -> None:
    now = datetime.now(UTC)
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1, in run\nValueError: no\x1b[2J such file'
    TaskRecord.objects.create(id=NOBODY, name="upload", status="failed", error=trace, created_at=now, updated_at=now)
    said = StringIO()
    call_command("task", "status", NOBODY, stdout=said)
    assert '  Traceback (most recent call last):\n    File "a.py", line 1, in run\n' in said.getvalue()
    assert r"  ValueError: no\x1b[2J such file" in said.getvalue()

    said = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("task", "status", NOBODY, "--watch", stdout=said)
    assert ended.value.code == 3
    assert "line 1, in run" in said.getvalue()


def test_verify_names_a_missing_and_an_extra_row(stack: ProcfileStack) -> None:
    lost = stack.start_upload(records=20)
    double = stack.start_upload(records=20)
    for task_id in (lost, double):
        stack.wait_for_end(task_id, deadline_seconds=30)
        stack.wait_for_record(task_id)
    stack.sql("DELETE FROM order_items WHERE task_id = %s AND position = 3", lost.replace("-", ""))
    stack.sql(
        "INSERT INTO users SELECT id + 5000000000, task_id, position, first_name, last_name, email, phone, city,"
        " birth_date, created_at FROM users WHERE task_id = %s AND position = 3",
        double.replace("-", ""),
    )

    one = stack.run_manage("task", "verify", lost)
    assert (one.returncode, "order_items: the checkpoint says 20, the tables 19" in one.stdout) == (7, True), one.stdout
    everything = stack.run_manage("task", "verify", "--all")
    assert everything.returncode == 7
    assert f"{double} upload finished: users: the checkpoint says 20, the tables 21" in everything.stdout
    assert "2 different" in everything.stdout

    stack.sql("DELETE FROM users WHERE id > 5000000000")
    stack.sql("DELETE FROM order_items WHERE task_id = %s", lost.replace("-", ""))
    purge = stack.manage("task", "start", "purge", "--params", json.dumps({"taskId": lost}), "--wait", "--json")
    purged = json.loads(purge.splitlines()[-1])
    assert purged["status"] == "finished"
    stack.wait_for_record(purged["id"])
    after = stack.run_manage("task", "verify", lost)
    assert (after.returncode, "purged" in after.stdout) == (0, True), after.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("start", "nothing"), 2, "Unknown task type 'nothing'"),
        (("start", "upload", "--records", "0"), 2, "numRecords"),
        (("start", "upload", "--params", '{"speed": 1}'), 2, "speed"),
        (("start", "upload", "--params", "[1]"), 2, "is not a JSON object"),
        (("status", NOBODY), 4, "There is no task"),
        (("cancel", "x"), 4, "There is no task"),
        (("verify", NOBODY), 4, "There is no task"),
        (("list", "--limit", "0"), 2, "give 1 or more"),
    ],
)
def test_exit_codes(stack: ProcfileStack, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = stack.run_manage("task", *arguments)
    assert (result.returncode, words in result.stdout) == (code, True), result.stdout


def test_a_finished_task_can_neither_be_canceled_nor_retried(stack: ProcfileStack) -> None:
    task_id = stack.start_upload(records=1)
    stack.wait_for_end(task_id, deadline_seconds=30)
    for ask in ("cancel", "retry"):
        result = stack.run_manage("task", ask, task_id)
        assert (result.returncode, "is finished" in result.stdout) == (5, True), result.stdout


def test_cancel_retry_and_a_paused_queue(make_stack: MakeStack) -> None:
    stack = make_stack(workers=1)
    assert "paused" in stack.manage("queue", "pause", "low", "--reason", "stock taking")
    queues = {each["name"]: each for each in json.loads(stack.manage("queues", "--json"))["queues"]}
    assert queues["low"]["reason"] == "stock taking"
    assert queues["low"]["pausedAt"]
    assert "paused by" in stack.manage("queues")
    task_id = json.loads(stack.manage("task", "start", "upload", "--json"))["id"]
    assert json.loads(stack.manage("task", "cancel", task_id, "--json"))["status"] == "canceled"
    watched = stack.run_manage("task", "status", task_id, "--watch")
    assert (watched.returncode, "canceled" in watched.stdout) == (3, True), watched.stdout
    stack.manage("task", "retry", task_id)
    stack.manage("queue", "resume", "low")
    assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished"
    assert stack.run_manage("queue", "pause", "middle").returncode == 2
    # Every request of a person is in the audit.
    actions = [row[0] for row in stack.sql("SELECT action FROM tasks_app_auditentry ORDER BY id")]
    assert actions == ["pause", "start", "cancel", "retry", "resume"]


def test_an_unavailable_store_has_its_own_exit_code(stack: ProcfileStack) -> None:
    without_redis = {"REDIS_URL": "redis://127.0.0.1:1/0"}
    stack.environment, kept = stack.environment | without_redis, stack.environment
    try:
        results = [stack.run_manage(*words) for words in (("task", "start", "upload"), ("queues",))]
    finally:
        stack.environment = kept
    for result in results:
        assert (result.returncode, "does not answer" in result.stdout) == (6, True), result.stdout


def run_on_terminal(
    stack: ProcfileStack, *arguments: str, until: Callable[[str], bool] | None = None
) -> tuple[int, str]:
    """Return what a person sees; with `until`, press Ctrl-C as soon as it is true."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        env=stack.environment | {"TERM": "xterm", "COLUMNS": "140"}, cwd=ROOT, stdin=slave, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    shown = b""
    try:
        while True:
            try:
                read = os.read(master, 65536)
            except OSError:  # the other end of the terminal is closed
                break
            if not read:
                break
            shown += read
            if until is not None and until(shown.decode(errors="replace")):
                process.send_signal(signal.SIGINT)
                until = None
        return process.wait(timeout=60), shown.decode(errors="replace")
    finally:
        process.kill()
        os.close(master)


def test_on_a_terminal_a_bar_shows_the_progress(stack: ProcfileStack) -> None:
    code, shown = run_on_terminal(stack, "task", "start", "upload", "--records", "20000", "--wait")
    assert code == 0, shown
    assert "━" in shown
    assert "20000/20000" in shown
    assert "20,000 users" in shown


def test_queues_are_watched_until_ctrl_c(stack: ProcfileStack) -> None:
    code, shown = run_on_terminal(
        stack, "queues", "--watch", "--interval", "0.2", until=lambda text: text.count("low") > 2
    )
    assert code == 0, shown
    assert "mirror: " in shown


def test_ctrl_c_ends_the_watch_and_not_the_task(stack: ProcfileStack) -> None:
    task_id = stack.start_upload(records=300_000)
    code, shown = run_on_terminal(stack, "task", "status", task_id, "--watch", until=lambda text: "started" in text)
    assert code == 130, shown
    assert stack.task(task_id)["status"] in ("queued", "started")
    stack.post(f"/tasks/{task_id}/cancel")
    stack.wait_for_end(task_id, deadline_seconds=30)
