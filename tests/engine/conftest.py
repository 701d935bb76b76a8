"""These tests run tasks, workers and rescuers in this process."""

from tests.support.engine import _database, longtasks  # noqa: F401 (fixtures)
