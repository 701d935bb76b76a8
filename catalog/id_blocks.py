"""Hands out blocks of primary keys. The three tables share one sequence, so a record's rows share one id.

Owns the table catalog_idblock. A block is reserved in a short transaction of its own, before the one that
uses it: a block that is never used leaves a gap, which does no harm, and no worker waits for another's rows.
"""

from __future__ import annotations

from typing import Final

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import F

from catalog.models import IdBlock

SEQUENCE: Final = "records"
FIRST_ID: Final = 1001  # smaller ones are for rows with fixed ids (load_test_context)


def reserve_ids(*, count: int, using: str = DEFAULT_DB_ALIAS) -> int:
    """Reserve `count` consecutive ids and return the first. No one else ever gets them.

    Raises ValueError for a count below 1, RuntimeError inside a transaction (it could roll the block back).
    """
    if count < 1:
        raise ValueError(f"can't reserve {count} ids: ask for at least 1")
    blocks = IdBlock.objects.using(using).filter(name=SEQUENCE)
    while True:
        with transaction.atomic(using=using, durable=True):
            # The update comes first: it takes the row's lock, so what is read after it can't move.
            if blocks.update(next_id=F("next_id") + count):
                return blocks.values_list("next_id", flat=True).get() - count
        # On its own, or two that come first at the same time would deadlock.
        blocks.bulk_create([IdBlock(name=SEQUENCE, next_id=FIRST_ID)], ignore_conflicts=True)
