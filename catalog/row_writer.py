"""Writes records of the catalog into its three tables, in the caller's transaction.

Owns the choice of the writer; both insert the same rows: the ORM's bulk_create (every database) or LOAD DATA LOCAL
INFILE (setting `bulk_writer`, MySQL and MariaDB). Must not commit or choose ids.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS

from catalog.fake_data import Pools, Rows, draw_pools, make_rows
from catalog.load_data import LoadDataRefused, load_rows, text_pools
from catalog.models import MODELS

logger = logging.getLogger(__name__)
INSERT_RECORDS: Final = 2000  # records per INSERT and table: about 400 KB, far below any max_allowed_packet
LOAD_RECORDS: Final = 10_000  # records per LOAD DATA and table: about 1.5 MB in memory


class Slice(NamedTuple):
    """Consecutive records of one task: start…stop-1. Record 0 of the task has the id `first_id`."""

    task_id: uuid.UUID
    first_id: int
    start: int
    stop: int


def write_records(*, slices: Sequence[Slice], using: str = DEFAULT_DB_ALIAS) -> None:
    """Insert the rows of all slices into users, products and order items."""
    write = write_with_load_data if settings.LONGTASKS.bulk_writer else write_with_orm
    write(slices=slices, using=using)


def write_with_orm(*, slices: Sequence[Slice], using: str = DEFAULT_DB_ALIAS) -> None:
    """Insert the rows with bulk_create."""
    pools = draw_pools()
    model: Any
    for batch in _batches(slices, size=INSERT_RECORDS):
        for model, rows in zip(MODELS, _rows_of(batch, pools, as_text=False), strict=True):
            model.objects.using(using).bulk_create([model(*row) for row in rows])


def write_with_load_data(*, slices: Sequence[Slice], using: str = DEFAULT_DB_ALIAS) -> None:
    """Insert the rows with LOAD DATA LOCAL INFILE. Raises IntegrityError if the server changed or skipped a row.

    If the server does not allow LOAD DATA, bulk_create inserts the rows, so that a server setting fails no task.
    """
    pools = text_pools()
    model: Any
    for batch in _batches(slices, size=LOAD_RECORDS):
        for number, (model, rows) in enumerate(zip(MODELS, _rows_of(batch, pools, as_text=True), strict=True)):
            try:
                load_rows(model=model, rows=rows, using=using)
            except LoadDataRefused as refusal:
                _warn_of_refusal(str(refusal))
                values = _rows_of(batch, draw_pools(), as_text=False)[number]
                model.objects.using(using).bulk_create([model(*row) for row in values], batch_size=INSERT_RECORDS)


@cache
def _warn_of_refusal(reason: str) -> None:
    """Log once in this process why BULK_WRITER has no effect."""
    logger.warning(
        "BULK_WRITER=1 has no effect, and the ORM writes rows more slowly: LOAD DATA LOCAL INFILE is refused (%s). "
        "SET GLOBAL local_infile = 1 on the database server, or unset BULK_WRITER.",
        reason,
    )


def _rows_of(batch: Iterable[Slice], pools: Pools, *, as_text: bool) -> Rows:
    all_rows = Rows([], [], [])
    for task_id, first_id, start, stop in batch:
        made = make_rows(
            task_id=task_id,
            first_id=first_id,
            start=start,
            stop=stop,
            pools=pools,
            task_value=task_id.hex if as_text else task_id,
        )
        for rows, more in zip(all_rows, made, strict=True):
            rows += more
    return all_rows


def _batches(slices: Iterable[Slice], *, size: int) -> Iterator[list[Slice]]:
    """Split and join slices so that each batch holds `size` records, and the last batch the rest."""
    batch: list[Slice] = []
    free = size
    for task_id, first_id, start, stop in slices:
        while start < stop:
            cut = min(stop, start + free)
            batch.append(Slice(task_id, first_id, start, cut))
            free -= cut - start
            start = cut
            if not free:
                yield batch
                batch, free = [], size
    if batch:
        yield batch
