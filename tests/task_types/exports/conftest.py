"""These tests run tasks and workers in this process, with a storage of their own."""

from collections.abc import Callable

import pytest

from tests.support.engine import _database, longtasks  # noqa: F401 (fixtures)
from tests.support.stored_files import folder  # noqa: F401


@pytest.fixture(autouse=True)
def _whole_chunks(longtasks: Callable[..., None]) -> None:  # noqa: F811
    """Chunks of a busy machine are not made smaller: the tests count them."""
    longtasks(chunk_seconds=60.0)
