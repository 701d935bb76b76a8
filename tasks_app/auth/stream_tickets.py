"""Tickets that each open one live stream, for EventSource in a browser, which cannot send an Authorization header.

Owns the tickets' keys in Redis, which hold a digest of the ticket, never the ticket. Must not know HTTP, nor check
the token that created a ticket: the caller that redeems the ticket does.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from tasks_app.errors import LongtasksError
from tasks_app.queues.redis_connection import get_connection, mapped_redis_errors

PREFIX: Final = "ltt_"
LIFETIME_SECONDS: Final = 30
TICKETS: Final = 300  # per token in LIFETIME_SECONDS; bounds the number of keys in Redis


class TooManyTickets(LongtasksError):
    """The token already created TICKETS tickets within LIFETIME_SECONDS."""

    def __init__(self, *, wait_seconds: float) -> None:
        super().__init__(f"Too many tickets: a token may create at most {TICKETS} in {LIFETIME_SECONDS} seconds.")
        self.wait_seconds = wait_seconds


@dataclass(frozen=True, slots=True)
class Ticket:
    """The token that created a ticket, and the task that the ticket is limited to."""

    token_id: int  # of the token that created it; 0: no token, API_OPEN is set
    task_id: str  # the only task whose stream it opens; "": any


def issue(ticket: Ticket) -> tuple[str, datetime]:
    """Create a ticket in Redis; return its secret, which is not stored, and the time when it expires.

    Raises TooManyTickets and QueueUnavailable.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    expires_at = datetime.now(UTC) + timedelta(seconds=LIFETIME_SECONDS)
    count_key = f"longtasks:tickets:{ticket.token_id}"
    with mapped_redis_errors():
        pipeline = get_connection().pipeline()
        pipeline.set(count_key, 0, ex=LIFETIME_SECONDS, nx=True)
        pipeline.incr(count_key)
        pipeline.pttl(count_key)
        _, issued, rest_ms = pipeline.execute()
        if issued > TICKETS:
            raise TooManyTickets(wait_seconds=max(1, math.ceil(rest_ms / 1000)))
        get_connection().set(_key(secret), f"{ticket.token_id}|{ticket.task_id}", ex=LIFETIME_SECONDS)
    return secret, expires_at


def redeem(secret: str) -> Ticket | None:
    """Consume a ticket and return it; None if it is unknown, used or expired.

    Raises QueueUnavailable.
    """
    if not secret.startswith(PREFIX):
        return None
    with mapped_redis_errors():
        value: bytes | None = get_connection().execute_command("GETDEL", _key(secret))
    token_id, _, task_id = (value or b"").decode(errors="replace").partition("|")
    return Ticket(int(token_id), task_id) if token_id.isdecimal() else None


def _key(secret: str) -> str:
    return f"longtasks:ticket:{hashlib.sha256(secret.encode('utf-8', 'surrogateescape')).hexdigest()}"
