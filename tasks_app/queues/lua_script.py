"""Runs a Lua script of the folder `lua/` by its hash, and sends its source if Redis does not know the hash.

Owns how a script's source is put together. Must not know what a script does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redis

from tasks_app.queues.queue_names import QUEUES
from tasks_app.queues.thread_connection import ThreadConnection


class Script:
    """A script of the folder `lua/`, with clock.lua and parked.lua prepended."""

    def __init__(self, name: str) -> None:
        folder = Path(__file__).parent / "lua"
        parts = [(folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("clock", "parked", name)]
        names = ", ".join(f"'{each}'" for each in QUEUES)  # without quotes: the parser of the setting checks them
        self.source = "\n".join([f"local CONFIGURED_QUEUES = {{{names}}}", *parts])
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def __call__(
        self, connection: redis.Redis[Any] | ThreadConnection, keys: Sequence[str], args: Sequence[Any]
    ) -> Any:
        return self.run(connection.execute_command, keys, args)

    def run(self, execute: Callable[..., Any], keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run the script by a function that takes a command's words; return what that function returns."""
        try:
            return execute("EVALSHA", self.sha, len(keys), *keys, *args)
        except redis.exceptions.NoScriptError:
            return execute("EVAL", self.source, len(keys), *keys, *args)
