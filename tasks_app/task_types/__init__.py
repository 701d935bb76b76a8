"""Task types: what a kind of long-running work must offer, and the registry that knows them by name.

Owns the interface between the engine and the work. Must not know queues, workers or any concrete type.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeVar

from django.conf import settings
from rest_framework import serializers

from tasks_app.domain.callers import WRITE, Caller
from tasks_app.domain.error_text import describe_value
from tasks_app.domain.priorities import LOW
from tasks_app.errors import NotAllowed, UnknownTaskType
from tasks_app.task_types.task_id_field import TaskIdField

# All that the module of a task type needs, from here.
__all__ = ["Caller", "Chunk", "ChunkResult", "HopelessError", "NotAllowed", "TaskIdField", "TaskType", "register"]

NAME_CHARACTERS: Final = 64  # of a task type: the column's length
_NAME: Final = re.compile(r"[^|\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,64}\Z")
_COUNT_NAME: Final = re.compile(r"[A-Za-z_][\w.-]{0,63}\Z", re.ASCII)
_COUNT_NAMES: Final = 32
_DESCRIPTION_CHARACTERS: Final = 200


class HopelessError(Exception):
    """Raised by a task type: another attempt would end the same way, so the task is failed at once.

    For what no retry can mend: a file that is gone, an account that is closed. `raise HopelessError(…) from error`
    keeps the cause in the task's error.
    """


@dataclass(frozen=True, slots=True)
class Chunk:
    """One slice of one task: what the runner asks a task type to do in one transaction."""

    task_id: uuid.UUID
    params: Mapping[str, Any]  # validated when the task was started, as JSON holds them ({"numRecords": 100})
    start: int  # records that earlier chunks have committed
    limit: int  # do at most this many records
    total: int | None  # all records of the task; None: unknown until it is done
    state: Mapping[str, Any]  # what the last committed chunk returned as its state; {} at first
    # Tells, without SQL, whether the task shall be canceled: for a chunk that takes long and wants to hear of it early.
    is_canceled: Callable[[], bool] = field(default=lambda: False, compare=False, repr=False)
    owner: str = ""  # who started the task; "" where that was the command line, or the API is open
    # With which scope: "admin" or "write"; "write" also where that is not known any more (see docs/architecture.md).
    scope: str = WRITE


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What a task type did in one chunk; the runner adds it to the checkpoint in the same transaction."""

    done: int  # records of this chunk
    counts: Mapping[str, int]  # rows by name, e.g. {"users": 100}; the runner adds them up
    state: Mapping[str, Any] = field(default_factory=dict)  # kept with the checkpoint; JSON
    finished: bool | None = None  # None: finished when start + done >= total


