"""LOAD DATA LOCAL INFILE: the fast way into a table of MySQL or MariaDB, within the open transaction.

Knows tables and text, not what the rows mean. Must not leave a file behind, whatever dies.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, IntegrityError, connections, models

from catalog.fake_data import Pools, Row, draw_pools

# "Loading local data is disabled": MySQL's, MariaDB's, an old server's, and the client library's own.
_REFUSALS: Final = frozenset({3948, 4166, 1148, 2068})


class LoadDataRefused(Exception):
    """The server or the client library does not allow LOAD DATA LOCAL INFILE; no row was inserted."""


@cache
def text_pools() -> Pools:
    """Return the pools of fake data in the form that LOAD DATA reads: UTC, no offset."""
    return draw_pools().converted(_as_text)


def _as_text(value: Any) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else str(value)


def load_rows(*, model: type[models.Model], rows: Sequence[Row], using: str) -> None:
    """Insert rows whose values are in the order of the model's fields and are numbers or plain text.

    With LOCAL the server turns errors (a key that exists, a value that does not fit) into warnings and goes
    on. So every warning and every missing row is an error here: IntegrityError, and the transaction rolls back.
    Raises LoadDataRefused where the command itself is not allowed; the transaction is as it was then.
    """
    connection = connections[using]
    if connection.vendor != "mysql":
        raise ImproperlyConfigured(
            f"BULK_WRITER is on, but the database is {connection.vendor}: LOAD DATA needs MySQL or MariaDB."
        )
    columns = [field.column or "" for field in model._meta.concrete_fields]
    line = "\t".join(["%s"] * len(columns)) + "\n"
    text = line * len(rows) % tuple(chain.from_iterable(rows))
    quote = connection.ops.quote_name
    # A file in memory: it has a name for the client library to open, and goes with the process.
    with os.fdopen(os.memfd_create("rows"), "wb", buffering=0) as file:
        file.write(text.encode())
        with connection.cursor() as cursor:
            try:
                cursor.execute(
                    f"LOAD DATA LOCAL INFILE '/proc/self/fd/{file.fileno()}' INTO TABLE {quote(model._meta.db_table)} "
                    f"CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\\t' ESCAPED BY '' LINES TERMINATED BY '\\n' "
                    f"({', '.join(map(quote, columns))})"
                )
            except DatabaseError as error:
                if error.args and error.args[0] in _REFUSALS:
                    raise LoadDataRefused(str(error.args[-1])) from error
                raise
            loaded = cursor.rowcount
            warnings = connection.connection.show_warnings() if connection.connection.warning_count() else ()
    if loaded != len(rows) or warnings:
        raise IntegrityError(
            f"LOAD DATA took {loaded} of {len(rows)} rows into {model._meta.db_table}; first warnings: {warnings[:3]}"
        )
