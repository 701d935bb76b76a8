"""The refusal of plain http requests if HTTPS_ONLY is on, for the web process and the stream.

Owns which requests are refused instead of redirected. A POST must not be redirected: the client would follow with a GET,
receive 200, and its task would never start.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from tasks_app.http import peers
from tasks_app.observability.log_limit import LogLimit

logger = logging.getLogger(__name__)
_log: Final = LogLimit()
_REDIRECTED: Final = frozenset({"GET", "HEAD"})


def explain_refusal(meta: Mapping[str, Any], *, method: str | None) -> str | None:
    """Return why a plain http request is refused; None if it may be redirected to https."""
    if peers.says_https(meta):
        # A redirect would loop: the next request would come the same way.
        peer = peers.name_peer(meta)
        if _log.lets_through():
            logger.warning(
                "%s sends X-Forwarded-Proto: https, but FORWARDED_ALLOW_IPS does not list it: its requests are refused",
                peer,
            )
        return (
            f"The peer {peer} says that the request came by https (X-Forwarded-Proto), but is not a trusted proxy. If it is "
            f"your proxy, add its address or network to FORWARDED_ALLOW_IPS."
        )
    if "HTTP_X_FORWARDED_FOR" in meta and "HTTP_X_FORWARDED_PROTO" not in meta and peers.is_trusted_proxy(meta):
        # The client may have used https, and then a redirect would loop.
        return (
            f"The proxy {peers.name_peer(meta)} does not say whether the request came by https. Configure it to send "
            f"X-Forwarded-Proto, as docs/proxies.md shows."
        )
    if "HTTP_AUTHORIZATION" in meta:
        return (
            "Use https. The token was sent over http, where anyone on the way could read it: revoke it if it is a real "
            "one."
        )
    if method not in _REDIRECTED:
        return "Use https. The request came over http and was refused."
    return None
