"""The connection to Redis that requests use: their thread's own or, in an event loop, the one that all share.

Owns that connection. Must not know what the commands mean.
"""

from __future__ import annotations

from typing import Final

from tasks_app.queues.redis_connection import get_connection
from tasks_app.queues.thread_connection import ThreadConnection

shared_connection: Final = ThreadConnection(get_connection)
