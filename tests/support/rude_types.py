"""Task types that misuse their connection, their process and their time."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from typing import Final

import redis
from django.db import DatabaseError, connection, transaction
from django.db.utils import OperationalError
from rest_framework import serializers

from catalog.models import User
from tasks_app.task_types import Chunk, ChunkResult, register
from tests.support.task_types import RecordsParams, RecordsTask, insert_users


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _swallow_a_spoilt_transaction() -> None:
    with contextlib.suppress(DatabaseError):
        User.objects.bulk_create([User.objects.order_by("-id")[0]])


def _swallow_the_refusal() -> None:
    with contextlib.suppress(Exception):
        _execute("COMMIT")


def _raise(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


# Lambdas, so that the methods are looked up during the chunk.
# ruff: noqa: PLW0108
# Calls that break a chunk's transaction, each with a word of its error.
MISUSES: Final[dict[str, tuple[Callable[[], object], str]]] = {
    "commit": (lambda: connection.commit(), "called commit()"),
    "rollback": (lambda: connection.rollback(), "called rollback()"),
    "close": (lambda: connection.close(), "called close()"),
    "set_autocommit": (lambda: connection.set_autocommit(True), "called set_autocommit()"),
    "transaction.commit": (transaction.commit, "called commit()"),
    "COMMIT": (lambda: _execute("COMMIT"), "ran 'COMMIT'"),
    "commented commit": (lambda: _execute("/* now */ -- really\n  commit"), "ran 'commit'"),
    "ROLLBACK": (lambda: _execute("ROLLBACK"), "ran 'ROLLBACK'"),
    "BEGIN": (lambda: _execute("BEGIN"), "ran 'BEGIN'"),
    "DDL": (lambda: _execute("CREATE TABLE made_in_a_chunk (id int)"), "ran 'CREATE TABLE made_in_a_chunk"),
    "DDL that drops": (lambda: _execute("drop table if exists made_in_a_chunk"), "ran 'drop table"),
    "open block": (lambda: transaction.atomic().__enter__(), "left a transaction.atomic() block open"),
    "spoilt": (_swallow_a_spoilt_transaction, "caught a database error that had broken its transaction"),
    "swallowed refusal": (_swallow_the_refusal, "ran 'COMMIT'"),
}
MYSQL_MISUSES: Final[dict[str, tuple[Callable[[], object], str]]] = {
    "driver's commit": (lambda: connection.connection.commit(), "called commit()"),
    "driver's autocommit": (lambda: connection.connection.autocommit(True), "called autocommit()"),
    "driver's close": (lambda: connection.connection.close(), "called close()"),
    "SET autocommit": (lambda: _execute("SET autocommit = 1"), "ran 'SET autocommit"),
    "SET SESSION autocommit": (lambda: _execute("SET SESSION autocommit = 1"), "ran 'SET SESSION autocommit"),
    "LOCK TABLES": (lambda: _execute("LOCK TABLES users WRITE"), "ran 'LOCK TABLES"),
    "TRUNCATE": (lambda: _execute("TRUNCATE products"), "ran 'TRUNCATE"),
}
# Exceptions that no task type should raise, each with a word of its traceback.
ERRORS: Final[dict[str, tuple[Callable[[], object], str]]] = {
    "exit 0": (lambda: sys.exit(0), "SystemExit: 0"),
    "exit 3": (lambda: sys.exit(3), "SystemExit: 3"),
    "interrupt": (_raise(KeyboardInterrupt()), "KeyboardInterrupt"),
    "generator exit": (_raise(GeneratorExit()), "GeneratorExit"),
    "cancelled": (_raise(asyncio.CancelledError()), "CancelledError"),
    "own broker": (_raise(redis.exceptions.ConnectionError("the task's broker is away")), "the task's broker is away"),
    "second database": (_raise(OperationalError(2003, "the second database is away")), "the second database is away"),
}


class RudeParams(RecordsParams):
    act = serializers.CharField(default="")


@register
class RudeTask(RecordsTask):
    """Writes half of its chunk, does what `act` names, and writes the other half."""

    name = "rude"
    params_serializer = RudeParams
    first_limit = 10
    max_limit = 10

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        half = chunk.start + chunk.limit // 2
        insert_users(chunk, stop=half)
        act, _ = {**MISUSES, **MYSQL_MISUSES, **ERRORS}[chunk.params["act"]]
        act()
        rest = Chunk(chunk.task_id, chunk.params, half, chunk.limit, chunk.total, chunk.state)
        insert_users(rest, stop=chunk.start + chunk.limit)
        return ChunkResult(chunk.limit, {"users": chunk.limit})


@register
class CarelessTask(RecordsTask):
    """Inserts row by row and skips refused rows, as importers do."""

    name = "careless"
    first_limit = 20
    max_limit = 20
    before_row: Callable[[int], None] = staticmethod(lambda position: None)
    use_savepoints = False

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        done = 0
        for position in range(chunk.start, chunk.start + chunk.limit):
            try:
                self.before_row(position)
                row = Chunk(chunk.task_id, chunk.params, position, 1, chunk.total, chunk.state)
                if self.use_savepoints:
                    with transaction.atomic():
                        insert_users(row, stop=position + 1)
                else:
                    insert_users(row, stop=position + 1)
                done += 1
            except DatabaseError:
                pass
        return ChunkResult(chunk.limit, {"users": done})


@register
class CarefulTask(CarelessTask):
    """The same with a savepoint for each row."""

    name = "careful"
    use_savepoints = True


@register
class SleepyTask(RecordsTask):
    """Its first chunk takes `chunkMs`, in Python or (`inDatabase`) in one statement; it may swallow its timeout."""

    class Params(RecordsParams):
        inDatabase = serializers.BooleanField(default=False)
        swallow = serializers.BooleanField(default=False)

    name = "sleepy"
    params_serializer = Params
    chunk_timeout_seconds = 40.0
    first_limit = max_limit = 1000

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        insert_users(chunk, stop=chunk.start + chunk.limit)
        seconds = 0 if chunk.start else chunk.params["chunkMs"] / 1000  # after a death it starts with one record
        if chunk.params.get("inDatabase"):
            _execute(f"SELECT SLEEP({seconds})")
            seconds = 0
        until = time.monotonic() + seconds
        while time.monotonic() < until and not chunk.is_canceled():
            try:
                time.sleep(0.02)
            except Exception:
                if not chunk.params.get("swallow"):
                    raise
        return ChunkResult(chunk.limit, {"users": chunk.limit})


@register
class HastyTask(SleepyTask):
    """The same with too short a time limit."""

    name = "hasty"
    chunk_timeout_seconds = 1.0
