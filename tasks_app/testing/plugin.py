"""The pytest plugin for the tests of task types: the fixtures `run_task` and `assert_survives_crashes`.

Load it by `pytest_plugins = ["tasks_app.testing.plugin"]` in conftest.py, or by `-p tasks_app.testing.plugin`; it needs
pytest-django. Owns the fixtures. Must not import a model when it is loaded: Django is not ready then.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def task_storage(tmp_path: Path) -> Generator[Path, None, None]:
    """The folder in which tasks of this test find and leave files."""
    from tasks_app.testing.storage import storage_in

    with storage_in(tmp_path):
        yield tmp_path


@pytest.fixture
def run_task(transactional_db: None, task_storage: Path) -> Callable[..., Any]:
    """`run_task("name", {"param": 1})` runs a task in this process; see tasks_app.testing.run_task."""
    from tasks_app import testing

    return testing.run_task


@pytest.fixture
def assert_survives_crashes(transactional_db: None, task_storage: Path) -> Callable[..., Any]:
    """`assert_survives_crashes("name")` kills a task at each commit; see tasks_app.testing.assert_survives_crashes."""
    from tasks_app import testing

    return testing.assert_survives_crashes
