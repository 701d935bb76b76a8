"""The private parts of redis-py that this project uses: its parser of error replies, and a connection's socket.

It replaces `redis._parsers.base.BaseParser.parse_error`: the public table EXCEPTION_CLASSES takes known words only, and a
pipeline prefixes the message with words of its own, so that it is too late to read the word from an exception. It reads
`Connection._sock`: redis-py has no public way to wait for a message together with other file descriptors.
The bare connection's methods are public, but undocumented: tests/queues/test_redis_py_internals.py checks them too, and
fails when redis-py changes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

from redis._parsers.base import BaseParser

parse_error: Final = BaseParser.parse_error  # redis-py's own


def replace_parse_error(parse: Callable[[str], Exception]) -> None:
    """Make every connection of this process convert an error reply to an exception with `parse`."""
    BaseParser.parse_error = staticmethod(parse)  # type: ignore[method-assign,assignment]


def get_parse_error() -> Callable[[str], Exception]:
    """Return the function that converts an error reply to an exception now: redis-py's own, or its replacement."""
    return BaseParser.parse_error


def get_socket(connection: Any) -> socket.socket | None:
    """Return a connection's socket; None while it is not connected."""
    found: socket.socket | None = connection._sock
    return found
