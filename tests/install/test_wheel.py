"""The wheel in a project that is not ours: a back-fill under kills, the API under a prefix, and Django's own admin."""

import json
import shlex
import uuid
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from loadtests.started.http_client import Answer, send_request
from loadtests.started.role_processes import RoleProcesses
from loadtests.started.servers import Database, MariaDB, RedisServer
from longtasks.local_stack.procfile import free_port
from tests.install.shop_project import ShopProject, build_wheel

ROWS = 20_000
DATABASE = "shop"
REDIS_DATABASE = 7
ADMIN_PAGES = """
from django.contrib.auth import get_user_model
from django.test import Client
client = Client()
client.force_login(get_user_model().objects.create(email="a@example.com"))
for path in {paths}:
    response = client.get(path)
    print(response.status_code, path, "tasks_app/dashboard.css" in response.content.decode())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("dist"))


def test_the_wheel_holds_tasks_app_and_all_its_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"tasks_app"}
    own = Path(__file__).parents[2] / "tasks_app"
    wanted = {
        str(path.relative_to(own.parent))
        for path in own.rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".po")
    }
    assert wanted <= set(names)


class Shop:
    """The started project, and its API."""

    def __init__(self, project: ShopProject, processes: RoleProcesses, *, port: int, token: str) -> None:
        self.project, self.processes = project, processes
        self._address, self._token = f"http://127.0.0.1:{port}/jobs", token

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        return send_request(method, self._address + path, body=content, headers=headers, timeout_seconds=30)

    def show(self, task_id: str) -> Any:
        """Return the task; an empty one while web does not answer."""
        shown = self.call("GET", f"/tasks/{task_id}")
        return shown.json if shown.status == 200 else {"status": shown.error, "progress": {"done": 0}}

    def done(self, task_id: str) -> int:
        return int(self.show(task_id)["progress"]["done"])


@pytest.fixture
def shop(wheel: Path, servers: tuple[Database, RedisServer], tmp_path: Path) -> Generator[Shop, None, None]:
    database, redis = servers
    if not isinstance(database, MariaDB):
        pytest.skip("the shop's other settings name MariaDB")
    database.create_database(DATABASE)
    with redis.client(REDIS_DATABASE) as client:
        client.flushdb()
    project = ShopProject(
        tmp_path, wheel=wheel, database=DATABASE, socket=database.socket_path, redis_url=redis.url(REDIS_DATABASE)
    )
    project.manage("makemigrations", "accounts")
    project.manage("migrate")
    token = project.manage("token", "create", "tester", "--scope", "admin").split()[0]
    port = free_port()
    python = shlex.quote(str(project.python))
    commands = {
        "workers": f"{python} manage.py workers 2",
        "mirror": f"{python} manage.py mirror",
        "web": f"{python} -m gunicorn shop.wsgi --threads 4 --bind 127.0.0.1:{port}",
    }
    processes = RoleProcesses(
        commands=commands,
        environment=project.environment,
        directory=tmp_path,
        mark=uuid.uuid4().hex,
        project_directory=project.path,
    )
    shop = Shop(project, processes, port=port, token=token)
    try:
        for role in commands:
            processes.start_role(role)
        processes.wait_for(
            lambda: shop.call("GET", "/queues").status == 200, deadline_seconds=30, what="the API answers"
        )
        yield shop
    finally:
        processes.end_processes()


@pytest.mark.slow
def test_a_foreign_project_runs_a_back_fill_exactly_once_under_kills(
    shop: Shop, servers: tuple[Database, RedisServer]
) -> None:
    database, processes = servers[0], shop.processes
    database.query(
        DATABASE,
        f"INSERT INTO products_product (name, price_cents) SELECT CONCAT('p', seq), 1000 + seq FROM seq_1_to_{ROWS}",
    )

    started = shop.call("POST", "/tasks", {"name": "raise_prices", "params": {"percent": 10}})

    assert started.status == 201, started.body
    assert started.headers["Location"] == f"/jobs/tasks/{started.json['id']}"
    task_id = started.json["id"]

    def kill_at(share: float) -> None:
        processes.wait_for(
            lambda: shop.done(task_id) >= ROWS * share, deadline_seconds=30, what=lambda: f"{shop.done(task_id)} rows"
        )

    kill_at(0.02)
    for index in (1, 0):
        processes.kill_child("workers", index=index)
    kill_at(0.1)
    processes.kill_role("mirror")
    processes.kill_role("workers")
    assert shop.done(task_id) < ROWS
    processes.start_role("mirror")
    processes.start_role("workers")
    kill_at(0.3)
    processes.kill_role("web")
    processes.start_role("web")
    processes.wait_for(
        lambda: shop.show(task_id)["status"] == "finished", deadline_seconds=60, what=lambda: str(shop.show(task_id))
    )

    wrong = "SELECT COUNT(*), SUM(price_cents <> (1000 + CAST(SUBSTR(name, 2) AS UNSIGNED)) * 110 DIV 100) FROM products_product"
    [(rows, wrong_rows)] = database.query(DATABASE, wrong)
    assert (rows, int(wrong_rows)) == (ROWS, 0)
    # The connection's time zone is not UTC, and Django reads each time as UTC.
    ages = "SELECT TIMESTAMPDIFF(SECOND, started_at, UTC_TIMESTAMP()) FROM tasks_app_taskcheckpoint"
    assert [0 <= seconds < 300 for (seconds,) in database.query(DATABASE, ages)] == [True]
    _check_every_other_door(shop, task_id)


def _check_every_other_door(shop: Shop, task_id: str) -> None:
    """The rest of the interface, on the same processes: starting them takes longer than asking."""
    statuses = {
        path: shop.call("GET", path).status for path in ("/schema", "/metrics", "/health/ready", "/stream", "/docs")
    }
    assert statuses == {"/schema": 200, "/metrics": 200, "/health/ready": 200, "/stream": 501, "/docs": 404}
    assert shop.call("GET", "/schema").json["servers"] == [{"url": "/jobs"}]
    refused = shop.call("POST", "/tasks", {"name": "raise_prices", "params": {"percent": "x"}})
    assert refused.headers["Content-Type"] == "application/problem+json", refused.body
    assert refused.json["errors"][0]["field"] == "params.percent"
    paths = [
        "/admin/", "/admin/tasks_app/taskrecord/", f"/admin/tasks_app/taskrecord/{task_id}/",
        "/admin/tasks_app/taskrecord/overview/", "/admin/tasks_app/taskrecord/start/", "/admin/tasks_app/auditentry/",
        "/admin/tasks_app/apitoken/", "/admin/tasks_app/apitoken/add/", "/admin/tasks_app/setasideitem/",
    ]  # fmt: skip
    shown = shop.project.manage("shell", "-v0", "-c", ADMIN_PAGES.format(paths=paths)).splitlines()
    assert [line.split()[:2] for line in shown] == [["200", path] for path in paths]
    assert sum(line.endswith("True") for line in shown) == 5
    from_wheel = shop.project.manage("shell", "-v0", "-c", "import tasks_app; print(tasks_app.__file__)").strip()
    assert Path(from_wheel).is_relative_to(shop.project.python.parents[1])
    assert "no issues" in shop.project.manage("check")
    assert "No changes" in shop.project.manage("makemigrations", "--check", "--dry-run")
