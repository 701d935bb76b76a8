"""Odd exceptions: each name in the list raises one. A recipe is [name, argument…].

Owns how they are made. Must not judge their effect.
"""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

NAMED = "odd: "  # the beginning of an exception's text


class UnspeakableError(Exception):
    """Cannot be converted to text."""

    def __str__(self) -> str:
        raise ValueError("this exception has no words")

    __repr__ = __str__


class SilentError(Exception):
    """Its conversion to text returns another type."""

    def __str__(self) -> Any:
        return None  # noqa: PLE0307


class OwnBaseError(BaseException):
    """Not a subclass of Exception."""


class ArgumentlessError(Exception):
    """Cannot be recreated from its arguments."""

    def __init__(self, *, needed: str) -> None:
        super().__init__()
        self.needed = needed


def raise_it(recipe: list[Any]) -> NoReturn:
    """Raise the exception of a recipe."""
    name, *rest = recipe
    maker = _MAKERS.get(name)
    if maker is not None:
        raise maker(*rest)
    _DEEDS[name]()
    raise AssertionError(f"{name} has raised nothing")


def _overflow(depth: int = 0) -> int:
    return _overflow(depth + 1) + 1


def _exhaust() -> None:
    bytearray(2**62)


def _assert_nothing() -> None:
    raise AssertionError


def _divide() -> None:
    _ = 1 / 0


def _with_many_causes() -> None:
    error: BaseException = ValueError(f"{NAMED}first of many")
    for number in range(500):
        later = ValueError(f"{NAMED}cause {number}")
        later.__cause__ = error
        error = later
    raise error


def _with_itself_as_context() -> None:
    first, second = ValueError(f"{NAMED}first"), ValueError(f"{NAMED}second")
    first.__context__, second.__context__ = second, first
    raise first


def _group(depth: int = 1, number: int = 3) -> BaseExceptionGroup[Any]:
    inner: list[BaseException] = [ValueError(f"{NAMED}{each}") for each in range(number)]
    group: BaseExceptionGroup[Any] = BaseExceptionGroup("odd group", inner)
    for _ in range(depth):
        group = BaseExceptionGroup("odd group", [group])
    return group


def _django(code: int) -> Exception:
    from django.db import OperationalError

    return OperationalError(code, f"{NAMED}another server's words")


def _driver(code: int) -> Exception:
    try:
        import MySQLdb
    except ImportError:  # the embedded stack
        import sqlite3

        return sqlite3.OperationalError(f"{NAMED}{code}: database is locked")
    return MySQLdb.OperationalError(code, f"{NAMED}another server's words")


def _redis(name: str) -> Exception:
    import redis

    return getattr(redis.exceptions, name)(f"{NAMED}another broker's words")  # type: ignore[no-any-return]


def _rq(name: str) -> Exception:
    from rq import timeouts

    return getattr(timeouts, name)(f"{NAMED}its own clock")  # type: ignore[no-any-return]


def _drf(text: str) -> Exception:
    from rest_framework.exceptions import ValidationError

    return ValidationError({"field": [text]})


def _engine(name: str) -> Exception:
    from tasks_app.checkpoints import claims
    from tasks_app.resilience import transient_errors

    kind = getattr(claims, name, None) or getattr(transient_errors, name)
    return kind(f"{NAMED}the engine's own")  # type: ignore[no-any-return]


_MAKERS: dict[str, Any] = {
    "ValueError": lambda text="": ValueError(f"{NAMED}{text}"),
    "long": lambda text, number: ValueError(NAMED + text * number),
    "many_arguments": lambda number: ValueError(*range(number)),
    "SystemExit": SystemExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "OwnBaseError": lambda: OwnBaseError(f"{NAMED}own"),
    "StopIteration": lambda: StopIteration(1),
    "StopAsyncIteration": StopAsyncIteration,
    "MemoryError": MemoryError,
    "RecursionError": lambda: RecursionError(f"{NAMED}said only"),
    "UnspeakableError": UnspeakableError,
    "SilentError": SilentError,
    "ArgumentlessError": lambda: ArgumentlessError(needed="x"),
    "group": _group,
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"\xff" * 50, 0, 1, f"{NAMED}\udce9"),
    "OSError": lambda text: FileNotFoundError(2, f"{NAMED}no such file", text),
    "SyntaxError": lambda text: SyntaxError(NAMED + text, ("f\udce9.py", 1, 5, text, 1, 9)),
    "django": _django,
    "driver": _driver,
    "redis": _redis,
    "rq": _rq,
    "drf": _drf,
    "engine": _engine,
}
_DEEDS: dict[str, Any] = {
    "overflow": _overflow,
    "exhaust": _exhaust,
    "assert": _assert_nothing,
    "divide": _divide,
    "many_causes": _with_many_causes,
    "cycle_of_contexts": _with_itself_as_context,
}
