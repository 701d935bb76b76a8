"""Which addresses a webhook may go to: what a callbackUrl may look like, and to which IP addresses its host may lead.

Owns the defence of the inner network. Must not send anything: `webhook_sending` connects to the very address that
was checked here, so what the name leads to a moment later makes no difference.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

CHARACTERS: Final = 500
_LABEL: Final = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PORT: Final = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
# A name with a top-level domain, and nothing that some reader of URLs might take for a user or a fragment.
PUBLIC: Final = rf'^https?://({_LABEL}\.)+[A-Za-z]{{2,63}}(:({_PORT}))?(/[!"$-~]*)?$'
_PUBLIC: Final = re.compile(PUBLIC)
_ANY: Final = re.compile(rf'^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:({_PORT}))?(/[!"$-~]*)?$')
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class RefusedAddress(Exception):
    """The host leads into a private network, to this machine, or nowhere that a webhook may go."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and what to ask for there."""

    is_tls: bool
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


def is_acceptable(url: str, *, allow_private: bool) -> bool:
    """Tell whether a callbackUrl looks as it should. Resolves nothing: this happens in a request."""
    pattern = _ANY if allow_private else _PUBLIC
    if len(url) > CHARACTERS or not url.isascii() or pattern.match(url) is None or "\n" in url:
        return False
    try:
        parse(url)
    except ValueError:
        return False
    return True


def parse(url: str) -> Target:
    """Return the target of an acceptable URL. Raises ValueError on one whose host nothing can connect to."""
    parts = urlsplit(url)
    if "[" in parts.netloc:
        ipaddress.IPv6Address(parts.hostname or "")
    else:
        (parts.hostname or "").encode("idna")  # as the look-up of the name does: labels of 1 to 63 characters
    is_tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(is_tls=is_tls, host=parts.hostname or "", port=parts.port or (443 if is_tls else 80), path=path)


def resolve(target: Target, *, allow_private: bool) -> str:
    """Return an IP address of the host that may be connected to. Raises RefusedAddress, OSError (no such name)."""
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if allow_private or is_public(address):
            return address
    raise RefusedAddress(f"{target.host} leads to {addresses[0] if addresses else 'nothing'}, no public address")


def is_public(address: str) -> bool:
    """Tell whether an address is one of the open Internet, and no IPv4 address of another kind inside an IPv6 one."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo and parsed.teredo[1])
        if parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved
