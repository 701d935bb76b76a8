"""The errors of services and queries: what was wrong, with which value, and what to do.

Owns their messages. Must not know HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence


class HopelessError(Exception):
    """Raised by a task type if another attempt would fail in the same way: the task fails at once.

    Examples: a file that no longer exists, an account that is closed. `raise HopelessError(…) from error` keeps the
    cause in the task's error.
    """


class LongtasksError(Exception):
    """Base class of the errors that services and queries raise for their callers."""


class UnknownTaskType(LongtasksError):
    def __init__(self, *, name: object, known: Sequence[str]) -> None:
        self.name, self.known = name, tuple(known)
        super().__init__(f"Unknown task type {name!r}. Known: {', '.join(known) or 'none'}.")


class UnknownTask(LongtasksError):
    """The task does not exist, or the caller does not own it."""

    def __init__(self, task_id: object) -> None:
        self.task_id = task_id
        super().__init__(f"There is no task {str(task_id)[:64]!r}.")


class NamedTaskUnknown(LongtasksError):
    """Parameters name tasks that do not exist or that the caller does not own; both give this error. Nothing was done."""

    message = "There is no such task."

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = tuple(fields)
        shown = ", ".join(self.fields[:5])
        super().__init__(f"{shown}: there is no such task, or it is not the owner's. Nothing was done.")


class UnknownFile(LongtasksError):
    """The file does not exist, has expired, or the caller does not own it."""

    def __init__(self, file_id: object) -> None:
        self.file_id = file_id
        super().__init__(f"There is no file {str(file_id)[:64]!r}." if file_id else "There is no such file.")


class LinkExpired(LongtasksError):
    """The link to a file was valid, and its time is over."""

    def __init__(self) -> None:
        super().__init__("The link has expired. Request the task again: it has a new link.")


class NamedFileUnknown(NamedTaskUnknown):
    """Parameters name files that do not exist, have expired, or belong to another owner; all give this error."""

    message = "There is no such file."

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = tuple(fields)
        shown = ", ".join(self.fields[:5])
        LongtasksError.__init__(
            self,
            f"{shown}: there is no such file, it has expired, or it is not the owner's. Nothing was done: upload the "
            "file again.",
        )


class FileInUse(LongtasksError):
    """A task that exists names the file, so it cannot be deleted."""

    def __init__(self, *, file_id: object, task_id: object) -> None:
        self.file_id, self.task_id = file_id, task_id
        super().__init__(f"File {file_id} is named by task {task_id}: it is kept as long as the task.")


class FileTooLarge(LongtasksError):
    def __init__(self, *, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(
            f"A file may have at most {limit_bytes} bytes. Split the file, compress it, or raise FILE_BYTES."
        )


class FilesUnavailable(LongtasksError):
    """The storage of files did not do what was requested. The cause is in the log."""

    retry_after_seconds = 10

    def __init__(self, cause: object = "") -> None:
        super().__init__(f"The storage of files does not answer. Try again. {cause}".strip())


class FilesFull(LongtasksError):
    """The storage of files has no space left."""

    def __init__(self, cause: object = "") -> None:
        super().__init__(
            "The storage of files has no space left. Delete files that you no longer need, or ask the operator to make "
            f"space. {cause}".strip()
        )


class NotAllowed(LongtasksError):
    """The caller may see the objects that the parameters name, but may not do this with them. Nothing was done.

    Raised by `TaskType.authorize`: `reason` is shown to the caller, `field` names the parameter.
    """

    def __init__(self, reason: str, *, field: str = "") -> None:
        self.reason, self.field = reason, field
        super().__init__(f"{field}: {reason}" if field else reason)


class ParamRefused(NotAllowed):
    """A parameter is not accepted, which only what it names could show, such as the header of a file. Nothing was done.

    Raised by `TaskType.authorize`, as NotAllowed is; the caller gets a 400 instead of a 403.
    """


class AuthorizationFailed(LongtasksError):
    """The task type's `authorize` failed, which is a bug in the task type. Nothing was started."""

    def __init__(self, name: str, what: str) -> None:
        self.name = name
        super().__init__(f"Task type {name!r}: authorize {what}. Nothing was started: fix the task type.")


class UnknownQueue(LongtasksError):
    def __init__(self, queue: object, known: Sequence[str]) -> None:
        self.queue = queue
        super().__init__(f"There is no queue {str(queue)[:64]!r}. Known: {', '.join(known)}.")


class TaskEnded(LongtasksError):
    """The task has ended, and its status does not allow the request."""

    def __init__(self, *, task_id: str, status: str, wanted: str) -> None:
        self.task_id, self.status = task_id, status
        super().__init__(f"Task {task_id} is {status}: it can't {wanted}.")


class TaskNotEnded(LongtasksError):
    """The task has not ended, so it can't be retried."""

    def __init__(self, *, task_id: str, status: str) -> None:
        self.task_id, self.status = task_id, status
        super().__init__(f"Task {task_id} is {status}: only a failed, stopped or canceled task can be retried.")


class FailuresNotRetried(LongtasksError):
    """The failed records of the task cannot be retried alone. Nothing was started."""

    def __init__(self, task_id: str, reason: str) -> None:
        self.task_id, self.reason = task_id, reason
        super().__init__(f"The failed records of task {task_id} cannot be retried: {reason}.")


class TaskNotWaiting(LongtasksError):
    """The task is not queued or scheduled, so its priority can't change."""

    def __init__(self, *, task_id: str, status: str) -> None:
        self.task_id, self.status = task_id, status
        super().__init__(f"Task {task_id} is {status}: only a queued or scheduled task can change its priority.")


class TaskBegun(LongtasksError):
    """The task has begun or ended, so its start can't change."""

    def __init__(self, *, task_id: str, status: str) -> None:
        self.task_id, self.status = task_id, status
        super().__init__(f"Task {task_id} is {status}: only a task that has not begun can change its start.")


class QueueFull(LongtasksError):
    """The queue has reached its admission limit. Nothing was enqueued."""

    def __init__(
        self, *, queue: str, waiting: int, bound: int, retry_after_seconds: int, are_scheduled: bool = False
    ) -> None:
        self.queue, self.waiting, self.bound = queue, waiting, bound
        self.retry_after_seconds = retry_after_seconds
        tasks = "scheduled tasks" if are_scheduled else "tasks"
        super().__init__(f"Queue {queue} is full: {waiting} {tasks} wait, the limit is {bound}. Try again later.")


class QueueUnavailable(LongtasksError):
    """Redis did not answer in time. The last command may or may not have taken effect."""

    retry_after_seconds = 2

    def __init__(self, cause: object = "") -> None:
        super().__init__(f"The queue (Redis) does not answer. Try again. {cause}".strip())


class StoreUnavailable(LongtasksError):
    """The database did not answer."""

    retry_after_seconds = 2

    def __init__(self, cause: object = "") -> None:
        super().__init__(f"The database does not answer. Try again. {cause}".strip())


class UnsureToken(StoreUnavailable):
    """The token is not in this process's cache, and the database does not answer, so its validity is unknown."""


class IdempotencyMismatch(LongtasksError):
    """The idempotency key was used before with a different body. Nothing was enqueued."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__("This Idempotency-Key was used with a different body. Use a new key for a new task.")
