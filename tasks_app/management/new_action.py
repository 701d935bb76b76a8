"""`manage.py task new NAME --backfill app.Model`: writes a task type and its test into an application.

Owns arguments and output of this action. Must not know what is written (new_type) nor where (new_type_files).
"""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.db import models

from tasks_app.management.arguments import text
from tasks_app.management.new_type import KINDS, CannotMakeType, check_name, render, to_class_name
from tasks_app.management.new_type_files import find_places, write_files

_START = {"cleanup": " --params '{…}'", "import": " --file FILE"}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `task new`."""
    parser.add_argument("name", type=text, help="of the task type and its module, such as normalise_phones")
    kinds = parser.add_mutually_exclusive_group(required=True)
    for kind, words in zip(
        KINDS, ("changes rows", "deletes rows", "inserts rows from a file", "writes rows to a file"), strict=True
    ):
        kinds.add_argument(f"--{kind}", type=text, metavar="APP.MODEL", help=f"a type that {words} of this model")
    parser.add_argument(
        "--app", type=text, default="", metavar="LABEL", help="the application to write to (the model's)"
    )


def run(options: Mapping[str, Any]) -> str:
    """Write the files; return what to print. Raises CannotMakeType."""
    name = options["name"]
    check_name(name)
    [kind] = [kind for kind in KINDS if options[kind] is not None]
    model = _find_model(options[kind])
    app = _find_app(options["app"] or model._meta.app_label)
    type_source, test_source = render(kind, name=name, model=model)
    files = find_places(app, name=name, class_name=to_class_name(name, model=model))
    written = write_files(files, type_source=type_source, test_source=test_source)
    lines = [f"Wrote {_show(path)}" for path in written]
    commands = {
        f"make test-embedded ARGS={_show(files.test_file)}": "run its test, on SQLite",
        "make reload": "load it, while longtasks is running",
        f"manage.py task start {name}{_START.get(kind, '')} --wait": "start a task",
    }
    width = max(map(len, commands))
    return "\n".join([*lines, "", "Next:", *(f"  {line:{width}}  # {words}" for line, words in commands.items())])


def _find_model(label: str) -> type[models.Model]:
    app_label, _, model_name = label.partition(".")
    app = _find_app(app_label)
    try:
        return app.get_model(model_name)
    except LookupError:
        known = ", ".join(sorted(f"{app_label}.{model.__name__}" for model in app.get_models())) or "none"
        raise CannotMakeType(f"There is no model {label[:200]}. The models of {app_label}: {known}.") from None


def _find_app(label: str) -> AppConfig:
    try:
        return apps.get_app_config(label)
    except LookupError:
        known = ", ".join(sorted(config.label for config in apps.get_app_configs()))
        raise CannotMakeType(
            f"There is no application {label[:100]!r} in INSTALLED_APPS. Write APP.MODEL with one of: {known}."
        ) from None


def _show(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
