"""Authentication of API requests: identifies the caller, checks the scope of the token and applies the rate limits.

Owns the one check that every request passes. Must not know an endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rest_framework.exceptions import APIException, PermissionDenied, Throttled

from tasks_app.auth import token_cache
from tasks_app.auth.api_tokens import SCOPES
from tasks_app.auth.token_cache import Bearer
from tasks_app.conf import settings
from tasks_app.domain.callers import ADMIN, ANONYMOUS, Caller
from tasks_app.errors import UnsureToken
from tasks_app.http import peers
from tasks_app.resilience import rate_limit

PUBLIC: Final = ""  # the required scope of a view that needs no token
_RANKS: Final = {scope: rank for rank, scope in enumerate(SCOPES)}
OPEN_API: Final = Caller(owner="", scope=ADMIN, actor="api")


class Unauthorized(APIException):
    """The token is missing, unknown, revoked or expired; the response does not say which."""

    status_code = 401
    default_detail = "Send a valid API token: Authorization: Bearer …"
    default_code = "unauthorized"
    auth_header = 'Bearer realm="longtasks"'


def identify(meta: Mapping[str, Any], *, needs: str) -> Caller:
    """Return the caller of the request with these headers.

    `needs` is the required scope, or PUBLIC. `meta` includes REMOTE_ADDR: a request without a valid token is counted
    against the rate limit of its address. Raises Unauthorized, PermissionDenied, UnsureToken, and Throttled when the
    limit of the token or of the address is exceeded.
    """
    if needs == PUBLIC:
        return ANONYMOUS
    header: str | None = meta.get("HTTP_AUTHORIZATION")
    if header is None and settings.API_OPEN:
        return OPEN_API
    try:
        bearer = find_bearer(header)
    except (Unauthorized, UnsureToken):
        _count_failed_request(meta)
        raise
    limit = settings.LONGTASKS.rate_limit_per_minute
    if limit and (wait_seconds := rate_limit.take(rate_limit.token_bucket(bearer.token_id), per_minute=limit)):
        raise Throttled(wait=wait_seconds)
    if _RANKS[bearer.scope] < _RANKS[needs]:
        raise PermissionDenied(f"This requires a token of scope {needs}; yours has scope {bearer.scope}.")
    return to_caller(bearer)


def to_caller(bearer: Bearer) -> Caller:
    """Return the caller that a token identifies."""
    return Caller(owner=bearer.owner, scope=bearer.scope, actor=bearer.owner or "api", token_id=bearer.token_id)


def find_bearer(header: str | None) -> Bearer:
    """Return the bearer of the token in an Authorization header. Counts nothing. Raises Unauthorized and UnsureToken."""
    scheme, _, secret = (header or "").partition(" ")
    bearer = token_cache.known.find(secret.strip()) if scheme.lower() == "bearer" else None
    if bearer is None:
        raise Unauthorized
    return bearer


def _count_failed_request(meta: Mapping[str, Any]) -> None:
    """Count a request without a valid token. Raises Throttled when its address exceeds the limit."""
    limit = settings.LONGTASKS.rate_limit_per_address
    peer = peers.find_peer(meta) if limit else None
    if peer is not None and (wait_seconds := rate_limit.take(rate_limit.address_bucket(peer), per_minute=limit)):
        raise Throttled(wait=wait_seconds, detail="Your address sent too many requests without a valid token.")
