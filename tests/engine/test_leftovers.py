"""tasks_app/engine/leftovers.py: connections that a task leaves are closed; its threads make the worker retire."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from tasks_app.engine.leftovers import ProcessState
from tests.engine.clean_process import _as_before  # noqa: F401 (fixture)
from tests.support import litter_types
from tests.support.engine import Worker, checkpoint, start, waiting


def test_a_task_that_leaves_nothing_logs_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    leftovers = ProcessState().restore()
    assert leftovers.found == ()
    assert not leftovers.must_retire
    assert not caplog.records


def test_a_non_daemon_thread_makes_the_worker_retire_and_is_named() -> None:
    state = ProcessState()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="forgotten")
    thread.start()
    try:
        leftovers = state.restore()
    finally:
        stop.set()
        thread.join()
    assert leftovers.must_retire
    assert "forgotten" in leftovers.found[0]


def test_a_daemon_thread_in_task_code_makes_the_worker_retire() -> None:
    stop = threading.Event()

    def code_of_the_task() -> None:
        stop.wait()

    state = ProcessState()
    thread = threading.Thread(target=code_of_the_task, name="background", daemon=True)
    thread.start()
    try:
        leftovers = state.restore()
    finally:
        stop.set()
        thread.join()
    assert leftovers.must_retire
    assert "background (daemon)" in leftovers.found[0]


def test_older_threads_library_daemons_and_idle_pools_are_ignored() -> None:
    stop = threading.Event()
    before = threading.Thread(target=stop.wait)
    before.start()
    state = ProcessState()
    library = threading.Thread(target=stop.wait, daemon=True)
    library.start()
    pool = ThreadPoolExecutor(max_workers=2)
    try:
        pool.submit(int).result()
        leftovers = state.restore()
        assert leftovers.found == ()
        busy = threading.Event()
        pool.submit(lambda: (busy.set(), stop.wait()))
        assert busy.wait(10)
        assert state.restore().must_retire
    finally:
        stop.set()
        pool.shutdown()
        library.join()
        before.join()


def test_a_thread_that_ends_within_the_grace_period_is_ignored() -> None:
    state = ProcessState()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    timer = threading.Timer(0.03, stop.set)
    timer.daemon = True
    timer.start()
    assert not state.restore().must_retire
    thread.join()
    timer.join()


def test_another_databases_connection_is_closed() -> None:
    connections.databases["other"] = {**connections.databases["default"]}
    try:
        state = ProcessState()
        connections["other"].connect()  # the only way that Django's test case allows
        leftovers = state.restore()
        assert connections["other"].connection is None
        assert leftovers.found == ()
        connections["other"].connect()
        transaction.atomic(using="other").__enter__()
        assert state.restore().found == ("an open transaction of database 'other', rolled back",)
        assert connections["other"].connection is None
    finally:
        del connections["other"]
        del connections.databases["other"]


def test_an_open_transaction_is_rolled_back() -> None:
    connection.ensure_connection()
    state = ProcessState()
    transaction.atomic().__enter__()
    [found] = state.restore().found
    assert "open transaction" in found
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert not connection.in_atomic_block


def test_execute_wrappers_are_removed() -> None:
    connection.ensure_connection()
    state = ProcessState()
    connection.execute_wrapper(lambda execute, *arguments: execute(*arguments)).__enter__()
    connection.force_debug_cursor = True
    state.restore()
    assert connection.execute_wrappers == []
    assert connection.force_debug_cursor is False


def test_a_retiring_runner_requeues_the_tasks_it_has_not_started() -> None:
    worker = Worker()
    first, second = start("litter", records=1, thread=True), start("slow", records=1)
    try:
        worker.run()
    finally:
        litter_types.stop_thread()
    assert worker.runner.must_retire
    assert checkpoint(first).outcome == "finished"
    assert waiting() == [second]
    Worker("its successor").run()
    assert checkpoint(second).outcome == "finished"
    assert ProcessState().restore().found == ()
