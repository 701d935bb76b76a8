"""`manage.py task new` writes types and tests that run as they are, over models of all kinds."""

import json

import pytest

from tests.management.author_app import AuthorApp

MODELS = ("Customer", "Visit", "Tag", "Label")
KINDS = ("backfill", "cleanup", "import", "export")
REFUSED = {("backfill", "Tag")}  # a key and nothing else

WRITE = """
import io, json, sys
import django
django.setup()
from django.core.management import CommandError, call_command
printed = {}
for name, words in json.loads(sys.argv[1]).items():
    output = io.StringIO()
    try:
        call_command("task", "new", name, *words, stdout=output)
        printed[name] = output.getvalue()
    except CommandError as error:
        printed[name] = str(error)
print(json.dumps(printed))
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> AuthorApp:
    return AuthorApp(tmp_path_factory.mktemp("author"))


@pytest.fixture(scope="module")
def written(app: AuthorApp) -> dict[str, str]:
    """What the command has printed, or its error, by the name of the type. One process writes them all."""
    names = {f"{kind}_{model.lower()}": (f"--{kind}", f"crm.{model}") for model in MODELS for kind in KINDS}
    ran = app.run("-c", WRITE, json.dumps(names))
    assert ran.returncode == 0, ran.stderr
    printed: dict[str, str] = json.loads(ran.stdout)
    return printed


def test_the_command_says_what_it_has_written_and_what_comes_next(app: AuthorApp, written: dict[str, str]) -> None:
    for name, printed in written.items():
        kind, _, model = name.partition("_")
        if (kind, model.capitalize()) in REFUSED:
            assert printed == "crm.Tag has no column to change but its key."
            continue
        for path in (app.path / "task_types" / f"{name}.py", app.path / "tests" / f"test_{name}.py"):
            assert f"Wrote {path}\n" in printed
            assert path.read_text().startswith(f'"""{"The task type " if "task_types" in str(path) else ""}`{name}`')
        assert f"manage.py task start {name} " in printed


@pytest.mark.usefixtures("written")
def test_the_code_is_as_the_project_formats_it(app: AuthorApp) -> None:
    sources = [str(path) for folder in ("task_types", "tests") for path in sorted((app.path / folder).glob("*.py"))]
    assert len(sources) == 32
    config = ("--config", "pyproject.toml")
    checked = app.run("-m", "ruff", "check", *config, "--select", "E,F,W,UP,B", *sources)
    assert checked.returncode == 0, checked.stdout
    formatted = app.run("-m", "ruff", "format", *config, "--check", "--diff", *sources)
    assert formatted.returncode == 0, formatted.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("written")
def test_the_tests_pass_as_they_are(app: AuthorApp) -> None:
    """On servers of their own, as `make test` runs them."""
    ran = app.run(
        "-m", "pytest", "-q", "-c", "pyproject.toml", "-p", "no:cacheprovider", "-p", "no:randomly", str(app.path)
    )
    assert ran.returncode == 0, ran.stdout[-6000:]
    assert "30 passed" in ran.stdout


@pytest.mark.usefixtures("written")
def test_the_types_are_registered_and_checked(app: AuthorApp) -> None:
    ran = app.manage("check")
    assert ran.returncode == 0, ran.stderr
    shown = app.manage("task", "start", "cleanup_customer", "--help")
    assert "--before TIME" in shown.stdout, shown.stderr
