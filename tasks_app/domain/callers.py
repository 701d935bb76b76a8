"""The caller: the identity and the rights of a request through API, admin or command line.

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
    """The person or client that starts, reads or changes tasks."""

    owner: str  # owner of the tasks that this caller starts
    scope: str  # READ, WRITE or ADMIN; "" for an unknown caller, who has no rights
    actor: str = ""  # the name in a task's history
    token_id: int = 0  # of the token in the request; 0 without a token

    @property
    def sees_all(self) -> bool:
        """Return whether this caller may read and change the tasks of all owners."""
        return self.scope == ADMIN

    @property
    def sees_owner(self) -> str | None:
        """Return the owner whose tasks this caller may read and change; None: all owners."""
        return None if self.sees_all else self.owner

    def may_touch(self, owner: str) -> bool:
        """Return whether this caller may read and change a task of that owner."""
        return self.sees_all or (bool(self.scope) and owner == self.owner)


ANONYMOUS: Final = Caller(owner="", scope="")
COMMAND_LINE: Final = Caller(owner="", scope=ADMIN)  # a user of `manage.py` has access to the tables anyway


def get_starting_scope(scope: str) -> str:
    """Return the scope of a task's start from a snapshot's field: ADMIN if the field is ADMIN, else WRITE.

    WRITE is the weakest scope that may start a task. The field is empty in a snapshot that was made from a row, which has
    no column for the scope, or that an older version wrote.
    """
    return ADMIN if scope == ADMIN else WRITE
