"""Turns DATABASE_URL into Django's DATABASES entry, for SQLite and for MySQL/MariaDB.

Must not read the environment: env.py does.
"""

from pathlib import Path
from typing import Any

import environ

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


def database_settings(*, url: str, data_dir: Path, local_infile: bool) -> dict[str, Any]:
    """Options in the URL's query (`?unix_socket=/path&read_timeout=60`) win over the defaults."""
    if not url:
        url = f"sqlite:///{data_dir / 'longtasks.sqlite3'}"
    config: dict[str, Any] = environ.Env.db_url_config(url.replace("mariadb://", "mysql://", 1))
    from_url = config.get("OPTIONS", {})
    if config["ENGINE"] == "django.db.backends.mysql":
        config["OPTIONS"] = MYSQL_OPTIONS | ({"local_infile": True} if local_infile else {}) | from_url
        config["TEST"] = {"CHARSET": "utf8mb4"}
    else:
        config["OPTIONS"] = SQLITE_OPTIONS | from_url
    return config | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
