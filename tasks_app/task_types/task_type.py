"""The interface of a task type: what a kind of long-running work must offer to the engine.

Must not know queues, workers or any concrete type.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from rest_framework import serializers

from tasks_app.domain.callers import WRITE, Caller
from tasks_app.domain.priorities import LOW
from tasks_app.files.names import BINARY
from tasks_app.files.task_files import StoredFile, write_file
from tasks_app.task_types.cursor_use import CursorUse
from tasks_app.task_types.failed_record import CannotRetryFailures, FailedRecord
from tasks_app.task_types.failure_lists import FailureList
from tasks_app.task_types.row_changes import RowChange
from tasks_app.task_types.task_plans import Plan


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """How far a whole task is, over all of its shards."""

    done: int = 0  # records that its chunks have committed
    open_shards: int | None = 1  # that have not finished; 1 for a task without shards, None for ranges of records


@dataclass(frozen=True, slots=True)
class Chunk:
    """One slice of one task: what the runner asks a task type to do in one transaction."""

    task_id: uuid.UUID
    params: Mapping[str, Any]  # validated when the task was started, as JSON holds them ({"numRecords": 100})
    start: int  # records that earlier chunks have committed
    limit: int  # do at most this many records
    total: int | None  # all records of the task; None: unknown until it is done
    state: Mapping[str, Any]  # what the last committed chunk returned as its state; {} at first
    # Returns, without SQL, whether a cancel was requested: a chunk that takes long can end early.
    is_canceled: Callable[[], bool] = field(default=lambda: False, compare=False, repr=False)
    owner: str = ""  # who started the task; "" if it was the command line, or if the API needs no token
    # The owner's scope at the start: "admin" or "write"; "write" also if it is no longer known (docs/architecture.md).
    scope: str = WRITE
    is_dry_run: bool = False  # the chunk is rolled back, and the next one does not see what it has done
    changes_wanted: int = 0  # of a dry run: how many changes the result may list; the task has the others already
    attempt: int = 1  # the number of this attempt
    worker: str = ""  # the name of the worker that runs the chunk
    created_at: datetime | None = None  # when the task was accepted
    # Reads, with SQL, how far the whole task is. In the chunk's transaction it locks the task against its other shards.
    read_progress: Callable[[], TaskProgress] = field(default=TaskProgress, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What a task type did in one chunk; the runner adds it to the checkpoint in the same transaction."""

    done: int  # records of this chunk
    counts: Mapping[str, int]  # rows by name, e.g. {"users": 100}; the runner adds them up
    state: Mapping[str, Any] = field(default_factory=dict)  # kept with the checkpoint; JSON
    finished: bool | None = None  # None: finished when start + done >= total
    # Of a type with `leaves_results`: JSON that the task's owner gets as `result`, and files from `write_artifact`. The
    # result of a later chunk replaces an earlier one; artifacts add up. Both commit with the chunk.
    result: Any = None
    artifacts: Sequence[StoredFile] = ()
    changes: Sequence[RowChange] = ()  # of a dry run: what the chunk has changed, at most `chunk.changes_wanted`


def write_artifact(
    chunk: Chunk, name: str, content: Iterable[bytes], *, content_type: str = BINARY, position: int = 0
) -> StoredFile:
    """Store a file for the owner of a chunk's task. The chunk has to return it in `ChunkResult.artifacts`.

    Call it in `prepare_chunks`, outside of the transaction. Artifacts are listed by `position`, then by age. If the chunk
    does not commit, its files are deleted a day later. Raises what `files.task_files.write_file` raises.
    """
    return write_file(
        content, task_id=chunk.task_id, owner=chunk.owner, name=name, content_type=content_type, position=position
    )


class TaskType:
    """A registered kind of long-running work.

    Subclass it, name it, implement `run_chunk`, and decorate it with `register`. The runner opens the
    transaction, so all that `run_chunk` writes to the default database commits together with the task's
    checkpoint, or not at all. A chunk may run twice (if a worker died before its commit), so whatever it does
    outside of the transaction must be idempotent.
    """

    name: ClassVar[str]
    params_serializer: ClassVar[type[serializers.Serializer[Any]]]  # validates the request's `params`
    description: ClassVar[str] = ""  # what its tasks do, in one sentence; in English, marked by gettext_noop
    count_names: ClassVar[tuple[str, ...]] = ()  # keys of `counts`, 0 from the start
    first_limit: ClassVar[int] = 500  # records of the first chunk; then adapted to CHUNK_SECONDS
    max_limit: ClassVar[int] = 20_000  # records of a chunk at most
    shareable: ClassVar[bool] = False  # may small tasks of this type share one transaction?
    splittable: ClassVar[bool] = False  # may a big task be split into ranges that run at the same time?
    is_planned: ClassVar[bool] = False  # does its worker call `make_plan`? Then each ChunkResult says if it is the last
    chunk_timeout_seconds: ClassVar[float | None] = None  # longest time of a chunk; None: JOB_TIMEOUT_SECONDS
    # May a chunk that raises be halved until the failing record is alone, and left out? Its chunks then run any range of
    # records, and `skip_record` is implemented (docs/failures.md).
    isolates_failures: ClassVar[bool] = False
    attempts: ClassVar[int | None] = None  # before a task fails; None: RETRY_ATTEMPTS
    # Attempts after which an error of its code fails a task, where those that died with their worker get more. None: no less.
    error_attempts: ClassVar[int | None] = None
    retry_first_seconds: ClassVar[float | None] = None  # pause before the second attempt; None: RETRY_FIRST_SECONDS
    retry_max_seconds: ClassVar[float | None] = None  # longest pause between attempts; None: RETRY_MAX_SECONDS
    queue: ClassVar[str] = LOW  # one of QUEUES; its tasks wait there, except those of priority high or 1 to 3
    # May its chunks return `result` and `artifacts`? Not with batches. Those of a shard are its task's.
    leaves_results: ClassVar[bool] = False
    # May its tasks run dry, each chunk rolled back? Only if a chunk does nothing outside of its transaction, and needs
    # nothing that earlier chunks have written (docs/dry-runs.md).
    supports_dry_run: ClassVar[bool] = False
    is_internal: ClassVar[bool] = False  # started by code alone: API, forms and command line do not know the type
    undoes: ClassVar[str] = ""  # the parameter, a TaskIdField, that names a task whose rows this type deletes

    def total(self, params: Mapping[str, Any]) -> int | None:
        """Return how many records the task has; None if that is unknown before its end. Runs in the request: no SQL.

        If it raises or returns anything else, the request is accepted, and the first attempt fails.
        """
        return None

    def authorize(self, params: Mapping[str, Any], caller: Caller) -> None:
        """Raise NotAllowed if the caller may not start a task with these params.

        Runs in the request, at every start and retry: it must be fast. Tasks that a TaskIdField names were checked
        before: they are the caller's. Any other exception or result refuses the start as well, with a 500.
        """
        return

    def prepare_split(self, *, task_id: uuid.UUID, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the state with which each shard of a task begins. Runs once a task, outside of a transaction."""
        return {}

    def make_plan(self, *, task_id: uuid.UUID, params: Mapping[str, Any], shard_records: int) -> Plan:
        """Return total, first state and shards of a task whose type `is_planned`; SQL is allowed.

        Runs in the worker at the first claim, outside of a transaction, until one result was stored. A task with parts is
        split into them; each should have about `shard_records` records. 0: tasks are not split.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement make_plan, because it is_planned")

    def explain_cursor(self, params: Mapping[str, Any]) -> CursorUse | None:
        """Return how the chunks find their records, for `manage.py task plan`; None: unknown. May read the database."""
        return None

    def prepare_chunks(self, chunks: Sequence[Chunk]) -> Any:
        """Do what needs no transaction (make data, reserve ids); `run_chunks` gets its result."""
        return None

    def run_chunks(self, chunks: Sequence[Chunk], prepared: Any) -> list[ChunkResult]:
        """Do one chunk of each given task, in the transaction that the runner opened; results in order."""
        return [self.run_chunk(chunk) for chunk in chunks]

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        """Do one chunk. Any exception rolls it back and counts as a failed attempt; HopelessError as the last one."""
        raise NotImplementedError(f"{type(self).__name__} must implement run_chunk or run_chunks")

    def on_end(
        self, *, task_id: uuid.UUID, params: Mapping[str, Any], status: str, error: BaseException | None
    ) -> None:
        """Called once its task has ended, by the worker that has ended it, outside of a transaction.

        `error` is the one that has failed it.

        At most once: not for a task that ended without a worker, nor if the worker dies before. What it raises is logged.
        """
        return

    def skip_record(self, chunk: Chunk) -> tuple[ChunkResult, FailedRecord | None]:
        """Describe the record at the cursor, which has failed, and advance the state past it without processing it.

        `chunk.limit` is 1. Runs in the chunk's transaction, from which the record's own effects were rolled back. The
        result has 1 as `done`; its counts are those of the record left out, mostly {}. None instead of a description:
        the record no longer exists, so nothing failed; `done` is then 0 or 1.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement skip_record")

    def retry_params(
        self, *, task_id: uuid.UUID, params: Mapping[str, Any], failures: FailureList
    ) -> Mapping[str, Any]:
        """Return the params of a task that runs these failed records of an ended task alone, and no others.

        `params` are that task's, as they are stored. `failures` are read from the database while it is iterated, in the
        order of their positions. Runs in the request. Raises CannotRetryFailures with the reason.
        """
        raise CannotRetryFailures(f"tasks of the type {self.name!r} cannot be limited to some of their records")

    def count_rows(self, task_id: uuid.UUID) -> Mapping[str, int] | None:
        """Count the rows that a task has in the tables, by the names of `counts`; None if they cannot be counted."""
        return None
