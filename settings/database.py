"""Turns DATABASE_URL and DATABASE_READ_URL into Django's DATABASES entries, for SQLite and for MySQL/MariaDB.

Owns the options of the connections. Must not read the environment: env.py does that.
"""

import re
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from tasks_app.conf.service_url import RefusedUrl, ServiceUrl, parse_url

SQLITE_OPTIONS = {
    "timeout": 30,
    # Every transaction writes. BEGIN IMMEDIATE waits for the write lock; upgrading to it later would fail at once.
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}
MYSQL_OPTIONS = {
    "charset": "utf8mb4",
    "isolation_level": "read committed",
    "init_command": ("SET time_zone = '+00:00', innodb_lock_wait_timeout = 5, sql_mode = 'STRICT_TRANS_TABLES'"),
    "connect_timeout": 2,
    "read_timeout": 30,
    "write_timeout": 30,
}
MYSQL_ENGINE = "django.db.backends.mysql"
HOSTS_ENGINE = "longtasks.mysql_failover"  # Django's MySQL backend with a list of hosts
TLS_OPTIONS = ("ca", "capath", "cert", "key", "cipher")
# The options that may follow the ? of a URL.
MYSQL_NUMBERS = ("connect_timeout", "read_timeout", "write_timeout")
MYSQL_TEXTS = (
    "unix_socket", "charset", "collation", "init_command", "isolation_level", "sql_mode", "read_default_file",
    "read_default_group", "ssl_mode", *(f"ssl_{option}" for option in TLS_OPTIONS),
)  # fmt: skip
SQLITE_TEXTS = ("transaction_mode", "init_command")


def database_settings(*, url: str, data_dir: Path, local_infile: bool, name: str = "DATABASE_URL") -> dict[str, Any]:
    """Return the entry of a database. Options in the URL's query (`?read_timeout=60&ssl_ca=/path`) replace the defaults.

    With several hosts (`mysql://user:password@one:3306,two:3306/name`) the first healthy host that accepts writes is
    used. Raises ImproperlyConfigured: one line with the variable's name, and of the URL at most the names of options.
    """
    if not url:
        parsed = ServiceUrl(scheme="sqlite", path=f"/{data_dir / 'longtasks.sqlite3'}")
    else:
        try:
            parsed = parse_url(url)
        except RefusedUrl as refusal:
            raise ImproperlyConfigured(f"{name} is refused: {refusal}.") from None
    is_sqlite = parsed.scheme == "sqlite"
    options = _read_options(parsed.query, name=name, texts=SQLITE_TEXTS if is_sqlite else MYSQL_TEXTS)
    config = _sqlite(parsed, options, name=name) if is_sqlite else _mysql(parsed, options, name=name)
    if not is_sqlite and local_infile:
        config["OPTIONS"]["local_infile"] = True
    return config | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}


def replica_settings(*, url: str) -> dict[str, Any]:
    """Return the entry of one or more replicas, which are never written to or migrated."""
    config = database_settings(url=url, data_dir=Path(), local_infile=False, name="DATABASE_READ_URL")
    if config["ENGINE"] == HOSTS_ENGINE:
        config["OPTIONS"]["takes_writes"] = False
    config["TEST"] = {"MIRROR": "default"}
    return config


def _sqlite(url: ServiceUrl, options: dict[str, Any], *, name: str) -> dict[str, Any]:
    path = url.path.removeprefix("/")
    if not path:
        raise ImproperlyConfigured(f"{name} is refused: it names no file. Write sqlite:////path/to/longtasks.sqlite3.")
    return _entry("django.db.backends.sqlite3", database=path) | {"OPTIONS": SQLITE_OPTIONS | options}


def _mysql(url: ServiceUrl, options: dict[str, Any], *, name: str) -> dict[str, Any]:
    database = url.path.removeprefix("/")
    if not database or "/" in database:
        raise ImproperlyConfigured(
            f"{name} is refused: one database name must follow the host, as in mysql://user:password@host:3306/name."
        )
    if not url.hosts and "unix_socket" not in options:
        raise ImproperlyConfigured(f"{name} is refused: it names no host. Write one, or ?unix_socket=/path/of/it.")
    if "unix_socket" in options and [host for host, _ in url.hosts] not in ([], ["localhost"]):
        raise ImproperlyConfigured(f"{name} is refused: it names a host and a unix_socket. Leave one out.")
    host, port = url.hosts[0] if url.hosts else ("", "")
    entry = _entry(MYSQL_ENGINE, database=database)
    entry |= {"USER": url.user, "PASSWORD": url.password, "HOST": host, "PORT": port}
    entry |= {"OPTIONS": MYSQL_OPTIONS | _with_tls(options), "TEST": {"CHARSET": "utf8mb4"}}
    if len(url.hosts) > 1:
        entry["ENGINE"] = HOSTS_ENGINE
        entry["OPTIONS"] |= {"hosts": list(url.hosts), "takes_writes": True}
    return entry


def _entry(engine: str, *, database: str) -> dict[str, Any]:
    return {"ENGINE": engine, "NAME": database, "USER": "", "PASSWORD": "", "HOST": "", "PORT": ""}


def _read_options(query: dict[str, str], *, name: str, texts: tuple[str, ...]) -> dict[str, Any]:
    """Return the driver's options from the URL's query. Unknown options are refused, because the driver would crash."""
    numbers = ("timeout",) if "transaction_mode" in texts else MYSQL_NUMBERS
    options: dict[str, Any] = {}
    for option, value in query.items():
        if option in texts and value:
            options[option] = value
        elif option in numbers and re.fullmatch(r"[0-9]{1,6}", value):
            options[option] = int(value)
        elif option in (*numbers, *texts):
            needed = "a whole number" if option in numbers else "a value"
            raise ImproperlyConfigured(f"{name} is refused: its option {option} needs {needed}.")
        else:
            raise ImproperlyConfigured(
                f"{name} is refused: it has an unknown option. The known options are {', '.join((*numbers, *texts))}."
            )
    return options


def _with_tls(options: dict[str, Any]) -> dict[str, Any]:
    """Collect ssl_ca, ssl_cert, ssl_key … in the one option `ssl` that the driver accepts."""
    tls = {name: options[f"ssl_{name}"] for name in TLS_OPTIONS if f"ssl_{name}" in options}
    if not tls:
        return options
    rest = {name: value for name, value in options.items() if name.removeprefix("ssl_") not in tls}
    # With a CA, the server's certificate and name are verified by default.
    return {"ssl_mode": "VERIFY_IDENTITY"} | rest | {"ssl": tls}
