"""Reads deploy/compose.yaml as Docker Compose does, as far as the file needs: ${…}, $$, variables without a value.

Owns the reading. Must not start anything: namespaces.py does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from settings.env import ROOT

COMPOSE_PATH: Final = ROOT / "deploy" / "compose.yaml"
_REFERENCE: Final = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<rest>[^}]*))?\}|(?P<wrong>))")


def read_compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the services with these variables set. Raises ValueError where compose refuses the file."""
    services: dict[str, Any] = _resolve(yaml.safe_load(COMPOSE_PATH.read_text()), variables)["services"]
    for service in services.values():
        environment = service.get("environment", {})
        service["environment"] = {
            name: variables[name] if value is None else value
            for name, value in environment.items()
            if value is not None or name in variables
        }
    return services


def _resolve(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _resolve(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_resolve(each, variables) for each in value]
    return _substitute(value, variables) if isinstance(value, str) else value


def _substitute(text: str, variables: Mapping[str, str]) -> str:
    def find(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, how, rest = match["name"], match["how"], match["rest"]
        if not name:
            raise ValueError(f"invalid interpolation format: {text!r}")
        found = variables.get(name, "")
        if found or how is None:
            return found
        if how == ":?":
            raise ValueError(f"required variable {name} is missing a value: {rest}")
        return str(rest)

    return _REFERENCE.sub(find, text)
