"""Fixtures of the catalog's tests: uploads without a worker, child processes, a connection for LOAD DATA."""

import dataclasses
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Generator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings

from catalog.id_blocks import reserve_ids
from catalog.models import MODELS
from catalog.row_writer import Slice, write_with_orm
from loadtests.started.servers import Database, RedisServer
from longtasks.local_stack.procfile import PROJECT_DIR

Rows = dict[str, list[tuple[Any, ...]]]


def read_rows(task_id: uuid.UUID) -> Rows:
    """Return all rows of a task as the database returns them."""
    return {
        model._meta.db_table: list(model.objects.filter(task_id=task_id).order_by("position").values_list())
        for model in MODELS
    }


def upload(*, records: int, task_id: uuid.UUID | None = None) -> uuid.UUID:
    """Write all rows of an upload; return its id."""
    task_id = task_id or uuid.uuid4()
    write_with_orm(slices=[Slice(task_id, reserve_ids(count=records), 0, records)])
    return task_id


@pytest.fixture
def run_python(servers: tuple[Database, RedisServer]) -> Callable[..., str]:
    """Run Python code with Django on the test database in a child process; return what it prints."""

    def run(code: str, **environment: str) -> str:
        database, _ = servers
        name = os.path.basename(str(connection.settings_dict["NAME"])).removesuffix(".sqlite3")
        return subprocess.run(
            [sys.executable, "-c", f"import django; django.setup()\n{code}"],
            env=os.environ | {"DATABASE_URL": database.url(name)} | environment,
            cwd=PROJECT_DIR,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    return run


@pytest.fixture
def bulk_writer(transactional_db: None) -> Generator[None, None, None]:
    """Set what BULK_WRITER=true sets: the setting, and a connection that may send files."""
    if connection.vendor != "mysql":
        pytest.skip("LOAD DATA needs MySQL or MariaDB")
    options = connection.settings_dict["OPTIONS"]
    connection.close()
    connection.settings_dict["OPTIONS"] = options | {"local_infile": True}
    with override_settings(LONGTASKS=dataclasses.replace(settings.LONGTASKS, bulk_writer=True)):
        yield
    connection.close()
    connection.settings_dict["OPTIONS"] = options
