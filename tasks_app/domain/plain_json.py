"""Converts values of foreign code to plain JSON that may be stored with a task, or refuses them.

Owns the limits of depth, size and types. Must not know what the values are for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from tasks_app.domain.error_text import describe_value

DEPTH: Final = 30  # MariaDB's JSON functions go 32 levels deep


class NotJson(Exception):
    """A value that JSON cannot represent, or that is too large."""

    def __init__(self, *, path: str, value: object, accepted: str) -> None:
        self.path, self.value, self.accepted = path, value, accepted
        super().__init__(f"{path} is {describe_value(value)}; accepted: {accepted}")


class JsonCopy:
    """Copies a value into plain dicts, lists, strings and numbers, or raises NotJson. One instance makes one copy.

    Reads at most `most_bytes` and DEPTH levels, so cycles and endless mappings end it too. `convert` is called with a
    value of another type, and returns it unchanged if it cannot convert it.
    """

    def __init__(self, *, most_bytes: int, convert: Callable[[Any], Any] | None = None) -> None:
        self._most = most_bytes
        self._convert = convert
        self._remaining = most_bytes

    def copy(self, value: object) -> Any:
        """Return the copy. Raises NotJson."""
        copied = self._copy(value, "", 0)
        if not copied:
            return copied
        size = len(json.dumps(copied, ensure_ascii=False, separators=(",", ":")).encode())
        if size > self._most:
            raise self._too_large("", value)
        return copied

    def _copy(self, value: object, path: str, depth: int) -> Any:
        self._remaining -= 1
        if isinstance(value, str):
            return self._copy_text(value, path)
        if self._remaining < 0:
            raise self._too_large(path, value)
        if value is None or value is True or value is False:
            return value
        if isinstance(value, int):
            number = int.__int__(value)
            if not -(2**63) <= number < 2**64:
                raise NotJson(path=path, value=value, accepted="an int of 64 bits")
            return number
        if isinstance(value, float):
            real = float.__float__(value)
            if not math.isfinite(real):
                raise NotJson(path=path, value=value, accepted="a finite number")
            return real
        if depth >= DEPTH:
            raise NotJson(path=path[:100], value=value, accepted=f"at most {DEPTH} levels of lists and mappings")
        if isinstance(value, Mapping):
            return self._copy_mapping(value, path, depth)
        if isinstance(value, (list, tuple)):
            return [self._copy(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
        if self._convert is not None:
            converted = self._convert(value)
            if converted is not value:
                return self._copy(converted, path, depth + 1)
        accepted = "JSON: str, int, float, bool, None, lists, and mappings with str as keys"
        raise NotJson(path=path, value=value, accepted=accepted)

    def _copy_mapping(self, value: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        for key in value:
            if not isinstance(key, str):
                raise NotJson(path=f"{path}: a key", value=key, accepted="str")
            name = self._copy_text(key, f"{path}: a key")
            copied[name] = self._copy(value[key], f"{path}[{describe_value(name, characters=60)}]", depth + 1)
        return copied

    def _copy_text(self, value: str, path: str) -> str:
        text = str.__str__(value)
        self._remaining -= len(text)
        if self._remaining < 0:
            raise self._too_large(path, text)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise NotJson(path=path, value=text, accepted="text without lone surrogates") from None
        return text

    def _too_large(self, path: str, value: object) -> NotJson:
        return NotJson(path=path, value=value, accepted=f"at most {self._most} bytes of JSON in all")
