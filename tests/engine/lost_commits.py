"""A lost commit: the connection breaks during the commit, before or after the server applies it."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from loadtests.started.servers import IS_EMBEDDED

mysql_only = pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has no connection that can break")


@contextmanager
def lost_commit(*, number: int, applied: bool) -> Generator[None, None, None]:
    """Break the connection at the commit of the `number`th chunk, after the server applied it or before.

    The client library reports the same error in both cases.
    """
    commit, seen = BaseDatabaseWrapper._commit, 0

    def break_at_chunk(self: Any) -> Any:
        nonlocal seen
        with self.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM users")
            wrote = cursor.fetchone()[0] >= number
        if not wrote or seen:
            return commit(self)
        seen += 1
        if applied:
            commit(self)
        self.connection.close()
        raise OperationalError(2013, "Lost connection to server during query")

    BaseDatabaseWrapper._commit = break_at_chunk  # type: ignore[method-assign]
    try:
        yield
    finally:
        BaseDatabaseWrapper._commit = commit  # type: ignore[method-assign]
