"""tasks_app in any project: where its settings come from."""

import ast

from settings.env import ROOT

DJANGO_CONF = "django.conf"
OWN = "tasks_app/conf/"


def list_importers() -> list[str]:
    """Return the files of tasks_app that read Django's settings beside tasks_app.conf."""
    found = []
    for path in sorted((ROOT / "tasks_app").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        if not name.startswith(OWN) and any(node.module == DJANGO_CONF for node in imports):
            found.append(name)
    return found


def test_tasks_app_reads_settings_through_its_own_module() -> None:
    """Another project has no LONGTASKS object, nor our other settings, and may have others of the same names."""
    assert list_importers() == ["tasks_app/operations/project_checks.py"]  # which looks for RQ_QUEUES of the project
