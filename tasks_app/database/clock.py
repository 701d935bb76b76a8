"""The database's clock in UTC, in an expression of Django.

Django's own `Now` is in the time zone of the connection, which only some projects set to UTC; Django reads every column in
UTC. Must not depend on the connection's settings.
"""

from __future__ import annotations

from typing import Any

from django.db.models import functions


class Now(functions.Now):
    """The current time in UTC."""

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra)
