"""Reserves blocks of primary keys. The three tables share one sequence, so a record's rows share one id.

Owns the table catalog_idblock. A block is reserved in its own short transaction before the one that uses it, so that no
worker waits for another's rows. An unused block leaves a harmless gap.
"""

from __future__ import annotations

from typing import Final

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import F

from catalog.models import IdBlock

SEQUENCE: Final = "records"
FIRST_ID: Final = 1001  # smaller ones are for rows with fixed ids (load_test_context)


def reserve_ids(*, count: int, using: str = DEFAULT_DB_ALIAS) -> int:
    """Reserve `count` consecutive ids and return the first. No other call returns any of them.

    Raises ValueError for a count below 1, RuntimeError inside a transaction (it could roll the block back).
    """
    if count < 1:
        raise ValueError(f"can't reserve {count} ids: reserve at least 1")
    blocks = IdBlock.objects.using(using).filter(name=SEQUENCE)
    while True:
        with transaction.atomic(using=using, durable=True):
            # The update comes first: it locks the row, so the value that is read next cannot change.
            if blocks.update(next_id=F("next_id") + count):
                return blocks.values_list("next_id", flat=True).get() - count
        # Outside the transaction: two processes that insert the first row at once would deadlock in it.
        blocks.bulk_create([IdBlock(name=SEQUENCE, next_id=FIRST_ID)], ignore_conflicts=True)
