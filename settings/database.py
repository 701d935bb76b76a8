"""Turns DATABASE_URL and DATABASE_READ_URL into Django's DATABASES entries, for SQLite and for MySQL/MariaDB.

Must not read the environment: env.py does.
"""

from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

SQLITE_OPTIONS = {
    "timeout": 30,
    # Every transaction here writes: taking the lock at BEGIN waits in turn, an upgrade later would fail at once.
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
HOSTS_ENGINE = "longtasks.mysql_hosts"  # Django's own, with a choice of hosts
MYSQL_PORT = 3306
TLS_OPTIONS = ("ca", "capath", "cert", "key", "cipher")


def database_settings(*, url: str, data_dir: Path, local_infile: bool) -> dict[str, Any]:
    """Options in the URL's query (`?unix_socket=/path&read_timeout=60&ssl_ca=/path`) win over the defaults.

    `mysql://user:password@one:3306,two:3306/name`: the first host that is well and takes writes is used.
    """
    if not url:
        url = f"sqlite:///{data_dir / 'longtasks.sqlite3'}"
    url, hosts = _split_hosts(url.replace("mariadb://", "mysql://", 1))
    config: dict[str, Any] = environ.Env.db_url_config(url)
    from_url = config.get("OPTIONS", {})
    if config["ENGINE"] == MYSQL_ENGINE:
        config["OPTIONS"] = MYSQL_OPTIONS | ({"local_infile": True} if local_infile else {}) | _with_tls(from_url)
        config["TEST"] = {"CHARSET": "utf8mb4"}
        if hosts:
            config["ENGINE"] = HOSTS_ENGINE
            config["OPTIONS"] |= {"hosts": hosts, "takes_writes": True}
    else:
        config["OPTIONS"] = SQLITE_OPTIONS | from_url
    return config | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}


def replica_settings(*, url: str) -> dict[str, Any]:
    """The entry of a replica (or several), which is never written to nor migrated."""
    config = database_settings(url=url, data_dir=Path(), local_infile=False)
    if config["ENGINE"] == HOSTS_ENGINE:
        config["OPTIONS"]["takes_writes"] = False
    config["TEST"] = {"MIRROR": "default"}
    return config


def _split_hosts(url: str) -> tuple[str, list[tuple[str, int]]]:
    """Return the URL with its first host alone, and all hosts where there are several."""
    scheme, mark, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    credentials, at, names = netloc.rpartition("@")
    if scheme != "mysql" or "," not in names:
        return url, []
    hosts = []
    for name in names.split(","):
        host, colon, port = name.strip().rpartition(":")
        if not colon or name.strip().endswith("]"):
            host, port = name.strip(), str(MYSQL_PORT)
        if not host or not port.isdigit():
            # The rest of the URL may hold a password: only the host is repeated.
            raise ImproperlyConfigured(f"DATABASE_URL with the host {name!r} is refused: give host:port by comma.")
        hosts.append((host.strip("[]"), int(port)))
    first = names.split(",")[0].strip()
    return f"{scheme}{mark}{credentials}{at}{first}{slash}{path}", hosts


def _with_tls(options: dict[str, Any]) -> dict[str, Any]:
    """Gather ssl_ca, ssl_cert, ssl_key … into the one option that the driver takes."""
    tls = {name: options[f"ssl_{name}"] for name in TLS_OPTIONS if f"ssl_{name}" in options}
    if not tls:
        return options
    rest = {name: value for name, value in options.items() if name.removeprefix("ssl_") not in tls}
    # A CA is given to be checked against.
    return {"ssl_mode": "VERIFY_IDENTITY"} | rest | {"ssl": tls}
