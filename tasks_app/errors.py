"""The errors of commands and queries: what was wrong, with which value, and what to do. No HTTP here."""

from __future__ import annotations

from collections.abc import Sequence


class LongtasksError(Exception):
    """Base of every error that a caller of commands and queries may meet."""


class UnknownTaskType(LongtasksError):
    def __init__(self, *, name: object, known: Sequence[str]) -> None:
        self.name, self.known = name, tuple(known)
        super().__init__(f"Unknown task type {name!r}. Known: {', '.join(known) or 'none'}.")


class UnknownTask(LongtasksError):
    """No such task, or not the caller's."""

    def __init__(self, task_id: object) -> None:
        self.task_id = task_id
        super().__init__(f"There is no task {str(task_id)[:64]!r}.")


class NamedTaskUnknown(LongtasksError):
    """Parameters name tasks that do not exist, or are not the caller's: the two are not told apart. Nothing was done."""

    message = "There is no such task."

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = tuple(fields)
        shown = ", ".join(self.fields[:5])
        super().__init__(f"{shown}: there is no such task, or it is not the owner's. Nothing was done.")


class NotAllowed(LongtasksError):
    """The caller may see what the parameters name, but not do this with it. Nothing was done.

    Raised by `TaskType.authorize`: `reason` is shown to the caller, `field` is the parameter that it is about.
    """

    def __init__(self, reason: str, *, field: str = "") -> None:
        self.reason, self.field = reason, field
        super().__init__(f"{field}: {reason}" if field else reason)


class AuthorizationFailed(LongtasksError):
    """The task type could not say whether the caller may start it, so nothing was started: a bug of its `authorize`."""

    def __init__(self, name: str, what: str) -> None:
        self.name = name
        super().__init__(f"Task type {name!r}: authorize {what}. Nothing was started: mend the task type.")


class UnknownQueue(LongtasksError):
    def __init__(self, queue: object, known: Sequence[str]) -> None:
        self.queue = queue
        super().__init__(f"There is no queue {str(queue)[:64]!r}. Known: {', '.join(known)}.")


class TaskEnded(LongtasksError):
    """The task has ended in a way that does not allow what was asked."""

    def __init__(self, *, task_id: str, status: str, wanted: str) -> None:
        self.task_id, self.status = task_id, status
        super().__init__(f"Task {task_id} is {status}: it can't {wanted}.")


class TaskNotEnded(LongtasksError):
    """The task is still on its way, so it can't be retried."""

    def __init__(self, *, task_id: str, status: str) -> None:
        self.task_id, self.status = task_id, status
        super().__init__(f"Task {task_id} is {status}: only a failed, stopped or canceled task can be retried.")


class TaskNotWaiting(LongtasksError):
    """The task waits in no queue, so it can't change to another."""

    def __init__(self, *, task_id: str, status: str) -> None:
        self.task_id, self.status = task_id, status
        super().__init__(f"Task {task_id} is {status}: only a queued or scheduled task can change its priority.")


class QueueFull(LongtasksError):
    """Admission refused: as many tasks wait as the queue's bound allows. Nothing was enqueued."""

    def __init__(self, *, queue: str, waiting: int, bound: int, retry_after_seconds: int) -> None:
        self.queue, self.waiting, self.bound = queue, waiting, bound
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"Queue {queue} is full: {waiting} tasks wait, {bound} may. Try again later.")


class QueueUnavailable(LongtasksError):
    """Redis did not answer in time. Whether the last command took effect is not known."""

    retry_after_seconds = 2

    def __init__(self, cause: object = "") -> None:
        super().__init__(f"The queue (Redis) does not answer. Try again. {cause}".strip())


class StoreUnavailable(LongtasksError):
    """The database did not answer."""

    retry_after_seconds = 2

    def __init__(self, cause: object = "") -> None:
        super().__init__(f"The database does not answer. Try again. {cause}".strip())


class UnsureToken(StoreUnavailable):
    """The token is none that this process knows, and the database, which may know it, does not answer."""


class IdempotencyMismatch(LongtasksError):
    """The idempotency key was used before, with another body. Nothing was enqueued."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__("This Idempotency-Key was used with a different body. Use a new key for a new task.")
