"""Keeps the tokens that this process knows fresh: reads them in a thread when the process begins, and every 15 s.

Owns the thread and when it reads. So a process that nobody has asked yet knows the tokens when the database goes away,
and no request waits for a reading. Must not know what the tokens are.
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
AWAY_SECONDS: Final = 3.0  # while the database does not answer: less than FAILED_SECONDS, so no request asks meanwhile
FIRST_SECONDS: Final = 3.0  # a database that hangs is given up sooner


def keep_fresh() -> None:
    """Begin to read the tokens; returns when they were read once, or could not be, after FIRST_SECONDS at the latest.

    The thread ends with the process. Each reading is one query on a connection of its own, which is closed after it.
    """
    was_read = threading.Event()
    threading.Thread(target=_run, args=(was_read,), name="token-keeper", daemon=True).start()
    was_read.wait(FIRST_SECONDS)


def _run(was_read: threading.Event) -> None:
    while True:
        answers = False
        try:
            answers = token_cache.known.read_anew()
        except Exception:
            logger.exception("the tokens could not be read; the next try is in %g s", AWAY_SECONDS)
        finally:
            connection.close()
            was_read.set()
        time.sleep(ROUND_SECONDS if answers else AWAY_SECONDS)
