"""Each file of code holds one idea: it says which in its first line, and is at most 300 lines long."""

import ast
from pathlib import Path

from settings.env import ROOT
from tests.support.tracked_files import list_tracked

LONGEST_LINES = 300
CODE = {".py", ".lua", ".js", ".css", ".html", ".sh"}
# Written by Django or by a generator of this project.
GENERATED = ("tasks_app/migrations/",)


def list_code() -> list[Path]:
    paths = [Path(name) for name in list_tracked() if not name.startswith(GENERATED)]
    return [path for path in paths if path.suffix in CODE and (ROOT / path).is_file()]


def count_lines(path: Path) -> int:
    return len((ROOT / path).read_text().splitlines())


def has_header(source: str) -> bool:
    """Whether a module says in a docstring what it is; an empty one needs none."""
    module = ast.parse(source)
    return not module.body or bool(ast.get_docstring(module))


def test_no_file_of_code_is_longer_than_300_lines() -> None:
    too_long = {str(path): lines for path in list_code() if (lines := count_lines(path)) > LONGEST_LINES}
    assert too_long == {}


def test_every_module_says_what_it_is() -> None:
    modules = [path for path in list_code() if path.suffix == ".py"]
    assert len(modules) > 500
    assert [str(path) for path in modules if not has_header((ROOT / path).read_text())] == []


def test_a_module_without_a_docstring_is_found() -> None:
    assert not has_header("import os\n")
    assert has_header('"""Owns the thing."""\nimport os\n')
    assert has_header("")
