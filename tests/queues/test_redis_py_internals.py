"""redis-py's private and undocumented parts are where this project expects them."""

import inspect
import socket
from typing import Any

import pytest
import redis as redis_package
from redis._parsers.base import BaseParser
from redis.connection import AbstractConnection, Connection
from redis.exceptions import NoScriptError, ResponseError

from tasks_app.queues import redis_py_internals
from tasks_app.queues.thread_connection import RedisRefused


def test_redis_pys_own_parser_returns_its_exceptions() -> None:
    assert list(inspect.signature(redis_py_internals.parse_error).parameters) == ["response"]
    assert type(redis_py_internals.parse_error("NOSCRIPT No matching script")) is NoScriptError
    found: Any = redis_py_internals.parse_error("MISCONF cannot write")
    assert type(found) is ResponseError, "redis-py knows this word: RedisRefused may be needless"
    assert str(found) == "MISCONF cannot write"


def list_parsers(kind: type) -> list[type]:
    return [kind, *(each for child in kind.__subclasses__() for each in list_parsers(child))]


def test_every_parser_uses_the_replaced_function() -> None:
    assert len(list_parsers(BaseParser)) > 3
    for parser in list_parsers(BaseParser):
        assert type(parser.parse_error("MISCONF cannot write")) is RedisRefused, parser


def test_a_reply_of_the_server_goes_through_it(redis: "redis_package.Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    replies: list[str] = []

    def parse(response: str) -> Exception:
        replies.append(response)
        return ResponseError(response)

    monkeypatch.setattr(BaseParser, "parse_error", BaseParser.parse_error)  # so that it is restored
    redis_py_internals.replace_parse_error(parse)
    with pytest.raises(ResponseError):
        redis.execute_command("NO-SUCH-COMMAND")
    with pytest.raises(ResponseError), redis.pipeline(transaction=False) as pipeline:
        pipeline.execute_command("NO-SUCH-COMMAND").execute()  # type: ignore[no-untyped-call]
    assert len([reply for reply in replies if "NO-SUCH-COMMAND" in reply]) == 2


def test_a_connections_socket_is_readable_when_a_message_comes(redis: "redis_package.Redis") -> None:
    assert redis_py_internals.get_socket(Connection()) is None
    with redis.pubsub() as pubsub:
        pubsub.subscribe("news")
        pubsub.get_message(timeout=5)
        found = redis_py_internals.get_socket(pubsub.connection)
        assert isinstance(found, socket.socket)
        redis.publish("news", "x")
        found.settimeout(5)
        assert found.recv(1, socket.MSG_PEEK)


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("send_packed_command", {"command"}),
        ("pack_commands", {"commands"}),
        ("read_response", set()),
        ("can_read", {"timeout"}),
        ("connect", set()),
        ("disconnect", set()),
    ],
)
def test_the_bare_connection_has_the_methods_that_are_called(name: str, needed: set[str]) -> None:
    parameters = inspect.signature(getattr(AbstractConnection, name)).parameters
    assert needed <= parameters.keys()
    required = {
        each
        for each, parameter in parameters.items()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }
    assert required <= needed | {"self"}


def test_the_bare_connection_answers_several_commands_in_their_order(redis: "redis_package.Redis") -> None:
    connection: Any = redis.connection_pool.get_connection()
    try:
        packed = b"".join(connection.pack_commands([("PING",), ("NO-SUCH-COMMAND",), ("ECHO", "x")]))
        connection.send_packed_command([packed])
        assert connection.read_response() in (b"PONG", "PONG")
        with pytest.raises(ResponseError):
            connection.read_response()
        assert connection.read_response() in (b"x", "x")
        assert not connection.can_read(timeout=0)
    finally:
        redis.connection_pool.release(connection)
