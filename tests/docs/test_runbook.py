"""docs/operations.md names every alert and every finding of doctor, with cause, command and what is lost."""

import ast
import re

import yaml

from settings.env import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def rows_of(heading: str) -> dict[str, list[str]]:
    """Return the table under a heading: the name in its first column, and the other cells."""
    section = TEXT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]
    return {row[0].strip("`| "): row[1:] for row in cells}


def findings_of_doctor() -> set[str]:
    """Return the names of all findings other than "ok", as in the code; `*` for variable parts."""
    names = set()
    for path in (ROOT / "tasks_app" / "operations" / "doctor").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding"):
                continue
            level, name = node.args[0], node.args[1]
            if isinstance(level, ast.Name) and level.id in ("OK",):
                continue
            if isinstance(name, ast.Constant):
                names.add(str(name.value))
            elif isinstance(name, ast.JoinedStr):
                names.add("".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in name.values))
            else:
                assert isinstance(name, ast.Name), ast.unparse(node)  # `subject`: the part that can't be examined
                assert name.id == "subject", ast.unparse(node)
    return names


def test_every_finding_of_doctor_is_on_the_page_and_no_other() -> None:
    assert rows_of("By finding of doctor").keys() == findings_of_doctor()


def test_every_alert_is_on_the_page_and_no_other() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "grafana" / "alerts.yaml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    assert rows_of("By alert").keys() == alerts
    sections = set(re.findall(r"^### (\w+)$", TEXT, re.MULTILINE))
    assert alerts <= sections


def test_each_row_names_cause_command_and_loss() -> None:
    for heading in ("By alert", "By finding of doctor"):
        for name, cells in rows_of(heading).items():
            assert len(cells) == 3, name
            assert all(cells), name


def test_links_within_the_page_lead_to_a_heading() -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings
