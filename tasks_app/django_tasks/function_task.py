"""The task type of functions: a chunk calls a function, and what that returns is the task's result, or asks for another chunk.

What the function writes commits with that result, or not at all; with `transaction=False` it runs before the transaction.
There is one type for each backend in TASKS that is LongtasksBackend. Must not enqueue anything.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, cast

from tasks_app.conf import settings
from tasks_app.django_tasks.backend_options import BackendOptions
from tasks_app.django_tasks.call_params import Call, CallSerializer, read_call
from tasks_app.django_tasks.compat import (
    Task,
    TaskContext,
    TaskResult,
    normalize_json,
    task_backends,
    task_finished,
    task_started,
)
from tasks_app.django_tasks.function import LongtasksTask
from tasks_app.django_tasks.next_chunk import NextChunk
from tasks_app.django_tasks.results import find_task, make_running
from tasks_app.task_types import NAME_CHARACTERS, Chunk, ChunkResult, HopelessError, TaskType, register

NAME: Final = "function"
_DEFAULT_ALIAS: Final = "default"
_CURSOR: Final = "cursor"


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A call that was made ready outside of the transaction, and its result if it was made there."""

    task: Task
    call: Call
    result: TaskResult
    is_done: bool = False
    returned: Any = None


class FunctionTask(TaskType):
    """Calls a function. Subclasses, one for each backend, are made by `register_type`."""

    alias: ClassVar[str]
    options: ClassVar[BackendOptions]
    params_serializer = CallSerializer
    description = "Calls a function of this project, which its code has enqueued by django.tasks."
    is_internal = True  # a client must not choose the function that a worker calls
    leaves_results = True
    first_limit = max_limit = 1  # a call is a record

    def prepare_chunks(self, chunks: Sequence[Chunk]) -> _Prepared:
        """Find the function, send task_started, and call it here if it is to run outside of a transaction."""
        [chunk] = chunks
        call = read_call(chunk.params)
        try:
            task = find_task(call, alias=self.alias)
        except Exception as error:
            raise HopelessError(str(error)) from error
        prepared = _Prepared(task, call, make_running(chunk, task, call))
        if not chunk.state:
            task_started.send_robust(sender=type(task_backends[self.alias]), task_result=prepared.result)
        if self._is_in_transaction(task):
            return prepared
        return replace(prepared, is_done=True, returned=_run(prepared, chunk))

    def run_chunks(self, chunks: Sequence[Chunk], prepared: _Prepared) -> list[ChunkResult]:
        [chunk] = chunks
        returned = prepared.returned if prepared.is_done else _run(prepared, chunk)
        if isinstance(returned, NextChunk):
            return [ChunkResult(done=1, counts=returned.counts, finished=False, state={_CURSOR: returned.cursor})]
        return [ChunkResult(done=1, counts={}, finished=True, result=returned)]

    def on_end(
        self, *, task_id: uuid.UUID, params: Mapping[str, Any], status: str, error: BaseException | None
    ) -> None:
        """Send task_finished. The result is read from the stores, so receivers see what everybody sees."""
        backend = task_backends[self.alias]
        result = backend.get_result(str(task_id))
        try:
            if error is not None:
                raise error
            task_finished.send_robust(sender=type(backend), task_result=result)
        except BaseException as raised:
            if raised is not error:
                raise
            # As the framework's own backends do: receivers log the exception that is being handled.
            task_finished.send_robust(sender=type(backend), task_result=result)

    def _is_in_transaction(self, task: Task) -> bool:
        own = task.transaction if isinstance(task, LongtasksTask) else None
        return self.options.transaction if own is None else own


def _run(prepared: _Prepared, chunk: Chunk) -> Any:
    """Call the function. A coroutine runs in a loop of its own, and its queries in this thread, on this connection."""
    task, call = prepared.task, prepared.call
    context = [TaskContext(task_result=prepared.result)] if task.takes_context else []
    cursor = {_CURSOR: chunk.state[_CURSOR]} if chunk.state else {}
    returned = task.call(*context, *call.args, **{**call.kwargs, **cursor})
    return returned if isinstance(returned, NextChunk) else normalize_json(returned)


def get_type_name(alias: str) -> str:
    """Return the name of the task type of a backend's functions."""
    return NAME if alias == _DEFAULT_ALIAS else f"{NAME}-{alias}"[:NAME_CHARACTERS]


def register_type(alias: str, options: BackendOptions) -> None:
    """Register the task type of a backend's functions; again, if its options have changed."""
    attributes = {
        "__doc__": FunctionTask.__doc__,
        "__module__": FunctionTask.__module__,
        "name": get_type_name(alias),
        "alias": alias,
        "options": options,
        "attempts": options.attempts if options.attempts > settings.LONGTASKS.retry_attempts else None,
        "error_attempts": options.attempts,
        "chunk_timeout_seconds": options.timeout,
    }
    register(cast(type[FunctionTask], type("FunctionTask", (FunctionTask,), attributes)))
