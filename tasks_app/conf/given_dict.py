"""The dict LONGTASKS of a project that is not ours, as validated, typed values.

Owns which keys exist, and which Python values stand for a variable's text. The rules of each value are those of the
variable of the same name (values.py). Must not read Django's settings.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured

from tasks_app.conf.installation import REDIS_URL, Installation
from tasks_app.conf.longtasks import Longtasks
from tasks_app.conf.values import parse_value, type_name

_SHOWN_CHARACTERS: Final = 64
_WANTED: Final = {
    "bool": "True or False",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "path": "a path",
    "list": "a list",
}


def list_fields() -> dict[str, dataclasses.Field[Any]]:
    """Return the fields of all keys, by key."""
    fields = (*dataclasses.fields(Longtasks), *dataclasses.fields(Installation))
    return {field.name.upper(): field for field in fields}


def read_dict(given: object) -> tuple[Longtasks, Installation]:
    """Return the typed settings; every key has a default, and None is an empty dict.

    Raises ImproperlyConfigured: one line that names the key and what is accepted, without a value that may be a secret.
    """
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"LONGTASKS is a {type(given).__name__}: give a dict, such as {{}}.")
    fields = list_fields()
    values = {"redis_url": REDIS_URL}
    for key, value in given.items():
        if key not in fields:
            raise ImproperlyConfigured(_explain_unknown(key, fields))
        values[fields[key].name] = _read(fields[key], value)
    if not values["redis_url"] and not values.get("redis_sentinels"):
        raise ImproperlyConfigured('LONGTASKS["REDIS_URL"] is empty: give redis://host:6379/0, or leave it out.')
    return _build(Longtasks, values), _build(Installation, values)


def _build(kind: Any, values: Mapping[str, Any]) -> Any:
    own = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in own})


def _read(field: dataclasses.Field[Any], value: object) -> Any:
    kind = type_name(field)
    text = _to_text(kind, value)
    if text is None or not text.isprintable():
        raise ImproperlyConfigured(
            f'LONGTASKS["{field.name.upper()}"] is a {type(value).__name__}: give {_WANTED[kind]}.'
            if text is None
            else f'LONGTASKS["{field.name.upper()}"] is refused: it contains non-printable characters.'
        )
    try:
        return parse_value(field, text)
    except ImproperlyConfigured as error:
        raise ImproperlyConfigured(f"LONGTASKS: {error}") from None


def _to_text(kind: str, value: object) -> str | None:
    """Return the text that a variable would have; None if a value of this type cannot be meant."""
    if isinstance(value, str):
        return value.strip()  # such as os.environ gives it
    if isinstance(value, bool):
        return str(int(value)) if kind == "bool" else None
    if isinstance(value, (int, float)):
        return f"{value}" if kind in ("int", "float") else None
    if isinstance(value, Path):
        return str(value) if kind == "path" else None
    if isinstance(value, (list, tuple)) and kind == "list":
        parts = [str(part) for part in value]
        return None if any("," in part for part in parts) else ",".join(parts)
    return None


def _explain_unknown(key: object, known: Mapping[str, Any]) -> str:
    shown = repr(key)[:_SHOWN_CHARACTERS]
    nearest = difflib.get_close_matches(str(key)[:_SHOWN_CHARACTERS].upper(), known, n=1, cutoff=0.6)
    hint = f"Did you mean {nearest[0]!r}?" if nearest else f"The keys are {', '.join(sorted(known))}."
    return f"LONGTASKS has the unknown key {shown}. {hint}"
