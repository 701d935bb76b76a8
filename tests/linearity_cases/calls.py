"""What several cases share: a call whose refusals are expected, and the keys of an object in JSON."""

from typing import Any


def quietly(function: Any, *wanted: type[Exception]) -> Any:
    """Return the function without the exceptions that hostile text is expected to cause."""

    def call(text: Any) -> None:
        try:
            function(text)
        except wanted:
            return

    return call


def keys(length: int) -> str:
    return ",".join(f'"{number}":1' for number in range(length // 9))
