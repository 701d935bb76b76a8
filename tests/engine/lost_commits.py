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
def lost_commit(
    *, number: int, applied: bool, reached: str = "SELECT COUNT(*) FROM users"
) -> Generator[list[str], None, None]:
    """Break the connection at the commit of the `number`th chunk, after the server applied it or before.

    The client library reports the same error in both cases. `reached` says how many records are to be committed. Yields a
    list that is not empty when it has happened.
    """
    commit = BaseDatabaseWrapper._commit
    seen: list[str] = []

    def break_at_chunk(self: Any) -> Any:
        with self.cursor() as cursor:
            cursor.execute(reached)
            wrote = (cursor.fetchone()[0] or 0) >= number
        if not wrote or seen:
            return commit(self)
        seen.append(reached)
        if applied:
            commit(self)
        self.connection.close()
        raise OperationalError(2013, "Lost connection to server during query")

    BaseDatabaseWrapper._commit = break_at_chunk  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        BaseDatabaseWrapper._commit = commit  # type: ignore[method-assign]
