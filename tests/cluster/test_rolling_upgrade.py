"""Old and new processes run together while a migration adds a column: no task is lost or done twice.

The new version is a copy of this tree with a planted field in tables and snapshots; its migration runs while the old
version works. Both write to the same database and Redis, and each continues tasks that the other started.
"""

import os
import shutil
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtests.started.servers import IS_EMBEDDED
from loadtests.started.stack import TABLES, ProcfileStack
from longtasks.local_stack.procfile import PROJECT_DIR, free_port

pytestmark = [pytest.mark.slow, pytest.mark.skipif(IS_EMBEDDED, reason="one host, one version")]
PARTS = ("settings", "longtasks", "tasks_app", "catalog")
SIZES = (1, 1, 20, 700, 2500)
PLANTED_FIELD = """
from django.db import models

for _model in (TaskCheckpoint, TaskRecord, TaskEvent):
    # db_default: the old version inserts rows without naming the column.
    _model.add_to_class("planted", models.CharField(max_length=8, default="", db_default=""))
"""


@pytest.fixture
def new_version(tmp_path: Path) -> Path:
    """A copy of the tree with a new field in three tables and in every snapshot, and the migration that adds it."""
    tree = tmp_path / "new"
    for part in PARTS:
        shutil.copytree(PROJECT_DIR / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("manage.py", "Procfile"):
        shutil.copy(PROJECT_DIR / file, tree)
    models = tree / "tasks_app/models/__init__.py"
    models.write_text(models.read_text() + PLANTED_FIELD)
    snapshot = tree / "tasks_app/domain/task_snapshot.py"
    old_line = '    trace: str = ""'
    text = snapshot.read_text()
    assert old_line in text
    # Written in every snapshot, because it differs from the default.
    snapshot.write_text(text.replace(old_line, f'    planted: str = "new"\n{old_line}', 1))
    manage(tree, os.environ, "makemigrations", "tasks_app", "--name", "planted")
    return tree


def manage(tree: Path, environment: "os._Environ[str] | dict[str, str]", *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=tree, env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


class Starter(threading.Thread):
    """Starts uploads through any web that answers, until it is stopped."""

    def __init__(self, stack: ProcfileStack) -> None:
        super().__init__(daemon=True)
        self.stack = stack
        self.ports = [stack.port]
        self.accepted: dict[str, int] = {}
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            records = SIZES[len(self.accepted) % len(SIZES)]
            self.stack.port = self.ports[len(self.accepted) % len(self.ports)]
            answer = self.stack.post("/tasks", {"name": "upload", "params": {"numRecords": records}})
            if answer.status == 201:
                self.accepted[answer.json["id"]] = records
            self.enough.wait(0.3)

    def wait_for_more(self, number: int) -> None:
        wanted = len(self.accepted) + number
        self.stack.wait_for(lambda: len(self.accepted) >= wanted, deadline_seconds=60, what=f"{number} tasks more")


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def test_a_column_is_added_while_both_versions_run(make_stack: Callable[..., ProcfileStack], new_version: Path) -> None:
    stack = make_stack(workers=1, environment={"SHARD_RECORDS": "1000", "WEB_WORKERS": "1"})
    new_port = free_port()
    starter = Starter(stack)
    starter.start()
    starter.wait_for_more(5)

    manage(new_version, stack.environment, "migrate", "--noinput", "--verbosity", "0")  # the old version is running
    starter.wait_for_more(5)
    inside = f"env -C {new_version}"
    stack.start_role("new_web", command=f"{inside} PORT={new_port} python -m longtasks.web")
    stack.start_role("new_worker", command=f"{inside} python manage.py workers 1")
    stack.start_role("new_mirror", command=f"{inside} python manage.py mirror")
    stack.wait_for(lambda: answers(new_port), deadline_seconds=40, what="the new web answers")
    stack.wait_for(
        lambda: len(stack.redis().smembers("rq:workers")) >= 2, deadline_seconds=40, what="both workers are there"
    )
    starter.ports = [stack.port, new_port]
    starter.wait_for_more(15)

    starter.ports = [new_port]
    for role in ("worker", "mirror", "web"):
        stack.stop_role(role)
    starter.wait_for_more(5)
    starter.enough.set()
    starter.join(timeout=30)
    stack.port = new_port

    for task_id, records in starter.accepted.items():
        task = stack.wait_for_end(task_id, deadline_seconds=90)
        assert (task["status"], task["error"]) == ("finished", None)
        assert task["progress"] == {"done": records, "total": records, "isEstimate": False}
    expected = {uuid.UUID(task_id): (records, records) for task_id, records in starter.accepted.items()}
    for table in TABLES:
        counted = stack.sql(f"SELECT task_id, COUNT(*), COUNT(DISTINCT position) FROM {table} GROUP BY task_id")
        assert {uuid.UUID(str(task_id)): tuple(numbers) for task_id, *numbers in counted} == expected
    recorded = "SELECT COUNT(*) FROM tasks_app_taskrecord"
    stack.wait_for(
        lambda: stack.sql(recorded)[0][0] >= len(starter.accepted), deadline_seconds=30, what="the mirror has seen all"
    )
    planted = dict(stack.sql("SELECT planted, COUNT(*) FROM tasks_app_taskrecord GROUP BY planted"))
    assert planted == {"": len(starter.accepted)}
    workers = {name for (name,) in stack.sql("SELECT DISTINCT worker FROM tasks_app_taskcheckpoint WHERE worker <> ''")}
    assert len(workers) >= 2, "only one version ran tasks: this test proved nothing"
    for role in ("worker", "mirror", "new_worker", "new_mirror"):
        assert "Traceback" not in stack.log_path(role).read_text(), stack.log_tail(role)
