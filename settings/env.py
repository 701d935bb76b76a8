"""The one place that reads environment variables: converts text into validated, typed values.

The variables are declared in longtasks_variables.py and process_variables.py. Must not build Django settings (base.py
does that). An invalid value stops the start with one line that names the variable, the value and what is accepted.
"""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from settings.env_file import RefusedFile, read_env_file
from settings.process_variables import DEVELOPMENT_SECRET_KEY, Process
from settings.variable_names import describe_retired, find_near_miss, find_strange_in_file
from tasks_app.conf.cores import count_cores
from tasks_app.conf.longtasks import Longtasks
from tasks_app.conf.values import parse_value, type_name

__all__ = ["DEVELOPMENT_SECRET_KEY", "ROOT", "Loaded", "Longtasks", "Process", "Variable", "list_variables", "load"]

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One row of docs/settings.md and .env.example."""

    name: str
    type: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """All variables, validated."""

    longtasks: Longtasks
    process: Process
    retired: str = ""  # one line about set variables that have no effect any more


def load(*, environment: Mapping[str, str] | None = None) -> Loaded:
    """Read the environment and the file ENV_FILE (default `.env` in the project root); the environment wins."""
    if environment is None:
        environment = _read_file(os.environ.get("ENV_FILE")) | os.environ
    if strange := find_near_miss(environment, known=KNOWN):
        raise ImproperlyConfigured(strange)
    process = Process(**_values(Process, environment))
    cores = count_cores()
    return Loaded(
        longtasks=Longtasks(**_values(Longtasks, environment)),
        process=dataclasses.replace(
            process, web_workers=process.web_workers or cores, workers=process.workers or cores
        ),
        retired=describe_retired(environment),
    )


def _read_file(name: str | None) -> dict[str, str]:
    """Return the file's variables. Variables of other programs are copied into os.environ."""
    path = ROOT / (".env" if name is None else name)
    if name == "" or (name is None and not path.exists()):
        return {}
    try:
        variables = read_env_file(path)
    except RefusedFile as refusal:
        raise ImproperlyConfigured(str(refusal)) from None
    if strange := find_strange_in_file(variables, known=KNOWN, path=path):
        raise ImproperlyConfigured(strange)
    for each in variables.keys() - KNOWN:
        os.environ.setdefault(each, variables[each])
    return variables


def list_variables() -> list[Variable]:
    """Return all variables, in the order of the dataclasses."""
    return [
        Variable(
            name=field.name.upper(),
            type=type_name(field),
            default=_as_text(field.default),
            meaning=field.metadata["meaning"],
        )
        for field in (*dataclasses.fields(Process), *dataclasses.fields(Longtasks))
    ]


def _values(owner: type[Longtasks] | type[Process], environment: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for field in dataclasses.fields(owner):
        text = environment.get(field.name.upper())
        if text is None:
            continue
        if not text.strip().isprintable():
            raise ImproperlyConfigured(f"{field.name.upper()} is refused: it contains non-printable characters.")
        values[field.name] = parse_value(field, text.strip())
    return values


def _as_text(default: Any) -> str:
    if isinstance(default, bool):
        return "1" if default else "0"
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return str(default)


KNOWN = frozenset(each.name for each in list_variables())
