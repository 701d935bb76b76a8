"""The keys of LONGTASKS that only a project that is not ours needs: ours has variables of its own for them.

Must not hold a key that both need (longtasks.py).
"""

from dataclasses import dataclass
from pathlib import Path

from tasks_app.conf.addresses import check_proxies
from tasks_app.conf.variable import variable

REDIS_URL = "redis://localhost:6379/0"  # the default of the key REDIS_URL, since there is no embedded Valkey


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """How tasks_app is installed in a project."""

    api_open: bool = variable(False, "requests to the API need no token; only for a developer's own machine")
    workers: int = variable(0, "processes of `manage.py workers`; 0: one per core", minimum=0, maximum=1024)
    data_dir: Path = variable(
        Path(".longtasks"),
        "directory of files that are uploaded or written by tasks, which web and all workers must share; relative to BASE_DIR",
    )
    forwarded_allow_ips: str = variable(
        "127.0.0.1,::1",
        "proxies whose X-Forwarded-Proto and X-Forwarded-For are trusted: addresses and networks, comma-separated; *: all",
        check=check_proxies,
    )
