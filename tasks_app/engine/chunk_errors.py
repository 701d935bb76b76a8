"""The errors of a chunk that are the task's own: its code failed, misused the transaction, or took too long.

Owns these types. Must not decide what follows from one.
"""

from __future__ import annotations


class TaskCodeFailed(Exception):
    """The code of a task type raised. Whatever it was, the task's attempt fails."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(repr(type(error)))
        self.error = error


class TransactionMisused(Exception):
    """The task type used the connection in a way that would not let its chunk commit as a whole."""


class TransactionBroken(TransactionMisused):
    """The task type caught a database error that had broken its transaction. One of the chunk's records may cause it."""


class ChunkTimeout(BaseException):
    """The chunk took longer than its task type allows. Not an Exception, so that `except Exception` does not catch it."""
