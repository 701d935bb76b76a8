"""The early refusal: web's event loop refuses requests without a known token from an address over its rate limit.

Owns that decision, from the bytes of a request's head. It may accept requests that `authentication` then refuses. Must
not refuse a request that `authentication` would accept, and must not use SQL or Redis: it runs for every request.
"""

from __future__ import annotations

import re
from typing import Final

from tasks_app.auth import token_cache
from tasks_app.conf import settings
from tasks_app.http import peers
from tasks_app.resilience import rate_limit

_PREFIX: Final = re.escape(settings.URL_PREFIX.encode())
GUARDED: Final = re.compile(
    rb"[A-Z]{1,16} (?:%b)?/(?!tasks/[^/? ]{1,64}/stream[/? ])(?:tasks|files|queues|(metrics))[/? ]" % _PREFIX
)  # the paths that require a token; a stream may have a ticket or a session instead
_AUTHORIZATION: Final = re.compile(rb"\r\nauthorization:[ \t]*+([^\r\n]*+)", re.IGNORECASE)
_FORWARDED: Final = re.compile(rb"\r\nx-forwarded-for:[ \t]*+([^\r\n]*+)", re.IGNORECASE)


def find_wait_seconds(head: bytes, peer: str) -> float:
    """Return the seconds until the address may send another request without a valid token; 0: handle this request."""
    limit = settings.LONGTASKS.rate_limit_per_address
    if not limit or settings.API_OPEN:
        return 0.0
    guarded = GUARDED.match(head)
    if guarded is None or (guarded[1] and settings.LONGTASKS.metrics_open):
        return 0.0
    authorization = _AUTHORIZATION.search(head)
    scheme, _, secret = (authorization[1] if authorization else b"").decode("latin-1").partition(" ")
    is_bearer, secret = scheme.lower() == "bearer", secret.strip()
    if is_bearer and token_cache.known.holds(secret):
        return 0.0  # checked first: for most requests the address need not be read
    forwarded = b",".join(_FORWARDED.findall(head)).decode("latin-1")
    address = peers.find_peer({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded})
    if address is None:
        return 0.0
    wait_seconds = rate_limit.get_wait_seconds(rate_limit.address_bucket(address), per_minute=limit)
    if not wait_seconds:
        return 0.0
    return 0.0 if is_bearer and token_cache.known.may_find(secret) else wait_seconds
