"""What the documents name exists: commands, settings, routes, files, and the output of the README's shell blocks."""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.conf import global_settings
from django.core.management import get_commands, load_command_class
from django.urls import get_resolver
from rest_framework.settings import DEFAULTS

from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.procfile import process_environment
from settings.env import ROOT, list_variables
from settings.variable_names import RETIRED
from tasks_app import task_types
from tasks_app.domain.callers import Caller
from tasks_app.errors import NotAllowed

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
# Variables that are read before settings/env.py, or by other programs.
FOREIGN_VARIABLES = {
    "MARIADB_PASSWORD",
    "MARIADB_IMAGE",
    "REDIS_IMAGE",
    "PYTHON_IMAGE",
    "DJANGO_SETTINGS_MODULE",
    "ENV_FILE",
    "LONGTASKS_EXITS",
    "LONGTASKS_HOME",
    "LONGTASKS_RUN",
    "LONGTASKS_TEST_STACK",
    "PEER_DIR",
    "ARGS",
    "NAME",
    "ID",
    "NUM",
    "DJANGO_SUPERUSER_PASSWORD",
}
PROJECTS = {*dir(global_settings), *DEFAULTS, "ATOMIC_REQUESTS", "REST_FRAMEWORK", "RQ_QUEUES", "SPECTACULAR_SETTINGS"}
NO_VARIABLES = {
    "INSTALLED_APPS",
    "RQ_ALLOWED_FUNCTIONS",
    "BEGIN",
    "COMMIT",
    "COUNT",
    "SELECT",
    "POST",
    "GET",
    "HUP",
    "SIGHUP",
    "JSON",
    "TEXT",
}
UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}"
documents = pytest.mark.parametrize("name", TEXTS)


def code_in(text: str) -> Iterator[str]:
    """Yield everything in code: fenced blocks line by line, and spans."""
    fenced = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for block in fenced:
        yield from block.splitlines()
    without_fences = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", without_fences)


def blocks(kind: str, *, name: str = "README.md") -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXTS[name], re.MULTILINE | re.DOTALL)


def test_there_are_documents() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/tactics.md"} <= TEXTS.keys()


