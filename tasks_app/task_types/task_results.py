"""Checks what task types return, before anything of it is committed.

Owns which totals, counts, states and plans are valid. A value that could not be stored, added up or shown later is refused
here, with the task type, the field, the value and what would be accepted. Must not know stores, tasks or workers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tasks_app.domain.error_text import describe_value, error_line
from tasks_app.domain.plain_json import JsonCopy, NotJson
from tasks_app.files.task_files import StoredFile
from tasks_app.task_types.row_changes import RowChange
from tasks_app.task_types.task_plans import PARTS, Part, Plan
from tasks_app.task_types.task_type import Chunk, ChunkResult, TaskType

MOST: Final = 2**63 - 1  # of every count: the columns' own limit
COUNT_NAMES: Final = 32  # of one result
NAME_CHARACTERS: Final = 64
STATE_BYTES: Final = 64 * 1024  # as JSON
RESULT_BYTES: Final = 16 * 1024  # as JSON
ARTIFACTS: Final = 100  # of one chunk, and as many are listed of a task
_DECLARE: Final = "none: declare leaves_results = True in the class of the task type"
_COUNT_NAME: Final = re.compile(r"[^|\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,64}\Z")


class InvalidTaskResult(Exception):
    """A task type returned an invalid value: the attempt fails, and nothing of it is committed."""

    def __init__(self, *, task_type: TaskType, field: str, value: object, accepted: str) -> None:
        self.field = field
        super().__init__(
            f"task type {task_type.name!r}: {field[:200]} is {describe_value(value)}; accepted: {accepted}"
        )


def check_results(
    results: object, *, task_type: TaskType, chunks: Sequence[Chunk], committed: Sequence[Mapping[str, int]] = ()
) -> list[tuple[ChunkResult, bool]]:
    """Return what `run_chunks` returned as `check_result` does: one result for each chunk, in their order.

    Raises InvalidTaskResult, also if it is not a list of as many results as there are chunks.
    """
    if type(results) not in (list, tuple):
        accepted = "a list with a ChunkResult for each chunk"
        raise InvalidTaskResult(task_type=task_type, field="the result of run_chunks", value=results, accepted=accepted)
    if len(results) != len(chunks):  # type: ignore[arg-type]
        accepted = f"{len(chunks)}, one for each chunk"
        raise InvalidTaskResult(
            task_type=task_type,
            field="the number of results of run_chunks",
            value=len(results),  # type: ignore[arg-type]
            accepted=accepted,
        )
    return [
        check_result(
            result, task_type=task_type, chunk=chunk, committed=committed[place] if place < len(committed) else {}
        )
        for place, (result, chunk) in enumerate(zip(results, chunks, strict=True))  # type: ignore[call-overload]
    ]


def check_result(
    result: object, *, task_type: TaskType, chunk: Chunk, committed: Mapping[str, int] | None = None
) -> tuple[ChunkResult, bool]:
    """Return a chunk's result in plain values, and whether that chunk was the task's last one.

    `committed` are the counts of the chunks before. The mappings are copied: what was checked is what is written.
    Raises InvalidTaskResult.
    """
    if type(result) is not ChunkResult and not isinstance(result, ChunkResult):
        raise InvalidTaskResult(
            task_type=task_type, field="the result of run_chunk", value=result, accepted="a ChunkResult"
        )
    done, finished = result.done, result.finished
    most = max(0, min(chunk.limit, MOST - chunk.start))
    if type(done) is not int or not 0 <= done <= most:
        raise InvalidTaskResult(
            task_type=task_type, field="done", value=done, accepted=f"an int from 0 to {most}, the chunk's limit"
        )
    if finished is not None and type(finished) is not bool:
        raise InvalidTaskResult(task_type=task_type, field="finished", value=finished, accepted="True, False or None")
    checked = ChunkResult(
        done=done,
        counts=_check_counts(result.counts, task_type=task_type, committed=committed or {}),
        state=check_state(result.state, task_type=task_type),
        finished=finished,
        result=_check_task_result(result.result, task_type=task_type),
        artifacts=_check_artifacts(result.artifacts, task_type=task_type),
        changes=_check_changes(result.changes, task_type=task_type, chunk=chunk),
    )
    return checked, _is_last(checked, task_type=task_type, chunk=chunk)


def check_total(value: object, *, task_type: TaskType) -> int | None:
    """Return the total of a task, or raise InvalidTaskResult."""
    if value is None or (type(value) is int and 0 <= value <= MOST):
        return value
    raise InvalidTaskResult(
        task_type=task_type, field="total()", value=value, accepted="None, or an int from 0 to 2**63 - 1"
    )


def read_total(task_type: TaskType, params: Mapping[str, Any]) -> int | None:
    """Return the total of a new task; None also if `total()` fails. Never raises.

    A fault of the task type must not refuse the client's request: the task's first attempt fails instead, in
    `check_total_again`.
    """
    try:
        value = task_type.total(params)
    except BaseException:  # also SystemExit: it must not end the web process
        return None
    return value if type(value) is int and 0 <= value <= MOST else None


def check_total_again(task_type: TaskType, params: Mapping[str, Any]) -> int | None:
    """Return the total of a task that has none yet; its worker counts an error as a failed attempt.

    Raises InvalidTaskResult; InvalidTaskTotal if `total()` raises.
    """
    try:
        value = task_type.total(params)
    except BaseException as error:
        raise InvalidTaskTotal(task_type, error) from error
    return check_total(value, task_type=task_type)


class InvalidTaskTotal(InvalidTaskResult):
    """`total()` of a task type raised."""

    def __init__(self, task_type: TaskType, error: BaseException) -> None:
        self.field = "total()"
        Exception.__init__(
            self,
            f"task type {task_type.name!r}: total() raised {error_line(error, characters=200)}; accepted: None, or an "
            f"int from 0 to 2**63 - 1",
        )


def _is_last(result: ChunkResult, *, task_type: TaskType, chunk: Chunk) -> bool:
    if result.finished is not None:
        return result.finished
    if chunk.total is None:
        accepted = "True or False, in every ChunkResult of a task type without a total"
        raise InvalidTaskResult(task_type=task_type, field="finished", value=None, accepted=accepted)
    if result.done == 0 and chunk.limit > 0:
        accepted = "1 or more, since the chunk did not say that the task is finished"
        raise InvalidTaskResult(task_type=task_type, field="done", value=0, accepted=accepted)
    return chunk.start + result.done >= chunk.total


def _check_task_result(result: object, *, task_type: TaskType) -> Any:
    if result is None:
        return None
    if not task_type.leaves_results:
        raise InvalidTaskResult(task_type=task_type, field="result", value=result, accepted=_DECLARE)
    try:
        return JsonCopy(most_bytes=RESULT_BYTES).copy(result)
    except NotJson as error:
        raise InvalidTaskResult(
            task_type=task_type, field=f"result{error.path}", value=error.value, accepted=error.accepted
        ) from None


def _check_artifacts(artifacts: object, *, task_type: TaskType) -> tuple[StoredFile, ...]:
    if not isinstance(artifacts, (list, tuple)) or not all(type(each) is StoredFile for each in artifacts):
        accepted = "a list of what write_artifact has returned"
        raise InvalidTaskResult(task_type=task_type, field="artifacts", value=artifacts, accepted=accepted)
    if artifacts and not task_type.leaves_results:
        raise InvalidTaskResult(task_type=task_type, field="artifacts", value=artifacts, accepted=_DECLARE)
    if len(artifacts) > ARTIFACTS:
        accepted = f"at most {ARTIFACTS} in a chunk"
        raise InvalidTaskResult(
            task_type=task_type, field="the number of artifacts", value=len(artifacts), accepted=accepted
        )
    return tuple(artifacts)


def _check_changes(changes: object, *, task_type: TaskType, chunk: Chunk) -> tuple[RowChange, ...]:
    """Return as many changes of a dry run as are wanted; none of another task."""
    if not isinstance(changes, (list, tuple)) or not all(
        type(each) is RowChange and type(each.offset) is int and 0 <= each.offset < max(1, chunk.limit)
        for each in changes[: chunk.changes_wanted]
    ):
        accepted = f"a list of RowChange, each with an offset from 0 to {max(1, chunk.limit) - 1}"
        raise InvalidTaskResult(task_type=task_type, field="changes", value=changes, accepted=accepted)
    return tuple(changes[: chunk.changes_wanted])


def _check_counts(counts: object, *, task_type: TaskType, committed: Mapping[str, int]) -> dict[str, int]:
    if not isinstance(counts, Mapping):
        accepted = "a mapping of names to numbers of rows"
        raise InvalidTaskResult(task_type=task_type, field="counts", value=counts, accepted=accepted)
    declared = task_type.count_names
    checked: dict[str, int] = {}
    for key in counts:
        number = counts[key]
        if type(key) is not str or not _COUNT_NAME.match(key) or (declared and key not in declared):
            accepted = (
                f"one of count_names: {', '.join(declared)}"
                if declared
                else f"a str of 1 to {NAME_CHARACTERS} characters, without | and control characters"
            )
            raise InvalidTaskResult(task_type=task_type, field="a key of counts", value=key, accepted=accepted)
        if type(number) is not int or not 0 <= number <= MOST:
            accepted = "an int from 0 to 2**63 - 1"
            raise InvalidTaskResult(task_type=task_type, field=f"counts[{key!r}]", value=number, accepted=accepted)
        if number + committed.get(key, 0) > MOST:
            accepted = f"at most {MOST - committed.get(key, 0)}: the sum with the chunks before is limited to 2**63 - 1"
            raise InvalidTaskResult(task_type=task_type, field=f"counts[{key!r}]", value=number, accepted=accepted)
        checked[key] = number
        if len(checked) > COUNT_NAMES or (not declared and len(committed.keys() | checked.keys()) > COUNT_NAMES):
            accepted = f"at most {COUNT_NAMES} names in all chunks of a task"
            raise InvalidTaskResult(task_type=task_type, field="a key of counts", value=key, accepted=accepted)
    return checked


def check_state(state: object, *, task_type: TaskType) -> dict[str, Any]:
    """Return the state of a chunk, or of a shard before its first one, in plain values, or raise InvalidTaskResult."""
    if not isinstance(state, Mapping):
        accepted = "a mapping of JSON values"
        raise InvalidTaskResult(task_type=task_type, field="state", value=state, accepted=accepted)
    try:
        return JsonCopy(most_bytes=STATE_BYTES).copy(state)  # type: ignore[no-any-return]
    except NotJson as error:
        raise InvalidTaskResult(
            task_type=task_type, field=f"state{error.path}", value=error.value, accepted=error.accepted
        ) from None


def check_plan(plan: object, *, task_type: TaskType) -> Plan:
    """Return the plan of a task in plain values, without parts if there is only one, or raise InvalidTaskResult."""
    if not isinstance(plan, Plan):
        raise InvalidTaskResult(task_type=task_type, field="make_plan()", value=plan, accepted="a Plan")
    if not isinstance(plan.parts, (list, tuple)) or len(plan.parts) > PARTS:
        accepted = f"a list or tuple of at most {PARTS} Parts"
        raise InvalidTaskResult(task_type=task_type, field="make_plan().parts", value=plan.parts, accepted=accepted)
    parts = []
    for part in plan.parts:
        if not isinstance(part, Part):
            accepted = "a Part(state, size)"
            raise InvalidTaskResult(task_type=task_type, field="a part of make_plan()", value=part, accepted=accepted)
        size = _check_number(part.size, least=1, field="the size of a part of make_plan()", task_type=task_type)
        parts.append(Part(check_state(part.state, task_type=task_type), size))
    return Plan(
        total=_check_number(plan.total, least=0, field="make_plan().total", task_type=task_type),
        is_estimate=bool(plan.is_estimate),
        state=check_state(plan.state, task_type=task_type),
        parts=tuple(parts) if len(parts) > 1 else (),
    )


def _check_number(value: object, *, least: int, field: str, task_type: TaskType) -> int:
    if type(value) is int and least <= value <= MOST:
        return value
    accepted = f"an int from {least} to 2**63 - 1"
    raise InvalidTaskResult(task_type=task_type, field=field, value=value, accepted=accepted)
