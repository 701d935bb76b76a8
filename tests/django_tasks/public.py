"""The framework's own tests with this backend: `python -m tests.django_tasks.public` prints which pass, and which not and why.

Owns the download of Django's source, which contains them, and what is changed in them: the BACKEND in settings, and that a
test may use the database. On Django 5.2 also the names that the package django-tasks has for the same things. Must not
change a test otherwise. Exits with 1 if another test than those of `NOT_PASSING` does not pass.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path
from typing import Any

import django

VERSION = "6.0.10"
FILES = ("__init__", "tasks", "test_custom_backend", "test_dummy_backend", "test_immediate_backend", "test_tasks")
PACKAGE = "tasks"  # as in Django's source: a test compares the path of a function
_CLASS = "asks whether the backend is an instance of DummyBackend or ImmediateBackend"
_MEMORY = "changes the result in the memory of DummyBackend; here it is read from the stores"
_CAN_MORE = "expects that the backend refuses what this one can do"
_KEYBOARD = "expects that enqueue raises KeyboardInterrupt of the function; here that fails the task in its worker"
_WAITS = "expects a result before the transaction of enqueue commits; here the commit starts the task"
NOT_PASSING = {
    "DummyBackendTestCase.test_clear": _MEMORY,
    "DummyBackendTestCase.test_refresh_result": _MEMORY,
    "DummyBackendTestCase.test_refresh_result_async": _MEMORY,
    "DummyBackendTestCase.test_using_correct_backend": _CLASS,
    "ImmediateBackendTestCase.test_cannot_get_result": _CAN_MORE,
    "ImmediateBackendTestCase.test_cannot_pass_run_after": _CAN_MORE,
    "ImmediateBackendTestCase.test_cannot_refresh_result": _CAN_MORE,
    "ImmediateBackendTestCase.test_throws_keyboard_interrupt": _KEYBOARD,
    "ImmediateBackendTestCase.test_using_correct_backend": _CLASS,
    "ImmediateBackendTransactionTestCase.test_doesnt_wait_until_transaction_commit_by_default": _WAITS,
    "TaskTestCase.test_get_backend": _CLASS,
    "TaskTestCase.test_refresh_result": _MEMORY,
    "TaskTestCase.test_using_correct_backend": _CLASS,
}
if django.VERSION < (6, 0):
    _WORDING = "compares an error of the framework; the package or Python 3.11 words it differently"
    NOT_PASSING |= {
        "CustomBackendTestCase.test_enqueue_async_task_on_non_async_backend": _WORDING,
        "CustomBackendTestCase.test_no_enqueue": _WORDING,
        "DummyBackendTestCase.test_validate_disallowed_async_task": _WORDING,
    }
_BACKENDS = {
    '"django.tasks.backends.dummy.DummyBackend"': '"tests.django_tasks.public_backends.WaitingBackend"',
    '"django.tasks.backends.immediate.ImmediateBackend"': '"tests.django_tasks.public_backends.InlineBackend"',
}
# On Django 5.2: the package's names.
_NAMES = (
    (r"\bdjango\.tasks\b", "django_tasks"),
    (r"\bInvalidTask\b", "InvalidTaskError"),
    (r"\bInvalidTaskBackend\b", "InvalidTaskBackendError"),
)


def adapt(text: str) -> str:
    """Return a file of the tests with the backends of this project in its settings."""
    for old, new in _BACKENDS.items():
        text = text.replace(old, new)
    if django.VERSION < (6, 0):
        for pattern, name in _NAMES:
            text = re.sub(pattern, name, text)
    return text


def fetch(directory: Path) -> None:
    """Download Django's source, and write its tests of the framework into a package below `directory`."""
    command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
    source = ["--no-binary", ":all:", "--ignore-requires-python", f"django=={VERSION}", "-d", str(directory)]
    subprocess.run([*command, *source], check=True)
    [archive] = directory.glob("*.tar.gz")
    package = directory / PACKAGE
    package.mkdir()
    with tarfile.open(archive) as files:
        for name in FILES:
            found = next(each for each in files.getnames() if each.endswith(f"/tests/tasks/{name}.py"))
            member: Any = files.extractfile(found)
            (package / f"{name}.py").write_text(adapt(member.read().decode()))


def run(directory: Path) -> int:
    """Run the tests on servers of their own; return the exit code."""
    from loadtests.started.servers import create_servers

    database, redis_server = create_servers()
    try:
        for server in (database, redis_server):
            server.start()
        os.environ |= {
            "DATABASE_URL": database.url("longtasks"),
            "REDIS_URL": redis_server.url(),
            "DATA_DIR": str(directory),
        }
        return _run_suite(directory)
    finally:
        for server in (redis_server, database):
            server.remove()


class _Outcomes(unittest.TextTestResult):
    """Notes the name of each test that does not pass, a subtest's as its test's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.failed: set[str] = set()

    def startTest(self, test: Any) -> None:
        from tasks_app.queues import redis_connection

        redis_connection.get_connection().flushdb()  # tasks of the test before would run too
        super().startTest(test)

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self.failed.add(_name(test))

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self.failed.add(_name(test))

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.failed.add(_name(test))


def _name(test: Any) -> str:
    return ".".join(test.id().split(".")[-2:])


def _run_suite(directory: Path) -> int:
    django.setup()
    from django.db import connections
    from django.test import SimpleTestCase
    from django.test.runner import DiscoverRunner

    SimpleTestCase.databases = {"default"}
    if connections["default"].vendor == "sqlite":  # a file, as in the embedded stack: one in memory knows no WAL
        connections["default"].settings_dict["TEST"]["NAME"] = str(directory / "test.sqlite3")
    sys.path.insert(0, str(directory))

    class Runner(DiscoverRunner):
        def get_resultclass(self) -> Any:
            return _Outcomes

        def suite_result(self, suite: Any, result: Any, **kwargs: Any) -> Any:
            return result

    runner = Runner(verbosity=0, interactive=False)
    result = runner.run_tests([PACKAGE])
    for name in sorted(result.failed):
        print(f"{name}: {NOT_PASSING.get(name, 'UNEXPECTED')}")
    passing = result.testsRun - len(result.failed)
    print(f"Django {django.get_version()}, tests of {VERSION}: {result.testsRun} tests, {passing} pass")
    unexpected = result.failed ^ NOT_PASSING.keys()
    if unexpected:
        print(f"not as expected: {', '.join(sorted(unexpected))}")
    return 1 if unexpected else 0


def main() -> int:
    argparse.ArgumentParser(prog="python -m tests.django_tasks.public").parse_args()
    os.environ |= {"ENV_FILE": "", "DJANGO_SETTINGS_MODULE": "tests.django_tasks.settings"}
    with tempfile.TemporaryDirectory() as directory:
        fetch(Path(directory))
        return run(Path(directory))


if __name__ == "__main__":
    sys.exit(main())
