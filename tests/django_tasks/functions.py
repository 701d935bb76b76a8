"""The task functions of the tests."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from catalog.models import Product
from tasks_app.django_tasks import NextChunk
from tasks_app.django_tasks.compat import TaskContext, task

RUN = uuid.UUID("018f0000-0000-7000-8000-000000000000")  # the task_id of all rows
seen: list[Any] = []  # what functions in this process have seen


def _row(number: int) -> Product:
    return Product(
        id=secrets.randbits(60),
        task_id=RUN,
        position=number,
        sku=f"S{number}",
        name="",
        category="",
        price=Decimal(1),
        stock=0,
        created_at=timezone.now(),
    )


@task
def insert_row(number: int) -> int:
    """Insert a row under an id of its own: a second run would leave a second row."""
    _row(number).save(force_insert=True)
    return number


@task
async def insert_row_async(number: int) -> bool:
    await _row(number).asave(force_insert=True)
    return await Product.objects.filter(position=number).aexists()


@task
def insert_and_fail(number: int) -> None:
    _row(number).save(force_insert=True)
    raise ValueError(f"row {number} was not wanted")


@task(backend="patient")
def fail_until(attempt: int) -> int:
    """Fail in the attempts before this one."""
    seen.append("run")
    if len(seen) < attempt:
        raise LookupError(f"attempt {len(seen)}")
    return len(seen)


@task(backend="mail")
def note_transaction(fails: bool = False) -> bool:
    """Return whether a transaction is open; its row is committed at once if none is."""
    _row(len(seen)).save(force_insert=True)
    seen.append("sent")
    if fails:
        raise OSError("the mail server is away")
    return connection.in_atomic_block


@task
def is_in_transaction() -> bool:
    return transaction.get_connection().in_atomic_block


@task(takes_context=True, priority=10)
def describe_context(context: TaskContext, *, word: str) -> dict[str, Any]:
    result = context.task_result
    return {"id": result.id, "attempt": context.attempt, "status": result.status, "kwargs": result.kwargs, "word": word}


@task
def return_set() -> Any:
    return {1, 2}


@task
def return_long(characters: int) -> str:
    return "x" * characters


@task
def exit_process() -> None:
    raise SystemExit("enough")


def not_a_task() -> None:
    seen.append("run")


@task
def insert_slowly(number: int, pause_ms: int) -> int:
    """Insert a row, and pause in the transaction, so that a kill finds it open."""
    _row(number).save(force_insert=True)
    time.sleep(pause_ms / 1000)
    return number


@task
async def insert_slowly_async(number: int, pause_ms: int) -> int:
    await _row(number).asave(force_insert=True)
    await asyncio.sleep(pause_ms / 1000)
    return number


@task
def insert_rows(count: int, cursor: int = 0) -> NextChunk | str:
    """Insert two rows a chunk, from the cursor on."""
    end = min(cursor + 2, count)
    for number in range(cursor, end):
        _row(number).save(force_insert=True)
    return NextChunk(end, {"rows": end - cursor}) if end < count else "all"


@task(backend="quick")
async def sleep_long(number: int) -> None:
    await _row(number).asave(force_insert=True)
    await asyncio.sleep(2)