class TaskType:
    """A registered kind of long-running work.

    Subclass it, name it, implement `run_chunk`, and decorate it with `register`. The runner opens the
    transaction, so all that `run_chunk` writes to the default database commits together with the task's
    checkpoint, or not at all. A chunk may run twice (when a worker died before its commit), so what it does
    outside of the transaction must bear repeating.
    """

    name: ClassVar[str]
    params_serializer: ClassVar[type[serializers.Serializer[Any]]]  # validates the request's `params`
    description: ClassVar[str] = ""  # what its tasks do, in one sentence; in English, marked by gettext_noop
    count_names: ClassVar[tuple[str, ...]] = ()  # keys of `insertedRecords`, 0 from the start
    first_limit: ClassVar[int] = 500  # records of the first chunk; then adapted to CHUNK_SECONDS
    max_limit: ClassVar[int] = 20_000  # records of a chunk at most
    shareable: ClassVar[bool] = False  # may small tasks of this type share one transaction?
    splittable: ClassVar[bool] = False  # may a big task be split into ranges that run at the same time?
    chunk_timeout_seconds: ClassVar[float | None] = None  # longest time of a chunk; None: JOB_TIMEOUT_SECONDS
    queue: ClassVar[str] = LOW  # of QUEUES; where its tasks wait, but those of priority high or 1 to 3
    undoes: ClassVar[str] = ""  # the parameter, a TaskIdField, that names a task whose rows this type deletes

    def total(self, params: Mapping[str, Any]) -> int | None:
        """Tell how many records the task has; None when only the end will tell. Runs in the request: no SQL.

        Where it raises or returns anything else, the request is accepted all the same, and the first attempt fails.
        """
        return None

    def authorize(self, params: Mapping[str, Any], caller: Caller) -> None:
        """Raise NotAllowed where the caller may not start a task with these params. Runs in the request, at every start
        and retry: ask for what lies at hand.

        Which tasks a TaskIdField names is looked up before: they are the caller's. Whatever else is raised or returned
        here refuses the start as well, with a 500.
        """
        return

    def prepare_split(self, *, task_id: uuid.UUID, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the state with which each shard of a task begins. Runs once a task, outside of a transaction."""
        return {}

    def prepare_chunks(self, chunks: Sequence[Chunk]) -> Any:
        """Do what needs no transaction (make data, reserve ids); its result is handed to `run_chunks`."""
        return None

    def run_chunks(self, chunks: Sequence[Chunk], prepared: Any) -> list[ChunkResult]:
        """Do one chunk of each given task, in the transaction that the runner opened; results in order."""
        return [self.run_chunk(chunk) for chunk in chunks]

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        """Do one chunk. Any exception rolls it back and counts as a failed attempt; HopelessError as the last one."""
        raise NotImplementedError(f"{type(self).__name__} must implement run_chunk or run_chunks")

    def count_rows(self, task_id: uuid.UUID) -> Mapping[str, int] | None:
        """Count the rows that a task has in the tables, by the names of `counts`; None where that can't be told."""
        return None


_registry: dict[str, TaskType] = {}
TaskTypeClass = TypeVar("TaskTypeClass", bound=type[TaskType])


def register(task_type_class: TaskTypeClass) -> TaskTypeClass:
    """Make a task type known under its name. A class decorator; modules `task_types` are imported at start-up.

    Raises ValueError when another class holds the name, or when the class declares what can't be used.
    """
    check_declaration(task_type_class)
    name = task_type_class.name
    known = _registry.get(name)
    if known is not None and type(known).__qualname__ != task_type_class.__qualname__:
        raise ValueError(f"task type {name!r} is registered twice: {type(known)} and {task_type_class}")
    _registry[name] = task_type_class()
    return task_type_class


def check_declaration(task_type_class: type[TaskType]) -> None:
    """Raise ValueError, with all that is wrong, for a task type whose class attributes can't be used."""
    wrong: list[str] = []

    def check(attribute: str, accepted: str, is_right: Any) -> None:
        value = getattr(task_type_class, attribute, None)
        if not is_right(value):
            wrong.append(f"{attribute} is {describe_value(value)}; accepted: {accepted}")

    check(
        "name",
        f"a str of 1 to {NAME_CHARACTERS} characters, without | and control characters",
        lambda value: type(value) is str and _NAME.match(value),
    )
    check(
        "params_serializer",
        "a subclass of rest_framework.serializers.Serializer",
        lambda value: isinstance(value, type) and issubclass(value, serializers.Serializer),
    )
    check(
        "count_names",
        f"a tuple of at most {_COUNT_NAMES} names of 1 to 64 ASCII letters, digits, _ . and -, each once",
        lambda value: (
            type(value) is tuple
            and len(value) <= _COUNT_NAMES
            and all(type(name) is str and _COUNT_NAME.match(name) for name in value)
            and len(set(value)) == len(value)
        ),
    )
    check(
        "description",
        f"a str of at most {_DESCRIPTION_CHARACTERS} characters",
        lambda value: type(value) is str and len(value) <= _DESCRIPTION_CHARACTERS,
    )
    for attribute in ("first_limit", "max_limit"):
        check(attribute, "an int from 1 on", lambda value: type(value) is int and value >= 1)
    check(
        "queue",
        f"a queue that the setting QUEUES names ({', '.join(settings.LONGTASKS.queues)})",
        lambda value: type(value) is str and value in settings.LONGTASKS.queues,
    )
    for attribute in ("shareable", "splittable"):
        check(attribute, "True or False", lambda value: type(value) is bool)
    check(
        "undoes",
        "the name of a parameter that is a TaskIdField, so that its owner is looked up; or empty",
        lambda value: type(value) is str and (not value or _is_task_id(task_type_class, value)),
    )
    if wrong:
        raise ValueError(f"task type {task_type_class.__qualname__}: {'. '.join(wrong)}.")


def _is_task_id(task_type_class: type[TaskType], name: str) -> bool:
    params_serializer: Any = getattr(task_type_class, "params_serializer", None)
    if not (isinstance(params_serializer, type) and issubclass(params_serializer, serializers.Serializer)):
        return True  # which is said on its own
    return any(isinstance(field, TaskIdField) and field.source == name for field in params_serializer().fields.values())


def unregister(name: str) -> None:
    """Forget a task type (for tests that register their own)."""
    _registry.pop(name, None)


def get_task_type(name: str) -> TaskType:
    """Return the task type of that name, or raise UnknownTaskType that lists the known ones."""
    try:
        return _registry[name]
    except (KeyError, TypeError):
        raise UnknownTaskType(name=name, known=sorted(_registry)) from None


def find_own_queue(name: str) -> str:
    """Return the queue of a task type; `low` for a type that this process does not know."""
    task_type = _registry.get(name)
    return LOW if task_type is None else task_type.queue


def list_names() -> list[str]:
    """Return the names of all registered task types, sorted."""
    return sorted(_registry)


def get_limit_seconds(task_type: TaskType) -> float:
    """Return how long a chunk of a task type may take."""
    return task_type.chunk_timeout_seconds or float(settings.LONGTASKS.job_timeout_seconds)


def list_task_types() -> list[TaskType]:
    """Return all registered task types, by name."""
    return [_registry[name] for name in sorted(_registry)]
