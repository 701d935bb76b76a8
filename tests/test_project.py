"""The project as a whole: middleware of the admin only, addresses, and files that must agree with each other."""

import ast
import re
import runpy
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation
from django.utils.module_loading import import_string
from gunicorn.glogging import Logger

from settings.env import ROOT

PIN = re.compile(r"[A-Za-z0-9_.-]+==[^\s=]+")


def read_pins(name: str) -> dict[str, str]:
    """Return the packages of one dependency group with their exact versions."""
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"][name]
    assert all(PIN.fullmatch(pin) for pin in pins), pins
    return dict(pin.split("==") for pin in pins)


def test_every_requirement_is_pinned_exactly() -> None:
    groups = ("runtime", "mysql", "tracing", "import-export", "django-tasks", "dev", "load", "bench")
    assert all(read_pins(name) for name in groups)


def test_the_installed_packages_are_the_pinned_ones() -> None:
    groups = ("runtime", "dev", "import-export", "django-tasks")
    pins = {package: pin for name in groups for package, pin in read_pins(name).items()}
    assert {name: version(name) for name in pins} == pins


def test_the_embedded_runtime_needs_no_mysql_driver_and_no_compiler() -> None:
    built = {"mysqlclient", "gunicorn_h1c"}
    assert built.isdisjoint(read_pins("runtime"))
    assert set(read_pins("mysql")) == built


def test_procfile_names_the_processes() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    assert [line.split(":")[0] for line in lines] == ["web", "worker", "mirror", "webhooks"]


def test_rq_classes_can_be_imported_and_never_pickle() -> None:
    from django_rq.jobs import get_job_class
    from django_rq.workers import get_worker_class

    assert get_job_class() is import_string(settings.RQ["JOB_CLASS"])
    assert get_worker_class() is import_string(settings.RQ["WORKER_CLASS"])
    assert {queue["SERIALIZER"] for queue in settings.RQ_QUEUES.values()} == {"rq.serializers.JSONSerializer"}


def test_redis_calls_have_a_deadline() -> None:
    seconds = f"{settings.LONGTASKS.redis_timeout_seconds:g}"
    for queue in settings.RQ_QUEUES.values():
        assert f"socket_timeout={seconds}" in queue["URL"]
        assert f"socket_connect_timeout={seconds}" in queue["URL"]


@pytest.mark.django_db
def test_the_admin_keeps_a_session_and_the_browsers_language() -> None:
    answer = Client().get("/admin/login/", headers={"accept-language": "es"})
    assert answer.status_code == 200
    assert answer.headers["Content-Language"] == "es"
    assert "csrftoken" in answer.cookies


@pytest.mark.django_db
def test_the_admins_language_does_not_leak_to_the_thread() -> None:
    Client().get("/admin/login/", headers={"accept-language": "es"})
    assert translation.get_language() == "en"


def test_the_api_has_no_session_and_costs_no_sql() -> None:
    # No django_db mark: pytest-django fails the test at the first query.
    answer = Client().get("/health/live", headers={"accept-language": "es", "cookie": "sessionid=abc"})
    assert answer.status_code == 200
    assert not answer.cookies
    assert "Vary" not in answer.headers
    assert not hasattr(answer.wsgi_request, "session")
    assert not hasattr(answer.wsgi_request, "user")


def test_the_admin_without_slash_redirects_to_the_admin() -> None:
    answer = Client().get("/admin")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")


@pytest.mark.parametrize("path", ["/nothing", "/nothing/here/", "/tasks/x/y"])
def test_an_unknown_address_is_a_problem(path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("application/problem+json")


def test_an_unknown_host_is_refused() -> None:
    assert Client(headers={"host": "elsewhere.example"}).get("/nothing").status_code == 400


def test_gunicorn_reads_its_configuration() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "longtasks/gunicorn.py", "--print-config", "longtasks.asgi"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    lines = {
        line.split("=", 1)[0].strip(): line.split("=", 1)[1].strip()
        for line in shown.stdout.splitlines()
        if "=" in line
    }
    assert (lines["bind"], lines["worker_class"], lines["preload_app"]) == (
        "['127.0.0.1:3000']",
        "longtasks.server.worker.AsgiWorker",
        "False",
    )
    assert lines["accesslog"] == "None"


def test_gunicorn_makes_no_data_for_an_access_log() -> None:
    assert isinstance(Logger.access_log_enabled, property)  # what its protocol asks
    assert runpy.run_path("longtasks/gunicorn.py")["logger_class"].access_log_enabled is False


@pytest.mark.parametrize(
    ("bind", "listens"), [("::1", "[::1]:3000"), ("::", "[::]:3000"), ("unix:", "unix:{directory}/web.sock")]
)
def test_gunicorn_listens_where_bind_says(
    bind: str, listens: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIND", f"unix:{tmp_path}" if bind == "unix:" else bind)
    assert runpy.run_path("longtasks/gunicorn.py")["bind"] == listens.format(directory=tmp_path)


def test_gunicorns_parent_does_not_import_the_project() -> None:
    code = (
        "import runpy, sys; runpy.run_path('longtasks/gunicorn.py');"
        "print([name for name in sys.modules if name.split('.')[0] in ('django', 'settings', 'tasks_app')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"


def test_make_help_lists_every_target_of_the_readers() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    listed = set(re.findall(r"^  make ([a-z-]+) ", shown, re.MULTILINE))
    assert listed >= {"help", "demo", "up", "manage", "test", "test-embedded", "check"}


NOQA = re.compile(r"#\s*noqa:\s*[A-Z0-9, ]*?\bS\d{3}\b[A-Z0-9, ]*(?P<reason>.*)")


def find_unreasoned(line: str) -> bool:
    """Return whether a line turns off a security rule without a reason."""
    found = NOQA.search(line)
    return found is not None and re.match(r"\(.{4,}\)", found["reason"]) is None


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("x = random()  # no" + "qa: S311", True),
        ("x = random()  # no" + "qa: DTZ005, S311", True),
        ("x = random()  # no" + "qa: S311 ()", True),
        ("x = random()  # no" + "qa: S311 (jitter)", False),
        ("x = now()  # no" + "qa: DTZ005", False),
    ],
)
def test_a_reason_is_recognised(line: str, *, wanted: bool) -> None:
    assert find_unreasoned(line) is wanted


def test_security_rules_are_on_and_each_exception_says_why() -> None:
    files = [path for path in ROOT.rglob("*.py") if not path.relative_to(ROOT).parts[0].startswith(".")]
    assert len(files) > 300
    unreasoned = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if find_unreasoned(line)
    ]
    assert not unreasoned, "say in parentheses behind the rule why it is off here:\n" + "\n".join(unreasoned)
    project = (ROOT / "pyproject.toml").read_text()
    assert "S" in tomllib.loads(project)["tool"]["ruff"]["lint"]["select"]
    off = [line for line in project.splitlines() if re.search(r'"S\d{3}"', line)]
    assert off
    assert not [line for line in off if "#" not in line]


def test_one_file_names_the_keys_of_rq() -> None:
    """Code takes the keys of RQ from tasks_app/queues/redis_keys.py; only the Lua scripts beside it contain them too."""
    spelled = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("tasks_app", "longtasks", "catalog")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != "redis_keys.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("rq:")
    ]
    assert spelled == []
