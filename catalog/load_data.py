"""LOAD DATA LOCAL INFILE: inserts many rows into a table of MySQL or MariaDB, in the caller's transaction.

Owns the statement and its errors. Must not know what the rows mean, nor leave a file behind, even after a crash.
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

# "Loading local data is disabled": the error codes of MySQL, MariaDB, old servers, and the client library.
_REFUSALS: Final = frozenset({3948, 4166, 1148, 2068})


class LoadDataRefused(Exception):
    """The server or the client library does not allow LOAD DATA LOCAL INFILE; no row was inserted."""


@cache
def text_pools() -> Pools:
    """Return the pools of fake data as text for LOAD DATA: times in UTC without an offset."""
    return draw_pools().converted(_as_text)


def _as_text(value: Any) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else str(value)


def load_rows(*, model: type[models.Model], rows: Sequence[Row], using: str) -> None:
    """Insert rows whose values are numbers or plain text, in the order of the model's fields.

    With LOCAL the server turns errors (a duplicate key, a value that does not fit) into warnings and continues. Every
    warning or missing row therefore raises IntegrityError here. Raises LoadDataRefused if the command is not allowed;
    the transaction is unchanged then.
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
    # A file in memory has a name that the client library can open, and vanishes with the process.
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
