"""Keeps the token cache of this process fresh: a thread reads the tokens at the start and every 15 s.

Owns the thread and its interval. So an idle process has the tokens when the database becomes unavailable, and no
request waits for a read. Must not know what a token is.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from django.db import connection

from tasks_app.auth import token_cache

logger = logging.getLogger(__name__)
ROUND_SECONDS: Final = 15.0
RETRY_SECONDS: Final = 3.0  # while the database is unavailable: less than FAILED_SECONDS, so that no request reads
FIRST_SECONDS: Final = 3.0  # longest wait for the first read


def keep_fresh() -> None:
    """Start the thread; return after its first read, successful or not, and after FIRST_SECONDS at the latest.

    The thread ends with the process. Each read is one query on a connection of its own, which is then closed.
    """
    was_read = threading.Event()
    threading.Thread(target=_run, args=(was_read,), name="token-keeper", daemon=True).start()
    was_read.wait(FIRST_SECONDS)


def _run(was_read: threading.Event) -> None:
    while True:
        succeeded = False
        try:
            succeeded = token_cache.known.refresh()
        except Exception:
            logger.exception("the tokens could not be read; the next try is in %g s", RETRY_SECONDS)
        finally:
            connection.close()
            was_read.set()
        time.sleep(ROUND_SECONDS if succeeded else RETRY_SECONDS)
