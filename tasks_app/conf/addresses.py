"""The checks of addresses in settings: where web listens, trusted proxies, origins, and the path prefix.

Each check returns the value in its normal form, or raises ValueError that names the accepted values. Must not read a
variable (settings/env.py).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

ANY: Final = "*"
UNIX: Final = "unix:"
_HOST: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,30}")
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}){0,8}")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def check_bind(text: str) -> str:
    """Return an address without brackets, a host name, or `unix:` and the directory of the sockets."""
    if text.startswith(UNIX):
        directory = "/" + text.removeprefix(UNIX).strip("/")
        # The kernel allows 107 bytes for the path, including the socket's name.
        if text.startswith(f"{UNIX}/") and 1 < len(directory.encode()) < 90 and directory.isprintable():
            return UNIX + directory
    else:
        bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        if _is_address(bare) or (bare == text and _is_host(text.lower())):
            return bare
    raise ValueError("an IP address such as 127.0.0.1, ::1 or 0.0.0.0, a host name, or unix:/directory")


def check_proxies(text: str) -> str:
    """Return addresses and networks, or `*`, comma-separated; "" if no proxy is trusted."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return ",".join(part if part == ANY else _network(part) for part in parts)
    except ValueError:
        raise ValueError("addresses and networks such as 10.0.0.7,10.0.0.0/8,fd00::/8, or *") from None


def check_origins(text: str) -> tuple[str, ...]:
    """Return origins as browsers write them: lower case, without a default port."""
    return tuple(_origin(part.strip()) for part in text.split(",") if part.strip())


def check_prefix(text: str) -> str:
    """Return a path that begins with a slash and does not end with one; "" for the root."""
    bare = text.rstrip("/")
    if not _PREFIX.fullmatch(bare):
        raise ValueError("empty, or a path such as /longtasks, of letters, digits, -, . _ and ~")
    return bare


def _network(text: str) -> str:
    network = ipaddress.ip_network(text)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _origin(text: str) -> str:
    scheme, separator, rest = text.lower().removesuffix("/").partition("://")
    host, colon, port = rest, "", ""
    if not rest.endswith("]"):
        before, found, after = rest.rpartition(":")
        host, colon, port = (before, found, after) if found else (rest, "", "")
    is_bracketed = host.startswith("[") and host.endswith("]") and _is_address(host[1:-1])
    is_port = not colon or (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536)
    if not separator or scheme not in _DEFAULT_PORTS or not (is_bracketed or _is_host(host)) or not is_port:
        raise ValueError("origins such as https://tasks.example.com:8443, comma-separated")
    return f"{scheme}://{host}" if port in ("", _DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{int(port)}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_host(text: str) -> bool:
    return len(text) <= 253 and _HOST.fullmatch(text) is not None
