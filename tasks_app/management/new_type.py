"""The source of a new task type over a model, and of its test, from the templates in type_templates.

Owns what a template needs to know about a model. Must not write a file (new_type_files).
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Any, Final

from django.db import models

from tasks_app.errors import LongtasksError
from tasks_app.task_types import list_names

KINDS: Final = ("backfill", "cleanup", "import", "export")
_TEMPLATES: Final = Path(__file__).parent / "type_templates"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_KEY_TYPES: Final = ((models.IntegerField, "int"), (models.UUIDField, "uuid.UUID"))


class CannotMakeType(LongtasksError):
    """A task type of this name, or over this model, cannot be written."""


def check_name(name: str) -> None:
    """Raise CannotMakeType unless a new task type and its module can have this name."""
    if not _NAME.match(name) or keyword.iskeyword(name):
        raise CannotMakeType(
            f"{name[:80]!r} is not a name for a task type and its module: use small letters, digits and _, and begin with a "
            "letter, such as normalise_phones."
        )
    if name in list_names():
        raise CannotMakeType(f"There is a task type {name} already: use another name.")


def to_class_name(name: str, *, model: type[models.Model]) -> str:
    """Return the name of the class: normalise_phones, NormalisePhones."""
    made = "".join(word.capitalize() for word in name.split("_"))
    return f"{made}Task" if made == model.__name__ else made


def render(kind: str, *, name: str, model: type[models.Model]) -> tuple[str, str]:
    """Return the source of the type and of its test. Raises CannotMakeType if the model does not fit."""
    manager = model._meta.default_manager
    values = {
        "name": name,
        "class_name": to_class_name(name, model=model),
        "label": model._meta.label,
        "module": model.__module__,
        "model": model.__name__,
        "manager": "objects" if manager is None else manager.name,
        **_DESCRIBE[kind](model),
    }
    sources = [Template((_TEMPLATES / f"{file}.py-tpl").read_text()) for file in (kind, f"{kind}_test")]
    of_type, of_test = (source.substitute(values) for source in sources)
    return of_type, of_test


def _describe_backfill(model: type[models.Model]) -> dict[str, str]:
    fields = [field for field in _list_fields(model) if not field.primary_key]
    if not fields:
        raise CannotMakeType(f"{model._meta.label} has no column to change but its key.")
    texts = [field for field in fields if isinstance(field, (models.CharField, models.TextField)) and not field.choices]
    field = next((each for each in texts if not (each.unique or each.null)), fields[0])
    value = f"row.{field.attname}.strip()" if field in texts and not field.null else f"row.{field.attname}"
    return {"attribute": field.attname, "field": field.name, "value": value}


def _describe_cleanup(model: type[models.Model]) -> dict[str, str]:
    times = [field for field in _list_fields(model) if isinstance(field, models.DateField)]  # DateTimeField is one too
    if times:
        is_time = isinstance(times[0], models.DateTimeField)
        return {
            "type_import": "import datetime\n",
            "test_import": "import datetime\n",
            "param": "before",
            "param_type": "datetime.datetime" if is_time else "datetime.date",
            "lookup": f"{times[0].name}__lt",
            "test_value": "datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)"
            if is_time
            else "datetime.date(2100, 1, 1)",
        }
    key: Any = model._meta.pk
    while isinstance(key, models.ForeignKey):
        key = key.target_field
    kind = next((name for field, name in _KEY_TYPES if isinstance(key, field)), "str")
    return {
        "type_import": "import uuid\n" if kind == "uuid.UUID" else "",
        "test_import": "",
        "param": "upTo",
        "param_type": kind,
        "lookup": "pk__lte",
        "test_value": "max(row.pk for row in rows)",
    }


def _describe_import(model: type[models.Model]) -> dict[str, str]:
    fields = [field.name for field in _list_fields(model) if field.editable and not isinstance(field, models.FileField)]
    if not fields:
        raise CannotMakeType(f"{model._meta.label} has no column that an import could fill.")
    return {"fields": _show_names(fields)}


def _describe_export(model: type[models.Model]) -> dict[str, str]:
    names = [field.attname for field in model._meta.concrete_fields]
    return {"fields": _show_names(names), "commas": str(len(names) - 1)}


_DESCRIBE: Final = {
    "backfill": _describe_backfill,
    "cleanup": _describe_cleanup,
    "import": _describe_import,
    "export": _describe_export,
}


def _list_fields(model: type[models.Model]) -> list[Any]:
    """Return the fields that a task may write."""
    return [
        field
        for field in model._meta.concrete_fields
        if field.column and not isinstance(field, models.AutoField) and not getattr(field, "generated", False)
    ]


def _show_names(names: list[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names)
    return f"({shown},)" if len(names) == 1 else f"({shown})"
