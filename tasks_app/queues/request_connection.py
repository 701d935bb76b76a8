"""The connection to Redis that requests use: their thread's own or, in an event loop, the one that all share.

Owns that connection. Must not know what the commands mean.
"""

from __future__ import annotations

from typing import Final

from tasks_app.queues.pipelined_connection import PipelinedConnection
from tasks_app.queues.redis_connection import get_connection

shared_connection: Final = PipelinedConnection(get_connection)
