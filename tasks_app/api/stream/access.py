"""Access to live streams by a token, a ticket or the admin's session, checked at the start and at each heartbeat.

Owns the difference to the rest of the API, which accepts tokens only: a browser's EventSource sends no Authorization
header. Must not write to the database. Every function may use SQL and Redis, so call them in the feed's threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from django.contrib.auth import get_user
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, QueryDict, parse_cookie
from rest_framework.exceptions import APIException, PermissionDenied

from tasks_app.api.authentication import OPEN_API, Unauthorized, identify, to_caller
from tasks_app.api.query_parameters import StreamQuerySerializer, read_query
from tasks_app.auth import stream_tickets, token_cache
from tasks_app.auth.api_tokens import READ
from tasks_app.conf import settings
from tasks_app.domain.callers import Caller
from tasks_app.errors import UnsureToken
from tasks_app.http.origins import is_cross_origin

logger = logging.getLogger(__name__)
PERMISSION: Final = "tasks_app.view_taskrecord"
_TOKEN_NAMES: Final = frozenset({"token", "access_token", "api_key", "apikey", "authorization", "bearer"})
_SESSION_KEY_CHARACTERS: Final = 4096  # signed_cookies keeps the whole session in the key


class TokenInAddress(APIException):
    """A token in the query is refused even if it is valid, because URLs end up in logs and histories."""

    status_code = 400
    default_detail = (
        "Do not send a token in the URL, because logs keep URLs. If the token is real, revoke it. Send the header "
        "Authorization: Bearer …, or create a ticket (POST /stream-tickets) and send ?ticket=…"
    )
    default_code = "token-in-address"


@dataclass(frozen=True, slots=True)
class Viewer:
    """The identity that opened a stream."""

    sees_owner: str | None  # the owner of the tasks that the viewer may see; None: all owners
    key: str  # identifies the viewer in the count of open streams
    may_still: Callable[[], bool]  # whether the access is still valid; called at each heartbeat
    task_id: str = ""  # the only task that the viewer may see; "": any

    def check_task(self, task_id: str) -> None:
        """Raise PermissionDenied if a ticket for one task is used for another one, or for all (task_id "")."""
        if self.task_id and self.task_id != task_id:
            raise PermissionDenied("This ticket is valid for the stream of another task. Create a new ticket.")


def read_stream_query(query_string: bytes) -> dict[str, Any]:
    """Return `ticket` and `lastEventId` of the query. Raises TokenInAddress and ValidationError."""
    query = QueryDict(query_string)  # raises SuspiciousOperation for too many fields
    if any(name.lower() in _TOKEN_NAMES for name in query):
        raise TokenInAddress
    return read_query(query, StreamQuerySerializer)


def identify_viewer(meta: Mapping[str, Any], *, ticket: str | None) -> Viewer:
    """Return the viewer that opens a stream, by the header, else the ticket, else the session.

    Raises Unauthorized, PermissionDenied, Throttled, QueueUnavailable and a DatabaseError.
    """
    address = meta.get("REMOTE_ADDR", "")
    if "HTTP_AUTHORIZATION" not in meta:
        key = "" if settings.API_OPEN else _read_session_key(meta)
        try:
            if ticket is not None:
                return _redeem(ticket, address=address)
            if key:
                return _identify_session(key, meta)
        except Unauthorized:
            with suppress(Unauthorized):
                identify(meta, needs=READ)  # it counts the request against the limit of its address
            raise
    return _to_viewer(identify(meta, needs=READ), address=address)


def _to_viewer(caller: Caller, *, address: str, task_id: str = "") -> Viewer:
    token_id = caller.token_id
    if not token_id:
        return Viewer(caller.sees_owner, f"address {address}", lambda: True, task_id)

    def may_still() -> bool:
        try:
            return token_cache.known.find_by_id(token_id) is not None
        except UnsureToken:
            return False  # it was cached when the stream began, so it was revoked since

    return Viewer(caller.sees_owner, f"token {token_id}", may_still, task_id)


def _redeem(secret: str, *, address: str) -> Viewer:
    ticket = stream_tickets.redeem(secret)
    if ticket is None:
        raise Unauthorized("The ticket is unknown, used or expired. Create a new ticket: POST /stream-tickets.")
    if ticket.token_id:
        bearer = token_cache.known.find_by_id(ticket.token_id)
        if bearer is None:
            raise Unauthorized
        caller = to_caller(bearer)
    elif settings.API_OPEN:
        caller = OPEN_API
    else:
        raise Unauthorized
    return _to_viewer(caller, address=address, task_id=ticket.task_id)


def _read_session_key(meta: Mapping[str, Any]) -> str:
    """Return the session key of the cookie; "" if there is none, or if it is not a valid key."""
    key = parse_cookie(meta.get("HTTP_COOKIE", "")).get(settings.SESSION_COOKIE_NAME, "")
    is_valid = len(key) <= _SESSION_KEY_CHARACTERS and key.isascii() and key.isprintable()
    return key if is_valid else ""


def _identify_session(key: str, meta: Mapping[str, Any]) -> Viewer:
    # A browser sends the cookie for a page of any origin, but not a header or a ticket.
    if is_cross_origin(meta):
        raise PermissionDenied("A page of another origin cannot use the admin session. Use a ticket.")
    user = _get_user(key)
    if not user.is_authenticated:
        raise Unauthorized
    if not _may_watch(user):
        raise PermissionDenied(f"This requires a staff user with the permission {PERMISSION}.")
    user_id = user.pk

    def may_still() -> bool:
        try:
            user = _get_user(key)
            return bool(user.pk == user_id and _may_watch(user))
        except (DatabaseError, InterfaceError) as error:
            # As for tokens: while the database is unavailable, no user can be deactivated or logged out.
            logger.warning("the session of a stream could not be read, the stream stays open: %s", type(error).__name__)
            return True

    return Viewer(None, f"user {user_id}", may_still)


def _may_watch(user: Any) -> bool:
    return bool(user.is_active and user.is_staff and user.has_perm(PERMISSION))


def _get_user(session_key: str) -> Any:
    """Return the user of a session as AuthenticationMiddleware does; AnonymousUser if the session is not valid."""
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    # `get_user` would delete an invalid session, and renew the key of one that an older SECRET_KEY has signed, whose new
    # cookie a stream cannot send. Replaced on the instance, because the class's name is part of the signature.
    session.flush, session.cycle_key = session.clear, lambda: None
    request = HttpRequest()
    request.session = session
    return get_user(request)
