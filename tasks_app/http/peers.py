"""The network address of the client, and whether it used https: from the connection or from trusted proxies.

Owns the list of trusted proxies (FORWARDED_ALLOW_IPS), and the parsing of X-Forwarded-For and -Proto. Must not resolve
a name.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from tasks_app.conf import settings

logger = logging.getLogger(__name__)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
HOPS: Final = 16  # most addresses read from X-Forwarded-For; a client may send any number
ANY: Final = "*"
_warned: Final[set[str]] = set()


def find_peer(meta: Mapping[str, Any]) -> bytes | None:
    """Return the bytes of the client's address; for IPv6, of its /64 network.

    It is the rightmost address that is not a trusted proxy (FORWARDED_ALLOW_IPS), because a client can forge the ones to
    its left. None if there is no address: the peer is a unix socket that sent no X-Forwarded-For.
    """
    address = _parse(meta.get("REMOTE_ADDR", ""))
    forwarded: str = meta.get("HTTP_X_FORWARDED_FOR", "")
    if forwarded:
        if is_trusted_proxy(meta):
            address = _read_hops(forwarded, address)
        elif address is not None and not address.is_global:
            _warn_once(str(address))
    if address is None:
        return None
    return address.packed if address.version == 4 else address.packed[:8]


def is_https(meta: Mapping[str, Any]) -> bool:
    """Return whether a request came by https: on this connection, or according to a trusted proxy."""
    if meta.get("wsgi.url_scheme") == "https":
        return True
    return says_https(meta) and is_trusted_proxy(meta)


def is_trusted_proxy(meta: Mapping[str, Any]) -> bool:
    """Return whether the peer is in FORWARDED_ALLOW_IPS, or a unix socket, which only our own proxy can reach."""
    address = _parse(meta.get("REMOTE_ADDR", ""))
    return address is None or _is_trusted(address)


def says_https(meta: Mapping[str, Any]) -> bool:
    """Return whether X-Forwarded-Proto is https, trusted or not. Every entry must be https, because any may be forged."""
    said: str | None = meta.get("HTTP_X_FORWARDED_PROTO")
    return said is not None and all(word.strip().lower() == "https" for word in said.split(","))


def name_peer(meta: Mapping[str, Any]) -> str:
    """Return the peer's address in the form that FORWARDED_ALLOW_IPS needs."""
    return str(_parse(meta.get("REMOTE_ADDR", "")) or "(unix socket)")


def _read_hops(forwarded: str, address: Address | None) -> Address | None:
    for hop in reversed(forwarded.rsplit(",", HOPS)[-HOPS:]):
        parsed = _parse(hop.strip())
        if parsed is None:
            return address  # "unknown" or invalid: the proxy that wrote it is the last known address
        address = parsed
        if _trusted() is None or not _is_trusted(address):
            return address  # with "*", only the last proxy is trusted, not every address in the header
    return address


def _parse(text: str) -> Address | None:
    """Parse an address in any form that proxies write: with a port, in brackets, with a scope. None if it is invalid."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted(address: Address) -> bool:
    networks = _trusted()
    return networks is None or any(address in network for network in networks)


@cache
def _trusted() -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] | None:
    """Return the networks of the trusted proxies; None if every peer is trusted."""
    named = [part.strip() for part in settings.FORWARDED_ALLOW_IPS.split(",") if part.strip()]
    if ANY in named:
        logger.warning("FORWARDED_ALLOW_IPS=* trusts every peer: allow only the proxy to reach this port")
        return None
    return tuple(ipaddress.ip_network(part, strict=False) for part in named)


def _warn_once(proxy: str) -> None:
    if proxy not in _warned and len(_warned) < HOPS:  # bounded, because any client can send the header
        _warned.add(proxy)
        logger.warning(
            "%s sends X-Forwarded-For, but FORWARDED_ALLOW_IPS does not list it: all clients behind it share the limit"
            " of one address (RATE_LIMIT_PER_ADDRESS)",
            proxy,
        )
