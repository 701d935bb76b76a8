"""pyproject.toml: the wheel's dependencies, the exact versions of this project, and requirements.txt of the same source."""

import ast
import dataclasses
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from settings.env import ROOT
from tasks_app.conf.installation import Installation

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
# What only some projects have, and tasks_app imports only where it is installed.
OPTIONAL = {"unfold", "import_export", "tablib", "opentelemetry", "pytest", "MySQLdb", "django_tasks"}


def read_group(*names: str) -> dict[str, str]:
    """Return the exact versions of some groups, by the normal form of the package's name."""
    pins = [pin for name in names for pin in PROJECT["dependency-groups"][name]]
    return {canonicalize_name(pin.partition("==")[0]): pin.partition("==")[2] for pin in pins}


def run_pins(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".ci" / "pins"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_requirements_txt_is_written_from_pyproject() -> None:
    checked = run_pins("--check")
    assert checked.returncode == 0, checked.stderr
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    pins = {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in lines}
    assert pins == read_group("runtime", "mysql")


def test_an_unknown_group_is_refused_with_the_known_ones() -> None:
    refused = run_pins("dev", "nothing")
    assert refused.returncode == 1
    assert refused.stderr == (
        "'nothing' is not a group of pyproject.toml: give runtime, mysql, tracing, import-export, dev, load, bench.\n"
    )


def test_the_wheel_accepts_the_versions_with_which_this_project_is_tested() -> None:
    tested = read_group("runtime", "mysql", "tracing", "import-export")
    wanted = [*PROJECT["project"]["dependencies"]]
    wanted += [each for extra, packages in EXTRAS.items() if extra != "django-tasks" for each in packages]
    for each in map(Requirement, wanted):
        assert each.specifier.contains(tested[canonicalize_name(each.name)]), each
        assert any(bound.operator.startswith("<") for bound in each.specifier), f"{each}: without an upper bound"


def test_the_extras_are_those_of_the_documents() -> None:
    assert sorted(EXTRAS) == ["django-tasks", "embedded", "import-export", "mysql", "tracing"]
    manual = (ROOT / "docs" / "install.md").read_text()
    assert all(f"`{extra}`" in manual for extra in EXTRAS)


def test_the_manual_lists_the_further_keys_as_they_are_declared() -> None:
    rows = [
        f"| `{field.name.upper()}` | `{field.default}` | {field.metadata['meaning']} |"
        for field in dataclasses.fields(Installation)
    ]
    assert "\n".join(rows) in (ROOT / "docs" / "install.md").read_text()


def test_the_wheel_depends_on_what_tasks_app_imports() -> None:
    own = {canonicalize_name(Requirement(each).name) for each in PROJECT["project"]["dependencies"]}
    distributions = packages_distributions()
    for module, path in _list_imports().items():
        if module in sys.stdlib_module_names or module in {"tasks_app", *OPTIONAL}:
            continue
        needed = {canonicalize_name(each) for each in distributions[module]}
        assert needed & own, f"{path} imports {module}"


def _list_imports() -> dict[str, Path]:
    """Return the imported top-level modules, each with a file that imports it."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "tasks_app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {each.name.partition(".")[0]: path for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found[node.module.partition(".")[0]] = path
    return found
