"""The configuration of a Sentinel of the tests' own, which watches one primary."""

from collections.abc import Sequence
from pathlib import Path

MASTER_NAME = "longtasks"
FAILOVER_SECONDS = 5


def write_sentinel_config(
    path: Path,
    *,
    listens: Sequence[str],
    password: str,
    primary: tuple[str, int],
    quorum: int,
    down_seconds: float,
) -> None:
    """Write the file once: a Sentinel that runs writes into it what it knows.

    `listens` are the lines for its address; the password is also that of the primary.
    """
    if path.exists():
        return
    host, port = primary
    lines = [
        *listens,
        f"dir {path.parent}",
        f"requirepass {password}",
        f"sentinel sentinel-pass {password}",
        f"sentinel monitor {MASTER_NAME} {host} {port} {quorum}",
        f"sentinel auth-pass {MASTER_NAME} {password}",
        f"sentinel down-after-milliseconds {MASTER_NAME} {down_seconds * 1000:.0f}",
        f"sentinel failover-timeout {MASTER_NAME} {FAILOVER_SECONDS * 1000}",
    ]
    path.write_text("\n".join(lines) + "\n")
