"""loadtests/started/stack.py: a run can open any number of stacks one after the other."""

import shutil
from pathlib import Path

from loadtests.started.servers import REDIS_DATABASES, RedisServer, SQLite
from loadtests.started.stack import ProcfileStack


def test_more_stacks_than_redis_has_databases_open_one_after_the_other() -> None:
    database, redis_server = SQLite(), RedisServer()
    try:
        kept = ProcfileStack(database=database, redis_server=redis_server)
        numbers = set()
        for _ in range(2 * REDIS_DATABASES):
            stack = ProcfileStack(database=database, redis_server=redis_server)
            numbers.add(stack.redis_number)
            stack.close()
            stack.close()  # a second close must not free a number that another stack has got
        other = ProcfileStack(database=database, redis_server=redis_server)
        assert other.redis_number != kept.redis_number
        assert 0 < kept.redis_number < REDIS_DATABASES
        assert kept.redis_number not in numbers
        assert all(0 < number < REDIS_DATABASES for number in numbers)
        kept.close()
        other.close()
    finally:
        for server in (database, redis_server):
            shutil.rmtree(Path(server.directory), ignore_errors=True)
