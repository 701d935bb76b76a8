"""Which network address a request comes from: the peer's, or what trusted proxies say of it.

Owns whom we trust as a proxy (FORWARDED_ALLOW_IPS), and the reading of X-Forwarded-For and -Proto. Must not look
anything up: an address is what stands there.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from django.conf import settings

logger = logging.getLogger(__name__)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
HOPS: Final = 16  # proxies behind each other that are looked at; a client may send any number
ANY: Final = "*"
_warned: Final[set[str]] = set()


def find_peer(meta: Mapping[str, Any]) -> bytes | None:
    """Return the bytes of the address that a request with these headers comes from; of an IPv6 address its /64.

    The rightmost address that is no trusted proxy's (FORWARDED_ALLOW_IPS); what stands left of it anyone may have
    written. None where there is none: the peer is a unix socket, and said nothing.
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
    """Tell whether a request came by https: on this connection, or by the word of a trusted proxy."""
    if meta.get("wsgi.url_scheme") == "https":
        return True
    return says_https(meta) and is_trusted_proxy(meta)


def is_trusted_proxy(meta: Mapping[str, Any]) -> bool:
    """Tell whether the peer is one of FORWARDED_ALLOW_IPS, or a unix socket, which only a proxy of ours can reach."""
    address = _parse(meta.get("REMOTE_ADDR", ""))
    return address is None or _is_trusted(address)


def says_https(meta: Mapping[str, Any]) -> bool:
    """Tell whether X-Forwarded-Proto says https, whoever wrote it. Of several words all must, for any may be forged."""
    said: str | None = meta.get("HTTP_X_FORWARDED_PROTO")
    return said is not None and all(word.strip().lower() == "https" for word in said.split(","))


def name_peer(meta: Mapping[str, Any]) -> str:
    """Return the peer's address as FORWARDED_ALLOW_IPS would name it."""
    return str(_parse(meta.get("REMOTE_ADDR", "")) or "(unix socket)")


def _read_hops(forwarded: str, address: Address | None) -> Address | None:
    for hop in reversed(forwarded.rsplit(",", HOPS)[-HOPS:]):
        parsed = _parse(hop.strip())
        if parsed is None:
            return address  # "unknown" or nonsense: the proxy that wrote it is all we know
        address = parsed
        if _trusted() is None or not _is_trusted(address):
            return address  # where any is trusted, the one that connects is the only one
    return address


def _parse(text: str) -> Address | None:
    """Return an address in any of the forms in which proxies write it: with a port, in brackets, with a scope."""
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
    """The networks of the trusted proxies; None: all are."""
    named = [part.strip() for part in settings.FORWARDED_ALLOW_IPS.split(",") if part.strip()]
    if ANY in named:
        logger.warning("FORWARDED_ALLOW_IPS=* trusts whoever connects: let nothing but the proxy reach this port")
        return None
    return tuple(ipaddress.ip_network(part, strict=False) for part in named)


def _warn_once(proxy: str) -> None:
    if proxy not in _warned and len(_warned) < HOPS:  # the header is anyone's to send
        _warned.add(proxy)
        logger.warning(
            "%s sends X-Forwarded-For, and FORWARDED_ALLOW_IPS does not name it: all clients behind it share the limit"
            " of one address (RATE_LIMIT_PER_ADDRESS)",
            proxy,
        )