@documents
def test_link_targets_exist(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if "://" not in target and not target.startswith("#"):
            assert (ROOT / name).parent.joinpath(target.partition("#")[0]).exists(), f"{name}: {target}"


@documents
def test_named_files_exist(name: str) -> None:
    for code in code_in(TEXTS[name]):
        for path in re.findall(
            r"(?<![\w/.-])(?:tasks_app|longtasks|catalog|settings|tests|deploy|docs|loadtests)/[\w./-]*", code
        ):
            assert (ROOT / path.rstrip(".")).exists(), f"{name}: {path}"


@documents
def test_named_commands_and_options_exist(name: str) -> None:
    known = get_commands()
    for code in code_in(TEXTS[name]):
        for command, rest in re.findall(r"manage\.py ([a-z_]+)([^`|#\n]*)", code):
            assert command in known, f"{name}: manage.py {command}"
            parser = load_command_class(known[command], command).create_parser("manage.py", command)
            text = parser.format_help()
            for action in parser._actions:
                if isinstance(action, argparse._SubParsersAction):
                    text += "".join(each.format_help() for each in action.choices.values())
            for option in re.findall(r"--[a-z][a-z-]+", rest):
                assert option in text, f"{name}: manage.py {command} {option}"


@documents
def test_named_make_targets_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for code in code_in(TEXTS[name]):
        for target in re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", code):
            assert target in targets, f"{name}: make {target}"


@documents
def test_named_settings_exist(name: str) -> None:
    known = {variable.name for variable in list_variables()} | FOREIGN_VARIABLES | {*RETIRED} | PROJECTS
    for code in code_in(TEXTS[name]):
        for variable in re.findall(r"(?<![\w$\"'])([A-Z][A-Z]+(?:_[A-Z]+)+)(?=[\s=,.)]|$)", code):
            if not variable.startswith("OTEL_") and variable not in NO_VARIABLES:
                assert variable in known, f"{name}: {variable}"


@documents
def test_named_routes_exist(name: str) -> None:
    resolver = get_resolver()
    for code in code_in(TEXTS[name]):
        for path in re.findall(r"(?:^|(?:GET|POST) |localhost:3000)(/[a-z][\w/{}.-]*)", code):
            if re.match(r"/(run|etc|opt|var|tmp|bin|dev|usr)(/|$)", path):
                continue
            match = resolver.resolve(re.sub(r"\{\w+\}", "x", path))
            assert not match.route.startswith("<path:"), f"{name}: {path}"


def test_every_command_of_ours_and_every_process_is_in_the_manual() -> None:
    manual = TEXTS["docs/operations.md"] + TEXTS["docs/rq-tools.md"] + TEXTS["README.md"]
    ours = {path.stem for path in (ROOT / "tasks_app" / "management" / "commands").glob("[a-z]*.py")}
    assert {name for name in ours if f"manage.py {name}" not in manual and f"make {name}" not in manual} == set()


def test_the_table_of_settings_equals_env_py() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "settings.document", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_every_tactic_of_the_original_is_mapped() -> None:
    for tactic in (
        "Publish-Subscribe", "Multitiers", "CQRS", "Scale Rollouts", "Exception Detection", "Monitor",
        "Increase Resources", "Localize State Storage", "Abstract Data Sources", "Couple-Time Parameterization",
        "Interpret Parameters", "Retry", "Audit", "Use an Intermediary", "Abstract Common Services",
        "Limit Event Response", "Bull", "workers", "Sequelize", "PM2", "Artillery",
    ):  # fmt: skip
        assert tactic in TEXTS["docs/tactics.md"], tactic


@pytest.mark.parametrize("view", ["Decomposition", "Tiers", "Deployment"])
def test_each_view_of_the_original_has_its_three_parts(view: str) -> None:
    """A diagram, a catalogue whose rows have all columns, and decisions that name ADRs."""
    text = TEXTS["docs/architecture.md"].partition(f"\n## {view}\n")[2].partition("\n## ")[0]
    parts = dict(re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(parts) == ["Primary presentation", "Element catalogue", "Decisions"]
    assert "```mermaid" in parts["Primary presentation"]
    head, _, *rows = parts["Element catalogue"].strip().partition("\n\n")[0].splitlines()
    assert head == "| element | responsibility | must not | files | interface it offers |"
    assert len(rows) >= 5
    assert all(row.count("|") == head.count("|") for row in rows), rows
    assert re.search(r"\]\(adr/\d{4}-", parts["Decisions"])


@pytest.mark.parametrize(
    "name",
    [
        "priorities 1 to 3", "`--queues`", "`--types`", "Prefer: wait=N", "tokens", "staff", "pruning",
        "182.6 ms", "4.6", "`catalog/sql/`", "adr/0021-held-requests.md",
    ],
)  # fmt: skip
def test_the_details_of_the_original_are_mapped(name: str) -> None:
    assert name in TEXTS["docs/tactics.md"]


def test_the_readmes_task_type_is_that_of_the_first_task() -> None:
    """Which tests/docs/test_first_task.py runs."""
    [code] = blocks("python")
    assert code in TEXTS["docs/your-first-task.md"]


def test_the_task_type_with_a_cursor_of_its_own_is_purge() -> None:
    code, _ = blocks("python", name="docs/task-types.md")
    assert code.strip() in (ROOT / "catalog" / "task_types" / "purge.py").read_text()


def test_the_pages_authorize_refuses_and_allows() -> None:
    _, code = blocks("python", name="docs/task-types.md")
    names: dict[str, Any] = vars(task_types) | {"Mapping": Mapping, "Any": Any}
    exec(compile(code, "task-types.md", "exec", dont_inherit=True), names)  # noqa: S102 (the page's own code)
    task_type = names["ReportTask"]()
    ann, root = Caller(owner="ann", scope="write"), Caller(owner="root", scope="admin")
    task_type.authorize({"months": 12}, ann)
    task_type.authorize({"months": 13}, root)
    with pytest.raises(NotAllowed, match=r"^months: More than a year"):
        task_type.authorize({"months": 13}, ann)


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines() if line.strip()])
def test_shell_lines_can_be_run(line: str, tmp_path: Path) -> None:
    """Targets of make are checked by `make -n` only; the running stack is tested elsewhere."""
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        asked = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        assert asked.returncode == 0, asked.stderr
        for command in re.findall(r'ARGS="([a-z]+)"', line):
            assert command in get_commands()
    else:
        assert words == ["cp", ".env.example", ".env"]
        subprocess.run(["cp", str(ROOT / ".env.example"), str(tmp_path / ".env")], check=True)


def sessions() -> list[tuple[str, str]]:
    """Return each command of the README's console blocks with its output."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            end = next((index for index, line in enumerate(lines) if not line.endswith("\\")), 0) + 1
            found.append(("\n".join(lines[:end]), "\n".join(lines[end:]).strip()))
    return found


def test_the_session_prints_what_the_readme_shows(stack: ProcfileStack) -> None:
    """The same shapes and results; ids, times and rates differ."""
    assert len(sessions()) >= 3
    script_environment = process_environment(os.environ)
    ids: dict[str, str] = {}  # printed, by the one that the README shows
    for command, shown in sessions():
        command = command.replace("http://localhost:3000", stack.address)
        for shown_id, printed_id in ids.items():
            command = command.replace(shown_id, printed_id)
        ran = subprocess.run(
            ["bash", "-c", command], env=script_environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        printed, wanted = json.loads(ran.stdout), json.loads(shown)
        ids |= zip(re.findall(UUID7, shown), re.findall(UUID7, ran.stdout), strict=True)
        assert shape(printed) == shape(wanted), command
        if wanted.get("status") == "finished":
            assert printed["insertedRecords"] == wanted["insertedRecords"]


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "text" if isinstance(value, str) else value if isinstance(value, bool) or value is None else "number"
