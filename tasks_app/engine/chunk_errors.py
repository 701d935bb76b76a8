"""The errors of a chunk that are the task's own: its code failed, misused the transaction, or took too long.

Owns these types. Must not decide what follows from one.
"""

from __future__ import annotations


class TaskCodeFailed(Exception):
    """The code of a task type raised: whatever it was, it is the task's failure."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(repr(type(error)))
        self.error = error


class TransactionMisused(Exception):
    """The task type did something to the connection after which its chunk could not commit as a whole."""


class ChunkTimeout(BaseException):
    """The chunk took longer than its task type allows. Not an Exception: `except Exception` shall not swallow it."""
