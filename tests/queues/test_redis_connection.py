"""tasks_app/queues/redis_connection.py: an error about Redis itself is transient, one about the command is not."""

from typing import Any

import pytest
import redis as redis_package
from redis.connection import DefaultParser

from loadtests.started.servers import IS_EMBEDDED, RedisServer
from tasks_app.errors import QueueUnavailable
from tasks_app.queues import redis_connection
from tasks_app.queues.thread_connection import UNAVAILABLE_ERRORS, describe_refusal
from tasks_app.resilience.transient_errors import is_transient_error
from tests.support.redis_limits import REFUSING

ABOUT_REDIS = {
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "OOM in a script": "OOM command not allowed when used memory > 'maxmemory'. script: 5a, on @user_script:7.",
    "OOM in a script of 6.2": "ERR Error running script (call to f_5a): @user_script:7: @user_script: 7: -OOM command not"
    " allowed when used memory > 'maxmemory'.",
    "OOM in a transaction": "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 1.",
    "BUSY": "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "too many": "ERR max number of clients reached",
    "too many in a cluster": "ERR max number of clients + cluster connections reached",
    "MISCONF": "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "NOREPLICAS": "NOREPLICAS Not enough good replicas to write.",
    "READONLY": "READONLY You can't write against a read only replica.",
    "NOAUTH": "NOAUTH Authentication required.",
    "WRONGPASS": "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM": "NOPERM User default has no permissions to run the 'set' command",
    "MASTERDOWN": "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN": "CLUSTERDOWN The cluster is down",
    "TRYAGAIN": "TRYAGAIN Multiple keys request during rehashing of slot",
    "MOVED": "MOVED 3999 127.0.0.1:6381",
    "UNBLOCKED": "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "DENIED": "DENIED Redis is running in protected mode because protected mode is enabled",
    "INPROG": "INPROG Failover already in progress",
    "of a later version": "REDIRECT 127.0.0.1:6381",
}


ABOUT_THE_COMMAND = {
    "type": "WRONGTYPE Operation against a key holding the wrong kind of value",
    "type in a script": "WRONGTYPE Operation against a key holding the wrong kind of value script: 5a, on @user_script:1.",
    "type in a script of 6.2": "ERR Error running script (call to f_5a): @user_script:1: WRONGTYPE Operation against a key",
    "syntax": "ERR syntax error",
    "unknown": "ERR unknown command 'NONSENSE', with args beginning with: ",
    "arguments": "ERR wrong number of arguments for 'get' command",
    "Lua": "ERR user_script:1: Script attempted to access nonexistent global variable 'x' script: 5a, on @user_script:1.",
    "a transaction of ours": "EXECABORT Transaction discarded because of previous errors.",
    "group": "BUSYGROUP Consumer Group name already exists",
    "slots": "CROSSSLOT Keys in request don't hash to the same slot",
    "no word": "something that nobody expects",
}


@pytest.mark.parametrize("reply", ABOUT_REDIS.values(), ids=list(ABOUT_REDIS))
def test_an_error_about_redis_is_transient(reply: str) -> None:
    error = DefaultParser.parse_error(reply)
    assert isinstance(error, UNAVAILABLE_ERRORS)
    assert is_transient_error(error)
    with pytest.raises(QueueUnavailable), redis_connection.mapped_redis_errors():
        raise error


@pytest.mark.parametrize("reply", ABOUT_THE_COMMAND.values(), ids=list(ABOUT_THE_COMMAND))
def test_an_error_about_the_command_is_not_transient(reply: str) -> None:
    error = DefaultParser.parse_error(reply)
    assert isinstance(error, redis_package.ResponseError)
    assert not is_transient_error(error)


@pytest.mark.parametrize("word", REFUSING)
def test_pipelines_and_transactions_raise_unavailable(redis: Any, word: str) -> None:
    for transaction in (False, True):
        pipeline = redis_connection.get_connection().pipeline(transaction=transaction)
        pipeline.get("a")
        pipeline.set("a", "b")
        with REFUSING[word](redis), pytest.raises(UNAVAILABLE_ERRORS):
            pipeline.execute()


@pytest.mark.parametrize("name", ["NOAUTH", "WRONGPASS"])
def test_a_changed_password_is_transient(name: str) -> None:
    server = RedisServer(is_valkey=IS_EMBEDDED)
    try:
        server.start()
        with server.client() as client:
            client.config_set("requirepass", "new")
        url = server.url() if name == "NOAUTH" else server.url().replace("//", "//:old@")
        with redis_package.Redis.from_url(url) as late, pytest.raises(UNAVAILABLE_ERRORS) as raised:
            late.ping()
        assert describe_refusal(raised.value) == name
    finally:
        server.remove()


def test_too_many_clients_are_transient() -> None:
    server = RedisServer(is_valkey=IS_EMBEDDED)
    try:
        server.start()
        with server.client() as client:
            client.config_set("maxclients", 1)
            with redis_package.Redis.from_url(server.url()) as late, pytest.raises(UNAVAILABLE_ERRORS):
                late.ping()
    finally:
        server.remove()
