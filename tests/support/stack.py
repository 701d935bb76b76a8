"""The Procfile stack, for tests: the names of `loadtests.started.stack`.

Owns: nothing; the load tests need the stack without the tests.
Must not: start a process.
"""

from loadtests.started.stack import ALL_ROLES, ENDED, TABLES, Answer, ProcfileStack

__all__ = ["ALL_ROLES", "ENDED", "TABLES", "Answer", "ProcfileStack"]
