"""The parameters of a task type as options of the command line: numRecords is --num-records.

Owns the names of the options, and how a text of the command line becomes a JSON value. Must not validate a value: the task
type's serializer does.
"""

from __future__ import annotations

import json
import re
from argparse import SUPPRESS, ArgumentError, ArgumentTypeError, BooleanOptionalAction
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from django.core.management.base import CommandParser
from rest_framework import serializers

from tasks_app.management.arguments import text
from tasks_app.task_types import TaskType, get_task_type, list_names
from tasks_app.task_types.field_labels import field_label
from tasks_app.task_types.task_file_field import TaskFileField

_DEST: Final = "param "  # with a blank, so that no other option has it
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")


def _json(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ArgumentTypeError(f"not valid JSON: {error}") from None


def _choose(field: serializers.ChoiceField, value: str) -> Any:
    """Return the choice that a text of the command line stands for; the text itself if there is none."""
    return next((choice for choice in field.choices if str(choice) == value), text(value))


# By DRF's field classes, subclasses first. A field of any other class is given as JSON.
_TYPES: Final[Sequence[tuple[type[serializers.Field[Any, Any, Any, Any]], Callable[[str], Any], str]]] = (
    (serializers.IntegerField, int, "N"),
    (serializers.FloatField, float, "NUMBER"),
    (serializers.DecimalField, text, "NUMBER"),
    (serializers.MultipleChoiceField, _json, "JSON"),
    (serializers.UUIDField, text, "ID"),
    (serializers.DateTimeField, text, "TIME"),
    (serializers.DateField, text, "DATE"),
    (serializers.TimeField, text, "TIME"),
    (serializers.DurationField, text, "DURATION"),
    (serializers.CharField, text, "TEXT"),
)


class TypeParser(CommandParser):
    """A parser whose options include the parameters of the task type that its arguments name."""

    adds_params = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.adds_params and args:
            known = set(list_names())
            if name := next((each for each in args if each in known), ""):
                self.adds_params = False
                add_param_options(self, get_task_type(name))
        return super().parse_known_args(args, namespace)


def add_param_options(parser: CommandParser, task_type: TaskType) -> None:
    """Add an option for each parameter, except files, and those whose option the command has already."""
    group = parser.add_argument_group(f"parameters of {task_type.name}")
    for name, field in task_type.params_serializer().fields.items():
        if field.read_only or isinstance(field, TaskFileField):
            continue
        option = "--" + _WORD.sub("-", str(name)).lower()
        settings: dict[str, Any] = {"dest": f"{_DEST}{name}", "default": SUPPRESS, "help": _describe(field)}
        if isinstance(field, serializers.BooleanField):
            settings["action"] = BooleanOptionalAction
        elif isinstance(field, serializers.ChoiceField) and not isinstance(field, serializers.MultipleChoiceField):
            settings["type"], settings["metavar"] = partial(_choose, field), "VALUE"
        else:
            kind, settings["metavar"] = next(
                ((make, words) for each, make, words in _TYPES if isinstance(field, each)), (_json, "JSON")
            )
            settings["type"] = kind
        try:
            group.add_argument(option, **settings)
        except ArgumentError:
            continue  # --params has it


def read_param_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that were given by options of their own."""
    return {name.removeprefix(_DEST): value for name, value in options.items() if name.startswith(_DEST)}


def _describe(field: Any) -> str:
    words = str(field.help_text or field_label(field))
    if isinstance(field, serializers.ChoiceField):
        words += f" ({', '.join(str(value) for value in field.choices)})"
    if field.default is not serializers.empty and not callable(field.default):
        words += f" (default: {field.default})"
    elif field.required:
        words += " (required)"
    return words.replace("%", "%%")
