"""The kinds of rules: what an endpoint of the API, a page of the admin, or a fixed answer gives to each caller."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from tests.security.callers import NOT_STAFF, OTHERS, SCOPES, SUPERUSER, Caller
from tests.security.doors import Door

Statuses = Collection[int]
READS: Final = ("GET", "HEAD", "OPTIONS")
ANYBODY: Final = frozenset({"anybody"})
ANY_STAFF: Final = frozenset({"any member of the staff"})
NO_ONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Api:
    """An endpoint: the scope that each of its methods takes. Every other method is refused, after the scope."""

    methods: dict[str, int] = field(default_factory=dict)  # method: status of the success
    reads: str = "read"  # the scope that GET, HEAD and OPTIONS take
    writes: str = "write"  # the scope that the other methods take
    of_one_owner: bool = False  # another owner's caller gets 404, as for an unknown task
    options: int = 204
    head: bool = True  # HEAD is answered as GET

    def expect(self, caller: Caller, door: Door) -> tuple[bool, Statuses]:
        """Return whether this caller is allowed, and the expected statuses."""
        needs = self.reads if door.method in READS else self.writes
        if needs != "nobody":
            if caller.name not in SCOPES:
                return False, {401}
            if SCOPES[caller.name] < SCOPES[needs]:
                return False, {403}
        if door.method == "OPTIONS":
            return False, {self.options}
        status = self.methods.get("GET" if door.method == "HEAD" and self.head else door.method)
        if status is None:
            return False, {405}
        if self.of_one_owner and caller.name in OTHERS:
            return False, {404}
        return True, {status}

    def __str__(self) -> str:
        who = " or ".join(dict.fromkeys(self.reads if name in READS else self.writes for name in self.methods))
        who = "anybody" if "nobody" in who else f"a token of scope {who}"
        return who + (" of the owner's" if self.of_one_owner else "")


@dataclass(frozen=True, slots=True)
class Admin:
    """A page of the dashboard: others are redirected to the login, staff without a permission of `may` get `no`."""

    may: frozenset[str]
    post: frozenset[str] | None = None  # who may POST, if different
    ok: Statuses = (200,)
    post_ok: Statuses = (200,)
    no: Statuses = (403,)
    only: Collection[str] = ()  # its methods; any other is refused with 405
    changes: bool = False  # a POST changes something, and the test sees it

    def expect(self, caller: Caller, door: Door) -> tuple[bool, Statuses]:
        """Return whether this caller is allowed, and the expected statuses."""
        if self.may is not ANYBODY and (not caller.is_session or caller.name in NOT_STAFF):
            return False, {302}
        if self.only and door.method not in self.only:
            return False, {405}
        is_post = door.method == "POST"
        who = self.post if is_post and self.post is not None else self.may
        if who in (ANYBODY, ANY_STAFF) or caller.permission in who or (who and caller.name == SUPERUSER):
            return True, self.post_ok if is_post else self.ok
        return False, self.no

    def __str__(self) -> str:
        reads, writes = ", ".join(sorted(self.may)) or "no one", ", ".join(sorted(self.post or ()))
        return reads if self.post is None else f"{reads}; POST: {writes or 'no one'}"

    @property
    def permissions(self) -> set[str]:
        return {name for name in self.may | (self.post or NO_ONE) if "." in name}


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same answer for everybody."""

    get: int
    other: int

    def expect(self, caller: Caller, door: Door) -> tuple[bool, Statuses]:
        """Return what everybody gets."""
        return False, {self.get if door.method in ("GET", "HEAD") else self.other}

    def __str__(self) -> str:
        return f"anybody: {self.get}"


Rule = Api | Admin | Fixed
