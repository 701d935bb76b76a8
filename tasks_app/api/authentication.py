"""Who calls the API, and how far they may reach. The one check that every request passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from rest_framework.exceptions import APIException, PermissionDenied, Throttled

from tasks_app.auth import token_cache
from tasks_app.auth.api_tokens import SCOPES
from tasks_app.auth.token_cache import Bearer
from tasks_app.domain.callers import ADMIN, NOBODY, Caller
from tasks_app.errors import UnsureToken
from tasks_app.http import peers
from tasks_app.resilience import rate_limit

ANYBODY: Final = ""  # what a view needs that is open to all
_RANKS: Final = {scope: rank for rank, scope in enumerate(SCOPES)}
OPEN: Final = Caller(owner="", scope=ADMIN, actor="api")


class Unauthorized(APIException):
    """No token, or none that is valid: unknown, revoked and expired ones are not told apart."""

    status_code = 401
    default_detail = "Send a valid API token: Authorization: Bearer …"
    default_code = "unauthorized"
    auth_header = 'Bearer realm="longtasks"'


def identify(meta: Mapping[str, Any], *, needs: str) -> Caller:
    """Tell who makes the request with these headers, or raise Unauthorized, PermissionDenied, Throttled or UnsureToken.

    `needs` is the scope that it takes, or ANYBODY. `meta` holds REMOTE_ADDR too: who shows no valid token draws on the
    bucket of that address, and gets Throttled in place of Unauthorized or UnsureToken when it is empty.
    """
    if needs == ANYBODY:
        return NOBODY
    header: str | None = meta.get("HTTP_AUTHORIZATION")
    if header is None and settings.API_OPEN:
        return OPEN
    try:
        bearer = find_bearer(header)
    except (Unauthorized, UnsureToken):
        _bound_strangers(meta)
        raise
    limit = settings.LONGTASKS.rate_limit_per_minute
    if limit and (wait_seconds := rate_limit.take(rate_limit.token_bucket(bearer.token_id), per_minute=limit)):
        raise Throttled(wait=wait_seconds)
    if _RANKS[bearer.scope] < _RANKS[needs]:
        raise PermissionDenied(f"This takes a token of scope {needs}; yours is of scope {bearer.scope}.")
    return to_caller(bearer)


def to_caller(bearer: Bearer) -> Caller:
    """Return what the holder of a token may see."""
    return Caller(owner=bearer.owner, scope=bearer.scope, actor=bearer.owner or "api", token_id=bearer.token_id)


def find_bearer(header: str | None) -> Bearer:
    """Return whose token an Authorization header holds, or raise Unauthorized or UnsureToken. Draws on no bucket."""
    scheme, _, secret = (header or "").partition(" ")
    bearer = token_cache.known.find(secret.strip()) if scheme.lower() == "bearer" else None
    if bearer is None:
        raise Unauthorized
    return bearer


def _bound_strangers(meta: Mapping[str, Any]) -> None:
    """Count a request without a valid token. Raises Throttled when its address has sent too many."""
    limit = settings.LONGTASKS.rate_limit_per_address
    peer = peers.find_peer(meta) if limit else None
    if peer is not None and (wait_seconds := rate_limit.take(rate_limit.address_bucket(peer), per_minute=limit)):
        raise Throttled(wait=wait_seconds, detail="Your address sent too many requests without a valid token.")
