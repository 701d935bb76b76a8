"""Which commands reach one database of a Redis on which the stacks of other tests run too.

Redis counts commands (commandstats) for all its databases together, and an idle worker asks twice a second: only
MONITOR tells who asked for what.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

BEGIN, END = "watched from here", "watched to here"


@dataclass(frozen=True, slots=True)
class Command:
    name: str  # in capitals
    in_script: bool  # asked by a Lua script: no round trip


@contextmanager
def watched_commands(client: redis.Redis) -> Generator[list[Command], None, None]:
    """The commands that the block sends to the client's database; the list is filled when the block ends."""
    number = client.connection_pool.connection_kwargs["db"]
    commands: list[Command] = []
    with client.monitor() as monitor:
        client.echo(BEGIN)  # the client's own connection may have been made for it
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
