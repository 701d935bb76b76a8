"""The files of a new task type: where an application has its types and their tests.

Owns the places, and that no file is overwritten. Must not know what the files say (new_type).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.apps import AppConfig

from tasks_app.management.new_type import CannotMakeType

_PACKAGES: Final = {"site-packages", "dist-packages"}


@dataclass(frozen=True, slots=True)
class NewFiles:
    """What is to be written: new files, and the new text of the package that imports the type."""

    type_file: Path
    test_file: Path
    package_file: Path  # __init__.py of task_types
    package_text: str
    folders: tuple[Path, ...]  # packages that are made, with an empty __init__.py


def find_places(app: AppConfig, *, name: str, class_name: str) -> NewFiles:
    """Return the places in an application. Raises CannotMakeType if one of them is taken."""
    folder = Path(app.path)
    if _PACKAGES & set(folder.parts):
        raise CannotMakeType(
            f"The application {app.label} is an installed package ({folder}): name one of your own by --app."
        )
    package, module = folder / "task_types", folder / "task_types.py"
    if module.exists():
        raise CannotMakeType(
            f"{module} exists, and each new type gets a file of its own: move it to {package / '__init__.py'}, then try again."
        )
    tests = folder / "tests"
    # `startapp` makes a module tests.py; a folder of that name beside it would hide it.
    in_folder = not (folder / "tests.py").exists()
    init = package / "__init__.py"
    files = NewFiles(
        type_file=package / f"{name}.py",
        test_file=(tests if in_folder else folder) / f"test_{name}.py",
        package_file=init,
        package_text=_add_import(init, f"{app.name}.task_types.{name}", class_name, label=app.label),
        folders=(tests,) if in_folder and not (tests / "__init__.py").exists() else (),
    )
    for path in (files.type_file, files.test_file):
        if path.exists():
            raise CannotMakeType(f"{path} exists and is not overwritten: delete it, or use another name.")
    return files


def write_files(files: NewFiles, *, type_source: str, test_source: str) -> list[Path]:
    """Write the files; return their paths. Raises CannotMakeType if the folder cannot be written."""
    try:
        for folder in files.folders:
            folder.mkdir(exist_ok=True)
            (folder / "__init__.py").touch(exist_ok=True)
        files.package_file.parent.mkdir(exist_ok=True)
        for path, source in ((files.type_file, type_source), (files.test_file, test_source)):
            with path.open("x", encoding="utf-8") as file:
                file.write(source)
        files.package_file.write_text(files.package_text, encoding="utf-8")
    except OSError as error:
        raise CannotMakeType(f"{error.filename}: {error.strerror}.") from error
    return [files.type_file, files.package_file, files.test_file]


def _add_import(init: Path, module: str, class_name: str, *, label: str) -> str:
    """Return the text of the package's __init__.py with one import more, behind those that it has."""
    head = f'"""The task types of {label}. Importing this package registers them all."""\n'
    text = init.read_text(encoding="utf-8") if init.exists() else head
    try:
        body = ast.parse(text).body
    except SyntaxError as error:
        raise CannotMakeType(f"{init}: line {error.lineno}: {error.msg}.") from error
    imports = [each for each in body if isinstance(each, (ast.Import, ast.ImportFrom))]
    docstring = body[0] if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) else None
    last = imports[-1] if imports else docstring
    lines = text.splitlines(keepends=True)
    at = 0 if last is None else last.end_lineno or 0
    line = f"from {module} import {class_name} as {class_name}\n"
    return "".join([*lines[:at], *([] if imports or not at else ["\n"]), line, *lines[at:]])
