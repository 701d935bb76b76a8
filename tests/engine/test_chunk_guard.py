"""tasks_app/engine/chunk_guard.py: a chunk is atomic, whatever a task type does to its connection or raises."""

import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError, connection, connections

from catalog.models import User
from loadtests.started.servers import IS_EMBEDDED
from tasks_app.task_types import get_task_type
from tests.support.engine import Worker, checkpoint, job, positions, record, rescue, start
from tests.support.rude_types import ERRORS, MISUSES, MYSQL_MISUSES, CarefulTask, CarelessTask, RudeTask

mysql_only = pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has no such statement, method or error")


def _assert_told_in_words(act: str, word: str) -> None:
    task_id = start("rude", records=10, act=act)

    Worker().run()

    row = checkpoint(task_id)
    assert (row.outcome, row.failures, row.done) == ("", 1, 0)
    assert positions(task_id) == []
    assert word in row.error
    assert job(task_id).status == "scheduled"
    assert record(task_id).counts == {"users": 0}
    # The connection is usable for the next task.
    other = start("slow", records=2)
    Worker().run()
    assert positions(other) == [0, 1]
    assert not connection.in_atomic_block
    assert connection.get_autocommit()


@pytest.mark.parametrize("act", MISUSES)
def test_task_code_that_ends_the_transaction_is_a_failed_attempt_with_its_cause(act: str) -> None:
    _assert_told_in_words(act, MISUSES[act][1])


@mysql_only
@pytest.mark.parametrize("act", MYSQL_MISUSES)
def test_mysql_statements_that_end_the_transaction_are_a_failed_attempt_with_their_cause(act: str) -> None:
    _assert_told_in_words(act, MYSQL_MISUSES[act][1])


@pytest.mark.parametrize("act", ERRORS)
def test_any_exception_of_task_code_is_a_failed_attempt_of_its_task(act: str) -> None:
    _assert_told_in_words(act, ERRORS[act][1])


@mysql_only
def test_a_commit_below_django_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP PROCEDURE IF EXISTS commits")
        cursor.execute("CREATE PROCEDURE commits() COMMIT")

    def call() -> None:
        with connection.cursor() as cursor:
            cursor.execute("CALL commits()")

    monkeypatch.setitem(MISUSES, "procedure", (call, ""))
    task_id = start("rude", records=10, act="procedure")
    Worker().run()

    row = checkpoint(task_id)
    assert (row.failures, row.done) == (1, 0)
    assert "was ended in its middle" in row.error


@pytest.mark.parametrize("name", ["careless", "careful"])
@pytest.mark.parametrize("code", [1213, 1205, 1020, 2006, 2013, 1114])
def test_an_error_that_rolled_back_cannot_be_swallowed(name: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is raised by the connection, as a real one is; the next test provokes a real one."""
    task_type = get_task_type(name)
    assert isinstance(task_type, CarelessTask)
    met = []

    def fail_once(position: int) -> None:
        if position == 5 and not met:
            met.append(position)
            with connection.execute_wrapper(lambda *args: (_ for _ in ()).throw(OperationalError(code, "rolled back"))):
                User.objects.exists()

    monkeypatch.setattr(type(task_type), "before_row", staticmethod(fail_once))
    task_id = start(name, records=40)
    Worker().run()

    row = checkpoint(task_id)
    assert met
    assert (row.outcome, row.failures, row.counts) == ("finished", 0, {"users": 40})
    assert positions(task_id) == list(range(40))


@mysql_only
@pytest.mark.parametrize("name", ["careless", "careful"])
def test_a_real_deadlock_costs_no_attempt_and_no_row(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other session has changed more rows, so InnoDB chooses the chunk as its victim."""
    task_type = get_task_type(name)
    assert isinstance(task_type, CarelessTask)
    filler = start("slow", records=30)
    Worker().run()
    locked, came = threading.Event(), threading.Event()
    met: list[int] = []

    def other_session() -> None:
        try:
            with connections["default"].cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("UPDATE users SET city = 'x' WHERE task_id = %s", [filler.replace("-", "")])
                locked.set()
                came.wait(10)
                cursor.execute("UPDATE users SET city = 'y' WHERE task_id = %s", [task_id.replace("-", "")])
                cursor.execute("ROLLBACK")
        finally:
            connections.close_all()

    def cross(position: int) -> None:
        if position == 5 and not met:
            met.append(position)
            locked.wait(10)
            came.set()
            with connection.cursor() as cursor:
                cursor.execute("UPDATE users SET city = 'z' WHERE task_id = %s", [filler.replace("-", "")])

    monkeypatch.setattr(type(task_type), "before_row", staticmethod(cross))
    task_id = start(name, records=20)
    thread = threading.Thread(target=other_session)
    thread.start()
    Worker().run()
    thread.join(20)

    row = checkpoint(task_id)
    assert met
    assert (row.outcome, row.failures, row.counts) == ("finished", 0, {"users": 20})
    assert positions(task_id) == list(range(20))


def test_a_changed_session_is_replaced_before_the_next_task() -> None:
    worker = Worker()
    User.objects.exists()
    before = connection.connection
    statement = "PRAGMA cache_size = 100" if connection.vendor == "sqlite" else "SET SESSION sql_mode = ''"
    MISUSES["session"] = (lambda: _run(statement), "")
    try:
        start("rude", records=10, act="session")
        worker.run()
    finally:
        MISUSES.pop("session")
    assert before is not None
    assert connection.connection is not before


def _run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_zero_counts_remain_after_a_failure(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=1)
    task_id = start("rude", records=10, act="exit 0")
    Worker().run()
    rescue()
    assert job(task_id).counts == record(task_id).counts == {"users": 0}
    assert job(task_id).status == "failed"


def test_an_unknown_total_is_set_at_the_end() -> None:
    task_id = start("unknown_total", records=4)
    Worker().run()
    assert (job(task_id).total, record(task_id).total) == (4, 4)


def test_the_rude_types_are_registered() -> None:
    assert isinstance(get_task_type("rude"), RudeTask)
    assert isinstance(get_task_type("careful"), CarefulTask)
