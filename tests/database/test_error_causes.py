"""The cause of a database error: one of the statement is a failed attempt, any other is transient.

A trigger raises each error by its number when a chunk writes, so server and driver report it as in production.
"""

from collections.abc import Callable, Generator

import pytest
from django.db import OperationalError, connection

from loadtests.started.servers import IS_EMBEDDED
from tasks_app.database.error_causes import is_database_error, is_lost_connection
from tasks_app.engine import chunk_attempts
from tasks_app.engine.interruption import Interruption
from tasks_app.services import change_tasks
from tests.support.engine import Worker, _database, checkpoint, history, job, longtasks, positions, start, waiting  # noqa: F401 (fixtures)

mysql_only = pytest.mark.skipif(IS_EMBEDDED, reason="the numbers are MySQL's and MariaDB's")

# Disk full, quota, connections, deadlock, lock wait, killed or timed-out statement, read-only, password, and an
# unknown one.
WAITED_FOR = (
    1021,
    1114,
    1037,
    1040,
    1203,
    1226,
    1205,
    1213,
    1020,
    1317,
    1969,
    3024,
    1290,
    1836,
    1045,
    1927,
    1999,
)
THE_TASKS = (1054, 1064, 1062, 1048, 1142, 1146, 1153, 1264, 1292, 1364, 1366, 1406, 1452, 1644, 3819, 4025)


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def refuse() -> Generator[Callable[[int], None], None, None]:
    """`refuse(1114)`: every insert into users fails with that number, until `refuse(0)`."""

    def change(code: int) -> None:
        _execute("DROP TRIGGER IF EXISTS refuses")
        if code:
            _execute(
                "CREATE TRIGGER refuses BEFORE INSERT ON users FOR EACH ROW"
                f" SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = 'as if read-only'"
            )

    yield change
    change(0)


@mysql_only
@pytest.mark.parametrize("name", ["slow", "small"])
@pytest.mark.parametrize("code", WAITED_FOR)
def test_a_transient_database_error_costs_no_attempt(code: int, name: str, refuse: Callable[[int], None]) -> None:
    task_id = start(name, records=2)
    worker, seen = Worker(), []

    def mend() -> None:
        seen.append(job(task_id).error or "")
        if len(seen) >= 4:
            refuse(0)

    refuse(code)
    worker.on_check = mend
    worker.run()

    row = checkpoint(task_id)
    assert (row.outcome, row.failures, row.error) == ("finished", 0, "")
    assert positions(task_id) == [0, 1]
    assert any("Waiting for the database: try 3" in error and "as if" in error for error in seen)
    assert job(task_id).error is None
    assert history(task_id)[-1] == ("finished", "end")


@mysql_only
@pytest.mark.parametrize("code", THE_TASKS)
def test_an_error_of_the_statement_is_a_failed_attempt(code: int, refuse: Callable[[int], None]) -> None:
    task_id = start("slow", records=2)
    refuse(code)
    Worker().run()

    row = checkpoint(task_id)
    assert (row.outcome, row.failures) == ("", 1)
    assert "as if" in row.error
    assert job(task_id).status == "scheduled"


@mysql_only
@pytest.mark.parametrize(
    ("interruption", "status"),
    [(Interruption.STOP, "queued"), (Interruption.PREEMPT, "queued"), (Interruption.ABORT, "stopped")],
)
def test_a_task_is_preempted_between_two_tries(
    interruption: Interruption, status: str, refuse: Callable[[int], None]
) -> None:
    task_id = start("slow", records=2)
    refuse(1114)
    worker = Worker()
    worker.interruption = interruption
    worker.run()

    assert job(task_id).status == status
    assert checkpoint(task_id).failures == 0
    assert waiting() == ([task_id] if status == "queued" else [])


@mysql_only
def test_a_task_is_canceled_between_two_tries(refuse: Callable[[int], None]) -> None:
    task_id = start("slow", records=2)
    refuse(1114)
    worker = Worker()
    worker.on_check = lambda: change_tasks.cancel_task(task_id=task_id)
    worker.run()

    assert checkpoint(task_id).outcome == job(task_id).status == "canceled"


@mysql_only
def test_too_many_tries_are_a_failed_attempt(refuse: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_attempts, "get_patience_seconds", lambda error: 0.2)
    task_id = start("slow", records=2)
    refuse(1999)
    Worker().run()

    row = checkpoint(task_id)
    assert (row.outcome, row.failures) == ("", 1)
    assert "The database answered other statements meanwhile" in row.error
    assert "as if" in row.error


@pytest.mark.parametrize("code", [2002, 2003, 2005, 2006, 2012, 2013, 2026])
def test_connection_errors_of_the_driver_are_transient(code: int) -> None:
    assert is_database_error(OperationalError(code, "away"))
    assert is_lost_connection(OperationalError(code, "away"))


@pytest.mark.skipif(not IS_EMBEDDED, reason="SQLite's own")
def test_a_full_disk_is_transient_on_sqlite_and_a_wrong_statement_is_not() -> None:
    task_id = start("slow", records=2000)
    worker, tries = Worker(), []

    def fill_and_mend() -> None:
        tries.append(job(task_id).error)
        with connection.cursor() as cursor:
            if len(tries) == 1:
                cursor.execute("PRAGMA max_page_count = 1")  # SQLite limits the database to its present pages
            elif any("disk is full" in (error or "") for error in tries):
                cursor.execute("PRAGMA max_page_count = 1000000")

    worker.on_check = fill_and_mend
    worker.run()

    assert checkpoint(task_id).outcome == "finished"
    assert checkpoint(task_id).failures == 0
    assert any("disk is full" in (error or "") for error in tries)
    with pytest.raises(OperationalError) as wrong, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM nowhere")
    assert not is_database_error(wrong.value)
