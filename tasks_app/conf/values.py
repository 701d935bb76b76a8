"""Parses and validates the text of a variable by the metadata of its field.

Must not know a variable by name, nor repeat a value in an error if it may be a secret.
"""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from tasks_app.conf.service_url import RefusedUrl, parse_url

TRUE_WORDS = ("1", "true", "yes", "on")
FALSE_WORDS = ("0", "false", "no", "off", "")
NUMBER_CHARACTERS = 15


def parse_value(field: dataclasses.Field[Any], text: str) -> Any:
    """Return the value of a variable. Raises ImproperlyConfigured: one line without secrets."""
    if field.metadata["check"] is not None:
        try:
            return field.metadata["check"](text)
        except ValueError as error:
            raise _refusal(field, text, str(error)) from None
    kind = type_name(field)
    if kind in ("int", "float"):
        return _parse_number(field, text, int if kind == "int" else float)
    if kind == "bool":
        if text.lower() not in TRUE_WORDS + FALSE_WORDS:
            raise _refusal(field, text, "1, true, yes, on or 0, false, no, off")
        return text.lower() in TRUE_WORDS
    if kind == "list":
        parts = tuple(part.strip() for part in text.split(",") if part.strip())
        return parts if field.metadata["minimum"] is None else tuple(_parse_number(field, part, int) for part in parts)
    if kind == "path":
        if not text:
            raise _refusal(field, text, "a directory")
        return Path(text)
    choices = field.metadata["choices"]
    if choices and text.upper() not in choices:
        raise _refusal(field, text, " or ".join(choices))
    schemes = field.metadata["schemes"]
    if schemes and text:
        # Repeat no part of an invalid URL: it may hold a password.
        if text.partition("://")[0] not in schemes:
            expected = " or ".join(f"{scheme}://" for scheme in schemes)
            raise ImproperlyConfigured(f"{field.name.upper()} is refused: give empty or a URL with {expected}.")
        try:
            return str(parse_url(text))
        except RefusedUrl as refusal:
            raise ImproperlyConfigured(f"{field.name.upper()} is refused: {refusal}.") from None
    return text.upper() if choices else text


def _parse_number(field: dataclasses.Field[Any], text: str, kind: type[int] | type[float]) -> float:
    minimum, maximum = field.metadata["minimum"], field.metadata["maximum"]
    accepted = "a whole number" if kind is int else "a number"
    if minimum is not None and maximum is not None:
        accepted += f" from {minimum} to {maximum}"
    elif minimum is not None:
        accepted += f", {minimum} or more"
    if len(text) > NUMBER_CHARACTERS:
        raise _refusal(field, text, accepted)
    try:
        number = kind(text)
    except ValueError:
        raise _refusal(field, text, accepted) from None
    too_small = minimum is not None and number < minimum
    too_big = maximum is not None and number > maximum
    if not math.isfinite(number) or too_small or too_big:
        raise _refusal(field, text, accepted)
    return number


def _refusal(field: dataclasses.Field[Any], text: str, accepted: str) -> ImproperlyConfigured:
    # A long text, or one with characters of URLs and keys, may be a secret that was meant for another variable.
    shown = f"={text!r}" if re.fullmatch(r"[\w.,+ -]{0,16}", text) else ""
    return ImproperlyConfigured(f"{field.name.upper()}{shown} is refused: give {accepted}.")


def type_name(field: dataclasses.Field[Any]) -> str:
    """Return the word for a variable's type in the table of variables."""
    kinds = {bool: "bool", int: "int", float: "float", str: "str", Path: "path", tuple: "list"}
    return next(name for kind, name in kinds.items() if isinstance(field.default, kind))
