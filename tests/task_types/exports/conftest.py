"""These tests run tasks and workers in this process, with a storage of their own."""

from tests.support.engine import _database, longtasks  # noqa: F401 (fixtures)
from tests.support.stored_files import folder  # noqa: F401
