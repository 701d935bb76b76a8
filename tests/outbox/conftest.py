"""These tests run tasks, workers and sweeps in this process."""

from collections.abc import Generator

import pytest

from tasks_app.outbox import push
from tests.support.engine import _database, longtasks  # noqa: F401 (fixtures)


@pytest.fixture(autouse=True)
def _no_rest() -> Generator[None, None, None]:
    """Let each test push at once, whatever the one before has met."""
    push._Rest.until = 0.0
    yield
    push._Rest.until = 0.0
