"""Parses the URLs of database and Redis, and refuses ambiguous ones.

Owns their grammar. Must not read the environment. Must not repeat any part of a URL in an error, because any part of an
ambiguous URL may belong to a password.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode

# The default port of each scheme; 0: the scheme has no host.
DEFAULT_PORTS = {"mysql": 3306, "mariadb": 3306, "redis": 6379, "rediss": 6379, "sqlite": 0, "unix": 0}
ENCODE = "write / ? # @ % : and spaces in user and password as %2F %3F %23 %40 %25 %3A and %20"
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9._])?")
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_URL_CHARACTERS = 4096


class RefusedUrl(ValueError):
    """The URL is ambiguous or invalid; the message is one clause without any part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUrl:
    """A URL in decoded parts; `str()` encodes them in a form that every library reads in the same way."""

    scheme: str
    user: str = ""
    password: str = field(default="", repr=False)
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    query: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        credentials = quote(self.user, safe="") + (f":{quote(self.password, safe='')}" if self.password else "")
        query = f"?{urlencode(self.query)}" if self.query else ""
        at = "@" if credentials else ""
        return f"{self.scheme}://{credentials}{at}{self._hosts()}{quote(self.path)}{query}"

    @property
    def shown(self) -> str:
        """The address of the service for users and logs, without user, password and options."""
        return f"{self.scheme}://{self._hosts()}{self.path}"

    def _hosts(self) -> str:
        return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)


def parse_url(text: str) -> ServiceUrl:
    """Parse a URL. Raises RefusedUrl."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in DEFAULT_PORTS:
        raise RefusedUrl(f"it does not begin with one of {', '.join(f'{each}://' for each in DEFAULT_PORTS)}")
    if len(text) > _URL_CHARACTERS:
        raise RefusedUrl(f"it has more than {_URL_CHARACTERS} characters")
    if not text.isprintable() or " " in text:
        raise RefusedUrl(f"it holds spaces or non-printable characters: {ENCODE}")
    if "#" in rest or _LONE_PERCENT.search(rest):
        raise RefusedUrl(f"it holds a # or a % that is not encoded: {ENCODE}")
    before, mark, query = rest.partition("?")
    authority, slash, path = before.partition("/")
    if "@" in path or (mark and "@" in query):
        raise RefusedUrl(f"its user or password holds a / or ? that is not encoded: {ENCODE}")
    credentials, _, names = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    default_port = DEFAULT_PORTS[scheme]
    if names and not default_port:
        raise RefusedUrl(f"{scheme}:// has no host: write {scheme}:/// and a path")
    return ServiceUrl(
        scheme=scheme,
        user=_decode(user),
        password=_decode(password),
        hosts=tuple(parse_address(name, default_port=default_port) for name in names.split(",")) if names else (),
        path=_decode(slash + path),
        query=_parse_query(query) if mark else {},
    )


def parse_address(text: str, *, default_port: int) -> tuple[str, int]:
    """Parse `host`, `host:port`, `[IPv6]` or `[IPv6]:port`. Raises RefusedUrl."""
    text = text.strip()
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default_port)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise RefusedUrl("the text in brackets is not an IPv6 address") from None
    elif not _HOST.fullmatch(host):
        raise RefusedUrl(f"a host is missing or not a host name (IPv6 addresses go in brackets); {ENCODE}")
    if not _PORT.fullmatch(port) or not 0 < int(port) < 65_536:
        raise RefusedUrl(f"a port is not a number from 1 to 65535; {ENCODE}")
    return host, int(port)


def _parse_query(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=32)
    except ValueError:
        raise RefusedUrl("the text after the ? is not name=value&name=value") from None
    options = dict(pairs)
    if len(options) < len(pairs):
        raise RefusedUrl("an option after the ? is given twice")
    if not all(value.isprintable() for value in options.values()):
        raise RefusedUrl("an option after the ? holds non-printable characters")
    return options


def _decode(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise RefusedUrl("its %-encoding is not UTF-8") from None
    if not decoded.isprintable():
        raise RefusedUrl("it holds %-encoded non-printable characters")
    return decoded
