"""Which addresses a webhook may go to: the form of a callbackUrl, and the IP addresses to which its host may resolve.

Owns the protection of the internal network. Must not send anything: sender.py connects to the very address that was
checked here, so a later change in the DNS has no effect.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

CHARACTERS: Final = 500
_LABEL: Final = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PORT: Final = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"


def public_pattern(port: str) -> str:
    """Return the pattern of a callbackUrl whose port matches `port`.

    The host is a name with a top-level domain, so it is not an IPv4 address in any form. No character is allowed that a
    parser of URLs might read as the end of a user name or as the beginning of a fragment.
    """
    return rf'^https?://({_LABEL}\.)+[A-Za-z]{{2,63}}(:({port}))?(/[!"$-~]*)?$'


_PUBLIC: Final = re.compile(public_pattern(_PORT))
_ANY: Final = re.compile(rf'^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:({_PORT}))?(/[!"$-~]*)?$')
PORTS: Final = (80, 443)

# Not `is_global`, which changes with Python's patch version. The entries of IANA's special-purpose registries that are
# not globally reachable, and the formally public addresses of clouds' internal services.
_REFUSED: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT; Alibaba's metadata is 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's WireServer
        "169.254.0.0/16",  # link-local; most clouds' metadata is 169.254.169.254
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF protocols; Oracle's metadata is 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# Contains all global unicast addresses, so not loopback, unique local, link-local, site-local, multicast and the
# discard prefix.
_GLOBAL: Final = ipaddress.IPv6Network("2000::/3")
_REFUSED_GLOBAL: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocols, Teredo
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
# IPv6 networks whose addresses embed an IPv4 address, and the number of bits after it.
_EMBEDDING: Final = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)


class RefusedAddress(Exception):
    """The host resolves to a private network, to this machine, or to another forbidden address."""


@dataclass(frozen=True, slots=True)
class Target:
    """The address to connect to, and the request path."""

    is_tls: bool
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


def is_acceptable(url: str, *, allow_private: bool) -> bool:
    """Return whether a callbackUrl is well formed. Does not resolve names, because it runs within a request."""
    pattern = _ANY if allow_private else _PUBLIC
    if len(url) > CHARACTERS or not url.isascii() or pattern.match(url) is None or "\n" in url:
        return False
    try:
        parse(url)
    except ValueError:
        return False
    return True


def parse(url: str) -> Target:
    """Return the target of an acceptable URL. Raises ValueError for an invalid host."""
    parts = urlsplit(url)
    if "[" in parts.netloc:
        ipaddress.IPv6Address(parts.hostname or "")
    else:
        (parts.hostname or "").encode("idna")  # as the name's lookup does: labels of 1 to 63 characters
    is_tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(is_tls=is_tls, host=parts.hostname or "", port=parts.port or (443 if is_tls else 80), path=path)


def is_allowed_port(target: Target, *, allow_private: bool, ports: Collection[int]) -> bool:
    """Return whether a webhook may go to this port; every port is allowed with WEBHOOK_ALLOW_PRIVATE."""
    return allow_private or target.port in ports


def resolve(target: Target, *, allow_private: bool, ports: Collection[int]) -> str:
    """Return an IP address of the host that may be connected to. Raises RefusedAddress, OSError (no such name)."""
    if not is_allowed_port(target, allow_private=allow_private, ports=ports):
        raise RefusedAddress(f"port {target.port} is not in WEBHOOK_PORTS ({', '.join(map(str, ports))})")
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if allow_private or is_public(address):
            return address
    shown = addresses[0] if addresses else "nothing"
    raise RefusedAddress(f"{target.host} resolves to {shown}, which is not a public address")


def is_public(address: str) -> bool:
    """Return whether an address is on the public Internet. Raises ValueError if it is not an address.

    An IPv6 address that embeds an IPv4 address is judged by that one. An address with a scope is local.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in _REFUSED)
    if parsed.scope_id is not None:
        return False
    for network, bits in _EMBEDDING:
        if parsed in network:
            return is_public(str(ipaddress.IPv4Address(int(parsed) >> bits & 0xFFFFFFFF)))
    return parsed in _GLOBAL and not any(parsed in network for network in _REFUSED_GLOBAL)
