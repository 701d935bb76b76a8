"""Who starts a task: in whose name, and how far they may reach. API, admin and command line all make one of these.

Owns what a scope means for the tasks of others. Must not know tokens, requests or stores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

READ: Final = "read"
WRITE: Final = "write"
ADMIN: Final = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """The one who starts, sees or changes tasks."""

    owner: str  # whose the tasks are that this caller starts
    scope: str  # READ, WRITE or ADMIN; "" where nobody is known, who may touch nothing
    actor: str = ""  # the name in a task's history
    token_id: int = 0  # of the token that they sent; 0 without one

    @property
    def sees_all(self) -> bool:
        """Tell whether the tasks of all owners are this caller's to see and touch."""
        return self.scope == ADMIN

    @property
    def sees_owner(self) -> str | None:
        """Return whose tasks this caller may see and touch; None: all."""
        return None if self.sees_all else self.owner

    def may_touch(self, owner: str) -> bool:
        """Tell whether a task of that owner is this caller's to see and touch."""
        return self.sees_all or (bool(self.scope) and owner == self.owner)


NOBODY: Final = Caller(owner="", scope="")
COMMAND_LINE: Final = Caller(owner="", scope=ADMIN)  # who may run `manage.py` may do anything with the tables


def get_starting_scope(scope: str) -> str:
    """Return the scope of a task's start as a snapshot tells it: ADMIN only where it says so, else WRITE.

    WRITE is the least that starts a task. A snapshot says nothing where it was made from a row, which has no column
    for the scope, or was written by a version that knows no scopes.
    """
    return ADMIN if scope == ADMIN else WRITE
