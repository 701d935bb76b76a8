"""The commands that reach one database of a Redis that other tests' stacks use as well.

Redis counts commands (commandstats) for all databases together, and an idle worker sends two a second: only
MONITOR shows the database of each command.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

BEGIN, END = "watched from here", "watched to here"


@dataclass(frozen=True, slots=True)
class Command:
    name: str  # in capitals
    in_script: bool  # sent by a Lua script: no round trip


@contextmanager
def watched_commands(client: redis.Redis) -> Generator[list[Command], None, None]:
    """Yield a list that holds the block's commands to the client's database once the block has ended."""
    number = client.connection_pool.connection_kwargs["db"]
    commands: list[Command] = []
    with client.monitor() as monitor:
        client.echo(BEGIN)  # the client may have connected for it
        yield commands
        client.echo(END)
        for seen in monitor.listen():
            if seen["db"] != number:
                continue
            if seen["command"] == f"ECHO {BEGIN}":
                commands.clear()
            elif seen["command"] == f"ECHO {END}":
                break
            else:
                commands.append(Command(seen["command"].split()[0].upper(), seen["client_type"] == "lua"))
